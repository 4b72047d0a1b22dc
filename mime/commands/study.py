"""`mime study`: many runs with one command."""

import threading
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, fields, replace
from datetime import timedelta
from itertools import product
from pathlib import Path
from typing import Annotated, NamedTuple

import tyro
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from mime.commands import train as training
from mime.commands.terminal import console, next_command, parse_options, tell_where
from mime.configuration import packaged, parsing
from mime.configuration.keys import Configuration
from mime.configuration.seeds import parse_seeds
from mime.errors import UserError, require
from mime.runs.signals import stop_requested
from mime.studies import plan
from mime.studies.execution import LocalPool, Pool, last_error
from mime.studies.history import record
from mime.studies.methods import PEARL, label
from mime.studies.plan import CONSOLE, Length, PlannedRun


@dataclass(frozen=True)
class Study:
    """Train and test methods on experiments, each with several seeds; the same command again goes on.

    Runs that are finished are skipped, those that were interrupted are resumed, and one that fails stops no other.
    Every key of the configurations can be given as an option as well, and then holds in all runs whose algorithm has
    it.
    """

    configs: tyro.conf.Positional[tuple[Path, ...]]
    """Experiments: YAML files, or names of packaged ones, as wide-ring. PEARL's and RL2's files are those of the same
    name in the folders `pearl` and `rl2` beside theirs."""
    output_folder: Path
    """Study folder; run folders are EXPERIMENT/METHOD/seed-N in it."""
    methods: str = "maml,noise,expl,mime,e-maml"
    """Methods, with commas: maml, noise, expl, mime, e-maml, pearl, rl2, rl2-expl."""
    seeds: str = "0-4"
    """Seeds: numbers and ranges, as 0-4 or 0,3,7-9."""
    parallel: Annotated[int, tyro.conf.arg(metavar="INT >= 1")] = 1
    """Runs at a time on this machine."""
    ray_address: Annotated[str | None, tyro.conf.arg(metavar="local|auto|HOST:PORT")] = None
    """Ray cluster to make the runs on, one a processor, in place of this machine alone."""
    scale: str | None = None
    """Of PEARL's runs: a set of other values in its files, as `small`."""
    num_workers: Annotated[int | None, tyro.conf.arg(metavar="INT >= 1")] = None
    """Worker processes of each run, for environments outside JAX. Default: one per processor."""
    test_batches: Annotated[int, tyro.conf.arg(metavar="INT >= 1")] = 3
    """Times that every held-out task is adapted to."""
    test_steps: Annotated[int | None, tyro.conf.arg(metavar="INT >= 1")] = None
    """Inner steps in tests; for PEARL, trajectories of context; for RL2, earlier episodes. Default: 10; for RL2, as
    trained."""


class Entry(NamedTuple):
    """A planned run, and the configuration that it is to have."""

    run: PlannedRun
    configuration: Configuration


def run(arguments: Sequence[str]) -> int:
    """Make a study; returns the exit status: 1 if a run failed."""
    command, overrides = _parse(arguments)
    entries = _plan(command, overrides)
    from mime.runs.folder import RunFolder

    folder = RunFolder(command.output_folder)
    try:
        folder.path.mkdir(parents=True, exist_ok=True)
        folder.lock()
        record(folder.path, arguments, [entry.run for entry in entries])
    except OSError as error:
        raise UserError(f"{folder.path}: cannot be written: {error.strerror}") from None
    try:
        return _finish(command, entries)
    finally:
        folder.unlock()


def _finish(command: Study, entries: Sequence[Entry]) -> int:
    """Make the runs that are not finished; returns the exit status."""
    todo = [entry for entry in entries if not _is_finished(command, entry)]
    console.print(f"runs: {len(entries)}, finished before: {len(entries) - len(todo)}")
    failed = 0
    if todo:
        ended = threading.Event()
        with stop_requested(ended.wait) as stop:
            try:
                failed = _make(_pool(command), todo, stop)
            finally:
                ended.set()
            if stop.is_set():
                console.print("Stopped; everything is saved. The same command goes on.")
                return 130
    if failed:
        console.print(f"{failed} of {len(entries)} runs failed; the same command tries them again", style="bold red")
    folder = command.output_folder
    tell_where(next=next_command("compare", folder, "--output-folder", folder / "report"))
    return 1 if failed else 0


def _parse(arguments: Sequence[str]) -> tuple[Study, list[str]]:
    """The command, and options that are not its own but keys of configurations."""
    own = {field.name.replace("_", "-") for field in fields(Study)} | {"help", "h"}
    mine, overrides = [], []
    for group in plan.option_groups(arguments):
        is_mine = not group[0].startswith("-") or plan.option_name(group[0]) in own
        (mine if is_mine else overrides).extend(group)
    command = parse_options(Study, mine, name="study")
    for name in ("parallel", "num_workers", "test_batches", "test_steps"):
        require(name, getattr(command, name), at_least=1)
    if not command.configs:
        raise UserError("give at least one experiment: its YAML file, or a name as wide-ring")
    return replace(command, configs=tuple(map(packaged.find, command.configs))), overrides


def _plan(command: Study, overrides: Sequence[str]) -> list[Entry]:
    """All runs, seeds outermost, so that a study which is not finished has as many of each method.

    Raises:
        UserError: If a configuration cannot be run.
    """
    methods, seeds = plan.parse_methods(command.methods), parse_seeds(command.seeds)
    stems = [path.stem for path in command.configs]
    for stem in stems:
        if stems.count(stem) > 1:
            raise UserError(f"{stem}: two configuration files have this name; a study needs a name for each")
    loaded = []
    for path, method in product(command.configs, methods):
        file = plan.configuration_of(path, method)
        if file is None:
            console.print(f"{path.stem}: left out for {label(method)}, which has no file for it", style="yellow")
        else:
            scale = command.scale if method == PEARL else None
            loaded.append((path.stem, method, file, type(parsing.load(file, scale=scale))))
    plan.require_known(overrides, {kind for *_, kind in loaded})
    kept = {method: plan.effective(overrides, method) for _, method, _, _ in loaded}
    for option, *_ in plan.option_groups(overrides):
        if not any(option in options for options in kept.values()):
            raise UserError(f"{option}: has no effect on {command.methods}; leave it out")
    configured = [
        (stem, method, arguments, training.parse([*arguments, "--output-folder", "."]).experiment)
        for stem, method, file, kind in loaded
        for arguments in [_train_arguments(command, file, method, plan.applicable(kept[method], kind))]
    ]
    return [
        Entry(_run(command, stem, method, seed, arguments), configuration)
        for seed in seeds
        for stem, method, arguments, configuration in configured
    ]


def _train_arguments(command: Study, file: Path, method: str, overrides: Sequence[str]) -> list[str]:
    """Of `mime train`, apart from the seed and the folder."""
    own = ["--config", str(_reachable(command, file)), "--method", method]
    if command.scale is not None and method == PEARL:
        own += ["--scale", command.scale]
    return [*own, *_worker_arguments(command), *overrides]


def _run(command: Study, stem: str, method: str, seed: int, train: Sequence[str]) -> PlannedRun:
    folder = _reachable(command, command.output_folder) / stem / method / f"seed-{seed}"
    place = ("--output-folder", str(folder))
    lengths = ["--num-batches", str(command.test_batches)]
    if command.test_steps is not None:
        lengths += ["--num-steps", str(command.test_steps)]
    test = (*place, *lengths, *_worker_arguments(command))
    return PlannedRun(stem, method, seed, folder, (*place, "--seed", str(seed), *train), test)


def _worker_arguments(command: Study) -> list[str]:
    return [] if command.num_workers is None else ["--num-workers", str(command.num_workers)]


def _reachable(command: Study, path: Path) -> Path:
    """The path as given; on a cluster, whose processes start elsewhere, the absolute one."""
    return path if command.ray_address is None else path.absolute()


def _is_finished(command: Study, entry: Entry) -> bool:
    steps = entry.configuration.test_steps if command.test_steps is None else command.test_steps
    length = Length(entry.configuration.iterations, command.test_batches, steps)
    return plan.is_finished(entry.run.folder, entry.configuration, entry.run.seed, length)


def _pool(command: Study) -> Pool:
    if command.ray_address is None:
        return LocalPool(command.parallel)
    from mime.sampling.resources import ray_needed

    with ray_needed():
        from mime.studies.ray_pool import RayPool

    return RayPool(command.ray_address, command.parallel)


def _make(pool: Pool, entries: Sequence[Entry], stop: threading.Event) -> int:
    """Make the runs, and say a line about each; returns how many failed."""
    begun = time.monotonic()
    waiting = {pool.submit(entry.run): entry.run for entry in entries}
    total, failed = len(waiting), 0
    columns = (BarColumn(bar_width=12), MofNCompleteColumn(), TextColumn("meta-iterations  ETA"), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("", total=sum(entry.configuration.iterations for entry in entries))
        while waiting and not stop.is_set():
            done, _ = wait(waiting, timeout=1, return_when=FIRST_COMPLETED)
            for future in [future for future in waiting if future in done]:
                run = waiting.pop(future)
                problem = _problem(run, future)
                failed += problem is not None
                place = f"[{total - len(waiting)}/{total}] {run.experiment}  {label(run.method)}  seed {run.seed}  "
                result = plan.scores(run.folder) if problem is None else f"failed: {problem}"
                clock = timedelta(seconds=round(time.monotonic() - begun))
                progress.console.print(f"{place}{result}  ({clock})", style="red" if problem else None, soft_wrap=True)
            progress.update(bar, completed=sum(plan.iterations_done(entry.run.folder) for entry in entries))
    if stop.is_set():
        console.print("Stopping: runs under way save what they have")
        pool.stop()
    pool.close()
    return failed


def _problem(run: PlannedRun, future: Future) -> str | None:
    """Why a run failed, or None if it did not."""
    error = future.exception()
    if error is not None:
        return f"{type(error).__name__}: {error}"
    status = future.result()
    if status == 0:
        return None
    reason = last_error(run.folder) if status > 0 else f"killed by signal {-status}"
    return f"{reason} (exit status {status}; {run.folder / CONSOLE} has the rest)"
