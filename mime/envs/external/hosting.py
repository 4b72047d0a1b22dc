"""Names of environments that are hosted in worker processes. Imports no JAX."""

from typing import Any

from mime.envs.external.gymnasium_environment import GymnasiumEnvironment, find
from mime.envs.external.hosted_environment import HostedEnvironment
from mime.envs.external.metaworld import Metaworld, check_benchmark

LOCOMOTION = {
    "HalfCheetahDir-v1": "mime.envs.external.locomotion:CheetahDirection",
    "HalfCheetahVel-v1": "mime.envs.external.locomotion:CheetahVelocity",
    "AntDir-v1": "mime.envs.external.locomotion:AntDirection",
    "AntVel-v1": "mime.envs.external.locomotion:AntVelocity",
    "AntPos-v0": "mime.envs.external.locomotion:AntGoal",
}
LOCOMOTION_ARGUMENTS = {"max_episode_steps": 200, "normalization_scale": 1.0}
METAWORLD = "Metaworld-"
NAMES = (*LOCOMOTION, "Metaworld-ML10", "Metaworld-ML25", "Metaworld-ML45")


def check(env_name: str) -> None:
    """Check that there is an environment of that name.

    Raises:
        ValueError: If not. The message goes on after the name.
    """
    if env_name.startswith(METAWORLD):
        check_benchmark(env_name.removeprefix(METAWORLD))
    else:
        find(LOCOMOTION.get(env_name, env_name))


def make(env_name: str, env_kwargs: dict[str, Any]) -> HostedEnvironment:
    """The environment of that name. It is cheap to make; what is expensive is built on first use.

    Args:
        env_name: `Metaworld-...`, a locomotion task, `package.module:Class`, or a Gymnasium id.
        env_kwargs: Its keyword arguments.

    Raises:
        ValueError: If there is no such environment, or it has no such arguments.
        TypeError: If it has no such arguments.
    """
    if env_name.startswith(METAWORLD):
        return Metaworld(env_name.removeprefix(METAWORLD), **env_kwargs)
    if env_name in LOCOMOTION:
        env_name, env_kwargs = LOCOMOTION[env_name], LOCOMOTION_ARGUMENTS | env_kwargs
    return GymnasiumEnvironment(env_name, **env_kwargs)
