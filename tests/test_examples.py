"""Agents of other kinds learn on our environments through Gymnasium, unchanged."""

import runpy

import numpy as np

from tests.conftest import ROOT


def test_a_plain_policy_gradient_finds_its_way():
    train = runpy.run_path(str(ROOT / "examples" / "policy_gradient.py"))["train"]
    returns = train(num_updates=40)
    assert returns[0] < -8
    assert np.mean(returns[-5:]) > -5
