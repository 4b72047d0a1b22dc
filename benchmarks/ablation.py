"""What each ingredient of `configs/solved` is worth on the wide ring: each alone, each removed, other bonuses.

    python -m benchmarks.ablation --output-folder runs/ablation
    mime compare runs/ablation --output-folder runs/ablation/report

The variants are `without-...` of the solving configuration, and `only-...` added to the published one. Each has
the same number of meta-iterations, of trajectories and of held-out tests. Finished runs are skipped.
"""

from dataclasses import dataclass
from pathlib import Path

import tyro

import mime
from mime.commands.terminal import prepare_jax
from mime.keys import Configuration
from mime.seeds import parse_seeds

NAME = "2d-navigation-wide-ring-sparse"
SOLVED = Path("configs/solved") / f"{NAME}.yaml"
PUBLISHED = Path("configs/msc_project") / f"{NAME}.yaml"

LATENT = {"latent_size": 8}
UNIT = {"scale_actions": True}
RATES = {"learn_fast_lr": True, "fast_lr": 0.001}
NOVELTY = {"use_vime": True, "bonus": "state-entropy", "eta": 0.0, "pre_epochs": 0}
PLAIN_RATES = {"learn_fast_lr": False, "fast_lr": 0.05}
CHEAP = {"first_order": True, "fisher_batch_size": 4, "max_kl": 0.02, "pre_epochs": 0}

REMOVED = {
    "solved": {},
    "without-latent": {"latent_size": 0},
    "without-action-units": {"scale_actions": False},
    "without-learned-rates": PLAIN_RATES,
    "without-bonus": {"use_vime": False, "bonus_credit": "mixed"},
    "without-credit-before": {"bonus_credit": "mixed"},
    "information-gain": {"bonus": "information-gain", "dyn_prior_sd": 0.01},
    "rnd": {"bonus": "rnd"},
    "ensemble-disagreement": {"bonus": "ensemble-disagreement"},
}
ALONE = {
    "only-maml": {},
    "only-latent": LATENT,
    "only-action-units": UNIT,
    "only-learned-rates": RATES,
    "only-bonus": NOVELTY,
}


@dataclass(frozen=True)
class Ablation:
    """Train and test all variants."""

    output_folder: Path
    """Where the runs go: WIDE-RING/VARIANT/seed-N."""
    seeds: str = "0-2"
    """Seeds: numbers and ranges."""
    num_batches: int = 75
    """Meta-iterations."""
    variants: str = ",".join([*REMOVED, *ALONE])
    """Names of variants, with commas."""


def configuration(variant: str, num_batches: int) -> Configuration:
    """The configuration of a variant."""
    if variant in REMOVED:
        return mime.load_experiment(SOLVED, **REMOVED[variant], num_batches=num_batches)
    return mime.load_experiment(PUBLISHED, **CHEAP | ALONE[variant], num_batches=num_batches)


def main() -> None:
    """Run the command line."""
    command = tyro.cli(Ablation)
    prepare_jax()
    for seed in parse_seeds(command.seeds):
        for variant in command.variants.split(","):
            folder = command.output_folder / NAME / variant / f"seed-{seed}"
            if (folder / "test_result.csv").exists():
                continue
            outcome = mime.train(configuration(variant, command.num_batches), folder, seed=seed, overwrite=True)
            if outcome.interrupted:
                return
            rows = mime.evaluate(folder)
            solved = sum(float(row["Valid/TrajectorySuccess"]) for row in rows) / len(rows)
            print(f"{variant}  seed {seed}  {solved:.0%} of the trajectories after adaptation", flush=True)


if __name__ == "__main__":
    main()
