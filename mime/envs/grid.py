"""Cells of the plane, in which exploration is measured: which of those within reach a batch of episodes visited."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int


class Grid(NamedTuple):
    """Square cells, some of which count.

    Attributes:
        corner: Coordinates (x, y) of the grid's lowest corner.
        width: Of a cell.
        within_reach: The cells `[x, y]` that count.
    """

    corner: tuple[float, float]
    width: float
    within_reach: Bool[np.ndarray, "columns rows"]

    def places(self, positions: Float[Array, "*batch 2"]) -> Int[Array, "*batch"]:
        """The place of each position's cell in the flattened grid; one past its end for positions off the grid."""
        cell = jnp.floor((positions - jnp.array(self.corner)) / self.width)
        columns, rows = shape = self.within_reach.shape
        # Compared before the conversion: a number that is not finite is off the grid, too.
        inside = jnp.all((cell >= 0) & (cell < jnp.array(shape)), axis=-1)
        column, row = jnp.moveaxis(jnp.where(inside[..., None], cell, 0).astype(int), -1, 0)
        return jnp.where(inside, column * rows + row, columns * rows)

    def coverage(self, positions: Float[Array, "*batch 2"], valid: Bool[Array, "*batch"]) -> Float[Array, ""]:
        """The share of the cells within reach that hold at least one of the valid positions."""
        places = jnp.where(valid, self.places(positions), self.within_reach.size)
        visited = jnp.zeros(self.within_reach.size, bool).at[places].set(True, mode="drop")
        within_reach = self.within_reach.ravel()
        return jnp.sum(visited & within_reach) / within_reach.sum()


def disc(radius: float, *, within: float) -> Grid:
    """Cells of width 1 around the origin, which is the middle of one.

    Args:
        radius: Cells count whose centres are at most so far from the origin...
        within: ... and whose coordinates are at most this.
    """
    most = int(min(radius, within))
    centres = np.arange(-most, most + 1)
    within_reach = np.hypot(*np.meshgrid(centres, centres)) <= radius
    return Grid((-most - 0.5, -most - 0.5), 1.0, within_reach)
