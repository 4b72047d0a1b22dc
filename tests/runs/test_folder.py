"""Run folders: nobody's work is overwritten, two processes do not share one."""

import json
import subprocess
import sys

import pytest

from mime.errors import UserError
from mime.runs.folder import RunFolder
from mime.runs.tested import is_stale, recorded_tests
from tests.small_runs import small


def test_a_new_folder_is_made_with_its_parents(tmp_path):
    RunFolder(tmp_path / "a" / "b").create(overwrite=False)
    assert (tmp_path / "a" / "b").is_dir()


@pytest.mark.parametrize("name", ["config.json", "train_result.csv", "events.out.tfevents.1.host.0"])
def test_an_existing_run_is_refused_with_the_way_out(tmp_path, name):
    (tmp_path / name).write_text("precious")
    with pytest.raises(UserError, match="--overwrite"):
        RunFolder(tmp_path).create(overwrite=False)
    assert (tmp_path / name).read_text() == "precious"


def test_overwriting_deletes_what_a_run_wrote_and_nothing_else(tmp_path):
    (tmp_path / "config.json").write_text("old")
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "notes.txt").write_text("mine")
    RunFolder(tmp_path).create(overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", "notes.txt"]


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="file/run: cannot be written"):
        RunFolder(tmp_path / "file" / "run").create(overwrite=False)


def test_a_second_process_is_refused_until_the_first_ends(tmp_path):
    program = (
        "import sys, time; from pathlib import Path; from mime.runs.folder import RunFolder\n"
        "RunFolder(Path(sys.argv[1])).lock(); print('locked', flush=True); time.sleep(60)\n"
    )
    arguments = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "locked\n"
        with pytest.raises(UserError, match=f"process {process.pid} is training here"):
            RunFolder(tmp_path).create(overwrite=True)
        process.kill()
    folder = RunFolder(tmp_path)
    folder.create(overwrite=True)
    folder.unlock()


def test_config_round_trip_and_history(tmp_path):
    folder = RunFolder(tmp_path)
    for _ in range(2):
        folder.write_config(small(gamma=0.5), 7)
    assert folder.read_config() == (small(gamma=0.5), 7)
    document = json.loads((tmp_path / "config.json").read_text())
    assert document["method"] == "MAML"
    assert len(document["history"]) == 2
    assert {"command", "started", "versions", "git", "hardware"} <= document["history"][0].keys()
    assert "jax" in document["history"][0]["versions"]


def test_tests_are_recorded_and_survive_a_resume(tmp_path):
    folder = RunFolder(tmp_path)
    folder.write_config(small(), 0)
    folder.weights("policy").write_bytes(b"weights")
    for tasks in ("test", "unseen"):
        folder.record_test(tasks=tasks, num_batches=3, num_steps=10, seed=1)
    folder.write_config(small(), 0)
    document = json.loads(folder.config.read_text())
    (test,) = recorded_tests(document)
    assert (test["num-batches"], test["num-steps"], test["seed"]) == (3, 10, 1)
    assert "jax" in test["versions"]
    assert not is_stale(tmp_path, document)
    folder.weights("policy").write_bytes(b"trained further")
    assert is_stale(tmp_path, document)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "is not a run folder"),
        ("", "is damaged"),
        ('{"experiment": {', "is damaged"),
        ("[]", "is damaged"),
        ('{"experiment": {}, "seed": "x"}', "seed: 'x'"),
        ('{"experiment": {"gama": 1}, "seed": 0}', "gama: unknown key"),
        ('{"experiment": {}, "seed": 0, "format": 99}', "format 99"),
        ('{"experiment": {}, "seed": 0, "format": 1}', "in which eta was a logit"),
    ],
)
def test_damaged_configurations_are_named(tmp_path, content, words):
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    with pytest.raises(UserError, match=words):
        RunFolder(tmp_path).read_config()
