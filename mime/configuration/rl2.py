"""The configuration of RL2 (Duan et al. 2016, arXiv 1611.02779)."""

from typing import ClassVar, Literal

from mime.configuration.keys import Fraction, NonNegative, OneOrMore, Positive
from mime.configuration.shared import LinearGainKeys, TrustRegionKeys


class Rl2Experiment(TrustRegionKeys, LinearGainKeys):
    """Everything that decides what a run of RL2 computes, apart from its seed."""

    LENGTH: ClassVar[str] = "num-batches"
    STEPS: ClassVar[str] = "earlier episodes"

    algorithm: Literal["rl2"] = "rl2"
    """Says that the file configures RL2."""

    # Policy
    hidden_size: OneOrMore = 128
    """Numbers in the memory: the state of the policy's gated recurrent unit, and of the critic's."""
    observation_scale: Positive = 1.0
    """Factor of the observations that the networks see."""
    reward_scale: Positive = 1.0
    """Factor of the rewards that the networks see, and learn from: brings a trial's sum to about 1 to 10."""
    initial_std: Positive = 1.0
    """Standard deviation of continuous actions before training, in units of half their box."""
    min_std: Positive = 1e-6
    """The least that their standard deviation counts as."""

    # Trials
    episodes_per_trial: OneOrMore = 2
    """Episodes of a trial, in one memory."""
    trials_per_task: OneOrMore = 20
    """Trials of each task of a batch, each in a memory of its own."""
    meta_batch_size: OneOrMore = 20
    """Tasks per meta-iteration."""
    num_batches: OneOrMore = 100
    """Meta-iterations."""

    # Learning
    gamma: Fraction = 0.99
    """Discount, which runs on over the ends of a trial's episodes."""
    gae_lambda: Fraction = 0.95
    """Decay of generalised advantage estimation over a whole trial."""
    outer_step: Literal["ppo", "trpo"] = "ppo"
    """How the policy improves. Keys from learning-rate to max-grad-norm are also the critic's; those of the trust
    region are TRPO's alone."""
    learning_rate: Positive = 1e-3
    """Rate of Adam."""
    update_epochs: OneOrMore = 5
    """Passes over a batch of trials."""
    num_minibatches: OneOrMore = 4
    """Parts of a pass, each with as many trials of every task."""
    max_grad_norm: Positive = 0.5
    """Norm to which longer gradients are shortened."""
    clip_ratio: Positive = 0.2
    """Distance from 1 beyond which a ratio of probabilities earns nothing more, in PPO."""
    entropy_coefficient: NonNegative = 0.0
    """Weight of the policy's entropy, in PPO."""
    bptt_steps: OneOrMore | None = None
    """Steps after which backpropagation through time is cut; default never."""

    # Method
    use_vime: bool = False
    """Add an intrinsic reward in all episodes of a trial but the last: the exact information gain of a linear model."""

    @property
    def iterations(self) -> int:
        """Meta-iterations of a run."""
        return self.num_batches

    @property
    def method(self) -> str:
        """The name under which the method is known."""
        return "RL2+expl" if self.use_vime else "RL2"

    @property
    def test_steps(self) -> int:
        """Steps of adaptation in tests: as many as in training."""
        return max(self.episodes_per_trial - 1, 1)

    def check(self) -> None:
        """Refuses values that do not go together."""
        super().check()
        if self.trials_per_task % self.num_minibatches:
            raise ValueError(
                f"num-minibatches: {self.num_minibatches} should divide trials-per-task: {self.trials_per_task}"
            )
        if self.use_vime and self.episodes_per_trial == 1:
            raise ValueError(
                "use-vime: true rewards exploration in all episodes of a trial but the last; set episodes-per-trial to"
                " 2 or more"
            )
