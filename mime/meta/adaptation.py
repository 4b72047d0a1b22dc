"""The inner loop: a policy-gradient step from shared parameters to a task's own."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from mime.policies import Distribution, Policy
from mime.sampling.episodes import Episodes
from mime.statistics import masked_mean


def adapt(
    policy: Policy,
    episodes: Episodes,
    advantages: Float[Array, "trajectories steps"],
    *,
    fast_lr: float,
    first_order: bool,
) -> Policy:
    """The policy after one gradient step on one task: theta' = theta - fast_lr * grad of -mean(log pi(a|o) A).

    Args:
        policy: Parameters theta.
        episodes: Of the task, collected by `policy`.
        advantages: Of the episodes' steps.
        fast_lr: Rate of the step.
        first_order: Take the gradient at parameters that count as constant when differentiating through the step. It
            still depends on the advantages.

    Returns:
        Parameters theta', differentiable with respect to theta and the advantages.

    References:
        Finn et al. 2017, MAML, arXiv 1703.03400, algorithm 3.
    """

    def loss(policy: Policy) -> Float[Array, ""]:
        log_probs = distributions(policy, episodes).log_prob(episodes.actions)
        return -masked_mean(log_probs * advantages, episodes.valid)

    gradient = jax.grad(loss)(jax.lax.stop_gradient(policy) if first_order else policy)
    return jax.tree.map(lambda parameter, slope: parameter - fast_lr * slope, policy, gradient)


def distributions(policy: Policy, episodes: Episodes) -> Distribution:
    """The policy's distribution of the action at every step of one task's episodes, `[trajectories steps ...]`."""
    return jax.vmap(jax.vmap(policy))(episodes.observations)


def share(tree, num_tasks: int):
    """The same parameters for each of `num_tasks` tasks: a leading `tasks` axis on every leaf."""
    return jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (num_tasks, *leaf.shape)), tree)
