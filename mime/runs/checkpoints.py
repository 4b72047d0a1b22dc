"""Checkpoints: the complete state of training, from which a run goes on as if it had never stopped."""

import errno
import hashlib
from collections.abc import Generator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from mime.errors import UserError

KEPT = 3
SET_ASIDE = "unreadable_checkpoints"


class Checkpoints:
    """Numbered checkpoints of a run, written in the background and atomically; the last three are kept.

    Args:
        folder: Where they are.
    """

    def __init__(self, folder: Path):
        options = ocp.CheckpointManagerOptions(max_to_keep=KEPT, enable_async_checkpointing=True)
        self._folder = folder
        self._manager = ocp.CheckpointManager(folder.absolute(), options=options)

    def save(self, iteration: int, state: Any, record: dict[str, Any]) -> None:
        """Begin to write a checkpoint; returns before it is on disk.

        Args:
            iteration: Its number.
            state: Pytree of arrays.
            record: Anything else, as JSON.
        """
        leaves = _named_leaves(state)
        record = record | {"digest": _digest(leaves), "form": _form(leaves)}
        arguments = ocp.args.Composite(state=ocp.args.StandardSave(leaves), record=ocp.args.JsonSave(record))
        with _told(self._folder):
            self._manager.save(iteration, args=arguments)

    def finish(self) -> None:
        """Wait until what was saved is on disk.

        Raises:
            OSError: If the disk refuses it.
        """
        with _told(self._folder):
            self._manager.wait_until_finished()

    def restore(self, like: Any) -> tuple[Any, dict[str, Any], list[str]] | None:
        """The newest checkpoint that can be read. Newer ones, which cannot, are moved into a folder beside.

        Args:
            like: A state of the same structure, shapes, types and devices.

        Returns:
            State and record, and a line about every one that was moved away; None if there is no checkpoint.

        Raises:
            UserError: If there are some, of which none can be read. They stay where they are.
        """
        unreadable: dict[int, str] = {}
        for iteration in sorted(self._manager.all_steps(), reverse=True):
            try:
                state, record = self._restored(iteration, like)
            except Exception as error:  # Whatever a damaged file makes the reader raise, an older one may do.
                unreadable[iteration] = f"checkpoint {iteration} cannot be read: {' '.join(str(error).split())[:200]}"
            else:
                places = [self._set_aside(each) for each in unreadable]
                self._manager.reload()
                return state, record, [f"{line}; moved to {to}" for line, to in zip(unreadable.values(), places)]
        if unreadable:
            newest, *older = unreadable
            others = f"; nor can {', '.join(map(str, older))}" if older else ""
            raise UserError(f"{self._folder}: {unreadable[newest]}{others}. Nothing was changed")
        return None

    def close(self) -> None:
        """Wait for pending writes and release the folder."""
        with suppress(Exception):  # What the disk refuses, `finish` has told.
            self._manager.close()

    def _restored(self, iteration: int, like: Any) -> tuple[Any, dict[str, Any]]:
        shapes = jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding), _named_leaves(like)
        )
        record = self._manager.restore(iteration, args=ocp.args.Composite(record=ocp.args.JsonRestore()))["record"]
        here = _form(shapes)
        there = record.get("form", here)
        differing = [name for name in sorted(here.keys() | there.keys()) if here.get(name) != there.get(name)]
        if differing:
            forms = f"{there.get(differing[0], 'nothing')}, here {here.get(differing[0], 'nothing')}"
            raise ValueError(f"{differing[0]} is {forms}: it is of another precision, version or number of tasks")
        state = self._manager.restore(iteration, args=ocp.args.Composite(state=ocp.args.StandardRestore(shapes)))[
            "state"
        ]
        if _digest(state) != record["digest"]:
            raise ValueError("it is damaged: its numbers do not match their digest")
        leaves = [state[name] for name in _named_leaves(like)]
        return jax.tree.unflatten(jax.tree.structure(like), leaves), record

    def _set_aside(self, iteration: int) -> Path:
        place = self._folder.with_name(SET_ASIDE)
        place.mkdir(exist_ok=True)
        target = next(target for n in count(1) if not (target := place / f"{iteration}-{n}").exists())
        return (self._folder / str(iteration)).rename(target)


@contextmanager
def _told(folder: Path) -> Generator[None]:
    try:
        yield
    except OSError:
        raise
    except Exception as error:  # The writer has errors of its own for a full disk.
        reason = f"a checkpoint cannot be written: {' '.join(str(error).split())[:200]}"
        raise OSError(errno.EIO, reason, str(folder)) from None


def _named_leaves(tree: Any) -> dict[str, jax.Array]:
    return {jax.tree_util.keystr(path): leaf for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]}


def _form(leaves: dict[str, Any]) -> dict[str, str]:
    """Type and shape of each array."""
    return {name: f"{leaf.dtype}{list(leaf.shape)}" for name, leaf in leaves.items()}


def _digest(leaves: dict[str, jax.Array]) -> str:
    digest = hashlib.sha256()
    for name in sorted(leaves):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(leaves[name]).tobytes())
    return digest.hexdigest()
