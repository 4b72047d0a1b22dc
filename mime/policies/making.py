"""The policy that fits an environment's spaces."""

from collections.abc import Sequence

import gymnasium
from jaxtyping import PRNGKeyArray

from mime.policies.draws import Independent, Together
from mime.policies.feedforward import MIN_STD, CategoricalPolicy, GaussianPolicy
from mime.policies.latent import LatentPolicy
from mime.policies.policy import Policy


def make_policy(
    observation_space: gymnasium.Space,
    action_space: gymnasium.Space,
    *,
    hidden_sizes: Sequence[int],
    nonlinearity: str,
    latent_size: int = 0,
    latents_together: bool = False,
    observation_scale: Sequence[float] | None = None,
    scale_actions: bool = False,
    initial_std: float = 1.0,
    min_std: float = MIN_STD,
    key: PRNGKeyArray,
) -> Policy:
    """The policy that fits an environment's spaces: categorical for discrete actions, else Gaussian.

    Args:
        observation_space: Of the environment.
        action_space: Of the environment.
        hidden_sizes: Width of each hidden layer.
        nonlinearity: A key of `mime.policies.layers.NONLINEARITIES`.
        latent_size: Numbers in the latent of a trajectory; 0 for a policy without one.
        latents_together: Draw the latents of a task's trajectories together, so that they do not clump.
        observation_scale: Factor of each number of an observation, before the first layer; None for 1.
        scale_actions: Let half the box of actions be the unit of the policy.
        initial_std: Standard deviation of continuous actions at first, in units.
        min_std: The least that it counts as.
        key: For the initial weights.

    Raises:
        ValueError: For spaces that are neither vectors nor, for actions, discrete; for actions to be scaled to a box
            without bounds.
    """
    if not isinstance(observation_space, gymnasium.spaces.Box) or len(observation_space.shape) != 1:
        raise ValueError(f"observations must be a vector (a Box of one axis), not {observation_space}")
    size = observation_space.shape[0] + latent_size
    input_scale = None if observation_scale is None else [*observation_scale, *[1.0] * latent_size]
    options = {"hidden_sizes": hidden_sizes, "nonlinearity": nonlinearity, "input_scale": input_scale, "key": key}
    if isinstance(action_space, gymnasium.spaces.Discrete):
        policy = CategoricalPolicy(size, int(action_space.n), **options)
    elif isinstance(action_space, gymnasium.spaces.Box) and len(action_space.shape) == 1:
        if scale_actions and not action_space.is_bounded():
            raise ValueError(f"scale-actions: true needs a bounded box of actions, not {action_space}")
        box = action_space if scale_actions else None
        policy = GaussianPolicy(
            size, action_space.shape[0], box=box, initial_std=initial_std, min_std=min_std, **options
        )
    else:
        raise ValueError(f"actions must be Discrete or a Box of one axis, not {action_space}")
    return (
        LatentPolicy(policy, latent_size, Together() if latents_together else Independent()) if latent_size else policy
    )
