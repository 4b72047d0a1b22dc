"""A plain policy gradient on one of our environments, in one file: `python examples/policy_gradient.py`.

It uses nothing of this package but the environment, through Gymnasium, as any other library's agent would.
"""

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import optax

import mime  # noqa: F401 (registers the environments)

NUM_ENVS, HORIZON, STANDARD_DEVIATION = 32, 20, 0.05


def initial_parameters(key, size=32):
    """Weights of a network with one hidden layer, from positions to displacements."""
    first, second = jax.random.split(key)
    return [
        (0.5 * jax.random.normal(first, (2, size)), jnp.zeros(size)),
        (0.01 * jax.random.normal(second, (size, 2)), jnp.zeros(2)),
    ]


@jax.jit
def mean_action(parameters, observations):
    """The mean of the policy's normal distribution, `[... 2]`."""
    (weights, biases), (last_weights, last_biases) = parameters
    return jnp.tanh(observations @ weights + biases) @ last_weights + last_biases


@jax.jit
def gradient(parameters, observations, actions, rewards):
    """Of the mean over episodes `[steps envs ...]` of -log pi times the advantage over the batch's mean."""
    to_go = jnp.cumsum(rewards[::-1], axis=0)[::-1]
    advantages = to_go - to_go.mean(axis=1, keepdims=True)
    advantages /= advantages.std() + 1e-8

    def loss(parameters):
        distance = actions - mean_action(parameters, observations)
        return jnp.mean(jnp.sum(distance**2, axis=-1) / (2 * STANDARD_DEVIATION**2) * advantages)

    return jax.grad(loss)(parameters)


def train(num_updates=150, seed=0):
    """Train, and return the mean return of the episodes of each update."""
    envs = gymnasium.make_vec("mime/2DNavigation-v0", NUM_ENVS, goal=(0.4, -0.2), max_episode_steps=HORIZON)
    generator = np.random.default_rng(seed)
    parameters = initial_parameters(jax.random.key(seed))
    optimiser = optax.adam(0.01)
    state = optimiser.init(parameters)
    returns = []
    for _ in range(num_updates):
        observation, _ = envs.reset(seed=seed)
        steps, alive = [], np.ones(NUM_ENVS, bool)
        for _ in range(HORIZON):
            noise = generator.normal(0, STANDARD_DEVIATION, (NUM_ENVS, 2))
            action = np.asarray(mean_action(parameters, observation) + noise, np.float32)
            after, reward, terminated, *_ = envs.step(action)
            steps.append((observation, action, np.where(alive, reward, 0)))
            observation, alive = after, alive & ~terminated
        observations, actions, rewards = map(np.stack, zip(*steps))
        changes, state = optimiser.update(gradient(parameters, observations, actions, rewards), state)
        parameters = optax.apply_updates(parameters, changes)
        returns.append(rewards.sum(axis=0).mean())
    return returns


if __name__ == "__main__":
    curve = train()
    print(f"mean return {curve[0]:.2f} -> {np.mean(curve[-10:]):.2f}; walking straight to the goal gives -0.67")
