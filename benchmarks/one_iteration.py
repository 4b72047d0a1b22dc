"""Measures one experiment and method, in this process; `benchmarks.iteration` runs it."""

import json
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import jax
from jax.sharding import NamedSharding, PartitionSpec

from benchmarks.operations import of_iteration
from mime.commands.terminal import prepare_jax
from mime.configuration import parsing
from mime.envs.task_environment import count_tasks
from mime.numerics.parallel import TASKS, over_tasks, task_mesh
from mime.runs.setup import set_up

ROOT = Path(__file__).parent.parent
REPEATS = 10


def main(request: dict) -> dict:
    """A row of the table."""
    os.environ["XDG_CACHE_HOME"] = request["cache"]
    prepare_jax()
    experiment = grown(parsing.load(ROOT / "configs/msc_project" / f"{request['experiment']}.yaml"), request)
    setup = set_up(experiment, 0)
    iterate, state, key = jax.jit(setup.learner.iterate), setup.state, jax.random.key(1)

    def run(number: int):
        nonlocal state
        task_key, iteration_key = jax.random.split(jax.random.fold_in(key, number))
        state, metrics, _ = iterate(state, setup.sample_tasks(task_key), iteration_key)
        return jax.block_until_ready(metrics)

    run(0)
    first = time.time() - request["started"]
    if not request["iterations"]:
        return {"first": first}
    run(1)
    tasks, horizon = count_tasks(setup.sample_tasks(key)), setup.environment.horizon
    products = matched_products(experiment, setup.environment, tasks, horizon)
    times, matched, searched = [], [], []
    for number in range(request["iterations"]):
        cpu, wall, metrics = timed(lambda number=number: run(2 + number))
        times.append((cpu, wall))
        searched.append(int(metrics["LineSearchSteps"]))
        matched.append(products())
    cpu, wall = (statistics.median(column) for column in zip(*times))
    sizes = setup.environment.observation_space.shape[0], setup.environment.action_space.shape[0]
    operations = sum(of_iteration(experiment, *sizes, tasks, horizon, statistics.mean(searched)).values())
    rate = statistics.median(matched)
    assert iterate._cache_size() == 1, "recompiled"
    return {
        "first": first,
        "wall s": wall,
        "CPU s": cpu,
        "environment steps per s": 2 * tasks * experiment.fast_batch_size * horizon / wall,
        "line search steps": statistics.mean(searched),
        "policy GFLOP": operations / 1e9,
        "policy GFLOP per s": operations / wall / 1e9,
        "matched products, GFLOP per s": rate / 1e9,
        "share of matched products": operations / wall / rate,
        "peak MiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def grown(experiment, request: dict):
    """The experiment with the request's keys, some of its numbers multiplied."""
    keys = {name.replace("-", "_"): value for name, value in request["keys"].items()}
    for name, factor in request.get("grown", {}).items():
        if name == "horizon":
            keys["env_kwargs"] = experiment.env_kwargs | {"horizon": 100 * factor}
        elif name == "hidden-sizes":
            keys["hidden_sizes"] = tuple(factor * size for size in experiment.hidden_sizes)
        else:
            attribute = name.replace("-", "_")
            keys[attribute] = factor * getattr(experiment, attribute)
    return experiment.model_copy(update=keys)


def matched_products(experiment, environment, tasks: int, horizon: int) -> Callable[[], float]:
    """Measures operations per second of the policy's products: hidden layer by weights, transposed, and their gradient.

    A third each, split among the devices as the learner's are.
    """
    width, rows = max(experiment.hidden_sizes), experiment.fast_batch_size * horizon
    shapes = (tasks, rows, width), (tasks, width, width)
    split = NamedSharding(task_mesh(tasks), PartitionSpec(TASKS))
    hidden, weight = (jax.device_put(jax.random.normal(jax.random.key(0), shape), split) for shape in shapes)
    kinds = (lambda h, w: h @ w.T, lambda h, w: h @ w, lambda h, w: h.T @ h)
    functions = [jax.jit(over_tasks(kind)) for kind in kinds]

    def products() -> None:
        jax.block_until_ready([function(hidden, weight) for _ in range(REPEATS) for function in functions])

    def rate() -> float:
        return REPEATS * len(kinds) * 2 * tasks * rows * width**2 / timed(products)[1]

    products()
    return rate


def timed(function: Callable) -> tuple[float, float, object]:
    """CPU and wall seconds of a call, and its result."""
    cpu, wall = time.process_time(), time.perf_counter()
    result = function()
    return time.process_time() - cpu, time.perf_counter() - wall, result


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
