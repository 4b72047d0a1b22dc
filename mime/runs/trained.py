"""A trained run, taken up again to adapt its policy to tasks."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from mime.envs.environment import Environment
from mime.envs.external.hosted_environment import as_tasks
from mime.envs.task_environment import TaskEnvironment
from mime.errors import UserError
from mime.meta.learner import Learner
from mime.meta.state import LearnerState
from mime.policies.policy import Policy
from mime.runs.folder import RunFolder
from mime.runs.setup import TESTING, Setup, load_weights, set_up, stream
from mime.sampling.resources import HERE, Resources


@dataclass(frozen=True, repr=False)
class TrainedRun:
    """A trained policy, its environment, and the way it adapts. A context manager, which ends worker processes."""

    setup: Setup
    learner: Learner
    state: LearnerState

    @property
    def environment(self) -> Environment:
        """Where its held-out tasks are; with weakest-actions, half of those in training were made harder."""
        return self.setup.environment

    @property
    def policy(self) -> Policy:
        """The policy before adaptation: maps an observation to a distribution of actions in the environment's units."""
        return in_environment_units(self.state.policy, self.environment)

    def adapt(self, task: Any, *, num_steps: int = 1, seed: int = 1) -> Policy:
        """The policy after inner steps in one task.

        Args:
            task: Of the environment, as `env.unwrapped.task` of a `gymnasium.make("mime/...")`.
            num_steps: Inner steps, each on fresh episodes.
            seed: Of these episodes.

        Raises:
            UserError: If the task is not one of this environment.
        """
        if not isinstance(self.environment, TaskEnvironment):
            tasks = as_tasks([task])
        else:
            forms = [jax.tree.map(jnp.shape, each) for each in (task, self.environment.default_params)]
            if forms[0] != forms[1]:
                raise UserError(f"task: has the form {forms[0]}, but tasks of this environment have {forms[1]}")
            tasks = jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], task)
        policies = self.adapt_all(tasks, num_steps=num_steps, key=stream(seed, TESTING))
        return jax.tree.map(lambda leaf: leaf[0], policies)

    def adapt_all(self, tasks: Any, *, num_steps: int, key: PRNGKeyArray) -> Policy:
        """The policies after inner steps in several tasks; both have a leading `tasks` axis."""
        agents, _ = self.learner.adapt_to(self.state, tasks, key, num_steps=num_steps)
        return in_environment_units(agents.policy, self.environment)

    def __repr__(self) -> str:
        return f"TrainedRun({type(self.environment).__name__}, {self.learner.method.num_steps} inner steps in training)"

    def close(self) -> None:
        """End worker processes, if there are any."""
        self.learner.sampler.close()

    def __enter__(self) -> "TrainedRun":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def in_environment_units(policy: Policy, environment: Environment) -> Policy:
    """The learner's policy for those who act in the environment without this package.

    With `normalization_scale`, or discrete actions that do not begin with 0, workers translate what the learner's
    policy does.
    """
    return policy if environment.action_units is None else policy.in_units(environment.action_units)


def load_run(folder: RunFolder, resources: Resources = HERE) -> TrainedRun:
    """A trained run.

    Args:
        folder: Where training wrote it.
        resources: Where the episodes of environments outside JAX are collected.

    Raises:
        UserError: If the run is incomplete or damaged, or its method does not adapt the policy's parameters.
    """
    experiment, seed = folder.read_config()
    setup = set_up(experiment, seed, resources, source=str(folder.config))
    if not isinstance(setup.learner, Learner):
        raise UserError(
            f"{folder.path}: {experiment.method} does not adapt the policy's parameters; only `mime test` adapts it"
        )
    try:
        return TrainedRun(setup, setup.learner, load_weights(folder, setup))
    except BaseException:
        setup.learner.sampler.close()
        raise
