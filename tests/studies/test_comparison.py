"""What the seeds of made-up runs come to, against numbers computed by hand; tables, figures and report hold them."""

import csv
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from mime.cli import compare
from mime.studies import figures
from mime.studies.comparison import Comparison, adaptation_curve, compared, held_out, learning_curve, trained
from mime.studies.records import read, read_all
from tests.studies.made_up import made_up


@pytest.fixture
def study(tmp_path):
    """Two experiments; on the second one, MIME has one seed, whose run is not finished."""
    folder = tmp_path / "study"
    for seed, shift in enumerate((0.0, 1.0)):
        made_up(folder / "ring" / "maml" / f"seed-{seed}", tested=(1, 2 + shift))
        made_up(folder / "ring" / "mime" / f"seed-{seed}", tested=(1, 4 + shift), method="MIME")
        made_up(folder / "house" / "maml" / f"seed-{seed}", tested=(1, 2 + shift))
    made_up(folder / "house" / "mime" / "seed-0", tested=(1, 2), method="MIME", planned=5)
    return folder


def test_scores_are_means_over_batches_and_last_iterations(tmp_path):
    returns = [0.0] * 5 + [2.0] * 5 + [4.0] * 5
    records = [read(made_up(tmp_path / "r" / "maml" / str(seed), returns=returns, tested=(1, 2))) for seed in (0, 1)]
    np.testing.assert_allclose(held_out(records, "Returns"), [2, 2])
    np.testing.assert_allclose(held_out(records, "Returns", "Train-0"), [1, 1])
    np.testing.assert_allclose(trained(records, "Returns"), [3, 3])
    assert held_out(records, "Coverage") is None


def test_a_learning_curve_takes_unfinished_runs_as_far_as_they_go(tmp_path):
    whole = made_up(tmp_path / "r" / "maml" / "0", returns=(1.0, 2.0, 3.0), steps=100)
    part = made_up(tmp_path / "r" / "maml" / "1", returns=(3.0, 6.0), steps=200, planned=3)
    curve = learning_curve([read(whole), read(part)], "Valid/Returns")
    # Where both have begun, to where the longer one ends; a seed has there what its last iteration gave.
    np.testing.assert_allclose(curve.x, [200, 300, 400])
    np.testing.assert_allclose(curve.estimate.value, [2.5, 3, 6])
    np.testing.assert_allclose(curve.estimate.low, [2, 3, np.nan])
    np.testing.assert_allclose(curve.estimate.high, [3, 3, np.nan])


def test_a_learning_curve_of_seeds_with_the_same_steps_is_that_of_the_iterations(tmp_path):
    lengths = enumerate([(1.0, 2.0, 3.0), (3.0, 6.0)])
    records = [read(made_up(tmp_path / "r" / "maml" / str(seed), returns=returns)) for seed, returns in lengths]
    curve = learning_curve(records, "Valid/Returns")
    np.testing.assert_allclose(curve.x, [100, 200, 300])
    np.testing.assert_allclose(curve.estimate.value, [2, 4, 3])


def test_a_learning_curve_never_runs_back(tmp_path):
    long = made_up(tmp_path / "r" / "maml" / "0", returns=[1.0] * 10, steps=1000)
    short = made_up(tmp_path / "r" / "maml" / "1", returns=[1.0] * 15, steps=100)
    assert (np.diff(learning_curve([read(long), read(short)], "Valid/Returns").x) > 0).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_seed_that_diverged_stays_and_is_named(tmp_path, value):
    for seed in range(5):
        end = value if seed == 3 else 4.0 + seed
        made_up(tmp_path / "r" / "maml" / f"seed-{seed}", returns=(1.0, end), tested=(1, 2 + seed))
    comparison = compared([tmp_path])
    assert comparison.remarks == [
        f"{tmp_path / 'r' / 'maml' / 'seed-3'}: diverged: Valid/Returns is not finite in 1 rows, first in that of"
        " Iteration 2; there it counts as lower than any number"
    ]
    curve = learning_curve(comparison.records, "Valid/Returns")
    # Of -inf, 4, 5, 6 and 8 a quarter is cut off at each end.
    assert curve.estimate.value[1] == 5
    assert curve.estimate.low[1] == -np.inf
    assert trained(comparison.records, "Returns").tolist() == [2.5, 3, 3.5, -np.inf, 4.5]
    drawn = {figure.name: figure for figure in figures.all_figures(comparison)}
    drawn["learning-return"].figure.draw_without_rendering()


def test_an_adaptation_curve_begins_before_the_first_step(tmp_path):
    records = [read(made_up(tmp_path / "r" / "maml" / str(seed), tested=(1, 2 + 2 * seed))) for seed in (0, 1)]
    curve = adaptation_curve(records, "Returns")
    np.testing.assert_allclose(curve.x, [0, 1])
    np.testing.assert_allclose(curve.estimate.value, [1, 3])
    np.testing.assert_allclose(curve.estimate.high, [1, 4])


@pytest.mark.parametrize("name", ["x", "without-learned-rates"])
def test_the_legend_fits_into_the_figure(tmp_path, name):
    for number in range(14):
        made_up(tmp_path / "ring" / f"{name}-{number}" / "0", tested=(1, 2))
    entries = {entry.name: entry for entry in figures.all_figures(Comparison(*read_all([tmp_path])))}
    figure = entries["learning-return"].figure
    figure.draw_without_rendering()
    (legend,) = figure.legends
    frame, place = figure.bbox, legend.get_window_extent()
    assert frame.x0 <= place.x0 < place.x1 <= frame.x1
    assert len(legend.get_texts()) == 14
    # What is left for the curves.
    assert figure.axes[0].get_window_extent().height > 0.3 * frame.height


def test_methods_are_laid_side_by_side(study):
    comparison = Comparison(*read_all([study]))
    assert (comparison.experiments, comparison.methods) == (["house", "ring"], ["maml", "mime"])
    assert comparison.shared() == (["house", "ring"], ["maml", "mime"])
    # MIME on the house: 0.2; on the ring: 0.4 and 0.5.
    assert comparison.overall()["mime"].value == pytest.approx((0.2 + 0.4 + 0.5) / 3)
    # House: a tie and a loss of two pairs. Ring: all four pairs won.
    assert comparison.improvements()["mime", "maml"].value == pytest.approx((0.25 + 1) / 2)


class Page(HTMLParser):
    """What an HTML file names, and what it would load."""

    def __init__(self, text):
        super().__init__()
        self.names, self.links, self.loads, self.open = set(), [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.names.add(values.get("id"))
        self.links += [values["href"]] if "href" in values else []
        self.loads += [values["src"]] if "src" in values else []
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_command_writes_tables_figures_and_a_report_that_needs_nothing_else(study, tmp_path, capsys):
    (study / "ring" / "maml" / "seed-1" / "test_result.csv").write_text("torn")
    out = tmp_path / "out"
    assert compare([str(study), "--output-folder", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "test_result.csv is damaged" in printed
    assert "unfinished: 2 of 5" in printed
    with open(out / "statistics.csv", newline="") as file:
        rows = {
            tuple(row[key] for key in ("experiment", "method", "tasks", "metric", "when")): row
            for row in csv.DictReader(file)
        }
    after = rows["ring", "mime", "held-out", "Returns", "after"]
    assert [float(after[key]) for key in ("seeds", "iqm", "low", "high")] == [2, 4.5, 4, 5]
    assert "| MIME | 2 | 1.50 [1.50, 1.50] | 1.00 [1.00, 1.00] | 4.50 [4.00, 5.00] |" in (out / "tables.md").read_text()
    assert (out / "runs.csv").read_text().count("\n") == 8
    names = {path.stem for path in out.glob("*.png")}
    assert {"learning-return", "adaptation-success", "overall-success", "probability-of-improvement"} <= names
    assert names == {path.stem for path in out.glob("*.svg")}
    text = (out / "report.html").read_text()
    page = Page(text)
    assert page.links
    assert all(link.startswith("#") and link[1:] in page.names for link in page.links)
    assert len(page.loads) == len(names)
    assert all(source.startswith("data:image/") for source in page.loads)
    assert not re.search(r"@import|url\(|<script|<link", text)
    assert "4.50 [4.00, 5.00]" in text
    assert "mime train --seed 0" in text


def test_the_same_runs_give_the_same_figures(study, tmp_path):
    comparison = Comparison(*read_all([study]))
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        figures.write(figures.all_figures(comparison)[:1], tmp_path / name)
    for ending in ("png", "svg"):
        (path,) = (tmp_path / "a").glob(f"*.{ending}")
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_mistakes_are_told_in_a_message(tmp_path, capsys):
    assert compare([str(tmp_path), "--output-folder", str(tmp_path / "out")]) == 2
    assert "no run there has a row" in capsys.readouterr().err
