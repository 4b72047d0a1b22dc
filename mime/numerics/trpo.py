"""The outer step: trust region policy optimisation (Schulman et al. 2015, arXiv 1502.05477)."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Protocol, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jax.scipy.sparse.linalg import cg
from jaxtyping import Array, Bool, Float, Int

from mime.numerics.finite import all_finite, select

Parameters = Any
Outputs = Any
Linearised = tuple[Outputs, Callable, Callable]


class OuterStep(IntEnum):
    """What became of a step."""

    ACCEPTED = 0
    NO_IMPROVEMENT = 1
    """The shortest step tried did not improve the surrogate."""
    OUTSIDE_TRUST_REGION = 2
    """The shortest step tried left the trust region."""
    NOT_FINITE = 3
    """The gradient, or the surrogate or KL of the shortest step tried, was infinite or not a number."""


@runtime_checkable
class Problem(Protocol):
    """What a step improves, within which bounds.

    Surrogate and divergence are functions of the parameters' outputs, new and old: any pytree of arrays that is all
    that they depend on, such as the distributions of the actions. The surrogate is to be maximised; the divergence is
    zero, with zero gradient, where both are equal.
    """

    @property
    def surrogate(self) -> Callable[[Outputs, Outputs], Float[Array, ""]]:
        """Of (new outputs, old outputs)."""
        ...

    @property
    def divergence(self) -> Callable[[Outputs, Outputs], Float[Array, ""]]:
        """Of (new outputs, old outputs)."""
        ...

    def outputs(self, parameters: Parameters) -> Outputs:
        """Of the parameters, a pytree of arrays."""
        ...

    def restricted(self, trajectories: int) -> "Problem":
        """The same seen on a part of the data, to estimate the Fisher matrix from."""
        ...


class Report(eqx.Module):
    """What a step did.

    Attributes:
        result: An `OuterStep`; unless accepted, the parameters are the old ones.
        improvement: Of the surrogate; 0 if refused.
        kl: Divergence of the accepted parameters from the old ones, in nats; 0 if refused.
        line_search_steps: Step sizes tried.
        gradient_norm: Euclidean norm of the surrogate's gradient.
    """

    result: Int[Array, ""]
    improvement: Float[Array, ""]
    kl: Float[Array, ""]
    line_search_steps: Int[Array, ""]
    gradient_norm: Float[Array, ""]

    def metrics(self) -> dict[str, Array]:
        """Under the names of their columns."""
        return {
            "KL": self.kl,
            "SurrogateImprovement": self.improvement,
            "LineSearchSteps": self.line_search_steps,
            "OuterStep": self.result,
            "GradientNorm": self.gradient_norm,
        }


class _Search(eqx.Module):
    """State of the line search."""

    tried: Int[Array, ""]
    accepted: Bool[Array, ""]
    parameters: Parameters
    improvement: Float[Array, ""]
    kl: Float[Array, ""]


@dataclass(frozen=True)
class Trpo:
    """Maximises a surrogate within a trust region.

    Attributes:
        max_kl: The trust region: divergence below this.
        cg_iters: Iterations of conjugate gradient.
        cg_damping: Multiple of the identity added to the Fisher matrix.
        ls_max_steps: Step sizes tried.
        ls_backtrack_ratio: Ratio of consecutive step sizes.
        fisher_trajectories: Of each task, from which the Fisher matrix is estimated; None for all. The trust region is
            always that of all.
    """

    max_kl: float
    cg_iters: int
    cg_damping: float
    ls_max_steps: int
    ls_backtrack_ratio: float
    fisher_trajectories: int | None = None

    def __call__(self, parameters: Parameters, problem: Problem) -> tuple[Parameters, Report]:
        """The new parameters, or the old ones where no step improved the surrogate inside the trust region."""
        surrogate, divergence = problem.surrogate, problem.divergence
        linearised = _linearised(problem.outputs, parameters)
        old, _, transposed_product = linearised
        gradient = transposed_product(jax.grad(surrogate)(old, old))[0]
        full_step = self._full_step(gradient, self._fisher_product(parameters, problem, linearised))
        search = self._line_search(parameters, full_step, problem.outputs, old, surrogate, divergence)
        refusal = jnp.where(search.improvement > 0, OuterStep.OUTSIDE_TRUST_REGION, OuterStep.NO_IMPROVEMENT)
        old_surrogate = surrogate(old, old)
        finite = all_finite((gradient, old_surrogate, search.parameters, search.improvement, search.kl))
        refusal = jnp.where(finite, refusal, OuterStep.NOT_FINITE)
        report = Report(
            result=jnp.where(search.accepted, OuterStep.ACCEPTED, refusal),
            improvement=jnp.where(search.accepted, search.improvement, 0),
            kl=jnp.where(search.accepted, search.kl, 0),
            line_search_steps=search.tried,
            gradient_norm=optax.tree.norm(gradient),
        )
        return select(search.accepted, search.parameters, parameters), report

    def _fisher_product(
        self, parameters: Parameters, problem: Problem, linearised: Linearised
    ) -> Callable[[Parameters], Parameters]:
        # One linearisation serves the gradient and every Fisher product, unless those see a part of the data.
        if self.fisher_trajectories is None:
            return _fisher_product(*linearised, problem.divergence)
        part = problem.restricted(self.fisher_trajectories)
        return _fisher_product(*_linearised(part.outputs, parameters), part.divergence)

    def _full_step(self, gradient: Parameters, fisher_product: Callable[[Parameters], Parameters]) -> Parameters:
        """The natural gradient, as long as the trust region allows to second order."""

        def damped_product(vector: Parameters) -> Parameters:
            return optax.tree.add_scale(fisher_product(vector), self.cg_damping, vector)

        direction, _ = cg(damped_product, gradient, maxiter=self.cg_iters)
        # x^T F x, without another product: conjugate gradient's residual g - F x is orthogonal to its solution x.
        squared_length = optax.tree.vdot(direction, gradient)
        positive = squared_length > 0
        scale = jnp.where(positive, jnp.sqrt(2 * self.max_kl / jnp.where(positive, squared_length, 1)), 0)
        return optax.tree.scale(scale, direction)

    def _line_search(
        self,
        parameters: Parameters,
        full_step: Parameters,
        outputs: Callable[[Parameters], Outputs],
        old: Outputs,
        surrogate: Callable[[Outputs, Outputs], Float[Array, ""]],
        divergence: Callable[[Outputs, Outputs], Float[Array, ""]],
    ) -> _Search:
        """The first of ever shorter steps that improves the surrogate and stays within the trust region."""
        old_surrogate = surrogate(old, old)

        def searching(search: _Search) -> Bool[Array, ""]:
            return ~search.accepted & (search.tried < self.ls_max_steps)

        def backtrack(search: _Search) -> _Search:
            candidate = optax.tree.add_scale(parameters, self.ls_backtrack_ratio**search.tried, full_step)
            new = outputs(candidate)
            improvement, kl = surrogate(new, old) - old_surrogate, divergence(new, old)
            accepted = (improvement > 0) & (kl < self.max_kl) & all_finite((candidate, improvement, kl))
            return _Search(search.tried + 1, accepted, candidate, improvement, kl)

        start = _Search(jnp.zeros((), int), jnp.zeros((), bool), parameters, jnp.zeros(()), jnp.zeros(()))
        return jax.lax.while_loop(searching, backtrack, start)


def _linearised(outputs: Callable[[Parameters], Outputs], parameters: Parameters) -> Linearised:
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
