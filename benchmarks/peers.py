"""CPU time of MIME and of metaworld-algorithms, a peer in JAX, at the same work on ML10's shapes, on one core.

git clone https://github.com/rainx0r/metaworld-algorithms PEER    # and its dependencies, in an environment of its own
python -m benchmarks.peers --peer PEER --peer-python PEER/.venv/bin/python [--rows maml-update maml ...] [--repeats 3]

CPU-seconds are user and system time of the process and of those that sample for it. An iteration that compiles comes
first and is not counted. Each side has a process of its own. Give both environments the same versions of JAX, NumPy,
MuJoCo and Meta-World, so that what is compared are the libraries. Rows (`ROWS`):

- maml-update, maml-update-wide: all that MAML with TRPO does after sampling (advantages, inner step, outer step with
  ten iterations of conjugate gradient), with normal observations and rewards, and actions drawn from the policies.
- maml: whole iterations in ML10, with an inner step; their sampling, with the policy's actions, in steps per
  CPU-second; and the rest of them, the update. The peer acts in all tasks at once, and has a process for each task's
  environment; MIME has one worker process.
- maml-one-process: the same with all of the peer's environments in its own process, for their sampling.
- rl2: whole iterations of RL2 with PPO, their sampling, and the rest.

The peer's example has 20 tasks, 10 episodes of 500 steps of each, and layers of 512 units, too much for a row.
Steps and layers are those of configs/msc_project/metaworld-ml10.yaml; in `wide`, the example's, with fewer tasks and
episodes. Other keys that count are the example's.

RL2's update is not quite the same work. Data, epochs, memory and the steps that gradients go back through are of equal
size. The peer fits a linear baseline, takes a gradient step for each chunk of 250 steps, of which 50 overlap, and makes
histograms for its log. MIME trains a second network of the policy's size, the critic, and takes a step for all chunks
at once. The peer's encoder in front of the memory is left out, since MIME has none.
"""

import argparse
import csv
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.peer_iteration import Stopwatch
from mime.commands.terminal import prepare_jax
from mime.configuration import parsing
from mime.configuration.keys import Configuration
from mime.envs.external.hosted_environment import words_of
from mime.meta.learner import Learner
from mime.runs.setup import Setup, set_up
from mime.sampling.episodes import Episodes
from mime.sampling.hosted import HostedSampler
from mime.sampling.resources import Resources

ROOT = Path(__file__).parent.parent
SIZES = ("tasks", "episodes", "steps", "hidden")
"""Tasks of an iteration, episodes of each in a stage (in RL2: of a trial, one in each task), their steps, units of a
layer."""
SECONDS, RATE = "CPU-seconds", "steps per CPU-second"
COLUMNS = ("row", "what", "unit", "data", *SIZES, "mime", "peer", "times", "all of mime", "all of peer")
PRINTED = (18, 12, 24, 14, 5, 8, 5, 6, 9, 9, 6, 0, 0)
"""Widths of the columns on the terminal. `times` is how many times better MIME's median is."""
OURS = "import json, sys; from benchmarks import peers; print(json.dumps(peers.measure(json.loads(sys.argv[1]))))"


def row(algorithm: str, data: str, *sizes: int, vector: str = "async") -> dict[str, Any]:
    """What is measured: an algorithm, on `random` data or that of `environments`, in these sizes."""
    return dict(zip(SIZES, sizes)) | {"algorithm": algorithm, "data": data, "vector": vector}


ROWS = {
    "maml-update": row("maml", "random", 20, 10, 150, 64),
    "maml-update-wide": row("maml", "random", 2, 2, 500, 512),
    "maml": row("maml", "environments", 10, 4, 150, 64),
    "maml-one-process": row("maml", "environments", 10, 2, 150, 64, vector="sync"),
    "rl2": row("rl2", "environments", 10, 3, 150, 256),
}


class RandomEpisodes:
    """A sampler of normal observations and rewards, and actions of the policies; the same whenever it is asked again.

    Args:
        setup: Whose environment's spaces the episodes have.
        shape: Tasks, episodes of each, and steps.
    """

    compiled: ClassVar[bool] = False

    def __init__(self, setup: Setup, shape: tuple[int, int, int]):
        self.environment, self.shape = setup.environment, shape
        self._drawn: dict[tuple[int, ...], Episodes] = {}

    def __call__(self, policies: Any, tasks: Any, key: jax.Array) -> Episodes:
        """Episodes `[tasks trajectories steps ...]`."""
        name = words_of(key)
        if name not in self._drawn:
            # By way of NumPy, as episodes that come from workers.
            drawn = jax.tree.map(np.asarray, self._draw(policies, *jax.random.split(key, 3)))
            self._drawn[name] = jax.tree.map(jnp.asarray, drawn)
        return self._drawn[name]

    def _draw(self, policies: Any, *keys: jax.Array) -> Episodes:
        observations = jax.random.normal(keys[0], (*self.shape, *self.environment.observation_space.shape))
        of_a_task = jax.jit(jax.vmap(lambda policy, observations: policy.distributions(observations, None)))
        actions, valid = of_a_task(policies, observations).sample(key=keys[1]), jnp.ones(self.shape, bool)
        rewards = jax.random.normal(keys[2], self.shape)
        return Episodes(observations, actions, rewards, observations, ~valid, valid)


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", type=Path, required=True, help="clone of metaworld-algorithms")
    parser.add_argument("--peer-python", type=Path, required=True, help="interpreter that has its dependencies")
    parser.add_argument("--rows", nargs="+", default=list(ROWS), choices=ROWS)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--core", type=int, default=0)
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "results" / "peers.csv")
    options = parser.parse_args()
    os.sched_setaffinity(0, {options.core})  # What is started from here inherits it.
    print(*(f"{column:>{width}}" for column, width in zip(COLUMNS, PRINTED)))
    for name in options.rows:
        request = ROWS[name] | {"repeats": options.repeats, "peer": str(options.peer.resolve())}
        mime = measured([sys.executable, "-c", OURS], request)
        peer = measured([str(options.peer_python.absolute()), "-m", "benchmarks.peer_iteration"], request)
        write(options.output, name, table(name, mime, peer))


def measured(command: list[str], request: dict[str, Any]) -> dict[str, list[float]]:
    """What a process of its own measures, in each repeat: CPU-seconds by name, `steps`, and `line search` steps."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), request["peer"]])}
    done = subprocess.run(
        [*command, json.dumps(request)], cwd=ROOT, env=environment, stdout=subprocess.PIPE, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def measure(request: dict[str, Any]) -> dict[str, list[float]]:
    """MIME's measurements, in this process."""
    prepare_jax()
    experiment = configured(request)
    setup = set_up(experiment, 0, Resources(num_workers=1))
    return updates(setup, request) if request["data"] == "random" else iterations(setup, request)


def configured(request: dict[str, Any]) -> Configuration:
    """The published configuration, in the request's sizes and with the peer's keys where they count."""
    tasks, episodes, steps, hidden = (request[name] for name in SIZES)
    sizes = {"meta_batch_size": tasks, "env_kwargs": {"max_episode_steps": steps}}
    if request["algorithm"] == "maml":
        sizes |= {"fast_batch_size": episodes, "hidden_sizes": (hidden, hidden), "fast_lr": 0.1}
        return parsing.load(ROOT / "configs/msc_project/metaworld-ml10.yaml").model_copy(update=sizes)
    sizes |= {"episodes_per_trial": episodes, "trials_per_task": 1, "hidden_size": hidden}
    sizes |= {"update_epochs": 10, "bptt_steps": 250, "entropy_coefficient": 0.005, "max_grad_norm": 1.0}
    return parsing.load(ROOT / "configs/rl2/metaworld-ml10.yaml").model_copy(update=sizes)


def updates(setup: Setup, request: dict[str, Any]) -> dict[str, list[float]]:
    """Of MAML's iterations from random data, all of which is what comes after sampling."""
    shape = request["tasks"], request["episodes"], request["steps"]
    learner, watch, key = Learner(setup.learner.method, RandomEpisodes(setup, shape)), Stopwatch(), jax.random.key(1)
    tasks = setup.sample_tasks(key)
    improve = watch.around("update", lambda: learner.iterate(setup.state, tasks, key))
    tried = [int(improve()[1]["LineSearchSteps"]) for _ in range(1 + request["repeats"])]
    setup.sampler.close()
    return {"update": [end - begin for _, begin, end in watch.calls[1:]], "line search": tried[1:]}


def iterations(setup: Setup, request: dict[str, Any]) -> dict[str, list[float]]:
    """Of iterations in the environments."""
    watch, state, steps = Stopwatch(), setup.state, []
    iterate, sample = watch.around("iteration", setup.learner.iterate), HostedSampler.__call__
    with mock.patch.object(HostedSampler, "__call__", watch.around("sampling", sample)):
        for key in jax.random.split(jax.random.key(1), 1 + request["repeats"]):
            state, metrics, _ = iterate(state, setup.sample_tasks(key), key)
            steps.append(int(metrics["Steps"]))
    rows = watch.iterations("iteration")
    setup.sampler.close()
    return {
        "iteration": [row["whole"] for row in rows],
        "update": [row["whole"] - row["sampling"] for row in rows],
        "sampling": [row["sampling"] for row in rows],
        "steps": steps[1:],
    }


def table(name: str, mime: dict[str, list[float]], peer: dict[str, list[float]]) -> list[dict[str, Any]]:
    """Lines of the file: medians of both sides, and how many times better ours is."""
    lines = []
    for what in [what for what in mime if what != "steps"]:
        unit = RATE if what == "sampling" else SECONDS if what != "line search" else "tries"
        both = [
            [f / s for f, s in zip(side["steps"], side[what])] if unit == RATE else side[what] for side in (mime, peer)
        ]
        ours, theirs = (statistics.median(side) for side in both)
        times = ours / theirs if unit == RATE else theirs / ours
        lists = [" ".join(f"{number:.4g}" for number in side) for side in both]
        values = [f"{ours:.4g}", f"{theirs:.4g}", f"{times:.2f}", *lists]
        lines.append(
            dict(zip(COLUMNS, [name, what, unit, ROWS[name]["data"], *(ROWS[name][s] for s in SIZES), *values]))
        )
    return lines


def write(path: Path, name: str, lines: list[dict[str, Any]]) -> None:
    """Put the lines in the place of the row's in the file, and print them."""
    old = list(csv.DictReader(path.open(newline="", encoding="utf-8"))) if path.exists() else []
    kept = [line for line in old if line["row"] != name and line["row"] in ROWS]
    ordered = sorted(kept + lines, key=lambda line: list(ROWS).index(line["row"]))
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(ordered)
    for line in lines:
        print(*(f"{line[column]!s:>{width}}" for column, width in zip(COLUMNS, PRINTED)), flush=True)


if __name__ == "__main__":
    main()
