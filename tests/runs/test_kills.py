"""Runs are killed at random moments, and go on as if nothing had happened."""

import random
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
    check(command, tmp_path, "mime", kills=2, seed=0)


@pytest.mark.torture
@pytest.mark.parametrize("method", METHODS)
def test_many_kills_lose_nothing(command, tmp_path, method):
    hits = check(command, tmp_path, method, kills=12, seed=1)
    print(f"{method}: {hits} kills survived")
    assert hits >= 10
