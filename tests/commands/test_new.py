"""`mime new` and `mime check`: what is written works, and can be trained with, tested and resumed."""

import importlib
import sys

import pytest

import mime
from mime.cli import command
from mime.commands.new import names
from tests import small_runs


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return tmp_path


def run(name, *arguments):
    return command(name)(arguments)


def passing_tests(module):
    """Calls the tests of a module; gives how many there are."""
    tests = [value for name, value in vars(importlib.import_module(module)).items() if name.startswith("test_")]
    for test in tests:
        test()
    return len(tests)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("CartOnRail", ("cart_on_rail", "CartOnRail")),
        ("cart-on-rail", ("cart_on_rail", "CartOnRail")),
        ("cart_on_rail2", ("cart_on_rail_2", "CartOnRail2")),
        ("RNDBonus", ("rnd_bonus", "RNDBonus")),
    ],
)
def test_names(name, expected):
    assert names(name) == expected


@pytest.mark.parametrize("name", ["", "2fast", "a b", "../up", "class", "naïve"])
def test_impossible_names_are_refused(name, here):
    assert run("new", "environment", name) == 2
    assert list(here.iterdir()) == []


def test_an_environment_is_written_checked_trained_tested_and_resumed(here, capsys):
    assert run("new", "environment", "RailOne") == 0
    capsys.readouterr()
    assert run("check", "rail_one:RailOne") == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed != []
    assert [line for line in printed if not line.startswith("right  ")] == []
    assert passing_tests("test_rail_one") == 3
    assert run("new", "environment", "rail-one") == 2
    assert "exists already" in capsys.readouterr().err

    keys = {"env_name": "rail_one:RailOne", "env_kwargs": {"radius": 0.7}}
    small_runs.run(here / "run", num_batches=1, pre_epochs=0, **keys)
    assert mime.evaluate(here / "run", num_batches=1, num_steps=1)
    assert mime.train(small_runs.small(num_batches=2, pre_epochs=0, **keys), here / "run", resume=True).iteration == 2


def test_a_bonus_is_written_checked_and_trained_with(here, capsys):
    assert run("new", "bonus", "FarAway") == 0
    assert run("check", "far_away:FarAway") == 0
    assert "wrong" not in capsys.readouterr().out
    assert passing_tests("test_far_away") == 2
    keys = {"use_vime": True, "bonus": "far_away:FarAway", "num_batches": 1, "pre_epochs": 0}
    result = small_runs.run(here / "run", **keys)
    assert "FarAway/Distance" in result.row
    assert "Train-0/IntrinsicReturns" in mime.evaluate(here / "run", num_batches=1, num_steps=1)[0]


def test_what_is_wrong_is_told(here, capsys):
    (here / "odd_bonus.py").write_text(
        "import mime\nimport jax.numpy as jnp\n\n\nclass Odd(mime.Bonus):\n"
        "    def rewards(self, state, episodes, *, key):\n        return jnp.zeros(3)\n"
    )
    assert run("check", "odd_bonus:Odd") == 1
    assert "rewards must return floats [4, 100], one a step; it returns float32[3]" in capsys.readouterr().out
    assert run("check", "odd_bonus:Even") == 2
    assert run("check", "nowhere_here:Env") == 2
    assert run("check", "2DNavigation-v0", "--env-kwargs", "{low: 1}") == 2
    with pytest.raises(mime.UserError, match=r"bonus: 'odd_bonus:Even' does not exist"):
        mime.train(small_runs.small(use_vime=True, bonus="odd_bonus:Even"), here / "run")
    assert not (here / "run").exists()


@pytest.mark.parametrize(
    ("name", "status", "words"),
    [
        ("tests.sampling.toy:Toy", 0, "the same task and seed give the same episode"),
        ("tests.sampling.toy:Taskless", 2, "has no reset_task()"),
    ],
)
def test_environments_outside_jax_are_checked(name, status, words, capsys):
    assert run("check", name, "--env-kwargs", "{max_episode_steps: 5}") == status
    output = capsys.readouterr()
    assert words in output.out + output.err
