"""Training: the same seed gives the same numbers, whatever happens on the way."""

import csv
import os
import shutil
import signal
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mime.envs import registration
from mime.envs.navigation import DenseNavigation
from mime.errors import Failure, UserError
from mime.runs.folder import RunFolder
from mime.runs.setup import load_weights, set_up
from mime.runs.testing import evaluate
from mime.runs.training import train, train_seeds
from tests.small_runs import METHODS, SMALL, results, run, small

pytestmark = pytest.mark.usefixtures("shared_learners")
ITERATIONS = SMALL["num-batches"] + SMALL["pre-epochs"]


def rows(path, name="train_result.csv"):
    with open(path / name, newline="") as file:
        return list(csv.DictReader(file))


def test_the_run_folder_holds_what_was_promised(tmp_path):
    result = run(tmp_path, **METHODS["mime"])
    assert result.iteration == ITERATIONS
    names = {path.name for path in tmp_path.iterdir()}
    assert {"config.json", "policy.safetensors", "dynamics.safetensors", "checkpoints", "train_log.txt"} <= names
    assert {"train_result.csv", "train_trajectories", "figures"} <= names
    table = rows(tmp_path)
    assert [int(row["Iteration"]) for row in table] == list(range(1, ITERATIONS + 1))
    assert list(table[0])[:4] == ["TotalEnvSteps", "Iteration", "Train-0/Returns", "Train-0/Success"]
    steps = 2 * 2 * 2 * DenseNavigation.horizon
    assert int(table[0]["TotalEnvSteps"]) <= steps
    assert {"Eta", "KL", "SurrogateImprovement", "LineSearchSteps", "Dynamics/NewMSELoss"} <= table[0].keys()
    assert (tmp_path / "figures" / "train.png").stat().st_size > 5000


def test_one_seed_gives_the_same_numbers_twice_and_another_does_not(tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        run(tmp_path / name, seed=seed)
    assert results(tmp_path / "a") == results(tmp_path / "b")
    assert results(tmp_path / "a")["train_result.csv"] != results(tmp_path / "c")["train_result.csv"]


IN_SHORT = "maml", "mime"
OTHERS = [pytest.param(method, marks=pytest.mark.torture) for method in METHODS if method not in IN_SHORT]


@pytest.mark.parametrize("method", [*IN_SHORT, *OTHERS])
def test_an_interrupted_run_goes_on_as_if_it_had_not_been(tmp_path, method, monkeypatch):
    keys = METHODS[method]
    run(tmp_path / "whole", **keys)
    stop_after(monkeypatch, 3)
    with pytest.raises(Crash):
        run(tmp_path / "stopped", **keys)
    monkeypatch.undo()
    assert len(rows(tmp_path / "stopped")) == 3
    result = run(tmp_path / "stopped", resume=True, **keys)
    assert result.iteration == ITERATIONS
    assert results(tmp_path / "stopped") == results(tmp_path / "whole")


class Crash(Exception):
    """Ends training in the middle."""


def stop_after(monkeypatch, iterations):
    from mime.runs import run as runs

    remaining = iter(range(iterations))

    def counting(row, *arguments):
        if next(remaining, None) is None:
            raise Crash
        return "a line"

    monkeypatch.setattr(runs, "log_line", counting)
    original = runs.Recorder.row
    written = iter(range(iterations))
    monkeypatch.setattr(
        runs.Recorder, "row", lambda self, row: original(self, row) if next(written, None) is not None else None
    )


def test_training_longer_goes_on_from_the_end(tmp_path):
    run(tmp_path / "short")
    run(tmp_path / "short", resume=True, num_batches=9)
    run(tmp_path / "long", num_batches=9)
    assert results(tmp_path / "short") == results(tmp_path / "long")


def test_resuming_a_finished_run_changes_nothing(tmp_path):
    result = run(tmp_path)
    before = results(tmp_path)
    assert run(tmp_path, resume=True).row == result.row
    assert results(tmp_path) == before


def test_a_damaged_newest_checkpoint_is_passed_over_with_the_same_result(tmp_path):
    run(tmp_path)
    before = results(tmp_path)
    for path in (tmp_path / "checkpoints" / str(ITERATIONS)).rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    warnings = []
    folder = RunFolder(tmp_path)
    train(small(), folder, seed=0, resume=True, warn=warnings.append)
    assert len(warnings) == 1
    assert f"checkpoint {ITERATIONS} cannot be read" in warnings[0]
    assert results(tmp_path) == before


def test_a_signal_ends_the_run_after_the_iteration_under_way_with_a_checkpoint(tmp_path):
    folder = RunFolder(tmp_path / "stopped")
    experiment = small()

    def interrupt(row):
        if row["Iteration"] == 3:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.05)

    result = train(experiment, folder, seed=0, report=interrupt)
    assert (result.iteration, result.interrupted) == (3, True)
    assert (tmp_path / "stopped" / "checkpoints" / "3").is_dir()
    run(tmp_path / "stopped", resume=True)
    run(tmp_path / "whole")
    assert results(tmp_path / "stopped") == results(tmp_path / "whole")


class PoisonedNavigation(DenseNavigation):
    """Gives a reward that is not a number to the east of 0.15."""

    def reward(self, state, action, next_state, rng, params):
        return jnp.where(next_state[0] > 0.15, jnp.nan, super().reward(state, action, next_state, rng, params))


POISONED = registration.Spec("Poisoned-v0", f"{__name__}:PoisonedNavigation")


def test_rewards_that_are_not_finite_are_named_and_never_learned_from(tmp_path, monkeypatch):
    monkeypatch.setitem(registration.ENVIRONMENTS, "Poisoned-v0", POISONED)
    warnings = []
    folder = RunFolder(tmp_path)
    experiment = small(env_name="Poisoned-v0", use_vime=True, adapt_eta=True)
    train(experiment, folder, seed=0, warn=warnings.append)
    assert any("rewards or observations that are not finite" in warning for warning in warnings)
    assert all(int(row["NonFinite"]) > 0 for row in rows(tmp_path))
    setup = set_up(experiment, 0)
    trained = load_weights(folder, setup)
    for ours, initial in zip(jax.tree.leaves(trained.policy), jax.tree.leaves(setup.state.policy)):
        np.testing.assert_array_equal(ours, initial)
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(trained.bonus))
    assert np.isfinite(trained.eta.logit)


def test_a_disk_error_keeps_the_checkpoint_and_tells_how_to_go_on(tmp_path, monkeypatch):
    from mime.runs.recorder import Recorder

    original = Recorder.row

    def failing(self, row):
        if row["Iteration"] == 4:
            raise OSError(28, "No space left on device", str(tmp_path / "train_result.csv"))
        original(self, row)

    monkeypatch.setattr(Recorder, "row", failing)
    with pytest.raises(Failure, match=r"No space left on device.*iteration 2.*--resume"):
        run(tmp_path / "stopped")
    monkeypatch.undo()
    run(tmp_path / "stopped", resume=True)
    run(tmp_path / "whole")
    assert results(tmp_path / "stopped") == results(tmp_path / "whole")


def test_testing_reports_every_inner_step_of_every_batch(tmp_path):
    run(tmp_path, **METHODS["mime"])
    table = evaluate(RunFolder(tmp_path), num_batches=2, num_steps=3, seed=1)
    assert [row["Batch"] for row in table] == [1, 2]
    assert {f"Train-{step}/Returns" for step in range(3)} | {"Valid/Returns", "Valid/IntrinsicReturns"} <= table[
        0
    ].keys()
    again = evaluate(RunFolder(tmp_path), num_batches=2, num_steps=3, seed=1)
    assert again == table
    other = evaluate(RunFolder(tmp_path), num_batches=1, num_steps=3, seed=2)
    assert other[0]["Valid/Returns"] != table[0]["Valid/Returns"]
    assert len(rows(tmp_path, "test_result.csv")) == 1
    assert (tmp_path / "figures" / "test.png").exists()
    assert list((tmp_path / "test").glob("events*"))


def test_a_test_on_unseen_tasks_leaves_the_held_out_ones_results_alone(tmp_path):
    run(tmp_path, env_name="2DNavigationSparse-v0")
    evaluate(RunFolder(tmp_path), num_batches=1, num_steps=1, seed=1)
    held_out = (tmp_path / "test_result.csv").read_bytes()
    [row] = evaluate(RunFolder(tmp_path), num_batches=1, num_steps=1, seed=1, unseen=True)
    [written] = rows(tmp_path, "unseen_result.csv")
    assert float(written["Valid/Coverage"]) == pytest.approx(row["Valid/Coverage"], rel=1e-6)
    assert (tmp_path / "test_result.csv").read_bytes() == held_out
    assert list((tmp_path / "unseen").glob("events*"))
    assert (tmp_path / "figures" / "unseen.png").exists()


def test_an_environment_without_unseen_tasks_says_so(tmp_path):
    run(tmp_path)
    with pytest.raises(UserError, match="--unseen: this environment has no such tasks"):
        evaluate(RunFolder(tmp_path), num_batches=1, num_steps=1, seed=1, unseen=True)


@pytest.mark.learning
def test_meta_training_makes_adaptation_work(tmp_path):
    keys = {"hidden_sizes": [64, 64], "meta_batch_size": 20, "fast_batch_size": 20, "num_batches": 40, "fast_lr": 0.1}
    result = run(tmp_path, pre_epochs=0, **keys)
    assert result.row["Valid/Returns"] > -25
    assert result.row["Train-0/Returns"] < -33


def test_several_seeds_in_one_process_are_what_each_is_alone(tmp_path):
    folders = {seed: RunFolder(tmp_path / f"seed-{seed}") for seed in (3, 5)}
    trained = train_seeds(small(**METHODS["mime"]), folders)
    assert {seed: result.iteration for seed, result in trained.items()} == {3: ITERATIONS, 5: ITERATIONS}
    for seed in folders:
        run(tmp_path / "alone", seed=seed, **METHODS["mime"])
        assert results(tmp_path / f"seed-{seed}") == results(tmp_path / "alone")
        shutil.rmtree(tmp_path / "alone")


def test_seeds_trained_together_agree_with_those_trained_in_turn(tmp_path, monkeypatch):
    """As a GPU does it; the numbers are the same but for rounding, which later iterations amplify."""
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    rows = {}
    for seeds in ((3, 5), (3,)):
        folders = {seed: RunFolder(tmp_path / f"{len(seeds)}-{seed}") for seed in seeds}
        rows[seeds] = train_seeds(small(pre_epochs=0, num_batches=1), folders)[3].row
    for name, value in rows[3,].items():
        assert rows[3, 5][name] == pytest.approx(value, rel=1e-3, abs=1e-5), name
