"""Meta-reinforcement learning of linear Gaussian policies in plain NumPy: closed forms, loops, finite differences.

Parameters are one vector: weight [action, observation], bias, log standard deviation. Nothing here comes from `mime`,
but for `jax_episodes` and `jax_policy`, which turn what is defined here into what the library takes.
"""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np

from mime.policies.feedforward import GaussianPolicy
from mime.sampling.episodes import Episodes


def make_episodes(rng, trajectories, steps, *, observation_size=2, action_size=1, ends=True):
    """Random episodes of one task; trajectories end anywhere unless told not to."""
    lengths = rng.integers(1, steps + 1, trajectories) if ends else np.full(trajectories, steps)
    lengths[0] = steps
    return SimpleNamespace(
        observations=rng.normal(size=(trajectories, steps, observation_size)),
        actions=rng.normal(size=(trajectories, steps, action_size)),
        rewards=rng.normal(size=(trajectories, steps)),
        valid=np.arange(steps) < lengths[:, None],
    )


def random_theta(rng, observation_size=2, action_size=1):
    return 0.5 * rng.normal(size=action_size * (observation_size + 2))


def outputs(theta, episodes):
    """Means [trajectories, steps, action] and log standard deviations [action]."""
    observation_size, action_size = episodes.observations.shape[-1], episodes.actions.shape[-1]
    weight, bias, log_std = np.split(theta, np.cumsum([action_size * observation_size, action_size]))
    return episodes.observations @ weight.reshape(action_size, observation_size).T + bias, log_std


def log_probs(theta, episodes):
    mean, log_std = outputs(theta, episodes)
    return -np.sum(((episodes.actions - mean) / np.exp(log_std)) ** 2 / 2 + log_std + np.log(2 * np.pi) / 2, axis=-1)


def mean(values, valid):
    return values[valid].mean()


def score(theta, episodes, weights):
    """Gradient of the mean over valid steps of log pi(a|o) times a weight."""
    means, log_std = outputs(theta, episodes)
    z = (episodes.actions - means) / np.exp(log_std)
    share = np.where(episodes.valid, weights, 0) / episodes.valid.sum()
    by_mean = share[..., None] * z / np.exp(log_std)
    by_weight = np.einsum("tsa,tso->ao", by_mean, episodes.observations)
    by_log_std = np.sum(share[..., None] * (z**2 - 1), axis=(0, 1))
    return np.concatenate([by_weight.ravel(), by_mean.sum(axis=(0, 1)), by_log_std])


def inner_loop(theta, batches, advantages, rate):
    """The parameters before every inner step and after the last one."""
    path = [theta]
    for episodes, weights in zip(batches, advantages):
        path.append(path[-1] + rate * score(path[-1], episodes, weights))
    return path


def standardise(values, valid):
    spread = values[valid].std()
    return np.where(valid, (values - values[valid].mean()) / (spread if spread > 0 else 1), 0)


def normalised(rewards, valid):
    """Standardised, or where an episode ends early divided by the root mean square."""
    if valid.all():
        return standardise(rewards, valid)
    size = np.sqrt(np.mean(rewards[valid] ** 2))
    return np.where(valid, rewards / (size if size > 0 else 1), 0)


def discounted(rewards, valid, discount):
    out = np.zeros(rewards.shape)
    total = np.zeros(len(rewards))
    for t in reversed(range(rewards.shape[1])):
        total = np.where(valid[:, t], rewards[:, t], 0) + discount * total
        out[:, t] = total
    return out


def baseline(episodes, rewards, gamma):
    """Ridge regression by normal equations, of the features scaled to unit mean square."""
    trajectories, steps = episodes.valid.shape
    time = np.broadcast_to(np.arange(steps)[:, None] / 100, (trajectories, steps, 1))
    o = episodes.observations
    features = np.concatenate([o, o**2, time, time**2, time**3, np.ones_like(time)], axis=-1)
    rows = np.where(episodes.valid[..., None], features, 0).reshape(trajectories * steps, -1)
    size = np.sqrt((rows**2).mean(axis=0))
    rows = rows / np.where(size > 0, size, 1)
    targets = discounted(rewards, episodes.valid, gamma).ravel() * episodes.valid.ravel()
    weights = np.linalg.solve(rows.T @ rows + 1e-5 * np.eye(rows.shape[1]), rows.T @ targets)
    return (rows @ weights).reshape(trajectories, steps)


def advantages(episodes, rewards, gamma, gae_lambda, values=None):
    """Normalised; `values` holds the baseline fixed."""
    values = baseline(episodes, rewards, gamma) if values is None else values
    next_values = np.pad(values[:, 1:], ((0, 0), (0, 1)))
    deltas = np.where(episodes.valid, rewards + gamma * next_values - values, 0)
    return standardise(discounted(deltas, episodes.valid, gamma * gae_lambda), episodes.valid)


def kl(theta, other, episodes):
    """Mean over valid steps of KL(theta || other)."""
    (mean_1, log_std_1), (mean_2, log_std_2) = outputs(theta, episodes), outputs(other, episodes)
    variance_1, variance_2 = np.exp(2 * log_std_1), np.exp(2 * log_std_2)
    each = log_std_2 - log_std_1 + (variance_1 + (mean_1 - mean_2) ** 2) / (2 * variance_2) - 0.5
    return mean(each.sum(axis=-1), episodes.valid)


def gradient(function, at, step=1e-5):
    """Of a function of a vector, whatever the shape of its value; the vector's axis first.

    Central differences of fourth order: the surrogate after several inner steps is too steep for the second.
    """

    def along(e):
        near, far = (function(at + k * step * e) - function(at - k * step * e) for k in (1, 2))
        return (8 * near - far) / (12 * step)

    return np.stack([along(e) for e in np.eye(at.size)])


def jax_episodes(*tasks):
    """Episodes of several tasks for the library."""
    fields = {name: jnp.stack([jnp.asarray(getattr(t, name)) for t in tasks]) for name in vars(tasks[0])}
    return Episodes(**fields, next_observations=fields["observations"], success=jnp.zeros(fields["valid"].shape, bool))


def jax_policy(theta, observation_size=2, action_size=1):
    """A linear Gaussian policy for the library."""
    policy = GaussianPolicy(observation_size, action_size, hidden_sizes=(), key=jax.random.key(0))
    named, start = {}, 0
    for name in ("mu.weight", "mu.bias", "sigma"):
        shape = policy.named_parameters()[name].shape
        stop = start + int(np.prod(shape))
        named[name], start = jnp.asarray(theta[start:stop]).reshape(shape), stop
    return policy.with_parameters(named)


def vector(policy):
    """A policy's parameters, or their gradient, as a vector."""
    named = policy.named_parameters()
    return np.concatenate([np.ravel(named[name]) for name in ("mu.weight", "mu.bias", "sigma")])
