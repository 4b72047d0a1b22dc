"""Meta-World's scripted policies, to act in our workers."""

import importlib

import numpy as np


class Scripted:
    """Meta-World's own policy for a class, which is told the goal that the observation hides."""

    def __init__(self, kind, goal=(0.0, 0.0, 0.0)):
        name = "".join(part.capitalize() for part in kind.removesuffix("-v3").split("-"))
        aliases = {"PegInsertSide": "PegInsertionSide"}
        module = importlib.import_module("metaworld.policies")
        self.policy = getattr(module, f"Sawyer{aliases.get(name, name)}V3Policy")()
        self.goal = goal

    def given(self, latent):
        return self

    def noise(self, generator, num_steps):
        return np.zeros((num_steps, 4), np.float32)

    def remember(self, action, reward):
        """It acts on observations alone."""

    def act(self, observation, noise):
        observation = np.concatenate([observation[:36], self.goal], dtype=np.float64)
        return np.float32(np.clip(self.policy.get_action(observation), -1, 1))
