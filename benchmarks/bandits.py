"""What a run of RL2 earns in Bernoulli bandits it has not seen, beside index policies on the same arms.

python benchmarks/bandits.py [RUN] [--arms 5] [--pulls 10] [--bandits 1000]

Given a run, arms and pulls are its own. Finite-horizon Gittins indices are exact for one arm, and near the optimum for
several; Thompson sampling and UCB1, with its bound drawn in, are as in Duan et al. 2016
(arXiv 1611.02779, section 3.1).
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np

from mime.runs.folder import RunFolder
from mime.runs.setup import load_weights, set_up

UCB_CONSTANT = 0.2  # The paper's.
Counts = np.ndarray
"""`[bandits arms]`, of pulls that paid, or that did not."""


def gittins_indices(horizon: int, precision: int = 1000) -> np.ndarray:
    """`[remaining paid unpaid]`: the sure pay for which one would give up an arm, with so many pulls left.

    Of an arm with a uniform prior, which paid and did not pay so many times.
    """
    pay = np.linspace(0, 1, precision, dtype=np.float32)
    paid, unpaid = np.meshgrid(np.arange(horizon + 1), np.arange(horizon + 1), indexing="ij")
    chance = ((paid + 1) / (paid + unpaid + 2)).astype(np.float32)[..., None]
    values = np.zeros((horizon + 2, horizon + 2, precision), np.float32)
    indices = np.zeros((horizon + 1, horizon + 1, horizon + 1), np.float32)
    for remaining in range(1, horizon + 1):
        going_on = chance * (1 + values[1:, :-1]) + (1 - chance) * values[:-1, 1:]
        indices[remaining] = np.mean(going_on >= remaining * pay, axis=-1)
        values[:-1, :-1] = np.maximum(going_on, remaining * pay)
    return indices


def earned(choose: Callable[[Counts, Counts, int], np.ndarray], chances: np.ndarray, pulls: int, seed: int = 0):
    """The sum of pay in each bandit of a rule that knows the counts so far."""
    rng, total = np.random.default_rng(seed), np.zeros(len(chances))
    paid, unpaid = np.zeros(chances.shape, int), np.zeros(chances.shape, int)
    places = np.arange(len(chances))
    for step in range(pulls):
        # Ties are broken at random.
        scores = choose(paid, unpaid, step) + 1e-6 * rng.random(chances.shape)
        arms = np.argmax(scores, axis=1)
        pay = rng.random(len(chances)) < chances[places, arms]
        paid[places, arms] += pay
        unpaid[places, arms] += ~pay
        total += pay
    return total


def rules(pulls: int, seed: int = 1) -> dict[str, Callable[[Counts, Counts, int], np.ndarray]]:
    """Scores of the arms, the highest of which is pulled."""
    rng, indices = np.random.default_rng(seed), gittins_indices(pulls)

    def ucb1(paid: Counts, unpaid: Counts, step: int) -> np.ndarray:
        count = paid + unpaid
        return (paid + 1) / (count + 2) + UCB_CONSTANT * np.sqrt(2 * np.log(step + 1) / np.maximum(count, 1))

    return {
        "random": lambda paid, unpaid, step: rng.random(paid.shape),
        "UCB1": ucb1,
        "Thompson sampling": lambda paid, unpaid, step: rng.beta(paid + 1, unpaid + 1),
        "greedy": lambda paid, unpaid, step: (paid + 1) / (paid + unpaid + 2),
        "Gittins indices": lambda paid, unpaid, step: indices[pulls - step][paid, unpaid],
    }


def earned_by_run(folder: RunFolder, chances: np.ndarray) -> np.ndarray:
    """The sum of pay in each bandit of one trial of a run's policy."""
    experiment, seed = folder.read_config()
    setup = set_up(experiment.model_copy(update={"trials_per_task": 1}), seed)
    state = load_weights(folder, setup)
    steps = experiment.test_steps
    trial = setup.learner.adapt_and_evaluate(state, jax.numpy.asarray(chances), jax.random.key(1), num_steps=steps)
    return np.asarray(trial.episodes.rewards).sum(axis=(1, 2, 3))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", nargs="?", type=Path)
    parser.add_argument("--arms", type=int, default=5)
    parser.add_argument("--pulls", type=int, default=10)
    parser.add_argument("--bandits", type=int, default=1000)
    arguments = parser.parse_args()
    arms, pulls, folder = arguments.arms, arguments.pulls, None
    if arguments.run is not None:
        folder = RunFolder(arguments.run)
        experiment, _ = folder.read_config()
        environment = set_up(experiment, 0).environment
        arms, pulls = environment.action_space.n, environment.horizon * experiment.episodes_per_trial
    chances = np.random.default_rng(0x7E57).random((arguments.bandits, arms)).astype(np.float32)
    results = {name: earned(choose, chances, pulls) for name, choose in rules(pulls).items()}
    if folder is not None:
        results[str(folder.path)] = earned_by_run(folder, chances)
    print(f"{arms} arms, {pulls} pulls, {arguments.bandits} bandits: mean sum of pay, and its standard error")
    for name, total in results.items():
        print(f"{name:24} {total.mean():8.3f} {total.std() / np.sqrt(len(total)):6.3f}")


if __name__ == "__main__":
    main()
