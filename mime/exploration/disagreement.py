"""Ensemble disagreement: reward for transitions that models of the dynamics, trained alike, predict differently."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from mime.exploration.prediction import Network, Prediction, Step


class EnsembleDisagreement(Prediction):
    """The bonus is the variance over an ensemble of its predictions of the change, averaged over the coordinates.

    Where the dynamics are random the models agree on the mean: unlike an error, disagreement is not drawn to noise.

    References:
        Pathak et al. 2019, arXiv 1906.04161.
    """

    num_members = 5

    def networks(self, *, key: PRNGKeyArray) -> list[Network]:
        """The ensemble."""
        sizes = self.observation_size + self.action_size, *self.hidden_sizes, self.observation_size
        return [Network(sizes, key=member_key) for member_key in jax.random.split(key, self.num_members)]

    def novelty(self, networks: list[Network], step: Step) -> Float[Array, ""]:
        """Variance of the members' predictions."""
        return jnp.mean(jnp.var(self._predictions(networks, step), axis=0))

    def loss(self, networks: list[Network], step: Step, *, key: PRNGKeyArray) -> Float[Array, ""]:
        """Mean squared error of the members that see this step: each sees it with probability one half."""
        seen = jax.random.bernoulli(key, shape=(self.num_members,))
        errors = jnp.mean((self._predictions(networks, step) - step.change) ** 2, axis=-1)
        return jnp.mean(jnp.where(seen, errors, 0))

    def _predictions(self, networks: list[Network], step: Step) -> Float[Array, "members observation"]:
        return jnp.stack([network(step.before) for network in networks])
