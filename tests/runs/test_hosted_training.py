"""Whole runs on environments outside JAX: what the learner makes of what workers send, and of what they do not."""

import contextlib
import csv
import logging
import signal
import threading
import time

import jax
import numpy as np
import psutil
import pytest
import safetensors.numpy

from mime.errors import Failure
from mime.runs.folder import RunFolder
from mime.runs.setup import set_up
from mime.runs.testing import class_table, curve, evaluate
from mime.runs.training import train
from mime.sampling.resources import Resources
from tests.sampling.processes import running
from tests.small_runs import small

TOY = "tests.sampling.toy:Toy"
KEYS = {"env_name": TOY, "env_kwargs": {"max_episode_steps": 6}, "num_batches": 4, "pre_epochs": 0}


ML10 = {
    "env_name": "Metaworld-ML10",
    "env_kwargs": {"max_episode_steps": 20},
    "meta_batch_size": 4,
    "use_vime": True,
    "adapt_eta": True,
}


def run(path, *, num_workers=1, ray_address=None, timeout=60.0, during=None, toy=None, **keys):
    """Train, by default on the toy, in this process; returns the rows of the CSV file."""
    keys = KEYS | keys
    keys["env_kwargs"] = keys["env_kwargs"] | (toy or {})
    folder = RunFolder(path)
    experiment = small(**keys)
    if during:
        threading.Thread(target=during, daemon=True).start()
    train(experiment, folder, seed=0, resources=Resources(num_workers, ray_address, timeout))
    return rows(path)


def rows(path):
    with open(path / "train_result.csv", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "one"
    run(path)
    return (path / "train_result.csv").read_bytes()


@pytest.mark.parametrize("num_workers", [2, 3])
def test_the_number_of_workers_makes_no_difference(undisturbed, tmp_path, num_workers):
    run(tmp_path / "run", num_workers=num_workers)
    assert (tmp_path / "run" / "train_result.csv").read_bytes() == undisturbed


def test_killing_workers_makes_no_difference(undisturbed, tmp_path):
    killed = []
    run(tmp_path / "run", num_workers=2, during=lambda: kill_some(killed, "mime.sampling.worker"))
    assert killed
    assert (tmp_path / "run" / "train_result.csv").read_bytes() == undisturbed


def kill_some(killed, name):
    """Kill three workers, a second apart; their process ids are added to the list."""
    while len(killed) < 3:
        for child in running(name):
            if child.pid not in killed:
                with contextlib.suppress(psutil.Error):
                    child.send_signal(signal.SIGKILL)
                    killed.append(child.pid)
        time.sleep(1)


@pytest.fixture(scope="module")
def ml10(tmp_path_factory):
    """What one worker gives on Meta-World."""
    pytest.importorskip("metaworld")
    path = tmp_path_factory.mktemp("runs") / "ml10"
    run(path, **ML10)
    return (path / "train_result.csv").read_bytes()


@pytest.mark.torture
@pytest.mark.filterwarnings("ignore")  # Ray's.
@pytest.mark.parametrize("kill", [False, True])
@pytest.mark.parametrize(("num_workers", "ray_address"), [(2, None), (3, None), (2, "local")])
def test_whoever_collects_the_episodes_of_meta_world(ml10, tmp_path, num_workers, ray_address, kill):
    if ray_address:
        pytest.importorskip("ray")
    killed = []
    name = "ray::RolloutActor" if ray_address else "mime.sampling.worker"
    during = (lambda: kill_some(killed, name)) if kill else None
    run(tmp_path / "run", num_workers=num_workers, ray_address=ray_address, during=during, **ML10)
    assert bool(killed) == kill
    assert (tmp_path / "run" / "train_result.csv").read_bytes() == ml10


def test_rewards_that_are_not_finite_are_named_and_not_learned_from(tmp_path):
    table = run(tmp_path / "run", toy={"failure": "nan"}, use_vime=True, adapt_eta=True, meta_batch_size=8)
    assert all(int(row["NonFinite"]) > 0 for row in table)
    assert all(float(row["KL"]) == 0 for row in table)
    log = (tmp_path / "run" / "train_log.txt").read_text()
    assert "rewards not finite at trajectory 0, step 0: nan" in log
    assert "the policy was not changed" in log
    weights = RunFolder(tmp_path / "run").weights("policy").read_bytes()
    assert len(table) == 4
    assert all(np.isfinite(tensor).all() for tensor in safetensors.numpy.load(weights).values())


def test_a_task_that_keeps_failing_ends_the_run_after_a_checkpoint(tmp_path):
    with pytest.raises(Failure, match="the robot fell over"):
        run(tmp_path / "run", toy={"failure": "raise"}, meta_batch_size=8)
    assert RunFolder(tmp_path / "run").weights("policy").exists()
    assert list((tmp_path / "run" / "checkpoints").iterdir())
    assert not running("mime.sampling.worker")


def test_testing(tmp_path):
    run(tmp_path / "run")
    table = evaluate(RunFolder(tmp_path / "run"), num_batches=2, num_steps=2, seed=1, resources=Resources(2))
    assert len(curve(table, "Returns")) == 3
    assert class_table(table) == {}
    assert 0 <= table[0]["Valid/LastStepSuccess"] <= table[0]["Valid/TrajectorySuccess"] <= 1


def test_nothing_is_compiled_after_the_first_iteration(tmp_path, caplog):
    setup = set_up(small(**KEYS), 0, Resources(1))
    state = setup.state
    compiled = []
    for iteration in range(3):
        key = jax.random.key(iteration)
        with jax.log_compiles(), caplog.at_level(logging.WARNING):
            caplog.clear()
            state, metrics, _ = setup.learner.iterate(state, setup.environment.sample_tasks(key, 2), key)
            jax.block_until_ready(metrics)
        compiled.append(sum("Finished XLA compilation" in record.getMessage() for record in caplog.records))
    setup.sampler.close()
    assert compiled[0] > 0
    assert compiled[1:] == [0, 0]
