"""Figures of curves and intervals, drawn from plain arrays."""

import matplotlib
import numpy as np
import pytest
from matplotlib.collections import LineCollection

from mime.drawing.curves import before_and_after, curves, save, shares, style

ONE, OTHER = style("One", 0), style("Other", 3)


def interval(value, half=None):
    value = np.asarray(value, float)
    return (value, value + np.nan, value + np.nan) if half is None else (value, value - half, value + half)


@pytest.fixture
def panels():
    places = np.array([0.0, 500.0, 2000.0])
    return {
        "left": {"a": (places, interval([1, 2, 3], 0.5)), "b": (places, interval([3, 2, 1]))},
        "right": {"b": (places[:2], interval([0, 1]))},
    }


def test_a_series_has_one_style_in_all_panels_and_a_place_in_the_legend(panels):
    figure = curves(panels, {"a": ONE, "b": OTHER}, "steps", "return", limits=(0.0, 4.0))
    left, right = figure.axes
    assert [axis.get_title() for axis in (left, right)] == ["left", "right"]
    drawn = [[(line.get_color(), line.get_linestyle()) for line in axis.lines] for axis in (left, right)]
    assert drawn == [[(ONE.colour, ONE.line), (OTHER.colour, OTHER.line)], [(OTHER.colour, OTHER.line)]]
    np.testing.assert_array_equal(left.lines[0].get_xydata(), [[0, 1], [500, 2], [2000, 3]])
    assert left.get_ylim() == right.get_ylim() == (0, 4)
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["One", "Other"]


def test_styles_of_eight_places_differ():
    assert len({style("x", place)[1:] for place in range(8)}) == 8
    assert style("x", 8) == style("x", 0)


def test_intervals_are_drawn_where_there_are_any():
    figure = shares([(interval(0.4, 0.1), ONE), (interval(0.7), OTHER)], "share", height=2.0, even=0.5)
    (axis,) = figure.axes
    assert [label.get_text() for label in axis.get_yticklabels()] == ["One", "Other"]
    (segments,) = [each for each in axis.collections if isinstance(each, LineCollection)]
    np.testing.assert_allclose(segments.get_segments(), [[[0.3, 0], [0.5, 0]]])
    assert figure.get_figheight() == 2


def test_hollow_is_before_and_filled_after():
    panels = {"panel": {"a": (interval(0.2, 0.1), interval(0.6, 0.1))}}
    figure = before_and_after(panels, {"a": ONE, "b": OTHER}, "share")
    (axis,) = figure.axes
    hollow, filled = axis.lines
    assert (hollow.get_markerfacecolor(), filled.get_markerfacecolor()) == ("white", ONE.colour)
    assert (hollow.get_xdata()[0], filled.get_xdata()[0]) == (0.2, 0.6)
    assert [label.get_text() for label in axis.get_yticklabels()] == ["One", "Other"]


def test_a_figure_gives_the_same_files_again(panels, tmp_path):
    for name in ("one", "again"):
        (tmp_path / name).mkdir()
        save(curves(panels, {"a": ONE, "b": OTHER}, "steps", "return"), tmp_path / name, "figure")
    for ending in ("png", "svg"):
        contents = [(tmp_path / name / f"figure.{ending}").read_bytes() for name in ("one", "again")]
        assert contents[0] == contents[1]
    assert matplotlib.rcParams["svg.hashsalt"] is None
