"""Work split among devices: the same numbers, values and derivatives, as all tasks at once."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mime.numerics import parallel
from mime.numerics.parallel import over_tasks, task_mesh


def polynomial(shared, values, scale):
    """Of one task: something with a loop, as environments and Adam's moments have."""
    total, _ = jax.lax.scan(lambda total, value: (total * scale + value @ shared, None), jnp.zeros(()), values)
    return {"total": total, "shared": shared * scale}


SHARED = jnp.array([1.0, -2.0, 0.5])
VALUES = jax.random.normal(jax.random.key(0), (6, 4, 3))
SCALES = jnp.linspace(0.5, 1, 6)


@pytest.mark.parametrize("vectorised", [False, True])
@pytest.mark.parametrize("devices", [1, 2])
def test_values_and_derivatives_are_those_of_all_tasks_at_once(devices, vectorised, monkeypatch):
    assert len(jax.devices()) == 2
    monkeypatch.setattr(parallel, "task_mesh", lambda num_tasks: task_mesh(num_tasks if devices == 2 else 1))

    def split(shared):
        return over_tasks(polynomial, shared=shared, vectorised=vectorised)(VALUES, SCALES)

    def at_once(shared):
        return jax.vmap(polynomial, in_axes=(None, 0, 0))(shared, VALUES, SCALES)

    tangent = jnp.array([0.3, 0.1, -1.0])
    for ours, theirs in zip(*(jax.jit(lambda s, f=f: jax.jvp(f, (s,), (tangent,)))(SHARED) for f in (split, at_once))):
        for name in ("total", "shared"):
            np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-6)
    gradients = [jax.jit(jax.grad(lambda s, f=f: jnp.sum(f(s)["total"] ** 2)))(SHARED) for f in (split, at_once)]
    np.testing.assert_allclose(*gradients, rtol=1e-5)


@pytest.mark.parametrize(("tasks", "devices"), [(1, 1), (2, 2), (3, 1), (10, 2)])
def test_as_many_devices_as_divide_the_tasks(tasks, devices):
    assert task_mesh(tasks).size == devices
    shared = parallel.share({"a": SHARED}, tasks)
    assert len(shared["a"].sharding.device_set) == devices


def test_of_copies_on_all_devices_one_is_kept():
    copies = parallel.share({"a": SHARED}, 2)
    kept = parallel.one_copy(copies)
    assert len(kept["a"].sharding.device_set) == 1
    np.testing.assert_allclose(over_tasks(lambda row: 2 * row)(jnp.stack([kept["a"]] * 2))[1], 2 * SHARED)
    np.testing.assert_array_equal(kept["a"], copies["a"])
    assert parallel.one_copy(SHARED) is SHARED
    np.testing.assert_array_equal(jax.jit(parallel.one_copy)(copies["a"]), SHARED)


def test_sums_over_tasks_are_the_same_on_any_number_of_devices_bit_for_bit(monkeypatch):
    values = 1e3 * jax.random.normal(jax.random.key(1), (6, 4, 3))

    def loss(shared):
        outcome = over_tasks(polynomial, shared=shared)(values, SCALES)
        worth = over_tasks(lambda values: values**3)(outcome["total"])
        return jnp.mean(outcome["total"] * worth) + jnp.sum(values) * outcome["shared"].sum()

    results = []
    for devices in (1, 2):
        monkeypatch.setattr(
            parallel, "task_mesh", lambda num_tasks, most=devices: task_mesh(num_tasks if most == 2 else 1)
        )
        results.append(jax.jit(jax.value_and_grad(lambda shared: loss(shared)))(SHARED))
    for one, two in zip(*map(jax.tree.leaves, results)):
        np.testing.assert_array_equal(one, two)
