"""The Cholesky factorisation in matrix products and short loops alone.

LAPACK's, through JAX, has the threads wait for one another where several CPU devices factorise at once: it is then
slower by far, or never ends. This one is safe there, and as fast on one core.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

LARGEST_UNBLOCKED = 16


def cholesky(
    matrix: Float[Array, "*batch n n"], *, least_pivot: float
) -> tuple[Float[Array, "*batch n n"], Float[Array, "*batch n n"]]:
    """Lower triangular factor L of a symmetric positive definite matrix, which is L Lᵀ, and L⁻¹.

    Args:
        matrix: Of which the lower triangle counts.
        least_pivot: What no square of L's diagonal would fall below but for rounding; those that do are raised to it.
            So there is a factor whatever the rounding, and NaN only where the matrix holds NaN.
    """
    size = matrix.shape[-1]
    if size <= LARGEST_UNBLOCKED:
        return _unblocked(matrix, least_pivot)
    half = size // 2
    upper, upper_inverse = cholesky(matrix[..., :half, :half], least_pivot=least_pivot)
    across = product(matrix[..., half:, :half], transposed(upper_inverse))
    rest = matrix[..., half:, half:] - product(across, transposed(across))
    lower, lower_inverse = cholesky(rest, least_pivot=least_pivot)
    across_inverse = -product(lower_inverse, product(across, upper_inverse))
    return _triangular(upper, across, lower), _triangular(upper_inverse, across_inverse, lower_inverse)


def product(
    left: Float[Array, "*#batch rows inner"], right: Float[Array, "*#batch inner columns"]
) -> Float[Array, "*batch rows columns"]:
    """Matrix product in full float32: a GPU would round the factors to 10 bits."""
    return jnp.matmul(left, right, precision=jax.lax.Precision.HIGHEST)


def transposed(matrix: Float[Array, "*batch rows columns"]) -> Float[Array, "*batch columns rows"]:
    """Each matrix of a batch transposed."""
    return jnp.swapaxes(matrix, -1, -2)


def _unblocked(matrix, least_pivot):
    """Column by column, and then the inverse row by row."""
    size = matrix.shape[-1]
    places = jnp.arange(size)

    def eliminate(index, matrix):
        column = jax.lax.dynamic_index_in_dim(matrix, index, -1, keepdims=False)
        pivot = jnp.maximum(jax.lax.dynamic_slice_in_dim(column, index, 1, -1), least_pivot)
        # Divided by the root of the pivot as it was, the pivot itself would not become that of the raised one.
        column = jnp.where(places == index, pivot, column) * jax.lax.rsqrt(pivot)
        below = jnp.where(places > index, column, 0)
        matrix = matrix - below[..., :, None] * below[..., None, :]
        return jnp.where(places == index, column[..., :, None], matrix)

    factor = jnp.tril(jax.lax.fori_loop(0, size, eliminate, matrix))
    diagonal = jnp.diagonal(factor, axis1=-2, axis2=-1)

    def substitute(index, inverse):
        row = jax.lax.dynamic_index_in_dim(factor, index, -2, keepdims=False)
        before = jnp.where(places < index, row, 0)
        solved = (places == index) - jnp.sum(before[..., :, None] * inverse, axis=-2)
        solved /= jax.lax.dynamic_slice_in_dim(diagonal, index, 1, -1)
        return jnp.where((places == index)[:, None], solved[..., None, :], inverse)

    return factor, jax.lax.fori_loop(0, size, substitute, jnp.zeros_like(matrix))


def _triangular(upper, across, lower):
    zeros = jnp.zeros_like(transposed(across))
    return jnp.concatenate(
        [jnp.concatenate([upper, zeros], axis=-1), jnp.concatenate([across, lower], axis=-1)], axis=-2
    )
