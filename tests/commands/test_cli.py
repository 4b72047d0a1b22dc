"""The commands as a user types them."""

import os
import shutil
import signal
import time

import pytest

import mime.cli
from mime.commands.terminal import console
from tests.conftest import ROOT


@pytest.fixture
def refused(command):
    """Runs a command that must fail with a message on stderr, on one screen and without a traceback."""

    def run(script, *arguments, code=2):
        done = command(script, *arguments)
        text = done.stdout + done.stderr
        assert done.returncode == code, text
        assert "Traceback" not in text
        assert len(text.splitlines()) < 25
        return text

    return run


@pytest.fixture
def here(capfd, monkeypatch):
    """Runs a command in this process, which is quicker; returns its exit status and what it printed."""
    monkeypatch.setattr(console, "quiet", False)
    monkeypatch.setattr(console, "width", 200)

    def run(name, *arguments):
        code = mime.cli.command(name)([str(argument) for argument in arguments])
        return code, "".join(capfd.readouterr())

    return run


@pytest.fixture
def refused_here(here):
    """Runs a command in this process that must fail with a message, on one screen and without a traceback."""

    def run(name, *arguments):
        code, text = here(name, *arguments)
        assert code == 2, text
        assert "Traceback" not in text
        assert len(text.splitlines()) < 25
        return text

    return run


def test_train_test_and_what_they_print(command, refused_here, small_yaml, tmp_path):
    run = tmp_path / "run"
    train = command("train.py", "--config", small_yaml, "--output-folder", run, "--seed", "3", "--gamma", "0.9")
    assert train.returncode == 0, train.stderr
    assert "MAML on 2DNavigation-v0, seed 3" in train.stdout
    assert f"python {ROOT / 'test.py'} --output-folder {run}" in train.stdout
    assert '"gamma": 0.9' in (run / "config.json").read_text()
    test = command("test.py", "--output-folder", run, "--num-batches", "2", "--num-steps", "2")
    assert test.returncode == 0, test.stderr
    assert "TrajectorySuccess" in test.stdout
    assert (run / "test_result.csv").read_text().count("\n") == 3
    assert "--overwrite" in refused_here("train", "--config", small_yaml, "--output-folder", run)


def test_how_much_is_printed(here, small_yaml, tmp_path, shared_learners):
    train = ["--config", small_yaml, "--num-batches", "4", "--log-every", "2", "--output-folder"]
    code, text = here("train", *train, tmp_path / "talkative")
    lines = [line for line in text.splitlines() if "  steps " in line]
    assert [line.split()[0] for line in lines] == ["2/5", "4/5", "5/5"]
    assert (code, *here("train", *train, tmp_path / "quiet", "--quiet")) == (0, 0, "")
    csv = [(tmp_path / name / "train_result.csv").read_bytes() for name in ("talkative", "quiet")]
    assert csv[0] == csv[1]


def test_mistakes_in_training_are_told_in_a_message(refused, refused_here, small_yaml, tmp_path):
    out = ["--output-folder", tmp_path / "run"]
    assert "--config: give an experiment" in refused("train.py", *out)
    assert "no such file" in refused_here("train", "--config", tmp_path / "none.yaml", *out)
    assert "--gamma" in refused_here("train", "--config", small_yaml, *out, "--gama", "1")
    assert "gamma: 1.5 should be less" in refused_here("train", "--config", small_yaml, *out, "--gamma", "1.5")
    assert "seed: -1 must be a whole number" in refused_here("train", "--config", small_yaml, *out, "--seed", "-1")
    assert "add use-vime" in refused_here("train", "--config", small_yaml, *out, "--adapt-eta")
    text = refused_here("train", "--config", small_yaml, *out, "--env-name", "2DNavigation")
    assert "error env-name: '2DNavigation' is not an environment; did you mean 2DNavigation-v0?" in text
    elsewhere = tmp_path / "elsewhere.yaml"
    elsewhere.write_text("env-kwargs: {lo: 1}")
    text = refused_here("train", "--config", elsewhere, *out)
    assert f"error {elsewhere}: env-kwargs: lo is not an argument of 2DNavigationSparse-v0" in text
    assert "give one of them" in refused_here("train", "--config", small_yaml, *out, "--overwrite", "--resume")
    assert "should be numbers and ranges like 0-4" in refused_here(
        "train", "--config", small_yaml, *out, "--seeds", "0-"
    )
    assert not (tmp_path / "run").exists()


def test_mistakes_in_testing_are_told_in_a_message(refused_here, tmp_path):
    assert "is not a run folder" in refused_here("test", "--output-folder", tmp_path)
    assert "--num-steps: 0 should be 1 or more" in refused_here("test", "--output-folder", tmp_path, "--num-steps", "0")


def test_resuming_with_another_configuration_lists_the_differences(
    refused_here, here, small_yaml, tmp_path, shared_learners
):
    out = ["--output-folder", tmp_path / "run"]
    assert here("train", "--config", small_yaml, *out, "--num-batches", "1")[0] == 0
    text = refused_here("train", *out, "--resume", "--gamma", "0.5", "--use-vime")
    assert "gamma: 0.5, but the run has 0.99" in text
    assert "use-vime: True, but the run has False" in text


def test_help_teaches_every_key(command):
    text = command("train.py", "--help").stdout
    for words in ("--use-vime", "--adapt-eta", "--fast-lr", "MAML+noise", "--resume"):
        assert words in text


def test_a_reader_that_has_seen_enough_of_the_help_is_no_error(command):
    process = command("train.py", "--help", wait=False)
    process.stdout.close()
    process.stdout = None
    _, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (1, "")


def test_ctrl_c_ends_cleanly_and_tells_how_to_go_on(command, small_yaml, tmp_path):
    arguments = ["--config", small_yaml, "--num-batches", "199"]
    process = command("train.py", *arguments, "--output-folder", tmp_path / "stopped", wait=False)
    rows = tmp_path / "stopped" / "train_result.csv"
    while not rows.exists() or not rows.stat().st_size:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert "--resume" in out
    assert "Traceback" not in out + err
    done = int((tmp_path / "stopped" / "train_result.csv").read_text().splitlines()[-1].split(",")[1])
    assert (tmp_path / "stopped" / "checkpoints" / str(done)).is_dir()


def test_a_test_can_run_while_training_goes_on(here, command, small_yaml, tmp_path, shared_learners):
    run = tmp_path / "run"
    process = command("train.py", "--config", small_yaml, "--num-batches", "500", "--output-folder", run, wait=False)
    while not (run / "policy.safetensors").exists():
        time.sleep(0.02)
    code, text = here("test", "--output-folder", run, "--num-batches", "1", "--num-steps", "1")
    assert code == 0, text
    assert process.poll() is None
    process.kill()
    process.communicate()


def test_a_full_disk_ends_with_a_message_and_the_way_on(command, small_yaml, tmp_path):
    small_disk = ["bash", "-c", 'ulimit -f 3; exec "$@"', "bash"]
    arguments = ["--config", small_yaml, "--output-folder", tmp_path / "run", "--checkpoint-every", "100"]
    done = command("train.py", *arguments, "--num-batches", "60", before=small_disk)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "--resume" in done.stderr
    assert "Traceback" not in done.stderr
    lines = (tmp_path / "run" / "train_result.csv").read_text().splitlines()
    assert len({line.count(",") for line in lines}) == 1


def test_several_seeds_are_stopped_and_resumed_together(here, small_yaml, tmp_path, shared_learners):
    arguments = ["--config", small_yaml, "--output-folder", tmp_path, "--seeds", "2,4"]
    assert "seeds 2, 4" in here("train", *arguments, "--num-batches", "1")[1]
    code, text = here("train", "--output-folder", tmp_path, "--seeds", "2,4", "--resume", "--num-batches", "3")
    assert code == 0, text
    for seed in (2, 4):
        assert (tmp_path / f"seed-{seed}" / "train_result.csv").read_text().count("\n") == 5


@pytest.mark.skipif(shutil.which("taskset") is None, reason="needs taskset")
def test_one_core_gives_the_same_numbers_as_all(command, tmp_path):
    small = "--meta-batch-size", "4", "--fast-batch-size", "8", "--num-batches", "2", "--num-steps", "1"
    options = *small, "--num-workers", "1", "--quiet"
    for name, before in (("all", ()), ("one", ("taskset", "-c", str(min(os.sched_getaffinity(0)))))):
        config = ROOT / "configs" / "solved" / "2d-navigation-wide-ring-sparse.yaml"
        done = command("train.py", "--config", config, "--output-folder", tmp_path / name, *options, before=before)
        assert done.returncode == 0, done.stderr
    for name in ("train_result.csv", "policy.safetensors"):
        assert (tmp_path / "all" / name).read_bytes() == (tmp_path / "one" / name).read_bytes()
