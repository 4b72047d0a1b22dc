"""Runs are read as far as they are whole, and what is wrong with them is said."""

import json

import pytest

from mime.errors import UserError
from mime.studies import history
from mime.studies.plan import PlannedRun
from mime.studies.records import read, read_all, read_table
from tests.studies.made_up import made_up


def only_remark(folder):
    record = read(folder)
    assert len(record.remarks) == 1
    return record, record.remarks[0]


def test_a_whole_run_is_known_by_its_place_in_a_study(tmp_path):
    record = read(made_up(tmp_path / "ring" / "e-maml" / "seed-12"))
    assert (record.experiment, record.method, record.seed, record.remarks) == ("ring", "e-maml", 12, ())
    assert list(record.train["Valid/Returns"]) == [1, 2]


def test_elsewhere_a_run_is_known_by_its_configuration(tmp_path):
    record = read(made_up(tmp_path / "run", method="MAML+expl"))
    assert (record.experiment, record.method, record.seed) == ("2DNavigation-v0", "expl", 0)


def test_tables_alone_are_enough(tmp_path):
    folder = made_up(tmp_path / "ring" / "maml" / "3")
    (folder / "config.json").unlink()
    record = read(folder)
    assert (record.experiment, record.method, record.seed, record.remarks) == ("ring", "maml", 3, ())


def test_an_unfinished_run_is_used_as_far_as_it_goes(tmp_path):
    record, remark = only_remark(made_up(tmp_path / "ring" / "maml" / "seed-0", planned=9))
    assert remark.startswith("unfinished: 2 of 9")
    assert len(record.train["Iteration"]) == 2


def test_a_run_without_a_test_is_said(tmp_path):
    record, remark = only_remark(made_up(tmp_path / "ring" / "maml" / "seed-0", tested=None))
    assert "not tested" in remark
    assert record.test == {}


@pytest.mark.parametrize(
    "damage",
    ["3,3,0,0", "300,3,zero,0,0,0", "300,4,0,0,0,0", "\x00\x00\x00"],
    ids=["torn", "not a number", "a row is missing", "nulls"],
)
def test_rows_from_the_first_damaged_one_on_are_not_used(tmp_path, damage):
    folder = made_up(tmp_path / "ring" / "maml" / "seed-0")
    with open(folder / "train_result.csv", "a") as file:
        file.write(f"{damage}\n400,4,0,0,0,0\n")
    record, remark = only_remark(folder)
    assert "damaged in row 3; 2 of 4 rows are used" in remark
    assert list(record.train["Iteration"]) == [1, 2]


def test_a_spreadsheet_may_have_saved_the_tables(tmp_path):
    folder = made_up(tmp_path / "ring" / "maml" / "seed-0")
    for name in ("train_result.csv", "test_result.csv"):
        text = (folder / name).read_text().replace("\n", "\r\n")
        (folder / name).write_bytes(text.encode("utf-8-sig"))
    record = read(folder)
    assert record.remarks == ()
    assert list(record.train["TotalEnvSteps"]) == [100, 200]


def test_symbolic_links_are_followed_and_a_loop_of_them_ends(tmp_path):
    disk = made_up(tmp_path / "disk" / "maml-1", seed=1)
    study = tmp_path / "study"
    (study / "ring" / "maml").mkdir(parents=True)
    (study / "ring" / "maml" / "seed-1").symlink_to(disk)
    (study / "ring" / "all").symlink_to(study)
    records, _ = read_all([study])
    assert [(record.experiment, record.method, record.seed) for record in records] == [("ring", "maml", 1)]


def test_outer_steps_are_codes(tmp_path):
    cells = ["accepted", "outside trust region", "not finite"]
    rows = [f"{number},{cell}" for number, cell in enumerate(cells, start=1)]
    (tmp_path / "train_result.csv").write_text("\n".join(["Iteration,OuterStep", *rows]) + "\n")
    columns, remarks = read_table(tmp_path / "train_result.csv", counter="Iteration")
    assert list(columns) == ["Iteration", "OuterStep"]
    assert list(columns["OuterStep"]) == [0, 2, 3]
    assert remarks == []


def test_of_older_tables_the_share_is_eta_not_its_logit(tmp_path):
    (tmp_path / "train_result.csv").write_text("Iteration,Eta,EtaShare\n1,0,0.5\n")
    columns, _ = read_table(tmp_path / "train_result.csv", counter="Iteration")
    assert {name: list(column) for name, column in columns.items()} == {"Iteration": [1], "Eta": [0.5]}


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"a,b\n1,2\n"])
def test_a_table_without_a_header_is_said(tmp_path, content):
    folder = made_up(tmp_path / "ring" / "maml" / "seed-0")
    (folder / "test_result.csv").write_bytes(content)
    record = read(folder)
    assert any("test_result.csv" in remark for remark in record.remarks)
    assert record.test == {}
    assert len(record.train["Iteration"]) == 2


@pytest.mark.parametrize(
    "content", ["", "[]", '{"experiment": 3}', '{"experiment": {"num-batches": "many"}, "seed": 0}']
)
def test_a_damaged_configuration_leaves_the_path(tmp_path, content):
    folder = made_up(tmp_path / "ring" / "maml" / "seed-4")
    (folder / "config.json").write_text(content)
    record, remark = only_remark(folder)
    assert "config.json is damaged" in remark
    assert (record.experiment, record.method, record.seed) == ("ring", "maml", 4)


def test_a_study_tells_what_is_missing_and_goes_on(tmp_path):
    made_up(tmp_path / "ring" / "maml" / "seed-0")
    (tmp_path / "ring" / "maml" / "seed-1").mkdir()
    (tmp_path / "ring" / "maml" / "seed-1" / "config.json").write_text(json.dumps({"experiment": {}, "seed": 1}))
    runs = [PlannedRun("ring", "maml", seed, tmp_path, (), ()) for seed in (0, 1, 2)]
    history.record(tmp_path, ["ring.yaml"], runs)
    records, remarks = read_all([tmp_path])
    assert [record.seed for record in records] == [0]
    assert sorted(remark.split("seed-")[1] for remark in remarks) == [
        "1: left out: it has recorded nothing",
        "2: not begun",
    ]


def test_one_remark_about_many_runs_is_made_once(tmp_path):
    for seed in range(6):
        made_up(tmp_path / "ring" / "maml" / f"seed-{seed}", tested=None)
    _, (remark,) = read_all([tmp_path])
    assert "seed-2 and 3 more: not tested" in remark


def test_nothing_to_compare_is_an_error(tmp_path):
    with pytest.raises(UserError, match="no run there has a row"):
        read_all([tmp_path])
    with pytest.raises(UserError, match="no such folder"):
        read_all([tmp_path / "none"])


def test_a_run_given_twice_counts_once(tmp_path):
    run = made_up(tmp_path / "ring" / "maml" / "seed-0")
    assert len(read_all([tmp_path, run])[0]) == 1
