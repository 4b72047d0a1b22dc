"""`mime test`, the same as `python test.py`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.table import Table

from mime.commands.terminal import ProgressBar, command_line, console, parse_options, prepare_jax, tell_where
from mime.configuration.seeds import checked_seed
from mime.errors import require
from mime.numerics.formatting import number

HEADLINES = ("Returns", "Success", "TrajectorySuccess", "IntrinsicReturns")


@dataclass(frozen=True)
class Test:
    """Adapt a trained run to the held-out tasks of its environment, and report after each step of adaptation."""

    output_folder: Path
    """Run folder that train.py wrote."""
    num_batches: Annotated[int, tyro.conf.arg(metavar="INT >= 1")] = 3
    """Times that every held-out task is adapted to."""
    num_steps: Annotated[int | None, tyro.conf.arg(metavar="INT >= 1")] = None
    """Inner steps; for PEARL, trajectories of context; for RL2, earlier episodes. Default: 10; for RL2, as trained."""
    seed: Annotated[int, tyro.conf.arg(metavar="INT >= 0")] = 1
    """Seed of everything random."""
    unseen: bool = False
    """Adapt to tasks unlike the training ones in place of the held-out ones: other distances, dogs or rods."""
    num_workers: Annotated[int | None, tyro.conf.arg(metavar="INT >= 1")] = None
    """Worker processes, for environments outside JAX; those written in JAX need none. Default: one per processor."""
    ray_address: Annotated[str | None, tyro.conf.arg(metavar="local|auto|HOST:PORT")] = None
    """Ray cluster to run the workers on, in place of processes on this machine."""
    rollout_timeout: Annotated[float, tyro.conf.arg(metavar="SECONDS")] = 600.0
    """Time after which a worker that gives no answer is replaced."""
    quiet: bool = False
    """Print nothing but errors."""


def run(arguments: Sequence[str]) -> int:
    """Test a run; returns the exit status."""
    command = parse_options(Test, arguments, name="test")
    for name in ("num_batches", "num_steps", "num_workers", "rollout_timeout"):
        require(name, getattr(command, name), at_least=1)
    checked_seed(command.seed)
    console.quiet = command.quiet
    prepare_jax()
    from mime.runs.folder import RunFolder
    from mime.runs.testing import class_table, curve, evaluate
    from mime.sampling.episodes import LAST_STAGE
    from mime.sampling.resources import Resources

    folder = RunFolder(command.output_folder)
    with ProgressBar("test batches", command.num_batches) as advance:
        rows = evaluate(
            folder,
            num_batches=command.num_batches,
            num_steps=command.num_steps,
            seed=command.seed,
            unseen=command.unseen,
            resources=Resources(command.num_workers, command.ray_address, command.rollout_timeout),
            report=advance,
        )
    names = [name for name in HEADLINES if f"{LAST_STAGE}/{name}" in rows[0]]
    name, words = ("unseen", "unseen") if command.unseen else ("test", "held-out")
    table = Table(title=f"{folder.path}: {words} tasks, mean of {len(rows)} batches")
    for heading in (folder.read_config()[0].STEPS.capitalize(), *names):
        table.add_column(heading, justify="right")
    for step, values in enumerate(zip(*(curve(rows, name) for name in names))):
        table.add_row(str(step), *map(number, values))
    console.print(table)
    classes = class_table(rows)
    if classes:
        table = Table("After adaptation", *next(iter(classes.values())))
        for kind, values in classes.items():
            table.add_row(kind, *map(number, values.values()))
        console.print(table)
    tell_where(
        pictures=folder.figures / f"{name}.png",
        numbers=folder.path / f"{name}_result.csv",
        tensorboard=command_line("tensorboard", "--logdir", folder.path),
    )
    return 0
