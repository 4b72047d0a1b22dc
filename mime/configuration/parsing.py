"""Configurations from YAML files and from mappings of keys: the family of methods, the scale, what is refused."""

import difflib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mime.configuration.gradients import Experiment
from mime.configuration.keys import Configuration, ConfigurationError, brief, kebab, nearest
from mime.configuration.pearl import PearlExperiment
from mime.configuration.rl2 import Rl2Experiment
from mime.configuration.yaml_text import parse_yaml

ALGORITHM, SCALES = "algorithm", "scales"
ALGORITHMS: dict[str, type[Configuration]] = {"pearl": PearlExperiment, "rl2": Rl2Experiment}
KEYS = tuple(kebab(name) for name in Experiment.model_fields)


def load(path: Path, *, scale: str | None = None) -> Configuration:
    """The experiment in a YAML file.

    Args:
        path: The file.
        scale: Name of an entry under `scales` in the file: keys whose values there replace those of the experiment.

    Raises:
        ConfigurationError: If the file cannot be read, or a key or value is not allowed.
    """
    document = _read(path)
    if not isinstance(document, dict):
        return parse(document, source=str(path))
    scales = document.pop(SCALES, None) or {}
    if not isinstance(scales, dict) or not all(isinstance(keys, dict) for keys in scales.values()):
        raise ConfigurationError(f"{path}: {SCALES}: must name lists of `key: value` lines, not {brief(scales)}")
    if scale is None:
        return parse(document, source=str(path))
    if scale not in scales:
        there_are = f"it has {', '.join(scales)}" if scales else "it has none"
        raise ConfigurationError(f"{path}: {SCALES}: has no {scale}; {there_are}")
    return parse(_by_key(document, path) | _by_key(scales[scale], path), source=str(path))


def parse(document: Any, *, source: str) -> Configuration:
    """The experiment described by keys and values.

    Args:
        document: Mapping from keys in kebab-case (or with underscores) to values. The key `algorithm` chooses the
            algorithm whose keys the others are, one of `ALGORITHMS`, or without it a gradient-based one.
        source: Where they come from, for error messages.

    Raises:
        ConfigurationError: One line for each key or value that is not allowed.
    """
    if not isinstance(document, dict):
        raise ConfigurationError(f"{source}: must be a list of `key: value` lines, not {brief(document)}")
    kind = _algorithm(document.get(ALGORITHM), source)
    keys = tuple(kebab(name) for name in kind.model_fields)
    unknown = [key for key in document if kebab(str(key)) not in keys]
    if unknown:
        lines = [f"{source}: {key}: unknown key{nearest(str(key), keys)}" for key in unknown]
        raise ConfigurationError("\n".join(lines))
    try:
        return kind.model_validate(_by_key(document, source))
    except ConfigurationError as error:
        raise ConfigurationError("\n".join(f"{source}: {line}" for line in str(error).splitlines())) from None


def require_used(experiment: Configuration, keys: Iterable[str]) -> None:
    """Refuse keys that were asked for and have no effect. Files may hold keys of methods that they do not choose.

    Args:
        experiment: The configuration with them.
        keys: In kebab-case.

    Raises:
        ConfigurationError: Naming the first of them, and what it needs.
    """
    for key in keys:
        flag = experiment.unused(key)
        if flag is not None:
            raise ConfigurationError(f"{key}: has no effect on {experiment.method}; add {flag}, or leave it out")


def _read(path: Path) -> Any:
    try:
        document = parse_yaml(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigurationError(f"{path}: no such file{_nearest_file(path)}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: cannot be read: {error}") from None
    except ValueError as error:
        raise ConfigurationError(f"{path}: {error}") from None
    return {} if document is None else document


def _by_key(document: dict[Any, Any], source: str | Path) -> dict[str, Any]:
    """The document under the keys as they are spelt in files."""
    spelt: dict[str, Any] = {}
    for key in document:
        if (name := kebab(str(key))) in spelt:
            raise ConfigurationError(f"{source}: {name}: is given twice, as {spelt[name]} and {key}; leave one out")
        spelt[name] = key
    return {name: document[key] for name, key in spelt.items()}


def _algorithm(name: Any, source: str) -> type[Configuration]:
    if name is None:
        return Experiment
    if not isinstance(name, str) or name not in ALGORITHMS:
        known = " or ".join(ALGORITHMS)
        raise ConfigurationError(f"{source}: {ALGORITHM}: {brief(name)} is not {known}; leave the key out for the rest")
    return ALGORITHMS[name]


def _nearest_file(path: Path) -> str:
    siblings = [entry.name for entry in path.parent.glob("*.y*ml")] if path.parent.is_dir() else []
    near = difflib.get_close_matches(path.name, siblings, n=1, cutoff=0.5)
    return f"; did you mean {path.parent / near[0]}?" if near else ""
