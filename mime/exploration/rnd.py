"""Random network distillation: reward for states on which a network has not yet learned to imitate another."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from mime.exploration.prediction import Network, Prediction, Step


class RandomNetworkDistillation(Prediction):
    """The bonus |predictor(next observation) - target(next observation)|², the target a network that stays as drawn.

    What has been seen often, in whatever task and iteration, becomes predictable; what is new is not.

    References:
        Burda et al. 2019, arXiv 1810.12894.
    """

    embedding_size = 16

    def networks(self, *, key: PRNGKeyArray) -> tuple[Network, Network]:
        """Predictor and target."""
        sizes = self.observation_size, *self.hidden_sizes, self.embedding_size
        predictor_key, target_key = jax.random.split(key)
        return Network(sizes, key=predictor_key), Network(sizes, key=target_key)

    def novelty(self, networks: tuple[Network, Network], step: Step) -> Float[Array, ""]:
        """The predictor's mean squared error."""
        predictor, target = networks
        return jnp.mean((predictor(step.arrived) - jax.lax.stop_gradient(target(step.arrived))) ** 2)

    def loss(self, networks: tuple[Network, Network], step: Step, *, key: PRNGKeyArray) -> Float[Array, ""]:
        """The predictor's mean squared error; the target's gradient is zero."""
        predictor, target = networks
        return self.novelty((predictor, jax.lax.stop_gradient(target)), step)
