"""`mime train`, the same as `python train.py`."""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.table import Table
from rich.text import Text

from mime.commands.terminal import (
    ProgressBar,
    command_line,
    console,
    next_command,
    parse_options,
    prepare_jax,
    tell_where,
    warn,
)
from mime.configuration import packaged, parsing
from mime.configuration.gradients import Experiment
from mime.configuration.keys import Configuration
from mime.configuration.pearl import PearlExperiment
from mime.configuration.rl2 import Rl2Experiment
from mime.configuration.seeds import checked_seed, parse_seeds
from mime.configuration.yaml_text import parse_yaml
from mime.errors import UserError, require
from mime.numerics.formatting import number
from mime.runs.metrics import Row
from mime.sampling.episodes import FIRST_STAGE, LAST_STAGE
from mime.sampling.resources import Resources
from mime.studies.methods import METHODS, with_method
from mime.studies.plan import configuration_of, option_name


@dataclass(frozen=True)
class _Train:
    # What the commands of all algorithms have in common.
    output_folder: Path
    """Run folder; an existing run there is refused without --overwrite or --resume."""
    config: Path | None = None
    """The experiment: a YAML file, or the name of a packaged one, as wide-ring or solved/wide-ring; may also be given
    as the first word. Not needed with --resume, or with --env-name."""
    method: Annotated[str | None, tyro.conf.arg(metavar="|".join(METHODS))] = None
    """The method by name, in place of its flags and of those in the file."""
    seed: Annotated[int, tyro.conf.arg(metavar="INT >= 0")] = 0
    """Seed of everything random: the same seed gives the same numbers."""
    seeds: Annotated[str | None, tyro.conf.arg(metavar="0-4|0,3,7")] = None
    """Several seeds in one process, compiled once, each in a run folder of its own: seed-0, seed-1, ..."""
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
    log_every: Annotated[int | None, tyro.conf.arg(metavar="INT >= 1")] = None
    """Print the metrics of every so many meta-iterations, beside the progress bar; the log has them all."""
    quiet: bool = False
    """Print nothing but warnings and errors."""
    scale: str | None = None
    """A set of other values in the configuration file: `small`, where it has one, for minutes on a CPU."""


@dataclass(frozen=True)
class Train(_Train):
    """Meta-train a policy and record the run in a folder.

    The method is chosen by name, as --method mime, or by flags: none for MAML, --add-noise for MAML+noise, --use-vime
    for MAML+expl, --use-vime --adapt-eta for MIME, --e-maml for E-MAML. Every key of the configuration file can be
    given as an option as well, which then wins over the file.
    """

    experiment: tyro.conf.OmitArgPrefixes[Experiment] = field(default_factory=Experiment)
    """Keys of the configuration."""


@dataclass(frozen=True)
class TrainPearl(_Train):
    """Meta-train PEARL, the off-policy baseline, and record the run in a folder.

    Every key of the configuration file can be given as an option as well, which then wins over the file.
    """

    experiment: tyro.conf.OmitArgPrefixes[PearlExperiment] = field(default_factory=PearlExperiment)
    """Keys of the configuration."""


@dataclass(frozen=True)
class TrainRl2(_Train):
    """Meta-train RL2, the recurrent baseline, and record the run in a folder.

    Every key of the configuration file can be given as an option as well, which then wins over the file.
    """

    experiment: tyro.conf.OmitArgPrefixes[Rl2Experiment] = field(default_factory=Rl2Experiment)
    """Keys of the configuration."""


def run(arguments: Sequence[str]) -> int:
    """Train; returns the exit status."""
    prepare_jax()
    command = parse(arguments)
    console.quiet = command.quiet
    from mime.runs.folder import RunFolder
    from mime.runs.training import train_seeds

    experiment = command.experiment
    folders = {seed: RunFolder(path) for seed, path in _run_folders(command).items()}
    seeds = f"seed {command.seed}" if command.seeds is None else f"seeds {', '.join(map(str, folders))}"
    done = min(folder.newest_checkpoint() for folder in folders.values()) if command.resume else 0
    onwards = f", from iteration {done} of {experiment.iterations}" if command.resume else ""
    what = f" on {experiment.env_name}, {seeds}, in {command.output_folder}{onwards}"
    console.print(Text.assemble((experiment.method, "bold"), what), soft_wrap=True)
    progress = ProgressBar("meta-iterations", experiment.iterations, log_every=command.log_every, done=done)
    with progress as advance:
        results = train_seeds(
            experiment,
            folders,
            resume=command.resume,
            overwrite=command.overwrite,
            resources=Resources(command.num_workers, command.ray_address, command.rollout_timeout),
            report=advance,
            warn=warn,
        )
    if any(result.interrupted for result in results.values()):
        again = ["--output-folder", command.output_folder, *(["--seeds", command.seeds] if command.seeds else [])]
        done = min(result.iteration for result in results.values())
        console.print(
            f"Stopped after iteration {done} of {experiment.iterations}; everything is saved. Continue with:\n"
            f"  {next_command('train', *again, '--resume')}",
            soft_wrap=True,
        )
        return 130
    for seed, result in results.items():
        _tell_what_was_learned(result.row, None if command.seeds is None else f"seed {seed}")
        tell_where(
            pictures=folders[seed].figures / "train.png",
            numbers=folders[seed].path / "train_result.csv",
            tensorboard=command_line("tensorboard", "--logdir", folders[seed].path),
            next=next_command("test", "--output-folder", folders[seed].path),
        )
    return 0


def _run_folders(command: Train | TrainPearl | TrainRl2) -> dict[int, Path]:
    """The run folder of each seed."""
    if command.seeds is None:
        return {command.seed: command.output_folder}
    return {seed: command.output_folder / f"seed-{seed}" for seed in parse_seeds(command.seeds)}


def parse(arguments: Sequence[str]) -> Train | TrainPearl | TrainRl2:
    """The command, whose options default to the configuration file or, on resuming, to the run's own configuration.

    Raises:
        UserError: If it cannot be carried out as given.
    """
    if arguments and not arguments[0].startswith("-"):
        arguments = ["--config", *arguments]
    early = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    early.add_argument("--config", type=Path)
    early.add_argument("--method", choices=tuple(METHODS))
    early.add_argument("--env-name", "--env_name")
    early.add_argument("--output-folder", "--output_folder", type=Path)
    early.add_argument("--resume", action="store_true")
    early.add_argument("--overwrite", action="store_true")
    early.add_argument("--scale")
    early.add_argument("--seed", type=int)
    early.add_argument("--seeds")
    try:
        known, _ = early.parse_known_args(arguments)
    except argparse.ArgumentError as error:
        raise UserError(f"{error.argument_name}: {error.message}") from None
    if known.resume and known.overwrite:
        raise UserError("--resume continues the run and --overwrite replaces it: give one of them")
    if known.seed is not None and known.seeds is not None:
        raise UserError("--seed trains one seed and --seeds several: give one of them")
    experiment, seed = _default(known)
    folder = known.output_folder or tyro.MISSING
    if isinstance(experiment, PearlExperiment):
        default = TrainPearl(output_folder=folder, seed=seed, experiment=experiment)
    elif isinstance(experiment, Rl2Experiment):
        default = TrainRl2(output_folder=folder, seed=seed, experiment=experiment)
    else:
        assert isinstance(experiment, Experiment)
        default = Train(output_folder=folder, seed=seed, experiment=experiment)
    registry = _registry(experiment.env_kwargs)
    command = parse_options(type(default), arguments, name="train", default=default, registry=registry)
    checked_seed(command.seed)
    for name in ("num_workers", "rollout_timeout", "log_every"):
        require(name, getattr(command, name), at_least=1)
    if command.config is None and not command.resume and known.env_name is None:
        raise UserError(
            "--config: give an experiment, its YAML file or its name: "
            + ", ".join(name for name in packaged.names() if "/" not in name)
            + "; or --env-name with an environment of your own"
        )
    given = [option_name(argument) for argument in arguments if argument.startswith("--")]
    parsing.require_used(command.experiment, given)
    resources = Resources(command.num_workers, command.ray_address, command.rollout_timeout)
    _require_environment(command.experiment, resources=resources)
    return command


def _registry(env_kwargs: Mapping[str, Any]) -> tyro.constructors.ConstructorRegistry:
    """How tyro reads --env-kwargs: one option, whatever the environment's arguments are called.

    Args:
        env_kwargs: The configuration file's, which the option's are added to.
    """
    registry = tyro.constructors.ConstructorRegistry()

    @registry.primitive_rule
    def rule(info: tyro.constructors.PrimitiveTypeInfo) -> tyro.constructors.PrimitiveConstructorSpec | None:
        if info.type_origin is not dict:
            return None

        def read(texts: list[str]) -> dict[str, Any]:
            given = parse_yaml(texts[0])
            if not isinstance(given, dict):
                raise ValueError("must be a mapping, as '{low: 5, high: 9}'")
            return {**env_kwargs, **given}

        return tyro.constructors.PrimitiveConstructorSpec(
            nargs=1,
            metavar="'{KEY: VALUE, ...}'",
            instance_from_str=read,
            is_instance=lambda value: isinstance(value, dict),
            str_from_instance=lambda value: [json.dumps(value)],
        )

    return registry


def _default(known: argparse.Namespace) -> tuple[Configuration, int]:
    """The experiment and the seed that options may change: of the file or, on resuming, of the run."""
    experiment: Configuration = Experiment()
    seed = 0
    if known.resume and known.output_folder is not None:
        from mime.runs.folder import RunFolder

        inner = "" if known.seeds is None else f"seed-{parse_seeds(known.seeds)[0]}"
        folder = RunFolder(known.output_folder / inner)
        experiment, seed = folder.read_config()
        _require_environment(experiment, folder.config)
    if known.config is not None:
        path = _file(packaged.find(known.config), known.method)
        experiment = parsing.load(path, scale=known.scale)
        if known.method is not None:
            experiment = with_method(experiment, known.method, source=str(path))
        _require_environment(experiment, path)
    elif known.method is not None:
        experiment = with_method(experiment, known.method, source=f"--method {known.method}")
    return experiment, seed


def _file(path: Path, method: str | None) -> Path:
    """The file that configures the method on the experiment of a file."""
    if method is None:
        return path
    file = configuration_of(path, method)
    if file is None:
        raise UserError(f"--method: {method} has no configuration of {path.stem}")
    return file


def _require_environment(experiment: Configuration, source: Path | None = None, **options: Any) -> None:
    """Refuse what cannot be run before anything is written."""
    from mime.runs.setup import build_environment

    build_environment(experiment, source=str(source or ""), **options)


def _tell_what_was_learned(row: Row, title: str | None) -> None:
    table = Table("Last training batch", "Return", "Success", "Trajectory success", title=title)
    for name, stage in (("before adaptation", FIRST_STAGE), ("after adaptation", LAST_STAGE)):
        table.add_row(
            name, *(number(row[f"{stage}/{column}"]) for column in ("Returns", "Success", "TrajectorySuccess"))
        )
    console.print(table)
