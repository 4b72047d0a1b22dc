"""Configuration files: what loads, and what is refused in which words."""

import ast
import csv
import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from mime.configuration import parsing
from mime.configuration.gradients import Experiment
from mime.configuration.keys import ConfigurationError
from mime.configuration.parsing import KEYS

ROOT = Path(__file__).parents[2]
PUBLISHED = sorted((ROOT / "configs" / "msc_project").glob("*.yaml"))
RING = {"env-name": "2DNavigationSparse-v0"}


def test_the_seven_published_experiments_are_there():
    assert len(PUBLISHED) == 7


@pytest.mark.parametrize("path", [p for p in PUBLISHED if "metaworld" not in p.name], ids=lambda path: path.stem)
def test_published_files_load_unchanged(path):
    document = yaml.safe_load(path.read_text())
    keys = parsing.load(path).as_keys()
    assert {key: keys[key] for key in document} == document


def test_published_values_are_those_of_the_original_table():
    table = ROOT / "tests" / "published_keys.csv"
    with open(table, newline="") as file:
        rows = list(csv.DictReader(file))
    for path in PUBLISHED:
        document = yaml.safe_load(path.read_text())
        assert document == {row["key"]: literal(row[path.stem]) for row in rows if row[path.stem]}


def literal(text):
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def test_every_key_is_documented():
    for name, field in Experiment.model_fields.items():
        assert field.description, name
        assert field.description.endswith("."), name


def test_numbers_written_the_yaml_way_load(tmp_path):
    path = tmp_path / "experiment.yaml"
    path.write_text("cg-damping: 1e-05\nmax-kl: 1.0e-2\n")
    experiment = parsing.load(path)
    assert (experiment.cg_damping, experiment.max_kl) == (1e-5, 1e-2)


def test_an_empty_file_is_all_defaults(tmp_path):
    path = tmp_path / "empty.yaml"
    path.write_text("")
    assert parsing.load(path) == Experiment()


def test_round_trip_through_json():
    experiment = parsing.parse({**RING, "hidden-sizes": [3, 4], "use-vime": True}, source="here")
    assert parsing.parse(json.loads(json.dumps(experiment.as_keys())), source="there") == experiment


def test_an_experiment_is_frozen():
    with pytest.raises(ValueError, match="frozen"):
        Experiment().gamma = 0.5


REFUSED = {
    "unknown key": ({"gama": 1}, "gama: unknown key; did you mean gamma?"),
    "wrong type": ({"gamma": "high"}, "gamma: 'high'"),
    "truth for a number": ({"gamma": True}, "gamma: True must be a number"),
    "not a number": ({"gamma": float("nan")}, "gamma: nan"),
    "negative rate": ({"fast-lr": -0.1}, "fast-lr: -0.1 should be greater than 0"),
    "empty batch": ({"meta-batch-size": 0}, "meta-batch-size: 0 should be greater than or equal to 1"),
    "fraction of a batch": ({"num-batches": 1.5}, "num-batches: 1.5"),
    "empty layer": ({"hidden-sizes": [64, 0]}, "hidden-sizes.1: 0"),
    "one of a few": ({"nonlinearity": "swish"}, "nonlinearity: 'swish' should be 'tanh'"),
    "eta of nothing": ({"adapt-eta": True}, "add use-vime"),
    "credit of nothing": ({"bonus-credit": "before"}, "add use-vime"),
    "eta without a gradient": (
        {"use-vime": True, "bonus-credit": "before", "adapt-eta": True},
        "use eta-rule: found with eta-lr: 0.1, or leave adapt-eta out",
    ),
    "another rule's rate": ({"use-vime": True, "adapt-eta": True, "eta-rule": "found"}, "eta-lr: 1000 is too large"),
    "half a task": ({"weakest-actions": 0.5, "meta-batch-size": 1}, "set meta-batch-size to 2"),
    "no warm-up": ({"use-vime": True, "normalize-spaces": True}, "set pre-epochs to 1 or more"),
    "a share that is none": ({"eta": 1.0}, "eta: 1.0 should be less than 1"),
    "a share below 0": ({"adaptable-eta": -0.1}, "adaptable-eta: -0.1 should be greater than 0"),
    "no latents to draw": ({"latent-draws": "together"}, "set latent-size to 1 or more"),
    "credit for all together": (
        {"latent-draws": "together", "latent-size": 2, "e-maml": True},
        "leave one of them out",
    ),
    "half a feature": ({"dyn-features": 255}, "dyn-features: 255 should be even"),
    "no noise variance": ({"dyn-noise-variance": 0}, "dyn-noise-variance: 0 should be greater than or equal to 0.01"),
    "a list": ([1, 2], "must be a list of `key: value` lines"),
}


@pytest.mark.parametrize(("document", "words"), REFUSED.values(), ids=REFUSED)
def test_refusals_name_file_key_and_value(document, words):
    with pytest.raises(ConfigurationError) as caught:
        parsing.parse(document, source="my.yaml")
    message = str(caught.value)
    assert message.startswith("my.yaml: ")
    assert words in message
    assert len(message.splitlines()) == 1


def test_every_mistake_is_named():
    with pytest.raises(ConfigurationError) as caught:
        parsing.parse({"gamma": 2, "fast-lr": 0}, source="my.yaml")
    assert len(str(caught.value).splitlines()) == 2


@pytest.mark.parametrize(
    ("content", "words"), [(b"a: [1", "is not YAML"), (b"\xff\xfe\x00", "cannot be read"), (b"- 1", "must be a list")]
)
def test_broken_files_are_refused_in_a_line(tmp_path, content, words):
    path = tmp_path / "broken.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=words) as caught:
        parsing.load(path)
    assert len(str(caught.value).splitlines()) == 1


def test_a_missing_file_suggests_its_neighbour(tmp_path):
    (tmp_path / "pendulum.yaml").write_text("")
    with pytest.raises(ConfigurationError, match=r"did you mean .*pendulum\.yaml"):
        parsing.load(tmp_path / "pendulun.yaml")


def test_a_yaml_file_cannot_run_code(tmp_path):
    path = tmp_path / "evil.yaml"
    path.write_text(f"env-name: !!python/object/apply:os.mkdir ['{tmp_path / 'owned'}']\n")
    with pytest.raises(ConfigurationError):
        parsing.load(path)
    assert not (tmp_path / "owned").exists()


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=10), children, max_size=3),
    max_leaves=5,
)


@settings(max_examples=300, deadline=None)
@given(key=st.sampled_from(KEYS), value=ANYTHING)
def test_no_value_of_any_key_makes_a_traceback(key, value):
    try:
        experiment = parsing.parse({key: value}, source="fuzz.yaml")
    except ConfigurationError as error:
        assert str(error).startswith("fuzz.yaml: ")  # noqa: PT017
    else:
        assert isinstance(experiment, Experiment)


@settings(max_examples=100, deadline=None)
@given(document=st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=12) | st.integers(), ANYTHING, max_size=4))
def test_no_document_makes_a_traceback(document):
    try:
        parsing.parse(document, source="fuzz.yaml")
    except ConfigurationError as error:
        assert str(error)  # noqa: PT017
