"""What commands have in common: checked arguments, progress, tables and errors on the terminal."""

import io
import os
import re
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stderr, suppress
from pathlib import Path
from typing import Any, TypeVar

import tyro
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Column
from rich.text import Text

from mime.errors import Failure, UserError
from mime.numerics.formatting import number, share
from mime.sampling.episodes import FIRST_STAGE, LAST_STAGE

DEVICES = 10
"""That a processor's tasks are split among: a divisor of most batches of tasks."""
THREADS = 16
"""Of a processor's matrix products; more than devices, which wait for one another."""

# Without markup: paths and errors may hold square brackets.
console = Console(highlight=False, markup=False)
Options = TypeVar("Options")


def guarded(command: Callable[[Sequence[str]], int], arguments: Sequence[str]) -> int:
    """The command's exit status; the user's mistakes and failures are told in a message, without a traceback."""
    try:
        return command(arguments)
    except (UserError, Failure) as error:
        tell(str(error))
        return error.exit_code
    except BrokenPipeError:  # Whoever reads what is printed, as `head`, has gone; Python would tell so once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        if error.filename is None:
            raise
        # A file system that is read-only or full, a folder that is somebody else's.
        tell(f"{os.fsdecode(error.filename)}: cannot be used: {error.strerror}")
        return 1
    except KeyboardInterrupt:
        tell("interrupted")
        return 130


def parse_options(
    kind: type[Options],
    arguments: Sequence[str],
    *,
    name: str,
    default: Any = None,
    registry: tyro.constructors.ConstructorRegistry | None = None,
) -> Options:
    """A command's options.

    Args:
        kind: Their dataclass.
        arguments: Of the command line.
        name: Of the command.
        default: Values of options that are not given.
        registry: How tyro reads options of types of its own.

    Raises:
        UserError: In a line, if an option is unknown or has an impossible value.
    """
    defaults = {} if default is None else {"default": default}
    prog = next_command(name)
    with redirect_stderr(io.StringIO()) as printed:
        try:
            return tyro.cli(kind, args=list(arguments), prog=prog, registry=registry, **defaults)
        except SystemExit as end:
            if not end.code:
                raise
    raise UserError(f"{_in_a_line(printed.getvalue())} All options: {prog} --help")


def _in_a_line(box: str) -> str:
    """What tyro prints in a box: the message, and the options that it takes to have been meant."""
    lines = [line.strip("│ ") for line in box.splitlines() if line.startswith("│")]
    rules = [place for place, line in enumerate(lines) if line.startswith("─")]
    message = " ".join(lines[: rules[0] if rules else None]).removeprefix("Error parsing ").rstrip(".")
    meant = re.search(r"Perhaps you meant:\s+(--[\w-]+)", "\n".join(lines))
    return f"{message}; did you mean {meant[1]}?" if meant else f"{message}."


def next_command(name: str, *arguments: object) -> str:
    """How to start another command where the user is: by `mime`, or by the script beside the one that was started.

    Args:
        name: Of the command.
        *arguments: Of it; quoted where a shell needs it.
    """
    script = Path(sys.argv[0])
    started = ("python", script.with_name(f"{name}.py")) if script.name in ("train.py", "test.py") else ("mime", name)
    return command_line(*started, *arguments)


def prepare_jax() -> None:
    """Keep compiled programs between runs, in the user's cache folder, and make the processor's cores JAX devices.

    What the user has set stays as it is. Before anything is computed: later the number of devices cannot change.

    There are as many devices and threads on any processor, so that the same program is compiled, and numbers are the
    same on any number of cores. Compiled for another number of devices it would round differently, and matrix products
    group their sums by the number of threads. Fewer cores take turns, which costs them no time.
    """
    os.environ.setdefault("PJRT_NPROC", str(THREADS))
    import jax

    if jax.config.values["jax_num_cpu_devices"] < 0:  # Not set.
        with suppress(RuntimeError):
            jax.config.update("jax_num_cpu_devices", DEVICES)
    if jax.config.values["jax_compilation_cache_dir"] is None:
        cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "mime" / "xla"
        jax.config.update("jax_compilation_cache_dir", str(cache))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)


class _Rate(ProgressColumn):
    """Iterations per second, or seconds per iteration."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        if not speed:
            return Text("compiling" if task.completed == task.fields["done"] else "")
        return Text(f"{speed:.1f} it/s" if speed > 1 else f"{1 / speed:.1f} s/it")


class ProgressBar:
    """A progress bar with the headline metrics; as a context manager, gives the function that advances it by a row.

    Args:
        what: What is counted.
        total: How many there will be.
        log_every: Rows between those that are also printed; by default none is on a terminal, where the bar tells, and
            ten are in all elsewhere.
        done: How many are done already.
        on: Where it is shown.
    """

    def __init__(self, what: str, total: int, *, log_every: int | None = None, done: int = 0, on: Console = console):
        self.total = total
        self.log_every = log_every or (None if on.is_terminal or on is not console else max(1, total // 10))
        columns = (
            BarColumn(bar_width=12),
            MofNCompleteColumn(),
            _Rate(),
            TextColumn("ETA"),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[headline]}", table_column=Column(no_wrap=True)),
        )
        self.bar = Progress(*columns, console=on, disable=on is not console and not on.is_terminal)
        self.task = self.bar.add_task(what, total=total, completed=done, done=done, headline=what)

    def __enter__(self) -> Callable[[Mapping[str, float | int]], None]:
        self.bar.start()
        return self._advance

    def __exit__(self, *exception) -> None:
        self.bar.stop()

    def _advance(self, row: Mapping[str, float | int]) -> None:
        headline = (
            f"return {number(row[f'{FIRST_STAGE}/Returns'])} → {number(row[f'{LAST_STAGE}/Returns'])}"
            f"  success {share(row[f'{FIRST_STAGE}/Success'])} → {share(row[f'{LAST_STAGE}/Success'])}"
        )
        label = f"seed {row['Seed']}  " if "Seed" in row else ""
        done = int(row["Iteration"] if "Iteration" in row else row["Batch"])
        if self.log_every and (done % self.log_every == 0 or done == self.total):
            console.print(f"{label}{done}/{self.total}  steps {row['TotalEnvSteps']}  {headline}", soft_wrap=True)
        self.bar.update(self.task, completed=done, headline=label + headline)


def tell_where(**places: object) -> None:
    """Say where everything is, one place a line."""
    for name, place in places.items():
        console.print(f"{name:12} {place}", soft_wrap=True)


def warn(message: str) -> None:
    """Something the user should know at once, on the standard error stream."""
    _errors().print(message, style="yellow")


def tell(message: str) -> None:
    """An error, on the standard error stream."""
    _errors().print(Text.assemble(("error", "bold red"), f" {message}"))


def _errors() -> Console:
    return Console(stderr=True, highlight=False, markup=False, soft_wrap=True)


def command_line(*words: object) -> str:
    """A command to be copied into a shell."""
    return shlex.join(map(str, words))
