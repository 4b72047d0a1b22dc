"""One meta-iteration, for every gradient-based method: explore, adapt, explore again, improve what was adapted from."""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from mime.envs.task_environment import count_tasks
from mime.exploration.bonus import Bonus
from mime.meta.method import Method
from mime.meta.state import Agent, Eta, Experience, LearnerState, Mixture, Shared, Trial
from mime.numerics.parallel import one_copy, over_tasks, repeated
from mime.numerics.tensors import named_leaves, with_leaves
from mime.policies.distributions import Distribution
from mime.policies.policy import Policy
from mime.sampling.episodes import Episodes, Sampler, named_stages, outcomes

Metrics = dict[str, Array]


@dataclass(frozen=True, eq=False)
class Learner:
    """Meta-learns parameters from which a policy adapts to a task in a few steps.

    Attributes:
        method: What is rewarded, how policies adapt, what makes parameters good for that, and how they improve.
        sampler: Collects episodes.
    """

    method: Method
    sampler: Sampler

    @property
    def compiled(self) -> bool:
        """Whether an iteration can be compiled as a whole."""
        return self.sampler.compiled

    def init(self, policy: Policy, *, key: PRNGKeyArray) -> LearnerState:
        """The state before training."""
        return LearnerState(
            shared=Shared(policy, self.method.inner_step.rates.init(policy)),
            bonus=self.method.bonus.init(key=key),
            eta=self.method.eta_rule.init(),
            iteration=jnp.zeros((), int),
        )

    def iterate(self, state: LearnerState, tasks: Any, key: PRNGKeyArray) -> tuple[LearnerState, Metrics, Trial]:
        """One meta-iteration.

        Args:
            state: Before it.
            tasks: A batch of tasks, with a leading `tasks` axis.
            key: For everything random in this iteration.

        Returns:
            The state after it, metrics to record, and what happened.
        """
        trial_key, bonus_key = jax.random.split(key)
        trial = self.adapt_and_evaluate(state, tasks, trial_key, num_steps=self.method.num_steps)
        shared, policy_metrics = self.improve_policy(state, trial)
        bonus, bonus_metrics = self.improve_bonus(state, trial, bonus_key)
        eta, eta_metrics = self.improve_eta(state, trial)
        new_state = LearnerState(shared, bonus, eta, state.iteration + 1)
        return new_state, self.summary(trial, state) | policy_metrics | bonus_metrics | eta_metrics, trial

    def adapt_and_evaluate(self, state: LearnerState, tasks: Any, key: PRNGKeyArray, *, num_steps: int) -> Trial:
        """Collect and adapt, `num_steps` times, to each task by itself; then collect once more."""
        agents, inner = self.adapt_to(state, tasks, key, num_steps=num_steps)
        after = self.collect(agents, tasks, jax.random.fold_in(key, num_steps), stage=num_steps)
        return Trial(inner, one_copy(after), self.mixture(state))

    def adapt_to(
        self, state: LearnerState, tasks: Any, key: PRNGKeyArray, *, num_steps: int
    ) -> tuple[Agent, list[Experience]]:
        """Each task's agent after `num_steps` inner steps, and the experience before each of them."""
        agents, inner = repeated(Agent(state.policy, state.bonus), count_tasks(tasks)), []
        for stage, step_key in enumerate(jax.random.split(key, num_steps)):
            collect_key, adapt_key = jax.random.split(step_key)
            experience = self.collect(agents, tasks, collect_key, stage=stage)
            agents = self.adapt(agents, experience, state, adapt_key, earlier=stage)
            inner.append(one_copy(experience))
        return agents, inner

    def collect(self, agents: Agent, tasks: Any, key: PRNGKeyArray, *, stage: int) -> Experience:
        """Experience of each task's agent, after so many inner steps, in its task."""
        sample_key, reward_key = jax.random.split(key)
        episodes = self.sampler(agents.policy, tasks, sample_key)
        return self.rewarded(self.method.bonus_at(stage), agents, episodes, reward_key)

    @partial(jax.jit, static_argnums=(0, 1))
    def rewarded(self, bonus: Bonus, agents: Agent, episodes: Episodes, key: PRNGKeyArray) -> Experience:
        """The episodes with their rewards as learning sees them; `[tasks trajectories steps]`."""
        noise_key, bonus_key = jax.random.split(key)
        extrinsic = self.method.reward.extrinsic(episodes, noise_key)
        keys = jax.random.split(bonus_key, episodes.rewards.shape[0])
        intrinsic = over_tasks(lambda b, e, k: bonus.rewards(b, e, key=k))
        return Experience(episodes, extrinsic, intrinsic(agents.bonus, episodes, keys))

    @partial(jax.jit, static_argnums=0)
    def adapt(
        self,
        agents: Agent,
        experience: Experience,
        state: LearnerState,
        key: PRNGKeyArray,
        earlier: Int[Array, ""] | int = 0,
    ) -> Agent:
        """Each task's agent after one inner step on its experience, after so many earlier steps."""
        advantages = self.method.advantages(experience, self.mixture(state))
        step = over_tasks(self.method.inner_step, shared=state.shared)
        count = experience.extrinsic.shape[0]
        policies = step(agents.policy, experience.episodes, advantages, jnp.full(count, earlier))
        keys = jax.random.split(key, count)
        models = over_tasks(lambda b, e, k: self.method.bonus.adapt(b, e, key=k))
        return Agent(policies, models(agents.bonus, experience.episodes, keys))

    @partial(jax.jit, static_argnums=0)
    def improve_policy(self, state: LearnerState, trial: Trial) -> tuple[Shared, Metrics]:
        """The shared parameters after the outer step on what the trial shows of the objective."""
        shared, report = self.method.outer_step(state.shared, self.method.objective_of(trial))
        return shared, report.metrics()

    @partial(jax.jit, static_argnums=0)
    def improve_bonus(self, state: LearnerState, trial: Trial, key: PRNGKeyArray) -> tuple[Any, Metrics]:
        """What the bonus has learned from the trial's episodes."""
        *inner, after = self.stages(trial)
        return self.method.bonus.improve(state.bonus, inner, after, iteration=state.iteration, key=key)

    @partial(jax.jit, static_argnums=0)
    def improve_eta(self, state: LearnerState, trial: Trial) -> tuple[Eta, Metrics]:
        """The weight of the bonus after the trial."""
        return self.method.eta_rule.update(state.eta, trial, partial(self.adapted, state.shared, trial))

    def adapted(self, shared: Shared, trial: Trial, logit: Float[Array, ""]) -> Distribution:
        """Of the adapted policies at the later episodes, had the bonus had another weight."""
        otherwise = trial._replace(mixture=replace(trial.mixture, logit=logit))
        return self.method.objective_of(otherwise).outputs(shared).after

    def mixture(self, state: LearnerState) -> Mixture:
        """How the two rewards are mixed in this iteration."""
        return Mixture(state.eta.logit, in_use=state.iteration >= self.method.warm_up)

    def stages(self, trial: Trial) -> list[Episodes]:
        """The episodes before each inner step, and after the last one."""
        return [experience.episodes for experience in [*trial.inner, trial.after]]

    @partial(jax.jit, static_argnums=0)
    def summary(self, trial: Trial, state: LearnerState) -> Metrics:
        """Returns and success before each inner step (`Train-k`, after k steps) and after the last (`Valid`)."""
        metrics = outcomes(self.stages(trial), self.sampler.environment.grid)
        for stage, (name, experience) in enumerate(named_stages([*trial.inner, trial.after]).items()):
            returns = metrics[f"{name}/Returns"], experience.intrinsic_return()
            metrics |= self.method.bonus_at(stage).summary(name, *returns, state.eta.logit)
        return metrics

    def tensors(self, state: LearnerState) -> dict[str, dict[str, Array]]:
        """The parameters that testing needs, by the file that they are exported to."""
        files = {
            "policy": state.policy.acting().named_parameters(),
            "fast_lr": named_leaves(state.shared.rates),
        } | self.method.bonus.files(state.bonus, state.eta.logit)
        return {name: tensors for name, tensors in files.items() if tensors}

    def with_tensors(self, state: LearnerState, files: dict[str, dict[str, Array]]) -> LearnerState:
        """The state of a trained run with those parameters; past the warm-up, since a test uses the bonus."""
        rates, dynamics = (files.get(name, {}) for name in ("fast_lr", "dynamics"))
        shared = Shared(state.policy.with_parameters(files["policy"]), with_leaves(state.shared.rates, rates))
        bonus = self.method.bonus.with_tensors(state.bonus, dynamics)
        eta = Eta(dynamics.get("eta", state.eta.logit), state.eta.optimiser)
        return LearnerState(shared, bonus, eta, state.iteration + self.method.warm_up)
