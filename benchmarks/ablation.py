"""What each ingredient of `configs/solved` is worth on the wide ring: each alone, each removed, other bonuses.

    python -m benchmarks.ablation --output-folder runs/ablation
    mime compare runs/ablation --output-folder runs/ablation/report

The variants are `without-...` of the solving configuration, and `only-...` added to the published one. Each has
the same number of meta-iterations, of trajectories and of held-out tests. Finished runs are skipped.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import tyro

import mime
from mime.commands.terminal import prepare_jax
from mime.configuration.keys import Configuration, nearest
from mime.configuration.seeds import parse_seeds
from mime.runs.testing import curve
from mime.studies.methods import with_method
from mime.studies.plan import Length, is_finished

NAME = "2d-navigation-wide-ring-sparse"
SOLVED = Path("configs/solved") / f"{NAME}.yaml"
PUBLISHED = Path("configs/msc_project") / f"{NAME}.yaml"
TEST_BATCHES, TEST_STEPS = 3, 10

# What all variants have in common with the solving configuration.
CHEAP = {"first_order": True, "fisher_batch_size": 4, "max_kl": 0.02, "pre_epochs": 0}

REMOVED = {
    "solved": {},
    "one-inner-step": {"num_steps": 1},
    "without-latent": {"latent_size": 0, "latent_draws": "independent"},
    "independent-latents": {"latent_draws": "independent"},
    "latent-rate": {"latent_rate": 0.7},
    "without-noise-floor": {"min_std": 1e-6},
    "without-observed-reward": {"observe_reward": False},
    "without-observation-scale": {"observation_scale": 1.0},
    "without-action-units": {"scale_actions": False, "min_std": 0.03},
    "without-learned-rates": {"learn_fast_lr": False, "fast_lr": 0.05},
    "without-learned-eta": {"adapt_eta": False, "eta": 0.1},
    "mixed-as-in-the-paper": {"bonus_credit": "mixed", "eta_rule": "adam", "eta_objective": "advantages"},
    "leave-one-out": {"dyn_gain": "leave-one-out"},
    "of-transitions": {"dyn_inputs": "transition"},
    "of-a-network": {"dyn_model": "network", "dyn_prior_sd": 0.01},
    "state-entropy": {"bonus": "state-entropy"},
    "rnd": {"bonus": "rnd"},
    "ensemble-disagreement": {"bonus": "ensemble-disagreement"},
}
ALONE = {
    "only-maml": {},
    "only-latent": {"latent_size": 8},
    "only-action-units": {"scale_actions": True},
    "only-learned-rates": {"learn_fast_lr": True, "fast_lr": 0.001},
    "only-bonus": {"use_vime": True, "bonus": "state-entropy", "eta": 0.5},
}
WITHOUT_BONUS = "without-bonus"
VARIANTS = [*REMOVED, WITHOUT_BONUS, *ALONE]


@dataclass(frozen=True)
class Ablation:
    """Train and test all variants."""

    output_folder: Path
    """Where the runs go: WIDE-RING/VARIANT/seed-N."""
    seeds: str = "0-2"
    """Seeds: numbers and ranges."""
    num_batches: int = 75
    """Meta-iterations."""
    variants: str = ",".join(VARIANTS)
    """Names of variants, with commas."""


def configuration(variant: str, num_batches: int) -> Configuration:
    """The configuration of a variant."""
    if variant == WITHOUT_BONUS:
        return with_method(mime.load_experiment(SOLVED, num_batches=num_batches), "maml", source=str(SOLVED))
    if variant in REMOVED:
        return mime.load_experiment(SOLVED, **REMOVED[variant], num_batches=num_batches)
    return mime.load_experiment(PUBLISHED, **CHEAP | ALONE[variant], num_batches=num_batches)


def main() -> None:
    """Run the command line."""
    command = tyro.cli(Ablation)
    variants = [variant.strip() for variant in command.variants.split(",")]
    if unknown := [variant for variant in variants if variant not in VARIANTS]:
        sys.exit(f"--variants: {unknown[0]!r} is not a variant{nearest(unknown[0], VARIANTS)}")
    prepare_jax()
    for seed in parse_seeds(command.seeds):
        for variant in variants:
            folder = command.output_folder / NAME / variant / f"seed-{seed}"
            experiment = configuration(variant, command.num_batches)
            if is_finished(folder, experiment, seed, Length(experiment.iterations, TEST_BATCHES, TEST_STEPS)):
                continue
            if mime.train(experiment, folder, seed=seed, overwrite=True).interrupted:
                return
            rows = mime.evaluate(folder, num_batches=TEST_BATCHES, num_steps=TEST_STEPS)
            solved = curve(rows, "TrajectorySuccess")[-1]
            print(f"{variant}  seed {seed}  {solved:.0%} of the trajectories after adaptation", flush=True)


if __name__ == "__main__":
    main()
