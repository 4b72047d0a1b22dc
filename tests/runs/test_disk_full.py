"""A disk that is full, at any write: one line, nothing torn, and the run goes on when there is room."""

import re
import resource
import warnings
from contextlib import contextmanager

import pytest

from mime.errors import Failure, UserError
from mime.runs.folder import RunFolder
from mime.runs.testing import evaluate
from tests.small_runs import results, run

pytestmark = pytest.mark.usefixtures("shared_learners")

REFUSED = "File too large|No space left on device|a checkpoint cannot be written"


@contextmanager
def files_no_larger_than(size):
    """As on a full disk, the kernel refuses what goes beyond; it does so for this process alone."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Of caches.
            yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("whole")
    run(path)
    return path


def check(size, whole, path):
    """Begin without room, go on without room, and at last with it; true if there was room enough all the time."""
    failures = []
    for resume in (False, True):
        try:
            with files_no_larger_than(size):
                run(path, resume=resume and (path / "config.json").exists())
        except (Failure, UserError) as failure:
            failures.append(str(failure))
    assert all(re.search(REFUSED, failure) and "\n" not in failure for failure in failures)
    assert not list(path.rglob(".*.partial"))
    table = path / "train_result.csv"
    assert not table.exists() or (whole / "train_result.csv").read_bytes().startswith(table.read_bytes())
    run(path, resume=(path / "config.json").exists())
    assert results(path) == results(whole)
    return not failures


@pytest.mark.parametrize("size", [0, 1000])
def test_training_goes_on_when_there_is_room(whole, tmp_path, size):
    assert not check(size, whole, tmp_path)


@pytest.mark.torture
def test_a_disk_that_is_full_at_every_write(whole, tmp_path):
    sizes = sorted({path.stat().st_size + shift for path in whole.rglob("*") for shift in (-1, 1) if path.is_file()})
    sizes += range(0, max(sizes), max(sizes) // 40)
    enough = sum(check(size, whole, tmp_path / str(size)) for size in sorted(set(sizes)))
    print(f"{len(set(sizes))} sizes of files that the disk refuses, {enough} of which it never had to")
    assert enough < len(set(sizes))


def test_an_earlier_test_stays_when_there_is_no_room_for_a_new_one(whole):
    evaluate(RunFolder(whole), num_batches=1, num_steps=1, seed=1)
    before = {path: path.read_bytes() for path in whole.rglob("*") if path.is_file()}
    with files_no_larger_than(100), pytest.raises(Failure, match=REFUSED):
        evaluate(RunFolder(whole), num_batches=1, num_steps=1, seed=2)
    assert {path: path.read_bytes() for path in whole.rglob("*") if path.is_file()} == before
