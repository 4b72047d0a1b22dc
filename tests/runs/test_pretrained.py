"""The trained runs that come with the package do what is published of them."""

import csv
import json
import shutil
from pathlib import Path

import jax.numpy as jnp
import pytest

import mime
from mime.configuration import packaged
from mime.errors import UserError
from mime.runs import pretrained
from mime.runs.pretrained import pack, run_folder
from tests.conftest import ROOT
from tests.small_runs import run

RESULTS = {path.name.rpartition("-navigation-")[2]: path for path in (ROOT / "results" / "solved").iterdir()}
"""By the end of their names, after `2d-navigation-`."""


def published(name, metric):
    """Of the seed that comes with the package, in the first batch of its test."""
    path = next(
        path
        for end, path in RESULTS.items()
        if name in (end, end.removesuffix("-sparse"), end.removesuffix("-navigation"))
    )
    seed = json.loads((packaged.data("pretrained") / name / "config.json").read_bytes())["seed"]
    with open(path / "solved" / str(seed) / "test_result.csv", newline="") as file:
        return float(next(csv.DictReader(file))[metric])


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.learning] * (name != "wide-ring")) for name in pretrained.names()]
)
def test_each_adapts_as_published(name, tmp_path):
    shutil.copytree(packaged.data("pretrained") / name, tmp_path / name)
    (row,) = mime.evaluate(tmp_path / name, num_batches=1)
    for metric in ("Success", "TrajectorySuccess"):
        assert row[f"Valid/{metric}"] >= published(name, f"Valid/{metric}") - 0.1


def test_a_policy_says_what_it_takes():
    policy = mime.load_pretrained("wide-ring").policy
    with pytest.raises(ValueError, match=r"takes an observation of 3 numbers, but got one of shape \(2,\)"):
        policy(jnp.zeros(2))
    assert policy(jnp.zeros(3)).mean.shape == (2,)


def test_commands_take_a_folder_or_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run_folder(Path("wide-ring")).path == packaged.data("pretrained") / "wide-ring"
    assert run_folder(Path("wide-ring")).figures == Path("figures/wide-ring")
    with pytest.raises(UserError, match=r"neither a run folder nor a trained run .*did you mean wide-ring"):
        run_folder(Path("wide-rign"))
    (tmp_path / "wide-ring").mkdir()
    assert run_folder(Path("wide-ring")).path == Path("wide-ring")


def test_an_unknown_name_is_refused_with_those_there_are():
    with pytest.raises(UserError, match="wide-rign: is not a trained run that comes with the package; did you mean"):
        mime.load_pretrained("wide-rign")


def test_what_is_packed_says_nothing_of_where_it_was_made(tmp_path):
    run(tmp_path / "run", num_batches=1, pre_epochs=0)
    pack(pretrained.RunFolder(tmp_path / "run"), tmp_path / "packed")
    assert str(tmp_path) not in (tmp_path / "packed" / "config.json").read_text()
    before, after = (mime.load_run(tmp_path / name) for name in ("run", "packed"))
    for name, array in before.policy.named_parameters().items():
        assert (array == after.policy.named_parameters()[name]).all()


def test_each_has_only_what_is_needed():
    for name in pretrained.names():
        files = {path.name for path in (packaged.data("pretrained") / name).iterdir()}
        assert files <= {"config.json", "policy.safetensors", "fast_lr.safetensors", "dynamics.safetensors"}
        assert "history" not in (packaged.data("pretrained") / name / "config.json").read_text()
