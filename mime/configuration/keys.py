"""What the configurations of all algorithms share: types of keys, their spelling, errors that help."""

import difflib
import json
from collections.abc import Callable
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator

from mime.errors import UserError


class ConfigurationError(UserError):
    """A configuration that cannot be run. The message names the file, the key, the value and what is allowed."""


def _number(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("must be a number")
    return value


Number = Annotated[float, BeforeValidator(_number), Field(allow_inf_nan=False)]
Count = Annotated[int, BeforeValidator(_number)]
Positive = Annotated[Number, Field(gt=0)]
NonNegative = Annotated[Number, Field(ge=0)]
Fraction = Annotated[Number, Field(ge=0, le=1)]
OneOrMore = Annotated[Count, Field(ge=1)]
ZeroOrMore = Annotated[Count, Field(ge=0)]


def kebab(name: str) -> str:
    """A field's name as configuration files spell it."""
    return name.replace("_", "-")


class Configuration(BaseModel):
    """What the configurations of all algorithms have in common: the environment, the records, helpful errors."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=kebab,
        populate_by_name=True,
        use_attribute_docstrings=True,
        validate_default=True,
        ser_json_inf_nan="constants",  # Otherwise null.
    )

    env_name: str = "2DNavigationSparse-v0"
    """Environment: a name that `mime envs` lists, `package.module:Class` of your own, or a Gymnasium id."""
    env_kwargs: dict[str, Any] = {}
    """Keyword arguments of the environment. As an option a YAML mapping, '{low: 5}', added to the file's."""

    @field_validator("env_kwargs")
    @classmethod
    def _kept(cls, arguments: dict[str, Any]) -> dict[str, Any]:
        """A copy that nobody else changes, which is what config.json will give back."""
        for name, value in arguments.items():
            if not _is_kept(value):
                raise ValueError(
                    f"holds {name}: {brief(value)}, which config.json would not give back as it is; use numbers, text,"
                    " true, false, null, and lists and mappings of these whose keys are text"
                )
        return json.loads(json.dumps(arguments))

    checkpoint_every: OneOrMore = 10
    """Meta-iterations between checkpoints."""
    pictures_every: OneOrMore = 10
    """Meta-iterations between pictures of the trajectories."""

    LENGTH: ClassVar[str]
    """The key that decides how long a run is, which alone may change when it is resumed."""
    STEPS: ClassVar[str]
    """What the steps of adaptation are."""

    def check(self) -> None:
        """Refuses values that do not go together. What the environment says to them shows when it is built.

        Raises:
            ValueError: If there are any.
        """

    @model_validator(mode="after")
    def _consistent(self) -> "Configuration":
        self.check()
        return self

    @model_validator(mode="wrap")
    @classmethod
    def _explained(cls, values: Any, handler: Callable[[Any], Any]) -> "Configuration":
        try:
            return handler(values)
        except ValidationError as error:
            raise ConfigurationError("\n".join(_sentences(error))) from None

    def unused(self, key: str) -> str | None:
        """The flag without which a key has no effect, if this configuration lacks it."""
        return None

    @property
    def iterations(self) -> int:
        """Meta-iterations of a run."""
        raise NotImplementedError

    @property
    def test_steps(self) -> int:
        """Steps of adaptation in tests, unless they are told."""
        return 10

    @property
    def method(self) -> str:
        """The name under which the method is known."""
        raise NotImplementedError

    def as_keys(self) -> dict[str, Any]:
        """The configuration under the names its YAML file would use."""
        return self.model_dump(mode="json", by_alias=True)


def _is_kept(value: Any) -> bool:
    """Whether JSON gives the value back, of the same type in every place: texts tell 1 from true, lists from tuples."""
    try:
        return repr(json.loads(json.dumps(value))) == repr(value)
    except (TypeError, ValueError, RecursionError):
        return False


def _sentences(error: ValidationError) -> list[str]:
    lines = []
    for mistake in error.errors():
        message = mistake["msg"].removeprefix("Value error, ").removeprefix("Input ")
        if mistake["loc"]:
            key = ".".join(kebab(str(part)) for part in mistake["loc"])
            lines.append(f"{key}: {brief(mistake['input'])} {message}")
        else:
            lines.append(message)
    return lines


def brief(value: Any) -> str:
    """A value as an error message quotes it."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def nearest(name: str, names: Any) -> str:
    """The rest of an error message about a wrong name: the right one, if it can be guessed, or all there are."""
    near = difflib.get_close_matches(kebab(name), names, n=1, cutoff=0.5)
    return f"; did you mean {near[0]}?" if near else f"; allowed are {', '.join(names)}"
