"""The trust-region step: problems whose solution is known, dense linear algebra, and every reason to refuse."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mime.meta.adaptation import FixedRates, InnerStep
from mime.meta.objectives import Maml, Objective
from mime.meta.rewards import Extrinsic, Gae
from mime.meta.state import Experience, Mixture, Shared, Trial
from mime.numerics.trpo import OuterStep, Trpo
from mime.sampling.episodes import Episodes
from tests.meta import plain

MAX_KL, RATIO, TRIES = 0.01, 0.8, 15
STEP = Trpo(max_kl=MAX_KL, cg_iters=10, cg_damping=0.0, ls_max_steps=TRIES, ls_backtrack_ratio=RATIO)
RNG = np.random.default_rng(0)
SIZE = 5
START, GRADIENT = RNG.normal(size=(2, SIZE))
ROOT = RNG.normal(size=(SIZE, SIZE))
CURVATURE = ROOT @ ROOT.T + np.eye(SIZE)
# The step that maximises GRADIENT · d subject to ½ d · CURVATURE · d = MAX_KL.
DIRECTION = np.linalg.solve(CURVATURE, GRADIENT)
OPTIMUM = np.sqrt(2 * MAX_KL / (GRADIENT @ DIRECTION)) * DIRECTION


def quadratic(new, old):
    d = new["x"] - old["x"]
    return 0.5 * d @ jnp.asarray(CURVATURE) @ d


def divergence(new, old):
    """Quadratic near the old outputs and then a little less, so that the full step stays inside the trust region."""
    q = quadratic(new, old)
    return q - q**2


def linear(new, old):
    """Of the change, so that no digits are lost in a large constant."""
    return jnp.asarray(GRADIENT) @ (new["x"] - old["x"])


@dataclass(frozen=True)
class Given:
    """A problem of given functions; `sample` is what it is restricted to."""

    outputs: Callable = lambda x: {"x": x}
    surrogate: Callable = linear
    divergence: Callable = divergence
    sample: "Given | None" = None

    def restricted(self, trajectories):
        return self.sample


def step(surrogate=linear, divergence=divergence, start=START, sample=None, **changes):
    problem = Given(surrogate=surrogate, divergence=divergence, sample=sample)
    compute = jax.jit(lambda x: dataclasses.replace(STEP, **changes)(x, problem))
    with jax.enable_x64(True):
        return jax.device_get(compute(jnp.asarray(start)))


def refused(new, report, result, start=START):
    """Not a bit has changed."""
    assert np.asarray(new).tobytes() == np.asarray(start).tobytes()
    assert OuterStep(int(report.result)) == result
    assert report.improvement == report.kl == 0


def test_the_optimum_of_a_linear_surrogate_in_a_quadratic_region():
    new, report = step()
    # JAX's conjugate gradient stops at a residual of 1e-5; SIZE iterations reach the solution before or at that.
    np.testing.assert_allclose(new - START, OPTIMUM, rtol=1e-4)
    assert OuterStep(int(report.result)) == OuterStep.ACCEPTED
    assert report.line_search_steps == 1
    assert float(report.improvement) == pytest.approx(GRADIENT @ (new - START), rel=1e-9)
    assert float(report.kl) == pytest.approx(MAX_KL - MAX_KL**2, rel=1e-6)
    assert float(report.gradient_norm) == pytest.approx(np.linalg.norm(GRADIENT), rel=1e-12)


def test_parameters_are_seen_through_the_outputs():
    """With outputs B x, gradient and curvature are those of the outputs pulled back by B."""
    matrix = RNG.normal(size=(SIZE, 3))
    start = RNG.normal(size=3)
    problem = Given(lambda x: {"x": jnp.asarray(matrix) @ x})
    with jax.enable_x64(True):
        new, _ = jax.device_get(jax.jit(lambda x: STEP(x, problem))(jnp.asarray(start)))
    direction = np.linalg.solve(matrix.T @ CURVATURE @ matrix, matrix.T @ GRADIENT)
    scale = np.sqrt(2 * MAX_KL / (GRADIENT @ matrix @ direction))
    np.testing.assert_allclose(new - start, scale * direction, rtol=1e-4)


def test_a_sample_for_the_fisher_matrix_decides_the_direction_and_all_data_the_region():
    """The sample's curvature is another matrix, seen through outputs B x; the true divergence accepts the step."""
    matrix = RNG.normal(size=(SIZE, SIZE))
    seen = {"sample": Given(lambda x: {"x": jnp.asarray(matrix) @ x}, divergence=quadratic), "fisher_trajectories": 2}
    new, report = step(**seen, divergence=lambda new, old: 1e-3 * quadratic(new, old))
    direction = np.linalg.solve(matrix.T @ CURVATURE @ matrix, GRADIENT)
    full_step = np.sqrt(2 * MAX_KL / (GRADIENT @ direction)) * direction
    np.testing.assert_allclose(new - START, full_step, rtol=1e-4)
    assert float(report.kl) == pytest.approx(5e-4 * full_step @ CURVATURE @ full_step, rel=1e-3)
    far = step(**seen, divergence=lambda new, old: 1e6 * quadratic(new, old), ls_max_steps=2)
    refused(*far, OuterStep.OUTSIDE_TRUST_REGION)


@pytest.mark.parametrize("iterations", [1, 2, 3])
@pytest.mark.parametrize("damping", [0.0, 3.0])
def test_unfinished_conjugate_gradients(iterations, damping):
    """Textbook iterations in NumPy; the length from x · F x itself, which the library takes from x · g (Galerkin)."""
    matrix = CURVATURE + damping * np.eye(SIZE)
    x, residual = np.zeros(SIZE), GRADIENT
    search = residual
    for _ in range(iterations):
        length = (residual @ residual) / (search @ matrix @ search)
        x, new_residual = x + length * search, residual - length * matrix @ search
        search = new_residual + (new_residual @ new_residual) / (residual @ residual) * search
        residual = new_residual
    assert x @ matrix @ x == pytest.approx(x @ GRADIENT, rel=1e-12)
    assert np.linalg.norm(residual) > 0.01 * np.linalg.norm(GRADIENT)
    new, report = step(cg_iters=iterations, cg_damping=damping)
    np.testing.assert_allclose(new - START, np.sqrt(2 * MAX_KL / (x @ matrix @ x)) * x, rtol=1e-9)
    assert report.line_search_steps == 1


def test_full_steps_in_single_precision():
    new, report = jax.jit(lambda x: STEP(x, Given()))(jnp.asarray(START, jnp.float32))
    assert new.dtype == jnp.float32
    np.testing.assert_allclose(new - START.astype(np.float32), OPTIMUM, rtol=1e-3)
    assert OuterStep(int(report.result)) == OuterStep.ACCEPTED


def length_of(x):
    """Of a step, in lengths of the full one."""
    return (x @ jnp.asarray(OPTIMUM)) / (OPTIMUM @ OPTIMUM)


def test_the_first_acceptable_step_is_taken():
    """The two longest steps leave the trust region, though all improve the surrogate."""

    def steep(new, old):
        q = quadratic(new, old)
        return jnp.where(q > MAX_KL * RATIO**3, 1e3 * q, q)

    new, report = step(divergence=steep)
    np.testing.assert_allclose(new - START, RATIO**2 * OPTIMUM, rtol=1e-4)
    assert report.line_search_steps == 3
    assert OuterStep(int(report.result)) == OuterStep.ACCEPTED


def test_the_first_improvement_is_taken_though_a_shorter_step_is_better():
    """g · d (1 - length / 0.6) improves below 0.6 lengths, and most at 0.3."""
    new, report = step(surrogate=lambda new, old: linear(new, old) * (1 - length_of(new["x"] - old["x"]) / 0.6))
    np.testing.assert_allclose(new - START, RATIO**3 * OPTIMUM, rtol=1e-4)
    assert report.line_search_steps == 4


def test_longer_steps_that_are_not_finite_are_passed_over():
    def broken(new, old):
        value = linear(new, old)
        return jnp.where(length_of(new["x"] - old["x"]) > 0.9, jnp.nan, value)

    new, report = step(surrogate=broken)
    np.testing.assert_allclose(new - START, RATIO * OPTIMUM, rtol=1e-4)
    assert report.line_search_steps == 2
    assert np.isfinite(report.improvement)


@pytest.mark.parametrize("tries", [1, 15])
def test_no_improvement(tries):
    surrogate = lambda new, old: linear(new, old) * (1 - 1e4 * length_of(new["x"] - old["x"]))  # noqa: E731
    new, report = step(surrogate, ls_max_steps=tries)
    refused(new, report, OuterStep.NO_IMPROVEMENT)
    assert report.line_search_steps == tries


def test_an_equal_surrogate_is_no_improvement():
    constant = lambda new, old: jnp.where(length_of(new["x"] - old["x"]) > 1e-3, 0.0, linear(new, old))  # noqa: E731
    refused(*step(constant), OuterStep.NO_IMPROVEMENT)


def test_divergence_too_large():
    new, report = step(divergence=lambda new, old: quadratic(new, old) + 1e9 * quadratic(new, old) ** 2)
    refused(new, report, OuterStep.OUTSIDE_TRUST_REGION)
    assert report.line_search_steps == TRIES


def test_the_trust_region_excludes_its_edge():
    """A divergence that is max_kl for every step."""
    edge = lambda new, old: jnp.where(quadratic(new, old) > 1e-12, MAX_KL, quadratic(new, old))  # noqa: E731
    refused(*step(divergence=edge), OuterStep.OUTSIDE_TRUST_REGION)


def not_finite_elsewhere(function, value):
    return lambda new, old: jnp.where(quadratic(new, old) > 1e-12, value, function(new, old))


@pytest.mark.parametrize("value", [jnp.nan, jnp.inf])
def test_surrogate_not_finite(value):
    refused(*step(surrogate=not_finite_elsewhere(linear, value)), OuterStep.NOT_FINITE)


@pytest.mark.parametrize("value", [jnp.nan, -jnp.inf])
def test_divergence_not_finite(value):
    refused(*step(divergence=not_finite_elsewhere(divergence, value)), OuterStep.NOT_FINITE)


@pytest.mark.parametrize(("value", "which"), [(jnp.nan, "all"), (jnp.nan, "some"), (jnp.inf, "some")])
def test_gradient_not_finite(value, which):
    """The surrogate itself is finite and would improve along any direction that a step could take."""

    @jax.custom_jvp
    def surrogate_of(d):
        return jnp.sum(d**2)

    bad = value * jnp.ones(SIZE) if which == "all" else jnp.zeros(SIZE).at[2].set(value)
    surrogate_of.defjvp(lambda primals, tangents: (surrogate_of(*primals), jnp.sum(bad * tangents[0])))
    refused(*step(lambda new, old: surrogate_of(new["x"] - old["x"])), OuterStep.NOT_FINITE)


def test_old_surrogate_not_finite():
    refused(*step(lambda new, old: linear(new, old) + jnp.inf), OuterStep.NOT_FINITE)


def test_parameters_not_finite():
    start = np.where(np.arange(SIZE) == 1, np.nan, START)
    refused(*step(start=start), OuterStep.NOT_FINITE, start)


def test_curvature_not_a_number():
    """The divergence is finite everywhere, but has a corner at the old outputs: no direction, so no step."""
    corner = lambda new, old: divergence(new, old) + 1e-9 * jnp.linalg.norm(new["x"] - old["x"])  # noqa: E731
    new, report = step(divergence=corner)
    refused(new, report, OuterStep(int(report.result)))
    assert OuterStep(int(report.result)) != OuterStep.ACCEPTED


def test_no_gradient_no_step():
    new, report = step(surrogate=lambda new, old: 0 * linear(new, old))
    refused(new, report, OuterStep.NO_IMPROVEMENT)
    assert report.gradient_norm == 0


def test_the_old_outputs_stay_fixed():
    """A surrogate of the old outputs alone has no gradient."""
    new, report = step(surrogate=lambda new, old: jnp.asarray(GRADIENT) @ old["x"])
    refused(new, report, OuterStep.NO_IMPROVEMENT)
    assert report.gradient_norm == 0


class GivenAdvantages(Gae):
    """In place of an estimate."""

    def __init__(self, advantages):
        object.__setattr__(self, "advantages", advantages)

    def __call__(self, experience, rewards):
        return self.advantages


def experience(tasks):
    episodes = plain.jax_episodes(*tasks)
    return Experience(episodes, episodes.rewards, jnp.zeros(episodes.rewards.shape))


@pytest.mark.parametrize(("num_steps", "damping"), [(1, 1e-5), (2, 0.3)])
def test_a_step_on_the_real_outcome_of_the_inner_loop(num_steps, damping):
    """Against the dense Fisher matrix J^T M J, the Jacobian J of the adapted outputs by finite differences in NumPy.

    M in closed form: 1 / std² for a mean, 2 for a log standard deviation, weighted like the mean divergence.
    """
    rng, rate = np.random.default_rng(7), 0.1
    inner = [[plain.make_episodes(rng, 3, 4) for _ in range(2)] for _ in range(num_steps)]
    after = [plain.make_episodes(rng, 3, 4) for _ in range(2)]
    theta = plain.random_theta(rng)
    inner_advantages, weights = rng.normal(size=(num_steps, 2, 3, 4)), rng.normal(size=(2, 3, 4))

    def adapted(at, task):
        return plain.inner_loop(at, [b[task] for b in inner], inner_advantages[:, task], rate)[-1]

    fisher, gradient = np.zeros((4, 4)), np.zeros(4)
    for task, episodes in enumerate(after):
        by_mean = plain.gradient(lambda at, t=task, e=episodes: plain.outputs(adapted(at, t), e)[0], theta)
        by_log_std = plain.gradient(lambda at, t=task, e=episodes: plain.outputs(adapted(at, t), e)[1], theta)
        variance = np.exp(2 * plain.outputs(adapted(theta, task), episodes)[1])
        rows = by_mean[:, episodes.valid].reshape(4, -1)
        fisher += (rows @ rows.T / variance / episodes.valid.sum() + 2 * by_log_std @ by_log_std.T) / 2
        behaviour = plain.log_probs(adapted(theta, task), episodes)
        gradient += (
            plain.gradient(
                lambda at, t=task, e=episodes, b=behaviour: plain.mean(
                    np.exp(plain.log_probs(adapted(at, t), e) - b) * weights[t], e.valid
                ),
                theta,
            )
            / 2
        )
    matrix = fisher + damping * np.eye(4)
    direction = np.linalg.solve(matrix, gradient)
    full_step = np.sqrt(2 * MAX_KL / (direction @ matrix @ direction)) * direction

    inner_step = InnerStep(FixedRates(rate, latent_rate=0.0), first_order=False)
    with jax.enable_x64(True):
        stages = list(map(experience, inner)), experience(after)
        trial = Trial(*stages, Mixture(jnp.zeros(()), jnp.zeros((), bool)))
        episodes = trial.after.episodes
        terms = (Maml(Extrinsic(), GivenAdvantages(jnp.asarray(weights))),)
        problem = Objective(terms, inner_step, trial, list(jnp.asarray(inner_advantages)), trial)
        compute = jax.jit(lambda policy: dataclasses.replace(STEP, cg_damping=damping)(Shared(policy), problem))
        new, report = compute(plain.jax_policy(theta))
        new = new.policy
    assert isinstance(episodes, Episodes)
    assert OuterStep(int(report.result)) == OuterStep.ACCEPTED
    taken = RATIO ** (int(report.line_search_steps) - 1)
    # Conjugate gradients stop at a residual of 1e-5 of the gradient.
    error = 1e-5 * np.linalg.cond(matrix) * np.linalg.norm(full_step)
    assert error < 0.01 * np.linalg.norm(full_step)
    np.testing.assert_allclose(plain.vector(new) - theta, taken * full_step, atol=error + 1e-7)
    assert float(report.gradient_norm) == pytest.approx(np.linalg.norm(gradient), rel=1e-7)
    moved = plain.vector(new)
    divergences = [plain.kl(adapted(moved, t), adapted(theta, t), e) for t, e in enumerate(after)]
    assert float(report.kl) == pytest.approx(np.mean(divergences), rel=1e-7)
    assert 0.3 * taken**2 * MAX_KL < float(report.kl) < MAX_KL
