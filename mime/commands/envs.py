"""`mime envs`: the environments there are."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table

from mime.commands.terminal import console, parse_options


@dataclass(frozen=True)
class Envs:
    """List the environments."""


def run(arguments: Sequence[str]) -> int:
    """List the environments; returns the exit status."""
    parse_options(Envs, arguments, name="envs")
    from mime.envs.registration import ENVIRONMENTS, make

    table = Table("Name", "Observation", "Action", "Horizon", "What it is")
    for name in [name for name, spec in ENVIRONMENTS.items() if spec.hosted is None]:
        environment = make(name, {})
        spaces = (_size(space) for space in (environment.observation_space, environment.action_space))
        table.add_row(name, *spaces, str(environment.horizon), str(type(environment).__doc__).splitlines()[0])
    console.print(table)
    hosted = [name for name, spec in ENVIRONMENTS.items() if spec.hosted is not None]
    console.print("In worker processes, with the extras mujoco and metaworld: " + ", ".join(hosted))
    console.print(
        "and Metaworld-ML1-<class>, package.module:YourClass, or any Gymnasium id: docs/your-own-environment.md"
    )
    return 0


def _size(space) -> str:
    return str(space.shape[0]) if space.shape else f"1 of {space.n}"
