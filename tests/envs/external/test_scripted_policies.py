"""Meta-World's scripted policies solve through our workers what they solve in a plain Gymnasium loop."""

import csv
import os
import pickle
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("metaworld")

from metaworld.env_dict import ALL_V3_ENVIRONMENTS
from metaworld.types import Task

from mime.envs import registration
from mime.sampling.local import LocalWorkers
from mime.sampling.rollouts import Request
from tests.scripted import Scripted

ML10 = "Metaworld-ML10"
GOALS = 10
# The published configuration's episodes, and Meta-World's.
HORIZONS = (150, 500)


@pytest.mark.torture
@pytest.mark.filterwarnings("ignore:Constant")  # The policies say so of themselves.
def test_scripted_policies_solve_as_much_as_in_a_plain_loop(tmp_path):
    environment = registration.make(ML10, {"max_episode_steps": max(HORIZONS)})
    tasks = [task for task in every_task(environment.tasks) if task.goal < GOALS]
    workers = LocalWorkers(ML10, {"max_episode_steps": max(HORIZONS)}, number=2)
    plain, goals = zip(*(plain_loop(task, max(HORIZONS)) for task in tasks))
    policies = [Scripted(task.kind, goal) for task, goal in zip(tasks, goals)]
    requests = [Request(task, policy, (place,), 1) for place, (task, policy) in enumerate(zip(tasks, policies))]
    sampled = [fields["success"][0] for fields in workers.collect(requests, environment.describe)]
    workers.close()
    rows = []
    for kind in dict.fromkeys(task.kind for task in tasks):
        for name, successes in (("plain loop", plain), ("our sampler", sampled)):
            of_kind = [success for task, success in zip(tasks, successes) if task.kind == kind]
            shares = [np.mean([success[:horizon].any() for success in of_kind]) for horizon in HORIZONS]
            rows.append([kind, name, *shares, np.mean([success[-1] for success in of_kind])])
    write(rows, Path(os.environ.get("MIME_TABLES", tmp_path)) / "scripted-policies.csv")
    for one, other in zip(rows[::2], rows[1::2]):
        # Observations reach the policy rounded to float32, which may decide an episode on the edge of success.
        assert np.abs(np.subtract(one[2:], other[2:])).max() <= 1.5 / GOALS, one
    assert np.mean([row[3] for row in rows]) > 0.9


def every_task(tasks):
    """The benchmark's tasks, of training and test classes."""
    from mime.envs.external.metaworld import MetaworldTask

    for kind, goals in (tasks.training | tasks.test).items():
        yield from (MetaworldTask(kind, number, vector) for number, vector in enumerate(goals))


def plain_loop(task, num_steps):
    """Success at each step of stock Meta-World under the scripted policy, and the goal that it was shown."""
    kind, policy = ALL_V3_ENVIRONMENTS[task.kind], Scripted(task.kind).policy
    env, shown = kind(), {"env_cls": kind, "rand_vec": task.vector, "partially_observable": False}
    env.set_task(Task(task.kind, pickle.dumps(shown)))
    observation, _ = env.reset()
    goal, success = observation[36:], []
    for _ in range(num_steps):
        observation, _, _, _, info = env.step(np.clip(policy.get_action(observation), -1, 1))
        success.append(bool(info["success"]))
    return np.array(success), goal


def write(rows, path):
    """A table of success, also on the screen."""
    header = ["class", "played in", *(f"success within {horizon} steps" for horizon in HORIZONS), "success at the last"]
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    print(path.read_text(encoding="utf-8"))
