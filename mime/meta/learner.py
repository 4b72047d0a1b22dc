"""One meta-iteration, for every method: explore, adapt, explore again, and improve what was adapted from."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from mime.baseline import advantages
from mime.configuration.gradients import Experiment
from mime.envs.task_environment import count_tasks
from mime.exploration import eta as learned_eta
from mime.exploration.bonus import Bonus
from mime.meta import objectives, trpo
from mime.meta.adaptation import adapt, distributions, share
from mime.meta.objectives import Outcome
from mime.meta.rates import initial_rates, used_rates
from mime.meta.state import Agent, Experience, LearnerState, Shared, Steps, Trial, first_trajectories
from mime.numerics.finite import all_finite, select
from mime.numerics.parallel import over_tasks
from mime.numerics.statistics import standardise
from mime.numerics.tensors import named_leaves, with_leaves
from mime.policies.networks import Policy, named_parameters, with_parameters
from mime.sampling.episodes import Episodes, Sampler, named_stages, outcomes

Metrics = dict[str, Array]


@dataclass(frozen=True, eq=False)
class Learner:
    """MAML, E-MAML and their explorations: the configuration chooses the reward and the outer objective.

    Attributes:
        experiment: The configuration.
        sampler: Collects episodes.
        bonus: The intrinsic reward, if any.
    """

    experiment: Experiment
    sampler: Sampler
    bonus: Bonus | None

    @property
    def compiled(self) -> bool:
        """Whether an iteration can be compiled as a whole."""
        return self.sampler.compiled

    @property
    def explores_first(self) -> bool:
        """Whether the bonus rewards the policy before adaptation alone."""
        return self.experiment.bonus_credit == "before"

    @property
    def eta_optimiser(self) -> optax.GradientTransformation:
        """The rule by which the logit is learned."""
        return learned_eta.optimiser(self.experiment.eta_rule, self.experiment.eta_lr)

    def init(self, policy: Policy, *, key: PRNGKeyArray) -> LearnerState:
        """The state before training."""
        logit = self.experiment.adaptable_eta if self.experiment.adapt_eta else self.experiment.eta
        eta = jnp.asarray(logit, jnp.float32)
        rates = initial_rates(policy, self.experiment.fast_lr) if self.experiment.learn_fast_lr else None
        return LearnerState(
            shared=Shared(policy, rates),
            bonus=None if self.bonus is None else self.bonus.init(key=key),
            eta=eta,
            eta_optimiser=self.eta_optimiser.init(eta),
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
        trial_key, improve_key = jax.random.split(key)
        trial = self.adapt_and_evaluate(state, tasks, trial_key, num_steps=self.experiment.num_steps)
        new_state, metrics = self.improve(state, trial, improve_key)
        return new_state, self.summary(trial, state) | metrics, trial

    def adapt_and_evaluate(self, state: LearnerState, tasks: Any, key: PRNGKeyArray, *, num_steps: int) -> Trial:
        """Adapt to each task for `num_steps` inner steps, each on fresh episodes, and act once more."""
        agents = share(Agent(state.policy, state.bonus), count_tasks(tasks))
        inner = []
        for step_key in jax.random.split(key, num_steps):
            explore_key, adapt_key = jax.random.split(step_key)
            experience = self.explore(agents, tasks, explore_key)
            agents = self.adapt(agents, experience, state, adapt_key)
            inner.append(experience)
        return Trial(inner, self.explore(agents, tasks, jax.random.fold_in(key, num_steps)))

    def explore(self, agents: Agent, tasks: Any, key: PRNGKeyArray) -> Experience:
        """Experience of each task's agent in its task."""
        sample_key, appraise_key = jax.random.split(key)
        return self.appraise(agents, self.sampler(agents.policy, tasks, sample_key), appraise_key)

    @partial(jax.jit, static_argnums=0)
    def appraise(self, agents: Agent, episodes: Episodes, key: PRNGKeyArray) -> Experience:
        """The episodes with their rewards as learning sees them; `[tasks trajectories steps]`."""
        noise_key, bonus_key = jax.random.split(key)
        extrinsic = over_tasks(standardise)(episodes.rewards, episodes.valid)
        if self.experiment.add_noise:
            extrinsic += self.experiment.noise_std * jax.random.normal(noise_key, extrinsic.shape)
        if self.bonus is None:
            return Experience(episodes, extrinsic, jnp.zeros_like(extrinsic))
        keys = jax.random.split(bonus_key, episodes.rewards.shape[0])
        intrinsic = over_tasks(lambda b, e, k: self.bonus.rewards(b, e, key=k))(agents.bonus, episodes, keys)
        return Experience(episodes, extrinsic, intrinsic)

    @partial(jax.jit, static_argnums=0)
    def adapt(self, agents: Agent, experience: Experience, state: LearnerState, key: PRNGKeyArray) -> Agent:
        """Each task's agent after one inner step on its experience."""
        warming_up = self._is_warming_up(state)
        advantages = self.advantages(experience, state.eta, warming_up)
        policies = over_tasks(self._adapt, shared=state.shared)(agents.policy, experience, advantages)
        if self.bonus is None:
            return Agent(policies, None)
        keys = jax.random.split(key, experience.extrinsic.shape[0])
        models = over_tasks(lambda b, e, k: self.bonus.adapt(b, e, key=k))(agents.bonus, experience.episodes, keys)
        return Agent(policies, models)

    @partial(jax.jit, static_argnums=0)
    def improve(self, state: LearnerState, trial: Trial, key: PRNGKeyArray) -> tuple[LearnerState, Metrics]:
        """The outer step: new shared parameters, and with them the bonus and the weight of its rewards."""
        shared, metrics = self._improve_policy(state, trial)
        bonus, eta, eta_optimiser = state.bonus, state.eta, state.eta_optimiser
        if self.bonus is not None:
            bonus, bonus_metrics = self.bonus.update(
                state.bonus,
                [experience.episodes for experience in trial.inner],
                trial.after.episodes,
                iteration=state.iteration,
                key=key,
            )
            finite = all_finite(bonus)
            bonus = select(finite, bonus, state.bonus)
            metrics |= bonus_metrics | {"Dynamics/Refused": ~finite}
        if self.experiment.adapt_eta:
            eta, eta_optimiser, eta_metrics = self._improve_eta(state, trial)
            metrics |= eta_metrics
        return LearnerState(shared, bonus, eta, eta_optimiser, state.iteration + 1), metrics

    def advantages(self, experience: Experience, eta: Float[Array, ""], warming_up: Bool[Array, ""]) -> Steps:
        """Advantages of the rewards that the method learns from."""
        return self._advantages_of(experience, self.rewards(experience, eta, warming_up))

    def rewards(self, experience: Experience, eta: Float[Array, ""], warming_up: Bool[Array, ""]) -> Steps:
        """The extrinsic rewards, mixed after the warm-up with the bonus standardised over each task's batch."""
        if self.bonus is None or self.explores_first:
            return experience.extrinsic
        mixed = learned_eta.mix(experience.extrinsic, self._standardised_bonus(experience), eta)
        return jnp.where(warming_up, experience.extrinsic, mixed)

    def _is_warming_up(self, state: LearnerState) -> Bool[Array, ""]:
        return state.iteration < self.experiment.pre_epochs

    def _standardised_bonus(self, experience: Experience) -> Steps:
        return over_tasks(standardise)(experience.intrinsic, experience.episodes.valid)

    def _advantages_of(self, experience: Experience, rewards: Steps) -> Steps:
        discounts = {"gamma": self.experiment.gamma, "gae_lambda": self.experiment.gae_lambda}
        return over_tasks(partial(advantages, **discounts))(experience.episodes, rewards)

    def _adapt(self, shared: Shared, policy: Policy, experience: Experience, advantages: Steps) -> Policy:
        rates = self.experiment.fast_lr if shared.fast_lr is None else used_rates(shared.fast_lr)
        options = {"fast_lr": rates, "first_order": self.experiment.first_order}
        return adapt(policy, experience.episodes, advantages, **options)

    def outcome(
        self, shared: Shared, trial: Trial, inner_advantages: Sequence[Steps], seen: Trial | None = None
    ) -> Outcome:
        """What shared parameters lead to: the inner loop repeated on recorded experience.

        Args:
            shared: The parameters.
            trial: What the inner loop learns from.
            inner_advantages: Of its inner episodes.
            seen: Part of the trial, at whose steps the distributions are taken; by default all of it.
        """

        def of_a_task(shared: Shared, trial: Trial, inner_advantages: Sequence[Steps], seen: Trial) -> Outcome:
            policy, before = shared.policy, []
            for experience, inner_advantage, seen_before in zip(trial.inner, inner_advantages, seen.inner):
                if self.experiment.e_maml or self.explores_first:
                    before.append(distributions(policy, seen_before.episodes))
                policy = self._adapt(shared, policy, experience, inner_advantage)
            return Outcome(after=distributions(policy, seen.after.episodes), before=tuple(before))

        return over_tasks(of_a_task, shared=shared)(trial, list(inner_advantages), trial if seen is None else seen)

    def _improve_policy(self, state: LearnerState, trial: Trial) -> tuple[Shared, Metrics]:
        warming_up = self._is_warming_up(state)
        inner_advantages = [self.advantages(experience, state.eta, warming_up) for experience in trial.inner]
        after_advantages = self.advantages(trial.after, state.eta, warming_up)
        episodes = trial.after.episodes
        mean_returns = jnp.mean(episodes.returns(), axis=1)
        inner_episodes = [experience.episodes for experience in trial.inner]
        if self.explores_first:
            novelty = [
                self._advantages_of(experience, self._standardised_bonus(experience)) for experience in trial.inner
            ]
            weight = jnp.where(warming_up, 0, learned_eta.intrinsic_weight(state.eta))

        def surrogate(new: Outcome, old: Outcome) -> Float[Array, ""]:
            value = objectives.maml_surrogate(new, old, episodes, after_advantages)
            if self.experiment.e_maml:
                credit = standardise(mean_returns, jnp.ones_like(mean_returns, bool))
                value += objectives.e_maml_credit(new, old, inner_episodes, credit)
            if self.explores_first:
                value += weight * objectives.exploration(new, old, inner_episodes, novelty)
            return value

        def divergence(seen: Trial) -> Callable[[Outcome, Outcome], Float[Array, ""]]:
            before = [experience.episodes for experience in seen.inner] if self.explores_first else ()
            return lambda new, old: objectives.mean_kl(new, old, seen.after.episodes, before)

        sample = None
        if self.experiment.fisher_batch_size is not None:
            few = first_trajectories(trial, self.experiment.fisher_batch_size)
            outputs = partial(self.outcome, trial=trial, inner_advantages=inner_advantages, seen=few)
            sample = trpo.Sample(outputs, divergence(few))
        shared, report = trpo.step(
            state.shared,
            partial(self.outcome, trial=trial, inner_advantages=inner_advantages),
            surrogate,
            divergence(trial),
            sample=sample,
            max_kl=self.experiment.max_kl,
            cg_iters=self.experiment.cg_iters,
            cg_damping=self.experiment.cg_damping,
            ls_max_steps=self.experiment.ls_max_steps,
            ls_backtrack_ratio=self.experiment.ls_backtrack_ratio,
        )
        return shared, {
            "KL": report.kl,
            "SurrogateImprovement": report.improvement,
            "LineSearchSteps": report.line_search_steps,
            "OuterStep": report.verdict,
            "GradientNorm": report.gradient_norm,
        }

    def eta_loss(self, eta: Float[Array, ""], state: LearnerState, trial: Trial) -> Float[Array, ""]:
        """-mean(ratio * w) after adaptation, as a function of the logit through the inner steps.

        The ratio is 1 in value; w is the standardised extrinsic reward, or its advantage, of the later episodes.
        """
        warming_up = self._is_warming_up(state)
        inner_advantages = [self.advantages(experience, eta, warming_up) for experience in trial.inner]
        after = self.outcome(state.shared, trial, inner_advantages).after
        weights = trial.after.extrinsic
        if self.experiment.eta_objective == "advantages":
            weights = self._advantages_of(trial.after, weights)
        behaviour = jax.lax.stop_gradient(after)
        return -jnp.mean(objectives.weighted_by_ratio(after, behaviour, trial.after.episodes, weights))

    def _eta_gradient(self, state: LearnerState, trial: Trial) -> Float[Array, ""]:
        """What the logit descends: by `found`, the share of tasks found, while it is in use; else its meta-gradient."""
        if self.experiment.eta_rule != "found":
            return jax.grad(self.eta_loss)(state.eta, state, trial)
        first = trial.inner[0].episodes
        return jnp.where(self._is_warming_up(state), 0, learned_eta.excess_found(first.rewards, first.valid))

    def _improve_eta(self, state: LearnerState, trial: Trial) -> tuple[Float[Array, ""], optax.OptState, Metrics]:
        gradient = self._eta_gradient(state, trial)
        change, optimiser = self.eta_optimiser.update(gradient, state.eta_optimiser, state.eta)
        finite = jnp.isfinite(gradient) & jnp.isfinite(state.eta + change)
        eta, optimiser = select(finite, (state.eta + change, optimiser), (state.eta, state.eta_optimiser))
        clipped = jnp.abs(change) >= learned_eta.LARGEST_CHANGE
        return eta, optimiser, {"EtaGradient": gradient, "EtaClipped": clipped}

    def stages(self, trial: Trial) -> list[Episodes]:
        """The episodes before each inner step, and after the last one."""
        return [experience.episodes for experience in [*trial.inner, trial.after]]

    @partial(jax.jit, static_argnums=0)
    def summary(self, trial: Trial, state: LearnerState) -> Metrics:
        """Returns and success before each inner step (`Train-k`, after k steps) and after the last (`Valid`)."""
        metrics = outcomes(self.stages(trial), getattr(self.sampler.environment, "grid", None))
        if self.bonus is None:
            return metrics
        for name, experience in named_stages([*trial.inner, trial.after]).items():
            rewards = jnp.where(experience.episodes.valid, experience.intrinsic, 0)
            intrinsic = jnp.mean(jnp.sum(rewards, axis=-1))
            metrics[f"{name}/IntrinsicReturns"] = intrinsic
            metrics[f"{name}/CombinedReturns"] = learned_eta.mix(metrics[f"{name}/Returns"], intrinsic, state.eta)
        return metrics | {"Eta": state.eta, "EtaShare": jax.nn.sigmoid(state.eta)}

    def tensors(self, state: LearnerState) -> dict[str, dict[str, Array]]:
        """The parameters that testing needs, by the file that they are exported to."""
        files = {"policy": named_parameters(state.policy)}
        if state.shared.fast_lr is not None:
            files |= {"fast_lr": named_leaves(state.shared.fast_lr)}
        if self.bonus is not None:
            files |= {"dynamics": self.bonus.tensors(state.bonus) | {"eta": state.eta}}
        return files

    def with_tensors(self, state: LearnerState, files: dict[str, dict[str, Array]]) -> LearnerState:
        """The state of a trained run with those parameters; past the warm-up, since a test uses the bonus."""
        policy, rates = with_parameters(state.policy, files["policy"]), state.shared.fast_lr
        rates = None if rates is None else with_leaves(rates, files["fast_lr"])
        iteration = state.iteration + self.experiment.iterations
        state = replace(state, shared=Shared(policy, rates), iteration=iteration)
        if self.bonus is None:
            return state
        bonus = self.bonus.with_tensors(state.bonus, files["dynamics"])
        return replace(state, bonus=bonus, eta=files["dynamics"]["eta"])
