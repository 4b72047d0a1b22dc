"""The process that makes one run of a study."""

import json
import sys

from mime.commands import planned_run
from mime.studies import execution


def test_it_trains_and_tests(small_yaml, tmp_path):
    folder = tmp_path / "run"
    place = ["--output-folder", str(folder)]
    train = ["--config", str(small_yaml), *place, "--num-batches", "1", "--pre-epochs", "0"]
    test = [*place, "--num-batches", "1", "--num-steps", "1"]
    argv = sys.argv
    try:
        assert planned_run.make(folder, train, test) == 0
    finally:
        sys.argv = argv
    start = json.loads((folder / "config.json").read_text())["history"][0]
    assert start["command"] == ["mime", "train", *train]
    assert (folder / "test_result.csv").read_text().count("\n") == 2


def test_it_is_what_a_study_starts():
    assert planned_run.__name__ == execution.PROCESS
