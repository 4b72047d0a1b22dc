"""Exact information gain: what each trajectory tells a Bayesian linear model beyond all others of its task."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from mime.configuration.shared import LinearGainKeys
from mime.envs.environment import Environment
from mime.exploration.bonus import Bonus
from mime.exploration.fourier import FourierFeatures
from mime.exploration.regression import Steps, chain_rule_gains, leave_one_out_gains
from mime.exploration.spaces import action_numbers, action_size, count_of, dimensions, places_of
from mime.numerics.statistics import standardise
from mime.sampling.episodes import Episodes

Inputs = Literal["transition", "arrival", "both"]
Form = Literal["chain-rule", "leave-one-out"]
LEAST_NOISE_VARIANCE = 1e-2


@dataclass(frozen=True, eq=False)
class LinearInformationGain(Bonus):
    """The bonus: information about a linear function of random features of a transition, in nats, with nothing learned.

    Bayesian linear regression on features phi with prior N(0, I) and noise variance s knows, after some transitions,
    the precision A = I + sum phi phi^T / s of its weights, whatever the numbers that it predicts. One more transition
    tells 1/2 log(1 + phi^T A^-1 phi / s) nats about the weights, for each predicted number. Two forms differ in what is
    known before a step:

    - chain-rule: all *other* trajectories of the task's batch, and the own trajectory's earlier steps. A trajectory's
      gains add up to what it tells beyond all others, so that trajectories are rewarded for not doing the same.
    - leave-one-out: all other steps of the task's batch, the own trajectory's included.

    Observations are measured in their standard deviations over the task's batch, in which those that do not vary count
    for nothing; actions in units of half their box, after clipping to it, or one-hot.

    Attributes:
        observation_size: Numbers in an observation that count.
        action_space: Box, or Discrete.
        inputs: What a transition's features are of: `transition`, observation and action; `arrival`, the next
            observation; `both`, all three.
        form: `chain-rule` or `leave-one-out`.
        num_features: An even number.
        length_scale: Of the kernel that the features approximate, in the units above.
        noise_variance: s, 0.01 or more. The smaller it is, the less exact are the gains in float32.
        thinning: Only the last of every so many steps of a trajectory counts. Its gain is shared equally by the steps
            that led to it, so that gains add up to the same; steps after the last that counts get 0.
        varying: The observation's dimensions that count; None for all.

    Raises:
        ValueError: For numbers that are not positive or too small, and an odd number of features.

    References:
        Henaff et al. 2022, E3B, arXiv 2210.05805, for phi^T A^-1 phi as a bonus, there within an episode.
    """

    observation_size: int
    action_space: gymnasium.Space
    inputs: Inputs = "transition"
    form: Form = "chain-rule"
    num_features: int = 256
    length_scale: float = 0.5
    noise_variance: float = 0.1
    thinning: int = 1
    varying: Sequence[int] | None = None

    def __post_init__(self):
        for name in ("num_features", "length_scale", "noise_variance", "thinning"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name}: {getattr(self, name)} must be greater than 0, and finite")
        if self.noise_variance < LEAST_NOISE_VARIANCE:
            raise ValueError(
                f"noise_variance: {self.noise_variance} must be {LEAST_NOISE_VARIANCE} or more, in float32"
            )
        if self.num_features % 2:
            raise ValueError(f"num_features: {self.num_features} must be even: half cosines, half sines")

    @classmethod
    def configured(
        cls, experiment: LinearGainKeys, environment: Environment, num_tasks: int
    ) -> "LinearInformationGain":
        """With the keys from dyn-inputs to dyn-thinning, of the environment's places or else of all that varies."""
        if experiment.dyn_thinning > environment.horizon:
            raise ValueError(
                f"dyn-thinning: {experiment.dyn_thinning} is more than the {environment.horizon} steps of an episode"
            )
        places = places_of(environment)
        return cls(
            observation_size=count_of(environment, places),
            action_space=environment.action_space,
            inputs=experiment.dyn_inputs,
            form=experiment.dyn_gain,
            num_features=experiment.dyn_features,
            length_scale=experiment.dyn_length_scale,
            noise_variance=experiment.dyn_noise_variance,
            thinning=experiment.dyn_thinning,
            varying=places,
        )

    def init(self, *, key: PRNGKeyArray) -> FourierFeatures:
        """The features, which stay as drawn."""
        transition = self.observation_size + action_size(self.action_space)
        sizes = {"transition": transition, "arrival": self.observation_size}
        size = sizes.get(self.inputs, transition + self.observation_size)
        return FourierFeatures(size, self.num_features, self.length_scale, key=key)

    def rewards(self, state: FourierFeatures, episodes: Episodes, *, key: PRNGKeyArray) -> Steps:
        """The gain of every step, between 0 and 1/2 log(1 + 1 / noise variance)."""
        return self._gains(state, self._numbers(episodes), episodes.valid)

    def trial_rewards(
        self, state: FourierFeatures, trials: Episodes, *, key: PRNGKeyArray
    ) -> Float[Array, "trials episodes steps"]:
        """The gain of every step beyond its own trial's other episodes; units are those of all trials."""
        flat = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), trials)
        numbers = self._numbers(flat).reshape(*trials.valid.shape, -1)
        # One trial at a time: each has a factorisation of its own.
        return jax.lax.map(lambda trial: self._gains(state, *trial), (numbers, trials.valid))

    def _gains(
        self,
        state: FourierFeatures,
        numbers: Float[Array, "trajectories steps inputs"],
        all_valid: Bool[Array, "trajectories steps"],
    ) -> Steps:
        steps = all_valid.shape[1]
        if steps < self.thinning:
            raise ValueError(f"thinning: {self.thinning} is more than the {steps} steps of a trajectory")
        counting = slice(self.thinning - 1, None, self.thinning)
        valid = all_valid[:, counting]
        features = jnp.where(valid[..., None], state(numbers[:, counting]), 0)
        gains = {"chain-rule": chain_rule_gains, "leave-one-out": leave_one_out_gains}[self.form]
        shared = jnp.repeat(gains(features, self.noise_variance) / self.thinning, self.thinning, axis=1)
        return jnp.where(all_valid, jnp.pad(shared, ((0, 0), (0, steps - shared.shape[1]))), 0)

    def _numbers(self, episodes: Episodes) -> Float[Array, "trajectories steps inputs"]:
        """What the features are of, in the units that count."""
        before, arrived = (
            _standardised(dimensions(observations, self.varying), episodes.valid)
            for observations in (episodes.observations, episodes.next_observations)
        )
        if self.inputs == "arrival":
            return arrived
        actions = jnp.where(episodes.valid[..., None], self._scaled(episodes), 0)
        return jnp.concatenate([before, actions, *([arrived] if self.inputs == "both" else [])], axis=-1)

    def _scaled(self, episodes: Episodes) -> Float[Array, "trajectories steps action"]:
        """Actions in units of half their box, after clipping to it; in standard deviations where it has no end."""
        actions = action_numbers(self.action_space, episodes.actions)
        if isinstance(self.action_space, gymnasium.spaces.Discrete):
            return actions
        box = self.action_space
        assert isinstance(box, gymnasium.spaces.Box)
        ends = np.isfinite(box.low) & np.isfinite(box.high)
        low, high = np.where(ends, box.low, -1), np.where(ends, box.high, 1)
        scaled = (jnp.clip(actions, box.low, box.high) - (low + high) / 2) / np.where(high > low, (high - low) / 2, 1)
        return jnp.where(ends, scaled, _standardised(actions, episodes.valid))


def _standardised(
    vectors: Float[Array, "trajectories steps numbers"], valid: Bool[Array, "trajectories steps"]
) -> Float[Array, "trajectories steps numbers"]:
    """Each number in its standard deviations over the valid steps, 0 if it does not vary; 0 in steps not valid."""
    return jax.vmap(standardise, in_axes=(-1, None), out_axes=-1)(vectors, valid)
