"""Random Fourier features: their cosines, and the kernel that they approximate."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mime.exploration.fourier import FourierFeatures, cosines

RNG = np.random.default_rng(0)


def test_cosines_are_those_of_float64():
    turns = np.concatenate([RNG.uniform(-3, 3, 10_000), np.arange(-8, 9) / 4]).astype(np.float32)
    np.testing.assert_allclose(cosines(jnp.asarray(turns)), np.cos(2 * np.pi * turns.astype(float)), atol=2.5e-7)


def test_features_are_cosines_and_sines_of_projections_and_of_length_1():
    inputs = RNG.normal(size=(3, 50, 4)).astype(np.float32)
    features = FourierFeatures(4, 64, 0.5, key=jax.random.key(0))
    ours = np.asarray(features(jnp.asarray(inputs)))
    angles = inputs.astype(float) @ np.asarray(features.frequencies, float)
    expected = np.concatenate([np.cos(angles), np.sin(angles)], axis=-1) / np.sqrt(32)
    # Angles up to 40, in float32 exact to 2e-6, of which a feature is a sixth of the cosine.
    np.testing.assert_allclose(ours, expected, atol=1e-6)
    np.testing.assert_allclose(np.sum(ours**2, axis=-1), 1, atol=1e-6)


@pytest.mark.parametrize("length_scale", [0.5, 2.0])
def test_products_are_about_a_gaussian_kernel(length_scale):
    inputs = RNG.normal(size=(40, 2)).astype(np.float32)
    features = FourierFeatures(2, 20_000, length_scale, key=jax.random.key(0))(jnp.asarray(inputs))
    squares = np.sum((inputs[:, None] - inputs) ** 2, axis=-1)
    # A mean of 10,000 cosines: its standard deviation is below 0.0071.
    np.testing.assert_allclose(features @ features.T, np.exp(-squares / (2 * length_scale**2)), atol=0.035)
