"""The bonuses, by the name that the key `bonus` gives them."""

from mime.configuration.gradients import Experiment
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


def make_bonus(experiment: Experiment, environment: Environment, num_tasks: int) -> Bonus:
    """The bonus that a configuration chooses.

    Args:
        experiment: The configuration.
        environment: Whose spaces it sees.
        num_tasks: Tasks per meta-iteration.
    """
    # Information is gained about one of two models.
    named = BONUSES | {"information-gain": MODELS[experiment.dyn_model]}
    return named[experiment.bonus].configured(experiment, environment, num_tasks)
