"""Runs that come with the package, trained by the configurations in `configs/solved/`: `wide-ring`, `pendulum`."""

import json
import shutil
from pathlib import Path

from mime.configuration import packaged
from mime.configuration.keys import nearest
from mime.errors import UserError
from mime.runs.folder import RunFolder
from mime.runs.setup import set_up

KEPT = ("format", "method", "seed", "experiment")
"""What `config.json` says of them: not where and by which commands they were made."""


def names() -> list[str]:
    """Their names."""
    return sorted(path.parent.name for path in packaged.data("pretrained").glob("*/config.json"))


def find(name: str) -> RunFolder:
    """The run of a name, whose pictures and films go to the current folder: `figures/NAME`.

    Raises:
        UserError: If there is none of this name.
    """
    if name not in names():
        raise UserError(f"{name}: is not a trained run that comes with the package{nearest(name, names())}")
    folder = RunFolder(packaged.data("pretrained") / name)
    folder.figures = Path("figures") / name
    return folder


def run_folder(path: Path) -> RunFolder:
    """What a command is to show: the run in that folder or, if there is no such folder, of that name.

    Raises:
        UserError: If there is neither.
    """
    if path.exists():
        return RunFolder(path)
    if str(path) not in names():
        hint = nearest(str(path), names())
        raise UserError(f"{path}: is neither a run folder nor a trained run that comes with the package{hint}")
    return find(str(path))


def pack(run: RunFolder, target: Path) -> None:
    """Write what of a run is to come with the package.

    Raises:
        UserError: If the run is incomplete or damaged.
    """
    experiment, seed = run.read_config()
    setup = set_up(experiment, seed, source=str(run.config))
    target.mkdir(parents=True, exist_ok=True)
    for name in setup.learner.tensors(setup.state):
        shutil.copyfile(run.weights(name), RunFolder(target).weights(name))
    document = json.loads(run.config.read_bytes())
    (target / "config.json").write_text(json.dumps({key: document[key] for key in KEPT}, indent=2) + "\n")
