"""Metrics reach the CSV file, the log and TensorBoard, and can be cut back to any moment.

TensorBoard's HParams tab gets every run's method and keys, also of runs that were killed and resumed.
"""

import csv

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from mime.numerics.trpo import OuterStep
from mime.runs.folder import EVENTS, RunFolder
from mime.runs.recorder import Recorder, cut_back
from tests import small_runs

BRIEF = {"num_batches": 1, "pre_epochs": 1, "checkpoint_every": 1}


def recorder(folder, start=0):
    return Recorder(
        folder, "train", events=folder, pictures=folder / "train_trajectories", x_axis="TotalEnvSteps", start=start
    )


def write(record, iterations):
    for iteration in iterations:
        row = {"TotalEnvSteps": 100 * iteration, "Iteration": iteration, "Valid/Returns": -1 / iteration}
        record.row(row)
        record.log(f"iteration {iteration}")
        record.picture("ValidTrajectories", np.full((8, 9, 3), iteration, np.uint8), 100 * iteration)


def scalars(folder, tag="Valid/Returns"):
    events = EventAccumulator(str(folder))
    events.Reload()
    return [(event.step, round(event.value, 6)) for event in events.Scalars(tag)]


def test_every_place_has_every_row(tmp_path):
    record = recorder(tmp_path)
    write(record, [1, 2])
    record.close()
    with open(tmp_path / "train_result.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["TotalEnvSteps"] for row in rows] == ["100", "200"]
    assert [float(row["Valid/Returns"]) for row in rows] == [-1, -0.5]
    assert (tmp_path / "train_log.txt").read_text() == "iteration 1\niteration 2\n"
    assert scalars(tmp_path) == [(100, -1), (200, -0.5)]
    images = EventAccumulator(str(tmp_path / "train_trajectories"))
    images.Reload()
    assert [(image.step, image.width, image.height) for image in images.Images("ValidTrajectories")] == [
        (100, 9, 8),
        (200, 9, 8),
    ]


def test_what_is_not_a_number_is_recorded_without_a_warning(tmp_path, caplog):
    """Success, where the environment does not report it."""
    record = recorder(tmp_path)
    record.row({"TotalEnvSteps": 100, "Iteration": 1, "Valid/Success": float("nan")})
    record.close()
    assert not caplog.records
    assert np.isnan(scalars(tmp_path, "Valid/Success")[0][1])


def test_rows_are_on_disk_at_once(tmp_path):
    record = recorder(tmp_path)
    write(record, [1])
    assert (tmp_path / "train_result.csv").read_text().count("\n") == 2
    assert scalars(tmp_path) == [(100, -1)]
    record.close()


def test_cut_back_to_a_moment_and_go_on(tmp_path):
    record = recorder(tmp_path)
    write(record, [1, 2])
    sizes = record.sizes()
    write(record, [3, 4])
    record.close()
    cut_back(tmp_path, sizes)
    record = recorder(tmp_path, start=2)
    write(record, [3])
    record.close()
    assert [line.split(",")[0] for line in (tmp_path / "train_result.csv").read_text().splitlines()] == [
        "TotalEnvSteps",
        "100",
        "200",
        "300",
    ]
    assert (tmp_path / "train_log.txt").read_text() == "iteration 1\niteration 2\niteration 3\n"
    assert [step for step, _ in scalars(tmp_path)] == [100, 200, 300]


def test_cut_back_to_the_beginning_leaves_what_others_wrote(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    record = recorder(tmp_path)
    write(record, [1])
    record.close()
    cut_back(tmp_path, {})
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["notes.txt"]


OUTER_STEPS = {
    OuterStep.ACCEPTED: "accepted",
    OuterStep.NO_IMPROVEMENT: "no improvement",
    OuterStep.OUTSIDE_TRUST_REGION: "outside trust region",
    OuterStep.NOT_FINITE: "not finite",
}


def test_the_outer_step_is_a_word_in_the_table_and_a_code_in_tensorboard(tmp_path):
    record = recorder(tmp_path)
    for step in OuterStep:
        record.row({"TotalEnvSteps": 100 * step, "KL": 0.5, "OuterStep": int(step)})
    record.close()
    with open(tmp_path / "train_result.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["OuterStep"] for row in rows] == [OUTER_STEPS[step] for step in OuterStep]
    assert scalars(tmp_path, "Outer/OuterStep") == [(100 * step, step) for step in range(4)]


def told(folder):
    """By tag, what the HParams plugin reads, and the number of event files."""
    events = EventAccumulator(str(folder))
    events.Reload()
    contents = events.PluginTagToContent("hparams")
    return {tag.removeprefix("_hparams_/"): HParamsPluginData.FromString(data) for tag, data in contents.items()}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hparams") / "run"
    small_runs.run(folder, **BRIEF)
    return folder


def test_values_are_the_configurations(run):
    data = told(run)
    experiment, seed = RunFolder(run).read_config()
    values = data["session_start_info"].session_start_info.hparams
    assert values["Method"].string_value == "MAML"
    assert values["Seed"].number_value == seed
    assert values["use-vime"].bool_value is False
    assert values["fast-lr"].number_value == experiment.fast_lr
    assert values["hidden-sizes"].string_value == "[8]"
    named = {info.name for info in data["experiment"].experiment.hparam_infos}
    given = {key for key, value in experiment.as_keys().items() if value is not None}
    assert {"dyn-lr", "fisher-batch-size"} == set(experiment.as_keys()) - given
    assert named == set(values) == {"Environment", "Method", "Seed", *given}
    assert data["session_end_info"].session_end_info.status == 1


def test_metrics_are_columns_that_exist(run):
    names = {(info.name.group, info.name.tag) for info in told(run)["experiment"].experiment.metric_infos}
    header = (run / "train_result.csv").read_text().splitlines()[0].split(",")
    assert {tag for _, tag in names} <= set(header)
    assert {group for group, _ in names} == {"", "test"}


def test_they_survive_being_cut_back(run):
    """A resumed run goes back to its last checkpoint and tells its values once more only if it starts from nothing."""
    small_runs.run(run, resume=True, **BRIEF | {"num_batches": 2})
    assert len(list(run.glob(EVENTS))) == 2
    assert set(told(run)) == {"experiment", "session_start_info", "session_end_info"}


def test_scalars_are_gathered_and_counters_are_not_drawn(run):
    events = EventAccumulator(str(run))
    events.Reload()
    names = set(events.Tags()["scalars"])
    assert {name.split("/")[0] for name in names} == {"Outer", "Train-0", "Valid"}
    assert {"Outer/KL", "Valid/Returns"} <= names
    assert "Outer/Iteration" not in names
