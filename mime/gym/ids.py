"""Our environments under Gymnasium's ids, `mime/NAME`; `import mime` registers them. Imports no JAX."""

import gymnasium

from mime.envs.external.hosting import LOCOMOTION, LOCOMOTION_ARGUMENTS

NAMESPACE = "mime"
# Steps of an episode of the environments written in JAX, known here before any of them is imported.
HORIZONS = {
    "2DNavigation-v0": 100,
    "2DNavigationSparse-v0": 100,
    "2DNavigationSparseLong-v0": 300,
    "DogNavigation2D-v0": 1000,
    "MetaPendulum-v0": 50,
    "Bandit-K5-v0": 100,
    "Bandit-K10-v0": 100,
    "Bandit-K50-v0": 100,
    "TabularMDP-v0": 10,
}


def register() -> None:
    """Make `gymnasium.make` and `gymnasium.make_vec` know our environments."""
    for name, horizon in HORIZONS.items():
        gymnasium.register(
            f"{NAMESPACE}/{name}",
            entry_point="mime.gym.single_task:SingleTask",
            vector_entry_point="mime.gym.single_task:SingleTaskVector",
            max_episode_steps=horizon,
            kwargs={"env_name": name},
        )
    for name, entry_point in LOCOMOTION.items():
        steps = LOCOMOTION_ARGUMENTS["max_episode_steps"]
        gymnasium.register(f"{NAMESPACE}/{name}", entry_point=entry_point, max_episode_steps=int(steps))
