"""Checks of somebody's bonus: what the learner takes for granted about it."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mime.configuration.gradients import Experiment
from mime.envs.task_environment import TaskEnvironment, count_tasks
from mime.exploration.bonus import Bonus
from mime.sampling.check_results import Finding, Mistake, any_key, findings, form
from mime.sampling.compiled import rollout
from mime.sampling.compiled_checks import RandomActions
from mime.sampling.episodes import Episodes

NUM_TASKS, NUM_TRAJECTORIES = 3, 4


def check_bonus(kind: type[Bonus], environment: TaskEnvironment) -> list[Finding]:
    """What is right and wrong with a bonus, in words.

    Args:
        kind: Its class.
        environment: One written in JAX, whose random episodes it is to reward.

    Returns:
        A finding for each check, up to the first that fails.
    """
    checks = BonusChecks(kind, environment)
    named = {"configured": checks.configured, "init": checks.init, "rewards": checks.rewards, "update": checks.update}
    return findings(named)


class BonusChecks:
    """The checks, each of which needs those before it.

    Args:
        kind: The bonus's class.
        environment: Whose random episodes it is to reward.
    """

    def __init__(self, kind: type[Bonus], environment: TaskEnvironment):
        self.kind, self.environment = kind, environment
        self.episodes = _episodes(environment)
        self.bonus: Bonus
        self.state: Any

    def configured(self) -> str:
        """Whether it can be made."""
        experiment = Experiment(use_vime=True, meta_batch_size=NUM_TASKS)
        try:
            self.bonus = self.kind.configured(experiment, self.environment, NUM_TASKS)
        except TypeError as error:
            raise Mistake(
                f"{error}: a class with arguments needs a class method configured(cls, experiment, environment,"
                " num_tasks) that returns one"
            ) from error
        if not isinstance(self.bonus, Bonus):
            raise Mistake(f"configured must return a {self.kind.__name__}, not {self.bonus!r}")
        return f"made for {type(self.environment).__name__}"

    def init(self) -> str:
        """Whether its state is one that a run can keep."""
        self.state = self.bonus.init(key=any_key())
        odd = [leaf for leaf in jax.tree.leaves(self.state) if not isinstance(leaf, jax.Array | np.ndarray)]
        if odd:
            raise Mistake(f"the state must be a pytree of arrays; it holds {odd[0]!r}: use jnp.asarray")
        return "nothing is learned" if not jax.tree.leaves(self.state) else f"the state is {form(self.state)}"

    def rewards(self) -> str:
        """Whether it gives a finite number for each step."""
        rewards = jax.jit(jax.vmap(lambda episodes: self.bonus.rewards(self.state, episodes, key=any_key())))(
            self.episodes
        )
        expected = self.episodes.rewards.shape
        if rewards.shape != expected or not jnp.issubdtype(rewards.dtype, jnp.floating):
            raise Mistake(f"rewards must return floats {list(expected[1:])}, one a step; it returns {form(rewards[0])}")
        if not np.isfinite(rewards).all():
            raise Mistake("some rewards are not finite: is there a division by 0, or a log of 0?")
        if np.ptp(rewards) == 0:
            return f"all steps of random episodes earn {float(rewards.ravel()[0]):g}: nothing can be learned from that"
        return f"steps of random episodes earn from {rewards.min():g} to {rewards.max():g}"

    def update(self) -> str:
        """Whether the state after an iteration has the form of that before."""
        update = jax.jit(partial(self.bonus.update, iteration=jnp.array(0), key=any_key()))
        result = update(self.state, [self.episodes], self.episodes)
        if not isinstance(result, tuple) or len(result) != 2 or not isinstance(result[1], dict):
            raise Mistake("update must return a pair: the state, and a dictionary of metrics, which may be empty")
        if form(result[0]) != form(self.state):
            raise Mistake(f"update must return a state like that of init, {form(self.state)}; it is {form(result[0])}")
        return f"metrics {', '.join(result[1]) or 'none'}"


def _episodes(environment: TaskEnvironment) -> Episodes:
    """Episodes `[tasks trajectories steps ...]` of random actions."""
    tasks = environment.sample_tasks(any_key(), NUM_TASKS)
    keys = jax.random.split(any_key(), (count_tasks(tasks), NUM_TRAJECTORIES))
    one = partial(rollout, environment, RandomActions(environment.action_space))
    return jax.jit(jax.vmap(jax.vmap(one, (None, 0))))(tasks, keys)
