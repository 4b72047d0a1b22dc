"""What `config.json` says of a run's tests, and whether the last one was of the weights that are there."""

from pathlib import Path
from typing import Any

from mime.runs.files import digest


def recorded_tests(document: dict[str, Any]) -> list[dict[str, Any]]:
    """What `config.json` says of a run's tests on held-out tasks, the last one last; earlier versions said nothing."""
    tests = document.get("tests", [])
    whole = isinstance(tests, list) and all(isinstance(test, dict) and test.keys() >= {"seed"} for test in tests)
    return [test for test in tests if test.get("tasks", "test") == "test"] if whole else []


def is_stale(folder: Path, document: dict[str, Any]) -> bool:
    """Whether the weights have changed since the last test, as far as `config.json` can tell."""
    tested = [test.get("weights") for test in recorded_tests(document)[-1:]]
    return bool(tested) and tested[0] != digest(folder / "policy.safetensors")
