"""TensorBoard's HParams tab gets every run's method and keys, also of runs that were killed and resumed."""

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from mime.runs.folder import EVENTS, RunFolder
from tests import small_runs

BRIEF = {"num_batches": 1, "pre_epochs": 1, "checkpoint_every": 1}


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
