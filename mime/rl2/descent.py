"""Adam on minibatches of trials: how PPO improves the policy, and either outer step the critic."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PRNGKeyArray

from mime.numerics.finite import all_finite, select
from mime.numerics.parallel import mean_over_tasks

Loss = Callable[[Any, Any], Float[Array, ""]]
"""Of parameters and of some trials `[trials ...]` of one task."""


@dataclass(frozen=True)
class Descent:
    """Several passes over a batch `[tasks trials ...]`, each in minibatches that hold as many trials of every task.

    Attributes:
        learning_rate: Of Adam.
        epochs: Passes.
        minibatches: In a pass; they divide the number of trials.
        max_gradient_norm: Euclidean norm to which longer gradients are shortened.
    """

    learning_rate: float
    epochs: int
    minibatches: int
    max_gradient_norm: float

    @property
    def optimiser(self) -> optax.GradientTransformation:
        """Adam on shortened gradients."""
        return optax.chain(optax.clip_by_global_norm(self.max_gradient_norm), optax.adam(self.learning_rate, eps=1e-5))

    def init(self, parameters: Any) -> optax.OptState:
        """The optimiser's state before the first step."""
        return self.optimiser.init(parameters)

    def __call__(
        self, loss: Loss, parameters: Any, moments: optax.OptState, batch: Any, key: PRNGKeyArray
    ) -> tuple[Any, optax.OptState, dict[str, Array]]:
        """The parameters and the optimiser's state after all steps, and metrics.

        The loss is that of a task, averaged over tasks. A step whose gradient is not finite is left out.
        """
        num_tasks, num_trials = jax.tree.leaves(batch)[0].shape[:2]

        def step(state: tuple[Any, optax.OptState], chosen: Array) -> tuple[tuple[Any, optax.OptState], Any]:
            some = jax.tree.map(lambda leaf: jax.vmap(lambda own, places: own[places])(leaf, chosen), batch)
            value, gradient = mean_gradient(loss, state[0], some)
            updates, moments = self.optimiser.update(gradient, state[1])
            finite = all_finite((value, gradient))
            state = select(finite, (optax.apply_updates(state[0], updates), moments), state)
            return state, (value, optax.tree.norm(gradient), ~finite)

        keys = jax.random.split(key, (self.epochs, num_tasks))
        orders = jax.vmap(jax.vmap(lambda key: jax.random.permutation(key, num_trials)))(keys)
        chosen = orders.reshape(self.epochs, num_tasks, self.minibatches, -1).swapaxes(1, 2)
        (parameters, moments), (losses, norms, refused) = jax.lax.scan(
            step, (parameters, moments), chosen.reshape(-1, num_tasks, num_trials // self.minibatches)
        )
        metrics = {"Loss": jnp.mean(losses), "GradientNorm": jnp.mean(norms), "RefusedUpdates": jnp.sum(refused)}
        return parameters, moments, metrics


def mean_gradient(loss: Loss, parameters: Any, batch: Any) -> tuple[Float[Array, ""], Any]:
    """The loss and its gradient, averaged over the tasks of a batch."""
    return mean_over_tasks(lambda own, trials: jax.value_and_grad(loss)(own, trials), shared=parameters)(batch)
