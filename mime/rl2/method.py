"""Which RL2 a configuration describes: nobody else reads its keys."""

from functools import partial

from mime.configuration.rl2 import Rl2Experiment
from mime.exploration.bonus import NoBonus
from mime.exploration.linear_gain import LinearInformationGain
from mime.numerics.trpo import Trpo
from mime.rl2.advantages import trial_advantages
from mime.rl2.critic import CriticStep
from mime.rl2.descent import Descent
from mime.rl2.learner import Rl2Learner
from mime.rl2.outer_steps import PolicyStep, Ppo, TrustRegion
from mime.rl2.rewards import Scaled, ScaledAndMixed
from mime.sampling.episodes import Sampler


def make_learner(experiment: Rl2Experiment, sampler: Sampler) -> Rl2Learner:
    """RL2 as configured, on the sampler's environment.

    Raises:
        ValueError: If it does not fit the environment.
    """
    descent = Descent(
        learning_rate=experiment.learning_rate,
        epochs=experiment.update_epochs,
        minibatches=experiment.num_minibatches,
        max_gradient_norm=experiment.max_grad_norm,
    )
    reward = ScaledAndMixed if experiment.use_vime else Scaled
    environment = sampler.environment
    return Rl2Learner(
        sampler=sampler,
        num_episodes=experiment.episodes_per_trial,
        reward=reward(experiment.reward_scale, experiment.eta),
        estimate=partial(trial_advantages, gamma=experiment.gamma, gae_lambda=experiment.gae_lambda),
        policy_step=_policy_step(experiment, descent),
        critic_step=CriticStep(descent, experiment.bptt_steps),
        bonus=LinearInformationGain.configured(experiment, environment, 1) if experiment.use_vime else NoBonus(),
    )


def _policy_step(experiment: Rl2Experiment, descent: Descent) -> PolicyStep:
    if experiment.outer_step == "ppo":
        return Ppo(descent, experiment.clip_ratio, experiment.entropy_coefficient, experiment.bptt_steps)
    trpo = Trpo(
        max_kl=experiment.max_kl,
        cg_iters=experiment.cg_iters,
        cg_damping=experiment.cg_damping,
        ls_max_steps=experiment.ls_max_steps,
        ls_backtrack_ratio=experiment.ls_backtrack_ratio,
    )
    return TrustRegion(trpo, experiment.bptt_steps)
