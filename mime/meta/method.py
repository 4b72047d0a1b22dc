"""What a method is, and which one a configuration describes: nobody else reads the method's flags and keys."""

from dataclasses import dataclass

import optax

from mime.configuration.gradients import Experiment
from mime.envs.environment import Environment
from mime.exploration.bonus import Bonus, NoBonus
from mime.exploration.bonuses import make_bonus
from mime.meta import eta
from mime.meta.adaptation import FixedRates, InnerStep, LearnedRates
from mime.meta.eta import EtaRule
from mime.meta.objectives import EMamlCredit, Exploration, Maml, Objective, Term
from mime.meta.rewards import Extrinsic, Gae, Mixed, Noisy, Reward
from mime.meta.state import Experience, Mixture, Steps, Trial
from mime.numerics.trpo import Trpo


@dataclass(frozen=True)
class Method:
    """A gradient-based method: MAML, its explorations, E-MAML, and what they combine to.

    Attributes:
        reward: What the policy learns from.
        gae: How advantages are estimated.
        inner_step: From shared parameters to a task's.
        num_steps: Inner steps of a trial.
        terms: Of the outer objective.
        outer_step: On the objective.
        bonus: The intrinsic reward of the policy before adaptation.
        later_bonus: Of the policies after an inner step: the same, or none.
        eta_rule: How its weight is learned.
        warm_up: Meta-iterations in which the policy is rewarded without the bonus.
    """

    reward: Reward
    gae: Gae
    inner_step: InnerStep
    num_steps: int
    terms: tuple[Term, ...]
    outer_step: Trpo
    bonus: Bonus
    later_bonus: Bonus
    eta_rule: EtaRule
    warm_up: int

    def bonus_at(self, stage: int) -> Bonus:
        """The intrinsic reward after so many inner steps."""
        return self.bonus if stage == 0 else self.later_bonus

    def advantages(self, experience: Experience, mixture: Mixture) -> Steps:
        """Of the rewards that the policy learns from."""
        return self.gae(experience, self.reward(experience, mixture))

    def objective_of(self, trial: Trial) -> Objective:
        """The outer objective, as one trial shows it."""
        inner_advantages = [self.advantages(experience, trial.mixture) for experience in trial.inner]
        return Objective(self.terms, self.inner_step, trial, inner_advantages, seen=trial)


def method_of(experiment: Experiment, environment: Environment, num_tasks: int) -> Method:
    """The method that a configuration describes.

    Args:
        experiment: The configuration.
        environment: Whose spaces the bonus sees.
        num_tasks: Tasks per meta-iteration.
    """
    gae = Gae(experiment.gamma, experiment.gae_lambda)
    reward, terms = _reward_and_terms(experiment, gae)
    bonus = make_bonus(experiment, environment, num_tasks) if experiment.use_vime else NoBonus()
    rates = LearnedRates if experiment.learn_fast_lr else FixedRates
    return Method(
        reward=reward,
        gae=gae,
        inner_step=InnerStep(
            rates(experiment.fast_lr, experiment.latent_rate), experiment.first_order, experiment.fast_lr_decay
        ),
        num_steps=experiment.num_steps,
        terms=terms,
        outer_step=_outer_step(experiment),
        bonus=bonus,
        later_bonus=bonus if experiment.bonus_credit == "mixed" else NoBonus(),
        eta_rule=_eta_rule(experiment, gae),
        # As in the 2020 code, whose counter has to exceed `pre-epochs` before the bonus counts: with 0, one iteration.
        warm_up=experiment.pre_epochs + 1,
    )


def _reward_and_terms(experiment: Experiment, gae: Gae) -> tuple[Reward, tuple[Term, ...]]:
    """What adaptation is rewarded for, and the terms of the outer objective."""
    extrinsic = Noisy(experiment.noise_std) if experiment.add_noise else Extrinsic()
    mixed = experiment.use_vime and experiment.bonus_credit == "mixed"
    before = experiment.use_vime and experiment.bonus_credit == "before"
    reward = Mixed(extrinsic) if mixed else extrinsic
    credit = (EMamlCredit(),) if experiment.e_maml else ()
    exploration = (Exploration(gae),) if before else ()
    return reward, (Maml(reward, gae), *credit, *exploration)


def _outer_step(experiment: Experiment) -> Trpo:
    return Trpo(
        max_kl=experiment.max_kl,
        cg_iters=experiment.cg_iters,
        cg_damping=experiment.cg_damping,
        ls_max_steps=experiment.ls_max_steps,
        ls_backtrack_ratio=experiment.ls_backtrack_ratio,
        fisher_trajectories=experiment.fisher_batch_size,
    )


def _eta_rule(experiment: Experiment, gae: Gae) -> EtaRule:
    """How the bonus's weight is learned, if at all."""
    if not experiment.adapt_eta:
        return eta.Fixed(experiment.eta)
    if experiment.eta_rule == "found":
        return eta.TargetFound(experiment.adaptable_eta, experiment.eta_lr)
    optimiser = optax.adam(experiment.eta_lr) if experiment.eta_rule == "adam" else eta.clipped(experiment.eta_lr)
    worth = eta.advantages_by(gae) if experiment.eta_objective == "advantages" else eta.rewards_of
    return eta.MetaGradient(experiment.adaptable_eta, optimiser, worth)
