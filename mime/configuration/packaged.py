"""The configurations that come with the package, by name: `wide-ring`, `solved/pendulum`."""

import difflib
from collections.abc import Iterable
from pathlib import Path

from mime.configuration.keys import ConfigurationError, nearest

PACKAGE = Path(__file__).parents[1]
PUBLISHED = "msc_project"
# Of the same experiments as the published ones, so that these are meant unless the folder is named.
VARIANTS = ("solved", "pearl", "rl2")


def data(name: str) -> Path:
    """A folder that comes with the package: inside an installed one, or beside it in a clone."""
    installed = PACKAGE / name
    return installed if installed.is_dir() else PACKAGE.parent / name


def names() -> dict[str, Path]:
    """The files by their names; those of `VARIANTS` have their folder before them."""
    files = sorted(data("configs").glob("**/*.yaml"))
    return {
        f"{path.parent.name}/{path.stem}" if path.parent.name in VARIANTS else path.stem: path
        for path in sorted(files, key=lambda path: (path.parent.name in VARIANTS, path.parent.name != PUBLISHED))
    }


def find(name: str | Path) -> Path:
    """The configuration file of a name.

    Args:
        name: A path of a file; or a packaged configuration's name, or a part of it that only one has: `wide-ring` for
            `2d-navigation-wide-ring-sparse`.

    Raises:
        ConfigurationError: If there is no such file, and no or more than one such configuration.
    """
    path, known = Path(name), names()
    if path.suffix in (".yaml", ".yml") or path.is_file():
        return path
    text = path.as_posix()
    prefix, _, stem = text.rpartition("/")
    matches = [each for each in known if each.rpartition("/")[0] == prefix and f"-{stem}-" in f"-{_stem(each)}-"]
    if text in known or len(matches) == 1:
        return known[text if text in known else matches[0]]
    if matches:
        raise ConfigurationError(f"{text}: could be {' or '.join(matches)}; say which")
    close = difflib.get_close_matches(text, _short(known), n=1, cutoff=0.5)
    hint = nearest(text, close or list(known))
    raise ConfigurationError(f"{text}: is neither a file nor a packaged configuration{hint}")


def _short(known: Iterable[str]) -> list[str]:
    """What each configuration may be called: its name, and what is left of it without its first and last words."""
    names = []
    for name in known:
        folder, _, stem = name.rpartition("/")
        inner = stem.removeprefix("2d-navigation-").removesuffix("-sparse").removesuffix("-navigation")
        names += [name, f"{folder}/{inner}" if folder else inner]
    return names


def _stem(name: str) -> str:
    return name.rpartition("/")[2]
