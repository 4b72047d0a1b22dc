"""Checkpoints: complete, numbered, and damaged ones are passed over."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mime.errors import UserError
from mime.runs.checkpoints import KEPT, SET_ASIDE, Checkpoints


def state(value):
    return {"weights": jnp.full((40, 3), value), "count": jnp.asarray(value, int), "nested": (jnp.float32(value),)}


@pytest.fixture
def folder(tmp_path):
    tmp_path /= "checkpoints"
    checkpoints = Checkpoints(tmp_path)
    for iteration in range(5):
        checkpoints.save(iteration, state(iteration), {"env_steps": 10 * iteration})
    checkpoints.close()
    return tmp_path


def test_the_newest_is_restored_whole(folder):
    restored, record, damaged = Checkpoints(folder).restore(state(0))
    assert record["env_steps"] == 40
    assert damaged == []
    assert jax.tree.structure(restored) == jax.tree.structure(state(4))
    for ours, theirs in zip(jax.tree.leaves(restored), jax.tree.leaves(state(4))):
        np.testing.assert_array_equal(ours, theirs)
        assert ours.dtype == theirs.dtype


def test_the_last_three_are_kept(folder):
    kept = sorted(int(path.name) for path in folder.iterdir() if path.name.isdigit())
    assert kept == [2, 3, 4][-KEPT:]


def damage(folder, how):
    files = [path for path in folder.rglob("*") if path.is_file() and path.stat().st_size]
    if how == "removed":
        for path in files:
            path.unlink()
        return
    for path in files:
        content = bytearray(path.read_bytes())
        if how == "truncated":
            content = content[: len(content) // 2]
        else:
            content[len(content) // 2] ^= 0x10
        path.write_bytes(bytes(content))


@pytest.mark.parametrize("how", ["removed", "truncated", "flipped"])
def test_a_damaged_one_is_named_and_passed_over(folder, how):
    damage(folder / "4", how)
    restored, record, damaged = Checkpoints(folder).restore(state(0))
    assert record["env_steps"] == 30
    np.testing.assert_array_equal(restored["weights"], state(3)["weights"])
    assert len(damaged) == 1
    assert "checkpoint 4" in damaged[0]


def test_a_single_flipped_bit_of_any_file_never_changes_the_numbers(folder):
    for path in sorted((folder / "4").rglob("*")):
        if not path.is_file() or not path.stat().st_size:
            continue
        content = path.read_bytes()
        flipped = bytearray(content)
        flipped[len(content) // 2] ^= 0x01
        path.write_bytes(bytes(flipped))
        leaves, record, damaged = Checkpoints(folder).restore(state(0))
        expected = record["env_steps"] // 10
        np.testing.assert_array_equal(leaves["weights"], state(expected)["weights"])
        assert (expected == 4) != bool(damaged)
        if damaged:
            return
        path.write_bytes(content)
    pytest.fail("no flipped bit was noticed")


def test_what_cannot_be_read_is_moved_beside_and_stays_as_it_was(folder):
    damage(folder / "4", "truncated")
    before = contents(folder / "4")
    Checkpoints(folder).restore(state(0))
    assert contents(folder.with_name(SET_ASIDE) / "4-1") == before
    assert not (folder / "4").exists()


@pytest.mark.parametrize("other", [{"weights": jnp.zeros((40, 3), jnp.float16)}, {"weights": jnp.zeros((41, 3))}])
def test_one_of_another_form_is_no_damaged_one(folder, other):
    before = contents(folder)
    with pytest.raises(UserError, match=r"checkpoint 4 cannot be read: \['weights'\] is int32\[40, 3\], here float"):
        Checkpoints(folder).restore(state(0) | other)
    assert contents(folder) == before


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_after_a_damaged_one_the_same_number_can_be_saved_again(folder):
    damage(folder / "4", "truncated")
    checkpoints = Checkpoints(folder)
    checkpoints.restore(state(0))
    checkpoints.save(4, state(44), {"env_steps": 440})
    checkpoints.close()
    assert Checkpoints(folder).restore(state(0))[1]["env_steps"] == 440


def test_none_at_all(tmp_path):
    assert Checkpoints(tmp_path / "new").restore(state(0)) is None


def test_all_damaged(folder):
    for name in "234":
        damage(folder / name, "removed")
    with pytest.raises(UserError, match=r"checkpoint 4 cannot be read: .*; nor can 3, 2\. Nothing was changed"):
        Checkpoints(folder).restore(state(0))
    assert sorted(path.name for path in folder.iterdir() if path.name.isdigit()) == ["2", "3", "4"]
