"""Where a run's metrics go: a CSV file, a text log, TensorBoard and its HParams tab."""

import json
import logging
import socket
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from tensorboardX import summary
from tensorboardX.proto.api_pb2 import DataType, Experiment, HParamInfo, MetricInfo, MetricName, Status
from tensorboardX.proto.event_pb2 import Event
from tensorboardX.proto.plugin_hparams_pb2 import HParamsPluginData, SessionEndInfo, SessionStartInfo
from tensorboardX.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboardX.record_writer import RecordWriter

from mime.configuration.keys import Configuration
from mime.runs.files import LineFile
from mime.runs.folder import EVENTS
from mime.runs.metrics import COUNTERS, OUTER_STEP, OUTER_STEPS, Row
from mime.sampling.episodes import FIRST_STAGE, LAST_STAGE

LIBRARY = "mime"
# It warns of every NaN; environments that do not report success have some in every row.
logging.getLogger("tensorboardX.x2num").setLevel(logging.ERROR)
EVENT_FILE_VERSION = "brain.Event:2"
# By group and tag; the HParams tab shows the first few unless it is asked for more.
HPARAMS_COLUMNS = tuple(
    (group, f"{stage}/{name}")
    for group, stage in (("", LAST_STAGE), ("test", LAST_STAGE), ("", FIRST_STAGE))
    for name in ("Returns", "Success")
)


class Recorder:
    """Writes one row of metrics per iteration to every place people look for them.

    Args:
        folder: Where the files go.
        name: `train` or `test`: the prefix of the CSV file and the log.
        events: Folder of the scalars' event file.
        pictures: Folder of the pictures' event file.
        x_axis: Column that is TensorBoard's x axis.
        start: Iterations that the files hold already.
    """

    def __init__(self, folder: Path, name: str, *, events: Path, pictures: Path, x_axis: str, start: int = 0):
        self.folder = folder
        self.x_axis = x_axis
        with ExitStack() as opened:  # If one cannot be opened, those before it are closed.
            self._csv = opened.enter_context(closing(LineFile(folder / f"{name}_result.csv")))
            self._log = opened.enter_context(closing(LineFile(folder / f"{name}_log.txt")))
            self._scalars = opened.enter_context(closing(EventFile(events, start)))
            self._pictures = self._scalars
            if pictures != events:
                self._pictures = opened.enter_context(closing(EventFile(pictures, start)))
            self._files = opened.pop_all()

    def log(self, line: str) -> None:
        """A line for the log."""
        self._log.write(line)

    def row(self, row: Row) -> None:
        """One iteration's metrics, the first of which are the counters."""
        if self._csv.empty:
            self._csv.write(",".join(row))
        self._csv.write(",".join(self._cell(name, value) for name, value in row.items()))
        scalars = [summary.scalar(_tag(name), value) for name, value in row.items() if name not in COUNTERS]
        self._scalars.write(scalars, int(row[self.x_axis]))

    def picture(self, tag: str, image: UInt8[np.ndarray, "height width 3"], x: int) -> None:
        """An RGB picture."""
        self._pictures.write([summary.image(tag, image, dataformats="HWC")], x)

    def about(self, summaries: Sequence[Summary]) -> None:
        """What TensorBoard is to know about the run as a whole."""
        self._scalars.write(summaries, 0)

    def sizes(self) -> dict[str, int]:
        """Size of every file written so far, by its path in the folder: where to cut them to return to this moment."""
        paths = [self._csv.path, self._log.path]
        paths += [path for file in {self._scalars, self._pictures} for path in file.folder.glob(EVENTS)]
        return {str(path.relative_to(self.folder)): path.stat().st_size for path in paths}

    def close(self) -> None:
        """Close the files."""
        self._files.close()

    def _cell(self, name: str, value: float | int) -> str:
        if name == OUTER_STEP:
            return OUTER_STEPS[int(value)]
        return str(value) if isinstance(value, int) else f"{value:.9g}"


class EventFile:
    """A TensorBoard event file, on disk after every write.

    `tensorboardX.SummaryWriter` would write in the background, without a way to know when or whether it has, and leaves
    a file open whose disk is full.

    Args:
        folder: Where the file goes; made if missing.
        start: Iterations recorded before, which tells this file's name from those of earlier starts of the run.
    """

    def __init__(self, folder: Path, start: int):
        folder.mkdir(exist_ok=True)
        self.folder = folder
        name = f"events.out.tfevents.{int(time.time())}.{socket.gethostname()}.{start}"
        self._records = RecordWriter(str(folder / name))
        try:
            self._append(Event(wall_time=time.time(), file_version=EVENT_FILE_VERSION))
        except OSError:
            self.close()
            raise

    def write(self, summaries: Sequence[Summary], x: int) -> None:
        """Summaries at a place on the x axis."""
        values = [value for entry in summaries for value in entry.value]
        self._append(Event(wall_time=time.time(), step=x, summary=Summary(value=values)))

    def close(self) -> None:
        """Close the file."""
        with suppress(OSError):  # What a full disk refuses, `write` has told already; it would hide that error.
            self._records.close()

    def _append(self, event: Event) -> None:
        self._records.write(event.SerializeToString())
        self._records.flush()


def cut_back(folder: Path, sizes: Mapping[str, int]) -> None:
    """Return a training run's growing files to the sizes they had; those that did not exist yet are removed."""
    growing = [folder / "train_result.csv", folder / "train_log.txt"]
    growing += [*folder.glob(EVENTS), *(folder / "train_trajectories").glob(EVENTS)]
    for path in growing:
        size = sizes.get(str(path.relative_to(folder)))
        if size is None:
            path.unlink(missing_ok=True)
        elif path.exists() and path.stat().st_size > size:  # Made longer, a file would get zeros.
            with open(path, "r+b") as file:
                file.truncate(size)


@contextmanager
def messages_to(log: Callable[[str], None], warn: Callable[[str], None] = lambda message: None) -> Generator[None]:
    """Pass on what the library's loggers say while a run goes on.

    Args:
        log: Gets every message.
        warn: Gets those that the user should see at once.
    """
    handler = _Messages(log, warn)
    logger = logging.getLogger(LIBRARY)
    level, propagate = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagate


class _Messages(logging.Handler):
    def __init__(self, log: Callable[[str], None], warn: Callable[[str], None]):
        super().__init__()
        self._log, self._warn = log, warn

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        self._log(f"  {message}")
        if record.levelno >= logging.WARNING:
            self._warn(message)


def hparams_started(experiment: Configuration, seed: int) -> list[Summary]:
    """What the HParams tab sorts runs by: that a run has begun, its method, seed and keys of the configuration.

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
    names = [MetricName(group=group, tag=tag) for group, tag in HPARAMS_COLUMNS]
    columns = Experiment(hparam_infos=infos, metric_infos=[MetricInfo(name=name) for name in names])
    return [_hparams("experiment", experiment=columns), _hparams("session_start_info", session_start_info=session)]


def hparams_finished() -> list[Summary]:
    """That the run has been completed."""
    end = SessionEndInfo(status=Status.Value("STATUS_SUCCESS"))
    return [_hparams("session_end_info", session_end_info=end)]


def _shown(value: Any) -> bool | float | str:
    if isinstance(value, bool | str):
        return value
    return float(value) if isinstance(value, int | float) else json.dumps(value)


def _kind(value: bool | float | str) -> str:
    if isinstance(value, bool):
        return "bool"
    return "string" if isinstance(value, str) else "number"


def _hparams(name: str, **content: Any) -> Summary:
    data = HParamsPluginData(version=0, **content).SerializeToString()
    plugin = SummaryMetadata.PluginData(plugin_name="hparams", content=data)
    return Summary(value=[Summary.Value(tag=f"_hparams_/{name}", metadata=SummaryMetadata(plugin_data=plugin))])


def _tag(name: str) -> str:
    """TensorBoard's name of a column: it draws what is before the stroke together."""
    return name if "/" in name else f"Outer/{name}"
