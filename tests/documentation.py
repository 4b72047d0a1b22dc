"""Reads pages as their reader would: every fenced block in order, in an empty folder with the repository's files.

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
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from markdown_it import MarkdownIt

from mime import cli
from mime.commands import compare, export, render, replay, study, test, train
from mime.commands.terminal import guarded, parse_options
from mime.configuration import parsing
from mime.studies.plan import PlannedRun
from tests.conftest import ROOT

NOT_CODE = ("text", "math", "bibtex")
OPTIONS = {"test": test.Test, "compare": compare.Compare, "replay": replay.ReplayRuns, "render": render.Render}
OPTIONS |= {"export": export.Export}


class Block(NamedTuple):
    """A fenced block: its language, the words behind it, its text, and its first line in the page."""

    language: str
    words: dict[str, str]
    text: str
    line: int


def pages() -> list[Path]:
    """The README and the documentation."""
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a Markdown file."""
    fences = [token for token in MarkdownIt().parse(page.read_text(encoding="utf-8")) if token.type == "fence"]
    return [_block(token.info, token.content, token.map[0] + 1) for token in fences]


def _block(info: str, text: str, line: int) -> Block:
    language, *words = shlex.split(info) or [""]
    return Block(language, dict(word.split("=", 1) for word in words), text, line)


@dataclass
class Reader:
    """Does in a folder what pages say, and everything for real.

    Attributes:
        folder: The current folder.
        names: Of the Python blocks so far.
    """

    folder: Path
    names: dict[str, Any] = field(default_factory=dict)

    def follow(self, block: Block) -> None:
        """Do what a block says."""
        if "skip" in block.words or block.language in NOT_CODE:
            return
        if "title" in block.words:
            (self.folder / block.words["title"]).write_text(block.text, encoding="utf-8")
        if block.language == "yaml":
            parsing.parse(yaml.safe_load(block.text), source=f"line {block.line}")
        elif block.language == "python":
            names = {} if "title" in block.words else self.names
            exec(compile(block.text, f"line {block.line}", "exec"), names)
        else:
            assert block.language == "sh", f"line {block.line}: a block of {block.language or 'no language'}"
            for line in block.text.replace("\\\n", " ").splitlines():
                words = shlex.split(line, comments=True)
                status = self.execute(words) if words else 0
                assert status == int(block.words.get("exit", 0)), f"{line}: exit status {status}"

    def execute(self, words: Sequence[str]) -> int:
        """The exit status of a command line."""
        if words[0] == "mime":
            return guarded(partial(self.command, words[1]), words[2:])
        if words[:3] == ["python", "-m", "pytest"]:
            return run_tests(self.folder / words[3])
        raise AssertionError(f'{shlex.join(words)}: say skip="why this cannot be run"')

    def command(self, name: str, arguments: Sequence[str]) -> int:
        """The exit status of a command of `mime`."""
        return cli.command(name)(arguments)


@dataclass
class HastyReader(Reader):
    """Checks everything that pages say, but has no time to learn: each run is a copy of one that was made before.

    Options, configurations, environments and bonuses are what they are in a command; what trains, tests or draws is not
    done. A run that a page speaks of and does not make is there.

    Attributes:
        run: The run folder.
    """

    run: Path = Path()

    def command(self, name: str, arguments: Sequence[str]) -> int:
        """The exit status of a command, which is 0 if its options are right and its runs are there."""
        self._provide(name, arguments)
        if name == "train":
            command = train.parse(arguments)
            for path in train._run_folders(command).values():
                shutil.copytree(self.run, path, dirs_exist_ok=command.resume or command.overwrite)
        elif name == "study":
            return study.run(arguments)
        elif name in OPTIONS:
            parse_options(OPTIONS[name], arguments, name=name)
        else:
            return super().command(name, arguments)
        return 0

    def _provide(self, name: str, arguments: Sequence[str]) -> None:
        for before, word in pairwise(["", *arguments]):
            is_read = name == "test" or "--resume" in arguments or not before.startswith("--output")
            if is_read and word.startswith("runs/") and not Path(word).exists():
                shutil.copytree(self.run, word)

    def submit(self, run: PlannedRun) -> Future:
        """Of a study's pool: a run is there at once."""
        shutil.copytree(self.run, run.folder)
        status: Future = Future()
        status.set_result(0)
        return status

    def stop(self) -> None:
        """Nothing is under way."""

    def close(self) -> None:
        """Nothing is open."""


def run_tests(path: Path) -> int:
    """Run a file's tests in this process; the exit status."""
    for name, function in runpy.run_path(str(path)).items():
        if name.startswith("test_"):
            function()
    return 0
