"""The bonuses, by the name that the key `bonus` gives them."""

import inspect

from mime.configuration.gradients import Experiment
from mime.configuration.named_classes import import_class, is_class_name
from mime.envs.environment import Environment
from mime.exploration.bonus import Bonus
from mime.exploration.disagreement import EnsembleDisagreement
from mime.exploration.information_gain import InformationGain
from mime.exploration.linear_gain import LinearInformationGain
from mime.exploration.reward_proximity import RewardProximity
from mime.exploration.rnd import RandomNetworkDistillation
from mime.exploration.state_entropy import StateEntropy

MODELS: dict[str, type[Bonus]] = {"network": InformationGain, "linear": LinearInformationGain}
BONUSES: dict[str, type[Bonus]] = {
    "state-entropy": StateEntropy,
    "rnd": RandomNetworkDistillation,
    "ensemble-disagreement": EnsembleDisagreement,
    "reward-proximity": RewardProximity,
}


def bonus_class(experiment: Experiment) -> type[Bonus]:
    """The class of the bonus that a configuration chooses: one of ours, or the one that it names as `module:Class`.

    Raises:
        ValueError: If there is no such class, or it is not a bonus. The message names the key and the value.
    """
    name = experiment.bonus
    if not is_class_name(name):
        # Information is gained about one of two models.
        return (BONUSES | {"information-gain": MODELS[experiment.dyn_model]})[name]
    try:
        kind = import_class(name)
        if not (inspect.isclass(kind) and issubclass(kind, Bonus)):
            raise ValueError("is not a subclass of mime.Bonus")
        if inspect.isabstract(kind):
            raise ValueError("has no method rewards(state, episodes, *, key)")
    except ValueError as error:
        raise ValueError(f"bonus: {name!r} {error}") from None
    return kind


def make_bonus(experiment: Experiment, environment: Environment, num_tasks: int) -> Bonus:
    """The bonus that a configuration chooses.

    Args:
        experiment: The configuration.
        environment: Whose spaces it sees.
        num_tasks: Tasks per meta-iteration.

    Raises:
        ValueError: As of `bonus_class`.
    """
    return bonus_class(experiment).configured(experiment, environment, num_tasks)
