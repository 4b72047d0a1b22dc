"""Work on many tasks at once: split among the devices, and within each laid out as suits it."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.sharding import Mesh, NamedSharding, PartitionSpec

TASKS = "tasks"


def over_tasks(function: Callable, *, shared: Any = None, vectorised: bool = False) -> Callable:
    """The function of one task, applied to each: its arguments and results get a leading `tasks` axis.

    The tasks are split evenly among as many devices as divide them. A GPU does its share at once. A processor does it
    task by task, whose arrays then stay in its cache: a third faster for the learner's large ones.

    Arguments and results are whole on every device, and so are derivatives with respect to what is shared, before they
    are added up over the tasks. So the compiler splits no sum over tasks among devices, and its terms are added in the
    same order however many there are.

    Args:
        function: Of one task's pytrees, after the shared one if there is any.
        shared: What all tasks have in common, if the result is to be differentiated with respect to it.
        vectorised: Do a device's share at once on a processor as well: faster for loops over small arrays.
    """
    vectorised |= jax.default_backend() != "cpu"

    def of_a_device(arguments: tuple) -> Any:
        if vectorised:
            return jax.vmap(function)(*arguments)
        return jax.lax.map(lambda task: function(*task), arguments)

    def apply(*arguments: Any) -> Any:
        num_tasks = len(jax.tree.leaves(arguments)[0])
        if shared is not None:
            arguments = (repeated(shared, num_tasks), *arguments)
        mesh = task_mesh(num_tasks)
        if mesh.size == 1:
            return of_a_device(arguments)
        whole, split = NamedSharding(mesh, PartitionSpec()), PartitionSpec(TASKS)
        # Unchecked: loops over a task's arrays would have to declare that they differ between devices.
        of_all = jax.shard_map(of_a_device, mesh=mesh, in_specs=split, out_specs=split, check_vma=False)
        arguments = jax.lax.with_sharding_constraint(arguments, whole)
        return jax.lax.with_sharding_constraint(of_all(arguments), whole)

    return apply


def repeated(tree: Any, num_tasks: int) -> Any:
    """The same arrays for each of `num_tasks` tasks: a leading `tasks` axis on every leaf."""
    return jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (num_tasks, *leaf.shape)), tree)


def one_copy(tree: Any) -> Any:
    """The same arrays, of those that all devices hold one copy alone: for what is only kept, between compiled programs.

    A processor's devices share its memory, and ten copies of a test's episodes need gigabytes of it.
    """

    def one(leaf: Any) -> Any:
        several = isinstance(leaf, jax.Array) and not isinstance(leaf, Tracer) and leaf.is_fully_replicated
        # By way of NumPy: an array that is bound to one device fits into no program of several.
        return jnp.asarray(np.asarray(leaf)) if several and len(leaf.sharding.device_set) > 1 else leaf

    return jax.tree.map(one, tree)


def share(tree: Any, num_tasks: int) -> Any:
    """The same arrays on all devices that work on so many tasks."""
    return jax.device_put(tree, NamedSharding(task_mesh(num_tasks), PartitionSpec()))


def task_mesh(num_tasks: int) -> Mesh:
    """As many devices as divide the number of tasks."""
    devices = jax.devices()
    count = max(n for n in range(1, len(devices) + 1) if num_tasks % n == 0)
    return Mesh(np.array(devices[:count]), (TASKS,))


def mean_over_tasks(function: Callable, *, shared: Any = None) -> Callable:
    """The mean over tasks of a function of one task: the same number on any number of devices, to the last bit.

    Args:
        function: As of `over_tasks`. What it sums over a task's arrays is compiled alike for every task.
        shared: As of `over_tasks`.
    """
    of_each = over_tasks(function, shared=shared)
    return lambda *arguments: jax.tree.map(lambda leaf: jnp.mean(leaf, axis=0), of_each(*arguments))
