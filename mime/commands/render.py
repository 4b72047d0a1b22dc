"""`mime render`: films of a trained run."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from mime.commands.terminal import parse_options, prepare_jax, tell_where
from mime.errors import require


@dataclass(frozen=True)
class Render:
    """Film a trained run on a held-out task, before and after adaptation."""

    output_folder: tyro.conf.Positional[Path]
    """Run folder that train.py wrote, or the name of a trained run that comes with the package, as wide-ring."""
    task: str | None = None
    """Part of the task's name, as door-close; by default the first one."""
    num_steps: Annotated[int | None, tyro.conf.arg(metavar="INT >= 1")] = None
    """Inner steps; for PEARL, trajectories of context; for RL2, earlier episodes. Default: as many as in
    `mime test`."""
    seed: Annotated[int, tyro.conf.arg(metavar="INT >= 0")] = 1
    """Seed of everything random."""


def run(arguments: Sequence[str]) -> int:
    """Film a run; returns the exit status."""
    command = parse_options(Render, arguments, name="render")
    require("num_steps", command.num_steps, at_least=1)
    require("seed", command.seed, at_least=0)
    prepare_jax()
    from mime.runs.pretrained import run_folder
    from mime.runs.rendering import render

    folder = run_folder(command.output_folder)
    tell_where(film=render(folder, task=command.task, num_steps=command.num_steps, seed=command.seed))
    return 0
