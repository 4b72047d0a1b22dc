"""Run folders: nobody's work is overwritten, two processes do not share one."""

import json
import subprocess
import sys

import pytest

from mime.errors import UserError
from mime.runs.folder import RunFolder
from mime.studies.tested import is_stale, recorded_tests
from tests.conftest import ROOT
from tests.small_runs import small


def prepare(path, *, resume=False, overwrite=False):
    folder = RunFolder(path)
    folder.prepare(small(), 0, resume=resume, overwrite=overwrite)
    return folder


def contents(path):
    return {each.relative_to(path): each.read_bytes() for each in path.rglob("*") if each.is_file()}


def test_a_new_folder_is_made_with_its_parents(tmp_path):
    prepare(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()


@pytest.mark.parametrize("name", ["config.json", "train_result.csv", "events.out.tfevents.1.host.0"])
def test_an_existing_run_is_refused_with_the_way_out(tmp_path, name):
    (tmp_path / name).write_text("precious")
    with pytest.raises(UserError, match="--overwrite"):
        prepare(tmp_path)
    assert (tmp_path / name).read_text() == "precious"


@pytest.fixture
def old(tmp_path):
    """A run's folder in which its user keeps things of their own."""
    RunFolder(tmp_path).write_config(small(), 0)
    for name in ("checkpoints/2/state", "figures/train.png", "test/events.out.tfevents.1", "fast_lr.safetensors"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text(name)
    for name in ("notes.txt", "figures/mine.png", "test/mine.csv"):
        (tmp_path / name).write_text("mine")
    return tmp_path


def test_a_run_that_is_replaced_is_set_aside_and_removed_later_and_nothing_else(old):
    before = contents(old)
    folder = prepare(old, overwrite=True)
    assert contents(old).items() >= before.items()
    folder.set_aside()
    aside = {path: content for path, content in before.items() if content != b"mine"}
    assert contents(old / "replaced-1") == aside
    assert {path for path, content in contents(old).items() if content == b"mine"} == before.keys() - aside.keys()
    folder.remove_replaced()
    assert sorted(map(str, contents(old))) == [".lock", "figures/mine.png", "notes.txt", "test/mine.csv"]


def test_a_folder_without_a_run_is_not_replaced(tmp_path):
    for name in ("figures/train.png", "test/result", "checkpoints/best"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("mine")
    before = contents(tmp_path)
    with pytest.raises(UserError, match=r"holds checkpoints, but no run of mime.*config.json"):
        prepare(tmp_path, overwrite=True)
    assert contents(tmp_path).items() >= before.items()


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="file/run: cannot be written"):
        prepare(tmp_path / "file" / "run")


def test_a_second_process_is_refused_until_the_first_ends(tmp_path):
    program = (
        "import sys, time; from pathlib import Path; from mime.runs.folder import RunFolder\n"
        "RunFolder(Path(sys.argv[1])).lock(); print('locked', flush=True); time.sleep(60)\n"
    )
    arguments = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "locked\n"
        with pytest.raises(UserError, match=f"process {process.pid} is training here"):
            prepare(tmp_path, overwrite=True)
        process.kill()
    prepare(tmp_path).unlock()


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


def test_a_run_is_tested_by_one_process_while_another_trains(tmp_path):
    training, testing, second = (RunFolder(tmp_path) for _ in range(3))
    training.lock()
    testing.lock("testing")
    with pytest.raises(UserError, match="is testing here; wait for it"):
        second.lock("testing")
    testing.unlock()
    second.lock("testing")


@pytest.mark.parametrize("path", [ROOT, ROOT / "mime" / "runs" / "new", ROOT / "tests" / "new"])
def test_a_folder_of_code_is_refused(path):
    with pytest.raises(UserError, match="holds code of "):
        RunFolder(path).prepare(small(), 0, resume=False, overwrite=True)
    assert path == ROOT or not path.exists()
