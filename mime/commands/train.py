"""`mime train`, the same as `python train.py`."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro
from rich.table import Table

from mime import config
from mime.commands.terminal import ProgressBar, console, prepare_jax, require, tell_where
from mime.config import Experiment
from mime.errors import UserError
from mime.keys import Configuration
from mime.pearl.config import PearlExperiment


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


def run(arguments: Sequence[str]) -> int:
    """Train; returns the exit status."""
    command = parse(arguments)
    prepare_jax()
    from mime.runs.folder import RunFolder
    from mime.runs.training import Outcome, train
    from mime.sampling.resources import Resources

    experiment, folder = command.experiment, RunFolder(command.output_folder)
    if command.resume:
        folder.lock()
    else:
        folder.create(overwrite=command.overwrite)
    folder.write_config(experiment, command.seed)
    console.print(f"[bold]{experiment.method}[/] on {experiment.env_name}, seed {command.seed}, in {folder.path}")
    with ProgressBar("meta-iterations", experiment.iterations) as (progress, advance):
        outcome: Outcome = train(
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
    tell_where(
        pictures=folder.figures / "train.png",
        numbers=folder.path / "train_result.csv",
        tensorboard=f"tensorboard --logdir {folder.path}",
        next=f"python test.py --output-folder {folder.path}",
    )
    return 0


def parse(arguments: Sequence[str]) -> Train:
    """The command, whose options default to the configuration file or, on resuming, to the run's own configuration.

    Raises:
        UserError: If it cannot be carried out as given.
    """
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
        default=kind(output_folder=known.output_folder or tyro.MISSING, seed=seed, experiment=experiment),
    )
    require("seed", command.seed, at_least=0)
    require("num_workers", command.num_workers, at_least=1)
    require("rollout_timeout", command.rollout_timeout, at_least=1)
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


def _tell_what_was_learned(row) -> None:
    table = Table("Last training batch", "Return", "Success", "Trajectory success")
    for name, prefix in (("before adaptation", "Train-0"), ("after adaptation", "Valid")):
        table.add_row(
            name, *(f"{row[f'{prefix}/{column}']:.3f}" for column in ("Returns", "Success", "TrajectorySuccess"))
        )
    console.print(table)
