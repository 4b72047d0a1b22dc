"""Our environments under Gymnasium's ids, `mime/NAME`; `import mime` registers them. Imports no JAX."""

import gymnasium

from mime.envs.registration import ENVIRONMENTS


def register() -> None:
    """Make `gymnasium.make` and `gymnasium.make_vec` know our environments."""
    for spec in ENVIRONMENTS.values():
        if spec.gymnasium_id is None:
            continue
        if spec.hosted is not None:
            gymnasium.register(spec.gymnasium_id, entry_point=spec.hosted, max_episode_steps=spec.horizon)
            continue
        gymnasium.register(
            spec.gymnasium_id,
            entry_point="mime.gym.single_task:SingleTask",
            vector_entry_point="mime.gym.single_task:SingleTaskVector",
            max_episode_steps=spec.horizon,
            kwargs={"env_name": spec.name},
        )
