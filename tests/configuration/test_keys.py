"""What a run was given is what test and resume see: any configuration comes back from its file, or is refused."""

import datetime
import json
import math
from contextlib import suppress

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mime.commands.train import parse
from mime.configuration import parsing
from mime.configuration.gradients import Experiment
from mime.configuration.keys import kebab
from mime.configuration.pearl import PearlExperiment
from mime.configuration.rl2 import Rl2Experiment
from mime.errors import UserError

# A module that is first imported when a value is refused may draw random numbers.
pytestmark = pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisDeprecationWarning")

TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), max_size=6)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
NUMBERS = {"float": st.floats(1e-12, 1e12) | st.floats(1e-3, 0.9), "int": st.integers(1, 2**40)}


def values(kind, name):
    """Some that the field may have; those that do not go together with others are refused."""
    default = kind.model_fields[name].default
    if name == "env_kwargs":
        return st.dictionaries(TEXT, PLAIN, max_size=4)
    if isinstance(default, bool):
        return st.booleans()
    if isinstance(default, tuple):
        return st.lists(st.integers(1, 512), max_size=3).map(tuple)
    return NUMBERS.get(type(default).__name__, st.just(default))


def configurations():
    """Those that are allowed, of every family."""
    kinds = Experiment, PearlExperiment, Rl2Experiment
    keys = [st.fixed_dictionaries({}, optional={n: values(k, n) for n in k.model_fields}) for k in kinds]
    each = [strategy.map(lambda keys, kind=kind: allowed(kind, keys)) for kind, strategy in zip(kinds, keys)]
    return st.one_of(*each)


def allowed(kind, keys):
    """With those of the keys that it does not refuse."""
    configuration = kind()
    accepted = {}
    for name, value in keys.items():
        with suppress(UserError):
            configuration = kind(**accepted, **{name: value})
            accepted[name] = value
    return configuration


def check(configuration, folder):
    """That it comes back from config.json, from YAML, and from options on the command line."""
    keys = configuration.as_keys()
    assert same(parsing.parse(json.loads(json.dumps(keys, indent=2)), source="config.json"), configuration)
    path = folder / "experiment.yaml"
    path.write_text(as_yaml(keys), encoding="utf-8")
    assert same(parsing.load(path), configuration)
    path.write_text(f"algorithm: {keys['algorithm']}" if "algorithm" in keys else "{}")
    arguments = ["--config", str(path), "--output-folder", str(folder)]
    for name in type(configuration).model_fields:
        arguments += option(kebab(name), keys[kebab(name)])
    assert same(parse(arguments).experiment, configuration)


def option(key, value):
    if key == "algorithm" or value is None:
        return []
    if isinstance(value, bool):
        return [f"--{key}" if value else f"--no-{key}"]
    if isinstance(value, list):
        return [f"--{key}", *map(str, value)]
    return [f"--{key}", as_yaml(value) if isinstance(value, dict) else str(value)]


def as_yaml(value):
    """In one line, with a tag on every number."""
    return yaml.safe_dump(
        value, default_style='"', default_flow_style=True, allow_unicode=True, sort_keys=False, width=1e9
    )


def same(one, other):
    return repr(one) == repr(other)


@pytest.fixture(autouse=True)
def any_environment(monkeypatch):
    monkeypatch.setattr("mime.commands.train._require_environment", lambda *arguments, **options: None)
    # All options are given, whether they have an effect or not.
    monkeypatch.setattr("mime.configuration.parsing.require_used", lambda *arguments: None)


SLOWLY = {"deadline": None, "suppress_health_check": list(HealthCheck)}


@settings(max_examples=3, **SLOWLY)
@given(configuration=configurations())
def test_any_configuration_comes_back(configuration, tmp_path_factory):
    check(configuration, tmp_path_factory.getbasetemp())


@pytest.mark.torture
@settings(max_examples=10_000, **SLOWLY)
@given(configuration=configurations())
def test_ten_thousand_configurations_come_back(configuration, tmp_path_factory):
    check(configuration, tmp_path_factory.getbasetemp())


@pytest.mark.parametrize(
    "value",
    [
        {1: 0.5},
        (1, 2),
        datetime.date(2026, 1, 31),
        np.float32(1),
        np.arange(2),
        [{"a": {2: 3}}],
        {True: 1},
        object(),
        b"x",
    ],
)
def test_arguments_that_the_file_would_change_are_refused(value):
    with pytest.raises(UserError, match=r"env-kwargs: .*holds levels: .*config\.json would not give back"):
        Experiment(env_kwargs={"levels": value})


def test_arguments_without_end_are_refused(tmp_path):
    path = tmp_path / "endless.yaml"
    path.write_text("env-kwargs: {a: &a [*a]}")
    with pytest.raises(UserError, match="holds a:"):
        parsing.load(path)


def test_arguments_are_copied():
    levels = [1, math.inf]
    experiment = Experiment(env_kwargs={"levels": levels})
    levels.append(2)
    assert experiment.env_kwargs == {"levels": [1, math.inf]}


def test_arguments_of_the_command_line_are_added_to_those_of_the_file(tmp_path):
    path = tmp_path / "named.yaml"
    path.write_text("env-kwargs: {seed: 3, gamma: 0.5, scale: 2.0}")
    arguments = ["--config", str(path), "--output-folder", str(tmp_path), "--gamma", "0.3", "--seed", "7"]
    command = parse([*arguments, "--env-kwargs", "{gamma: 1e-3, new: [no, 1]}"])
    assert command.experiment.env_kwargs == {"seed": 3, "gamma": 0.001, "scale": 2.0, "new": [False, 1]}
    assert (command.seed, command.experiment.gamma) == (7, 0.3)
