"""Agents of other kinds learn on our environments through Gymnasium; MAML in one file is the library's MAML."""

import runpy

import jax
import numpy as np
import pytest
import safetensors.numpy

import mime
from tests.conftest import ROOT

MAML_KEYS = {
    "gamma": "DISCOUNT",
    "gae_lambda": "GAE_LAMBDA",
    "hidden_sizes": "HIDDEN_SIZES",
    "fast_lr": "INNER_RATE",
    "max_kl": "MAX_KL",
    "cg_iters": "CG_ITERATIONS",
    "cg_damping": "CG_DAMPING",
    "ls_max_steps": "LINE_SEARCH_STEPS",
    "ls_backtrack_ratio": "BACKTRACK_RATIO",
}
"""The library's keys, and what the example calls them."""


def example(name):
    """What an example defines."""
    return runpy.run_path(str(ROOT / "examples" / name))


def test_a_plain_policy_gradient_finds_its_way():
    train = example("policy_gradient.py")["train"]
    returns = train(num_updates=40)
    assert returns[0] < -8
    assert np.mean(returns[-5:]) > -5


def test_maml_in_one_file_computes_what_the_library_computes(tmp_path):
    """Parameters and returns of three iterations from the same seed, in float64.

    Conjugate gradient on a nearly singular matrix makes rounding errors a million times larger and more: 1e-10 in these
    parameters, up to 5e-6 with other seeds. In float32 they come to 5e-4 to 5e-2 of the parameters, and prove nothing.
    """
    maml = example("maml.py")
    keys = {key: maml[name] for key, name in MAML_KEYS.items()} | {"meta_batch_size": 4, "fast_batch_size": 5}
    experiment = mime.load_experiment(ROOT / "configs" / "2d-navigation-dense.yaml", num_batches=3, **keys)
    rows = []
    with jax.enable_x64(True):
        mime.train(experiment, tmp_path / "run", seed=1, report=rows.append)
        parameters, returns = maml["train"](seed=1, num_iterations=3, num_tasks=4, num_trajectories=5)

    assert rows[-1]["TotalEnvSteps"] < 3 * 2 * 4 * 5 * 100, "no episode ended early, as some should"
    expected = [[row["Train-0/Returns"], row["Valid/Returns"]] for row in rows]
    np.testing.assert_allclose(returns, expected, rtol=1e-8)
    arrays = {"sigma": parameters["log_std"]}
    for name, (weights, biases) in zip(["layer1", "layer2", "mu"], parameters["layers"]):
        arrays |= {f"{name}.weight": weights, f"{name}.bias": biases}
    library = safetensors.numpy.load_file(tmp_path / "run" / "policy.safetensors")
    assert arrays.keys() == library.keys()
    for name, array in arrays.items():
        assert library[name].dtype == np.float64
        np.testing.assert_allclose(array, library[name], rtol=0, atol=1e-7, err_msg=name)


@pytest.mark.learning
def test_maml_in_one_file_learns_to_adapt():
    _, returns = example("maml.py")["train"](num_iterations=10, num_tasks=10, num_trajectories=10)
    before, after = np.mean(returns[-3:], axis=0)
    assert returns[0][1] < -40
    assert after > -30
    assert after > before + 10
