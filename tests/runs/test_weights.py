"""Weights, what is refused in their place, and weights for other libraries, which compute what ours do."""

import os
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

from mime.errors import UserError
from mime.runs import weights
from mime.runs.folder import RunFolder
from mime.runs.setup import set_up
from tests.small_runs import small

OBSERVATIONS = np.random.default_rng(0).normal(size=(5, 2)).astype(np.float32)
TENSORS = {"layer1.weight": jnp.arange(6.0).reshape(2, 3), "eta": jnp.asarray(0.5)}


class Evil:
    """Makes a folder when unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_round_trip(tmp_path):
    path = tmp_path / "weights.safetensors"
    weights.save(path, TENSORS)
    loaded = weights.load(path, TENSORS)
    assert loaded.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        np.testing.assert_array_equal(loaded[name], tensor)
        assert loaded[name].shape == tensor.shape


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"weights\.safetensors: no such file"):
        weights.load(tmp_path / "weights.safetensors", TENSORS)


@pytest.mark.parametrize("damage", ["empty", "truncated", "flipped header", "text"])
def test_a_damaged_file_is_refused(tmp_path, damage):
    path = tmp_path / "weights.safetensors"
    weights.save(path, TENSORS)
    content = bytearray(path.read_bytes())
    content[3] ^= 0xFF
    replacement = {
        "empty": b"",
        "truncated": path.read_bytes()[:-5],
        "flipped header": bytes(content),
        "text": b"hello" * 9,
    }
    path.write_bytes(replacement[damage])
    with pytest.raises(UserError, match="not an intact safetensors file"):
        weights.load(path, TENSORS)


def test_a_pickle_is_not_opened(tmp_path):
    path = tmp_path / "weights.safetensors"
    path.write_bytes(pickle.dumps(Evil(str(tmp_path / "owned"))))
    with pytest.raises(UserError, match="not an intact safetensors file"):
        weights.load(path, TENSORS)
    assert not (tmp_path / "owned").exists()


def test_other_shapes_are_named(tmp_path):
    path = tmp_path / "weights.safetensors"
    weights.save(path, TENSORS | {"layer1.weight": jnp.zeros((4, 3))})
    with pytest.raises(UserError, match=r"layer1\.weight is \(4, 3\), expected \(2, 3\)"):
        weights.load(path, TENSORS)


def test_numbers_that_are_not_finite_are_refused(tmp_path):
    path = tmp_path / "weights.safetensors"
    weights.save(path, TENSORS | {"eta": jnp.asarray(jnp.nan)})
    with pytest.raises(UserError, match="eta holds numbers that are not finite"):
        weights.load(path, TENSORS)


def test_the_format_is_what_others_read(tmp_path):
    path = tmp_path / "weights.safetensors"
    weights.save(path, TENSORS)
    assert safetensors.numpy.load_file(path)["layer1.weight"].shape == (2, 3)


def untrained(path, **keys):
    """A run folder with the initial weights, and the policy they are of."""
    experiment = small(**keys)
    folder = RunFolder(path)
    folder.path.mkdir(exist_ok=True, parents=True)
    folder.write_config(experiment, 0)
    setup = set_up(experiment, 0)
    for name, tensors in setup.learner.tensors(setup.state).items():
        weights.save(folder.weights(name), tensors)
    return folder, setup.state.policy


def test_torch_state_dicts(tmp_path):
    torch = pytest.importorskip("torch")
    folder, policy = untrained(tmp_path, use_vime=True, hidden_sizes=(8, 6))
    assert [path.name for path in weights.export(folder, "torch")] == ["policy.th", "dynamics.th"]
    state = torch.load(tmp_path / "policy.th", weights_only=True)
    layers = torch.nn.Sequential(
        torch.nn.Linear(2, 8), torch.nn.Tanh(), torch.nn.Linear(8, 6), torch.nn.Tanh(), torch.nn.Linear(6, 2)
    )
    names = {"0": "layer1", "2": "layer2", "4": "mu"}
    layers.load_state_dict(
        {f"{place}.{part}": state[f"{name}.{part}"] for place, name in names.items() for part in ("weight", "bias")}
    )
    expected = jax.vmap(policy)(OBSERVATIONS)
    np.testing.assert_allclose(layers(torch.from_numpy(OBSERVATIONS)).detach(), expected.mean, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(state["sigma"], policy.sigma)
    dynamics = torch.load(tmp_path / "dynamics.th", weights_only=True)
    for name, array in weights.read(folder.weights("dynamics")).items():
        np.testing.assert_array_equal(dynamics[name], array)


@pytest.mark.parametrize(
    ("keys", "head"),
    [({"nonlinearity": "elu"}, "mean"), ({"env_name": "Bandit-K5-v0", "hidden_sizes": (4,) * 10}, "logits")],
)
def test_onnx_network(tmp_path, keys, head):
    reference = pytest.importorskip("onnx.reference")
    folder, policy = untrained(tmp_path, **keys)
    (path,) = weights.export(folder, "onnx")
    observations = OBSERVATIONS[:, :1] if head == "logits" else OBSERVATIONS
    outputs = reference.ReferenceEvaluator(str(path)).run(None, {"observation": observations})
    distribution = jax.vmap(policy)(observations)
    np.testing.assert_allclose(outputs[0], getattr(distribution, head), rtol=1e-5, atol=1e-6)
    if head == "mean":
        np.testing.assert_array_equal(outputs[1], distribution.log_std[0])


def test_what_is_missing_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    folder = RunFolder(tmp_path)
    with pytest.raises(UserError, match="is not a run folder"):
        weights.export(folder, "torch")
    folder.write_config(small(), 0)
    with pytest.raises(UserError, match=r"needs PyTorch: pip install 'mime-rl\[torch\]'"):
        weights.export(folder, "torch")
