"""MIME: meta-reinforcement learning that explores, in JAX."""

__version__ = "0.1.0"
