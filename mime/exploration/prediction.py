"""What bonuses share that reward errors or disagreement of prediction: networks that learn from every step."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import equinox as eqx
import gymnasium
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from mime.configuration.gradients import Experiment
from mime.envs.environment import Environment
from mime.exploration.bonus import Bonus, Metrics
from mime.exploration.spaces import Statistics, action_numbers, action_size, dimensions, modelled_size
from mime.numerics.parallel import over_tasks
from mime.numerics.tensors import named_leaves, with_leaves
from mime.policies.layers import perceptron, xavier_layers
from mime.sampling.episodes import Episodes


class Network(eqx.Module):
    """Tanh network.

    Args:
        sizes: Numbers in an input, in each hidden layer, in an output.
        key: For the Xavier-uniform weights.
    """

    layers: list[eqx.nn.Linear]

    def __init__(self, sizes: Sequence[int], *, key: PRNGKeyArray):
        self.layers = xavier_layers(sizes, key=key)

    def __call__(self, inputs: Float[Array, "in"]) -> Float[Array, "out"]:
        """The output for one example."""
        return perceptron(self.layers, "tanh", inputs)


class PredictionState(eqx.Module):
    """Networks, their optimiser, and the statistics of what they see: observation, action and change."""

    networks: Any
    optimiser: optax.OptState
    statistics: Statistics


class Step(eqx.Module):
    """One step as the networks see it: standardised by the statistics of all earlier iterations.

    Attributes:
        before: Observation and action.
        change: Next observation minus observation.
        arrived: Next observation.
    """

    before: Float[Array, "*batch before"]
    change: Float[Array, "*batch observation"]
    arrived: Float[Array, "*batch observation"]


@dataclass(frozen=True, eq=False)
class Prediction(Bonus):
    """A bonus computed from networks that learn in every meta-iteration from steps of all its episodes.

    Attributes:
        observation_size: Numbers in an observation that count.
        action_space: Box, or Discrete, whose actions are seen one-hot.
        hidden_sizes: Width of each hidden layer.
        varying: The observation's dimensions that count; None for all.
    """

    observation_size: int
    action_space: gymnasium.Space
    hidden_sizes: Sequence[int]
    varying: Sequence[int] | None = None
    optimiser: ClassVar[optax.GradientTransformation] = optax.adam(1e-3)
    updates: ClassVar[int] = 20
    batch: ClassVar[int] = 64
    """Steps of each task in an update."""

    @classmethod
    def configured(cls, experiment: Experiment, environment: Environment, num_tasks: int) -> "Prediction":
        """Of all that varies in the environment."""
        sizes = modelled_size(environment), environment.action_space, experiment.dyn_hidden
        return cls(*sizes, environment.varying)

    @abstractmethod
    def networks(self, *, key: PRNGKeyArray) -> Any:
        """Untrained networks."""

    @abstractmethod
    def novelty(self, networks: Any, step: Step) -> Float[Array, ""]:
        """The bonus for one step."""

    @abstractmethod
    def loss(self, networks: Any, step: Step, *, key: PRNGKeyArray) -> Float[Array, ""]:
        """What the networks minimise, on one step."""

    @property
    def action_size(self) -> int:
        """Numbers the networks see of an action."""
        return action_size(self.action_space)

    def init(self, *, key: PRNGKeyArray) -> PredictionState:
        """Untrained networks, and statistics of nothing."""
        networks = self.networks(key=key)
        statistics = Statistics.empty(2 * self.observation_size + self.action_size)
        return PredictionState(networks, self.optimiser.init(networks), statistics)

    def rewards(
        self, state: PredictionState, episodes: Episodes, *, key: PRNGKeyArray
    ) -> Float[Array, "trajectories steps"]:
        """The novelty of every step."""
        steps = self._steps(state.statistics, episodes)
        return jax.vmap(jax.vmap(lambda step: self.novelty(state.networks, step)))(steps)

    def update(
        self,
        state: PredictionState,
        inner: Sequence[Episodes],
        after: Episodes,
        *,
        iteration: Int[Array, ""],
        key: PRNGKeyArray,
    ) -> tuple[PredictionState, Metrics]:
        """Adam updates on steps drawn from each task's episodes, before and after adaptation."""
        statistics = state.statistics
        for episodes in [*inner, after]:
            statistics = statistics.including(self._numbers(episodes), episodes.valid)
        episodes_of_all = jax.tree.map(lambda *leaves: jnp.concatenate(leaves, axis=1), *inner, after)

        def of_a_task(shared, episodes: Episodes, key: PRNGKeyArray) -> Float[Array, ""]:
            networks, statistics = shared
            draw_key, loss_key = jax.random.split(key)
            valid = episodes.valid.reshape(-1)
            chosen = jax.random.choice(draw_key, valid.size, (self.batch,), p=valid / jnp.sum(valid))
            # Chosen first: only these steps are put into the networks' units.
            drawn = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:])[chosen], episodes)
            steps = self._steps(statistics, drawn)
            keys = jax.random.split(loss_key, self.batch)
            return jnp.mean(jax.vmap(lambda step, key: self.loss(networks, step, key=key))(steps, keys))

        def mean_loss(networks: Any, key: PRNGKeyArray) -> Float[Array, ""]:
            keys = jax.random.split(key, after.rewards.shape[0])
            return jnp.mean(over_tasks(of_a_task, shared=(networks, statistics))(episodes_of_all, keys))

        def learn(carry, key):
            networks, optimiser = carry
            loss, gradient = jax.value_and_grad(mean_loss)(networks, key)
            changes, optimiser = self.optimiser.update(gradient, optimiser)
            return (eqx.apply_updates(networks, changes), optimiser), loss

        start = state.networks, state.optimiser
        (networks, optimiser), losses = jax.lax.scan(learn, start, jax.random.split(key, self.updates))
        metrics = {"Dynamics/OldMSELoss": losses[0], "Dynamics/NewMSELoss": losses[-1]}
        return PredictionState(networks, optimiser, statistics), metrics

    def tensors(self, state: PredictionState) -> dict[str, Array]:
        """The networks' arrays and the statistics."""
        return named_leaves((state.networks, state.statistics))

    def with_tensors(self, state: PredictionState, named: dict[str, Array]) -> PredictionState:
        """The state with the arrays that `tensors` names replaced."""
        networks, statistics = with_leaves((state.networks, state.statistics), named)
        return PredictionState(networks, state.optimiser, statistics)

    def _numbers(self, episodes: Episodes) -> Float[Array, "*batch numbers"]:
        seen = episodes.observations, episodes.next_observations
        observations, arrived = (dimensions(observations, self.varying) for observations in seen)
        actions = action_numbers(self.action_space, episodes.actions)
        return jnp.concatenate([observations, actions, arrived - observations], axis=-1)

    def _steps(self, statistics: Statistics, episodes: Episodes) -> Step:
        numbers = self._numbers(episodes)
        size = self.observation_size
        arrived = numbers.at[..., :size].set(dimensions(episodes.next_observations, self.varying))
        before, change = jnp.split(statistics.standardise(numbers), [size + self.action_size], axis=-1)
        return Step(before, change, statistics.standardise(arrived)[..., :size])
