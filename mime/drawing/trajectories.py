"""Pictures of trajectories side by side: before and after adaptation, or of several methods."""

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure

from mime.envs.environment import Environment
from mime.envs.scenes import INK, Trajectories, empty_figure, panel


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
    return side_by_side(environment, tasks, {"before adaptation": before, "after adaptation": after}, title)


def side_by_side(environment: Environment, tasks: Any, panels: Mapping[str, Trajectories], title: str) -> Figure:
    """Episodes in the same tasks, a panel for each of their titles.

    Args:
        environment: Where they took place.
        tasks: The tasks, with a leading `tasks` axis.
        panels: Trajectories by the title of their panel.
        title: Above all panels.
    """
    figure = empty_figure(width=450 * len(panels), height=500, heading=25)
    figure.suptitle(title, fontsize=12, color=INK, y=0.985)
    all_axes = figure.subplots(1, len(panels), sharex=True, sharey=True, squeeze=False)[0]
    for axes, (name, trajectories) in zip(all_axes, panels.items()):
        panel(environment, axes, tasks, trajectories, name)
        axes.label_outer()
    return figure
