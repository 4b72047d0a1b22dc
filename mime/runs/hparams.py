"""What TensorBoard's HParams tab sorts runs by: method, seed and the keys of the configuration."""

import json
from typing import Any

from tensorboardX.proto.api_pb2 import DataType, Experiment, HParamInfo, MetricInfo, MetricName, Status
from tensorboardX.proto.plugin_hparams_pb2 import HParamsPluginData, SessionEndInfo, SessionStartInfo
from tensorboardX.proto.summary_pb2 import Summary, SummaryMetadata

from mime.configuration.keys import Configuration

PLUGIN = "hparams"
# By group and tag; the tab shows the first few unless it is asked for more.
COLUMNS = (
    ("", "Valid/Returns"),
    ("", "Valid/Success"),
    ("test", "Valid/Returns"),
    ("test", "Valid/Success"),
    ("", "Train-0/Returns"),
    ("", "Train-0/Success"),
)


def started(experiment: Configuration, seed: int) -> list[Summary]:
    """That a run has begun, and with which values.

    The metrics are those of training, and below the group `test` those of testing, which TensorBoard finds in the
    run's folder `test/`.
    """
    # The tab sorts by name, capitals first, and shows the first few.
    values = {"Environment": experiment.env_name, "Method": experiment.method, "Seed": seed} | experiment.as_keys()
    values = {key: _shown(value) for key, value in values.items() if value is not None}
    session = SessionStartInfo()
    for key, value in values.items():
        setattr(session.hparams[key], f"{_kind(value)}_value", value)
    types = {"bool": "DATA_TYPE_BOOL", "number": "DATA_TYPE_FLOAT64", "string": "DATA_TYPE_STRING"}
    infos = [HParamInfo(name=key, type=DataType.Value(types[_kind(value)])) for key, value in values.items()]
    names = [MetricName(group=group, tag=tag) for group, tag in COLUMNS]
    columns = Experiment(hparam_infos=infos, metric_infos=[MetricInfo(name=name) for name in names])
    return [_summary("experiment", experiment=columns), _summary("session_start_info", session_start_info=session)]


def finished() -> list[Summary]:
    """That the run has been completed."""
    end = SessionEndInfo(status=Status.Value("STATUS_SUCCESS"))
    return [_summary("session_end_info", session_end_info=end)]


def _shown(value: Any) -> bool | float | str:
    if isinstance(value, bool | str):
        return value
    return float(value) if isinstance(value, int | float) else json.dumps(value)


def _kind(value: bool | float | str) -> str:
    if isinstance(value, bool):
        return "bool"
    return "string" if isinstance(value, str) else "number"


def _summary(name: str, **content: Any) -> Summary:
    data = HParamsPluginData(version=0, **content).SerializeToString()
    plugin = SummaryMetadata.PluginData(plugin_name=PLUGIN, content=data)
    return Summary(value=[Summary.Value(tag=f"_hparams_/{name}", metadata=SummaryMetadata(plugin_data=plugin))])
