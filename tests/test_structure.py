"""The rooms of the package: a file imports from rooms below its own, and a name means one thing."""

import ast
import subprocess
import sys
from collections import defaultdict

import pytest

from tests.conftest import ROOT

# From the top down. Rooms of one row do not import from each other.
ORDER = (
    ("api", "cli", "__init__"),
    ("commands",),
    ("studies",),
    ("runs",),
    ("drawing",),
    ("gym",),
    ("meta", "pearl", "rl2"),
    ("exploration",),
    ("sampling",),
    ("policies",),
    ("baseline",),
    ("envs",),
    ("configuration",),
    ("numerics",),
    ("errors", "version"),
)
HEIGHTS = {room: -row for row, rooms in enumerate(ORDER) for room in rooms}
# `import mime` names what it offers to those who read its types.
ALLOWED = {("__init__", "api")}
# Families of methods: each has a learner, and so on, of its own.
FAMILIES = {"meta", "pearl", "rl2"}
PACKAGE = ROOT / "mime"
FILES = sorted(PACKAGE.rglob("*.py"))
TREES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in FILES}


def room_of(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_rooms(tree):
    """Rooms that a file imports from anywhere in it, `""` for the package itself."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for package, _, rest in (name.partition(".") for name in names):
            if package == "mime":
                yield rest.partition(".")[0]


def test_every_room_has_a_place():
    assert {room_of(path) for path in FILES} <= set(HEIGHTS)


def test_rooms_import_from_below():
    upwards = [
        f"{path.relative_to(ROOT)} imports mime.{other}"
        for path, tree in TREES.items()
        for room in [room_of(path)]
        for other in imported_rooms(tree)
        if other != room and HEIGHTS.get(other, 0) >= HEIGHTS[room] and (room, other) not in ALLOWED
    ]
    assert upwards == []


@pytest.mark.parametrize("kind", ["file", "class"])
def test_one_name_is_one_thing(kind):
    places = defaultdict(set)
    for path, tree in TREES.items():
        if kind == "class":
            for node in tree.body:
                if isinstance(node, ast.ClassDef):
                    places[node.name].add(str(path.relative_to(ROOT)))
        elif path.name != "__init__.py" and path.parent != PACKAGE and room_of(path) not in FAMILIES:
            places[path.name].add(str(path.relative_to(ROOT)))
    assert {name: sorted(paths) for name, paths in places.items() if len(paths) > 1} == {}


def test_files_are_short():
    long = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8").count("\n") for path in FILES}
    assert {path: lines for path, lines in long.items() if lines >= 300} == {}


def test_there_are_few_loose_files_and_no_utils():
    loose = [path.name for path in PACKAGE.glob("*.py")]
    assert len(loose) <= 6
    assert [path for path in FILES if {"utils", "util", "helpers", "misc"} & {path.stem, path.parent.name}] == []


def test_importing_starts_no_device():
    """Whoever imports may still say how many devices there are, or `jax.distributed.initialize()`."""
    program = """
from importlib import import_module
from pkgutil import walk_packages

import jax
import mime
from gymnasium.error import DependencyNotInstalled

for module in walk_packages(mime.__path__, "mime."):
    try:
        import_module(module.name)
    except (ImportError, DependencyNotInstalled) as error:  # An extra that is not installed.
        assert not str(getattr(error, "name", "")).startswith("mime"), error
jax.config.update("jax_num_cpu_devices", 3)
assert len(jax.devices()) == 3
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, cwd=ROOT)
    assert done.returncode == 0, done.stderr
