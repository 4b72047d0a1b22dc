"""Tests of different protocols are compared at what they share, and old ones are named."""

import json

from mime.studies.comparison import adaptation_curve, compared, held_out
from mime.studies.tested import is_stale
from tests.studies.made_up import made_up


def recorded(folder, **test):
    """Write down how a run was tested."""
    document = json.loads((folder / "config.json").read_bytes())
    document["tests"] = [{"seed": 1, "num-batches": 2, "num-steps": 1, "weights": None} | test]
    (folder / "config.json").write_text(json.dumps(document))
    return folder


def test_more_steps_of_adaptation_are_compared_at_those_that_all_tests_have(tmp_path):
    made_up(tmp_path / "ring" / "maml" / "seed-0", tested=(1, 2))
    made_up(tmp_path / "ring" / "mime" / "seed-0", tested=(1, 3, 5, 7), method="MIME")
    comparison = compared([tmp_path])
    (remark,) = comparison.remarks
    assert "tested with 1 and 3 steps of adaptation; compared after 1" in remark
    longer = comparison.of("ring", "mime")
    assert held_out(longer, "Returns").tolist() == [3]
    assert adaptation_curve(longer, "Returns").estimate.value.tolist() == [1, 3]
    assert "Train-1/Returns" not in longer[0].test


def test_other_seeds_and_batches_are_said(tmp_path):
    for seed in (0, 1):
        recorded(made_up(tmp_path / "ring" / "maml" / f"seed-{seed}"), seed=seed)
    with open(tmp_path / "ring" / "maml" / "seed-0" / "test_result.csv", "a") as file:
        file.write("3,9,0,0,0,0\n")
    remarks = compared([tmp_path]).remarks
    assert any("tested with 2 and 3 batches" in remark for remark in remarks)
    assert any("tested with the seeds 0 and 1" in remark for remark in remarks)
    assert any("has 3 of the 2 batches" in remark for remark in remarks)


def test_a_test_older_than_the_weights_is_named(tmp_path):
    folder = recorded(made_up(tmp_path / "ring" / "maml" / "seed-0"))
    assert compared([tmp_path]).remarks == []
    (folder / "policy.safetensors").write_bytes(b"trained further")
    (remark,) = compared([tmp_path]).remarks
    assert "older than its weights" in remark
    assert not is_stale(folder, {})  # Earlier versions wrote down nothing.
