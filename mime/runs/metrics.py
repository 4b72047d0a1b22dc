"""What is recorded of a meta-iteration or a test's batch: the columns, their order, and what they say in words."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mime.configuration.keys import Configuration
from mime.envs.external.hosted_environment import HostedEnvironment
from mime.numerics.formatting import number, share
from mime.numerics.trpo import OuterStep
from mime.sampling.episodes import FIRST_STAGE, INNER_STAGE, LAST_STAGE, Episodes, named_stages

Row = Mapping[str, float | int]
COLUMN_ORDER = (INNER_STAGE, LAST_STAGE, "Dynamics", "Eta", "KL", "SurrogateImprovement", "LineSearchSteps")
COUNTERS = ("TotalEnvSteps", "Iteration", "Batch")
OUTER_STEP = "OuterStep"
OUTER_STEPS = {int(step): step.name.lower().replace("_", " ") for step in OuterStep}
"""What CSV files say in place of the outer step's code."""
REFUSALS = {
    OuterStep.NO_IMPROVEMENT: "no step improved the surrogate",
    OuterStep.OUTSIDE_TRUST_REGION: "every step left the trust region",
    OuterStep.NOT_FINITE: "gradient, surrogate or KL was not finite",
}


def ordered(metrics: Row) -> dict[str, float | int]:
    """The metrics in the order of the columns: training, validation, dynamics, weight, outer step, the rest; in each
    stage returns and success first."""

    def rank(name: str) -> tuple[int, int, bool]:
        matches = [place for place, prefix in enumerate(COLUMN_ORDER) if name.startswith(prefix)]
        step = name.removeprefix(INNER_STAGE).split("/")[0]
        secondary = not name.endswith(("/Returns", "Success"))
        return matches[0] if matches else len(COLUMN_ORDER), int(step) if step.isdigit() else 0, secondary

    return {name: metrics[name] for name in sorted(metrics, key=rank)}


def class_metrics(environment: Any, classes: Sequence[str], tasks: Any, stages: Sequence[Episodes]) -> Row:
    """Returns and success before each inner step and after the last, by class: `Valid/door-close-v3/Success`, ...

    Args:
        environment: Where the trial took place.
        classes: Names of the classes to report on, whether or not the batch has tasks of each.
        tasks: Its tasks, with a leading `tasks` axis.
        stages: Episodes before each inner step, and after the last one.

    Returns:
        Means over each class's tasks, NaN for a class without, and the share of trajectories whose last step was a
        success. Nothing for environments written in JAX.
    """
    if not isinstance(environment, HostedEnvironment):
        return {}
    metrics = {}
    for stage, episodes in named_stages(stages).items():
        outcomes = task_outcomes(episodes)
        metrics[f"{stage}/LastStepSuccess"] = float(np.mean(outcomes["LastStepSuccess"]))
        for kind in classes:
            members = [environment.class_of(task) == kind for task in tasks]
            for name, values in outcomes.items():
                metrics[f"{stage}/{kind}/{name}"] = float(np.mean(values[members])) if any(members) else float("nan")
    return metrics


def task_outcomes(episodes: Episodes) -> dict[str, np.ndarray]:
    """Each task's mean return, and its success: of any trajectory, by share of trajectories, and at their last step."""
    solved, valid = np.asarray(episodes.solved()), np.asarray(episodes.valid)
    last = np.maximum(valid.sum(axis=-1, keepdims=True) - 1, 0)
    at_last = np.take_along_axis(np.asarray(episodes.success), last, axis=-1)[..., 0]
    return {
        "Returns": np.asarray(episodes.returns()).mean(axis=1),
        "Success": solved.any(axis=1).astype(float),
        "TrajectorySuccess": solved.mean(axis=1),
        "LastStepSuccess": at_last.mean(axis=1),
    }


def without_success(metrics: Row, environment: Any) -> Row:
    """The metrics, whose success is NaN if the environment has none: no share of nothing is 0."""
    if environment.reports_success:
        return metrics
    return {name: float("nan") if name.endswith("Success") else value for name, value in metrics.items()}


def log_line(row: Row, experiment: Configuration, seconds: float) -> str:
    """A meta-iteration in a line of the log."""
    return (
        f"iteration {row['Iteration']}/{experiment.iterations}  steps {row['TotalEnvSteps']}  {before_and_after(row)}"
        + "".join(f"  {name.lower()} {row[name]:.4f}" for name in ("KL", "Eta") if name in row)
        + f"  {seconds:.2f} s"
    )


def before_and_after(row: Row) -> str:
    """Return and success before adaptation and after it, for a line of the log."""
    return (
        f"return {number(row[f'{FIRST_STAGE}/Returns'])} -> {number(row[f'{LAST_STAGE}/Returns'])}"
        f"  success {share(row[f'{FIRST_STAGE}/Success'])} -> {share(row[f'{LAST_STAGE}/Success'])}"
    )


def warnings_of(row: Row) -> list[str]:
    """What went wrong in a meta-iteration."""
    warnings = []
    if row["NonFinite"]:
        warnings.append(f"{row['NonFinite']} steps had rewards or observations that are not finite")
    if row.get(OUTER_STEP, OuterStep.ACCEPTED) != OuterStep.ACCEPTED:
        warnings.append(f"the policy was not changed: {REFUSALS[OuterStep(int(row[OUTER_STEP]))]}")
    if row.get("Dynamics/Refused"):
        warnings.append("the dynamics model was not changed: its update was not finite")
    if row.get("RefusedUpdates"):
        warnings.append(f"{row['RefusedUpdates']} updates were left out: they were not finite")
    return warnings
