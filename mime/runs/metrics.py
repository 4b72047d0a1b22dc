"""Where metrics go: a CSV file, a text log, TensorBoard."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from tensorboardX import summary
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event
from tensorboardX.proto.summary_pb2 import Summary

from mime.runs.files import LineFile
from mime.runs.folder import EVENTS

COLUMN_ORDER = ("Train", "Valid", "Dynamics", "Eta", "KL", "SurrogateImprovement", "LineSearchSteps")
COUNTERS = ("TotalEnvSteps", "Iteration", "Batch")
Row = Mapping[str, float | int]


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
        self._csv = LineFile(folder / f"{name}_result.csv")
        self._log = LineFile(folder / f"{name}_log.txt")
        self._scalars = EventFile(events, start)
        self._pictures = self._scalars if pictures == events else EventFile(pictures, start)

    def log(self, line: str) -> None:
        """A line for the log."""
        self._log.write(line)

    def row(self, row: Row) -> None:
        """One iteration's metrics, the first of which are the counters."""
        if self._csv.empty:
            self._csv.write(",".join(row))
        self._csv.write(",".join(_number(value) for value in row.values()))
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
        for file in {self._scalars, self._pictures}:
            file.close()
        self._csv.close()
        self._log.close()


class EventFile:
    """A TensorBoard event file, on disk after every write.

    `tensorboardX.SummaryWriter` would write in the background, without a way to know when or whether it has.

    Args:
        folder: Where the file goes; made if missing.
        start: Iterations recorded before, which tells this file's name from those of earlier starts of the run.
    """

    def __init__(self, folder: Path, start: int):
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self._writer = EventsWriter(str(folder / "events"), f".{start}")
        self._writer.flush()

    def write(self, summaries: Sequence[Summary], x: int) -> None:
        """Summaries at a place on the x axis."""
        values = [value for entry in summaries for value in entry.value]
        self._writer.write_event(Event(wall_time=time.time(), step=x, summary=Summary(value=values)))
        self._writer.flush()

    def close(self) -> None:
        """Close the file."""
        self._writer.close()


def cut_back(folder: Path, sizes: Mapping[str, int]) -> None:
    """Return a training run's growing files to the sizes they had; those that did not exist yet are removed."""
    growing = [folder / "train_result.csv", folder / "train_log.txt"]
    growing += [*folder.glob(EVENTS), *(folder / "train_trajectories").glob(EVENTS)]
    for path in growing:
        size = sizes.get(str(path.relative_to(folder)))
        if size is not None:
            with open(path, "r+b") as file:
                file.truncate(size)
        elif path.exists():
            path.unlink()


def ordered(metrics: Row) -> dict[str, float | int]:
    """The metrics in the order of the columns: training, validation, dynamics, weight, outer step, the rest; in each
    stage returns and success first."""

    def rank(name: str) -> tuple[int, int, bool]:
        matches = [place for place, prefix in enumerate(COLUMN_ORDER) if name.startswith(prefix)]
        step = name.removeprefix("Train-").split("/")[0]
        secondary = not name.endswith(("/Returns", "Success"))
        return matches[0] if matches else len(COLUMN_ORDER), int(step) if step.isdigit() else 0, secondary

    return {name: metrics[name] for name in sorted(metrics, key=rank)}


def _tag(name: str) -> str:
    """TensorBoard's name of a column: it draws what is before the stroke together."""
    return name if "/" in name else f"Outer/{name}"


def _number(value: float | int) -> str:
    return str(value) if isinstance(value, int) else f"{value:.9g}"
