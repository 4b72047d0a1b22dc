"""What an intrinsic reward is, to everything outside this package."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from mime.configuration.gradients import Experiment
from mime.envs.environment import Environment
from mime.exploration.mixing import mix
from mime.numerics.finite import all_finite, select
from mime.numerics.tensors import named_leaves, with_leaves
from mime.sampling.episodes import Episodes

Metrics = dict[str, Array]
Number = Float[Array, ""]


class Bonus(ABC):
    """An intrinsic reward for exploration. Its state is a pytree of arrays; all functions are pure.

    One that has nothing to learn needs `rewards` alone; one that learns adds `init` and `update`, and one whose model
    adapts to a task, as the policy does, adds `adapt`.
    """

    @classmethod
    def configured(cls, experiment: Experiment, environment: Environment, num_tasks: int) -> "Bonus":
        """The bonus for an experiment.

        Args:
            experiment: The configuration.
            environment: Whose spaces it sees.
            num_tasks: Tasks per meta-iteration.
        """
        return cls()

    def init(self, *, key: PRNGKeyArray) -> Any:
        """The state before any experience."""
        return ()

    @abstractmethod
    def rewards(self, state: Any, episodes: Episodes, *, key: PRNGKeyArray) -> Float[Array, "trajectories steps"]:
        """Intrinsic reward of every step of one task's episodes."""

    def trial_rewards(
        self, state: Any, trials: Episodes, *, key: PRNGKeyArray
    ) -> Float[Array, "trials episodes steps"]:
        """`rewards` of several trials of one task, `[trials episodes steps ...]`, each as if it were alone."""
        return jax.vmap(lambda episodes: self.rewards(state, episodes, key=key))(trials)

    def adapt(self, state: Any, episodes: Episodes, *, key: PRNGKeyArray) -> Any:
        """The state adapted to one task, as the policy adapts in an inner step."""
        return state

    def update(
        self, state: Any, inner: Sequence[Episodes], after: Episodes, *, iteration: Int[Array, ""], key: PRNGKeyArray
    ) -> tuple[Any, Metrics]:
        """The state after a meta-iteration.

        Args:
            state: Before the iteration, adapted to no task.
            inner: Episodes `[tasks trajectories steps ...]` that each inner step learned from.
            after: Episodes after adaptation.
            iteration: Number of meta-iterations before this one.
            key: For any randomness.

        Returns:
            The new state, and metrics to record.
        """
        return state, {}

    def tensors(self, state: Any) -> dict[str, Array]:
        """The parameters that testing needs, under their names in `dynamics.safetensors`."""
        return named_leaves(state)

    def with_tensors(self, state: Any, named: dict[str, Array]) -> Any:
        """The state with those parameters: what a test of the run starts from."""
        return with_leaves(state, named)

    def files(self, state: Any, logit: Number) -> dict[str, dict[str, Array]]:
        """What a run keeps of it: its parameters, and the logit of its share as `eta`, in `dynamics.safetensors`."""
        return {"dynamics": self.tensors(state) | {"eta": logit}}

    def improve(
        self, state: Any, inner: Sequence[Episodes], after: Episodes, *, iteration: Int[Array, ""], key: PRNGKeyArray
    ) -> tuple[Any, Metrics]:
        """`update`, unless its result is not finite: the state then stays, and the metrics say so."""
        new, metrics = self.update(state, inner, after, iteration=iteration, key=key)
        finite = all_finite(new)
        return select(finite, new, state), metrics | {"Dynamics/Refused": ~finite}

    def summary(self, stage: str, extrinsic: Number, intrinsic: Number, logit: Number) -> Metrics:
        """Metrics of a trial's stage that has the bonus: its share, and what the mixed rewards come to.

        Args:
            stage: Its name.
            extrinsic: Return of the task's own rewards.
            intrinsic: Of the bonus.
            logit: Of the share.
        """
        combined = mix(extrinsic, intrinsic, logit)
        named = {f"{stage}/IntrinsicReturns": intrinsic, f"{stage}/CombinedReturns": combined}
        return {"Eta": jax.nn.sigmoid(logit)} | named


class NoBonus(Bonus):
    """No intrinsic reward: zero everywhere, and nothing to record."""

    def rewards(self, state: Any, episodes: Episodes, *, key: PRNGKeyArray) -> Float[Array, "trajectories steps"]:
        """Zeros, whatever the state: of later episodes it is that of the bonus of the first ones."""
        return jnp.zeros_like(episodes.rewards)

    def improve(
        self,
        state: tuple[()],
        inner: Sequence[Episodes],
        after: Episodes,
        *,
        iteration: Int[Array, ""],
        key: PRNGKeyArray,
    ) -> tuple[tuple[()], Metrics]:
        """Nothing."""
        return state, {}

    def summary(self, stage: str, extrinsic: Number, intrinsic: Number, logit: Number) -> Metrics:
        """None."""
        return {}

    def files(self, state: tuple[()], logit: Number) -> dict[str, dict[str, Array]]:
        """None."""
        return {}
