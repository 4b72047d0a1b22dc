"""Weights & Biases gets every meta-iteration, as docs/tracking.md shows, without a network."""

import csv

import pytest

import mime
from mime.runs.metrics import OUTER_STEPS
from tests.small_runs import small


def test_every_row_reaches_a_run_offline(tmp_path, monkeypatch):
    wandb = pytest.importorskip("wandb")
    monkeypatch.chdir(tmp_path)
    experiment = small(num_batches=1)
    with wandb.init(project="mime", mode="offline", dir=tmp_path, config=experiment.as_keys()) as run:
        mime.train(experiment, tmp_path / "run", report=wandb.log)
        assert run.step == experiment.iterations
        summary, config = dict(run.summary), dict(run.config)
    with open(tmp_path / "run" / "train_result.csv", newline="") as file:
        *_, last = csv.DictReader(file)
    assert last.pop("OuterStep") == OUTER_STEPS[summary["OuterStep"]]
    assert {name: pytest.approx(float(value), rel=1e-6) for name, value in last.items()} == {
        name: summary[name] for name in last
    }
    assert config["env-name"] == "2DNavigation-v0"
