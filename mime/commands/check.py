"""`mime check`: what is right and wrong with an environment or a bonus of one's own."""

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import tyro
import yaml
from rich.text import Text

from mime.commands.terminal import console, parse_options, prepare_jax
from mime.configuration.named_classes import import_class, is_class_name
from mime.errors import UserError


@dataclass(frozen=True)
class Check:
    """Say what is right and wrong with an environment or a bonus of your own.

    Of an environment: spaces, horizon, tasks, what each function returns, whether many episodes can be computed at
    once, whether functions are pure and numbers finite, and success. Of one outside JAX, whether seeds decide it.
    """

    name: tyro.conf.Positional[str]
    """`module:Class` of a file in the current folder or an installed module, or the name of any environment."""
    env_kwargs: Annotated[str, tyro.conf.arg(metavar="'{KEY: VALUE}'")] = "{}"
    """Keyword arguments of the environment, as in a configuration file: '{max_episode_steps: 50}'."""
    env_name: str = "2DNavigation-v0"
    """For a bonus: the environment written in JAX whose episodes it is to reward."""


def run(arguments: Sequence[str]) -> int:
    """Check an environment or a bonus; returns the exit status: 1 if something is wrong."""
    command = parse_options(Check, arguments, name="check")
    prepare_jax()
    found = _findings(command)
    for finding in found:
        mark = ("right", "green") if finding.right else ("wrong", "bold red")
        console.print(Text.assemble(mark, f"  {finding.subject:10} {finding.words}"), soft_wrap=True)
    return 0 if all(finding.right for finding in found) else 1


def _findings(command: Check) -> list:
    from mime.envs.task_environment import TaskEnvironment
    from mime.exploration.bonus import Bonus
    from mime.exploration.bonus_checks import check_bonus
    from mime.sampling.environment_checks import check_environment

    try:
        kind = import_class(command.name) if is_class_name(command.name) else None
    except ValueError as error:
        raise UserError(f"{command.name} {error}") from None
    if not (inspect.isclass(kind) and issubclass(kind, Bonus)):
        return check_environment(_environment(command.name, command.env_kwargs))
    environment = _environment(command.env_name, command.env_kwargs)
    if not isinstance(environment, TaskEnvironment):
        raise UserError(f"--env-name: {command.env_name} is not written in JAX; leave it out to check the bonus")
    return check_bonus(kind, environment)


def _environment(name: str, env_kwargs: str) -> Any:
    from mime.envs import registration

    try:
        keys = yaml.safe_load(env_kwargs)
    except yaml.YAMLError:
        keys = None
    if not isinstance(keys, dict):
        raise UserError(f"--env-kwargs: {env_kwargs!r} must be '{{KEY: VALUE}}', as '{{max_episode_steps: 50}}'")
    try:
        registration.check(name)
    except ValueError as error:
        raise UserError(f"{name} {error}") from None
    try:
        return registration.make(name, keys)
    except (ValueError, TypeError) as error:
        raise UserError(f"env-kwargs: {error}") from None
