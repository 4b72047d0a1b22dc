"""MIME: meta-reinforcement learning that explores, in JAX."""

from mime.envs import gymnasium_ids

__version__ = "0.1.0"

gymnasium_ids.register()
