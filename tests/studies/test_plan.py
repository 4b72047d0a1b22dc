"""Which runs a study has, and which of them are finished."""

import json

import pytest

from mime.configuration.pearl import PearlExperiment
from mime.configuration.seeds import parse_seeds
from mime.errors import UserError
from mime.studies import plan
from mime.studies.plan import Length
from tests.small_runs import small
from tests.studies.made_up import made_up


def test_seeds_are_numbers_and_ranges():
    assert parse_seeds("0-2") == [0, 1, 2]
    assert parse_seeds("7, 1-3,2") == [7, 1, 2, 3]


@pytest.mark.parametrize("text", ["", "a", "1-", "-1", "3-1", "1;2"])
def test_other_seeds_are_refused(text):
    with pytest.raises(UserError, match="--seeds"):
        parse_seeds(text)


def test_methods_are_names_with_commas():
    assert plan.parse_methods("mime, maml") == ["mime", "maml"]
    with pytest.raises(UserError, match="'mine' is not a method; did you mean mime"):
        plan.parse_methods("maml,mine")


def test_options_are_those_of_the_algorithm():
    words = ["--num-batches", "5", "--hidden-sizes", "8", "8", "--no-first-order", "--net-size", "-3"]
    assert plan.applicable(words, type(small())) == words[:-2]
    assert plan.applicable(words, PearlExperiment) == words[-2:]
    plan.require_known(words, {type(small()), PearlExperiment})
    with pytest.raises(UserError, match="--net-size: is neither"):
        plan.require_known(words, {type(small())})


def test_pearls_file_lies_beside_the_experiments_folder(tmp_path):
    for folder in ("rings", "pearl"):
        (tmp_path / folder).mkdir()
    own, pearls = tmp_path / "rings" / "wide.yaml", tmp_path / "pearl" / "wide.yaml"
    own.write_text("gamma: 1")
    assert plan.configuration_of(own, "mime") == own
    assert plan.configuration_of(own, "pearl") is None
    pearls.write_text("algorithm: pearl")
    assert plan.configuration_of(own, "pearl") == pearls
    assert plan.configuration_of(pearls, "pearl") == pearls
    assert plan.configuration_of(own, "rl2") is None
    with pytest.raises(UserError, match="configures PEARL; for rl2"):
        plan.configuration_of(pearls, "rl2")
    with pytest.raises(UserError, match="configures PEARL"):
        plan.configuration_of(pearls, "mime")


@pytest.fixture
def finished(tmp_path):
    """A run of two iterations, tested in two batches of one step."""
    folder = made_up(tmp_path / "ring" / "maml" / "seed-0")
    (folder / "config.json").write_text(json.dumps({"seed": 0, "experiment": small().as_keys()}))
    return folder


def test_a_run_is_finished_if_it_was_trained_and_tested_as_asked(finished):
    assert plan.is_finished(finished, small(), 0, Length(2, 2, 1))
    assert not plan.is_finished(finished, small(gamma=0.5), 0, Length(2, 2, 1))
    assert not plan.is_finished(finished, small(), 1, Length(2, 2, 1))
    for length in (Length(3, 2, 1), Length(2, 3, 1), Length(2, 2, 2)):
        assert not plan.is_finished(finished, small(), 0, length)


@pytest.mark.parametrize("name", ["config.json", "train_result.csv", "test_result.csv"])
@pytest.mark.parametrize("content", [None, b"", b"\xff", b"[1]"])
def test_a_damaged_run_is_not_finished(finished, name, content):
    (finished / name).unlink() if content is None else (finished / name).write_bytes(content)
    assert not plan.is_finished(finished, small(), 0, Length(2, 2, 1))
