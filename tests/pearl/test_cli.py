"""PEARL by the two commands that every method has."""

import io
from contextlib import redirect_stderr, redirect_stdout

import pytest

import mime.cli

RING = "configs/pearl/2d-navigation-wide-ring-sparse.yaml"
QUICK = ["--scale", "small", "--num-iterations", "1", "--num-train-steps-per-itr", "2", "--num-steps-posterior", "100"]


@pytest.fixture(scope="module")
def run(shared_learners):
    """Runs a command on a run's folder, in this process; gives the exit status and what was printed."""

    def start(name, folder, *arguments):
        printed = io.StringIO()
        with redirect_stdout(printed), redirect_stderr(printed):
            status = mime.cli.command(name)(["--output-folder", str(folder), *arguments])
        return status, printed.getvalue()

    return start


@pytest.fixture(scope="module")
def trained(run, tmp_path_factory):
    """A run of one iteration."""
    folder = tmp_path_factory.mktemp("pearl") / "run"
    status, shown = run("train", folder, "--config", RING, *QUICK)
    assert status == 0, shown
    assert "PEARL on 2DNavigationSparse-v0" in shown
    return folder


def test_train_resume_longer_and_test(run, trained):
    status, shown = run("train", trained, "--resume", "--num-iterations", "2")
    assert status == 0, shown
    assert "from iteration 1 of 2" in shown
    assert len((trained / "train_result.csv").read_text().splitlines()) == 3
    status, shown = run("test", trained, "--num-batches", "1", "--num-steps", "2")
    assert status == 0, shown
    assert "Trajectories of context" in shown
    header = (trained / "test_result.csv").read_text().splitlines()[0].split(",")
    assert header[:4] == ["Batch", "TotalEnvSteps", "Train-0/Returns", "Train-0/Success"]
    assert {"Train-1/Success", "Valid/Returns"} <= set(header)


@pytest.mark.parametrize(
    ("config", "scale", "words"),
    [
        (RING, "large", "scales: has no large; it has small"),
        ("configs/msc_project/pendulum.yaml", "small", "scales: has no small; it has none"),
    ],
)
def test_a_scale_that_is_not_there_is_refused(run, tmp_path, config, scale, words):
    status, shown = run("train", tmp_path / "run", "--config", config, "--scale", scale)
    assert (status, words in shown) == (2, True)
    assert not (tmp_path / "run").exists()


def test_resuming_with_another_key_is_refused(run, trained):
    status, shown = run("train", trained, "--resume", "--latent-size", "7")
    assert status == 2
    assert "only num-iterations may change" in shown
    assert "latent-size: 7, but the run has 5" in shown


def test_a_run_of_another_method_is_not_resumed(run, trained):
    other = "configs/msc_project/2d-navigation-wide-ring-sparse.yaml"
    status, shown = run("train", trained, "--resume", "--config", other)
    assert status == 2
    assert "algorithm: None, but the run has 'pearl'" in shown
