"""A Bayesian neural network with factorised Gaussian weights."""

import math
from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

LIKELIHOOD_STD = 0.1
MONTE_CARLO_SAMPLES = 3
SMALL_STEP = 0.02


class Layer(eqx.Module):
    """One number for each weight and bias of a linear layer."""

    weight: Float[Array, "out in"]
    bias: Float[Array, "out"]


class BayesianNetwork(eqx.Module):
    """Tanh network whose weights are independent normal variables.

    The posterior of a weight is N(mean, softplus(rho)²), its prior N(0, prior_sd²). Means start at N(0, 1), standard
    deviations at the prior's.

    Args:
        in_size: Numbers in an input.
        out_size: Numbers in an output.
        hidden_sizes: Width of each hidden layer.
        prior_sd: Standard deviation of the prior.
        key: For the initial means.
    """

    mean: tuple[Layer, ...]
    rho: tuple[Layer, ...]
    prior_sd: float = eqx.field(static=True)

    def __init__(self, in_size: int, out_size: int, *, hidden_sizes: Sequence[int], prior_sd: float, key: PRNGKeyArray):
        sizes = [in_size, *hidden_sizes, out_size]
        keys = jax.random.split(key, len(sizes) - 1)
        self.mean = tuple(
            Layer(weight=samples[:, :-1], bias=samples[:, -1])
            for samples in (jax.random.normal(k, (o, i + 1)) for k, i, o in zip(keys, sizes[:-1], sizes[1:]))
        )
        self.rho = jax.tree.map(lambda mean: jnp.full_like(mean, inverse_softplus(prior_sd)), self.mean)
        self.prior_sd = prior_sd

    def __call__(self, inputs: Float[Array, "in"], noise: Float[Array, "units"]) -> Float[Array, "out"]:
        """The output for one example under one draw of the weights.

        Draws pre-activations in place of weights (Kingma et al. 2015, arXiv 1506.02557, equation 6): the same
        distribution for a single example, at the cost of two matrix products.

        Args:
            inputs: The example.
            noise: A standard normal number for each unit.
        """
        drawn = 0
        for depth, (mean, std) in enumerate(zip(self.mean, self.std)):
            hidden = inputs if depth == 0 else jnp.tanh(inputs)
            centre = hidden @ mean.weight.T + mean.bias
            variance = hidden**2 @ (std.weight**2).T + std.bias**2
            inputs = centre + jnp.sqrt(variance) * noise[drawn : drawn + centre.size]
            drawn += centre.size
        return inputs

    def draw(self, *shape: int, key: PRNGKeyArray) -> Float[Array, "*shape samples units"]:
        """Noise for the Monte-Carlo samples of an example, or of as many as `shape` says, all independent."""
        units = sum(mean.bias.size for mean in self.mean)
        return jax.random.normal(key, (*shape, MONTE_CARLO_SAMPLES, units))

    @property
    def std(self) -> tuple[Layer, ...]:
        """Standard deviations of the posterior."""
        return jax.tree.map(jax.nn.softplus, self.rho)

    def predict(self, inputs: Float[Array, "in"]) -> Float[Array, "out"]:
        """The output for one example with every weight at its mean."""
        for depth, mean in enumerate(self.mean):
            hidden = inputs if depth == 0 else jnp.tanh(inputs)
            inputs = hidden @ mean.weight.T + mean.bias
        return inputs

    def divergence_from_prior(self) -> Float[Array, ""]:
        """KL(posterior || prior) over all weights, in nats."""
        return _sum_of_leaves(lambda mean, std: normal_kl(mean, std, self.prior_sd), self.mean, self.std)

    def divergence_after(self, step: "BayesianNetwork", *, largest: float = math.inf) -> Float[Array, ""]:
        """KL(posterior after the parameters moved by `step` || posterior), in nats.

        Takes the step itself, not the network at its end: the difference of two nearby parameters has few digits left
        in float32.

        Args:
            step: Of every parameter.
            largest: A bound of the step's numbers, if one is known. Up to `SMALL_STEP`, series take the place of
                exponentials and logarithms: the same to 4e-7 of the value, two to three times as fast.
        """
        small = largest <= SMALL_STEP
        growth = jax.tree.map(growth_after_small_step if small else growth_after, self.rho, step.rho, self.std)
        # The growth is no larger than the step: sigmoid(rho) <= softplus(rho).
        spread = _sum_of_leaves(normal_kl_of_small_growth if small else normal_kl_of_growth, growth)
        return spread + _sum_of_leaves(lambda change, std: 0.5 * (change / std) ** 2, step.mean, self.std)


def normal_kl(mean_difference: Array, std: Array, other_std: Array | float) -> Array:
    """KL(N(m, std²) || N(m', other_std²)) with mean_difference = m - m', elementwise, in nats."""
    log_ratio = jnp.log(std / other_std)
    return 0.5 * jnp.expm1(2 * log_ratio) - log_ratio + 0.5 * (mean_difference / other_std) ** 2


def growth_after(rho: Array, change: Array, std: Array) -> Array:
    """By what share std = softplus(rho) grows when rho changes, elementwise."""
    # softplus(rho + change) = softplus(rho) + log1p(sigmoid(rho) expm1(change)).
    return jnp.log1p(jax.nn.sigmoid(rho) * jnp.expm1(change)) / std


def growth_after_small_step(rho: Array, change: Array, std: Array) -> Array:
    """The same by softplus's Taylor series in the change, up to its third power."""
    slope = jax.nn.sigmoid(rho)
    return slope * change * (1 + (1 - slope) * change / 2 * (1 + (1 - 2 * slope) * change / 3)) / std


def normal_kl_of_growth(growth: Array) -> Array:
    """KL(N(m, ((1 + growth) std)²) || N(m, std²)), elementwise, in nats: growth + growth² / 2 - log(1 + growth)."""
    exact = growth + 0.5 * growth**2 - jnp.log1p(growth)
    return jnp.where(jnp.abs(growth) < 0.03, normal_kl_of_small_growth(growth), exact)


def normal_kl_of_small_growth(growth: Array) -> Array:
    """The same by its Taylor series, up to the fifth power."""
    return growth**2 * (1 - growth * (1 / 3 - growth * (1 / 4 - growth / 5)))


def negative_log_likelihood(
    network: BayesianNetwork,
    inputs: Float[Array, "in"],
    target: Float[Array, "out"],
    noise: Float[Array, "samples units"],
) -> Float[Array, ""]:
    """-E log N(target; output, 0.1²) for one example, over independent draws of the weights."""
    outputs = jax.vmap(network, in_axes=(None, 0))(inputs, noise)
    standardised = (target - outputs) / LIKELIHOOD_STD
    normaliser = target.size * math.log(LIKELIHOOD_STD * math.sqrt(2 * math.pi))
    return jnp.mean(jnp.sum(0.5 * standardised**2, axis=-1)) + normaliser


def loss(
    network: BayesianNetwork,
    inputs: Float[Array, "examples in"],
    targets: Float[Array, "examples out"],
    valid: Bool[Array, "examples"],
    noise: Float[Array, "examples samples units"],
    *,
    kl_scale: float,
) -> Float[Array, ""]:
    """Negative evidence lower bound per example: KL(posterior || prior) / N - E log p(target | input).

    Args:
        network: The network.
        inputs: One example a row.
        targets: What it should have predicted.
        valid: Which examples count; N is their number.
        noise: The network's `draw` for the examples.
        kl_scale: Factor of the divergence.

    References:
        Blundell et al. 2015, arXiv 1505.05424, equation 3.
    """
    losses = jax.vmap(negative_log_likelihood, in_axes=(None, 0, 0, 0))(network, inputs, targets, noise)
    count = jnp.maximum(jnp.sum(valid), 1)
    return kl_scale * network.divergence_from_prior() / count + jnp.sum(jnp.where(valid, losses, 0)) / count


def inverse_softplus(value: float) -> float:
    """The number whose softplus is `value`."""
    return value + math.log(-math.expm1(-value))


def _sum_of_leaves(function, *trees) -> Float[Array, ""]:
    return sum(jnp.sum(leaf) for leaf in jax.tree.leaves(jax.tree.map(function, *trees)))
