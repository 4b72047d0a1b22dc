"""Recovery destroys nothing: what is refused is refused before anything changes, and what is replaced waits aside."""

import shutil

import jax
import numpy as np
import pytest

from mime.errors import Failure, UserError
from mime.runs import testing, training
from mime.runs.checkpoints import Checkpoints
from mime.runs.folder import RunFolder
from mime.runs.testing import evaluate
from mime.runs.training import train, train_seeds
from mime.sampling.resources import Resources
from tests.small_runs import results, run, small

pytestmark = pytest.mark.usefixtures("shared_learners")


class Crash(BaseException):
    """Of the user's, and no `Exception`."""


def contents(path):
    files = {str(each.relative_to(path)): each.read_bytes() for each in path.rglob("*") if each.is_file()}
    return {name: content for name, content in files.items() if not name.startswith(".lock")}


@pytest.fixture(scope="module")
def whole(tmp_path_factory, shared_learners):
    path = tmp_path_factory.mktemp("whole")
    run(path)
    evaluate(RunFolder(path), num_batches=1, num_steps=1, seed=1)
    return path


@pytest.fixture
def finished(whole, tmp_path):
    """A finished run, and what its folder holds."""
    shutil.copytree(whole, tmp_path / "run")
    return tmp_path / "run"


def test_a_resume_without_checkpoints_is_refused(finished):
    shutil.rmtree(finished / "checkpoints")
    before = contents(finished)
    with pytest.raises(UserError, match="has no checkpoint to resume from; nothing was changed"):
        run(finished, resume=True)
    assert contents(finished) == before


def test_a_resume_in_another_precision_is_refused_with_the_difference(finished):
    before = contents(finished)
    with jax.enable_x64(True), pytest.raises(UserError, match=r"is int32\[\], here int64\[\]"):
        run(finished, resume=True)
    assert contents(finished) == before


@pytest.mark.parametrize("how", ["shorter", "missing"])
def test_a_resume_whose_rows_are_lost_is_refused(finished, how):
    table = finished / "train_result.csv"
    table.unlink() if how == "missing" else table.write_bytes(table.read_bytes()[:-10])
    before = contents(finished)
    with pytest.raises(UserError, match=r"train_result.csv: has lost rows"):
        run(finished, resume=True)
    assert contents(finished) == before


def test_files_that_only_tell_may_be_missing(finished):
    (finished / "train_log.txt").write_text("cut")
    for path in finished.glob("events.out.*"):
        path.unlink()
    run(finished, resume=True)
    assert (finished / "train_log.txt").read_text() == "cut"


@pytest.mark.parametrize(
    ("options", "words"),
    [({"resources": Resources(num_workers=0)}, "--num-workers: 0"), ({"resume": True}, "--resume.*--overwrite")],
)
def test_overwriting_that_is_refused_leaves_the_old_run_whole(finished, options, words):
    before = contents(finished)
    with pytest.raises(UserError, match=words):
        train(small(), RunFolder(finished), seed=0, overwrite=True, **options)
    assert contents(finished) == before


def test_the_old_run_is_there_until_the_new_one_has_a_checkpoint(finished, monkeypatch):
    before, said = contents(finished), []
    monkeypatch.setattr(training._Step, "__call__", crash)
    with pytest.raises(Crash):
        train(small(), RunFolder(finished), seed=1, overwrite=True, warn=said.append)
    assert contents(finished / "replaced-1") == before
    assert said == [f"{finished}: there is no checkpoint of the new run; the old one is in {finished / 'replaced-1'}"]
    monkeypatch.undo()
    # It was killed before its first iteration, and its checkpoint of that is lost: there is nothing to lose.
    shutil.rmtree(finished / "checkpoints")
    run(finished, resume=True, seed=1)
    assert not (finished / "replaced-1").exists()
    run(finished.with_name("alone"), seed=1)
    assert results(finished) == results(finished.with_name("alone"))


def crash(*arguments):
    raise Crash


def test_all_folders_are_checked_before_any_is_begun(finished):
    folders = {0: RunFolder(finished.with_name("new")), 1: RunFolder(finished)}
    with pytest.raises(UserError, match="holds a run already"):
        train_seeds(small(), folders)
    assert contents(finished.with_name("new")) == {}
    assert not folders[0].path.exists()
    folders[0].path.mkdir()
    folders[0].lock()


@pytest.mark.parametrize(("which", "error"), [("report", OSError(32, "Broken pipe")), ("warn", Crash("mine"))])
def test_what_a_callback_raises_ends_the_run_with_everything_saved(whole, tmp_path, monkeypatch, error, which):
    monkeypatch.setattr("mime.runs.run.warnings_of", lambda row: ["not finite"] if row["Iteration"] == 3 else [])

    def raising(what):
        if which == "warn" or what["Iteration"] == 3:
            raise error

    def report(row):
        row["mine"] = np.float32(row.pop("KL"))

    with pytest.raises(type(error)) as caught:
        train(small(), RunFolder(tmp_path), seed=0, **{"report": report, which: raising})
    assert caught.value is error
    assert (tmp_path / "checkpoints" / "3").is_dir()
    assert (tmp_path / "train_result.csv").read_text().count("\n") == 4
    if which == "report":
        run(tmp_path, resume=True)
        assert results(tmp_path) == results(whole)


def test_an_earlier_test_stays_until_the_new_one_has_ended(finished, monkeypatch):
    before = contents(finished)

    def failing(*arguments):
        raise OSError(28, "No space left on device", "test.png")

    monkeypatch.setattr(testing, "draw_trial", failing)
    with pytest.raises(Failure, match=r"test\.png: No space left on device\. The run, and what an earlier test wrote"):
        evaluate(RunFolder(finished), num_batches=1, num_steps=1, seed=2)
    assert contents(finished) == before
    monkeypatch.undo()
    evaluate(RunFolder(finished), num_batches=1, num_steps=1, seed=2)
    after = contents(finished)
    assert after["test_result.csv"] != before["test_result.csv"]
    assert len(list((finished / "test").iterdir())) == 1
    assert not list(finished.glob(".test-*"))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"num_batches": 0}, "--num-batches: 0 should be 1"),
        ({"num_steps": 0}, "--num-steps: 0"),
        ({"seed": -1}, "seed: -1"),
    ],
)
def test_the_library_refuses_what_the_command_line_refuses(finished, options, words):
    before = contents(finished)
    with pytest.raises(UserError, match=words):
        evaluate(RunFolder(finished), **({"num_batches": 1, "num_steps": 1, "seed": 1} | options))
    assert contents(finished) == before


def test_an_interruption_while_the_first_checkpoint_is_written_waits_for_it(tmp_path, monkeypatch):
    """Written when the interpreter has shut down, it would fail with a traceback."""

    def interrupted(checkpoints):
        raise KeyboardInterrupt

    monkeypatch.setattr(Checkpoints, "finish", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir() if path.is_dir()] == ["0"]
