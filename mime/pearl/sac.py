"""Soft actor-critic, conditioned on the context variable z of a task."""

import math
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from mime.configuration.pearl import PearlExperiment
from mime.numerics.finite import select
from mime.pearl.encoder import Encoder, Posterior
from mime.pearl.networks import Perceptron
from mime.pearl.numpy_actor import MAX_LOG_STD, MIN_LOG_STD
from mime.pearl.replay import Transitions

Scalar = Float[Array, ""]
Metrics = dict[str, Array]

# Weights of the squared means and log standard deviations in the policy's loss, as in the original implementation.
MEAN_PENALTY, LOG_STD_PENALTY = 1e-3, 1e-3


class TanhGaussian(eqx.Module):
    """The distribution of tanh(u) for a normal u with independent coordinates: actions in [-1, 1]."""

    mean: Float[Array, "action"]
    log_std: Float[Array, "action"]

    def sample(self, *, key: PRNGKeyArray) -> Float[Array, "action"]:
        """One action."""
        return self.sample_with_log_prob(key=key)[0]

    def sample_with_log_prob(self, *, key: PRNGKeyArray) -> tuple[Float[Array, "action"], Scalar]:
        """One action, differentiable with respect to the parameters, and the logarithm of the density there."""
        unsquashed = self.mean + jnp.exp(self.log_std) * jax.random.normal(key, self.mean.shape)
        return jnp.tanh(unsquashed), self.log_prob_of_tanh(unsquashed)

    def log_prob_of_tanh(self, unsquashed: Float[Array, "action"]) -> Scalar:
        """Logarithm of the density at tanh(u).

        From u and not from the action, which float32 rounds to 1 for any u above 9; and with the logarithm of the
        derivative 1 - tanh²(u) as 2 (log 2 - u - softplus(-2 u)), which does not vanish there.
        """
        standardised = (unsquashed - self.mean) * jnp.exp(-self.log_std)
        log_normal = -0.5 * standardised**2 - self.log_std - 0.5 * math.log(2 * math.pi)
        log_slope = 2 * (math.log(2) - unsquashed - jax.nn.softplus(-2 * unsquashed))
        return jnp.sum(log_normal - log_slope)

    def mode(self) -> "TanhGaussian":
        """The distribution that always gives tanh(mean)."""
        return TanhGaussian(self.mean, jnp.full_like(self.log_std, -jnp.inf))


class Networks(eqx.Module):
    """All that gradients change.

    Attributes:
        encoder: From transitions to evidence about z.
        policy: From (o, z) to mean and log standard deviation of a `TanhGaussian`.
        critics: Two, from (o, a, z) to the soft value of the action.
        value: From (o, z) to the soft value of the state.
    """

    encoder: Encoder
    policy: Perceptron
    critics: tuple[Perceptron, Perceptron]
    value: Perceptron

    def act(self, observation: Float[Array, "observation"], latent: Float[Array, "latent"]) -> TanhGaussian:
        """The policy's distribution of the action."""
        mean, log_std = jnp.split(self.policy(observation, latent), 2)
        return TanhGaussian(mean, jnp.clip(log_std, MIN_LOG_STD, MAX_LOG_STD))


class Losses(eqx.Module):
    """What an update minimises the sum of: means over the tasks, but for the divergence, which is summed."""

    critic: Float[Array, "*tasks"]
    value: Float[Array, "*tasks"]
    policy: Float[Array, "*tasks"]
    divergence: Float[Array, "*tasks"]


class SacState(eqx.Module):
    """Everything that updates change.

    Attributes:
        networks: What gradients change.
        target_value: Slowly follows `networks.value`.
        optimiser: Adam's moments.
    """

    networks: Networks
    target_value: Perceptron
    optimiser: Any


@dataclass(frozen=True, eq=False)
class SoftActorCritic:
    """Simultaneous gradient steps on all networks, each on its own loss.

    Attributes:
        experiment: The configuration.

    References:
        Haarnoja et al. 2018, SAC, arXiv 1801.01290, with its state value network; Rakelly et al. 2019, PEARL, arXiv
        1903.08254, algorithm 1.
    """

    experiment: PearlExperiment

    def init(self, observation_size: int, action_size: int, *, key: PRNGKeyArray) -> SacState:
        """The state before training."""
        latent, width = self.experiment.latent_size, self.experiment.net_size
        encoder_key, policy_key, value_key, *critic_keys = jax.random.split(key, 5)
        encoder = Encoder(
            observation_size,
            action_size,
            latent_size=latent,
            width=self.experiment.encoder_size,
            next_observations=self.experiment.use_next_obs_in_context,
            key=encoder_key,
        )
        first, second = (
            Perceptron(observation_size + action_size + latent, 1, width=width, key=critic_key)
            for critic_key in critic_keys
        )
        networks = Networks(
            encoder=encoder,
            policy=Perceptron(observation_size + latent, 2 * action_size, width=width, key=policy_key),
            critics=(first, second),
            value=Perceptron(observation_size + latent, 1, width=width, key=value_key),
        )
        return SacState(networks, networks.value, self._optimiser().init(networks))

    def update(
        self,
        state: SacState,
        batch: Transitions,
        context: Transitions,
        context_valid: Bool[Array, "tasks contexts"],
        key: PRNGKeyArray,
    ) -> tuple[SacState, Metrics]:
        """One gradient step, which is left out if anything about it is not finite.

        Args:
            state: Before it.
            batch: Transitions `[tasks batch ...]` for actor and critics.
            context: Transitions `[tasks contexts ...]` to infer z from.
            context_valid: Which of those count.
            key: For z and the actions.

        Returns:
            The state after it, and metrics.
        """

        def total(networks: Networks) -> tuple[Scalar, Metrics]:
            keys = jax.random.split(key, len(batch.rewards))
            over_tasks = jax.vmap(self.losses, in_axes=(None, None, 0, 0, 0, 0))
            losses, metrics = over_tasks(networks, state.target_value, batch, context, context_valid, keys)
            loss = jnp.mean(losses.critic + losses.value + losses.policy) + jnp.sum(losses.divergence)
            return loss, jax.tree.map(jnp.mean, metrics)

        gradient, metrics = jax.grad(total, has_aux=True)(state.networks)
        steps, optimiser = self._optimiser().update(gradient, state.optimiser)
        networks = optax.apply_updates(state.networks, steps)
        target = optax.incremental_update(networks.value, state.target_value, self.experiment.soft_target_tau)
        # Of a finite gradient, whose square does not overflow, Adam makes nothing that is not finite.
        finite = jnp.isfinite(optax.global_norm(gradient))
        return select(finite, SacState(networks, target, optimiser), state), metrics | {"Refused": ~finite}

    def losses(
        self,
        networks: Networks,
        target_value: Perceptron,
        batch: Transitions,
        context: Transitions,
        context_valid: Bool[Array, "contexts"],
        key: PRNGKeyArray,
    ) -> tuple[Losses, Metrics]:
        """The losses on one task. Each moves its own networks alone; the encoder learns from the critics' loss.

        Args:
            networks: What to differentiate with respect to.
            target_value: The slow value network.
            batch: The task's transitions `[batch ...]`.
            context: Transitions `[contexts ...]` of the task.
            context_valid: Which of those count.
            key: For z and the actions.

        Returns:
            The losses, and metrics.
        """
        latent_key, actions_key = jax.random.split(key)
        posterior = networks.encoder(context, context_valid).posterior()
        latent = posterior.sample(key=latent_key)
        critic, values = self._critic_loss(networks, target_value, batch, latent)
        policy, value, entropy = self._actor_losses(networks, batch, jax.lax.stop_gradient(latent), actions_key)
        divergence = posterior.kl_from_prior()
        metrics = {
            "Critic/Loss": critic,
            "Critic/Q": values,
            "Value/Loss": value,
            "Policy/Loss": policy,
            "Policy/Entropy": entropy,
            "Encoder/KL": divergence,
            **_spread(posterior),
        }
        return Losses(critic, value, policy, self.experiment.kl_lambda * divergence), metrics

    def _critic_loss(
        self, networks: Networks, target_value: Perceptron, batch: Transitions, latent: Float[Array, "latent"]
    ) -> tuple[Scalar, Scalar]:
        """Squared Bellman errors of both critics, and their mean value."""
        rewards = self.experiment.reward_scale * batch.rewards
        after = jax.vmap(lambda observation: target_value(observation, latent)[0])(batch.next_observations)
        targets = jax.lax.stop_gradient(rewards + self.experiment.discount * jnp.where(batch.terminals, 0, after))
        values = _criticise(networks.critics, batch.observations, batch.actions, latent)
        return jnp.sum(jnp.mean((values - targets) ** 2, axis=1)), jnp.mean(values)

    def _actor_losses(
        self, networks: Networks, batch: Transitions, latent: Float[Array, "latent"], key: PRNGKeyArray
    ) -> tuple[Scalar, Scalar, Scalar]:
        """The losses of policy and value network, and the policy's entropy."""
        distributions = jax.vmap(networks.act, in_axes=(0, None))(batch.observations, latent)
        keys = jax.random.split(key, len(batch.rewards))
        actions, log_probs = jax.vmap(lambda d, k: d.sample_with_log_prob(key=k))(distributions, keys)
        critics = jax.lax.stop_gradient(networks.critics)
        gains = jnp.min(_criticise(critics, batch.observations, actions, latent), axis=0) - log_probs
        penalty = MEAN_PENALTY * jnp.mean(distributions.mean**2) + LOG_STD_PENALTY * jnp.mean(distributions.log_std**2)
        values = jax.vmap(lambda observation: networks.value(observation, latent)[0])(batch.observations)
        value_loss = jnp.mean((values - jax.lax.stop_gradient(gains)) ** 2)
        return penalty - jnp.mean(gains), value_loss, -jnp.mean(log_probs)

    def _optimiser(self) -> optax.GradientTransformation:
        rates = {
            "encoder": self.experiment.context_lr,
            "policy": self.experiment.policy_lr,
            "critics": self.experiment.qf_lr,
            "value": self.experiment.vf_lr,
        }
        return optax.partition({name: optax.adam(rate) for name, rate in rates.items()}, _names_of_networks)


def _criticise(
    critics: tuple[Perceptron, Perceptron],
    observations: Float[Array, "batch observation"],
    actions: Float[Array, "batch action"],
    latent: Float[Array, "latent"],
) -> Float[Array, "critics batch"]:
    """What each critic thinks of actions."""
    values = [jax.vmap(critic, in_axes=(0, 0, None))(observations, actions, latent) for critic in critics]
    return jnp.stack(values)[..., 0]


def _spread(posterior: Posterior) -> Metrics:
    return {"Encoder/Mean": jnp.mean(jnp.abs(posterior.mean)), "Encoder/Variance": jnp.mean(posterior.variance)}


def _names_of_networks(networks: Networks) -> Networks:
    """For every array, the name of the network it is of."""
    return jax.tree_util.tree_map_with_path(lambda path, _: path[0].name, networks)
