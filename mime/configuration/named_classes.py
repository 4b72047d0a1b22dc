"""Classes that a configuration names as `module:Class`. Imports no JAX."""

import importlib
import os
import re
import sys
from typing import Any

CLASS_NAME = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")


def is_class_name(name: str) -> bool:
    """Whether a name has the form `module:Class`."""
    return CLASS_NAME.fullmatch(name) is not None


def import_class(name: str) -> Any:
    """The class of that name. Its module is imported, which executes it; files in the current folder are found.

    Args:
        name: `module:Class` or `package.module:Class`.

    Raises:
        ValueError: If there is none. The message goes on after the name.
    """
    module_name, _, class_name = name.partition(":")
    if module_name == "__main__":
        raise ValueError(
            f"is in the running script or notebook, which tests, resumed runs and worker processes cannot import: save"
            f" the class in a file, as my_file.py, and name it my_file:{class_name}"
        )
    folder = os.getcwd()
    # Last, so that no file here stands in for an installed module; it stays, for what the module imports later, and
    # worker processes get it with the rest of the path.
    if folder not in sys.path:
        sys.path.append(folder)
        importlib.invalidate_caches()
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # Whatever a module may raise while it is imported.
        top = module_name.partition(".")[0]
        missing = isinstance(error, ModuleNotFoundError) and error.name == top
        advice = f". Is this the folder that holds {top}.py? It is {folder}" if missing else ""
        raise ValueError(f"cannot be imported: {type(error).__name__}: {error}{advice}") from None
    found = getattr(module, class_name, None)
    if found is None:
        raise ValueError(f"does not exist: {module.__file__} has no {class_name}")
    return found
