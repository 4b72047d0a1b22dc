"""The inner loop: a policy-gradient step from shared parameters to a task's own."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from mime.numerics.statistics import masked_mean, standardise
from mime.policies.distributions import Distribution, Gaussian, Joint
from mime.policies.networks import LatentPolicy, Policy
from mime.sampling.episodes import Episodes


def adapt(
    policy: Policy,
    episodes: Episodes,
    advantages: Float[Array, "trajectories steps"],
    *,
    fast_lr: float | Policy,
    first_order: bool,
) -> Policy:
    """The policy after one gradient step on one task: theta' = theta - fast_lr * grad of -mean(log pi(a|o) A).

    Args:
        policy: Parameters theta.
        episodes: Of the task, collected by `policy`.
        advantages: Of the episodes' steps.
        fast_lr: Rate of the step: a number, or one for each parameter.
        first_order: Take the gradient at parameters that count as constant when differentiating through the step. It
            still depends on the advantages.

    Returns:
        Parameters theta', differentiable with respect to theta, the rates and the advantages.

    References:
        Finn et al. 2017, MAML, arXiv 1703.03400, algorithm 3; Li et al. 2017, Meta-SGD, arXiv 1707.09835, for rates of
        each parameter.
    """

    def loss(policy: Policy) -> Float[Array, ""]:
        log_probs = distributions(policy, episodes).log_prob(episodes.decisions)
        return -masked_mean(log_probs * advantages, episodes.valid)

    gradient = jax.grad(loss)(jax.lax.stop_gradient(policy) if first_order else policy)
    rates = jax.tree.map(lambda _: fast_lr, policy) if isinstance(fast_lr, float) else fast_lr
    adapted = jax.tree.map(lambda parameter, rate, slope: parameter - rate * slope, policy, rates, gradient)
    if not isinstance(policy, LatentPolicy):
        return adapted
    latent = adapt_latent(policy.latent, episodes.latents[:, 0], advantages[:, 0], rates.latent_mean)
    return eqx.tree_at(lambda p: (p.latent_mean, p.latent_log_std), adapted, (latent.mean, latent.log_std))


def adapt_latent(
    latent: Gaussian,
    drawn: Float[Array, "trajectories latent"],
    advantages: Float[Array, "trajectories"],
    rate: Float[Array, "latent"] | float,
) -> Gaussian:
    """The latent's distribution q after a step towards the trajectories that were better than the others.

    It is the normal distribution with the first two moments of (1 - rate) q + rate * w, where w gives each trajectory
    whose advantage is above their mean a share in proportion to the difference: a natural-gradient step on
    reward-weighted likelihood. One successful trajectory out of many suffices to turn the next ones towards it, where
    a step on the mean of A log q would need a rate that throws q far away once most of them succeed. Where all are
    alike q stays.

    A latent is drawn before anything is observed, so that its baseline is the mean over the trajectories. The fitted
    one's error is the same for all that start alike, and over a long horizon larger than a rare reward is worth there.

    Args:
        latent: The distribution q.
        drawn: Latents of the trajectories.
        advantages: Of their first steps; what they have in common does not matter.
        rate: Between 0 and 0.95; cut to that.

    References:
        Peters & Schaal 2007, reward-weighted regression; Rubinstein 1999, the cross-entropy method.
    """
    positive = jnp.maximum(standardise(advantages, jnp.ones_like(advantages, bool)), 0)
    total = jnp.sum(positive)
    shares = positive / jnp.where(total > 0, total, 1)
    rate = jnp.where(total > 0, jnp.clip(rate, 0, 0.95), 0)
    better = shares @ drawn
    mean = latent.mean + rate * (better - latent.mean)
    # Variance of the mixture: within its two parts, and between them.
    within = (1 - rate) * jnp.exp(2 * latent.log_std) + rate * (shares @ (drawn - better) ** 2)
    return Gaussian(mean, 0.5 * jnp.log(within + rate * (1 - rate) * (better - latent.mean) ** 2))


def distributions(policy: Policy, episodes: Episodes) -> Distribution:
    """The policy's distribution of its decision at every step of one task's episodes, `[trajectories steps ...]`."""
    if not isinstance(policy, LatentPolicy):
        return jax.vmap(jax.vmap(policy))(episodes.observations)
    actions = jax.vmap(jax.vmap(policy))(episodes.observations, episodes.latents)
    latent = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, episodes.latents.shape), policy.latent)
    return Joint(actions, latent, drawn=jnp.zeros(episodes.rewards.shape).at[:, 0].set(1))


def share(tree, num_tasks: int):
    """The same parameters for each of `num_tasks` tasks: a leading `tasks` axis on every leaf."""
    return jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (num_tasks, *leaf.shape)), tree)
