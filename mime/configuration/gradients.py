"""The configuration of an experiment: every key, its meaning, its default, and what it refuses."""

from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field

from mime.configuration.keys import (
    Fraction,
    NonNegative,
    Number,
    OneOrMore,
    Positive,
    ZeroOrMore,
    nearest,
)
from mime.configuration.named_classes import is_class_name
from mime.configuration.shared import LinearGainKeys, Share, TrustRegionKeys

BONUS_NAMES = ("information-gain", "state-entropy", "rnd", "ensemble-disagreement", "reward-proximity")

# Keys that have no effect without use-vime, besides those of the dynamics model, and without adapt-eta.
BONUS_KEYS = ("bonus", "bonus-credit", "eta", "normalize-spaces")
WEIGHT_KEYS = ("adaptable-eta", "eta-lr", "eta-rule", "eta-objective")


def needed_flag(key: str) -> str | None:
    """The flag without which a key, in kebab-case, has no effect; None for those that always have one."""
    if key in WEIGHT_KEYS:
        return "adapt-eta"
    if key in BONUS_KEYS or key.startswith("dyn-"):
        return "use-vime"
    return "add-noise" if key == "noise-std" else None


def _bonus(name: str) -> str:
    if name not in BONUS_NAMES and not is_class_name(name):
        raise ValueError(f"is not a bonus{nearest(name, BONUS_NAMES)}, or `module:Class` of your own")
    return name


class Experiment(TrustRegionKeys, LinearGainKeys):
    """Everything that decides what a run of a gradient-based method computes, apart from its seed."""

    LENGTH: ClassVar[str] = "num-batches"
    STEPS: ClassVar[str] = "inner steps"

    # Policy
    hidden_sizes: tuple[OneOrMore, ...] = (64, 64)
    """Width of each hidden layer of the policy."""
    nonlinearity: Literal["tanh", "relu", "elu", "sigmoid"] = "tanh"
    """Activation of the policy's hidden layers."""
    latent_size: ZeroOrMore = 0
    """Numbers that the policy draws once for a trajectory and sees in every step (MAESN); 0 for none."""
    latent_draws: Literal["independent", "together"] = "independent"
    """Whether each of a task's trajectories draws its latent by itself, or all together so that they do not clump."""
    observation_scale: Positive = 1.0
    """Factor of the observations that the policy sees: brings them to about 1, where its units are not flat."""
    observe_reward: bool = False
    """Let the policy observe the last step's reward, as RL2 does."""
    scale_actions: bool = False
    """Let half the environment's box of actions be the unit of the policy's means and standard deviations."""
    initial_std: Positive = 1.0
    """Standard deviation of continuous actions before training."""
    min_std: Positive = 1e-6
    """The least that their standard deviation counts as: where noise vanishes, little is learned."""

    # Tasks
    weakest_actions: Fraction = 1.0
    """Make half of the training tasks harder: their actions count for less, by factors from this to 1. 1 for none."""

    # Advantages
    gamma: Fraction = 0.99
    """Discount."""
    gae_lambda: Fraction = 1.0
    """Decay of generalised advantage estimation: 1 for Monte-Carlo returns, 0 for one-step differences."""

    # Inner loop
    num_steps: OneOrMore = 1
    """Inner gradient steps, each on fresh episodes."""
    fast_lr: Positive = 0.05
    """Rate of the inner gradient steps."""
    latent_rate: Annotated[Number, Field(ge=0, le=0.95)] = 0.7
    """Rate at which an inner step moves the distribution of a latent; with learn-fast-lr, where it starts."""
    learn_fast_lr: bool = False
    """Let the outer step improve the rate of each parameter, from fast-lr on (Meta-SGD)."""
    fast_lr_decay: bool = False
    """Shorten the inner steps: the n-th has one n-th of the rates, so that many steps stay where the first ones led."""
    fast_batch_size: OneOrMore = 20
    """Trajectories per task in each batch."""
    first_order: bool = False
    """Ignore the inner step's own derivative in the meta-gradient; a latent's step keeps its derivative."""

    # Outer loop
    num_batches: OneOrMore = 100
    """Meta-iterations, besides those of pre-epochs."""
    meta_batch_size: OneOrMore = 20
    """Tasks per meta-iteration."""
    fisher_batch_size: OneOrMore | None = None
    """Trajectories per task that the Fisher matrix is estimated from; default all. The trust region is that of all."""

    # Method
    use_vime: bool = False
    """Add an intrinsic reward (MAML+expl): the information a dynamics model gains from each transition."""
    adapt_eta: bool = False
    """Learn the weight between the two rewards (MIME), by eta-rule. Needs use-vime."""
    e_maml: bool = False
    """Credit pre-adaptation actions for the return after adaptation (E-MAML, arXiv 1803.01118)."""
    add_noise: bool = False
    """Add Gaussian noise to the normalised rewards (MAML+noise)."""
    noise_std: NonNegative = 1.0
    """Standard deviation of that noise."""

    # Exploration
    bonus: Annotated[str, AfterValidator(_bonus)] = "information-gain"
    """What the intrinsic reward is: information-gain, state-entropy, rnd or ensemble-disagreement, all for novelty;
    reward-proximity, information gain until a reward is found and then for coming near to it; or `module:Class` of
    your own."""
    bonus_credit: Literal["mixed", "before"] = "mixed"
    """Whom the bonus rewards: all episodes, mixed with the task's rewards (the paper's), or the policies before each
    inner step alone, in the outer step; adaptation, and what it leads to, are then judged by the task's rewards."""
    pre_epochs: ZeroOrMore = 0
    """Warm-up: in so many meta-iterations and one more, the dynamics model learns and the policy sees the extrinsic
    reward alone."""
    adaptable_eta: Share = 0.1
    """Share of the intrinsic reward at first, with adapt-eta; what is learned is its logit."""
    eta_lr: NonNegative = 1000.0
    """Rate of the logit's updates; about 0.1 with eta-rule: found, where it may be 1 at most."""
    eta_rule: Literal["clipped", "adam", "found"] = "clipped"
    """How the logit is learned: by a clipped step on its meta-gradient as in the paper, by Adam, whatever the
    gradient's scale, or, `found`, by eta-lr times (0.75 - share of tasks whose reward is found before adaptation)."""
    eta_objective: Literal["rewards", "advantages"] = "rewards"
    """What the learned weight maximises after adaptation: rewards as in the paper, or advantages (unbiased)."""
    normalize_spaces: bool = False
    """Standardise what the dynamics model sees by the statistics of the warm-up."""

    # Dynamics model
    dyn_model: Literal["network", "linear"] = "network"
    """What information is gained about: a Bayesian network's weights (VIME's approximation), or, exactly, a linear
    function of random features. Keys from dyn-inputs to dyn-thinning are the linear model's, the rest the network's."""
    dyn_hidden: tuple[OneOrMore, ...] = (32,)
    """Width of each hidden layer of the Bayesian network."""
    dyn_fast_lr: Positive = 1e-4
    """Rate of its outer Adam updates, per squared number of tasks."""
    dyn_lr: Positive | None = None
    """Rate of its adaptation to a task and of the update that measures information gain; default dyn-fast-lr."""
    dyn_prior_sd: Positive = 0.5
    """Standard deviation of the prior over its weights."""
    dyn_kl_scale: NonNegative = 1.0
    """Factor of the divergence from the prior in its loss."""
    dyn_second_order: bool = False
    """Measure information gain by VIME's closed form in place of one Adam step."""
    dyn_memory: ZeroOrMore = 0
    """Transitions of the last 20 meta-iterations that its outer updates learn from again; 0 for none."""
    dyn_within_task: bool = False
    """Let the model learn from a task's trajectories one after the other: to later ones, what they show is not new."""

    def check(self) -> None:
        """Refuses values that do not go together."""
        super().check()
        if self.weakest_actions < 1 and self.meta_batch_size == 1:
            raise ValueError("weakest-actions needs a half of the tasks to weaken; set meta-batch-size to 2 or more")
        if self.latent_draws == "together" and self.latent_size == 0:
            raise ValueError("latent-draws: together draws latents; set latent-size to 1 or more")
        if self.latent_draws == "together" and self.e_maml:
            raise ValueError(
                "e-maml: true credits a task's trajectories for what they earn together, which vanishes with"
                " latent-draws: together; leave one of them out"
            )
        if self.adapt_eta and not self.use_vime:
            raise ValueError("adapt-eta: true learns the weight of an intrinsic reward; add use-vime to have one")
        if self.bonus_credit == "before" and not self.use_vime:
            raise ValueError(
                "bonus-credit: before gives the bonus to the policy before adaptation; add use-vime to have a bonus"
            )
        if self.bonus_credit == "before" and self.adapt_eta and self.eta_rule != "found":
            raise ValueError(
                f"eta-rule: {self.eta_rule} learns the weight through the inner step, which with bonus-credit: before"
                " sees the task's rewards alone; use eta-rule: found with eta-lr: 0.1, or leave adapt-eta out"
            )
        if self.adapt_eta and self.eta_rule == "found" and self.eta_lr > 1:
            raise ValueError(f"eta-lr: {self.eta_lr:g} is too large for eta-rule: found; try 0.1")
        if self.normalize_spaces and self.use_vime and self.pre_epochs == 0:
            raise ValueError(
                "normalize-spaces: true takes its statistics from the warm-up; set pre-epochs to 1 or more"
            )

    def unused(self, key: str) -> str | None:
        """The flag without which a key has no effect, if this configuration lacks it.

        Args:
            key: In kebab-case.
        """
        flag = needed_flag(key)
        return None if flag is None or self.as_keys()[flag] else flag

    @property
    def iterations(self) -> int:
        """Meta-iterations of a run: the warm-up and `num_batches`, for every method, so that budgets stay equal."""
        return self.pre_epochs + self.num_batches

    @property
    def method(self) -> str:
        """The name under which the method is known."""
        if self.use_vime:
            name = "MIME" if self.adapt_eta else "MAML+expl"
            name = f"E-{name}" if self.e_maml else name
        else:
            name = "E-MAML" if self.e_maml else "MAML"
        return f"{name}+noise" if self.add_noise else name
