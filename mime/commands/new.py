"""`mime new`: a file to begin with."""

import keyword
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Annotated, Literal

import tyro

from mime.commands.terminal import parse_options, tell_where
from mime.errors import UserError


@dataclass(frozen=True)
class New:
    """Write a short commented environment or bonus of your own, with a test, into the current folder."""

    kind: Annotated[tyro.conf.Positional[Literal["environment", "bonus"]], tyro.conf.arg(metavar="environment|bonus")]
    """What to write."""
    name: tyro.conf.Positional[str]
    """Its name, as CartOnRail or cart-on-rail: the class is CartOnRail, the file cart_on_rail.py."""


def run(arguments: Sequence[str]) -> int:
    """Write the files; returns the exit status."""
    command = parse_options(New, arguments, name="new")
    module, name = names(command.name)
    written = {Path(f"{module}.py"): command.kind, Path(f"test_{module}.py"): f"test_{command.kind}"}
    for path in written:
        if path.exists():
            raise UserError(f"{path}: exists already; choose another name")
    values = {"module": module, "name": name, "words": module.replace("_", " ")}
    try:
        for path, template in written.items():
            text = files("mime.commands").joinpath("templates", f"{template}.txt").read_text(encoding="utf-8")
            path.write_text(Template(text).substitute(values), encoding="utf-8")
    except OSError as error:
        raise UserError(f"{error.filename}: cannot be written: {error.strerror}") from None
    code, test = written
    tell_where(**{command.kind: code, "test": test, "next": f"mime check {module}:{name}"})
    return 0


def names(name: str) -> tuple[str, str]:
    """The names of the module and of the class.

    Raises:
        UserError: If they would not be names that Python allows.
    """
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+", name)
    module, kind = "_".join(words).lower(), "".join(word[:1].upper() + word[1:] for word in words)
    odd = re.sub(r"[\w-]", "", name, flags=re.ASCII)
    if odd or not kind.isidentifier() or keyword.iskeyword(module):
        raise UserError(f"{name}: must be letters and digits, the first of them a letter, as CartOnRail")
    return module, kind
