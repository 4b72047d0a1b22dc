"""The registry: names of environments, as they stand in configuration files, and how each is built. Imports no JAX."""

import difflib
import inspect
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple

from mime.configuration.named_classes import import_class, is_class_name
from mime.envs.environment import Environment
from mime.envs.external.hosted_environment import HostedEnvironment

GYMNASIUM = "mime.envs.external.gymnasium_environment:GymnasiumEnvironment"
METAWORLD = "mime.envs.external.metaworld:Metaworld"
BENCHMARK = "Metaworld-"  # What names of Meta-World's benchmarks begin with.


class Spec(NamedTuple):
    """How an environment is built, and what can be said of it before it is.

    Attributes:
        name: As in configuration files.
        constructor: `module:Class`, imported when the environment is built.
        horizon: Steps of an episode; None if the environment knows them.
        arguments: Of the constructor, unless the configuration has others.
        hosted: What worker processes host: `module:Class`, a Gymnasium id, or a benchmark of Meta-World; None for
            environments written in JAX, which need no workers.
    """

    name: str
    constructor: str
    horizon: int | None = None
    arguments: Mapping[str, Any] = MappingProxyType({})
    hosted: str | None = None

    @property
    def gymnasium_id(self) -> str | None:
        """The id under which `import mime` registers one of ours; None for Meta-World, which has its own ids."""
        return None if self.constructor == METAWORLD else f"mime/{self.name}"

    def load(self) -> Any:
        """The constructor itself."""
        return import_class(self.constructor)


def _locomotion(name: str, kind: str) -> Spec:
    arguments = {"max_episode_steps": 200, "normalization_scale": 1.0}
    return Spec(name, GYMNASIUM, 200, arguments, f"mime.envs.external.locomotion:{kind}")


def _benchmark(name: str) -> Spec:
    return Spec(name, METAWORLD, 500, hosted=name.removeprefix(BENCHMARK))


ENVIRONMENTS = {
    spec.name: spec
    for spec in (
        Spec("2DNavigation-v0", "mime.envs.navigation:DenseNavigation", 100),
        Spec("2DNavigationSparse-v0", "mime.envs.navigation:RingNavigation", 100),
        Spec("2DNavigationSparseLong-v0", "mime.envs.navigation:RingNavigation", 300, {"horizon": 300}),
        Spec("DogNavigation2D-v0", "mime.envs.dog_house:DogHouse", 1000),
        Spec("MetaPendulum-v0", "mime.envs.pendulum:Pendulum", 50),
        Spec("Bandit-K5-v0", "mime.envs.bandit:BernoulliBandit", 100, {"arms": 5}),
        Spec("Bandit-K10-v0", "mime.envs.bandit:BernoulliBandit", 100, {"arms": 10}),
        Spec("Bandit-K50-v0", "mime.envs.bandit:BernoulliBandit", 100, {"arms": 50}),
        Spec("TabularMDP-v0", "mime.envs.tabular_mdp:TabularMDP", 10),
        _locomotion("HalfCheetahDir-v1", "CheetahDirection"),
        _locomotion("HalfCheetahVel-v1", "CheetahVelocity"),
        _locomotion("AntDir-v1", "AntDirection"),
        _locomotion("AntVel-v1", "AntVelocity"),
        _locomotion("AntPos-v0", "AntGoal"),
        _benchmark("Metaworld-ML10"),
        _benchmark("Metaworld-ML25"),
        _benchmark("Metaworld-ML45"),
    )
}


def find(env_name: str) -> Spec:
    """How the environment of a name is built.

    Args:
        env_name: A key of `ENVIRONMENTS`, `Metaworld-ML1-<class>`, `package.module:Class`, or a Gymnasium id. Whether
            there is such a benchmark or id is not asked; a class is imported, to see of which kind it is.

    Raises:
        ValueError: If there is no such class. The message goes on after the name.
    """
    if env_name in ENVIRONMENTS:
        return ENVIRONMENTS[env_name]
    if env_name.startswith(BENCHMARK):
        return _benchmark(env_name)
    if is_class_name(env_name) and _is_compiled(import_class(env_name)):
        return Spec(env_name, env_name)
    return Spec(env_name, GYMNASIUM, hosted=env_name)


def _is_compiled(kind: Any) -> bool:
    """Whether a class is of environments written in JAX."""
    return inspect.isclass(kind) and issubclass(kind, Environment) and not issubclass(kind, HostedEnvironment)


def check(env_name: str) -> None:
    """Check that there is an environment of that name.

    Raises:
        ValueError: If not. The message goes on after the name.
    """
    # A name of a form of its own is somebody's environment; any other may be one of ours, misspelt.
    near = [] if ":" in env_name else difflib.get_close_matches(env_name, ENVIRONMENTS, n=1, cutoff=0.8)
    if near and near[0] != env_name:
        raise ValueError(f"is not an environment; did you mean {near[0]}?")
    spec = find(env_name)
    if spec.hosted is not None:
        spec.load().check(spec.hosted)


def make(env_name: str, env_kwargs: dict[str, Any]) -> Environment:
    """The environment of that name.

    Args:
        env_name: As of `find`.
        env_kwargs: Keyword arguments of its constructor.

    Raises:
        ValueError: If there is no such environment, it has no such argument, or refuses its value.
        TypeError: If it has no such argument.
    """
    spec = find(env_name)
    if spec.hosted is not None:
        return make_hosted(env_name, env_kwargs)
    constructor = partial(spec.load(), **spec.arguments)
    arguments = _checked(env_name, constructor, env_kwargs)
    try:
        return constructor(**arguments)
    except ValueError:  # An argument that it refuses.
        raise
    except Exception as error:  # Whatever somebody's class may raise.
        raise ValueError(f"{env_name} cannot be built: {type(error).__name__}: {error}") from error


def make_hosted(env_name: str, env_kwargs: dict[str, Any]) -> HostedEnvironment:
    """`make` for workers, of an environment outside JAX; what is expensive about it is built on first use."""
    spec = find(env_name)
    return spec.load()(spec.hosted, **{**spec.arguments, **env_kwargs})


def _checked(env_name: str, constructor: Callable[..., Any], env_kwargs: dict[str, Any]) -> dict[str, Any]:
    """The arguments as the constructor's annotations have them."""
    from pydantic import TypeAdapter, ValidationError  # Not above: workers do without.

    parameters = inspect.signature(constructor, eval_str=True).parameters
    kinds = inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD
    # Gymnasium's own `options` would overwrite any attribute.
    allowed = {name: each for name, each in parameters.items() if each.kind in kinds and name != "options"}
    arguments = {}
    for name, value in env_kwargs.items():
        if name not in allowed:
            raise ValueError(f"{name} is not an argument of {env_name}; it has {', '.join(allowed) or 'none'}")
        try:
            annotation = allowed[name].annotation
            kind = Any if annotation is inspect.Parameter.empty else annotation
            arguments[name] = TypeAdapter(kind).validate_python(value, strict=True)
        except ValidationError as error:
            raise ValueError(f"{name}: {value!r}: {error.errors()[0]['msg']}") from None
    return arguments
