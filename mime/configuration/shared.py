"""Keys that configurations of more than one family of methods have."""

from typing import Annotated, Literal

from pydantic import Field

from mime.configuration.keys import Configuration, NonNegative, Number, OneOrMore, Positive

Share = Annotated[Number, Field(gt=0, lt=1)]


class TrustRegionKeys(Configuration):
    """Of TRPO."""

    max_kl: Positive = 0.01
    """Trust region: largest mean KL divergence of the policies from those before the step, in nats; with bonus-credit:
    before, summed with that of the policies before each inner step."""
    cg_iters: OneOrMore = 10
    """Iterations of conjugate gradient for the step's direction."""
    cg_damping: NonNegative = 1e-5
    """Multiple of the identity added to the Fisher matrix."""
    ls_max_steps: OneOrMore = 15
    """Step sizes tried by the line search."""
    ls_backtrack_ratio: Annotated[Number, Field(gt=0, lt=1)] = 0.8
    """Ratio of consecutive step sizes in the line search."""


class LinearGainKeys(Configuration):
    """Of the exact information gain."""

    eta: Share = 0.1
    """Share of the intrinsic reward, without adapt-eta: 0.1 for weights of 0.95 and 0.15."""
    dyn_inputs: Literal["transition", "arrival", "both"] = "transition"
    """What the features are of: observation and action, the next observation, or all three."""
    dyn_gain: Literal["chain-rule", "leave-one-out"] = "chain-rule"
    """What a step's information is beyond: all other trajectories and its own past, or all other steps."""
    dyn_features: OneOrMore = 256
    """Number of random features."""
    dyn_length_scale: Positive = 0.5
    """Distance over which the features tell inputs apart, in their standard deviations."""
    dyn_noise_variance: Annotated[Number, Field(ge=1e-2)] = 0.1
    """Variance of the noise in what is predicted, 0.01 or more: the smaller, the less a second visit is worth."""
    dyn_thinning: OneOrMore = 1
    """Steps of which one counts: for episodes of thousands of steps."""

    def check(self) -> None:
        """Refuses values that do not go together."""
        if self.dyn_features % 2:
            raise ValueError(f"dyn-features: {self.dyn_features} should be even: half cosines, half sines")
