"""What episodes come to, and the names of the stages of adaptation."""

import jax.numpy as jnp
import numpy as np

from mime.sampling.episodes import FIRST_STAGE, LAST_STAGE, Episodes, named_stages, recorded_stages, stage_names


def test_returns_and_success_ignore_invalid_steps():
    valid = jnp.array([[True, True, False], [True, True, True]])
    episodes = Episodes(
        observations=jnp.zeros((2, 3, 1)),
        actions=jnp.zeros((2, 3, 1)),
        rewards=jnp.array([[1.0, 2.0, jnp.nan], [1.0, 2.0, 4.0]]),
        next_observations=jnp.zeros((2, 3, 1)),
        success=jnp.array([[False, False, True], [False, True, False]]),
        valid=valid,
    )
    np.testing.assert_array_equal(episodes.returns(), [3, 7])
    np.testing.assert_array_equal(episodes.solved(), [False, True])


def test_stages_are_named_by_the_steps_before_them():
    assert stage_names(2) == ["Train-0", "Train-1", "Valid"]
    assert stage_names(0) == [LAST_STAGE]
    assert stage_names(1) == [FIRST_STAGE, LAST_STAGE]
    assert named_stages("abc") == {"Train-0": "a", "Train-1": "b", "Valid": "c"}


def test_stages_of_a_table_are_those_of_the_metric():
    columns = ["Batch", "Train-0/Returns", "Train-1/Returns", "Valid/Returns", "Train-0/Success", "Valid/Success"]
    assert recorded_stages(columns, "Returns") == ["Train-0", "Train-1", "Valid"]
    assert recorded_stages(columns, "Success") == ["Train-0", "Valid"]
