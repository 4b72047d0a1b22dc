"""Runs are killed at random moments, and go on as if nothing had happened."""

import random
import shutil
import signal
import time

import pytest
import yaml

from tests.small_runs import METHODS, SMALL, results


def flags(method):
    return [f"--{key}" for key in METHODS[method]]


def killed_and_resumed(command, folder, config, method, kills, randomness, expected):
    """Train with `kills` SIGKILLs, each at a random moment after an iteration, until the end.

    After every kill the CSV file must be the beginning of the `expected` one, byte for byte. Returns the number of
    kills that hit.
    """
    arguments = ["--output-folder", folder, *flags(method)]
    hits = 0
    while True:
        resuming = (folder / "config.json").exists()
        start = ["--resume"] if resuming else ["--config", config]
        process = command("train.py", *arguments, *start, wait=False)
        written = size(folder)
        if hits < kills:
            while process.poll() is None and size(folder) == written:
                time.sleep(0.005)
            time.sleep(randomness.uniform(0, 0.4))
            process.kill()
        _, err = process.communicate(timeout=300)
        if process.returncode != -signal.SIGKILL:
            assert process.returncode == 0, err
            return hits
        hits += 1
        table = folder / "train_result.csv"
        assert not table.exists() or expected.startswith(table.read_bytes())


def size(folder):
    path = folder / "train_result.csv"
    return path.stat().st_size if path.exists() else 0


def killed_in_a_checkpoint(process, folder):
    """Wait until a checkpoint is half-written; true if the process still runs then."""
    while process.poll() is None:
        if list(folder.glob("checkpoints/*.orbax-checkpoint-tmp*")):
            return True
        time.sleep(0.0005)
    return False


def check(command, tmp_path, method, kills, seed):
    config = tmp_path / "small.yaml"
    config.write_text(yaml.safe_dump(SMALL | {"num-batches": 39, "pictures-every": 7}))
    whole = command("train.py", "--output-folder", tmp_path / "whole", "--config", config, *flags(method))
    assert whole.returncode == 0, whole.stderr
    expected = (tmp_path / "whole" / "train_result.csv").read_bytes()
    hits = killed_and_resumed(command, tmp_path / "killed", config, method, kills, random.Random(seed), expected)
    assert hits > 0
    assert results(tmp_path / "killed") == results(tmp_path / "whole")
    assert not list((tmp_path / "killed").glob("*.partial"))
    return hits


def test_kills_lose_nothing(command, tmp_path):
    check(command, tmp_path, "maml", kills=2, seed=0)


@pytest.mark.torture
def test_kills_while_checkpoints_are_written(command, tmp_path):
    config = tmp_path / "small.yaml"
    config.write_text(yaml.safe_dump(SMALL | {"num-batches": 60, "checkpoint-every": 1}))
    whole, folder = tmp_path / "whole", tmp_path / "killed"
    assert command("train.py", "--output-folder", whole, "--config", config).returncode == 0
    hits = 0
    while hits < 25:
        start = ["--resume"] if (folder / "config.json").exists() else ["--config", config]
        process = command("train.py", "--output-folder", folder, *start, wait=False)
        written = size(folder)
        while process.poll() is None and size(folder) == written:
            time.sleep(0.005)
        hit = killed_in_a_checkpoint(process, folder)
        process.kill()
        _, err = process.communicate()
        assert hit or process.returncode == 0, err
        if not hit:
            break
        hits += 1
    assert command("train.py", "--output-folder", folder, "--resume").returncode == 0
    assert results(folder) == results(whole)
    print(f"{hits} kills while a checkpoint was written survived")
    assert hits > 10


@pytest.mark.torture
def test_kills_while_testing_leave_a_whole_test(command, tmp_path):
    config, folder = tmp_path / "small.yaml", tmp_path / "run"
    config.write_text(yaml.safe_dump(SMALL))
    assert command("train.py", "--output-folder", folder, "--config", config).returncode == 0
    arguments = "--output-folder", folder, "--num-batches", "20", "--num-steps", "1"
    tables = []
    for seed in (1, 2):
        assert command("test.py", *arguments, "--seed", seed).returncode == 0
        tables.append((folder / "test_result.csv").read_bytes())
    randomness, hits = random.Random(2), 0
    for number in range(15):
        process = command("test.py", *arguments, "--seed", number % 2 + 1, wait=False)
        while process.poll() is None and not list(folder.glob(".test-*")):
            time.sleep(0.005)
        time.sleep(randomness.uniform(0, 2))
        process.kill()
        process.communicate()
        hits += process.returncode == -signal.SIGKILL
        assert (folder / "test_result.csv").read_bytes() in tables
        for rest in folder.glob(".test-*"):
            shutil.rmtree(rest)
    print(f"{hits} kills of tests survived")
    assert hits > 5


@pytest.mark.torture
@pytest.mark.parametrize("method", METHODS)
def test_many_kills_lose_nothing(command, tmp_path, method):
    hits = check(command, tmp_path, method, kills=12, seed=1)
    print(f"{method}: {hits} kills survived")
    assert hits >= 10
