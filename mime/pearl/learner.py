"""One iteration of PEARL: collect data in the training tasks, update the networks many times, evaluate."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from mime.configuration.pearl import PearlExperiment
from mime.envs import registration
from mime.envs.environment import Environment
from mime.envs.task_environment import TaskEnvironment, count_tasks
from mime.pearl import networks as naming
from mime.pearl import replay as replays
from mime.pearl.collecting import Collector, CompiledCollector, HostedCollector
from mime.pearl.encoder import Encoder, Evidence
from mime.pearl.environment import UnitActions
from mime.pearl.replay import Replay, transitions_of
from mime.pearl.sac import Metrics, Networks, SacState, SoftActorCritic
from mime.sampling.episodes import Episodes, outcomes
from mime.sampling.hosted import HostedSampler

Buffers = tuple[Replay, Replay]
"""What actor and critics learn from, and what contexts are drawn from."""
Trial = list[Episodes]
"""Evaluations of a batch of tasks, `[tasks evaluations steps ...]`: the first trajectory of each, the second, ..."""


class PearlState(eqx.Module):
    """Everything that training changes.

    Attributes:
        sac: Networks and their optimiser.
        replay: What actor and critics learn from.
        context: The encoder buffer: what z is inferred from, collected when its task was last visited.
        iteration: Iterations done.
    """

    sac: SacState
    replay: Replay
    context: Replay
    iteration: Int[Array, ""]


@dataclass(frozen=True, eq=False)
class PearlLearner:
    """PEARL.

    Attributes:
        experiment: The configuration.
        collect_from: Collects the trajectories that contexts and evaluations see.
        rewarded_by: Collects the same ones with the rewards that the critics see: the same collector, or that of the
            dense variant.
    """

    experiment: PearlExperiment
    collect_from: Collector
    rewarded_by: Collector

    @property
    def compiled(self) -> bool:
        """Whether an iteration can be compiled as a whole."""
        return self.collect_from.compiled

    @property
    def environment(self) -> Environment:
        """Where the trajectories take place."""
        return self.collect_from.environment

    @property
    def sac(self) -> SoftActorCritic:
        """How the networks are updated."""
        return SoftActorCritic(self.experiment)

    def init(self, num_tasks: int, *, key: PRNGKeyArray) -> PearlState:
        """The state before training on so many tasks."""
        spaces = self.environment.observation_space, self.environment.action_space
        sizes = {"observation_size": spaces[0].shape[0], "action_size": spaces[1].shape[0]}
        return PearlState(
            sac=self.sac.init(**sizes, key=key),
            replay=replays.empty(num_tasks, self.experiment.replay_buffer_size, **sizes),
            context=replays.empty(num_tasks, self.experiment.context_capacity, **sizes),
            iteration=jnp.zeros((), int),
        )

    def iterate(self, state: PearlState, tasks: Any, key: PRNGKeyArray) -> tuple[PearlState, Metrics, Trial]:
        """One iteration.

        Args:
            state: Before it.
            tasks: All training tasks, the same ones in each iteration.
            key: For everything random in this iteration.

        Returns:
            The state after it, metrics to record, and how it then does in the training tasks.
        """
        initial_key, collect_key, improve_key, evaluate_key = jax.random.split(key, 4)
        state, initial = self.collect_from.when(
            state.iteration == 0,
            lambda state: self.collect_initially(state, tasks, initial_key),
            lambda state: (state, {"Steps": 0, "NonFinite": 0}),
            state,
        )
        state, recent = self.collect(state, tasks, collect_key)
        sac, metrics = self.improve(state, improve_key)
        state = PearlState(sac, state.replay, state.context, state.iteration + 1)
        steps = self.experiment.trajectories(self.experiment.num_steps_per_eval)
        trial = self.adapt_and_evaluate(state, tasks, evaluate_key, num_steps=steps - 1)
        # Steps of evaluation teach nothing, and are not counted.
        collected = jax.tree.map(jnp.add, initial, recent)
        return state, self.summary(trial, state) | metrics | collected, trial

    def collect_initially(self, state: PearlState, tasks: Any, key: PRNGKeyArray) -> tuple[PearlState, Metrics]:
        """Collect what the first updates learn from, in every task."""
        every = jnp.arange(count_tasks(tasks))
        return self._collect(state, tasks, every, key, num_steps=self.experiment.num_initial_steps)

    def collect(self, state: PearlState, tasks: Any, key: PRNGKeyArray) -> tuple[PearlState, Metrics]:
        """Collect data in some of the tasks, whose encoder buffers then hold these data alone."""
        count = count_tasks(tasks)
        choose_key, *keys = jax.random.split(key, 4)
        chosen = jax.random.choice(choose_key, count, (min(self.experiment.num_tasks_sample, count),), replace=False)
        state = PearlState(state.sac, state.replay, state.context.clear(chosen), state.iteration)
        experiment, counts = self.experiment, []
        for phase_key, num_steps, options in (
            (keys[0], experiment.num_steps_prior, {}),
            (keys[1], experiment.num_steps_posterior, {"posterior": True}),
            (keys[2], experiment.num_extra_rl_steps_posterior, {"posterior": True, "for_context": False}),
        ):
            state, counted = self._collect(state, tasks, chosen, phase_key, num_steps=num_steps, **options)
            counts.append(counted)
        return state, jax.tree.map(lambda *numbers: sum(numbers), *counts)

    def _collect(
        self,
        state: PearlState,
        tasks: Any,
        chosen: Int[Array, "chosen"],
        key: PRNGKeyArray,
        *,
        num_steps: int,
        posterior: bool = False,
        for_context: bool = True,
    ) -> tuple[PearlState, Metrics]:
        """Collect trajectories of the chosen tasks, with a new z for each."""
        if not num_steps:
            return state, {"Steps": jnp.zeros((), int), "NonFinite": jnp.zeros((), int)}
        networks, visited = state.sac.networks, jax.tree.map(lambda leaf: leaf[chosen], tasks)

        def trajectory(buffers: Buffers, key: PRNGKeyArray) -> tuple[Buffers, Metrics]:
            *latents_keys, act_key = jax.random.split(key, 3)
            latents = self._latents(networks, buffers[1], chosen, *latents_keys, posterior=posterior)
            seen = self.collect_from(networks, latents, visited, act_key)
            # The same keys give the same episodes; only their rewards differ.
            dense = self.experiment.sparse_rewards
            learned = self.rewarded_by(networks, latents, visited, act_key) if dense else seen
            return self._kept(buffers, chosen, seen, learned, for_context=for_context)

        keys = jax.random.split(key, self.experiment.trajectories(num_steps))
        (replay, context), counts = self.collect_from.scan(trajectory, (state.replay, state.context), keys)
        return PearlState(state.sac, replay, context, state.iteration), jax.tree.map(jnp.sum, counts)

    @partial(jax.jit, static_argnums=0, static_argnames="posterior")
    def _latents(
        self,
        networks: Networks,
        context: Replay,
        chosen: Int[Array, "chosen"],
        context_key: PRNGKeyArray,
        latent_key: PRNGKeyArray,
        *,
        posterior: bool,
    ) -> Float[Array, "chosen latent"]:
        """A z for each of the chosen tasks, from the posterior given their contexts, or from the prior."""
        sample, valid = context.sample(chosen, self.experiment.embedding_batch_size, key=context_key)
        evidence = jax.vmap(networks.encoder)(sample, valid & posterior)
        return evidence.posterior().sample(key=latent_key)

    @partial(jax.jit, static_argnums=0, static_argnames="for_context")
    def _kept(
        self, buffers: Buffers, chosen: Int[Array, "chosen"], seen: Episodes, learned: Episodes, *, for_context: bool
    ) -> tuple[Buffers, Metrics]:
        """The buffers with a trajectory of each of the chosen tasks, as contexts see it and as the critics do."""
        replay, context = buffers
        usable = seen.valid & seen.finite()
        if for_context:
            context = context.add(chosen, transitions_of(seen), usable)
        replay = replay.add(chosen, transitions_of(learned), usable)
        steps = jnp.sum(seen.valid)
        return (replay, context), {"Steps": steps, "NonFinite": steps - jnp.sum(usable)}

    @partial(jax.jit, static_argnums=0)
    def improve(self, state: PearlState, key: PRNGKeyArray) -> tuple[SacState, Metrics]:
        """All updates of an iteration, in one compiled loop; metrics are their means."""
        experiment, num_tasks = self.experiment, len(state.replay.size)

        def step(sac: SacState, key: PRNGKeyArray) -> tuple[SacState, Metrics]:
            tasks_key, batch_key, context_key, update_key = jax.random.split(key, 4)
            tasks = jax.random.randint(tasks_key, (experiment.meta_batch,), 0, num_tasks)
            batch, _ = state.replay.sample(tasks, experiment.batch_size, key=batch_key)
            context = state.context.sample(tasks, experiment.embedding_batch_size, key=context_key)
            return self.sac.update(sac, batch, *context, update_key)

        sac, metrics = jax.lax.scan(step, state.sac, jax.random.split(key, experiment.num_train_steps_per_itr))
        refused = jnp.sum(metrics.pop("Refused"))
        return sac, jax.tree.map(jnp.mean, metrics) | {"RefusedUpdates": refused}

    def adapt_and_evaluate(self, state: PearlState, tasks: Any, key: PRNGKeyArray, *, num_steps: int) -> Trial:
        """Collect `num_steps` trajectories in each task, each of which becomes context, and one more.

        z comes from the prior until there are `num-exp-traj-eval` trajectories, then from the posterior given all of
        them. Actions are the policy's modes, so that all exploration is z's.
        """
        trial = _compiled_trial if self.compiled else PearlLearner._trial
        return trial(self, state, tasks, key, num_steps=num_steps)

    def _trial(self, state: PearlState, tasks: Any, key: PRNGKeyArray, *, num_steps: int) -> Trial:
        networks, evaluations = state.sac.networks, self.experiment.num_evals
        count = count_tasks(tasks) * evaluations
        repeated = jax.tree.map(lambda leaf: leaf[np.arange(count) // evaluations], tasks)

        def trajectory(evidence: Evidence, step: tuple[Int[Array, ""], PRNGKeyArray]) -> tuple[Evidence, Episodes]:
            number, key = step
            latent_key, act_key = jax.random.split(key)
            exploring = number < self.experiment.num_exp_traj_eval
            known = jax.tree.map(lambda leaf: jnp.where(exploring, 0, leaf), evidence)
            latents = known.posterior().sample(key=latent_key)
            episodes = self.collect_from(networks, latents, repeated, act_key, greedy=True)
            return evidence + _evidence(networks.encoder, episodes), episodes

        numbered = jnp.arange(num_steps + 1), jax.random.split(key, num_steps + 1)
        nothing = jax.tree.map(lambda leaf: jnp.zeros((count, *leaf.shape)), networks.encoder.no_evidence())
        _, collected = self.collect_from.scan(trajectory, nothing, numbered)
        shape = num_steps + 1, -1, evaluations
        collected = jax.tree.map(lambda leaf: leaf.reshape(*shape, *leaf.shape[2:]), collected)
        return [jax.tree.map(lambda leaf, number=number: leaf[number], collected) for number in range(num_steps + 1)]

    def stages(self, trial: Trial) -> Sequence[Episodes]:
        """Episodes with no context, with that of one trajectory, ..."""
        return trial

    @partial(jax.jit, static_argnums=0)
    def summary(self, trial: Trial, state: PearlState) -> Metrics:
        """Returns and success after each number of trajectories of context (`Train-k`) and after the most (`Valid`)."""
        return outcomes(trial, self.environment.grid)

    def tensors(self, state: PearlState) -> dict[str, dict[str, Array]]:
        """The parameters that acting needs, under their names in `policy.safetensors`."""
        networks = state.sac.networks
        encoder = naming.named_parameters("encoder", networks.encoder.network)
        return {"policy": naming.named_parameters("policy", networks.policy) | encoder}

    def with_tensors(self, state: PearlState, files: dict[str, dict[str, Array]]) -> PearlState:
        """The state with those parameters: what a test of the run starts from."""
        networks = state.sac.networks
        policy = naming.with_parameters("policy", networks.policy, files["policy"])
        encoder = naming.with_parameters("encoder", networks.encoder.network, files["policy"])
        return eqx.tree_at(lambda s: (s.sac.networks.policy, s.sac.networks.encoder.network), state, (policy, encoder))


_compiled_trial = partial(jax.jit, static_argnums=0, static_argnames="num_steps")(PearlLearner._trial)


@jax.jit
def _evidence(encoder: Encoder, episodes: Episodes) -> Evidence:
    """What a trajectory of each task says about its z."""
    return jax.vmap(encoder)(transitions_of(episodes), episodes.valid & episodes.finite())


def make_learner(experiment: PearlExperiment, hosted: HostedSampler | None = None) -> PearlLearner:
    """PEARL as configured.

    Args:
        experiment: The configuration.
        hosted: Of environments outside JAX: collects a trajectory of each task.

    Raises:
        ValueError: If it does not fit the environment.
    """
    if hosted is not None:
        collector = HostedCollector(hosted, horizon=experiment.max_path_length)
        return PearlLearner(experiment, collector, collector)

    def compiled(**rewards: Any) -> CompiledCollector:
        made = registration.make(experiment.env_name, experiment.env_kwargs | rewards)
        assert isinstance(made, TaskEnvironment)
        return CompiledCollector(UnitActions(made, horizon=experiment.max_path_length))

    dense = {"sparse": False} if experiment.sparse_rewards else {}
    return PearlLearner(experiment, compiled(), compiled(**dense))
