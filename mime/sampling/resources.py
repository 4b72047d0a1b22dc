"""Where episodes are collected: which sampler serves an environment, and what it may use."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import NamedTuple

from mime.configuration.keys import Configuration
from mime.envs.environment import Environment
from mime.envs.external.hosted_environment import HostedEnvironment
from mime.envs.task_environment import TaskEnvironment
from mime.errors import UserError, install, require
from mime.sampling.compiled import CompiledSampler
from mime.sampling.episodes import Sampler
from mime.sampling.hosted import TIMEOUT, HostedSampler
from mime.sampling.local import LocalWorkers


class Resources(NamedTuple):
    """Where the episodes of environments outside JAX are collected; those written in JAX need none of it."""

    num_workers: int | None = None
    """Worker processes; by default one for each processor."""
    ray_address: str | None = None
    """Ray cluster that runs them, `local`, `auto` or HOST:PORT; by default they are processes of this machine."""
    timeout: float = TIMEOUT
    """Seconds after which a worker that gives no answer is replaced."""


HERE = Resources()


@contextmanager
def ray_needed() -> Generator[None]:
    """Say what is missing where Ray, an extra, is imported.

    Raises:
        UserError: If it is not installed.
    """
    try:
        yield
    except ImportError:
        raise UserError(f"--ray-address needs Ray: {install('ray')}") from None


def make_sampler(
    environment: Environment, experiment: Configuration, num_trajectories: int, resources: Resources
) -> Sampler:
    """The sampler that fits the environment.

    Raises:
        UserError: If there are no workers, or a Ray cluster is asked for and cannot be reached.
    """
    require("num_workers", resources.num_workers, at_least=1)
    require("rollout_timeout", resources.timeout, at_least=1)
    if isinstance(environment, TaskEnvironment):
        return CompiledSampler(environment, num_trajectories)
    assert isinstance(environment, HostedEnvironment)
    names = experiment.env_name, experiment.env_kwargs
    options = {"number": resources.num_workers, "timeout": resources.timeout}
    if resources.ray_address is None:
        workers = LocalWorkers(*names, **options)
    else:
        with ray_needed():
            from mime.sampling.cluster import RayWorkers

        workers = RayWorkers(*names, address=resources.ray_address, **options)
    return HostedSampler(environment, num_trajectories, workers)
