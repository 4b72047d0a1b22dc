"""What an intrinsic reward is, to everything outside this package."""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from jaxtyping import Array, Float, Int, PRNGKeyArray

from mime.sampling.episodes import Episodes

Metrics = dict[str, Float[Array, ""]]


@runtime_checkable
class Bonus(Protocol):
    """An intrinsic reward for exploration. Its state is a pytree of arrays; all functions are pure."""

    def init(self, *, key: PRNGKeyArray) -> Any:
        """The state before any experience."""
        ...

    def rewards(self, state: Any, episodes: Episodes, *, key: PRNGKeyArray) -> Float[Array, "trajectories steps"]:
        """Intrinsic reward of every step of one task's episodes."""
        ...

    def adapt(self, state: Any, episodes: Episodes, *, key: PRNGKeyArray) -> Any:
        """The state adapted to one task, as the policy adapts in an inner step."""
        ...

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
        ...

    def tensors(self, state: Any) -> dict[str, Array]:
        """The learned parameters under their names in `dynamics.safetensors`."""
        ...

    def with_tensors(self, state: Any, named: dict[str, Array]) -> Any:
        """The state with those parameters: what a test of the run starts from."""
        ...
