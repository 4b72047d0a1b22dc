"""The command line: `mime train`, `test`, `render` and `envs`; `train.py` and `test.py` are the first two."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Column, Table
from rich.text import Text

from mime import config
from mime.config import Experiment
from mime.errors import Failure, UserError
from mime.keys import Configuration
from mime.pearl.config import PearlExperiment

console = Console(highlight=False)
HEADLINES = ("Returns", "Success", "TrajectorySuccess", "IntrinsicReturns")


@dataclass(frozen=True)
class Train:
    """Meta-train a policy and record the run in a folder.

    The method follows from the flags: none for MAML, --add-noise for MAML+noise, --use-vime for MAML+expl, --use-vime
    --adapt-eta for MIME, --e-maml for E-MAML. Every key of the configuration file can be given as an option as well,
    which then wins over the file.
    """

    output_folder: Path
    """Run folder; an existing run there is refused without --overwrite or --resume."""
    config: Path | None = None
    """YAML file of the experiment; not needed with --resume."""
    seed: Annotated[int, tyro.conf.arg(metavar="INT >= 0")] = 0
    """Seed of everything random: the same seed gives the same numbers."""
    num_workers: Annotated[int | None, tyro.conf.arg(metavar="INT >= 1")] = None
    """Worker processes, for environments outside JAX; those written in JAX need none. Default: one per processor."""
    ray_address: Annotated[str | None, tyro.conf.arg(metavar="local|auto|HOST:PORT")] = None
    """Ray cluster to run the workers on, in place of processes on this machine."""
    rollout_timeout: Annotated[float, tyro.conf.arg(metavar="SECONDS")] = 600.0
    """Time after which a worker that gives no answer is replaced."""
    resume: bool = False
    """Continue the run in the folder from its newest checkpoint."""
    overwrite: bool = False
    """Replace the run in the folder."""
    scale: str | None = None
    """A set of other values in the configuration file: `small`, where it has one, for minutes on a CPU."""
    experiment: tyro.conf.OmitArgPrefixes[Experiment] = field(default_factory=Experiment)
    """Keys of the configuration."""


@dataclass(frozen=True)
class TrainPearl(Train):
    """Meta-train PEARL, the off-policy baseline, and record the run in a folder.

    Every key of the configuration file can be given as an option as well, which then wins over the file.
    """

    experiment: tyro.conf.OmitArgPrefixes[PearlExperiment] = field(default_factory=PearlExperiment)
    """Keys of the configuration."""


@dataclass(frozen=True)
class Test:
    """Adapt a trained run to the held-out tasks of its environment, and report after each step of adaptation."""

    output_folder: Path
    """Run folder that train.py wrote."""
    num_batches: Annotated[int, tyro.conf.arg(metavar="INT >= 1")] = 3
    """Times that every held-out task is adapted to."""
    num_steps: Annotated[int, tyro.conf.arg(metavar="INT >= 1")] = 10
    """Inner steps; for PEARL, trajectories of context."""
    seed: Annotated[int, tyro.conf.arg(metavar="INT >= 0")] = 1
    """Seed of everything random."""
    num_workers: Annotated[int | None, tyro.conf.arg(metavar="INT >= 1")] = None
    """Worker processes, for environments outside JAX; those written in JAX need none. Default: one per processor."""
    ray_address: Annotated[str | None, tyro.conf.arg(metavar="local|auto|HOST:PORT")] = None
    """Ray cluster to run the workers on, in place of processes on this machine."""
    rollout_timeout: Annotated[float, tyro.conf.arg(metavar="SECONDS")] = 600.0
    """Time after which a worker that gives no answer is replaced."""


@dataclass(frozen=True)
class Render:
    """Film a trained run on a held-out task, before and after adaptation."""

    output_folder: tyro.conf.Positional[Path]
    """Run folder that train.py wrote."""
    task: str | None = None
    """Part of the task's name, as door-close; by default the first one."""
    num_steps: Annotated[int, tyro.conf.arg(metavar="INT >= 1")] = 1
    """Inner steps."""
    seed: Annotated[int, tyro.conf.arg(metavar="INT >= 0")] = 1
    """Seed of everything random."""


@dataclass(frozen=True)
class Envs:
    """List the environments."""


def train(arguments: Sequence[str]) -> int:
    """The command `train`; returns the exit status."""
    return _guarded(_train, arguments)


def test(arguments: Sequence[str]) -> int:
    """The command `test`; returns the exit status."""
    return _guarded(_test, arguments)


def main() -> int:
    """The console script `mime`; returns the exit status."""
    commands = {"train": train, "test": test, "envs": partial(_guarded, _envs), "render": partial(_guarded, _render)}
    name, *arguments = sys.argv[1:] or ["--help"]
    if name in commands:
        return commands[name](arguments)
    helping = name in ("-h", "--help")
    if not helping:
        _tell(f"{name}: unknown command; there are {', '.join(commands)}")
    console.print("usage: mime {train,test,render,envs} ...\n")
    for name, command in (("train", Train), ("test", Test), ("render", Render), ("envs", Envs)):
        console.print(f"  [bold]{name:6}[/] {command.__doc__.splitlines()[0]}")
    console.print("\n`mime COMMAND --help` lists the options of a command.")
    return 0 if helping else 2


def _train(arguments: Sequence[str]) -> int:
    command = _parse_train(arguments)
    _prepare_jax()
    from mime.runs.folder import RunFolder
    from mime.runs.training import Outcome
    from mime.runs.training import train as run
    from mime.sampling.resources import Resources

    experiment, folder = command.experiment, RunFolder(command.output_folder)
    if command.resume:
        folder.lock()
    else:
        folder.create(overwrite=command.overwrite)
    folder.write_config(experiment, command.seed)
    console.print(f"[bold]{experiment.method}[/] on {experiment.env_name}, seed {command.seed}, in {folder.path}")
    with _progress("meta-iterations", experiment.iterations) as (progress, advance):
        outcome: Outcome = run(
            experiment,
            folder,
            seed=command.seed,
            resume=command.resume,
            resources=Resources(command.num_workers, command.ray_address, command.rollout_timeout),
            report=advance,
            warn=lambda message: progress.console.print(f"[yellow]{message}"),
        )
    if outcome.interrupted:
        console.print(
            f"Stopped after iteration {outcome.iteration} of {experiment.iterations}; everything is saved."
            " Continue with:\n"
            f"  python train.py --output-folder {folder.path} --resume"
        )
        return 130
    _tell_what_was_learned(outcome.row)
    _tell_where(
        pictures=folder.figures / "train.png",
        numbers=folder.path / "train_result.csv",
        tensorboard=f"tensorboard --logdir {folder.path}",
        next=f"python test.py --output-folder {folder.path}",
    )
    return 0


def _test(arguments: Sequence[str]) -> int:
    command = tyro.cli(Test, args=list(arguments), prog="test.py")
    for name in ("num_batches", "num_steps", "num_workers", "rollout_timeout"):
        _require(name, getattr(command, name), at_least=1)
    _require("seed", command.seed, at_least=0)
    _prepare_jax()
    from mime.runs.folder import RunFolder
    from mime.runs.testing import class_table, curve, evaluate
    from mime.sampling.resources import Resources

    folder = RunFolder(command.output_folder)
    with _progress("test batches", command.num_batches) as (_, advance):
        rows = evaluate(
            folder,
            num_batches=command.num_batches,
            num_steps=command.num_steps,
            seed=command.seed,
            resources=Resources(command.num_workers, command.ray_address, command.rollout_timeout),
            report=advance,
        )
    names = [name for name in HEADLINES if f"Valid/{name}" in rows[0]]
    table = Table(title=f"{folder.path}: held-out tasks, mean of {len(rows)} batches")
    for heading in (folder.read_config()[0].STEPS.capitalize(), *names):
        table.add_column(heading, justify="right")
    for step, values in enumerate(zip(*(curve(rows, name) for name in names))):
        table.add_row(str(step), *(f"{value:.3f}" for value in values))
    console.print(table)
    classes = class_table(rows)
    if classes:
        table = Table("After adaptation", *next(iter(classes.values())))
        for name, values in classes.items():
            table.add_row(name, *(f"{value:.3f}" for value in values.values()))
        console.print(table)
    _tell_where(
        pictures=folder.figures / "test.png",
        numbers=folder.path / "test_result.csv",
        tensorboard=f"tensorboard --logdir {folder.path}",
    )
    return 0


def _render(arguments: Sequence[str]) -> int:
    command = tyro.cli(Render, args=list(arguments), prog="mime render")
    _require("num_steps", command.num_steps, at_least=1)
    _require("seed", command.seed, at_least=0)
    _prepare_jax()
    from mime.runs.folder import RunFolder
    from mime.runs.rendering import render

    folder = RunFolder(command.output_folder)
    _tell_where(film=render(folder, task=command.task, num_steps=command.num_steps, seed=command.seed))
    return 0


def _envs(arguments: Sequence[str]) -> int:
    tyro.cli(Envs, args=list(arguments), prog="mime envs")
    from mime.envs import hosting
    from mime.envs.registration import ENVIRONMENTS, make

    table = Table("Name", "Observation", "Action", "Horizon", "What it is")
    for name in ENVIRONMENTS:
        environment = make(name, {})
        spaces = (_size(space) for space in (environment.observation_space, environment.action_space))
        table.add_row(name, *spaces, str(environment.horizon), type(environment).__doc__.splitlines()[0])
    console.print(table)
    console.print("In worker processes, with the extras mujoco and metaworld: " + ", ".join(hosting.NAMES))
    console.print(
        "and Metaworld-ML1-<class>, package.module:YourClass, or any Gymnasium id: docs/your-own-environment.md"
    )
    return 0


def _size(space) -> str:
    return str(space.shape[0]) if space.shape else f"1 of {space.n}"


def _parse_train(arguments: Sequence[str]) -> Train:
    """The command, whose options default to the configuration file or, on resuming, to the run's own configuration."""
    early = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    early.add_argument("--config", type=Path)
    early.add_argument("--output-folder", "--output_folder", type=Path)
    early.add_argument("--resume", action="store_true")
    early.add_argument("--overwrite", action="store_true")
    early.add_argument("--scale")
    known, _ = early.parse_known_args(arguments)
    if known.resume and known.overwrite:
        raise UserError("--resume continues the run and --overwrite replaces it: give one of them")
    experiment: Configuration = Experiment()
    seed, original = 0, None
    if known.resume and known.output_folder is not None:
        from mime.runs.folder import RunFolder

        experiment, seed = original = RunFolder(known.output_folder).read_config()
    if known.config is not None:
        experiment = config.load(known.config, scale=known.scale)
    kind = TrainPearl if isinstance(experiment, PearlExperiment) else Train
    command = tyro.cli(
        kind,
        args=list(arguments),
        prog="train.py",
        default=kind(output_folder=tyro.MISSING, seed=seed, experiment=experiment),
    )
    _require("seed", command.seed, at_least=0)
    _require("num_workers", command.num_workers, at_least=1)
    _require("rollout_timeout", command.rollout_timeout, at_least=1)
    if original is not None:
        _require_same(*original, command)
    elif command.config is None:
        raise UserError("--config: give the YAML file of an experiment; configs/ has them")
    return command


def _require_same(experiment: Configuration, seed: int, command: Train) -> None:
    old, new = experiment.as_keys() | {"seed": seed}, command.experiment.as_keys() | {"seed": command.seed}
    changed = [key for key in old if old[key] != new.get(key) and key != experiment.LENGTH]
    if changed:
        lines = [f"{key}: {new.get(key)!r}, but the run has {old[key]!r}" for key in changed]
        raise UserError(
            f"--resume continues the run as it was configured; only {experiment.LENGTH} may change.\n"
            + "\n".join(lines)
        )


def _require(name: str, value: float | None, *, at_least: int) -> None:
    if value is not None and value < at_least:
        raise UserError(f"--{name.replace('_', '-')}: {value} should be {at_least} or more")


def _prepare_jax() -> None:
    """Keep compiled programs between runs, in the user's cache folder."""
    import jax

    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "mime" / "xla"
    jax.config.update("jax_compilation_cache_dir", str(cache))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)


class _Rate(ProgressColumn):
    """Iterations per second, or seconds per iteration."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        if not speed:
            return Text("compiling" if task.completed == 0 else "")
        return Text(f"{speed:.1f} it/s" if speed > 1 else f"{1 / speed:.1f} s/it")


class _progress:
    """A progress bar with the headline metrics; gives the bar, and the function that advances it by a row."""

    def __init__(self, what: str, total: int):
        columns = (
            BarColumn(bar_width=12),
            MofNCompleteColumn(),
            _Rate(),
            TextColumn("ETA"),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[headline]}", table_column=Column(no_wrap=True)),
        )
        self.bar = Progress(*columns, console=console)
        self.task = self.bar.add_task(what, total=total, headline=what)

    def __enter__(self) -> tuple[Progress, Callable]:
        self.bar.start()
        return self.bar, self._advance

    def __exit__(self, *exception) -> None:
        self.bar.stop()

    def _advance(self, row) -> None:
        headline = (
            f"return {row['Train-0/Returns']:.2f} → {row['Valid/Returns']:.2f}"
            f"  success {row['Train-0/Success']:.0%} → {row['Valid/Success']:.0%}"
        )
        done = row.get("Iteration", row.get("Batch"))
        self.bar.update(self.task, completed=done, headline=headline)


def _tell_what_was_learned(row) -> None:
    table = Table("Last training batch", "Return", "Success", "Trajectory success")
    for name, prefix in (("before adaptation", "Train-0"), ("after adaptation", "Valid")):
        table.add_row(
            name, *(f"{row[f'{prefix}/{column}']:.3f}" for column in ("Returns", "Success", "TrajectorySuccess"))
        )
    console.print(table)


def _tell_where(**places: object) -> None:
    for name, place in places.items():
        console.print(f"{name:12} {place}", soft_wrap=True)


def _guarded(command: Callable[[Sequence[str]], int], arguments: Sequence[str]) -> int:
    try:
        return command(arguments)
    except (UserError, Failure) as error:
        _tell(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        _tell("interrupted")
        return 130


def _tell(message: str) -> None:
    Console(stderr=True, highlight=False, soft_wrap=True).print(f"[bold red]error[/] {escape(message)}", markup=True)
