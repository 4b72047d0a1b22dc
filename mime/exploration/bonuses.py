"""The bonuses, by the name that the key `bonus` gives them."""

from mime.exploration.bonus import Bonus
from mime.exploration.disagreement import EnsembleDisagreement
from mime.exploration.information_gain import InformationGain
from mime.exploration.reward_proximity import RewardProximity
from mime.exploration.rnd import RandomNetworkDistillation
from mime.exploration.state_entropy import StateEntropy

BONUSES: dict[str, type[Bonus]] = {
    "information-gain": InformationGain,
    "state-entropy": StateEntropy,
    "rnd": RandomNetworkDistillation,
    "ensemble-disagreement": EnsembleDisagreement,
    "reward-proximity": RewardProximity,
}
