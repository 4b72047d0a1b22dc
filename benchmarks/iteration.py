"""Time, memory and arithmetic of a meta-iteration, for every experiment and method.

python -m benchmarks.iteration [--experiments 2d-navigation-wide-ring-sparse ...] [--methods maml mime ...] [--growth]

Every row is measured in a process of its own, twice: with an empty compilation cache, and with the cache that this
leaves. Products of the same shapes as the policy's are timed in turns with the iterations, so that whatever else the
machine does slows both. Writes benchmarks/results/iteration.csv (with --growth, growth.csv and growth.png).
"""

import argparse
import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

FOLDER = Path(__file__).parent
ROOT = FOLDER.parent
METHODS = {
    "maml": {},
    "noise": {"add-noise": True},
    "expl": {"use-vime": True},
    "mime": {"use-vime": True, "adapt-eta": True},
    "e-maml": {"e-maml": True},
}
EXPERIMENTS = (
    "2d-navigation-wide-ring-sparse",
    "2d-navigation-hard-exploration-sparse",
    "2d-navigation-close-ring-sparse",
    "dog-feeding-robot-navigation",
    "pendulum",
    "pendulum-sparse",
)
# What is grown, in multiples of the wide ring's published values.
GROWTH = {"meta-batch-size": (1, 2, 4), "fast-batch-size": (1, 2, 4), "horizon": (1, 2, 4), "hidden-sizes": (1, 2, 4)}


def measure(request: dict) -> dict:
    """One row, measured in a new process."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.one_iteration", json.dumps(request | {"started": time.time()})],
        cwd=ROOT,
        capture_output=True,
        text=True,
        preexec_fn=(lambda: os.sched_setaffinity(0, request["cores"])) if "cores" in request else None,
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def cold_and_cached(request: dict) -> dict:
    """A row from the run with a warm cache, with the first iteration's times of both."""
    with tempfile.TemporaryDirectory() as cache:
        cold = measure(request | {"cache": cache, "iterations": 0})
        row = measure(request | {"cache": cache})
    return {"first iteration, cold, s": cold["first"], "first iteration, cached, s": row.pop("first")} | row


def table(experiments: list[str], methods: list[str], iterations: int) -> list[dict]:
    """A row for every experiment and method, written as it comes."""
    rows = []
    for experiment in experiments:
        for method in methods:
            request = {"experiment": experiment, "keys": METHODS[method], "iterations": iterations}
            rows.append({"experiment": experiment, "method": method} | cold_and_cached(request))
            show(rows[-1])
            write(rows, FOLDER / "results" / "iteration.csv")
    return rows


def growth(iterations: int) -> list[dict]:
    """How the wide ring's iteration grows."""
    experiment = EXPERIMENTS[0]
    rows = []
    for method in ("maml", "mime"):
        for key, factors in GROWTH.items():
            for factor in factors:
                request = {"experiment": experiment, "keys": METHODS[method], "grown": {key: factor}}
                with tempfile.TemporaryDirectory() as cache:
                    row = measure(request | {"iterations": iterations, "cache": cache})
                rows.append({"method": method, "grown": key, "factor": factor} | row)
                show(rows[-1])
    return rows


def draw_growth(rows: list[dict], path: Path) -> None:
    """CPU time and memory against what was grown."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, len(GROWTH), figsize=(11, 5), sharex=True, sharey="row", layout="constrained")
    for column, key in enumerate(GROWTH):
        for method, style in (("maml", "o-"), ("mime", "s--")):
            chosen = [row for row in rows if row["grown"] == key and row["method"] == method]
            factors = [row["factor"] for row in chosen]
            axes[0, column].loglog(
                factors, [row["CPU s"] for row in chosen], style, label=method.upper(), color="black"
            )
            axes[1, column].loglog(factors, [row["peak MiB"] for row in chosen], style, color="black")
        axes[0, column].set_title(key)
        axes[1, column].set_xlabel("multiple of the wide ring's")
        axes[1, column].set_xticks([1, 2, 4], ["1", "2", "4"])
        axes[1, column].minorticks_off()
    axes[0, 0].set_ylabel("CPU-seconds per iteration")
    axes[1, 0].set_ylabel("peak memory, MiB")
    axes[0, 0].legend()
    figure.savefig(path, dpi=120)


def show(row: dict) -> None:
    """A row on the terminal."""
    print("  ".join(f"{name} {value:.3g}" if isinstance(value, float) else str(value) for name, value in row.items()))


def write(rows: list[dict], path: Path) -> None:
    """Rows as CSV."""
    path.parent.mkdir(exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(
            {name: f"{value:.4g}" if isinstance(value, float) else value for name, value in row.items()} for row in rows
        )


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--experiments", nargs="+", default=EXPERIMENTS, choices=EXPERIMENTS)
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS)
    parser.add_argument("--iterations", type=int, default=10, help="timed ones")
    parser.add_argument(
        "--growth", action="store_true", help="how the wide ring's iteration grows, in place of the table"
    )
    parser.add_argument(
        "--cores", action="store_true", help="the wide ring on one core and on all, in place of the table"
    )
    options = parser.parse_args()
    if options.growth:
        rows = growth(options.iterations)
        draw_growth(rows, FOLDER / "results" / "growth.png")
        write(rows, FOLDER / "results" / "growth.csv")
    elif options.cores:
        compare_cores(options)
    else:
        table(options.experiments, options.methods, options.iterations)


def compare_cores(options: argparse.Namespace) -> None:
    """Wall time on all cores over that on one, in turns."""
    cores = sorted(os.sched_getaffinity(0))
    for method in options.methods:
        ratios = []
        with tempfile.TemporaryDirectory() as cache:
            for _ in range(3):
                request = {"experiment": EXPERIMENTS[0], "keys": METHODS[method], "iterations": options.iterations}
                all_cores, one = (measure(request | {"cache": cache, "cores": c}) for c in (cores, cores[:1]))
                ratios.append(all_cores["wall s"] / one["wall s"])
        print(f"{method}: {len(cores)} cores take {statistics.median(ratios):.2f} of one core's time ({ratios})")


if __name__ == "__main__":
    main()
