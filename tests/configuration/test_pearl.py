"""The configuration files of PEARL, and what is refused in which words."""

from pathlib import Path

import pytest
import yaml

from mime.configuration import parsing
from mime.configuration.gradients import Experiment
from mime.configuration.keys import ConfigurationError
from mime.configuration.pearl import PearlExperiment

ROOT = Path(__file__).parent.parent.parent / "configs"
FILES = sorted((ROOT / "pearl").glob("*.yaml"))


def test_each_experiment_has_a_gradient_based_one_on_the_same_environment():
    assert len(FILES) == 6
    for path in FILES:
        keys = yaml.safe_load((ROOT / "msc_project" / path.name).read_text())
        experiment = parsing.load(path)
        assert (experiment.env_name, experiment.env_kwargs) == (keys["env-name"], keys["env-kwargs"])
        assert experiment.discount == keys["gamma"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_files_load_unchanged_in_both_scales(path):
    document = yaml.safe_load(path.read_text())
    small = document.pop("scales")["small"]
    for scale, expected in ((None, document), ("small", document | small)):
        experiment = parsing.load(path, scale=scale)
        assert isinstance(experiment, PearlExperiment)
        keys = experiment.as_keys()
        assert {key: keys[key] for key in expected} == expected
        assert parsing.parse(keys, source="again") == experiment
    assert parsing.load(path, scale="small").net_size < parsing.load(path).net_size


def test_evaluations_reach_the_posterior():
    for path in FILES:
        experiment = parsing.load(path)
        assert experiment.trajectories(experiment.num_steps_per_eval) > experiment.num_exp_traj_eval


def test_every_key_is_documented():
    for name, field in PearlExperiment.model_fields.items():
        assert field.description, name
        assert field.description.endswith("."), name


def test_without_the_key_a_file_is_of_a_gradient_based_method():
    assert isinstance(parsing.parse({}, source="here"), Experiment)
    assert isinstance(parsing.parse({"algorithm": "pearl"}, source="here"), PearlExperiment)


REFUSED = {
    "another algorithm": ({"algorithm": "ppo"}, "algorithm: 'ppo' is not pearl or rl2"),
    "no name": ({"algorithm": ["pearl"]}, "algorithm: ['pearl'] is not pearl or rl2"),
    "key of another algorithm": ({"algorithm": "pearl", "fast-lr": 0.1}, "fast-lr: unknown key"),
    "misspelt key": ({"algorithm": "pearl", "latent-sise": 5}, "did you mean latent-size?"),
    "impossible value": ({"algorithm": "pearl", "meta-batch": 0}, "meta-batch: 0 should be"),
    "evaluation without posterior": (
        {"algorithm": "pearl", "num-steps-per-eval": 400, "num-exp-traj-eval": 2, "max-path-length": 200},
        "num-steps-per-eval: 400 leaves no trajectory of the posterior",
    ),
    "small ring": ({"algorithm": "pearl", "replay-buffer-size": 100}, "replay-buffer-size: 100 holds less than"),
}


@pytest.mark.parametrize(("document", "words"), REFUSED.values(), ids=REFUSED)
def test_refusals_name_file_key_and_value(document, words):
    with pytest.raises(ConfigurationError) as caught:
        parsing.parse(document, source="my.yaml")
    assert str(caught.value).startswith("my.yaml: ")
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("gamma: 1.0", "scales: has no small; it has none"),
        ("scales: {tiny: {gamma: 0.5}}", "scales: has no small; it has tiny"),
        ("scales: 3", "scales: must name lists"),
        ("scales: {small: 3}", "scales: must name lists"),
        ("scales: {small: {gama: 0.5}}", "gama: unknown key"),
    ],
)
def test_scales_that_are_refused(tmp_path, content, words):
    path = tmp_path / "experiment.yaml"
    path.write_text(content)
    with pytest.raises(ConfigurationError, match=words):
        parsing.load(path, scale="small")
