"""Runs of a study on a Ray cluster. The study's folder and the configurations lie on a file system that all share."""

import sys
from concurrent.futures import Future

import ray

from mime.errors import UserError
from mime.studies.execution import make
from mime.studies.plan import PlannedRun


class RayPool:
    """A `Pool` that makes each run on a free processor of a cluster.

    Args:
        address: `local` for a cluster of this machine alone, `auto` for the one it belongs to, or HOST:PORT.
        parallel: Processors of a `local` cluster; others have their own.

    Raises:
        UserError: If there is no such cluster.
    """

    def __init__(self, address: str, parallel: int):
        options = {"num_cpus": parallel} if address == "local" else {}
        environment = {"env_vars": {"PYTHONPATH": ":".join(filter(None, sys.path))}}
        try:
            ray.init(address, log_to_driver=False, include_dashboard=False, runtime_env=environment, **options)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise UserError(f"--ray-address: {address}: {error}") from None
        # A run that fails is the study's to judge; one whose machine is lost goes on elsewhere.
        self._make = ray.remote(num_cpus=1, max_retries=3)(make)
        self._references: list[ray.ObjectRef] = []

    def submit(self, run: PlannedRun) -> Future:
        """See `mime.studies.execution.Pool`."""
        self._references.append(self._make.remote(run))
        return self._references[-1].future()

    def stop(self) -> None:
        """End the cluster's workers; the processes they started then save what they have."""
        for reference in self._references:
            ray.cancel(reference, force=True)

    def close(self) -> None:
        """Leave the cluster."""
        ray.shutdown()
