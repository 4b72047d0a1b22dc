"""The configuration of an experiment: every key, its meaning, its default, and what it refuses."""

import difflib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from mime.envs import hosting, registration
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


def _kebab(name: str) -> str:
    return name.replace("_", "-")


class Experiment(BaseModel):
    """Everything that decides what a run computes, apart from its seed."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=_kebab,
        populate_by_name=True,
        use_attribute_docstrings=True,
        validate_default=True,
    )

    env_name: str = "2DNavigationSparse-v0"
    """Environment: a name that `mime envs` lists, `package.module:Class` of your own, or a Gymnasium id."""
    env_kwargs: dict[str, Any] = {}
    """Keyword arguments of the environment."""

    # Policy
    hidden_sizes: tuple[OneOrMore, ...] = (64, 64)
    """Width of each hidden layer of the policy."""
    nonlinearity: Literal["tanh", "relu", "elu", "sigmoid"] = "tanh"
    """Activation of the policy's hidden layers."""

    # Advantages
    gamma: Fraction = 0.99
    """Discount."""
    gae_lambda: Fraction = 1.0
    """Decay of generalised advantage estimation: 1 for Monte-Carlo returns, 0 for one-step differences."""

    # Inner loop
    num_steps: OneOrMore = 1
    """Inner gradient steps, each on fresh episodes."""
    fast_lr: Positive = 0.05
    """Rate of the inner gradient steps."""
    fast_batch_size: OneOrMore = 20
    """Trajectories per task in each batch."""
    first_order: bool = False
    """Ignore the inner step's own derivative in the meta-gradient."""

    # Outer loop
    num_batches: OneOrMore = 100
    """Meta-iterations after the warm-up of `pre-epochs`."""
    meta_batch_size: OneOrMore = 20
    """Tasks per meta-iteration."""
    max_kl: Positive = 0.01
    """Trust region: largest mean KL divergence of the adapted policies, in nats."""
    cg_iters: OneOrMore = 10
    """Iterations of conjugate gradient for the step's direction."""
    cg_damping: NonNegative = 1e-5
    """Multiple of the identity added to the Fisher matrix."""
    ls_max_steps: OneOrMore = 15
    """Step sizes tried by the line search."""
    ls_backtrack_ratio: Annotated[Number, Field(gt=0, lt=1)] = 0.8
    """Ratio of consecutive step sizes in the line search."""

    # Method
    use_vime: bool = False
    """Add an intrinsic reward (MAML+expl): the information a dynamics model gains from each transition."""
    adapt_eta: bool = False
    """Meta-learn the weight between the two rewards (MIME). Needs use-vime."""
    e_maml: bool = False
    """Credit pre-adaptation actions for the return after adaptation (E-MAML, arXiv 1803.01118)."""
    add_noise: bool = False
    """Add Gaussian noise to the standardised rewards (MAML+noise)."""
    noise_std: NonNegative = 1.0
    """Standard deviation of that noise."""

    # Exploration
    bonus: Literal["information-gain"] = "information-gain"
    """What the intrinsic reward is."""
    pre_epochs: ZeroOrMore = 0
    """Warm-up meta-iterations: the dynamics model learns, the policy sees the extrinsic reward alone."""
    eta: Number = 0.1
    """Fixed logit of the intrinsic reward's weight, without adapt-eta."""
    adaptable_eta: Number = 0.1
    """Initial logit of the intrinsic reward's weight, with adapt-eta."""
    eta_lr: NonNegative = 1000.0
    """Rate of the logit's updates."""
    eta_objective: Literal["rewards", "advantages"] = "rewards"
    """What the learned weight maximises after adaptation: rewards as in the paper, or advantages (unbiased)."""
    normalize_spaces: bool = False
    """Standardise what the dynamics model sees by the statistics of the warm-up."""

    # Dynamics model
    dyn_hidden: tuple[OneOrMore, ...] = (32,)
    """Width of each hidden layer of the Bayesian network."""
    dyn_fast_lr: Positive = 1e-4
    """Rate of its outer Adam updates, per squared number of tasks."""
    dyn_lr: Positive | None = None
    """Rate of its adaptation to a task and of the update that measures information gain; default dyn-fast-lr."""
    dyn_prior_sd: Positive = 0.5
    """Standard deviation of the prior over its weights."""
    dyn_kl_scale: NonNegative = 1.0
    """Factor of the divergence from the prior in its loss."""
    dyn_second_order: bool = False
    """Measure information gain by VIME's closed form in place of one Adam step."""

    # Records
    checkpoint_every: OneOrMore = 10
    """Meta-iterations between checkpoints."""
    pictures_every: OneOrMore = 10
    """Meta-iterations between pictures of the trajectories."""

    @field_validator("env_name")
    @classmethod
    def _known_environment(cls, name: str) -> str:
        known = (*registration.ENVIRONMENTS, *hosting.NAMES)
        # A name of its own form is somebody's environment; any other may be one of ours, misspelt.
        if name not in known and ":" not in name and difflib.get_close_matches(name, known, n=1, cutoff=0.8):
            raise ValueError(f"is not an environment{_nearest(name, known)}")
        registration.check(name)
        return name

    @model_validator(mode="after")
    def _consistent(self) -> "Experiment":
        try:
            registration.make(self.env_name, self.env_kwargs)
        except (ValueError, TypeError) as error:
            raise ValueError(f"env-kwargs: {error}") from None
        if self.adapt_eta and not self.use_vime:
            raise ValueError("adapt-eta: true learns the weight of an intrinsic reward; add use-vime to have one")
        if self.normalize_spaces and self.use_vime and self.pre_epochs == 0:
            raise ValueError(
                "normalize-spaces: true takes its statistics from the warm-up; set pre-epochs to 1 or more"
            )
        return self

    @model_validator(mode="wrap")
    @classmethod
    def _explained(cls, values: Any, handler: Callable[[Any], Any]) -> "Experiment":
        try:
            return handler(values)
        except ValidationError as error:
            raise ConfigurationError("\n".join(_sentences(error))) from None

    @property
    def iterations(self) -> int:
        """Meta-iterations of a run: the warm-up and `num_batches`, for every method, so that budgets stay equal."""
        return self.pre_epochs + self.num_batches

    @property
    def method(self) -> str:
        """The name under which the method is known."""
        if self.use_vime:
            name = "MIME" if self.adapt_eta else "MAML+expl"
            name = f"E-{name}" if self.e_maml else name
        else:
            name = "E-MAML" if self.e_maml else "MAML"
        return f"{name}+noise" if self.add_noise else name

    def as_keys(self) -> dict[str, Any]:
        """The configuration under the names its YAML file would use."""
        return self.model_dump(mode="json", by_alias=True)


KEYS = tuple(_kebab(name) for name in Experiment.model_fields)


def load(path: Path) -> Experiment:
    """The experiment in a YAML file.

    Raises:
        ConfigurationError: If the file cannot be read, or a key or value is not allowed.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigurationError(f"{path}: no such file{_nearest_file(path)}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: cannot be read: {error}") from None
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{path}: is not YAML: {' '.join(str(error).split())}") from None
    return parse({} if document is None else document, source=str(path))


def parse(document: Any, *, source: str) -> Experiment:
    """The experiment described by keys and values.

    Args:
        document: Mapping from keys in kebab-case (or with underscores) to values.
        source: Where they come from, for error messages.

    Raises:
        ConfigurationError: One line for each key or value that is not allowed.
    """
    if not isinstance(document, dict):
        raise ConfigurationError(f"{source}: must be a list of `key: value` lines, not {_brief(document)}")
    unknown = [key for key in document if _kebab(str(key)) not in KEYS]
    if unknown:
        lines = [f"{source}: {key}: unknown key{_nearest(str(key), KEYS)}" for key in unknown]
        raise ConfigurationError("\n".join(lines))
    try:
        return Experiment.model_validate({_kebab(key): value for key, value in document.items()})
    except ConfigurationError as error:
        raise ConfigurationError("\n".join(f"{source}: {line}" for line in str(error).splitlines())) from None


def _sentences(error: ValidationError) -> list[str]:
    lines = []
    for mistake in error.errors():
        message = mistake["msg"].removeprefix("Value error, ").removeprefix("Input ")
        if mistake["loc"]:
            key = ".".join(_kebab(str(part)) for part in mistake["loc"])
            lines.append(f"{key}: {_brief(mistake['input'])} {message}")
        else:
            lines.append(message)
    return lines


def _brief(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _nearest(name: str, names: Any) -> str:
    near = difflib.get_close_matches(_kebab(name), names, n=1, cutoff=0.5)
    return f"; did you mean {near[0]}?" if near else f"; allowed are {', '.join(names)}"


def _nearest_file(path: Path) -> str:
    siblings = [entry.name for entry in path.parent.glob("*.y*ml")] if path.parent.is_dir() else []
    near = difflib.get_close_matches(path.name, siblings, n=1, cutoff=0.5)
    return f"; did you mean {path.parent / near[0]}?" if near else ""
