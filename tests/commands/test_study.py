"""A study makes its runs, skips finished ones, survives failures and kills."""

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import Future

import pytest

from mime.cli import study
from mime.commands import study as command
from mime.commands.train import parse
from mime.studies import execution, history
from tests.small_runs import results
from tests.studies.made_up import made_up

ROUNDS = ("--num-batches", "2", "--pre-epochs", "0", "--test-batches", "2", "--test-steps", "1")


class Pretence:
    """A pool whose runs are made up, or fail."""

    def __init__(self, failing=()):
        self.failing, self.made = failing, []

    def submit(self, run):
        self.made.append(f"{run.method}-{run.seed}")
        answer = Future()
        if self.made[-1] in self.failing:
            run.folder.mkdir(parents=True)
            (run.folder / execution.CONSOLE).write_text("warming up\nerror no more [disk]\n")
            answer.set_result(1)
        else:
            keys = parse(run.train).experiment.as_keys()
            made_up(run.folder) if not run.folder.exists() else made_up(run.folder / "x").rename(run.folder)
            (run.folder / "config.json").write_text(json.dumps({"seed": run.seed, "experiment": keys}))
            answer.set_result(0)
        return answer

    def stop(self):
        """Nothing goes on."""

    def close(self):
        """Nothing is open."""


@pytest.fixture
def pretended(small_yaml, tmp_path, monkeypatch):
    """Makes a study of pretended runs; gives the exit status and which runs were made."""

    def run(*arguments, failing=()):
        pool = Pretence(failing)
        monkeypatch.setattr(command, "_pool", lambda options: pool)
        status = study([str(small_yaml), "--output-folder", str(tmp_path / "study"), *ROUNDS, *arguments])
        return status, pool.made

    return run


def test_all_runs_are_made_once(pretended, tmp_path, capsys):
    arguments = "--methods", "maml,mime", "--seeds", "0-1"
    assert pretended(*arguments) == (0, ["maml-0", "mime-0", "maml-1", "mime-1"])
    assert pretended(*arguments) == (0, [])
    assert pretended("--methods", "maml", "--seeds", "1-2") == (0, ["maml-2"])
    out = capsys.readouterr().out
    assert "[4/4] small  MIME  seed 1  held-out return 5.00 → 7.00  success 50% → 70%" in out
    recorded = history.read(tmp_path / "study")
    assert recorded["runs"] == [
        f"small/{run}" for run in ("maml/seed-0", "mime/seed-0", "maml/seed-1", "mime/seed-1", "maml/seed-2")
    ]
    assert len(recorded["commands"]) == 3


def test_other_values_are_other_runs(pretended, tmp_path):
    assert pretended("--methods", "maml", "--seeds", "0")[1] == ["maml-0"]
    assert '"gamma": 0.99' in (tmp_path / "study" / "small" / "maml" / "seed-0" / "config.json").read_text()
    assert pretended("--methods", "mime", "--seeds", "0", "--gamma", "0.5")[1] == ["mime-0"]
    assert '"gamma": 0.5' in (tmp_path / "study" / "small" / "mime" / "seed-0" / "config.json").read_text()


def test_a_run_that_fails_is_noted_and_the_study_goes_on(pretended, capsys):
    arguments = "--methods", "maml,mime", "--seeds", "0"
    assert pretended(*arguments, failing=["maml-0"]) == (1, ["maml-0", "mime-0"])
    out = capsys.readouterr().out
    assert "[1/2] small  MAML  seed 0  failed: no more [disk] (exit status 1" in out
    assert "1 of 2 runs failed" in out


def test_pearl_without_a_file_is_left_out(pretended, capsys):
    assert pretended("--methods", "maml,pearl", "--seeds", "0") == (0, ["maml-0"])
    assert "small: left out for PEARL" in capsys.readouterr().out


def test_mistakes_are_told_before_anything_is_made(pretended, tmp_path, capsys):
    for arguments, words in (
        (("--gama", "1"), "--gama: is neither an option of mime study nor a key; did you mean gamma"),
        (("--gamma", "3"), "gamma: 3.0 should be less"),
        (("--env-name", "2DNavigation-v1"), "env-name: '2DNavigation-v1' is not an environment; did you mean"),
        (("--parallel", "0"), "--parallel: 0 should be 1 or more"),
        (("--methods", "mam"), "did you mean maml"),
    ):
        assert pretended(*arguments) == (2, [])
        assert words in capsys.readouterr().err
    assert not (tmp_path / "study").exists()


def test_a_run_that_was_killed_is_said_to_be(tmp_path, monkeypatch):
    run = command._run(command.Study((), tmp_path), "small", "maml", 0, [])
    for code, words in (("import os; os.kill(os.getpid(), 9)", "killed by signal 9"), ("1/0", "ZeroDivisionError")):
        monkeypatch.setattr(sys, "executable", stand_in(tmp_path, code))
        answer = Future()
        answer.set_result(execution.make(run))
        assert words in command._problem(run, answer)


def stand_in(folder, code):
    """A program that does something else in place of Python."""
    path = folder / "python"
    path.write_text(f"#!{PYTHON}\n{code}\n")
    path.chmod(0o755)
    return str(path)


PYTHON = sys.executable


@pytest.mark.torture
def test_a_study_that_is_killed_goes_on_as_if_it_had_not_been(small_yaml, tmp_path, environment_variables):
    def start(folder):
        code = "import sys; from mime.cli import study; sys.exit(study(sys.argv[1:]))"
        words = [str(small_yaml), "--output-folder", str(folder), "--methods", "maml", "--seeds", "0"]
        words += ["--num-batches", "100", "--test-batches", "1", "--test-steps", "1"]
        return subprocess.Popen([sys.executable, "-c", code, *words], env=environment_variables)

    assert start(tmp_path / "whole").wait(timeout=600) == 0
    killed, whole = (tmp_path / name / "small" / "maml" / "seed-0" for name in ("killed", "whole"))
    rows = killed / "train_result.csv"
    for sent, status in ((signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 130)):
        before = rows.stat().st_size if rows.exists() else 0
        process = start(tmp_path / "killed")
        while not rows.exists() or rows.stat().st_size <= before:
            assert process.poll() is None
            time.sleep(0.05)
        os.kill(process.pid, sent)
        assert process.wait(timeout=600) == status
    assert 0 < rows.read_bytes().count(b"\n") < 100
    assert start(tmp_path / "killed").wait(timeout=600) == 0
    assert results(killed) == results(whole)
    assert (killed / "test_result.csv").read_bytes() == (whole / "test_result.csv").read_bytes()


@pytest.mark.torture
@pytest.mark.filterwarnings("ignore")
def test_runs_on_a_cluster_are_those_of_this_machine(small_yaml, tmp_path):
    pytest.importorskip("ray")
    words = [str(small_yaml), "--methods", "maml", "--seeds", "0", *ROUNDS]
    assert study([*words, "--output-folder", str(tmp_path / "here")]) == 0
    assert study([*words, "--output-folder", str(tmp_path / "ray"), "--ray-address", "local"]) == 0
    assert results(tmp_path / "ray/small/maml/seed-0") == results(tmp_path / "here/small/maml/seed-0")
