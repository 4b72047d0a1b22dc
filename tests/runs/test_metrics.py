"""Metrics reach the CSV file, the log and TensorBoard, and can be cut back to any moment."""

import csv

import numpy as np
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from mime.runs.metrics import Recorder, cut_back, ordered


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


def test_columns_are_in_the_order_of_the_loop():
    names = ["Verdict", "KL", "Eta", "Dynamics/OldMSELoss", "Valid/Returns", "Train-10/Returns", "Train-9/Returns"]
    assert list(ordered(dict.fromkeys(names, 0.0))) == [
        "Train-9/Returns",
        "Train-10/Returns",
        "Valid/Returns",
        "Dynamics/OldMSELoss",
        "Eta",
        "KL",
        "Verdict",
    ]
