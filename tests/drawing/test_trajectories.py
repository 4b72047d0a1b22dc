"""Pictures before and after adaptation: both panels are there, with what came of each."""

import sys

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from mime.drawing.trajectories import before_and_after
from mime.envs.scenes import caption
from mime.runs.rendering import trajectories
from tests.envs.rollouts import ENVIRONMENTS, play


@pytest.fixture(params=ENVIRONMENTS, scope="module")
def scene(request):
    environment, tasks = ENVIRONMENTS[request.param]
    return environment, tasks, trajectories(play(environment, tasks))


def test_before_and_after_are_side_by_side_with_their_captions(scene):
    environment, tasks, episodes = scene
    better = trajectories(play(environment, tasks, scale=0.1))
    figure = before_and_after(environment, tasks, episodes, better, "A title")
    assert isinstance(figure.canvas, FigureCanvasAgg)
    figure.canvas.draw()
    left, right = figure.axes
    assert left.get_position().x1 < right.get_position().x0
    assert "A title" in figure.get_suptitle()
    for panel, name, shown in ((left, "before", episodes), (right, "after", better)):
        assert name in panel.get_title()
        assert caption(shown) in panel.get_title()
    inside = [panel.get_tightbbox().transformed(figure.transFigure.inverted()) for panel in figure.axes]
    assert all(box.x0 >= 0 and box.y0 >= 0 and box.x1 <= 1 and box.y1 <= 1 for box in inside)


def test_pictures_need_no_pyplot(scene, monkeypatch):
    environment, tasks, episodes = scene
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    before_and_after(environment, tasks, episodes, episodes, "")
