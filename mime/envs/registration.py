"""Names of environments, as they stand in configuration files. Those written in JAX are listed here."""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

from pydantic import TypeAdapter, ValidationError

from mime.envs.bandit import BernoulliBandit
from mime.envs.dog_house import DogHouse
from mime.envs.external import hosting
from mime.envs.external.hosted_environment import HostedEnvironment
from mime.envs.navigation import DenseNavigation, RingNavigation
from mime.envs.pendulum import Pendulum
from mime.envs.tabular_mdp import TabularMDP
from mime.envs.task_environment import TaskEnvironment

Environment = TaskEnvironment | HostedEnvironment
ENVIRONMENTS: dict[str, Callable[..., TaskEnvironment]] = {
    "2DNavigation-v0": DenseNavigation,
    "2DNavigationSparse-v0": RingNavigation,
    "2DNavigationSparseLong-v0": partial(RingNavigation, horizon=300),
    "DogNavigation2D-v0": DogHouse,
    "MetaPendulum-v0": Pendulum,
    "Bandit-K5-v0": partial(BernoulliBandit, arms=5),
    "Bandit-K10-v0": partial(BernoulliBandit, arms=10),
    "Bandit-K50-v0": partial(BernoulliBandit, arms=50),
    "TabularMDP-v0": TabularMDP,
}


def check(env_name: str) -> None:
    """Check that there is an environment of that name.

    Raises:
        ValueError: If not. The message goes on after the name.
    """
    if env_name not in ENVIRONMENTS:
        hosting.check(env_name)


def make(env_name: str, env_kwargs: dict[str, Any]) -> Environment:
    """The environment of that name.

    Args:
        env_name: A key of `ENVIRONMENTS`, or a name that `mime.envs.external.hosting` knows.
        env_kwargs: Keyword arguments of its constructor.

    Raises:
        ValueError: If the environment has no such argument, or refuses its value.
    """
    if env_name not in ENVIRONMENTS:
        return hosting.make(env_name, env_kwargs)
    constructor = ENVIRONMENTS[env_name]
    parameters = inspect.signature(constructor).parameters
    # Gymnasium's own `options`, which would overwrite any attribute, is not one of ours: they are keyword-only.
    allowed = {name: each for name, each in parameters.items() if each.kind is each.KEYWORD_ONLY}
    arguments = {}
    for name, value in env_kwargs.items():
        if name not in allowed:
            raise ValueError(f"{name} is not an argument of {env_name}; it has {', '.join(allowed) or 'none'}")
        try:
            arguments[name] = TypeAdapter(allowed[name].annotation).validate_python(value, strict=True)
        except ValidationError as error:
            raise ValueError(f"{name}: {value!r}: {error.errors()[0]['msg']}") from None
    return constructor(**arguments)
