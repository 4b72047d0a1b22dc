"""One iteration of RL2: trials of some episodes in each task, all in one memory, and an outer step on them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from mime.envs.task_environment import count_tasks
from mime.exploration.bonus import Bonus
from mime.numerics.parallel import over_tasks, repeated
from mime.policies.recurrent import GRU, RecurrentPolicy
from mime.rl2.advantages import standardised
from mime.rl2.critic import CriticStep, values
from mime.rl2.outer_steps import Decided, PolicyStep, distributions
from mime.rl2.rewards import RewardOfTrials
from mime.sampling.episodes import Episodes, Sampler, outcomes, stage_names

Metrics = dict[str, Array]


class Rl2State(eqx.Module):
    """Everything that training changes.

    Attributes:
        policy: The recurrent policy.
        kept: What its outer step keeps.
        critic: Estimates the discounted sum of rewards to the end of a trial.
        moments: Of the critic's Adam.
        bonus: State of the intrinsic reward.
        iteration: Iterations done.
    """

    policy: RecurrentPolicy
    kept: Any
    critic: GRU
    moments: optax.OptState
    bonus: Any
    iteration: Int[Array, ""]


class Rl2Trial(NamedTuple):
    """Trials of a batch of tasks.

    Attributes:
        episodes: What happened, `[tasks trials episodes steps ...]`.
        intrinsic: Bonus of every step, 0 in last episodes.
    """

    episodes: Episodes
    intrinsic: Float[Array, "tasks trials episodes steps"]


@dataclass(frozen=True, eq=False)
class Rl2Learner:
    """RL2: the policy's memory is what adapts to a task.

    Attributes:
        sampler: Collects trials.
        num_episodes: Of a trial.
        reward: What is learned from, of the task's rewards and the bonus.
        estimate: Advantages of the steps of a trial, of rewards, values and validity.
        policy_step: How the policy improves.
        critic_step: How the critic improves.
        bonus: For all episodes of a trial but the last.
    """

    sampler: Sampler
    num_episodes: int
    reward: RewardOfTrials
    estimate: Callable[[Array, Array, Array], Array]
    policy_step: PolicyStep
    critic_step: CriticStep
    bonus: Bonus

    @property
    def compiled(self) -> bool:
        """Whether an iteration can be compiled as a whole."""
        return self.sampler.compiled

    def init(self, policy: RecurrentPolicy, critic: GRU, *, key: PRNGKeyArray) -> Rl2State:
        """The state before training."""
        return Rl2State(
            policy=policy,
            kept=self.policy_step.init(policy),
            critic=critic,
            moments=self.critic_step.init(critic),
            bonus=self.bonus.init(key=key),
            iteration=jnp.zeros((), int),
        )

    def iterate(self, state: Rl2State, tasks: Any, key: PRNGKeyArray) -> tuple[Rl2State, Metrics, Rl2Trial]:
        """One iteration.

        Args:
            state: Before it.
            tasks: A batch of tasks, with a leading `tasks` axis.
            key: For everything random in this iteration.

        Returns:
            The state after it, metrics to record, and what happened.
        """
        trial_key, improve_key = jax.random.split(key)
        trial = self.adapt_and_evaluate(state, tasks, trial_key, num_steps=self.num_episodes - 1)
        new_state, metrics = self.improve(state, trial, improve_key)
        return new_state, self.summary(trial, state) | metrics, trial

    def adapt_and_evaluate(self, state: Rl2State, tasks: Any, key: PRNGKeyArray, *, num_steps: int) -> Rl2Trial:
        """Trials of `num_steps` episodes and one more in each task; the memory starts empty in each trial."""
        sample_key, bonus_key = jax.random.split(key)
        policies = repeated(state.policy, count_tasks(tasks))
        episodes = self.sampler.trials(policies, tasks, sample_key, num_episodes=num_steps + 1)
        return self.rewarded(state, episodes, bonus_key)

    @partial(jax.jit, static_argnums=0)
    def rewarded(self, state: Rl2State, episodes: Episodes, key: PRNGKeyArray) -> Rl2Trial:
        """The trials with their bonus, which only an episode with others after it has."""
        exploring = jax.tree.map(lambda leaf: leaf[:, :, :-1], episodes)
        gains = over_tasks(lambda own, trials, key: self.bonus.trial_rewards(own, trials, key=key), shared=state.bonus)
        intrinsic = gains(exploring, jax.random.split(key, len(episodes.rewards)))
        return Rl2Trial(episodes, jnp.pad(intrinsic, ((0, 0), (0, 0), (0, 1), (0, 0))))

    @partial(jax.jit, static_argnums=0)
    def improve(self, state: Rl2State, trial: Rl2Trial, key: PRNGKeyArray) -> tuple[Rl2State, Metrics]:
        """The state after the outer step on the policy and the critic's regression on what it estimates."""
        policy_key, critic_key = jax.random.split(key)
        batch, targets = self.decided(state, trial)
        policy, kept, metrics = self.policy_step(state.policy, state.kept, batch, policy_key)
        seen = batch.inputs, batch.valid, targets
        critic, moments, critic_metrics = self.critic_step(state.critic, state.moments, seen, critic_key)
        refused = metrics.get("RefusedUpdates", 0) + critic_metrics["RefusedUpdates"]
        metrics |= {"ValueLoss": critic_metrics["Loss"], "RefusedUpdates": refused}
        return Rl2State(policy, kept, critic, moments, state.bonus, state.iteration + 1), metrics

    def decided(self, state: Rl2State, trial: Rl2Trial) -> tuple[Decided, Float[Array, "tasks trials steps"]]:
        """What the outer step learns from, and what the critic is to estimate."""
        episodes, rewards = trial.episodes, self.reward(trial.episodes.rewards, trial.intrinsic)
        fields = episodes.observations, episodes.actions, episodes.rewards, episodes.valid
        inputs = jax.vmap(jax.vmap(state.policy.inputs))(*fields)
        rewards, valid = (x.reshape(*x.shape[:2], -1) for x in (rewards, episodes.valid))
        actions = episodes.actions.reshape(*valid.shape, *episodes.actions.shape[4:])
        estimates = over_tasks(values, shared=state.critic)(inputs, valid)
        advantages = jax.vmap(jax.vmap(self.estimate))(rewards, estimates, valid)
        batch = Decided(inputs, actions, valid, standardised(advantages, valid), None)
        return batch._replace(old=distributions(state.policy, batch, None)), advantages + estimates

    def stages(self, trial: Rl2Trial) -> Sequence[Episodes]:
        """The first episodes of all trials, the second ones, ...: `[tasks trials steps ...]`."""
        count = trial.intrinsic.shape[2]
        return [jax.tree.map(lambda leaf, place=place: leaf[:, :, place], trial.episodes) for place in range(count)]

    @partial(jax.jit, static_argnums=0)
    def summary(self, trial: Rl2Trial, state: Rl2State) -> Metrics:
        """Returns and success of each episode of a trial (`Train-k`, and `Valid` of the last), and of whole trials."""
        stages = self.stages(trial)
        metrics = outcomes(stages, self.sampler.environment.grid)
        metrics["TrialReturns"] = jnp.mean(jnp.sum(trial.episodes.returns(), axis=-1))
        gains = jnp.where(trial.episodes.valid, trial.intrinsic, 0)
        for place, name in enumerate(stage_names(len(stages) - 1)[:-1]):
            gain = jnp.mean(jnp.sum(gains[:, :, place], axis=-1))
            metrics |= self.bonus.summary(name, metrics[f"{name}/Returns"], gain, self.reward.logit)
        return metrics

    def tensors(self, state: Rl2State) -> dict[str, dict[str, Array]]:
        """The parameters that testing needs, by the file that they are exported to."""
        return {"policy": state.policy.named_parameters()} | self.bonus.files(state.bonus, self.reward.logit)

    def with_tensors(self, state: Rl2State, files: dict[str, dict[str, Array]]) -> Rl2State:
        """The state of a trained run with those parameters."""
        policy = state.policy.with_parameters(files["policy"])
        bonus = self.bonus.with_tensors(state.bonus, files.get("dynamics", {}))
        return replace(state, policy=policy, bonus=bonus)
