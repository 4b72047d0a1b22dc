"""How long a user waits: seconds of whole commands, on the machine and device that they find.

python -m benchmarks.commands [--rows first seeds solved] [--repeats 3] [--seeds 32] [--iterations 50]

- first: from the command to its first finished iteration, MAML and MIME on the wide ring, with nothing compiled before
  and with a full cache.
- seeds: so many seeds and iterations of MIME in the dog house, to the command's end.
- solved: half as many seeds of the solved wide ring, three times as many iterations, trained and tested.

Every figure is printed when it is measured, so that a run which is cut short has told what it has. Writes
benchmarks/results/commands.csv.
"""

import argparse
import csv
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from os import environ
from pathlib import Path

import jax

FOLDER = Path(__file__).parent
ROOT = FOLDER.parent
WIDE_RING = "2d-navigation-wide-ring-sparse.yaml"
METHODS = {"MAML": (), "MIME": ("--use-vime", "--adapt-eta")}
POLL = 0.02
"""Seconds between two looks at a growing file."""

Row = tuple[str, list[float]]


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", nargs="+", default=list(ROWS), choices=ROWS)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=32)
    parser.add_argument("--iterations", type=int, default=50)
    options = parser.parse_args()
    device = jax.devices()[0].device_kind
    path = FOLDER / "results" / "commands.csv"
    path.parent.mkdir(exist_ok=True)
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["what", "device", "seconds, median", "repeats", "all"])
        for row in options.rows:
            for what, seconds in ROWS[row](options):
                print(f"{what}, {device}: {statistics.median(seconds):.1f} s, median of {len(seconds)}", flush=True)
                all_ = " ".join(f"{each:.2f}" for each in seconds)
                table.writerow([what, device, f"{statistics.median(seconds):.2f}", len(seconds), all_])
                file.flush()


def first(options: argparse.Namespace) -> Iterator[Row]:
    """Until the first iteration is in the table, cold and cached in turns."""
    for method, flags in METHODS.items():
        times: dict[str, list[float]] = {"cold": [], "cached": []}
        for _ in range(options.repeats):
            with tempfile.TemporaryDirectory() as cache:
                for state in times:
                    times[state].append(until_first_row(flags, cache))
        for state, seconds in times.items():
            yield f"first iteration, {method}, wide ring, {state}", seconds


def until_first_row(flags: tuple[str, ...], cache: str) -> float:
    """Seconds from the command to its first row, with programs cached in a folder."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        options = ["--config", f"configs/msc_project/{WIDE_RING}", "--pre-epochs", "0", *flags]
        begun = time.perf_counter()
        process = started("train.py", *options, "--output-folder", run, cache=cache)
        rows = run / "train_result.csv"
        while process.poll() is None and not (rows.exists() and rows.read_text().count("\n") > 1):
            time.sleep(POLL)
        seconds = time.perf_counter() - begun
        if process.poll() is not None:
            raise SystemExit("training ended before its first iteration")
        process.kill()
        process.wait()
    return seconds


def seeds(options: argparse.Namespace) -> Iterator[Row]:
    """Many seeds of MIME in the dog house, trained."""
    config = "configs/msc_project/dog-feeding-robot-navigation.yaml"
    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        flags = ["--pre-epochs", "0", *METHODS["MIME"]]
        trained(folder, config, options.seeds, options.iterations, *flags)
        what = f"{options.seeds} seeds of MIME, dog house, {options.iterations} iterations"
        yield what, [time.perf_counter() - begun]


def solved(options: argparse.Namespace) -> Iterator[Row]:
    """Seeds of the solved wide ring, trained and tested."""
    number, iterations = max(options.seeds // 2, 1), 3 * options.iterations
    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        trained(folder, f"configs/solved/{WIDE_RING}", number, iterations)
        for run in sorted(Path(folder).glob("seed-*")) or [Path(folder)]:
            finish(started("test.py", "--output-folder", run))
        yield f"{number} seeds of solved wide ring, {iterations} iterations, tested", [time.perf_counter() - begun]


def trained(folder: str, config: str, number: int, iterations: int, *flags: str) -> None:
    """Train so many seeds in one process."""
    options = ["--config", config, "--num-batches", str(iterations), "--seeds", f"0-{number - 1}", *flags]
    finish(started("train.py", *options, "--output-folder", Path(folder)))


def started(script: str, *arguments: str | Path, cache: str | None = None) -> subprocess.Popen:
    """A command under way."""
    variables = environ if cache is None else {**environ, "XDG_CACHE_HOME": cache}
    command = [sys.executable, script, *map(str, arguments), "--quiet"]
    return subprocess.Popen(command, cwd=ROOT, env=variables)


def finish(process: subprocess.Popen) -> None:
    """Wait for a command, which must succeed."""
    if process.wait():
        raise SystemExit(f"failed: {process.args}")


ROWS = {"first": first, "seeds": seeds, "solved": solved}

if __name__ == "__main__":
    main()
