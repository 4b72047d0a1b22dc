"""Checkpoints: the complete state of training, from which a run goes on as if it had never stopped."""

import hashlib
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

KEPT = 3


class Checkpoints:
    """Numbered checkpoints of a run, written in the background and atomically; the last three are kept.

    Args:
        folder: Where they are.
    """

    def __init__(self, folder: Path):
        options = ocp.CheckpointManagerOptions(max_to_keep=KEPT, enable_async_checkpointing=True)
        self._manager = ocp.CheckpointManager(folder.absolute(), options=options)

    def save(self, iteration: int, state: Any, record: dict[str, Any]) -> None:
        """Begin to write a checkpoint; returns before it is on disk.

        Args:
            iteration: Its number.
            state: Pytree of arrays.
            record: Anything else, as JSON.
        """
        leaves = _named_leaves(state)
        record = record | {"digest": _digest(leaves)}
        arguments = ocp.args.Composite(state=ocp.args.StandardSave(leaves), record=ocp.args.JsonSave(record))
        self._manager.save(iteration, args=arguments)

    def finish(self) -> None:
        """Wait until what was saved is on disk."""
        self._manager.wait_until_finished()

    def restore(self, like: Any) -> tuple[Any, dict[str, Any], list[str]]:
        """The newest intact checkpoint.

        Args:
            like: A state of the same structure, shapes, types and devices.

        Returns:
            State and record, or None and an empty record if no checkpoint is intact; and a line about every
            damaged one that was passed over.
        """
        damaged = []
        for iteration in sorted(self._manager.all_steps(), reverse=True):
            try:
                return *self._restored(iteration, like), damaged
            except Exception as error:  # Whatever a damaged file makes the reader raise, an older one may do.
                reason = " ".join(str(error).split())[:120]
                damaged.append(f"checkpoint {iteration} is damaged ({reason}) and was passed over")
                self._manager.delete(iteration)
        return None, {}, damaged

    def close(self) -> None:
        """Wait for pending writes and release the folder."""
        self._manager.close()

    def _restored(self, iteration: int, like: Any) -> tuple[Any, dict[str, Any]]:
        shapes = jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding), _named_leaves(like)
        )
        arguments = ocp.args.Composite(state=ocp.args.StandardRestore(shapes), record=ocp.args.JsonRestore())
        restored = self._manager.restore(iteration, args=arguments)
        if _digest(restored["state"]) != restored["record"]["digest"]:
            raise ValueError("its numbers do not match their digest")
        leaves = [restored["state"][name] for name in _named_leaves(like)]
        return jax.tree.unflatten(jax.tree.structure(like), leaves), restored["record"]


def _named_leaves(tree: Any) -> dict[str, jax.Array]:
    return {jax.tree_util.keystr(path): leaf for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]}


def _digest(leaves: dict[str, jax.Array]) -> str:
    digest = hashlib.sha256()
    for name in sorted(leaves):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(leaves[name]).tobytes())
    return digest.hexdigest()
