"""Distributions against SciPy, networks against NumPy."""

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, special, stats

from mime.policies.distributions import Categorical, Gaussian
from mime.policies.feedforward import CategoricalPolicy, GaussianPolicy
from mime.policies.making import make_policy

KEY = jax.random.key(0)
ACTIVATIONS = {
    "tanh": np.tanh,
    "relu": lambda x: np.maximum(x, 0),
    "elu": lambda x: np.where(x > 0, x, np.exp(np.minimum(x, 0)) - 1),
    "sigmoid": special.expit,
}


def random_gaussian(rng, shape):
    return Gaussian(mean=jnp.asarray(rng.normal(size=shape)), log_std=jnp.asarray(rng.normal(size=shape) / 2))


def test_gaussian_log_prob():
    rng = np.random.default_rng(0)
    with jax.enable_x64(True):
        gaussian, actions = random_gaussian(rng, (4, 5, 3)), rng.normal(size=(4, 5, 3)) * 3
        result = gaussian.log_prob(jnp.asarray(actions))
    expected = stats.norm.logpdf(actions, gaussian.mean, np.exp(gaussian.log_std)).sum(axis=-1)
    np.testing.assert_allclose(result, expected, rtol=1e-12)


def test_gaussian_kl_is_the_integral():
    rng = np.random.default_rng(1)
    with jax.enable_x64(True):
        ours, theirs = random_gaussian(rng, (3, 2)), random_gaussian(rng, (3, 2))
        result = ours.kl(theirs)
        itself = ours.kl(ours)

    def coordinate(m, s, other_m, other_s):
        p, q = stats.norm(m, s), stats.norm(other_m, other_s)
        return integrate.quad(lambda x: p.pdf(x) * (p.logpdf(x) - q.logpdf(x)), m - 12 * s, m + 12 * s, limit=200)[0]

    coordinates = np.vectorize(coordinate)(ours.mean, np.exp(ours.log_std), theirs.mean, np.exp(theirs.log_std))
    np.testing.assert_allclose(result, coordinates.sum(axis=-1), rtol=1e-8)
    np.testing.assert_array_equal(itself, np.zeros(3))


def test_gaussian_samples():
    """Mean, standard deviation, shape and independence of many draws of one action."""
    draws = 40_000
    gaussian = Gaussian(mean=jnp.array([1.0, -20.0, 0.0]), log_std=jnp.log(jnp.array([0.5, 3.0, 1e-3])))
    samples = jax.vmap(lambda key: gaussian.sample(key=key))(jax.random.split(KEY, draws))
    z = (np.asarray(samples, np.float64) - np.asarray(gaussian.mean)) / np.exp(gaussian.log_std)
    assert np.all(np.abs(z.mean(axis=0)) < 5 / np.sqrt(draws))
    assert np.all(np.abs(z.var(axis=0) - 1) < 5 * np.sqrt(2 / draws))
    assert np.all(np.abs(np.corrcoef(z.T)[np.triu_indices(3, 1)]) < 5 / np.sqrt(draws))
    assert stats.kstest(z[:, 0], stats.norm.cdf).pvalue > 1e-4


def test_categorical_log_prob_and_kl():
    rng = np.random.default_rng(2)
    logits, other = rng.normal(size=(2, 4, 3, 5)) * 3
    actions = rng.integers(5, size=(4, 3))
    with jax.enable_x64(True):
        ours, theirs = Categorical(jnp.asarray(logits)), Categorical(jnp.asarray(other))
        log_probs, kl, itself = ours.log_prob(jnp.asarray(actions)), ours.kl(theirs), ours.kl(ours)
    p, q = special.softmax(logits, axis=-1), special.softmax(other, axis=-1)
    for index in np.ndindex(4, 3):
        assert float(log_probs[index]) == pytest.approx(np.log(p[index][actions[index]]), rel=1e-12)
        assert float(kl[index]) == pytest.approx(stats.entropy(p[index], q[index]), rel=1e-9)
    np.testing.assert_array_equal(itself, 0)


def test_categorical_samples():
    draws, probabilities = 40_000, np.array([0.5, 0.3, 0.15, 0.05])
    categorical = Categorical(jnp.log(jnp.asarray(probabilities, jnp.float32)) + 7)
    samples = jax.vmap(lambda key: categorical.sample(key=key))(jax.random.split(KEY, draws))
    assert jnp.issubdtype(samples.dtype, jnp.integer)
    assert stats.chisquare(np.bincount(samples, minlength=4), draws * probabilities).pvalue > 1e-4


def plain_network(named, names, observation, activation):
    for name in names[:-1]:
        observation = activation(named[f"{name}.weight"] @ observation + named[f"{name}.bias"])
    return named[f"{names[-1]}.weight"] @ observation + named[f"{names[-1]}.bias"]


def randomised(policy, rng):
    """The policy with every parameter drawn anew, biases and log standard deviations included."""
    return policy.with_parameters(
        {n: jnp.asarray(rng.normal(size=a.shape), a.dtype) for n, a in policy.named_parameters().items()}
    )


@pytest.mark.parametrize("nonlinearity", ACTIVATIONS)
def test_gaussian_policy_is_a_perceptron_of_its_named_parameters(nonlinearity):
    rng = np.random.default_rng(3)
    with jax.enable_x64(True):
        policy = randomised(GaussianPolicy(3, 2, hidden_sizes=(5, 4), nonlinearity=nonlinearity, key=KEY), rng)
        observation = rng.normal(size=3)
        result = policy(jnp.asarray(observation))
        named = {name: np.asarray(array) for name, array in policy.named_parameters().items()}
    expected = plain_network(named, ["layer1", "layer2", "mu"], observation, ACTIVATIONS[nonlinearity])
    np.testing.assert_allclose(result.mean, expected, rtol=1e-12)
    np.testing.assert_array_equal(result.log_std, named["sigma"])


def test_categorical_policy_is_a_perceptron_of_its_named_parameters():
    rng = np.random.default_rng(4)
    with jax.enable_x64(True):
        policy = randomised(CategoricalPolicy(3, 6, hidden_sizes=(5, 4), key=KEY), rng)
        observation = rng.normal(size=3)
        result = policy(jnp.asarray(observation))
        named = {name: np.asarray(array) for name, array in policy.named_parameters().items()}
    expected = plain_network(named, ["layer1", "layer2", "layer3"], observation, np.tanh)
    np.testing.assert_allclose(result.logits, expected, rtol=1e-12)


def test_names_and_shapes_are_those_of_a_pytorch_state_dict():
    gaussian = GaussianPolicy(3, 2, hidden_sizes=(5, 4), key=KEY).named_parameters()
    assert {name: array.shape for name, array in gaussian.items()} == {
        "layer1.weight": (5, 3),
        "layer1.bias": (5,),
        "layer2.weight": (4, 5),
        "layer2.bias": (4,),
        "mu.weight": (2, 4),
        "mu.bias": (2,),
        "sigma": (2,),
    }
    categorical = CategoricalPolicy(3, 4, hidden_sizes=(5,), key=KEY).named_parameters()
    assert {name: array.shape for name, array in categorical.items()} == {
        "layer1.weight": (5, 3),
        "layer1.bias": (5,),
        "layer2.weight": (4, 5),
        "layer2.bias": (4,),
    }


@pytest.mark.parametrize("kind", [GaussianPolicy, CategoricalPolicy])
@pytest.mark.parametrize("hidden_sizes", [(), (2,), (2, 2)], ids=len)
def test_parameters_return_to_their_places(kind, hidden_sizes):
    policy = randomised(kind(2, 2, hidden_sizes=hidden_sizes, key=KEY), np.random.default_rng(5))
    named = policy.named_parameters()
    rebuilt = kind(2, 2, hidden_sizes=hidden_sizes, key=KEY).with_parameters(dict(reversed(named.items())))
    assert jax.tree.structure(rebuilt) == jax.tree.structure(policy)
    for ours, theirs in zip(jax.tree.leaves(rebuilt), jax.tree.leaves(policy)):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("kind", [GaussianPolicy, CategoricalPolicy])
def test_initial_weights_are_xavier_uniform(kind):
    policy = kind(50, 40, hidden_sizes=(100, 100), key=KEY)
    named = {name: np.asarray(array, np.float64) for name, array in policy.named_parameters().items()}
    weights = {name: array for name, array in named.items() if name.endswith("weight")}
    assert len(weights) == 3
    for name, weight in weights.items():
        bound = np.sqrt(6 / sum(weight.shape))
        # The largest of n uniform draws misses the bound by less than 20 / n of it, up to a chance of exp(-20).
        assert bound * (1 - 20 / weight.size) < np.abs(weight).max() <= bound * (1 + 1e-6)
        assert stats.kstest(weight.ravel(), stats.uniform(-bound, 2 * bound).cdf).pvalue > 1e-4, name
    first, second = weights["layer1.weight"][:, :40], weights["layer2.weight"][:, :40]
    assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 5 / np.sqrt(first.size)
    for name, array in named.items():
        if not name.endswith("weight"):
            np.testing.assert_array_equal(array, 0)


def test_initial_standard_deviation_is_one_and_never_below_the_floor():
    policy = GaussianPolicy(2, 3, key=KEY)
    np.testing.assert_array_equal(np.exp(policy(jnp.ones(2)).log_std), np.ones(3))
    policy = policy.with_parameters(policy.named_parameters() | {"sigma": jnp.array([-100.0, -13.0, 1.0])})
    # The float32 nearest to log(1e-6) is off by up to 5e-7.
    np.testing.assert_allclose(np.exp(policy(jnp.ones(2)).log_std), [1e-6, np.exp(-13), np.e], rtol=1e-6)


def test_actions_are_not_clipped():
    """Log-probabilities are of the action as drawn: far outside, they still fall like the density."""
    policy = GaussianPolicy(2, 2, key=KEY)
    distribution = policy(jnp.zeros(2))
    samples = jax.vmap(lambda key: distribution.sample(key=key))(jax.random.split(KEY, 1000))
    assert jnp.max(jnp.abs(samples)) > 2
    assert float(distribution.log_prob(jnp.array([30.0, -40.0]))) == pytest.approx(-np.log(2 * np.pi) - 1250, rel=1e-6)


def test_policy_fits_the_spaces():
    box, discrete = gymnasium.spaces.Box(-1, 1, (3,)), gymnasium.spaces.Discrete(4)
    options = {"hidden_sizes": (6,), "nonlinearity": "relu", "key": KEY}
    gaussian = make_policy(box, gymnasium.spaces.Box(-1, 1, (2,)), **options)
    categorical = make_policy(box, discrete, **options)
    assert isinstance(gaussian, GaussianPolicy)
    assert isinstance(categorical, CategoricalPolicy)
    assert gaussian(jnp.zeros(3)).mean.shape == (2,)
    assert categorical(jnp.zeros(3)).logits.shape == (4,)
    assert gaussian.nonlinearity == categorical.nonlinearity == "relu"
    assert len(gaussian.layers) == 1
    for spaces in [(discrete, box), (gymnasium.spaces.Box(-1, 1, (3, 2)), box)]:
        with pytest.raises(ValueError, match="observations must be a vector"):
            make_policy(*spaces, **options)
    for space in [gymnasium.spaces.Box(-1, 1, (2, 2)), gymnasium.spaces.MultiBinary(3)]:
        with pytest.raises(ValueError, match="actions must be Discrete"):
            make_policy(box, space, **options)


@pytest.mark.parametrize("latent_size", [0, 2])
@pytest.mark.parametrize("discrete", [False, True])
def test_scaled_observations(latent_size, discrete):
    """As a policy that is given them scaled; what is exported needs to know of no scale, and reads back."""
    box = gymnasium.spaces.Box(-np.inf, np.inf, (3,))
    actions = gymnasium.spaces.Discrete(4) if discrete else gymnasium.spaces.Box(-1, 1, (2,))
    options = {"hidden_sizes": (6,), "nonlinearity": "tanh", "latent_size": latent_size, "key": KEY}
    scale, observation = np.array([0.2, 1.0, 3.0]), np.array([4.0, -1.0, 0.5], np.float32)
    plain = make_policy(box, actions, **options)
    scaled = make_policy(box, actions, observation_scale=scale.tolist(), **options)
    for ours, theirs in zip(jax.tree.leaves(scaled(observation)), jax.tree.leaves(plain(scale * observation))):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5)
    exported = plain.with_parameters(scaled.named_parameters())
    for ours, theirs in zip(jax.tree.leaves(exported(observation)), jax.tree.leaves(scaled(observation))):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)
    again = scaled.with_parameters(scaled.named_parameters())
    for ours, theirs in zip(jax.tree.leaves(again), jax.tree.leaves(scaled)):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def test_noise_stays_above_its_floor_and_leaves_with_it():
    policy = GaussianPolicy(2, 3, min_std=0.3, key=KEY)
    policy = policy.with_parameters(policy.named_parameters() | {"sigma": jnp.log(jnp.array([0.01, 0.3, 0.5]))})
    expected = [0.3, 0.3, 0.5]
    np.testing.assert_allclose(np.exp(policy(jnp.ones(2)).log_std), expected, rtol=1e-6)
    np.testing.assert_allclose(np.exp(policy.acting().named_parameters()["sigma"]), expected, rtol=1e-6)
