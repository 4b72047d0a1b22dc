"""From a configuration to an environment: what is refused, in which words, and that nothing is left behind."""

import json

import jax
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

import mime
from mime.configuration import parsing
from mime.configuration.gradients import Experiment
from mime.configuration.keys import ConfigurationError
from mime.envs.navigation import RingNavigation
from mime.runs.setup import build_environment
from tests import small_runs
from tests.configuration.test_gradients import ANYTHING

RING = {"env-name": "2DNavigationSparse-v0"}
PEARL = {"algorithm": "pearl"}
REFUSED = {
    "unknown environment": ({"env-name": "2DNavigationSparse"}, "did you mean 2DNavigationSparse-v0?"),
    "low above high": ({**RING, "env-kwargs": {"low": 9.0, "high": 5.0}}, "env-kwargs: low: 9.0 and high: 5.0"),
    "unknown argument": ({**RING, "env-kwargs": {"lo": 9.0}}, "env-kwargs: lo is not an argument"),
    "wrong argument": ({**RING, "env-kwargs": {"low": "x"}}, "env-kwargs: low: 'x'"),
    "strong arms": ({"env-name": "Bandit-K5-v0", "weakest-actions": 0.5}, "weakest-actions: 0.5 needs a bounded box"),
    "dense already": ({**PEARL, "sparse-rewards": True, "env-kwargs": {"sparse": False}}, "needs sparse: true"),
    "never sparse": ({**PEARL, "sparse-rewards": True, "env-name": "2DNavigation-v0"}, "env-kwargs needs sparse: true"),
}


@pytest.mark.parametrize(("document", "words"), REFUSED.values(), ids=REFUSED)
def test_refusals_name_file_key_and_value(document, words, tmp_path):
    with pytest.raises(ConfigurationError) as caught:
        small_runs.build(document, source="my.yaml")
    message = str(caught.value)
    assert message.startswith("my.yaml: ")
    assert words in message
    assert len(message.splitlines()) == 1
    # Of a configuration that comes from no file, the library's calls say the same.
    with pytest.raises(mime.UserError) as caught:
        mime.train(parsing.parse(document, source=""), tmp_path / "run")
    assert str(caught.value) == message.removeprefix("my.yaml: ")
    assert not (tmp_path / "run").exists()
    path = tmp_path / "my.yaml"
    path.write_text(yaml.safe_dump(document))
    with pytest.raises(mime.UserError) as caught:
        mime.load_experiment(path)
    assert str(caught.value) == f"{path}: {message.removeprefix('my.yaml: ')}"


@pytest.mark.parametrize("use", [mime.load_run, mime.evaluate])
def test_a_run_whose_environment_is_gone_is_refused_by_its_file(use, tmp_path):
    document = {"seed": 0, "experiment": {"env-name": "2DNavigationSprase-v0"}}
    (tmp_path / "config.json").write_text(json.dumps(document))
    with pytest.raises(mime.UserError) as caught:
        use(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path / 'config.json'}: env-name: '2DNavigationSprase-v0' is not an")
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]


def test_it_is_the_environment_that_was_asked_for():
    environment = small_runs.build({**RING, "env-kwargs": {"low": 5, "high": 6}})
    assert isinstance(environment, RingNavigation)
    assert (environment.low, environment.high) == (5.0, 6.0)


@settings(max_examples=100, deadline=None)
@given(key=st.sampled_from(["env-name", "env-kwargs", "weakest-actions"]), value=ANYTHING)
def test_no_value_makes_a_traceback(key, value):
    try:
        environment = small_runs.build({key: value}, source="fuzz.yaml")
    except ConfigurationError as error:
        assert str(error).startswith("fuzz.yaml: ")  # noqa: PT017
    else:
        assert jax.eval_shape(lambda: environment.sample_tasks(jax.random.key(0), 2)).shape == (2, 2)


def test_a_configuration_needs_no_environment():
    experiment = Experiment(env_name="somebody.else:Env", env_kwargs={"far": "away"})
    with pytest.raises(ConfigurationError, match=r"env-name: 'somebody\.else:Env' cannot be imported"):
        build_environment(experiment)
