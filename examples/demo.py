"""MIME beside MAML on the wide ring: `make demo`, or `python examples/demo.py FOLDER`."""

import sys
import time
from pathlib import Path

import jax

import mime
from mime.cli import test, train
from mime.drawing.trajectories import side_by_side
from mime.runs.rendering import trajectories

INNER_STEPS = 10
# Equal numbers of steps: an iteration of MIME, with three inner steps, takes twice as many.
RUNS = {
    "MAML": ("configs/msc_project/2d-navigation-wide-ring-sparse.yaml", 100),
    "MIME": ("configs/solved/2d-navigation-wide-ring-sparse.yaml", 50),
}
PLAN = """A robot on a plain has to find a goal that it cannot see: a disc somewhere on a ring around it. Only
inside is it rewarded. Two methods learn, in 4 million steps each, to find goals on this ring and to stay there: MAML,
with the published configuration, and MIME, whose bonus for exploring is the information that a trajectory adds
to all others. Then both adapt to sixteen goals that they were not trained on. It takes about four minutes on two
cores."""


def main(folder: Path) -> None:
    """Train, test and picture both methods; exits with the status of a command that fails."""
    started = time.perf_counter()
    print(PLAN, flush=True)
    for method, (configuration, iterations) in RUNS.items():
        path, length = str(folder / method.lower()), ["--pre-epochs", "0", "--num-batches", str(iterations)]
        print(f"\n{method}", flush=True)
        options = ["--config", str(Path(__file__).parents[1] / configuration), "--output-folder", path, "--overwrite"]
        status = train(options + length) or test(["--output-folder", path, "--num-batches", "1"])
        if status:
            sys.exit(status)
    found, number = draw(folder / "maml-and-mime.png", folder)
    minutes = (time.perf_counter() - started) / 60
    result = f"MIME found {found['MIME']} of {number} goals; MAML, trained as long, {found['MAML']}."
    print(f"\n{result} ({minutes:.1f} minutes)")
    print(f"picture      {folder / 'maml-and-mime.png'}")
    print(f"next         .venv/bin/mime replay {folder / 'maml'} {folder / 'mime'} --output {folder / 'replay.html'}")


def draw(picture: Path, folder: Path) -> tuple[dict[str, int], int]:
    """Draw both methods after adaptation; the number of goals that each found, and of all goals."""
    panels = {}
    for method in RUNS:
        with mime.load_run(folder / method.lower()) as run:
            environment, tasks = run.environment, run.environment.test_batch(0)
            trial = run.learner.adapt_and_evaluate(run.state, tasks, jax.random.key(0), num_steps=INNER_STEPS)
            panels[method] = trajectories(trial.after.episodes)
    title = f"Goals never trained on, after {INNER_STEPS} steps of adaptation"
    side_by_side(environment, jax.device_get(tasks), panels, title).savefig(picture, dpi=150)
    found = {method: int(paths.solved().any(axis=1).sum()) for method, paths in panels.items()}
    return found, len(panels["MIME"].valid)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "runs/demo"))
