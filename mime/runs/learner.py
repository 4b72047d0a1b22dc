"""What a run asks of a learner, whatever the method."""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from jaxtyping import Array, PRNGKeyArray

from mime.sampling.episodes import Episodes


@runtime_checkable
class MetaLearner(Protocol):
    """Learns to adapt to tasks. Its state is a pytree of arrays with an `iteration`; all functions are pure."""

    @property
    def compiled(self) -> bool:
        """Whether `iterate` can be compiled as a whole."""
        ...

    def iterate(self, state: Any, tasks: Any, key: PRNGKeyArray) -> tuple[Any, dict[str, Array], Any]:
        """One meta-iteration: the state after it, metrics to record, and the trial that took place."""
        ...

    def adapt_and_evaluate(self, state: Any, tasks: Any, key: PRNGKeyArray, *, num_steps: int) -> Any:
        """A trial: adapt to each task in so many steps, acting before each of them and after the last."""
        ...

    def stages(self, trial: Any) -> Sequence[Episodes]:
        """A trial's episodes `[tasks trajectories steps ...]` before each step of adaptation, and after the last."""
        ...

    def summary(self, trial: Any, state: Any) -> dict[str, Array]:
        """Metrics of a trial; among them `Steps`, the number of steps that it took."""
        ...

    def tensors(self, state: Any) -> dict[str, dict[str, Array]]:
        """What testing needs: named arrays for each weights file, by the file's name without its ending."""
        ...

    def with_tensors(self, state: Any, files: dict[str, dict[str, Array]]) -> Any:
        """The state of a trained run: with those arrays, past any warm-up."""
        ...
