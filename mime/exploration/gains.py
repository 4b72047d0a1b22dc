"""What one transition teaches a Bayesian network: KL of the posterior after one update on it from before."""

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from mime.exploration import bnn
from mime.exploration.bnn import BayesianNetwork

CLOSED_FORM_STEP = 0.01
LARGEST_ADAM_STEP = 3.2
"""In units of the rate: (1 - 0.9) / sqrt(1 - 0.999), after many gradients of zero (Kingma & Ba 2015, section 2.1)."""


def adam_gain(
    network: BayesianNetwork,
    inputs: Float[Array, "steps in"],
    targets: Float[Array, "steps out"],
    noise: Float[Array, "steps samples units"],
    *,
    rate: float,
) -> Float[Array, "steps"]:
    """KL of the posterior after one Adam step on each transition of a trajectory from the posterior before it.

    Each step starts from the same posterior; only Adam's moments run along the trajectory.
    """
    optimiser = optax.adam(rate)

    def gain(moments, gradient):
        step, moments = optimiser.update(gradient, moments)
        return moments, network.divergence_after(step, largest=LARGEST_ADAM_STEP * rate)

    gradients = likelihood_gradients(network, inputs, targets, noise)
    return jax.lax.scan(gain, optimiser.init(network), gradients)[1]


def closed_form_gain(
    network: BayesianNetwork,
    inputs: Float[Array, "steps in"],
    targets: Float[Array, "steps out"],
    noise: Float[Array, "steps samples units"],
) -> Float[Array, "steps"]:
    """step² / 2 * gradient^T H^-1 gradient, the KL of a natural-gradient step to second order (VIME, eq. 16-17).

    H is the Hessian of the KL at the posterior: 1 / std² for a mean and 2 (d std / d rho)² / std² for a rho.
    """
    gradients = likelihood_gradients(network, inputs, targets, noise)

    def mean_term(slope, std):
        return (slope * std) ** 2

    def rho_term(slope, std, rho):
        return (slope * std / jax.nn.sigmoid(rho)) ** 2 / 2

    terms = [
        jax.tree.map(mean_term, gradients.mean, network.std),
        jax.tree.map(rho_term, gradients.rho, network.std, network.rho),
    ]
    total = sum(jnp.sum(leaf, axis=range(1, leaf.ndim)) for leaf in jax.tree.leaves(terms))
    return 0.5 * CLOSED_FORM_STEP**2 * total


def likelihood_gradients(
    network: BayesianNetwork,
    inputs: Float[Array, "steps in"],
    targets: Float[Array, "steps out"],
    noise: Float[Array, "steps samples units"],
) -> BayesianNetwork:
    """Gradient of each transition's negative log-likelihood: the network's structure with a leading `steps` axis."""
    gradient = jax.grad(bnn.negative_log_likelihood)
    return jax.vmap(gradient, in_axes=(None, 0, 0, 0))(network, inputs, targets, noise)
