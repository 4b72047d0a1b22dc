"""Weights, and what is refused in their place."""

import os
import pickle

import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

from mime.errors import UserError
from mime.runs import weights

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
