"""MIME beside MAML: `make demo` on the wide ring, `make robot` in the dog-feeding robot's house."""

import argparse
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import jax

import mime
from mime.cli import test, train
from mime.drawing.trajectories import side_by_side
from mime.runs.rendering import trajectories

INNER_STEPS = 10


class Demo(NamedTuple):
    """What a demonstration does.

    Attributes:
        plan: Said before it begins.
        hidden: What is to be found in a task.
        title: Of the picture.
        runs: Configuration and iterations of each method. They have equal numbers of environment steps.
    """

    plan: str
    hidden: str
    title: str
    runs: Mapping[str, tuple[str, int]]


DEMOS = {
    "wide-ring": Demo(
        """A robot on a plain has to find a goal that it cannot see: a disc somewhere on a ring around it. Only
inside is it rewarded. Two methods learn, in 4 million steps each, to find goals on this ring and to stay there: MAML,
with the published configuration, and MIME, whose bonus for exploring is the information that a trajectory adds
to all others. Then both adapt to sixteen goals that they were not trained on. It takes about four minutes on two
cores.""",
        "goals",
        f"Goals never trained on, after {INNER_STEPS} steps of adaptation",
        # An iteration of MIME, with three inner steps, takes twice as many steps.
        {
            "MAML": ("configs/msc_project/2d-navigation-wide-ring-sparse.yaml", 100),
            "MIME": ("configs/solved/2d-navigation-wide-ring-sparse.yaml", 50),
        },
    ),
    "dog-feeding-robot": Demo(
        """A robot in a house of walls has to find a hungry dog that it cannot see. Only beside the dog is it rewarded.
Two methods learn, in 96 million steps each, to find dogs at three places: MAML, with the published configuration, and
MIME, whose bonus for exploring is the information that a trajectory adds to all others. Then both adapt to the two
dogs that are farthest from the robot. It takes about half an hour on two cores.""",
        "dogs",
        f"After {INNER_STEPS} steps of adaptation to each dog",
        # An iteration of MIME has eight times as many trajectories.
        {
            "MAML": ("configs/msc_project/dog-feeding-robot-navigation.yaml", 1600),
            "MIME": ("configs/solved/dog-feeding-robot-navigation.yaml", 200),
        },
    ),
}


def main(folder: Path, demo: Demo) -> None:
    """Train, test and picture both methods; exits with the status of a command that fails."""
    started = time.perf_counter()
    print(demo.plan, flush=True)
    for method, (configuration, iterations) in demo.runs.items():
        path, length = str(folder / method.lower()), ["--pre-epochs", "0", "--num-batches", str(iterations)]
        print(f"\n{method}", flush=True)
        options = ["--config", str(Path(__file__).parents[1] / configuration), "--output-folder", path, "--overwrite"]
        status = train(options + length) or test(["--output-folder", path, "--num-batches", "1"])
        if status:
            sys.exit(status)
    found, number = draw(folder / "maml-and-mime.png", folder, demo)
    minutes = (time.perf_counter() - started) / 60
    result = f"MIME found {found['MIME']} of {number} {demo.hidden}; MAML, trained as long, {found['MAML']}."
    print(f"\n{result} ({minutes:.1f} minutes)")
    print(f"picture      {folder / 'maml-and-mime.png'}")
    print(f"next         .venv/bin/mime replay {folder / 'maml'} {folder / 'mime'} --output {folder / 'replay.html'}")


def draw(picture: Path, folder: Path, demo: Demo) -> tuple[dict[str, int], int]:
    """Draw both methods after adaptation; in how many tasks each of them succeeded, and the number of tasks."""
    panels = {}
    for method in demo.runs:
        with mime.load_run(folder / method.lower()) as run:
            environment, tasks = run.environment, run.environment.test_batch(0)
            trial = run.learner.adapt_and_evaluate(run.state, tasks, jax.random.key(0), num_steps=INNER_STEPS)
            panels[method] = trajectories(trial.after.episodes)
    side_by_side(environment, jax.device_get(tasks), panels, demo.title).savefig(picture, dpi=150)
    found = {method: int(paths.solved().any(axis=1).sum()) for method, paths in panels.items()}
    return found, len(panels["MIME"].valid)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=Path("runs/demo"), help="of the runs and the picture")
    parser.add_argument("experiment", nargs="?", choices=DEMOS, default="wide-ring")
    chosen = parser.parse_args()
    main(chosen.folder, DEMOS[chosen.experiment])
