"""What bonuses without anything to learn have in common."""

from collections.abc import Sequence

from jaxtyping import Array, Int, PRNGKeyArray

from mime.exploration.bonus import Metrics
from mime.sampling.episodes import Episodes


class Stateless:
    """All of a `Bonus` but its `rewards`, for one that has nothing to learn."""

    def init(self, *, key: PRNGKeyArray) -> tuple[()]:
        """Nothing."""
        return ()

    def adapt(self, state: tuple[()], episodes: Episodes, *, key: PRNGKeyArray) -> tuple[()]:
        """Nothing."""
        return state

    def update(
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

    def tensors(self, state: tuple[()]) -> dict[str, Array]:
        """None."""
        return {}

    def with_tensors(self, state: tuple[()], named: dict[str, Array]) -> tuple[()]:
        """Nothing."""
        return state
