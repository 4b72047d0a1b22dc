"""The outer step: trust region policy optimisation (Schulman et al. 2015, arXiv 1502.05477)."""

from collections.abc import Callable
from enum import IntEnum
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jax.scipy.sparse.linalg import cg
from jaxtyping import Array, Bool, Float, Int

from mime.numerics.finite import all_finite, select

Parameters = Any
Outputs = Any


class OuterStep(IntEnum):
    """What became of a step."""

    ACCEPTED = 0
    NO_IMPROVEMENT = 1
    """The shortest step tried did not improve the surrogate."""
    OUTSIDE_TRUST_REGION = 2
    """The shortest step tried left the trust region."""
    NOT_FINITE = 3
    """The gradient, or the surrogate or KL of every step tried, was infinite or not a number."""


class Sample(NamedTuple):
    """A part of the data, to estimate the Fisher matrix from: `step`'s functions, restricted to it."""

    outputs: Callable[[Parameters], Outputs]
    divergence: Callable[[Outputs, Outputs], Float[Array, ""]]


class Report(eqx.Module):
    """What a step did.

    Attributes:
        verdict: An `OuterStep`; unless accepted, the parameters are the old ones.
        improvement: Of the surrogate; 0 if refused.
        kl: Divergence of the accepted parameters from the old ones, in nats; 0 if refused.
        line_search_steps: Step sizes tried.
        gradient_norm: Euclidean norm of the surrogate's gradient.
    """

    verdict: Int[Array, ""]
    improvement: Float[Array, ""]
    kl: Float[Array, ""]
    line_search_steps: Int[Array, ""]
    gradient_norm: Float[Array, ""]


class _Search(eqx.Module):
    """State of the line search."""

    tried: Int[Array, ""]
    accepted: Bool[Array, ""]
    parameters: Parameters
    improvement: Float[Array, ""]
    kl: Float[Array, ""]


def step(
    parameters: Parameters,
    outputs: Callable[[Parameters], Outputs],
    surrogate: Callable[[Outputs, Outputs], Float[Array, ""]],
    divergence: Callable[[Outputs, Outputs], Float[Array, ""]],
    *,
    max_kl: float,
    cg_iters: int,
    cg_damping: float,
    ls_max_steps: int,
    ls_backtrack_ratio: float,
    sample: Sample | None = None,
) -> tuple[Parameters, Report]:
    """Maximise a surrogate of the outputs within a trust region of their divergence from the old outputs.

    Args:
        parameters: Old parameters, a pytree of arrays.
        outputs: Any pytree of arrays that is all that surrogate and divergence depend on, such as the distributions
            of the actions.
        surrogate: Of (new outputs, old outputs), to be maximised.
        divergence: Of (new outputs, old outputs); zero, with zero gradient, where they are equal.
        max_kl: The trust region: divergence below this.
        cg_iters: Iterations of conjugate gradient.
        cg_damping: Multiple of the identity added to the Fisher matrix.
        ls_max_steps: Step sizes tried.
        ls_backtrack_ratio: Ratio of consecutive step sizes.
        sample: Of the data, for the Fisher products; all of it by default. The trust region is always that of all.

    Returns:
        The new parameters, or the old ones where no step improved the surrogate inside the trust region.
    """
    # One linearisation serves the gradient and every Fisher product, unless those see a sample.
    linearised = _linearised(outputs, parameters)
    old, _, transposed_product = linearised
    gradient = transposed_product(jax.grad(surrogate)(old, old))[0]
    if sample is None:
        fisher_product = _fisher_product(*linearised, divergence)
    else:
        fisher_product = _fisher_product(*_linearised(sample.outputs, parameters), sample.divergence)

    def damped_product(vector: Parameters) -> Parameters:
        return optax.tree.add_scale(fisher_product(vector), cg_damping, vector)

    direction, _ = cg(damped_product, gradient, maxiter=cg_iters)
    # x^T F x, without another product: conjugate gradient's residual g - F x is orthogonal to its solution x.
    squared_length = optax.tree.vdot(direction, gradient)
    scale = jnp.where(squared_length > 0, jnp.sqrt(2 * max_kl / jnp.where(squared_length > 0, squared_length, 1)), 0)
    full_step = optax.tree.scale(scale, direction)
    old_surrogate = surrogate(old, old)

    def searching(search: _Search) -> Bool[Array, ""]:
        return ~search.accepted & (search.tried < ls_max_steps)

    def backtrack(search: _Search) -> _Search:
        candidate = optax.tree.add_scale(parameters, ls_backtrack_ratio**search.tried, full_step)
        new = outputs(candidate)
        improvement, kl = surrogate(new, old) - old_surrogate, divergence(new, old)
        accepted = (improvement > 0) & (kl < max_kl) & all_finite((candidate, improvement, kl))
        return _Search(search.tried + 1, accepted, candidate, improvement, kl)

    start = _Search(jnp.zeros((), int), jnp.zeros((), bool), parameters, jnp.zeros(()), jnp.zeros(()))
    search = jax.lax.while_loop(searching, backtrack, start)
    refusal = jnp.where(search.improvement > 0, OuterStep.OUTSIDE_TRUST_REGION, OuterStep.NO_IMPROVEMENT)
    finite = all_finite((gradient, old_surrogate, search.parameters, search.improvement, search.kl))
    refusal = jnp.where(finite, refusal, OuterStep.NOT_FINITE)
    report = Report(
        verdict=jnp.where(search.accepted, OuterStep.ACCEPTED, refusal),
        improvement=jnp.where(search.accepted, search.improvement, 0),
        kl=jnp.where(search.accepted, search.kl, 0),
        line_search_steps=search.tried,
        gradient_norm=optax.tree.norm(gradient),
    )
    return select(search.accepted, search.parameters, parameters), report


def _linearised(outputs: Callable[[Parameters], Outputs], parameters: Parameters) -> tuple[Outputs, Callable, Callable]:
    """The outputs, and products with their Jacobian and with its transpose."""
    old, jacobian_product = jax.linearize(outputs, parameters)
    return old, jacobian_product, jax.linear_transpose(jacobian_product, parameters)


def _fisher_product(
    old: Outputs,
    jacobian_product: Callable[[Parameters], Outputs],
    transposed_product: Callable[[Outputs], tuple[Parameters]],
    divergence: Callable[[Outputs, Outputs], Float[Array, ""]],
) -> Callable[[Parameters], Parameters]:
    """F v = J^T M J v, with J the Jacobian of the outputs and M the Hessian of the divergence in them.

    It is exact, since the divergence's gradient is zero at the old outputs.
    """

    def product(vector: Parameters) -> Parameters:
        change = jacobian_product(vector)
        curvature = jax.jvp(jax.grad(lambda new: divergence(new, old)), (old,), (change,))[1]
        return transposed_product(curvature)[0]

    return product
