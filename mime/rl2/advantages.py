"""What the decisions of a trial are worth: advantage estimation that runs on over the ends of its episodes."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from mime.numerics.parallel import mean_over_tasks
from mime.numerics.statistics import masked_mean

Steps = Float[Array, "steps"]


def trial_advantages(
    rewards: Steps, values: Steps, valid: Bool[Array, "steps"], *, gamma: float, gae_lambda: float
) -> Steps:
    """GAE(gamma, lambda) over a whole trial (Schulman et al. 2016, arXiv 1506.02438, equation 16).

    A trial is one long episode: what an episode leaves in the memory counts in those after it. After its last step
    there is nothing. Steps that did not take place, after an early end of an episode, are passed over without a
    discount.

    Args:
        rewards: Of the steps, one episode behind the other.
        values: Estimates of the discounted sum of rewards from each step on, to the end of the trial.
        valid: False for steps that did not take place.
        gamma: Discount.
        gae_lambda: Decay.

    Returns:
        Advantages, 0 for steps that did not take place.
    """

    def back(later: tuple[Array, Array], step: tuple[Array, Array, Array]) -> tuple[tuple[Array, Array], Array]:
        advantage, next_value = later
        reward, value, valid = step
        new = reward + gamma * next_value - value + gamma * gae_lambda * advantage
        later = jnp.where(valid, new, advantage), jnp.where(valid, value, next_value)
        return later, jnp.where(valid, new, 0)

    nothing = jnp.zeros((), rewards.dtype)
    return jax.lax.scan(back, (nothing, nothing), (rewards, values, valid), reverse=True)[1]


def standardised(
    advantages: Float[Array, "tasks trials steps"], valid: Bool[Array, "tasks trials steps"]
) -> Float[Array, "tasks trials steps"]:
    """With zero mean and unit variance over the batch, in which each task counts the same; 0 in steps not valid."""
    mean = mean_over_tasks(masked_mean)
    centred = advantages - mean(advantages, valid)
    variance = mean(centred**2, valid)
    return jnp.where(valid, centred / jnp.sqrt(jnp.where(variance > 0, variance, 1)), 0)
