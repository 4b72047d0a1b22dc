"""The configuration files of RL2, and what is refused in which words."""

from pathlib import Path

import pytest
import yaml

from mime.configuration import parsing
from mime.configuration.keys import ConfigurationError
from mime.configuration.rl2 import Rl2Experiment

ROOT = Path(__file__).parent.parent.parent / "configs"
FILES = sorted((ROOT / "rl2").glob("*.yaml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_files_load_unchanged(path):
    experiment, document = parsing.load(path), yaml.safe_load(path.read_text())
    assert isinstance(experiment, Rl2Experiment)
    keys = experiment.as_keys()
    assert {key: keys[key] for key in document} == document
    assert parsing.parse(keys, source="again") == experiment


def test_each_published_experiment_has_a_file_on_the_same_environment():
    shared = [path for path in FILES if (ROOT / "msc_project" / path.name).exists()]
    assert len(shared) == 6
    for path in shared:
        published, ours = (yaml.safe_load(each.read_text()) for each in (ROOT / "msc_project" / path.name, path))
        assert (ours["env-name"], ours["env-kwargs"]) == (published["env-name"], published["env-kwargs"])


def test_every_key_is_documented():
    assert [name for name, field in Rl2Experiment.model_fields.items() if not (field.description or "").strip()] == []


REFUSED = {
    "minibatches": ({"trials-per-task": 10, "num-minibatches": 3}, "num-minibatches: 3 should divide trials-per-task"),
    "no episode to explore in": ({"use-vime": True, "episodes-per-trial": 1}, "set episodes-per-trial to 2 or more"),
    "key of another algorithm": ({"fast-lr": 0.1}, "fast-lr: unknown key"),
    "odd features": ({"dyn-features": 3}, "dyn-features: 3 should be even"),
}


@pytest.mark.parametrize(("document", "words"), REFUSED.values(), ids=REFUSED)
def test_refusals_name_file_key_and_value(document, words):
    with pytest.raises(ConfigurationError, match=words) as caught:
        parsing.parse({"algorithm": "rl2"} | document, source="my.yaml")
    assert str(caught.value).startswith("my.yaml: ")


def test_the_method_and_its_tests_follow_from_the_keys():
    assert Rl2Experiment().method == "RL2"
    assert Rl2Experiment(use_vime=True).method == "RL2+expl"
    assert [Rl2Experiment(episodes_per_trial=count).test_steps for count in (1, 2, 10)] == [1, 1, 9]
