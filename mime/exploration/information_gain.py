"""Information gain: how much a transition teaches a Bayesian model of the environment's dynamics.

References:
    Houthooft et al. 2016, VIME: Variational Information Maximizing Exploration, arXiv 1605.09674.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import equinox as eqx
import gymnasium
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from mime.configuration.gradients import Experiment
from mime.envs.environment import Environment
from mime.exploration import bnn
from mime.exploration.bnn import BayesianNetwork
from mime.exploration.bonus import Bonus, Metrics
from mime.exploration.gains import adam_gain, closed_form_gain
from mime.exploration.memory import Memory
from mime.exploration.spaces import Statistics, action_numbers, action_size, dimensions, modelled_size
from mime.numerics.parallel import over_tasks
from mime.numerics.statistics import masked_mean
from mime.sampling.episodes import Episodes

LARGEST_GAIN = 1000.0
FIRST_ITERATION_UPDATES = 50


class DynamicsState(eqx.Module):
    """Bayesian model of p(next observation | observation, action), its optimiser, statistics of its spaces, memory."""

    network: BayesianNetwork
    optimiser: optax.OptState
    observation_statistics: Statistics
    action_statistics: Statistics
    memory: Memory | None


@dataclass(frozen=True, eq=False)
class InformationGain(Bonus):
    """The bonus of VIME and MIME: KL between the model's posterior after and before learning from a transition.

    Attributes:
        observation_size: Numbers in an observation that the model sees and predicts.
        action_space: Box, or Discrete, whose actions the model sees one-hot.
        num_tasks: Tasks per meta-iteration; the outer rate grows with its square.
        normalised_over: First iterations, whose statistics normalise the spaces, if they are normalised at all.
        normalize_spaces, hidden_sizes, prior_sd, kl_scale, rate, outer_rate, first_order, closed_form: See the keys of
            `mime.configuration.gradients.Experiment`.
        memory, within_task: The keys dyn-memory and dyn-within-task.
        varying: The observation's dimensions that the model sees and predicts; None for all.
    """

    observation_size: int
    action_space: gymnasium.Space
    num_tasks: int
    normalised_over: int
    normalize_spaces: bool
    hidden_sizes: Sequence[int]
    prior_sd: float
    kl_scale: float
    rate: float
    outer_rate: float
    first_order: bool
    closed_form: bool
    memory: int = 0
    within_task: bool = False
    varying: Sequence[int] | None = None

    @classmethod
    def configured(cls, experiment: Experiment, environment: Environment, num_tasks: int) -> "InformationGain":
        """With the keys that begin with dyn, of all that varies in the environment."""
        return cls(
            observation_size=modelled_size(environment),
            action_space=environment.action_space,
            num_tasks=num_tasks,
            normalised_over=experiment.pre_epochs,
            normalize_spaces=experiment.normalize_spaces,
            hidden_sizes=experiment.dyn_hidden,
            prior_sd=experiment.dyn_prior_sd,
            kl_scale=experiment.dyn_kl_scale,
            rate=experiment.dyn_lr or experiment.dyn_fast_lr,
            outer_rate=experiment.dyn_fast_lr,
            first_order=experiment.first_order,
            closed_form=experiment.dyn_second_order,
            memory=experiment.dyn_memory,
            within_task=experiment.dyn_within_task,
            varying=environment.varying,
        )

    @property
    def action_size(self) -> int:
        """Numbers the model sees of an action."""
        return action_size(self.action_space)

    @property
    def optimiser(self) -> optax.GradientTransformation:
        """Of the outer updates."""
        return optax.adam(self.outer_rate * self.num_tasks**2)

    def init(self, *, key: PRNGKeyArray) -> DynamicsState:
        """An untrained model."""
        network = BayesianNetwork(
            self.observation_size + self.action_size,
            self.observation_size,
            hidden_sizes=self.hidden_sizes,
            prior_sd=self.prior_sd,
            key=key,
        )
        return DynamicsState(
            network=network,
            optimiser=self.optimiser.init(network),
            observation_statistics=Statistics.empty(self.observation_size),
            action_statistics=Statistics.empty(self.action_size),
            memory=Memory.empty(self.memory, self.observation_size + self.action_size, self.observation_size)
            if self.memory
            else None,
        )

    def rewards(
        self, state: DynamicsState, episodes: Episodes, *, key: PRNGKeyArray
    ) -> Float[Array, "trajectories steps"]:
        """Information gain of every transition, in nats, clipped to [0, 1000]."""
        inputs, targets = self._examples(state, episodes)
        noise = state.network.draw(*episodes.rewards.shape, key=key)
        gain = closed_form_gain if self.closed_form else lambda *args: adam_gain(*args, rate=self.rate)
        if not self.within_task:
            gains = jax.vmap(gain, in_axes=(None, 0, 0, 0))(state.network, inputs, targets, noise)
            return jnp.clip(gains, 0, LARGEST_GAIN)

        def of_a_trajectory(network, trajectory):
            inputs, targets, valid, noise = trajectory
            return self._adapted(network, (inputs, targets, valid), noise), gain(network, inputs, targets, noise)

        gains = jax.lax.scan(of_a_trajectory, state.network, (inputs, targets, episodes.valid, noise))[1]
        return jnp.clip(gains, 0, LARGEST_GAIN)

    def adapt(self, state: DynamicsState, episodes: Episodes, *, key: PRNGKeyArray) -> DynamicsState:
        """The model after one gradient step on a task's episodes."""
        examples = self._flat_examples(state, episodes)
        network = self._adapted(state.network, examples, state.network.draw(episodes.rewards.size, key=key))
        return eqx.tree_at(lambda s: s.network, state, network)

    def update(
        self,
        state: DynamicsState,
        inner: Sequence[Episodes],
        after: Episodes,
        *,
        iteration: Int[Array, ""],
        key: PRNGKeyArray,
    ) -> tuple[DynamicsState, Metrics]:
        """Outer Adam updates on the loss of the model adapted to each task, on that task's later episodes.

        Fifty updates in the first meta-iteration, one in each later one.
        """
        flat_examples = over_tasks(partial(self._flat_examples, state))
        inner_examples, after_examples = [flat_examples(episodes) for episodes in inner], flat_examples(after)
        num_tasks = after.rewards.shape[0]
        inner_key, after_key = jax.random.split(key)

        def draw(key: PRNGKeyArray, episodes: Episodes) -> Float[Array, "tasks examples samples units"]:
            of_a_task = partial(state.network.draw, episodes.rewards[0].size)
            return over_tasks(lambda key: of_a_task(key=key))(jax.random.split(key, num_tasks))

        # Drawn once: in every update, and for the errors, the inner step is the same function of the network.
        inner_noise = [draw(jax.random.fold_in(inner_key, step), episodes) for step, episodes in enumerate(inner)]

        def adapted(network, task_inner, task_noise):
            for examples, noise in zip(task_inner, task_noise):
                network = self._adapted(network, examples, noise)
            return network

        def task_loss(network, task_inner, inner_noise, task_after, after_noise):
            network = adapted(network, task_inner, inner_noise)
            return bnn.loss(network, *task_after, after_noise, kl_scale=self.kl_scale)

        def outer_loss(network, noise, key):
            losses = over_tasks(task_loss, shared=network)
            mean = jnp.mean(losses(inner_examples, inner_noise, after_examples, noise))
            return mean if state.memory is None else mean + self._remembered_loss(network, state.memory, key)

        def outer_update(index, carry):
            network, optimiser = carry
            key = jax.random.fold_in(after_key, index)
            gradient = jax.grad(outer_loss)(network, draw(key, after), key)
            changes, optimiser = self.optimiser.update(gradient, optimiser)
            return eqx.apply_updates(network, changes), optimiser

        def task_error(network, task_inner, inner_noise, task_after):
            return squared_error(adapted(network, task_inner, inner_noise), *task_after)

        def mean_squared_error(network):
            return jnp.mean(over_tasks(task_error, shared=network)(inner_examples, inner_noise, after_examples))

        updates = jnp.where(iteration == 0, FIRST_ITERATION_UPDATES, 1)
        network, optimiser = jax.lax.fori_loop(0, updates, outer_update, (state.network, state.optimiser))
        # One after the other, so that the function is compiled once.
        both = jax.tree.map(lambda *leaves: jnp.stack(leaves), state.network, network)
        old_error, new_error = jax.lax.map(mean_squared_error, both)
        metrics = {"Dynamics/OldMSELoss": old_error, "Dynamics/NewMSELoss": new_error}
        memory = state.memory
        if memory is not None:
            examples = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), after_examples)
            memory = memory.including(*examples, key=inner_key)
        state = DynamicsState(network, optimiser, state.observation_statistics, state.action_statistics, memory)
        return self._with_statistics(state, [*inner, after], iteration), metrics

    def tensors(self, state: DynamicsState) -> dict[str, Array]:
        """Posterior means (`layer1.weight_mu`, ...), rhos (standard deviation softplus(rho)), and the statistics."""
        return self._named_leaves(state)

    def with_tensors(self, state: DynamicsState, named: dict[str, Array]) -> DynamicsState:
        """The state with the arrays that `tensors` names replaced."""
        names = list(self.tensors(state))
        return eqx.tree_at(lambda s: list(self._named_leaves(s).values()), state, [named[name] for name in names])

    def _named_leaves(self, state):
        named = {}
        for symbol, layers in (("mu", state.network.mean), ("rho", state.network.rho)):
            for number, layer in enumerate(layers, start=1):
                named[f"layer{number}.weight_{symbol}"] = layer.weight
                named[f"layer{number}.bias_{symbol}"] = layer.bias
        for space, statistics in (
            ("observation", state.observation_statistics),
            ("action", state.action_statistics),
        ):
            named[f"{space}.count"] = statistics.count
            named[f"{space}.mean"] = statistics.mean
            named[f"{space}.sum_of_squares"] = statistics.sum_of_squares
        return named

    def _remembered_loss(self, network: BayesianNetwork, memory: Memory, key: PRNGKeyArray) -> Float[Array, ""]:
        examples = memory.inputs, memory.targets, memory.valid
        noise = network.draw(len(memory.inputs), key=jax.random.fold_in(key, 0))
        return bnn.loss(network, *examples, noise, kl_scale=self.kl_scale)

    def _adapted(self, network: BayesianNetwork, examples: tuple[Array, Array, Array], noise: Array) -> BayesianNetwork:
        gradient = jax.grad(bnn.loss)(network, *examples, noise, kl_scale=self.kl_scale)
        if self.first_order:
            gradient = jax.lax.stop_gradient(gradient)
        return jax.tree.map(lambda parameter, slope: parameter - self.rate * slope, network, gradient)

    def _examples(self, state: DynamicsState, episodes: Episodes) -> tuple[Array, Array]:
        actions = action_numbers(self.action_space, episodes.actions)
        inputs = jnp.concatenate(
            [
                state.observation_statistics.standardise(self._modelled(episodes.observations)),
                state.action_statistics.standardise(actions),
            ],
            axis=-1,
        )
        return inputs, state.observation_statistics.standardise(self._modelled(episodes.next_observations))

    def _modelled(self, observations: Float[Array, "*batch observation"]) -> Float[Array, "*batch modelled"]:
        return dimensions(observations, self.varying)

    def _flat_examples(self, state: DynamicsState, episodes: Episodes) -> tuple[Array, Array, Bool[Array, "examples"]]:
        inputs, targets = self._examples(state, episodes)
        return inputs.reshape(-1, inputs.shape[-1]), targets.reshape(-1, targets.shape[-1]), episodes.valid.reshape(-1)

    def _with_statistics(
        self, state: DynamicsState, batches: Sequence[Episodes], iteration: Int[Array, ""]
    ) -> DynamicsState:
        if not self.normalize_spaces:
            return state
        observations, actions = state.observation_statistics, state.action_statistics
        for episodes in batches:
            valid = episodes.valid & (iteration < self.normalised_over)
            observations = observations.including(self._modelled(episodes.observations), valid)
            if not isinstance(self.action_space, gymnasium.spaces.Discrete):
                actions = actions.including(episodes.actions, valid)
        return DynamicsState(state.network, state.optimiser, observations, actions, state.memory)


def squared_error(network: BayesianNetwork, inputs: Array, targets: Array, valid: Array) -> Float[Array, ""]:
    """Mean squared error per coordinate of the mean prediction."""
    errors = jnp.mean((jax.vmap(network.predict)(inputs) - targets) ** 2, axis=-1)
    return masked_mean(errors, valid)
