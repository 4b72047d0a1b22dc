"""Measures metaworld-algorithms in this process and in an interpreter of its own; `benchmarks.peers` runs it.

Configurations are those of the peer's examples for ML10, with other sizes, and iterations those of its own `train`.
Nothing in its files is changed. At run time two things are:

- Its linear baseline takes flags of the last steps of episodes (since its commit 9333c04), but is given flags of the
  first ones, so that MAML and RL2 stop in their first update: episodes are then of unequal lengths. Here it is given
  those of the last ones.
- The environments of its test tasks are not started; it would test long after what is measured.
"""

import dataclasses
import functools
import json
import runpy
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import gymnasium
import jax
import numpy as np
import psutil

EXAMPLES = {"maml": "maml_trpo_ml10.py", "rl2": "rl2_ml10.py"}


class Stopwatch:
    """CPU-seconds inside the calls of some functions."""

    def __init__(self):
        self.calls: list[tuple[str, float, float]] = []

    def around(self, name: str, function: Callable) -> Callable:
        """The function, whose calls are recorded under that name."""

        @functools.wraps(function)
        def timed(*arguments, **options):
            jax.block_until_ready(arguments)
            started = cpu_seconds()
            result = jax.block_until_ready(function(*arguments, **options))
            self.calls.append((name, started, cpu_seconds()))
            return result

        return timed

    def iterations(self, last: str) -> list[dict[str, float]]:
        """Of every iteration but the first, which compiles: CPU-seconds of the whole, and inside each function.

        Args:
            last: The function whose end is the end of an iteration.
        """
        rows, inside, ended = [], Counter(), None
        for name, start, end in self.calls:
            inside[name] += end - start
            if name == last:
                if ended is not None:
                    rows.append({"whole": end - ended, **inside})
                inside, ended = Counter(), end
        return rows


def cpu_seconds() -> float:
    """User and system time of this process and of those that it has started and that still run."""
    own = psutil.Process()
    return sum(sum(process.cpu_times()[:2]) for process in [own, *own.children(recursive=True)])


def main(request: dict) -> dict[str, list[float]]:
    """Measurements of each repeat, by name."""
    from metaworld_algorithms.rl.algorithms.utils import LinearFeatureBaseline

    fit = LinearFeatureBaseline.get_baseline_values_and_returns

    def fit_episodes(rollouts, discount: float):
        ends = np.concatenate([rollouts.dones[1:], np.ones_like(rollouts.dones[:1])])
        return fit(rollouts._replace(dones=ends), discount)

    with mock.patch.object(LinearFeatureBaseline, fit.__name__, fit_episodes), redirect_stdout(sys.stderr):
        run = example(request)
        return updates(run, request) if request["data"] == "random" else iterations(run, request)


def example(request: dict):
    """The peer's example of the algorithm, in other sizes: a `Run`, which holds configurations."""
    from metaworld_algorithms.run import Run

    path, started = Path(request["peer"]) / "examples/meta_learning" / EXAMPLES[request["algorithm"]], []
    keep, arguments = mock.patch.object(Run, "start", lambda run: started.append(run)), [path.name]
    with keep, mock.patch.object(sys, "argv", arguments):
        runpy.run_path(str(path), run_name="__main__")
    (run,), tasks, replace = started, request["tasks"], dataclasses.replace
    policy = run.algorithm.policy_config
    policy = replace(policy, network_config=replace(policy.network_config, width=request["hidden"]))
    if request["algorithm"] == "rl2":
        policy = replace(policy, encoder_config=None)
    run.algorithm = replace(run.algorithm, num_tasks=tasks, meta_batch_size=tasks, policy_config=policy)
    run.env = replace(run.env, meta_batch_size=tasks, max_episode_steps=request["steps"])
    run.training_config = replace(
        run.training_config, meta_batch_size=tasks, rollouts_per_task=request["episodes"], evaluation_frequency=2**62
    )
    return run


def iterations(run, request: dict) -> dict[str, list[float]]:
    """Iterations of `train`: CPU-seconds, and steps that an iteration takes."""
    watch, make_vec, count = Stopwatch(), gymnasium.make_vec, 1 + request["repeats"]
    stages = 2 if request["algorithm"] == "maml" else 1
    steps = stages * request["tasks"] * request["episodes"] * request["steps"]
    training = dataclasses.replace(run.training_config, total_steps=count * steps)
    strategy = {"vector_strategy": request["vector"]}
    with mock.patch.object(gymnasium, "make_vec", lambda *names, **keys: make_vec(*names, **keys | strategy)):
        envs = run.env.spawn(seed=1)
    agent, no_envs = run.algorithm.spawn(run.env, seed=1), SimpleNamespace(close=lambda: None)
    watched = [name for name in ("adapt", "update") if hasattr(agent, name)]
    timed = {name: watch.around(name, getattr(type(agent), name)) for name in watched}
    spawn_test = mock.patch.object(type(run.env), "spawn_test", return_value=no_envs)
    with mock.patch.multiple(type(agent), **timed), spawn_test:
        agent.train(training, envs, run.env, track=False)
    envs.close()
    rows = watch.iterations("update")
    learning = [sum(row[name] for name in watched) for row in rows]
    return {
        "iteration": [row["whole"] for row in rows],
        "update": learning,
        "sampling": [row["whole"] - spent for row, spent in zip(rows, learning)],
        "steps": [steps] * len(rows),
    }


def updates(run, request: dict) -> dict[str, list[float]]:
    """MAML's updates from random data: CPU-seconds, and step sizes tried by the line search."""
    watch, generator = Stopwatch(), np.random.default_rng(0)
    start = run.algorithm.spawn(run.env, seed=1)
    before = random_rollout(start.init_ensemble_networks(), generator, request)
    after = random_rollout(start.init_ensemble_networks().adapt(before), generator, request)
    improve = watch.around("update", lambda: start.init_ensemble_networks().adapt(before).update([before, after]))
    tried = [int(improve()[1]["losses/backtrack_steps"]) for _ in range(1 + request["repeats"])]
    return {"update": [end - begin for _, begin, end in watch.calls[1:]], "line search": tried[1:]}


def random_rollout(agent, generator: np.random.Generator, request: dict):
    """Normal observations and rewards `[steps tasks ...]`, and actions drawn from the agent's policies."""
    from metaworld_algorithms.types import Rollout

    shape = request["episodes"] * request["steps"], request["tasks"]
    observations = generator.normal(size=(*shape, 39)).astype(np.float32)
    _, actions, drawn = agent.sample_action_and_aux(observations.swapaxes(0, 1))
    starts = np.zeros((*shape, 1), np.float32)
    starts[:: request["steps"]] = 1
    return Rollout(
        observations=observations,
        actions=actions.swapaxes(0, 1),
        rewards=generator.normal(size=(*shape, 1)).astype(np.float32),
        dones=starts,
        log_probs=drawn["log_prob"].T[..., None],
        means=drawn["mean"].swapaxes(0, 1),
        stds=drawn["std"].swapaxes(0, 1),
    )


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
