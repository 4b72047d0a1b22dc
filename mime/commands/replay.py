"""`mime replay`: a page on which trained runs move."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from mime.commands.terminal import parse_options, prepare_jax, tell_where
from mime.errors import UserError, require

PAGE = "replay.html"


@dataclass(frozen=True)
class ReplayRuns:
    """Replay trained runs on held-out tasks, before and after adaptation, on a page that moves.

    One HTML file that needs no network: the trajectories in time, a slider over the steps of adaptation, and several
    runs side by side.
    """

    folders: tyro.conf.Positional[tuple[Path, ...]]
    """Run folders, or names of trained runs that come with the package, as wide-ring; all in one environment: a panel
    for each."""
    output: Path | None = None
    """The page; default replay.html in the first run's folder of figures."""
    steps: tuple[int, ...] = (0, 1, 3, 10)
    """Steps of adaptation after which the policies are shown: inner steps or, for PEARL, trajectories of context."""
    trajectories: Annotated[int, tyro.conf.arg(metavar="INT >= 1")] = 5
    """Trajectories of each task."""
    seed: Annotated[int, tyro.conf.arg(metavar="INT >= 0")] = 1
    """Seed of everything random."""


def run(arguments: Sequence[str]) -> int:
    """Write the page; returns the exit status."""
    command = parse_options(ReplayRuns, arguments, name="replay")
    if not command.folders:
        raise UserError("give at least one run folder")
    if not command.steps:
        raise UserError("--steps: give at least one number of steps")
    require("steps", min(command.steps), at_least=0)
    require("trajectories", command.trajectories, at_least=1)
    require("seed", command.seed, at_least=0)
    prepare_jax()
    from mime.runs.pretrained import run_folder
    from mime.studies.replaying import replay

    folders = [run_folder(path) for path in dict.fromkeys(command.folders)]
    path = command.output or folders[0].figures / PAGE
    number, seed = command.trajectories, command.seed
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replay(folders, path, steps=command.steps, num_trajectories=number, seed=seed)
    except OSError as error:
        raise UserError(f"{error.filename or path}: cannot be written: {error.strerror}") from None
    tell_where(page=path)
    return 0
