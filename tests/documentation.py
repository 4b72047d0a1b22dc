"""Runs the fenced blocks of a page as a reader would: in order, in an empty folder with the repository's files.

Each block begins with its language, and has one of these words behind it where it is not simply run:

- `title="FILE"`: the block is a file, which is written;
- `exit="1"`: the command is meant to fail with this exit status;
- `skip="REASON"`: the block is not run, and this is why.

`sh` is run a line at a time, `python` in one namespace for the whole page, `yaml` must be keys of a configuration. The
rest (`text`, `math`, `bibtex`) is not code.
"""

import runpy
import shlex
import shutil
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from markdown_it import MarkdownIt

from mime.cli import COMMANDS, guarded
from mime.commands.planned_run import make
from mime.configuration import parsing
from mime.studies.plan import PlannedRun
from tests.conftest import ROOT

NOT_CODE = ("text", "math", "bibtex", "markdown")
SIZES = {"num_batches": 2, "meta_batch_size": 2, "fast_batch_size": 2, "pre_epochs": 1}
PEARL_SIZES = {"num_iterations": 1, "num_initial_steps": 50, "num_train_steps_per_itr": 2, "n_train_tasks": 2}
TEST_SIZES = {"num_batches": 1, "num_steps": 1}
REPLAY_SIZES = {"steps": 1, "trajectories": 1}
STUDY_SIZES = SIZES | {"seeds": "0", "test_batches": 1, "test_steps": 1}


class Block(NamedTuple):
    """A fenced block: its language, the words behind it, its text, and its first line in the page."""

    language: str
    words: dict[str, str]
    text: str
    line: int


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a Markdown file."""
    fences = [token for token in MarkdownIt().parse(page.read_text(encoding="utf-8")) if token.type == "fence"]
    return [_block(token.info, token.content, token.map[0] + 1) for token in fences]


def _block(info: str, text: str, line: int) -> Block:
    language, *words = shlex.split(info) or [""]
    return Block(language, dict(word.split("=", 1) for word in words), text, line)


def options(sizes: dict[str, Any]) -> list[str]:
    """Keyword arguments as options of a command."""
    return [word for name, value in sizes.items() for word in (f"--{name.replace('_', '-')}", str(value))]


@dataclass
class Reader:
    """Follows pages in a folder.

    Attributes:
        short: Whether all that trains or tests is made as small as it can be.
        run: A run folder, copied to where a command expects a run that the page did not make.
    """

    folder: Path
    short: bool = True
    run: Path | None = None
    names: dict[str, Any] = field(default_factory=dict)

    def follow(self, block: Block) -> None:
        """Do what a block says."""
        if "skip" in block.words or block.language in NOT_CODE:
            return
        if "title" in block.words:
            (self.folder / block.words["title"]).write_text(block.text, encoding="utf-8")
        elif block.language == "yaml":
            parsing.parse(yaml.safe_load(block.text), source=f"line {block.line}")
        elif block.language == "python":
            exec(compile(block.text, f"line {block.line}", "exec"), self.names)
        else:
            assert block.language == "sh", f"line {block.line}: a block of {block.language or 'no language'}"
            for line in block.text.replace("\\\n", " ").splitlines():
                words = shlex.split(line, comments=True)
                status = self.execute(words) if words else 0
                assert status == int(block.words.get("exit", 0)), f"{line}: exit status {status}"

    def execute(self, words: Sequence[str]) -> int:
        """The exit status of a command line."""
        if words[0] == "mime":
            name, *arguments = words[1:]
        elif words[:2] in (["python", "train.py"], ["python", "test.py"]):
            name, arguments = words[1].removesuffix(".py"), list(words[2:])
        elif words[:3] == ["python", "-m", "pytest"]:
            return run_tests(self.folder / words[3])
        else:
            raise AssertionError(f'{shlex.join(words)}: say skip="why this cannot be run"')
        if self.short:
            self._provide(name, arguments)
            arguments += options(self._sizes(name, arguments))
        return guarded(COMMANDS[name][1], arguments)

    def _sizes(self, name: str, arguments: Sequence[str]) -> dict[str, Any]:
        if name == "train" and not any("pearl" in word for word in arguments):
            return SIZES
        return {"train": PEARL_SIZES, "test": TEST_SIZES, "study": STUDY_SIZES, "replay": REPLAY_SIZES}.get(name, {})

    def _provide(self, name: str, arguments: Sequence[str]) -> None:
        for before, word in pairwise(["", *arguments]):
            is_read = name == "test" or "--resume" in arguments or before != "--output-folder"
            path = self.folder / word
            if is_read and word.startswith("runs/") and not path.exists() and self.run:
                shutil.copytree(self.run, path)


def run_tests(path: Path) -> int:
    """Run a file's tests in this process; the exit status."""
    for name, test in runpy.run_path(str(path)).items():
        if name.startswith("test_"):
            test()
    return 0


class HereAndNow:
    """A study's pool without processes: a run is made when it is submitted."""

    def submit(self, run: PlannedRun) -> Future:
        """Make the run."""
        status: Future = Future()
        status.set_result(make(run.folder, list(run.train), list(run.test)))
        return status

    def stop(self) -> None:
        """Nothing is under way."""

    def close(self) -> None:
        """Nothing is open."""


def pages() -> list[Path]:
    """The README and the documentation."""
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
