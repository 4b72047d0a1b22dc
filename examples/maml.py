"""MAML with TRPO in one file, from nothing but JAX: `python examples/maml.py`.

A point robot must reach a goal that it is not told. MAML (Finn et al. 2017, arXiv 1703.03400) learns parameters theta
from which one policy-gradient step, on a few episodes, leads to a policy for the goal at hand. Again and again:

1. draw tasks (here goals), and collect episodes in each with the policy of theta;
2. adapt to each task: theta' = theta - rate * gradient of its loss on these episodes;
3. collect episodes in each task with its own adapted policy, that of theta';
4. change theta so that the adapted policies do better. Each theta' is a function of theta, so this takes a gradient
   through a gradient. How far to go is for a trust region to say: TRPO (Schulman et al. 2015, arXiv 1502.05477).

`mime/meta/learner.py` does the same for more methods and environments; a test holds the numbers of both equal.
Axes are always in the order `tasks trajectories steps features`. Functions of one task are mapped over all by `vmap`.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jax.scipy.sparse.linalg import cg
from jax.scipy.stats import norm

HORIZON, HIDDEN_SIZES = 100, (32, 32)
DISCOUNT, GAE_LAMBDA, RIDGE = 0.99, 1.0, 1e-5
INNER_RATE = 0.1
MAX_KL, CG_ITERATIONS, CG_DAMPING, LINE_SEARCH_STEPS, BACKTRACK_RATIO = 0.01, 10, 1e-5, 15, 0.8


class Episodes(NamedTuple):
    """Of one task; those of several have a leading `tasks` axis."""

    observations: jax.Array  # [trajectories steps 2]; before each step
    actions: jax.Array  # [trajectories steps 2]; as drawn, not as clipped
    rewards: jax.Array  # [trajectories steps]; 0 where not valid
    valid: jax.Array  # [trajectories steps]; False once the goal was reached: such steps count nowhere
    advantages: jax.Array | None = None  # [trajectories steps]


def environment(position, action, goal):
    """The next position `[2]`, the reward, and whether the goal is reached."""
    position = position + jnp.clip(action, -0.1, 0.1)
    return position, -jnp.linalg.norm(position - goal), jnp.all(jnp.abs(position - goal) < 0.01)


def initial_parameters(key):
    """Each layer's weights `[out in]` (Xavier-uniform) and biases `[out]`; log of the actions' standard deviation."""
    sizes, layers = (2, *HIDDEN_SIZES, 2), []
    for layer_key, fan_in, fan_out in zip(jax.random.split(key, len(sizes) - 1), sizes, sizes[1:]):
        limit = jnp.sqrt(6 / (fan_in + fan_out))
        weights = jax.random.uniform(layer_key, (fan_out, fan_in), minval=-limit, maxval=limit)
        layers.append((weights, jnp.zeros(fan_out)))
    return {"layers": layers, "log_std": jnp.zeros(2)}


def policy(parameters, observations):
    """Mean `[... 2]`, from a tanh network, and standard deviation `[2]` of the action at observations `[... 2]`."""
    *hidden, (last_weights, last_biases) = parameters["layers"]
    features = observations
    for weights, biases in hidden:
        features = jnp.tanh(features @ weights.T + biases)
    return features @ last_weights.T + last_biases, jnp.exp(parameters["log_std"])


def log_probs(parameters, episodes):
    """Log-densities `[trajectories steps]` of one task's actions."""
    return jnp.sum(norm.logpdf(episodes.actions, *policy(parameters, episodes.observations)), axis=-1)


def divergences(new, old, observations):
    """KL(new || old) of two policies, given by their parameters, in nats at each of the observations."""
    (mean, std), (old_mean, old_std) = policy(new, observations), policy(old, observations)
    return jnp.sum(jnp.log(old_std / std) + (std**2 + (mean - old_mean) ** 2) / (2 * old_std**2) - 0.5, axis=-1)


def rollout(parameters, goal, noise):
    """One episode from standard normal noise `[steps 2]`: Episodes `[steps ...]`."""

    def step(carry, noise):
        position, valid = carry
        mean, std = policy(parameters, position)
        action = mean + std * noise
        next_position, reward, reached = environment(position, action, goal)
        return (next_position, valid & ~reached), Episodes(position, action, reward * valid, valid)

    return jax.lax.scan(step, (jnp.zeros(2), jnp.array(True)), noise)[1]


def collect(parameters, goal, noise):
    """One task's episodes from noise `[trajectories steps 2]`, with their advantages."""
    episodes = jax.vmap(rollout, in_axes=(None, None, 0))(parameters, goal, noise)
    return episodes._replace(advantages=advantages(episodes))


def advantages(episodes):
    """Generalised advantages (Schulman et al. 2016, arXiv 1506.02438) of one task, `[trajectories steps]`.

    Rewards are normalised first because the library mixes two kinds; advantages, so that all tasks ask for inner
    steps of the same size, however far their goals.
    """
    rewards = normalised(episodes.rewards, episodes.valid)
    values = baseline(episodes, discounted_sums(rewards, DISCOUNT))
    next_values = jnp.pad(values[:, 1:], ((0, 0), (0, 1)))  # An episode's end is worth 0.
    errors = rewards + DISCOUNT * next_values - values
    return standardise(discounted_sums(errors, DISCOUNT * GAE_LAMBDA), episodes.valid)


def normalised(rewards, valid):
    """Of unit size. Shifted to zero mean only if no episode ended early: ending would be worse or better for it."""
    unshifted = rewards / jnp.sqrt(jnp.average(rewards**2, weights=valid))
    return jnp.where(jnp.all(valid), standardise(rewards, valid), unshifted)


def standardise(values, valid):
    """Zero mean and unit variance over the valid steps; 0 elsewhere."""
    centred = values - jnp.average(values, weights=valid)
    return jnp.where(valid, centred / jnp.sqrt(jnp.average(centred**2, weights=valid)), 0)


def discounted_sums(rewards, discount):
    """sum_k discount^k rewards[t + k] for every step t, `[trajectories steps]`."""
    lag = jnp.arange(HORIZON)[:, None] - jnp.arange(HORIZON)
    return rewards @ jnp.where(lag >= 0, discount**lag, 0)


def baseline(episodes, returns):
    """Values `[trajectories steps]`: ridge regression of the returns on position and time, 0 where not valid.

    Each task's policy has a value function of its own, of which a few episodes show enough for a few coefficients.
    """
    time = jnp.broadcast_to(jnp.arange(HORIZON)[:, None] / 100, (*returns.shape, 1))
    position = episodes.observations
    features = jnp.concatenate([position, position**2, time, time**2, time**3, jnp.ones_like(time)], axis=-1)
    features = jnp.where(episodes.valid[..., None], features, 0)
    features /= jnp.sqrt(jnp.mean(features**2, axis=(0, 1)))  # The ridge then weighs on all alike.
    # Ridge regression is least squares with one more row for each feature, which asks for a coefficient of 0.
    size = features.shape[-1]
    rows = jnp.concatenate([features.reshape(-1, size), jnp.sqrt(RIDGE) * jnp.eye(size)])
    return features @ jnp.linalg.lstsq(rows, jnp.pad(returns.ravel(), (0, size)))[0]


def adapt(parameters, episodes):
    """The inner step on one task's episodes: theta' = theta - rate * gradient of -mean(log pi(a|o) A)."""

    def loss(parameters):
        return -jnp.average(log_probs(parameters, episodes) * episodes.advantages, weights=episodes.valid)

    return jax.tree.map(lambda value, slope: value - INNER_RATE * slope, parameters, jax.grad(loss)(parameters))


@jax.jit
def trial(parameters, goals, noise_before, noise_after):
    """Steps 1 to 3: all tasks' episodes before adaptation, their adapted parameters, and the episodes of those."""
    before = jax.vmap(collect, in_axes=(None, 0, 0))(parameters, goals, noise_before)
    adapted = jax.vmap(adapt, in_axes=(None, 0))(parameters, before)
    return before, adapted, jax.vmap(collect)(adapted, goals, noise_after)


@jax.jit
def outer_objective(parameters, before, adapted, after):
    """The surrogate for the return after adaptation, and the KL of the adapted policies from those of the trial.

    Both are 0 at the old theta: all ratios are 1 there, and the mean of the advantages is 0.
    """

    def of_task(before, adapted, after):
        new = adapt(parameters, before)
        ratios = jnp.exp(log_probs(new, after) - log_probs(adapted, after))
        quantities = ratios * after.advantages, divergences(new, adapted, after.observations)
        return [jnp.average(quantity, weights=after.valid) for quantity in quantities]

    return [jnp.mean(of_tasks) for of_tasks in jax.vmap(of_task)(before, adapted, after)]


@jax.jit
def longest_step(parameters, *trial):
    """The natural gradient F^-1 g as a vector, so long that it should lead to the edge of the trust region.

    The Fisher matrix F is the Hessian of the KL. Conjugate gradient only needs its products with vectors, and these
    are derivatives of the KL's gradient.
    """
    theta, as_parameters = ravel_pytree(parameters)
    gradient = jax.grad(lambda theta: outer_objective(as_parameters(theta), *trial)[0])(theta)
    kl_gradient = jax.grad(lambda theta: outer_objective(as_parameters(theta), *trial)[1])
    _, fisher_product = jax.linearize(kl_gradient, theta)
    direction, _ = cg(lambda v: fisher_product(v) + CG_DAMPING * v, gradient, maxiter=CG_ITERATIONS)
    # To second order a step s has the KL s F s / 2, and F times the direction is the gradient.
    return jnp.sqrt(2 * MAX_KL / (direction @ gradient)) * direction


def improve(parameters, *trial):
    """Step 4: of ever shorter steps the first that improves the surrogate and stays in the trust region."""
    theta, as_parameters = ravel_pytree(parameters)
    step = longest_step(parameters, *trial)
    for number in range(LINE_SEARCH_STEPS):
        candidate = as_parameters(theta + BACKTRACK_RATIO**number * step)
        surrogate, divergence = outer_objective(candidate, *trial)
        if surrogate > 0 and divergence < MAX_KL:
            return candidate
    return parameters


@partial(jax.jit, static_argnums=(1, 2))
def draw(key, num_tasks, num_trajectories):
    """Goals `[tasks 2]`, uniform in a square, and noise `[tasks trajectories steps 2]` before and after adaptation.

    A key for each of the three would do. These are split as in the library, which has more uses for them, so that the
    same seed gives the same numbers.
    """

    def of_trajectory(key):
        keys = jax.random.split(jax.random.split(key)[1], HORIZON)
        return jax.vmap(lambda key: jax.random.normal(jax.random.split(key)[0], (2,)))(keys)

    goals_key, key = jax.random.split(key)
    key = jax.random.split(key)[0]
    goals = jax.random.uniform(goals_key, (num_tasks, 2), minval=-0.5, maxval=0.5)
    stages = jax.random.split(jax.random.split(key, 1)[0])[0], jax.random.fold_in(key, 1)
    keys = [jax.random.split(jax.random.split(stage)[0], (num_tasks, num_trajectories)) for stage in stages]
    return goals, *(jax.vmap(jax.vmap(of_trajectory))(of_stage) for of_stage in keys)


def train(seed=0, num_iterations=25, num_tasks=20, num_trajectories=10):
    """Theta after training, and each iteration's mean return before and after adaptation."""
    key, returns = jax.random.key(seed), []
    parameters = initial_parameters(jax.random.split(jax.random.fold_in(key, 0))[0])
    for iteration in range(num_iterations):
        iteration_key = jax.random.fold_in(jax.random.fold_in(key, 1), iteration)
        before, adapted, after = trial(parameters, *draw(iteration_key, num_tasks, num_trajectories))
        parameters = improve(parameters, before, adapted, after)
        returns.append([float(jnp.mean(jnp.sum(stage.rewards, axis=-1))) for stage in (before, after)])
        print("iteration {}: return {:.1f} -> {:.1f}".format(iteration + 1, *returns[-1]), flush=True)
    return parameters, returns


if __name__ == "__main__":
    curve = jnp.array(train()[1])
    (first_before, first_after), (before, after) = curve[0], jnp.mean(curve[-10:], axis=0)
    print(f"One inner step took the mean return from {first_before:.1f} to {first_after:.1f} in the first iteration,")
    print(f"and takes it from {before:.1f} to {after:.1f} in the last ten, on goals that are new each time.")
