"""Signals and closed pipes, sent to a training run at any moment, end it with everything saved."""

import random
import signal
import time

import pytest
import yaml

from mime.runs.signals import INTERRUPTED, STOPPING
from tests.small_runs import SMALL

pytestmark = pytest.mark.usefixtures("no_signal_ignored")

SOON = 10.0
"""Seconds within which a run ends."""


@pytest.fixture
def endless(tmp_path):
    path = tmp_path / "endless.yaml"
    path.write_text(yaml.safe_dump(SMALL | {"num-batches": 100_000, "checkpoint-every": 100_000}))
    return path


def rows(folder):
    path = folder / "train_result.csv"
    return path.read_bytes().count(b"\n") - 1 if path.exists() else 0


def wait_for_rows(process, folder, number=2):
    while rows(folder) < number:
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.02)


def check(process, folder):
    """That it ends in time, says so in a line, and keeps every row but that of the iteration under way."""
    asked = time.monotonic()
    _, err = process.communicate(timeout=120)
    seconds = time.monotonic() - asked
    assert "Traceback" not in err, err
    kept = [int(path.name) for path in folder.glob("checkpoints/*") if path.name.isdigit()]
    assert rows(folder) <= max(kept, default=0), err
    return seconds


def test_a_closed_pipe_saves_and_stops(command, endless, tmp_path):
    folder = tmp_path / "run"
    process = command("train.py", "--config", endless, "--output-folder", folder, "--log-every", "1", wait=False)
    wait_for_rows(process, folder)
    process.stdout.close()
    process.stdout = None
    check(process, folder)
    assert process.returncode in (1, INTERRUPTED)


@pytest.mark.torture
def test_sixty_signals_in_the_first_minute(command, endless, tmp_path):
    randomness, times = random.Random(3), []
    for number in range(60):
        folder = tmp_path / str(number)
        # Another rate each time, so that some are compiled anew.
        rate = f"{randomness.uniform(0.01, 0.1):.3f}"
        process = command(
            "train.py", "--config", endless, "--output-folder", folder, "--fast-lr", rate, "--quiet", wait=False
        )
        time.sleep(randomness.uniform(1, 60) if number % 2 else randomness.uniform(1, 6))
        process.send_signal(randomness.choice(STOPPING))
        times.append(check(process, folder))
        assert process.returncode == INTERRUPTED
    print(f"60 signals: ended after {sum(times) / 60:.1f} s on average, {max(times):.1f} s at most")
    assert max(times) < SOON


@pytest.mark.torture
def test_a_closed_terminal_saves_and_stops(command, endless, tmp_path):
    folder = tmp_path / "run"
    process = command("train.py", "--config", endless, "--output-folder", folder, wait=False)
    wait_for_rows(process, folder)
    for _ in range(2):  # A terminal that closes sends two.
        process.send_signal(signal.SIGHUP)
    check(process, folder)
    assert process.returncode == INTERRUPTED
