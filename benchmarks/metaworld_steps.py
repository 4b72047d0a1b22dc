"""Steps per CPU-second of Meta-World as MIME runs it, against stock Meta-World, over ML10's training classes.

python benchmarks/metaworld_steps.py [--rounds 3] [--output benchmarks/results/metaworld-steps.csv]

In every round and class, the same episode (150 actions that wander smoothly, as a policy's do) is lived four times, one
after the other, so that whatever else the machine does slows all of them:

    physics   the simulation alone, as stock Meta-World calls it: five substeps, then the derived quantities
    ours      steps of the environment in a worker
    stock     steps of Meta-World's environment
    rollout   what a worker does for an episode: reset, policy (two layers of 64, in NumPy), steps, records
    loop      the same in a plain loop over stock Meta-World, with the same policy

CPU time is that of this process. Resets count in the last two alone.
"""

import argparse
import csv
import pickle
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import mujoco
import numpy as np
from metaworld.env_dict import ALL_V3_ENVIRONMENTS, ML10_V3
from metaworld.types import Task

from mime.envs import registration
from mime.envs.external.hosted_environment import HostedEnvironment
from mime.envs.external.metaworld import MetaworldTask
from mime.policies.numpy_policy import NumpyPolicy
from mime.sampling.rollouts import Request, rollout

STEPS, TRAJECTORIES = 150, 10
MODES = ("physics", "ours", "stock", "rollout", "loop")


class Playback:
    """A policy that costs what a policy costs, and plays given actions."""

    def __init__(self, actions: np.ndarray):
        generator, sizes = np.random.default_rng(0), (39, 64, 64, 4)
        layers = [
            (generator.normal(size=(size_out, size_in)).astype(np.float32) / 8, np.zeros(size_out, np.float32))
            for size_in, size_out in pairwise(sizes)
        ]
        self.network, self.actions = NumpyPolicy(tuple(layers), np.zeros(4, np.float32), "tanh"), actions

    def given(self, latent: np.ndarray | None) -> "Playback":
        return self

    def noise(self, generator: np.random.Generator, num_steps: int) -> np.ndarray:
        self.network.noise(generator, num_steps)
        return self.actions

    def act(self, observation: np.ndarray, noise: np.ndarray) -> np.ndarray:
        self.network.act(observation, noise)
        return noise

    def remember(self, action: np.ndarray, reward: float) -> None:
        pass


class Bench:
    """One class of tasks, ours and stock."""

    def __init__(self, environment: HostedEnvironment, kind: str):
        self.environment, self.task = environment, MetaworldTask(kind, 0, environment.tasks.training[kind][0])
        stock = ALL_V3_ENVIRONMENTS[kind]
        self.stock = stock()
        content = {"env_cls": stock, "rand_vec": self.task.vector, "partially_observable": True}
        self.stock.set_task(Task(kind, pickle.dumps(content)))

    def episodes(self, actions: np.ndarray) -> dict[str, Callable[[], None]]:
        """What to time, after whatever must come before it."""
        ours, stock, policy = self.environment.enter(self.task).unwrapped, self.stock, Playback(actions)
        clipped, request = np.clip(actions, -1, 1), Request(self.task, policy, (0,), TRAJECTORIES)

        def simulate() -> None:
            for action in clipped:
                stock.set_xyz_action(action[:3])
                stock.do_simulation([action[-1], -action[-1]], n_frames=stock.frame_skip)
                mujoco.mj_forward(stock.model, stock.data)

        def loop() -> None:
            observation, _ = stock.reset()
            noise = policy.noise(np.random.default_rng(0), STEPS)
            for step in range(STEPS):
                observation, *_ = stock.step(np.clip(policy.act(np.float32(observation), noise[step]), -1, 1))

        def steps(env) -> Callable[[], None]:
            return lambda: [env.step(action) for action in clipped] and None

        ours.reset()  # From the second one on it is a snapshot that is restored.
        return {
            "physics": _after(stock.reset, simulate),
            "ours": _after(ours.reset, steps(ours)),
            "stock": _after(stock.reset, steps(stock)),
            "rollout": lambda: _seconds(lambda: rollout(self.environment, request)) / TRAJECTORIES,
            "loop": lambda: _seconds(loop),
        }


def _after(prepare: Callable[[], object], work: Callable[[], None]) -> Callable[[], float]:
    def measure() -> float:
        prepare()
        return _seconds(work)

    return measure


def _seconds(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


def wandering(seed: int) -> np.ndarray:
    """Actions `[steps 4]` that meet objects more often than white noise."""
    noise = np.random.default_rng(seed).normal(0, 0.3, (STEPS, 4))
    return np.clip(np.cumsum(noise, axis=0), -1, 1).astype(np.float32)


def main() -> None:
    """Measure, print, and write every measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/metaworld-steps.csv"))
    options = parser.parse_args()
    environment = registration.make("Metaworld-ML10", {"max_episode_steps": STEPS})
    kinds = list(ML10_V3["train"])
    rows = []
    for kind in kinds:
        bench = Bench(environment, kind)
        for number in range(options.rounds):
            for mode, measure in bench.episodes(wandering(number)).items():
                rows.append((kind, number, mode, STEPS, round(measure(), 6)))
    options.output.parent.mkdir(parents=True, exist_ok=True)
    with open(options.output, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("class", "round", "mode", "steps", "cpu_seconds"), *rows])
    print(f"{'steps per CPU-second':26}{''.join(map('{:>10}'.format, MODES))}  ours/stock  rollout/loop")
    for kind in kinds:
        print_row(kind, [row for row in rows if row[0] == kind])
    print_row("all classes", rows)


def print_row(name: str, rows: list[tuple]) -> None:
    """Mean rates over some measurements."""
    rate = {mode: _rate([row for row in rows if row[2] == mode]) for mode in MODES}
    rates = "".join(f"{rate[mode]:10.0f}" for mode in MODES)
    print(f"{name:26}{rates}{rate['ours'] / rate['stock']:12.2f}{rate['rollout'] / rate['loop']:14.2f}")


def _rate(rows: list[tuple]) -> float:
    return sum(row[3] for row in rows) / sum(row[4] for row in rows)


if __name__ == "__main__":
    main()
