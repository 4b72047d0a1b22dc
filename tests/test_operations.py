"""The benchmark's count of operations against XLA's own, on a policy so wide that its products are all that counts."""

import dataclasses

import jax
import jax.numpy as jnp
import pytest

from benchmarks.operations import Perceptron
from mime.meta.adaptation import adapt, distributions
from mime.policies.feedforward import GaussianPolicy
from mime.sampling.episodes import Episodes

SIZES = (30, 128, 96, 20)
STEPS = 50
POLICY = Perceptron(SIZES)


def operations(function, *arguments):
    return jax.jit(function).lower(*arguments).compile().cost_analysis()["flops"]


@pytest.fixture(scope="module")
def parts():
    """The functions of a meta-iteration on one task of 1 x 50 steps, as functions of the policy."""
    policy = GaussianPolicy(SIZES[0], SIZES[-1], hidden_sizes=SIZES[1:-1], key=jax.random.key(0))
    observations = jax.random.normal(jax.random.key(1), (1, STEPS, SIZES[0]))
    ones = jnp.ones((1, STEPS))
    actions = jax.random.normal(jax.random.key(2), (1, STEPS, SIZES[-1]))
    episodes = Episodes(observations, actions, ones, observations, ones > 2, ones > 0)

    def adapted(policy):
        return adapt(policy, episodes, 1 + ones, rates=policy.rates(0.1), first_order=False)

    later = dataclasses.replace(episodes, observations=observations + 1)
    return policy, adapted, lambda policy: distributions(policy, later)


def test_forward_and_gradient(parts):
    policy, adapted, acted = parts
    assert operations(acted, policy) == pytest.approx(STEPS * POLICY.forward, rel=0.05)
    assert operations(adapted, policy) == pytest.approx(STEPS * POLICY.gradient, rel=0.05)


def test_fisher_products(parts):
    policy, adapted, acted = parts

    def linear_part(function, point):
        _, tangent = jax.linearize(function, point)
        transposed = jax.linear_transpose(tangent, point)
        return jax.closure_convert(tangent, point), transposed, jax.eval_shape(tangent, point)

    for function, point, expected in (
        (acted, policy, POLICY.tangent),
        (adapted, policy, POLICY.gradient_tangent),
    ):
        (tangent, constants), transposed, shape = linear_part(function, point)
        ones = jax.tree.map(lambda leaf: jnp.ones(leaf.shape), shape)
        assert operations(lambda v, *c, f=tangent: f(v, *c), point, *constants) == pytest.approx(
            STEPS * expected, rel=0.05
        )
        assert operations(lambda v, f=transposed: f(v), ones) == pytest.approx(STEPS * expected, rel=0.06)
