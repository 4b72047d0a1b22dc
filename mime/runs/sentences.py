"""Meta-iterations in words, for the log."""

from mime.configuration.keys import Configuration
from mime.meta.trpo import OuterStep
from mime.runs.metrics import Row

REFUSALS = {
    OuterStep.NO_IMPROVEMENT: "no step improved the surrogate",
    OuterStep.OUTSIDE_TRUST_REGION: "every step left the trust region",
    OuterStep.NOT_FINITE: "gradient, surrogate or KL was not finite",
}


def sentence(row: Row, experiment: Configuration, seconds: float) -> str:
    """A meta-iteration in a line of the log."""
    return (
        f"iteration {row['Iteration']}/{experiment.iterations}  steps {row['TotalEnvSteps']}"
        f"  return {row['Train-0/Returns']:.3f} -> {row['Valid/Returns']:.3f}"
        f"  success {row['Train-0/Success']:.2f} -> {row['Valid/Success']:.2f}"
        + "".join(f"  {name.lower()} {row[name]:.4f}" for name in ("KL", "Eta") if name in row)
        + f"  {seconds:.2f} s"
    )


def troubles(row: Row) -> list[str]:
    """What went wrong in a meta-iteration, in words."""
    messages = []
    if row["NonFinite"]:
        messages.append(f"{row['NonFinite']} steps had rewards or observations that are not finite")
    if "OuterStep" in row and row["OuterStep"] != OuterStep.ACCEPTED:
        messages.append(f"the policy was not changed: {REFUSALS[OuterStep(int(row['OuterStep']))]}")
    if row.get("Dynamics/Refused"):
        messages.append("the dynamics model was not changed: its update was not finite")
    if row.get("RefusedUpdates"):
        messages.append(f"{row['RefusedUpdates']} updates were left out: they were not finite")
    return messages
