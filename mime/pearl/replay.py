"""Replay buffers on the device: for each task a ring of its most recent transitions."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from mime.sampling.episodes import Episodes

Tasks = Int[Array, "chosen"]


class Transitions(eqx.Module):
    """Single steps, from whichever episodes they are. The `batch` axes are `tasks batch` for several tasks.

    Attributes:
        observations: Observation before each step.
        actions: Action in [-1, 1].
        rewards: Reward of the step.
        next_observations: Observation after the step.
        terminals: Whether the episode ended there, by the task's rules and not for lack of time.
    """

    observations: Float[Array, "*batch observation"]
    actions: Float[Array, "*batch action"]
    rewards: Float[Array, "*batch"]
    next_observations: Float[Array, "*batch observation"]
    terminals: Bool[Array, "*batch"]


class Replay(eqx.Module):
    """A ring of transitions for each task.

    Attributes:
        transitions: `[tasks capacity ...]`.
        size: Transitions in each ring.
        cursor: Where each ring goes on.
    """

    transitions: Transitions
    size: Int[Array, "tasks"]
    cursor: Int[Array, "tasks"]

    @property
    def capacity(self) -> int:
        """Transitions that fit into a ring."""
        return self.transitions.rewards.shape[1]

    def add(self, tasks: Tasks, new: Transitions, valid: Bool[Array, "chosen steps"]) -> "Replay":
        """With new transitions, in the place of the oldest where there is no room.

        Args:
            tasks: Whose transitions they are; distinct.
            new: `[chosen steps ...]`.
            valid: Which of them to add.
        """
        place, count = jnp.cumsum(valid, axis=1) - 1, jnp.sum(valid, axis=1)
        # Of more than a whole ring, the last ones stay; places beyond the ring are dropped by the assignment.
        kept = valid & (place >= (count - self.capacity)[:, None])
        places = jnp.where(kept, (self.cursor[tasks][:, None] + place) % self.capacity, self.capacity)
        transitions = jax.tree.map(
            lambda ring, values: ring.at[tasks[:, None], places].set(values, mode="drop"), self.transitions, new
        )
        size = jnp.minimum(self.size[tasks] + count, self.capacity)
        cursor = (self.cursor[tasks] + count) % self.capacity
        return Replay(transitions, self.size.at[tasks].set(size), self.cursor.at[tasks].set(cursor))

    def clear(self, tasks: Tasks) -> "Replay":
        """Without the transitions of some tasks."""
        return Replay(self.transitions, self.size.at[tasks].set(0), self.cursor.at[tasks].set(0))

    def sample(
        self, tasks: Tasks, batch_size: int, *, key: PRNGKeyArray
    ) -> tuple[Transitions, Bool[Array, "chosen batch"]]:
        """Transitions `[chosen batch ...]` of some tasks, drawn uniformly with replacement.

        Returns:
            The transitions, and whether they are any: an empty ring has none.
        """
        size = self.size[tasks][:, None]
        places = jax.random.randint(key, (len(tasks), batch_size), 0, jnp.maximum(size, 1))
        drawn = jax.tree.map(lambda ring: ring[tasks[:, None], places], self.transitions)
        return drawn, jnp.broadcast_to(size > 0, places.shape)


def empty(num_tasks: int, capacity: int, *, observation_size: int, action_size: int) -> Replay:
    """A ring with nothing in it for each task."""
    shape = (num_tasks, capacity)
    nothing = Transitions(
        observations=jnp.zeros((*shape, observation_size)),
        actions=jnp.zeros((*shape, action_size)),
        rewards=jnp.zeros(shape),
        next_observations=jnp.zeros((*shape, observation_size)),
        terminals=jnp.zeros(shape, bool),
    )
    return Replay(nothing, jnp.zeros(num_tasks, jnp.int32), jnp.zeros(num_tasks, jnp.int32))


def transitions_of(episodes: Episodes) -> Transitions:
    """The steps of episodes `[tasks steps ...]`, one trajectory per task."""
    # An episode that stops being valid has ended; one that lasts to the last step has merely run out of time.
    ended = episodes.valid[:, :-1] & ~episodes.valid[:, 1:]
    return Transitions(
        observations=episodes.observations,
        actions=episodes.actions,
        rewards=episodes.rewards,
        next_observations=episodes.next_observations,
        terminals=jnp.pad(ended, ((0, 0), (0, 1))),
    )
