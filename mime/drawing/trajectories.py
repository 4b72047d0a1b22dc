"""Pictures of trajectories before and after adaptation, side by side."""

from typing import Any

from matplotlib.figure import Figure

from mime.envs.environment import Environment
from mime.envs.scenes import INK, Trajectories, empty_figure, panel, settle


def before_and_after(
    environment: Environment, tasks: Any, before: Trajectories, after: Trajectories, title: str
) -> Figure:
    """Episodes before and after adaptation to the same tasks, side by side.

    Args:
        environment: Where they took place.
        tasks: The tasks, with a leading `tasks` axis.
        before: Trajectories of the policy before adaptation.
        after: Those of the adapted policies.
        title: Above both panels.
    """
    figure = empty_figure(width=900, height=500)
    figure.suptitle(title, fontsize=12, color=INK)
    left, right = figure.subplots(1, 2, sharex=True, sharey=True)
    panel(environment, left, tasks, before, "before adaptation")
    panel(environment, right, tasks, after, "after adaptation")
    right.label_outer()
    settle(figure)
    return figure
