"""What commands have in common: checked arguments, progress, tables and errors on the terminal."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

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
from rich.table import Column
from rich.text import Text

from mime.errors import Failure, UserError
from mime.sampling.episodes import FIRST_STAGE, LAST_STAGE

THREADS = 32
"""Of a processor's matrix products, and the most of its cores that tasks are split among."""

console = Console(highlight=False)


def guarded(command: Callable[[Sequence[str]], int], arguments: Sequence[str]) -> int:
    """The command's exit status; the user's mistakes and failures are told in a message, without a traceback."""
    try:
        return command(arguments)
    except (UserError, Failure) as error:
        tell(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        tell("interrupted")
        return 130


def prepare_jax() -> None:
    """Keep compiled programs between runs, in the user's cache folder, and make a device of every core.

    Before anything is computed. Matrix products are divided for as many threads as there are, and their sums grouped by
    that; with a number of threads that is the same everywhere, numbers are the same on any number of cores.
    """
    os.environ["PJRT_NPROC"] = str(THREADS)
    import jax

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    jax.config.update("jax_num_cpu_devices", min(cores or 1, THREADS))

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


class ProgressBar:
    """A progress bar with the headline metrics; as a context manager, gives the function that advances it by a row.

    Args:
        what: What is counted.
        total: How many there will be.
        log_every: Rows between those that are also printed; by default none is.
    """

    def __init__(self, what: str, total: int, *, log_every: int | None = None):
        self.total, self.log_every = total, log_every
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

    def __enter__(self) -> Callable[[Mapping[str, float | int]], None]:
        self.bar.start()
        return self._advance

    def __exit__(self, *exception) -> None:
        self.bar.stop()

    def _advance(self, row: Mapping[str, float | int]) -> None:
        headline = (
            f"return {row[f'{FIRST_STAGE}/Returns']:.2f} → {row[f'{LAST_STAGE}/Returns']:.2f}"
            f"  success {row[f'{FIRST_STAGE}/Success']:.0%} → {row[f'{LAST_STAGE}/Success']:.0%}"
        )
        done = int(row["Iteration"] if "Iteration" in row else row["Batch"])
        if self.log_every and (done % self.log_every == 0 or done == self.total):
            console.print(f"{done}/{self.total}  steps {row['TotalEnvSteps']}  {headline}", soft_wrap=True)
        self.bar.update(self.task, completed=done, headline=headline)


def tell_where(**places: object) -> None:
    """Say where everything is, one place a line."""
    for name, place in places.items():
        console.print(f"{name:12} {place}", soft_wrap=True)


def warn(message: str) -> None:
    """Something the user should know at once, on the standard error stream."""
    Console(stderr=True, highlight=False, soft_wrap=True).print(f"[yellow]{escape(message)}")


def tell(message: str) -> None:
    """An error, on the standard error stream."""
    Console(stderr=True, highlight=False, soft_wrap=True).print(f"[bold red]error[/] {escape(message)}", markup=True)
