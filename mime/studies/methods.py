"""The methods a study can compare: the name of their folder, what people call them, and the flags that choose them."""

from typing import NamedTuple

from mime.configuration import parsing
from mime.configuration.keys import Configuration


class StudyMethod(NamedTuple):
    """How a study names a method, and asks for it.

    Attributes:
        label: What people call it.
        flags: Of `mime train`.
        algorithm: Whose files it has: the value of their key `algorithm`, and the name of their folder.
        steps: What its steps of adaptation are, if not inner steps.
    """

    label: str
    flags: tuple[str, ...] = ()
    algorithm: str | None = None
    steps: str | None = None


PEARL = "pearl"
METHODS = {
    "maml": StudyMethod("MAML"),
    "noise": StudyMethod("MAML+noise", ("--add-noise",)),
    "expl": StudyMethod("MAML+expl", ("--use-vime",)),
    "mime": StudyMethod("MIME", ("--use-vime", "--adapt-eta")),
    "e-maml": StudyMethod("E-MAML", ("--e-maml",)),
    PEARL: StudyMethod("PEARL", algorithm="pearl", steps="trajectories of context"),
    "rl2": StudyMethod("RL2", algorithm="rl2", steps="earlier episodes"),
    "rl2-expl": StudyMethod("RL2+expl", ("--use-vime",), algorithm="rl2", steps="earlier episodes"),
}


FLAGS = ("add-noise", "use-vime", "adapt-eta", "e-maml")
"""The keys that choose among the gradient-based methods."""


def keys_of(name: str) -> dict[str, bool]:
    """The value of each of these keys for a method."""
    return {key: f"--{key}" in METHODS[name].flags for key in FLAGS}


def with_method(experiment: Configuration, name: str, *, source: str) -> Configuration:
    """The experiment of a file with a method chosen by name, whatever method the file chooses.

    Args:
        experiment: Of a file of the method's algorithm.
        name: A key of `METHODS`.
        source: The file, for error messages.

    Raises:
        ConfigurationError: If the method does not go with the experiment's other keys.
    """
    keys = experiment.as_keys()
    keys |= {key: on for key, on in keys_of(name).items() if key in keys}
    if not keys.get("use-vime"):
        keys.pop("bonus-credit", None)  # Without a bonus there is none to give.
    return parsing.parse(keys, source=source)


def label(name: str) -> str:
    """What people call the method of that folder name, which what tells it apart may follow; else the name itself."""
    first, *rest = name.split(" ", 1)
    return " ".join([METHODS[first].label, *rest]) if first in METHODS else name


def folder_name(label: str) -> str:
    """The folder name of what `config.json` calls a method."""
    names = {method.label: name for name, method in METHODS.items()}
    return names.get(label, label.lower())


def in_order(names: set[str]) -> list[str]:
    """Names of methods in the order of the table above, others behind them by alphabet."""
    known = list(METHODS)

    def place(name: str) -> int:
        first = name.split(" ")[0]
        return known.index(first) if first in known else len(known)

    return sorted(names, key=lambda name: (place(name), name))
