"""Whole meta-iterations of every method in a small environment, and what the learner makes of rewards and weights."""

import dataclasses
from functools import partial
from typing import NamedTuple

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array

from mime.configuration.gradients import Experiment
from mime.envs.task_environment import TaskEnvironment
from mime.exploration.bonus import Bonus, NoBonus
from mime.meta.adaptation import distributions
from mime.meta.eta import MetaGradient, clipped, logit_of, rewards_of
from mime.meta.learner import Learner
from mime.meta.method import method_of
from mime.meta.rewards import normalised
from mime.meta.state import Agent, Experience, Mixture
from mime.numerics import parallel
from mime.numerics.parallel import repeated
from mime.numerics.trpo import OuterStep
from mime.policies.feedforward import CategoricalPolicy
from mime.policies.making import make_policy
from mime.sampling.compiled import CompiledSampler
from mime.sampling.episodes import Episodes
from tests.meta import plain
from tests.meta.learners import improve, learner_of, past_the_warm_up, trial_of, with_logit

KEY = jax.random.key(0)
TRAJECTORIES = 3


class Task(NamedTuple):
    """A goal on a line, and whether one reward on the way is not a number."""

    goal: Array
    flawed: Array


class Walker(NamedTuple):
    position: Array
    time: Array


class Line(TaskEnvironment):
    """A walk on a line: reward minus the distance to the goal, success and end within a half of it."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (1,))
    horizon = 3

    def __init__(self, discrete=False):
        self.action_space = gymnasium.spaces.Discrete(3) if discrete else gymnasium.spaces.Box(-1, 1, (1,))

    def initial(self, rng, params=None):
        return Walker(jnp.zeros(()), jnp.zeros((), int))

    def observation(self, state, rng, params=None):
        return state.position[None]

    def transition(self, state, action, rng, params=None):
        discrete = isinstance(self.action_space, gymnasium.spaces.Discrete)
        move = action - 1.0 if discrete else jnp.clip(action[0], -1, 1)
        return Walker(state.position + move, state.time + 1)

    def reward(self, state, action, next_state, rng, params=None):
        flaw = (params.flawed > 0) & (state.time == 1)
        return jnp.where(flaw, jnp.nan, -jnp.abs(next_state.position - params.goal))

    def terminal(self, state, rng, params=None):
        return self.success(state, params)

    def success(self, state, task):
        return jnp.abs(state.position - task.goal) < 0.5


TASKS = Task(jnp.array([1.0, -1.5]), jnp.zeros(2))
FLAWED = Task(jnp.array([1.0, -1.5]), jnp.array([0.0, 1.0]))
SMALL = {
    "hidden_sizes": (),
    "fast_batch_size": TRAJECTORIES,
    "meta_batch_size": 2,
    "dyn_hidden": (),
    "dyn_fast_lr": 1e-3,
    "eta_lr": 1e-2,
}


def make(*, discrete=False, **keys):
    """A learner and its first state."""
    experiment, environment = Experiment(**SMALL | keys), Line(discrete)
    spaces = environment.observation_space, environment.action_space
    policy = make_policy(*spaces, hidden_sizes=experiment.hidden_sizes, nonlinearity="tanh", key=jax.random.key(1))
    sampler = CompiledSampler(environment, experiment.fast_batch_size)
    learner = Learner(method_of(experiment, environment, num_tasks=2), sampler)
    return learner, parallel.share(learner.init(policy, key=jax.random.key(2)), 2)


def assert_same(ours, theirs):
    """Bit for bit."""
    assert jax.tree.structure(ours) == jax.tree.structure(theirs)
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs)):
        np.testing.assert_array_equal(a, b)


def assert_close(ours, theirs, *, atol):
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs)):
        np.testing.assert_allclose(a, b, atol=atol, rtol=1e-4)


def flat(tree):
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)])


def changed(ours, theirs):
    return any(np.any(a != b) for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs)))


def documented_columns(num_steps, *, bonus):
    stages = [*(f"Train-{k}" for k in range(num_steps)), "Valid"]
    names = ["Returns", "Success", "TrajectorySuccess"] + ["IntrinsicReturns", "CombinedReturns"] * bonus
    columns = {f"{stage}/{name}" for stage in stages for name in names}
    columns |= {"KL", "SurrogateImprovement", "LineSearchSteps"}
    return columns | ({"Dynamics/OldMSELoss", "Dynamics/NewMSELoss", "Eta"} if bonus else set())


def check_iteration(learner, before, after, metrics, trial):
    """What must hold for every method."""
    num_steps, with_bonus = learner.method.num_steps, not isinstance(learner.method.bonus, NoBonus)
    assert documented_columns(num_steps, bonus=with_bonus) <= set(metrics)
    assert any("Intrinsic" in name or "Eta" in name for name in metrics) == with_bonus
    for name, value in metrics.items():
        assert np.isfinite(value), name
    assert int(after.iteration) == int(before.iteration) + 1
    assert len(trial.inner) == num_steps
    steps = 0
    for stage, experience in [*((f"Train-{k}", e) for k, e in enumerate(trial.inner)), ("Valid", trial.after)]:
        episodes = experience.episodes
        valid = np.asarray(episodes.valid)
        rewards = np.where(valid, episodes.rewards, 0).astype(np.float64)
        solved = np.any(np.asarray(episodes.success) & valid, axis=-1)
        assert float(metrics[f"{stage}/Returns"]) == pytest.approx(rewards.sum(axis=-1).mean(), rel=1e-5)
        assert float(metrics[f"{stage}/TrajectorySuccess"]) == pytest.approx(solved.mean())
        assert float(metrics[f"{stage}/Success"]) == pytest.approx(solved.any(axis=1).mean())
        steps += valid.sum()
        if with_bonus:
            intrinsic = np.where(valid, experience.intrinsic, 0).sum(axis=-1).mean()
            assert float(metrics[f"{stage}/IntrinsicReturns"]) == pytest.approx(intrinsic, rel=1e-4, abs=1e-9)
            share = 1 / (1 + np.exp(-float(before.eta.logit)))
            assert float(metrics["Eta"]) == pytest.approx(share, rel=1e-6)
            combined = (1.05 - share) * metrics[f"{stage}/Returns"] + (0.05 + share) * intrinsic
            assert float(metrics[f"{stage}/CombinedReturns"]) == pytest.approx(float(combined), rel=1e-4)
    assert int(metrics["Steps"]) == steps
    assert int(metrics["NonFinite"]) == 0
    assert changed(after.policy, before.policy) == (OuterStep(int(metrics["OuterStep"])) == OuterStep.ACCEPTED)
    assert 0 <= float(metrics["KL"]) < learner.method.outer_step.max_kl


METHODS = {
    "E-MAML and noise, three steps": {"e_maml": True, "add_noise": True, "num_steps": 3},
    "everything at once, two steps": {
        "e_maml": True,
        "add_noise": True,
        "use_vime": True,
        "adapt_eta": True,
        "eta_objective": "advantages",
        "num_steps": 2,
        "first_order": True,
        "discrete": True,
        "dyn_second_order": True,
        "normalize_spaces": True,
        "pre_epochs": 1,
    },
}


@pytest.mark.parametrize("keys", METHODS.values(), ids=METHODS)
def test_iterations_of_every_method(keys):
    learner, state = make(**keys)
    iterate = jax.jit(learner.iterate)
    accepted = []
    for number in range(3):
        new, metrics, trial = iterate(state, TASKS, jax.random.key(number))
        check_iteration(learner, state, new, metrics, trial)
        accepted.append(int(metrics["OuterStep"]) == OuterStep.ACCEPTED)
        if keys.get("use_vime"):
            assert changed(new.bonus.network, state.bonus.network)
        warming_up = number <= keys.get("pre_epochs", 0)
        moved = float(new.eta.logit) != float(state.eta.logit)
        assert moved == (keys.get("adapt_eta", False) and not warming_up)
        state = new
    assert any(accepted)
    # All iterations ran the one program.
    assert iterate._cache_size() == 1
    if keys.get("discrete"):
        # One-hot actions are left as they are.
        assert state.bonus.network.mean[0].weight.shape == (1, 1 + 3)
        assert state.bonus.observation_statistics.count > 0
        assert state.bonus.action_statistics.count == 0


def test_an_iteration_of_mime_and_one_of_maml():
    """Jitted whole or in parts; warm-up; not a number; the same again from the same key."""
    learner, state = make(use_vime=True, adapt_eta=True, pre_epochs=1, normalize_spaces=True)
    iterate = jax.jit(learner.iterate)

    # The warm-up: the policy is that of MAML without any bonus, eta stays, the model learns.
    warm, metrics, trial = iterate(state, TASKS, KEY)
    check_iteration(learner, state, warm, metrics, trial)
    maml = Learner(method_of(Experiment(**SMALL), Line(), num_tasks=2), learner.sampler)
    maml_state = dataclasses.replace(state, bonus=())
    without, maml_metrics, maml_trial = maml.iterate(maml_state, TASKS, KEY)
    check_iteration(maml, maml_state, without, maml_metrics, maml_trial)
    assert_close(warm.policy, without.policy, atol=1e-6)
    for ours, theirs in zip([*trial.inner, trial.after], [*maml_trial.inner, maml_trial.after]):
        assert_close(ours.episodes, theirs.episodes, atol=1e-5)
    assert changed(warm.policy, state.policy)
    assert float(metrics["EtaGradient"]) == 0
    assert_same(warm.eta, state.eta)
    assert int(warm.bonus.optimiser[0].count) == 50
    assert int(warm.bonus.observation_statistics.count) == metrics["Steps"]

    # Afterwards: the policy sees the bonus, eta moves, statistics are frozen.
    warm = past_the_warm_up(learner, warm)
    new, metrics, trial = iterate(warm, TASKS, KEY)
    check_iteration(learner, warm, new, metrics, trial)
    without, _, _ = maml.iterate(dataclasses.replace(warm, bonus=()), TASKS, KEY)
    assert not np.allclose(flat(new.policy), flat(without.policy), atol=1e-3)
    assert float(metrics["EtaGradient"]) != 0
    assert changed(new.eta, warm.eta)
    assert int(new.bonus.optimiser[0].count) == 51
    assert_same(new.bonus.observation_statistics, warm.bonus.observation_statistics)

    # The same from the same key, something else from another.
    assert_same(iterate(warm, TASKS, KEY)[0], new)
    assert changed(iterate(warm, TASKS, jax.random.key(5))[0].policy, new.policy)

    # In parts.
    parts, parts_metrics, parts_trial = learner.iterate(warm, TASKS, KEY)
    assert_close(parts_trial, trial, atol=1e-4)
    assert_close(parts, new, atol=1e-4)
    assert set(parts_metrics) == set(metrics)

    # One reward of one task that is not a number, before adaptation and so, through the policy, everything after.
    refused, metrics, _ = iterate(warm, FLAWED, KEY)
    assert_same(dataclasses.replace(refused, iteration=warm.iteration), warm)
    assert int(metrics["NonFinite"]) > 0
    assert OuterStep(int(metrics["OuterStep"])) == OuterStep.NOT_FINITE
    assert metrics["Dynamics/Refused"]
    assert metrics["KL"] == metrics["SurrogateImprovement"] == 0

    # After adaptation only: policy and eta stay; the model, which sees no rewards, learns.
    spoilt = dataclasses.replace(trial.after, extrinsic=trial.after.extrinsic.at[1, 0, 0].set(jnp.nan))
    refused, metrics = improve(learner, warm, trial._replace(after=spoilt), jax.random.split(KEY)[1])
    assert_same((refused.policy, refused.eta), (warm.policy, warm.eta))
    assert OuterStep(int(metrics["OuterStep"])) == OuterStep.NOT_FINITE
    assert_close(refused.bonus, parts.bonus, atol=1e-5)
    assert not metrics["Dynamics/Refused"]

    # In later iterations, everything ran the one program.
    assert iterate._cache_size() == 1


def test_every_stage_acts_with_what_was_adapted_before():
    """Actions are unit normal around the adapted policies and nothing else, gains those of the adapted models.

    Large steps set the stages apart. Of weights that are almost certain, a gain depends little on its random draws: in
    the median over all steps, much less than on the model.
    """
    learner, state = make(
        fast_batch_size=300,
        num_steps=2,
        fast_lr=0.5,
        use_vime=True,
        dyn_second_order=True,
        dyn_prior_sd=1e-5,
        dyn_lr=3e-3,
        dyn_kl_scale=0.0,
    )
    trial = learner.adapt_and_evaluate(state, TASKS, KEY, num_steps=2)
    stages = [*trial.inner, trial.after]
    agents = [repeated(Agent(state.policy, state.bonus), 2)]
    for experience in trial.inner:
        agents.append(learner.adapt(agents[-1], experience, state, jax.random.key(3)))

    def spread(agent, episodes, task):
        policy = jax.tree.map(lambda leaf: leaf[task], agent.policy)
        means = np.asarray(jax.vmap(jax.vmap(policy))(episodes.observations[task]).mean)
        z = ((episodes.actions[task] - means) / np.exp(policy.sigma))[np.asarray(episodes.valid[task])]
        return np.mean(z), np.var(z), 5 / np.sqrt(z.size)

    gains = jax.jit(jax.vmap(lambda bonus, e: learner.method.bonus.rewards(bonus, e, key=jax.random.key(4))))
    for number, experience in enumerate(stages):
        for other, agent in enumerate(agents):
            right = []
            for task in range(2):
                mean, variance, error = spread(agent, experience.episodes, task)
                right.append(abs(mean) < error and abs(variance - 1) < error * np.sqrt(2))
            assert all(right) == (number == other), (number, other)
            ratio = np.median(gains(agent.bonus, experience.episodes) / experience.intrinsic)
            assert (abs(ratio - 1) < 0.02) == (number == other), (number, other, ratio)


class Told(Bonus):
    """A bonus that is told the intrinsic rewards beforehand and learns nothing."""

    def __init__(self, intrinsic=None):
        self.intrinsic = intrinsic

    def init(self, *, key):
        return jnp.zeros(1)

    def rewards(self, state, episodes, *, key):
        return self.intrinsic

    def adapt(self, state, episodes, *, key):
        return state

    def update(self, state, inner, after, *, iteration, key):
        return state, {}

    def tensors(self, state):
        return {}

    def with_tensors(self, state, named):
        return state


def random_episodes(rng, *axes):
    observations = jnp.asarray(rng.normal(size=(*axes, 1)), jnp.float32)
    ends = rng.integers(1, axes[-1] + 1, axes[:-1])
    return Episodes(
        observations=observations,
        actions=jnp.asarray(rng.normal(size=(*axes, 1)), jnp.float32),
        rewards=jnp.asarray(rng.gamma(1, 5, size=axes), jnp.float32),
        next_observations=observations,
        success=jnp.zeros(axes, bool),
        valid=jnp.asarray(np.arange(axes[-1]) < ends[..., None]),
    )


def test_noise_is_added_to_the_normalised_rewards_of_every_step():
    rng, axes = np.random.default_rng(0), (2, 20, 100)
    episodes, agents = random_episodes(rng, *axes), repeated(Agent(make()[1].policy, ()), 2)
    clean, noisy, again = (
        make(add_noise=std > 0, noise_std=std)[0].rewarded(NoBonus(), agents, episodes, KEY) for std in (0.0, 0.5, 0.5)
    )
    for task in range(2):
        values = np.asarray(clean.extrinsic[task], np.float64)[np.asarray(episodes.valid[task])]
        assert np.mean(values**2) == pytest.approx(1, abs=1e-5)
    noise = np.asarray(noisy.extrinsic - clean.extrinsic, np.float64)
    assert abs(noise.mean()) < 5 * 0.5 / np.sqrt(noise.size)
    assert noise.std() == pytest.approx(0.5, abs=5 * 0.5 / np.sqrt(2 * noise.size))
    assert len(np.unique(noise.round(5))) > 0.9 * noise.size
    assert_same(again, noisy)
    assert_same(noisy.episodes, episodes)


@pytest.mark.parametrize("warming_up", [False, True])
def test_rewards_mix_the_normalised_bonus_after_the_warm_up(warming_up):
    rng = np.random.default_rng(1)
    episodes = random_episodes(rng, 2, 4, 5)
    extrinsic, intrinsic = rng.normal(size=(2, 2, 4, 5))
    method = method_of(Experiment(use_vime=True), Line(), num_tasks=2)
    experience = Experience(episodes, jnp.asarray(extrinsic, jnp.float32), jnp.asarray(100 * intrinsic, jnp.float32))
    mixture = Mixture(jnp.asarray(0.7, jnp.float32), in_use=jnp.asarray(not warming_up))
    rewards = np.asarray(method.reward(experience, mixture))
    share = 1 / (1 + np.exp(-0.7))
    for task, valid in enumerate(np.asarray(episodes.valid)):
        mixed = (1.05 - share) * extrinsic[task] + (0.05 + share) * plain.normalised(intrinsic[task], valid)
        expected = extrinsic[task] if warming_up else mixed
        np.testing.assert_allclose(rewards[task][valid], expected[valid], atol=1e-5)


@pytest.mark.parametrize(
    ("objective", "num_steps", "first_order"),
    [("rewards", 1, True), ("rewards", 2, False), ("rewards", 2, True), ("advantages", 1, False)],
)
def test_eta_gradient_against_finite_differences(objective, num_steps, first_order):
    """Of -mean(ratio x w) through the inner steps, in NumPy, with the baseline's values held fixed.

    The first order of the meta-gradient ignores how an inner gradient depends on the parameters at which it is taken,
    but not how it depends on eta; after a single step that is no difference.
    """
    rng = np.random.default_rng(3)
    # Enough steps that the baseline's ten features cannot explain all returns: divided by next to nothing, the
    # advantages would be next to arbitrary.
    inner = [[plain.make_episodes(rng, 9, 8) for _ in range(2)] for _ in range(num_steps)]
    after, theta, eta = [plain.make_episodes(rng, 9, 8) for _ in range(2)], plain.random_theta(rng), 0.4
    intrinsic = rng.normal(size=(num_steps, 2, 9, 8))
    keys = {"gamma": 0.9, "gae_lambda": 0.8, "fast_lr": 0.1, "num_steps": num_steps, "first_order": first_order}
    keys |= {"use_vime": True, "adapt_eta": True, "eta_objective": objective}

    def mixed(eta, step, task):
        episodes, share = inner[step][task], 1 / (1 + np.exp(-eta))
        bonus = plain.normalised(intrinsic[step][task], episodes.valid)
        return (1.05 - share) * plain.normalised(episodes.rewards, episodes.valid) + (0.05 + share) * bonus

    def inner_advantages(at, step, task):
        values = plain.baseline(inner[step][task], mixed(eta, step, task), 0.9)
        return plain.advantages(inner[step][task], mixed(at, step, task), 0.9, 0.8, values)

    def path(at, task):
        return plain.inner_loop(
            theta, [b[task] for b in inner], [inner_advantages(at, k, task) for k in range(num_steps)], 0.1
        )

    def end(at, task):
        if not first_order:
            return path(at, task)[-1]
        starts = path(eta, task)
        scores = [plain.score(starts[k], inner[k][task], inner_advantages(at, k, task)) for k in range(num_steps)]
        return theta + 0.1 * sum(scores)

    def loss(at):
        values = []
        for task, episodes in enumerate(after):
            weights = plain.normalised(episodes.rewards, episodes.valid)
            if objective == "advantages":
                weights = plain.advantages(episodes, weights, 0.9, 0.8)
            change = plain.log_probs(end(at, task), episodes) - plain.log_probs(end(eta, task), episodes)
            values.append(plain.mean(np.exp(change) * weights, episodes.valid))
        return -np.mean(values)

    expected = float(plain.gradient(lambda v: loss(v[0]), np.array([eta]))[0])

    def experience(tasks, intrinsic):
        episodes = plain.jax_episodes(*tasks)
        return Experience(episodes, jax.vmap(normalised)(episodes.rewards, episodes.valid), jnp.asarray(intrinsic))

    learner = learner_of(keys, Line(), bonus=Told())
    with jax.enable_x64(True):
        # The intrinsic rewards after adaptation do not matter.
        unused = rng.normal(size=(2, 9, 8))
        state = past_the_warm_up(learner, learner.init(plain.jax_policy(theta), key=KEY))
        stages = [experience(*each) for each in zip(inner, intrinsic)], experience(after, unused)
        trial = trial_of(learner, with_logit(state, jnp.asarray(eta)), *stages)

        def eta_loss(logit):
            return learner.method.eta_rule.loss(logit, trial, partial(learner.adapted, state.shared, trial))

        value, gradient = jax.jit(jax.value_and_grad(eta_loss))(jnp.asarray(eta))
        assert float(value) == pytest.approx(loss(eta), abs=1e-12)
        assert float(gradient) == pytest.approx(expected, rel=1e-6)
    assert abs(expected) > 1e-4


ARMS = np.array([0, 0, 1, 1, 2, 2])


def one_step_bandit(extrinsic, intrinsic=ARMS):
    """A task of one-step trajectories that pulled each arm twice and saw nothing else."""
    arms = jnp.asarray(ARMS)[None, :, None]
    nothing, ones = jnp.zeros((*arms.shape, 1)), jnp.ones(arms.shape, bool)
    rewards, bonus = (jnp.asarray(values, jnp.float32).reshape(arms.shape) for values in (extrinsic, intrinsic))
    episodes = Episodes(nothing, arms, rewards, nothing, ones, ones)
    return Experience(episodes, jax.vmap(normalised)(rewards, ones), bonus)


def bandit_state(learner, eta):
    policy = CategoricalPolicy(1, 3, hidden_sizes=(), key=KEY)
    policy = policy.with_parameters({"layer1.weight": jnp.zeros((3, 1)), "layer1.bias": jnp.zeros(3)})
    return with_logit(past_the_warm_up(learner, learner.init(policy, key=KEY)), jnp.asarray(eta, jnp.float32))


@pytest.mark.parametrize("objective", ["rewards", "advantages"])
def test_eta_grows_where_the_bonus_leads_to_reward_and_shrinks_where_it_misleads(objective):
    """Before adaptation arm 0 pays and arm 1 is novel; what pays afterwards is one or the other."""
    keys = {"use_vime": True, "adapt_eta": True, "eta_lr": 0.1, "eta_objective": objective}
    learner = learner_of(keys, Line(), bonus=Told())
    inner = one_step_bandit(ARMS == 0, 7.0 * (ARMS == 1))
    etas = []
    for paying in (0, 1, 2):
        state = bandit_state(learner, 0.0)
        trial = trial_of(learner, state, [inner], one_step_bandit(paying == ARMS))
        state, metrics = improve(learner, state, trial, KEY)
        assert not metrics["EtaClipped"]
        etas.append(float(state.eta.logit))
    assert etas[0] < -1e-4
    assert etas[1] > 1e-4
    # At equal weights, neither reward leads to arm 2 more than the other does.
    assert abs(etas[2]) < 1e-7


@pytest.mark.parametrize("credit", ["before", "mixed"])
def test_eta_grows_while_too_few_rewards_are_found(credit):
    keys = {"use_vime": True, "bonus_credit": credit, "adapt_eta": True, "eta_rule": "found", "eta_lr": 0.1}
    learner = learner_of(keys, Line(), bonus=Told())
    found, missed = one_step_bandit(ARMS == 0, ARMS == 1), one_step_bandit(np.zeros(6), ARMS == 1)
    for first, second, change in ((found, missed, -0.025), (missed, found, 0.075)):
        state = bandit_state(learner, 0.3)
        state, _ = improve(learner, state, trial_of(learner, state, [first, second], found), KEY)
        assert float(state.eta.logit) == pytest.approx(0.3 + change, abs=1e-6)


def test_a_weight_that_is_not_in_use_yet_does_not_grow():
    keys = {"use_vime": True, "adapt_eta": True, "eta_rule": "found", "eta_lr": 0.1, "pre_epochs": 0}
    learner = learner_of(keys, Line(), bonus=Told())
    missed = one_step_bandit(np.zeros(6), ARMS == 1)
    state = dataclasses.replace(bandit_state(learner, 0.3), iteration=jnp.zeros((), int))
    for expected in (0.3, 0.375):
        state, _ = improve(learner, state, trial_of(learner, state, [missed], missed), KEY)
        assert float(state.eta.logit) == pytest.approx(expected, abs=1e-6)


def test_a_weight_that_is_not_learned_stays():
    """The policy sees both rewards all the same: without extrinsic ones, it turns to the arm that is novel."""
    learner = learner_of({"use_vime": True, "max_kl": 0.1}, Line(), bonus=Told())
    novel = one_step_bandit(np.zeros(6), ARMS == 1)
    state = bandit_state(learner, 0.1)
    state, metrics = improve(learner, state, trial_of(learner, state, [novel], novel), KEY)
    assert state.eta.logit == bandit_state(learner, 0.1).eta.logit
    assert "EtaGradient" not in metrics
    assert np.argmax(state.policy.layers[0].bias) == 1


def test_eta_keeps_its_value_if_its_gradient_is_not_finite():
    class Steep(MetaGradient):
        """The slope of whose loss is the sum of the later intrinsic rewards."""

        def loss(self, logit, trial, adapted):
            return logit * jnp.sum(trial.after.intrinsic)

    rule = Steep(0.1, clipped(1000.0), rewards_of)
    learner = learner_of({"use_vime": True, "adapt_eta": True}, Line(), bonus=Told(), eta_rule=rule)
    inner = one_step_bandit(ARMS == 0, ARMS == 1)
    for slope, expected in [(np.inf, 0.1), (-np.inf, 0.1), (np.nan, 0.1), (1e30, -0.2), (-1e30, 0.4)]:
        after = one_step_bandit(ARMS == 0, np.where(np.arange(6) == 0, slope, 0))
        state = bandit_state(learner, 0.1)
        state, _ = improve(learner, state, trial_of(learner, state, [inner], after), KEY)
        assert float(state.eta.logit) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("keys", "share"), [({}, 0.3), ({"adapt_eta": True}, 0.6)])
def test_initial_weight(keys, share):
    _, state = make(use_vime=True, eta=0.3, adaptable_eta=0.6, **keys)
    assert float(state.eta.logit) == pytest.approx(float(logit_of(share)))
    assert int(state.iteration) == 0


def test_the_first_iteration_does_not_depend_on_eta_and_the_second_does():
    """As in the 2020 code, the bonus is left out while the counter does not exceed pre-epochs, here 0."""
    results = []
    for weight in (0.1, 0.9):
        learner, state = make(use_vime=True, eta=weight)
        iterate = jax.jit(learner.iterate)
        first, metrics, _ = iterate(state, TASKS, KEY)
        assert float(metrics["Eta"]) == pytest.approx(weight)
        for stage in ("Train-0", "Valid"):
            extrinsic, intrinsic = metrics[f"{stage}/Returns"], metrics[f"{stage}/IntrinsicReturns"]
            combined = (1.05 - weight) * extrinsic + (0.05 + weight) * intrinsic
            assert float(metrics[f"{stage}/CombinedReturns"]) == pytest.approx(float(combined), rel=1e-5)
        results.append((first, iterate(first, TASKS, KEY)[0]))
    (first, second), (other_first, other_second) = results
    assert_same(first.policy, other_first.policy)
    assert changed(second.policy, other_second.policy)


@pytest.mark.parametrize(("pre_epochs", "in_use"), [(0, [False, True, True]), (1, [False, False, True])])
def test_the_warm_up_is_one_iteration_longer_than_pre_epochs(pre_epochs, in_use):
    learner, state = make(use_vime=True, pre_epochs=pre_epochs)
    mixtures = [learner.mixture(dataclasses.replace(state, iteration=jnp.asarray(number))) for number in range(3)]
    assert [bool(mixture.in_use) for mixture in mixtures] == in_use


def test_with_decay_the_nth_inner_step_has_an_nth_of_the_rates():
    """Where it collects, and where the outer objective repeats it: both end at the same policies."""
    learner, state = make(num_steps=3, fast_lr=0.3, fast_lr_decay=True)
    trial = learner.adapt_and_evaluate(state, TASKS, KEY, num_steps=3)
    agents, _ = learner.adapt_to(state, TASKS, KEY, num_steps=3)
    expected = repeated(Agent(state.policy, state.bonus), 2)
    for number, experience in enumerate(trial.inner):
        shorter, _ = make(num_steps=3, fast_lr=0.3 / (number + 1))
        expected = shorter.adapt(expected, experience, state, KEY)
    for ours, theirs in zip(jax.tree.leaves(agents.policy), jax.tree.leaves(expected.policy)):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    after = learner.method.objective_of(trial).outputs(state.shared).after
    own = jax.vmap(distributions)(agents.policy, trial.after.episodes)
    np.testing.assert_allclose(after.mean, own.mean, rtol=1e-4, atol=1e-5)
