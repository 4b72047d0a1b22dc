"""Work on many tasks at once: split among the devices, and within each laid out as suits it."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

TASKS = "tasks"


def over_tasks(function: Callable, *, shared: Any = None, vectorised: bool = False) -> Callable:
    """The function of one task, applied to each: its arguments and results get a leading `tasks` axis.

    The tasks are split evenly among as many devices as divide them. A GPU does its share at once. A processor does it
    task by task, whose arrays then stay in its cache: a third faster for the learner's large ones.

    Args:
        function: Of one task's pytrees, after the shared one if there is any.
        shared: What all tasks have in common, if the result is to be differentiated with respect to it.
        vectorised: Do a device's share at once on a processor as well: faster for loops over small arrays.
    """
    vectorised |= jax.default_backend() != "cpu"

    def of_a_device(shared: Any, arguments: tuple) -> Any:
        of_a_task = function if shared is None else partial(function, shared)
        if vectorised:
            return jax.vmap(of_a_task)(*arguments)
        return jax.lax.map(lambda task: of_a_task(*task), arguments)

    def apply(*arguments: Any) -> Any:
        mesh = task_mesh(len(jax.tree.leaves(arguments)[0]))
        if mesh.size == 1:
            return of_a_device(shared, arguments)
        whole, split = PartitionSpec(), PartitionSpec(TASKS)
        # Unchecked: loops over a task's arrays would have to declare that they differ between devices.
        of_all = jax.shard_map(of_a_device, mesh=mesh, in_specs=(whole, split), out_specs=split, check_vma=False)
        return of_all(shared, arguments)

    return apply


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

    def apply(*arguments: Any) -> Any:
        per_task = over_tasks(function, shared=shared)(*arguments)
        whole = gathered(per_task, len(jax.tree.leaves(arguments)[0]))
        return jax.tree.map(lambda leaf: jnp.mean(leaf, axis=0), whole)

    return apply


def gathered(tree: Any, num_tasks: int) -> Any:
    """The same arrays, whole on each of the devices that work on so many tasks.

    A sum over tasks of arrays split among devices would be taken device by device, and so round differently on another
    number of them; of gathered ones it is taken in one order. Derivatives are gathered as well. The barrier keeps what
    is computed from them apart from what they are computed by, so that it is compiled alike.
    """
    whole = NamedSharding(task_mesh(num_tasks), PartitionSpec())
    return jax.lax.optimization_barrier(jax.tree.map(lambda leaf: jax.lax.with_sharding_constraint(leaf, whole), tree))
