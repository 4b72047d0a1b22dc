"""What counts as seeds of one thing: one experiment, method and configuration, and each seed once."""

from mime.studies.comparison import compared
from mime.studies.methods import in_order, label
from tests.studies.made_up import made_up


def names(comparison):
    return sorted((record.method, record.seed) for record in comparison.records)


def test_other_configurations_are_other_rows(tmp_path):
    for rate in (0.1, 0.01):
        for seed in (0, 1):
            made_up(tmp_path / f"lr-{rate}" / f"run-{seed}", keys={"fast-lr": rate, "checkpoint-every": seed + 1})
    comparison = compared([tmp_path])
    first, second = "maml (fast-lr 0.01)", "maml (fast-lr 0.1)"
    assert names(comparison) == [(first, 0), (first, 1), (second, 0), (second, 1)]
    assert "several configurations" in comparison.remarks[0]
    assert label(first) == "MAML (fast-lr 0.01)"
    assert in_order({"x", "pearl", second}) == [second, "pearl", "x"]


def test_a_seed_that_comes_twice_counts_once_and_is_named(tmp_path):
    made_up(tmp_path / "ring" / "maml" / "seed-0")
    # A copy, whose folder claims another seed.
    copy = made_up(tmp_path / "ring" / "maml" / "seed-1", seed=0)
    comparison = compared([tmp_path])
    assert names(comparison) == [("maml", 0)]
    (remark,) = comparison.remarks
    assert str(copy) in remark
    assert "is seed 0 again" in remark


def test_keys_that_only_a_later_version_knows_make_no_difference(tmp_path):
    made_up(tmp_path / "ring" / "maml" / "seed-0")
    made_up(tmp_path / "ring" / "maml" / "seed-1", keys={"new-key": True})
    assert names(compared([tmp_path])) == [("maml", 0), ("maml", 1)]


def test_tables_alone_are_not_taken_for_one_of_several_configurations(tmp_path):
    for seed, rate in enumerate((0.1, 0.2, 0.2)):
        folder = made_up(tmp_path / "ring" / "maml" / f"seed-{seed}", keys={"fast-lr": rate})
    (folder / "config.json").unlink()
    assert ("maml (configuration unknown)", 2) in names(compared([tmp_path]))
