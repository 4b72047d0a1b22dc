"""Which runs make up a study, and how far each of them is."""

import csv
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from mime.configuration.gradients import needed_flag
from mime.configuration.keys import Configuration, kebab, nearest
from mime.configuration.parsing import ALGORITHM
from mime.errors import UserError
from mime.numerics.formatting import number, share
from mime.runs.folder import RunFolder
from mime.sampling.episodes import FIRST_STAGE, LAST_STAGE, recorded_stages
from mime.studies.methods import METHODS, keys_of
from mime.studies.tested import is_stale

CONSOLE = "console.txt"


class PlannedRun(NamedTuple):
    """A run of a study: training, then a test.

    Attributes:
        experiment: The configuration file's name without its ending.
        method: A key of `METHODS`.
        seed: Of everything random.
        folder: The run folder.
        train: Arguments of `mime train`.
        test: Arguments of `mime test`.
    """

    experiment: str
    method: str
    seed: int
    folder: Path
    train: tuple[str, ...]
    test: tuple[str, ...]


class Length(NamedTuple):
    """How long a run's training and test are.

    Attributes:
        iterations: Meta-iterations.
        batches: Of the test.
        steps: Of adaptation, in each of them.
    """

    iterations: int
    batches: int
    steps: int


def parse_methods(text: str) -> list[str]:
    """Methods from their names with commas between them.

    Raises:
        UserError: If one is not known.
    """
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in METHODS:
            raise UserError(f"--methods: {name or text!r} is not a method{nearest(name, list(METHODS))}")
    return list(dict.fromkeys(names))


def configuration_of(path: Path, method: str) -> Path | None:
    """The file that configures a method on the experiment of a file; None if there is none.

    PEARL and RL2 have files of their own, in the folders `pearl` and `rl2` beside the given file's folder.

    Raises:
        UserError: If the given file is of another algorithm than the method.
    """
    algorithm, configured = METHODS[method].algorithm, _algorithm_of(path)
    if configured is not None:
        if configured != algorithm:
            name = str(configured).upper()
            raise UserError(f"{path}: configures {name}; for {method}, give the experiment's own file")
        return path
    if algorithm is None:
        return path
    sibling = path.parent.parent / algorithm / path.name
    return sibling if sibling.is_file() else None


def applicable(overrides: Sequence[str], kind: type[Configuration]) -> list[str]:
    """Of options that give keys of the configuration other values, those whose key the algorithm has."""
    groups = option_groups(overrides)
    return [argument for group in groups if option_name(group[0]) in _keys(kind) for argument in group]


def effective(overrides: Sequence[str], method: str) -> list[str]:
    """Of options that give keys other values, those that have an effect on a method: no bonus's where it has none."""
    groups = option_groups(overrides)
    flags = [*(key for key, on in keys_of(method).items() if on), *(option_name(group[0]) for group in groups)]
    needed = [needed_flag(option_name(group[0])) for group in groups]
    return [argument for group, flag in zip(groups, needed) if flag is None or flag in flags for argument in group]


def require_known(overrides: Sequence[str], kinds: set[type[Configuration]]) -> None:
    """Refuses options that are a key of no algorithm in the study.

    Raises:
        UserError: If there is one.
    """
    known = [key for kind in sorted(kinds, key=lambda kind: kind.__name__) for key in _keys(kind)]
    for group in option_groups(overrides):
        if option_name(group[0]) not in known:
            raise UserError(f"{group[0]}: is neither an option of mime study nor a key{nearest(group[0][2:], known)}")


def option_groups(arguments: Sequence[str]) -> list[list[str]]:
    """Arguments of a command line in groups that begin with an option; a first group may begin without one."""
    groups: list[list[str]] = []
    for argument in arguments:
        # Negative numbers are values.
        if not groups or re.match(r"--?[a-zA-Z]", argument):
            groups.append([])
        groups[-1].append(argument)
    return groups


def option_name(option: str) -> str:
    """`--no-use-vime`, `--use_vime=true` and so on as the key `use-vime`."""
    return kebab(option.lstrip("-").split("=")[0]).removeprefix("no-")


def is_finished(folder: Path, experiment: Configuration, seed: int, length: Length) -> bool:
    """Whether a run was trained and tested, in full and as asked."""
    try:
        recorded, recorded_seed = RunFolder(folder).read_config()
        document = json.loads((folder / "config.json").read_bytes())
        trained, tested = (_rows(folder / f"{name}_result.csv") for name in ("train", "test"))
    except (UserError, OSError, ValueError, csv.Error):
        return False
    return (
        recorded.as_keys() == experiment.as_keys()
        and recorded_seed == seed
        and bool(trained)
        and trained[-1].get("Iteration") == str(length.iterations)
        and len(tested) == length.batches
        and len(recorded_stages(tested[0], "Returns")) == length.steps + 1
        and not is_stale(folder, document)
    )


def iterations_done(folder: Path) -> int:
    """Meta-iterations that a run has recorded."""
    try:
        return max((folder / "train_result.csv").read_bytes().count(b"\n") - 1, 0)
    except OSError:
        return 0


def scores(folder: Path) -> str:
    """Held-out return and success of a finished run, before and after adaptation."""
    rows = _rows(folder / "test_result.csv")
    returns, success = (
        [sum(float(row[f"{stage}/{name}"]) for row in rows) / len(rows) for stage in (FIRST_STAGE, LAST_STAGE)]
        for name in ("Returns", "Success")
    )
    shown = [f"{number(returns[0])} → {number(returns[1])}", f"{share(success[0])} → {share(success[1])}"]
    return f"held-out return {shown[0]}  success {shown[1]}"


def _rows(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8-sig") as file:
        return list(csv.DictReader(file))


def _keys(kind: type[Configuration]) -> list[str]:
    return [kebab(name) for name in kind.model_fields]


def _algorithm_of(path: Path) -> Any:
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return None  # Reading the configuration says what is wrong with it.
    return document.get(ALGORITHM) if isinstance(document, dict) else None
