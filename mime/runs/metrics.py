"""Where metrics go: a CSV file, a text log, TensorBoard."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from tensorboardX import SummaryWriter

from mime.runs.files import LineFile
from mime.runs.folder import EVENTS

COLUMN_ORDER = ("Train", "Valid", "Dynamics", "Eta", "KL", "SurrogateImprovement", "LineSearchSteps")
Row = Mapping[str, float | int]


class Recorder:
    """Writes one row of metrics per iteration to every place people look for them.

    Args:
        folder: Where the files go.
        name: `train` or `test`: the prefix of the CSV file and the log.
        events: Folder of the scalars' event file.
        pictures: Folder of the pictures' event file.
        x_axis: Column that is TensorBoard's x axis.
    """

    def __init__(self, folder: Path, name: str, *, events: Path, pictures: Path, x_axis: str):
        self.folder = folder
        self.x_axis = x_axis
        self._csv = LineFile(folder / f"{name}_result.csv")
        self._log = LineFile(folder / f"{name}_log.txt")
        self._scalars = SummaryWriter(str(events))
        self._pictures = self._scalars if pictures == events else SummaryWriter(str(pictures))
        self._event_folders = {events, pictures}

    def log(self, line: str) -> None:
        """A line for the log."""
        self._log.write(line)

    def row(self, row: Row) -> None:
        """One iteration's metrics, the first of which are the counters."""
        if self._csv.empty:
            self._csv.write(",".join(row))
        self._csv.write(",".join(_number(value) for value in row.values()))
        for tag, value in row.items():
            if tag != self.x_axis:
                self._scalars.add_scalar(tag, value, row[self.x_axis])

    def picture(self, tag: str, image: np.ndarray, x: int) -> None:
        """An RGB picture `[height, width, 3]`."""
        self._pictures.add_image(tag, image, x, dataformats="HWC")

    def sizes(self) -> dict[str, int]:
        """Size of every file written so far, by its path in the folder: where to cut them to return to this moment."""
        for writer in {self._scalars, self._pictures}:
            writer.flush()
        paths = [self._csv.path, self._log.path]
        paths += [path for folder in self._event_folders for path in folder.glob(EVENTS)]
        return {str(path.relative_to(self.folder)): path.stat().st_size for path in paths}

    def close(self) -> None:
        """Write what is pending."""
        for writer in {self._scalars, self._pictures}:
            writer.close()
        self._csv.close()
        self._log.close()


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
    """The metrics in the order of the columns: training, validation, dynamics, weight, outer step, the rest."""

    def rank(name: str) -> tuple[int, int]:
        matches = [place for place, prefix in enumerate(COLUMN_ORDER) if name.startswith(prefix)]
        step = name.removeprefix("Train-").split("/")[0]
        return matches[0] if matches else len(COLUMN_ORDER), int(step) if step.isdigit() else 0

    return {name: metrics[name] for name in sorted(metrics, key=rank)}


def _number(value: float | int) -> str:
    return str(value) if isinstance(value, int) else f"{value:.9g}"
