"""Policies with a memory: a gated recurrent unit that reads what was observed, done and earned (RL2)."""

from typing import NamedTuple

import equinox as eqx
import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key, PRNGKeyArray, Shaped

from mime.policies.actions import CategoricalActions, GaussianActions
from mime.policies.distributions import Categorical, Gaussian
from mime.policies.layers import affine, xavier_layers
from mime.policies.numpy_recurrent import RecurrentNumpyPolicy

Inputs = Float[Array, "steps inputs"]


class Carry(NamedTuple):
    """What a recurrent policy takes from one step to the next.

    Attributes:
        hidden: State of the recurrent unit.
        action: The last action, as the policy's inputs have it; zeros before the first.
        reward: The last reward; 0 before the first.
        done: 1 in the first step of an episode that another one came before, else 0.
    """

    hidden: Float[Array, "hidden"]
    action: Float[Array, "action"]
    reward: Float[Array, ""]
    done: Float[Array, ""]


class GRU(eqx.Module):
    """A gated recurrent unit and a linear layer of its state (Cho et al. 2014, arXiv 1406.1078).

    Args:
        input_size: Numbers in an input.
        hidden_size: Numbers in its state.
        output_size: Numbers in an output.
        key: For the initial weights.
    """

    cell: eqx.nn.GRUCell
    head: eqx.nn.Linear

    def __init__(self, input_size: int, hidden_size: int, output_size: int, *, key: PRNGKeyArray):
        cell_key, head_key = jax.random.split(key)
        self.cell = eqx.nn.GRUCell(input_size, hidden_size, key=cell_key)
        (self.head,) = xavier_layers([hidden_size, output_size], key=head_key)

    def __call__(
        self, inputs: Float[Array, "inputs"], hidden: Float[Array, "hidden"]
    ) -> tuple[Float[Array, "outputs"], Float[Array, "hidden"]]:
        """The output and the state after one step."""
        hidden = self.cell(inputs, hidden)
        return affine(self.head, hidden), hidden

    def unroll(
        self, inputs: Inputs, valid: Bool[Array, "steps"], *, bptt_steps: int | None = None
    ) -> Float[Array, "steps outputs"]:
        """The outputs along a sequence, from a state of zeros.

        Args:
            inputs: Of every step.
            valid: False for steps that did not take place, in which the state stays.
            bptt_steps: Steps after which the gradient is cut: backpropagation through time then goes back to the
                last step whose number is a multiple of it. None to go back to the first.
        """
        cuts = jnp.zeros(len(inputs), bool) if bptt_steps is None else jnp.arange(len(inputs)) % bptt_steps == 0

        def step(hidden, scanned):
            inputs, valid, cut = scanned
            hidden = jnp.where(cut, jax.lax.stop_gradient(hidden), hidden)
            hidden = jnp.where(valid, self.cell(inputs, hidden), hidden)
            return hidden, hidden

        states = jax.lax.scan(step, jnp.zeros(self.cell.hidden_size), (inputs, valid, cuts))[1]
        return affine(self.head, states)


class RecurrentPolicy(eqx.Module):
    """Maps what has happened in a task so far to a distribution of actions (Duan et al. 2016, arXiv 1611.02779).

    Its inputs are the observation, the last action, the last reward, and whether an episode has just ended.

    Attributes:
        network: From inputs to what describes the action.
        actions: What that is.
        observation_scale: Factor of the observations in the inputs.
        reward_scale: Factor of the rewards in the inputs.
    """

    network: GRU
    actions: GaussianActions | CategoricalActions
    observation_scale: float = eqx.field(static=True)
    reward_scale: float = eqx.field(static=True)

    def start(self) -> Carry:
        """Before the first step in a task."""
        nothing = jnp.zeros(())
        return Carry(jnp.zeros(self.network.cell.hidden_size), jnp.zeros(self.actions.size), nothing, nothing)

    def __call__(self, observation: Float[Array, "observation"], carry: Carry) -> tuple[Gaussian | Categorical, Carry]:
        """The distribution of the action, and the state with which it was chosen."""
        inputs = self._joined(observation, carry.action, carry.reward, carry.done)
        outputs, hidden = self.network(inputs, carry.hidden)
        return self.actions.distribution(outputs), carry._replace(hidden=hidden)

    def remember(self, carry: Carry, action: Shaped[Array, "..."], reward: Float[Array, ""]) -> Carry:
        """With what was done and what came of it."""
        return carry._replace(action=self.actions.numbers(action), reward=reward, done=jnp.zeros(()))

    def next_episode(self, carry: Carry) -> Carry:
        """At the end of an episode of the same task."""
        return carry._replace(done=jnp.ones(()))

    def inputs(
        self,
        observations: Float[Array, "episodes steps observation"],
        actions: Shaped[Array, "episodes steps ..."],
        rewards: Float[Array, "episodes steps"],
        valid: Bool[Array, "episodes steps"],
    ) -> Float[Array, "all_steps inputs"]:
        """What the network saw in every step of a recorded trial, one episode behind the other."""
        episodes, length = valid.shape
        steps = jnp.arange(episodes * length)
        last_valid = jax.lax.cummax(jnp.where(valid.ravel(), steps, -1))
        # The last step that took place before each step: in an episode that ended early, some steps before.
        before = jnp.concatenate([jnp.full(1, -1), last_valid[:-1]])
        has_past = before >= 0
        numbers = self.actions.numbers(actions.reshape(-1, *actions.shape[2:]))
        last_actions = jnp.where(has_past[:, None], numbers[before], 0)
        last_rewards = jnp.where(has_past, rewards.ravel()[before], 0)
        done = (steps > 0) & (steps % length == 0)
        flat = observations.reshape(-1, observations.shape[-1])
        return jax.vmap(self._joined)(flat, last_actions, last_rewards, done.astype(flat.dtype))

    def _joined(self, observation: Array, action: Array, reward: Array, done: Array) -> Float[Array, "inputs"]:
        told = jnp.stack([self.reward_scale * reward, done])
        return jnp.concatenate([self.observation_scale * observation, action, told])

    def draw(self, keys: Key[Array, "trajectories"]) -> None:
        """Nothing is drawn for an episode."""

    def acting(self) -> "RecurrentPolicy":
        """Itself."""
        return self

    def named_parameters(self) -> dict[str, Array]:
        """gru.weight_ih, ... as of PyTorch's `nn.GRUCell`, mu.weight, mu.bias and, of continuous actions, sigma.

        Inputs and actions are in the units that the network sees.
        """
        cell, head = self.network.cell, self.network.head
        assert cell.bias is not None
        assert cell.bias_n is not None
        assert head.bias is not None
        named = {
            "gru.weight_ih": cell.weight_ih,
            "gru.weight_hh": cell.weight_hh,
            "gru.bias_ih": cell.bias,
            "gru.bias_hh": jnp.concatenate([jnp.zeros(2 * cell.hidden_size), cell.bias_n]),
            "mu.weight": head.weight,
            "mu.bias": head.bias,
        }
        sigma = getattr(self.actions, "sigma", None)
        return named if sigma is None else named | {"sigma": sigma}

    def with_parameters(self, named: dict[str, Array]) -> "RecurrentPolicy":
        """The policy with its arrays replaced by those of the same names."""
        cell = self.network.cell
        bias_hh = named["gru.bias_hh"]
        named = named | {"gru.bias_ih": named["gru.bias_ih"] + bias_hh.at[2 * cell.hidden_size :].set(0)}
        named["gru.bias_n"] = bias_hh[2 * cell.hidden_size :]
        # In the order of the pytree's leaves.
        order = ["gru.weight_ih", "gru.weight_hh", "gru.bias_ih", "gru.bias_n", "mu.weight", "mu.bias", "sigma"]
        return jax.tree.unflatten(jax.tree.structure(self), [named[name] for name in order if name in named])

    def in_numpy(self, named: dict[str, np.ndarray]) -> RecurrentNumpyPolicy:
        """What a worker acts with in one trial, given its named parameters."""
        actions = self.actions.in_numpy(named)
        scales = {"observation_scale": self.observation_scale, "reward_scale": self.reward_scale}
        return RecurrentNumpyPolicy(named, actions, **scales)


def make_recurrent(
    observation_space: gymnasium.Space,
    action_space: gymnasium.Space,
    *,
    hidden_size: int,
    observation_scale: float,
    reward_scale: float,
    initial_std: float,
    min_std: float,
    key: PRNGKeyArray,
) -> tuple[RecurrentPolicy, GRU]:
    """A recurrent policy for a pair of spaces, and an untrained critic that reads the same inputs.

    Args:
        observation_space: A Box of one axis.
        action_space: A Box of one axis, or Discrete.
        hidden_size: Numbers in the state of either.
        observation_scale: Factor of the observations in their inputs.
        reward_scale: Factor of the rewards in their inputs.
        initial_std: Standard deviation of continuous actions at first, in units.
        min_std: The least that it counts as.
        key: For the initial weights.

    Raises:
        ValueError: For other spaces.
    """
    if not isinstance(observation_space, gymnasium.spaces.Box) or len(observation_space.shape) != 1:
        raise ValueError(f"observations must be a vector (a Box of one axis), not {observation_space}")
    if isinstance(action_space, gymnasium.spaces.Discrete):
        actions = CategoricalActions(int(action_space.n))
    elif isinstance(action_space, gymnasium.spaces.Box) and len(action_space.shape) == 1:
        actions = GaussianActions(action_space, initial_std=initial_std, min_std=min_std)
    else:
        raise ValueError(f"actions must be Discrete or a Box of one axis, not {action_space}")
    input_size = observation_space.shape[0] + actions.size + 2
    policy_key, critic_key = jax.random.split(key)
    network = GRU(input_size, hidden_size, actions.size, key=policy_key)
    policy = RecurrentPolicy(network, actions, observation_scale, reward_scale)
    return policy, GRU(input_size, hidden_size, 1, key=critic_key)
