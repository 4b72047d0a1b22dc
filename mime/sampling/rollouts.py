"""Rollouts in a worker: all trajectories of one task, without JAX."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, runtime_checkable

import gymnasium
import numpy as np
from jaxtyping import Float, Shaped

from mime.envs.external.checks import first_observation, lost_digits, transition
from mime.envs.external.hosted_environment import HostedEnvironment, seed_globally

Fields = dict[str, Shaped[np.ndarray, "trajectories steps ..."]]


@runtime_checkable
class ActingPolicy(Protocol):
    """A policy in a worker: a `mime.policies.numpy_policy.NumpyPolicy`, or anything like it."""

    def given(self, latent: np.ndarray | None) -> "ActingPolicy":
        """How it acts in an episode for which that was drawn."""
        ...

    def noise(self, generator: np.random.Generator, num_steps: int) -> np.ndarray:
        """What makes a trajectory's actions random, one row a step."""
        ...

    def act(self, observation: np.ndarray, noise: np.ndarray) -> np.ndarray | np.integer:
        """The action in one state."""
        ...

    def remember(self, action: np.ndarray | np.integer, reward: float) -> None:
        """What was done and what came of it, for policies with a memory."""
        ...


class Request(NamedTuple):
    """What a worker is to collect. The episodes depend on nothing else: not on the worker, nor on what it did before.

    Attributes:
        task: One of the environment's tasks.
        policy: That acts.
        entropy: Of everything random; it names the sampling call and the task's place in it.
        num_trajectories: Trajectories to collect.
        latents: What the policy drew for each of them; None if it draws nothing.
    """

    task: Any
    policy: ActingPolicy
    entropy: tuple[int, ...]
    num_trajectories: int
    latents: np.ndarray | None = None


def rollout(
    environment: HostedEnvironment, request: Request, remark: Callable[[str], None] = lambda remark: None
) -> Fields:
    """The fields of `mime.sampling.episodes.Episodes`, each one contiguous array `[trajectories steps ...]`, and in
    `success_reported` whether the environment said anything about success.

    The noise of an action depends on the request's entropy, the trajectory and the step, and on nothing else. Steps
    after an episode's end are zeros and not valid.

    Args:
        environment: Whose episodes are collected.
        request: Which.
        remark: Called with what float32 loses of the first trajectory's numbers.

    Raises:
        EnvironmentMistake: If what the environment gives does not fit what it declares.
    """
    env = environment.enter(request.task)
    fields = blank(environment, request.num_trajectories)
    latents = [None] * request.num_trajectories if request.latents is None else list(request.latents)
    for trajectory, latent in enumerate(latents):
        noise_seed, env_seed = np.random.SeedSequence([*request.entropy, trajectory]).spawn(2)
        generator = np.random.Generator(np.random.Philox(noise_seed))
        policy = request.policy.given(latent)
        noise = policy.noise(generator, environment.horizon)
        seed = int(env_seed.generate_state(1)[0])
        seed_globally(seed)
        exact = collect_episode(env, policy, noise, seed, {name: field[trajectory] for name, field in fields.items()})
        if trajectory == 0:
            for name, values in exact.items():
                for loss in lost_digits(name, values):
                    remark(loss)
    if request.latents is not None:
        fields["latents"] = np.repeat(request.latents[:, None], environment.horizon, axis=1)
    return fields


def collect_episode(
    env: gymnasium.Env, policy: ActingPolicy, noise: np.ndarray, seed: int, fields: dict[str, np.ndarray]
) -> dict[str, Float[np.ndarray, "_steps _numbers"]]:
    """Fill the fields `[steps ...]` of one trajectory; returns its observations and rewards as they came, in float64.

    Raises:
        EnvironmentMistake: If what the environment gives does not fit what it declares.
    """
    shape = fields["observations"].shape[1:]
    observation = first_observation(env.reset(seed=seed), shape)
    observations, rewards = [np.array(observation, np.float64)], []
    # What float32 cannot hold becomes infinite, and is named where all episodes are seen.
    with np.errstate(over="ignore"):
        for step in range(len(noise)):
            # Rounded first, so that the learner sees exactly what the policy saw.
            fields["observations"][step] = observation
            action = policy.act(fields["observations"][step], noise[step])
            observation, reward, ended, success, reported = transition(env.step(action), shape)
            policy.remember(action, reward)
            observations.append(np.array(observation, np.float64))
            rewards.append([reward])
            fields["actions"][step] = action
            fields["rewards"][step] = reward
            fields["next_observations"][step] = observation
            fields["success"][step] = success
            fields["success_reported"][step] = reported
            fields["valid"][step] = True
            if ended:
                break
    return {"observation": np.array(observations), "reward": np.array(rewards, np.float64)}


def blank(environment: HostedEnvironment, num_trajectories: int) -> Fields:
    """Arrays of zeros for the fields."""
    discrete = isinstance(environment.action_space, gymnasium.spaces.Discrete)
    batch = num_trajectories, environment.horizon
    observations = *batch, *environment.observation_space.shape
    return {
        "observations": np.zeros(observations, np.float32),
        "actions": np.zeros((*batch, *environment.action_space.shape), np.int32 if discrete else np.float32),
        "rewards": np.zeros(batch, np.float32),
        "next_observations": np.zeros(observations, np.float32),
        "success": np.zeros(batch, bool),
        "success_reported": np.zeros(batch, bool),
        "valid": np.zeros(batch, bool),
    }
