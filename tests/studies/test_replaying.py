"""Replays of trained runs: the page of a run's own episodes."""

import json
import re

import pytest

from mime.cli import command
from tests import small_runs


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folders = [tmp_path_factory.mktemp("replay") / name for name in ("one", "two")]
    for seed, folder in enumerate(folders):
        small_runs.run(folder, seed=seed, num_batches=1, pre_epochs=0)
    return folders


def replay(*arguments):
    return command("replay")([str(argument) for argument in arguments])


def test_runs_are_shown_side_by_side(trained, tmp_path):
    pages = [tmp_path / name for name in ("a.html", "b.html")]
    for path in pages:
        assert replay(*trained, "--output", path, "--steps", "0", "2", "--trajectories", "1") == 0
    assert pages[0].read_bytes() == pages[1].read_bytes()
    (text,) = re.findall(r'type="application/json">(.*?)</script>', pages[0].read_text())
    data = json.loads(text)
    assert data["steps"] == [0, 2]
    assert [run["name"] for run in data["runs"]] == ["MAML, seed 0", "MAML, seed 1"]
    assert [len(run["stages"][1]["paths"]) for run in data["runs"]] == [8, 8]
    assert data["runs"][0]["stages"][0]["paths"] != data["runs"][0]["stages"][1]["paths"]


def test_mistakes_are_told(trained, tmp_path, capsys):
    assert replay() == 2
    assert replay(tmp_path) == 2
    assert "is not a run folder" in capsys.readouterr().err
    assert replay(trained[0], "--steps", "-1") == 2
    assert "--steps: -1 should be 0 or more" in capsys.readouterr().err
    config = trained[1] / "config.json"
    config.write_text(config.read_text().replace("2DNavigation-v0", "MetaPendulum-v0"))
    assert replay(*trained, "--output", tmp_path / "page.html") == 2
    assert "replay them one by one" in capsys.readouterr().err
    assert not (tmp_path / "page.html").exists()
