"""The run folder: which files are in it, who may write them, and what a run was."""

import fcntl
import json
import os
import platform
import shutil
import subprocess
import sys
from contextlib import suppress
from datetime import UTC, datetime
from importlib import metadata
from itertools import count
from pathlib import Path
from typing import Any

import jax

from mime.configuration import parsing
from mime.configuration.keys import Configuration
from mime.configuration.seeds import checked_seed
from mime.errors import UserError
from mime.runs.files import digest, write_atomically
from mime.version import __version__

EVENTS = "events.out.tfevents.*"
UNFINISHED_TEST = ".test-"
# What a run writes, as patterns; its configuration, which makes the folder a run's, is the last to be moved away.
OWNED = (
    "policy.safetensors",
    "policy.th",
    "policy.onnx",
    "dynamics.safetensors",
    "dynamics.th",
    "fast_lr.safetensors",
    "fast_lr.th",
    "checkpoints",
    "train_log.txt",
    "train_result.csv",
    "test_log.txt",
    "test_result.csv",
    "unseen_log.txt",
    "unseen_result.csv",
    "figures/train.png",
    "figures/test.png",
    "figures/unseen.png",
    EVENTS,
    f"train_trajectories/{EVENTS}",
    f"test/{EVENTS}",
    f"unseen/{EVENTS}",
    f"{UNFINISHED_TEST}*",
    "config.json",
)
REPLACED = "replaced-"
"""What the folders are called in which runs wait that --overwrite replaces, until the new one has a checkpoint."""
# Of the folder's files; a change that an older version could not read gets a new number.
FORMAT = 2
# What a reader of an older format has to know.
OLDER = {1: "in which eta was a logit and the warm-up an iteration shorter"}
LIBRARIES = ("jax", "jaxlib", "equinox", "optax", "numpy", "gymnasium", "orbax-checkpoint", "safetensors")


class RunFolder:
    """Paths of a run's files, and a lock on them.

    Args:
        path: The folder; made if missing.
    """

    def __init__(self, path: Path):
        self.path = path
        self.config = path / "config.json"
        self.checkpoints = path / "checkpoints"
        self.figures = path / "figures"
        self.train_trajectories = path / "train_trajectories"
        self._lock: int | None = None
        self._made: list[Path] = []

    def weights(self, name: str) -> Path:
        """The file of exported weights of that name."""
        return self.path / f"{name}.safetensors"

    def newest_checkpoint(self) -> int:
        """Number of the newest checkpoint on disk; 0 if there is none."""
        return max((int(path.name) for path in self.checkpoints.glob("*") if path.name.isdigit()), default=0)

    def owned_files(self) -> list[Path]:
        """What is there that a run wrote."""
        return [path for pattern in OWNED for path in sorted(self.path.glob(pattern))]

    def prepare(self, experiment: Configuration, seed: int, *, resume: bool, overwrite: bool) -> None:
        """Lock the folder, and refuse what may not be trained here. Nothing that is there changes.

        Args:
            experiment: The configuration.
            seed: Of everything random.
            resume: Continue the run that is there.
            overwrite: Replace the run that is there.

        Raises:
            UserError: If there is nothing to continue, or it is something else, or must not be replaced.
        """
        if resume:
            _require_same(*self.read_config(), experiment, seed)
        self._refuse_code()
        self._made = [each for each in (self.path, *self.path.parents) if not each.exists()]
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self.lock()
            existing = self.owned_files()
        except OSError as error:
            raise UserError(f"{self.path}: cannot be written: {error.strerror}") from None
        if resume or not existing:
            return
        if not overwrite:
            raise UserError(
                f"{self.path}: holds a run already ({existing[0].name}). Choose another --output-folder, continue"
                " it with --resume, or replace it with --overwrite"
            )
        if not self._holds_a_run():
            raise UserError(
                f"{self.path}: holds {existing[0].relative_to(self.path)}, but no run of mime, which would have a"
                " config.json; --overwrite replaces nothing else. Choose another --output-folder, or move it away"
            )

    def leave(self) -> None:
        """Remove the folders that `prepare` made, if nothing was written there."""
        self.unlock()
        if self._made:
            (self.path / ".lock").unlink(missing_ok=True)
        with suppress(OSError):  # Something is in it.
            for each in self._made:
                each.rmdir()
        self._made = []

    def _holds_a_run(self) -> bool:
        try:
            return {"experiment", "seed"} <= json.loads(self.config.read_bytes()).keys()
        except (OSError, ValueError, AttributeError):
            return False

    def set_aside(self) -> None:
        """Move the run that is there into `replaced-1`, or the next number that is free."""
        existing = self.owned_files()
        if not existing:
            return
        place = next(place for n in count(1) if not (place := self.path / f"{REPLACED}{n}").exists())
        for path in existing:
            target = place / path.relative_to(self.path)
            target.parent.mkdir(parents=True, exist_ok=True)
            path.rename(target)

    def replaced(self) -> list[Path]:
        """Runs that were set aside."""
        return sorted(self.path.glob(f"{REPLACED}[0-9]*"))

    def remove_replaced(self) -> None:
        """Remove the runs that were set aside: there is one in their place."""
        for place in self.replaced():
            shutil.rmtree(place)

    def _refuse_code(self) -> None:
        """Refuse a folder inside a package of this code's folder, whose files would be taken for the run's."""
        code = Path(__file__).parents[2]
        path = self.path.absolute().resolve()
        if path.is_relative_to(code):
            top = code if path == code else code / path.relative_to(code).parts[0]
            if path == code or (top / "__init__.py").exists():
                raise UserError(f"{self.path}: holds code of {top.name}; choose another --output-folder, as runs/first")

    def lock(self, activity: str = "training") -> None:
        """Keep other processes from doing the same here until this one ends. A run can be tested while it is trained.

        Args:
            activity: `training` or `testing`.

        Raises:
            UserError: If another process has the lock.
        """
        name = ".lock" if activity == "training" else f".lock-{activity}"
        if self._lock is not None:
            return
        self._lock = os.open(self.path / name, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(self._lock, 32, 0).decode() or "unknown"
            self.unlock()
            raise UserError(
                f"{self.path}: process {owner} is {activity} here; wait for it, or choose another --output-folder"
            ) from None
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, str(os.getpid()).encode(), 0)

    def unlock(self) -> None:
        """Let others write here."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def write_config(self, experiment: Configuration, seed: int) -> None:
        """Write `config.json`: the configuration, and when, where and with what each start of the run was made."""
        before = json.loads(self.config.read_bytes()) if self.config.exists() else {}
        history = before.get("history", [])
        document = {
            "format": FORMAT,
            "method": experiment.method,
            "seed": seed,
            "experiment": experiment.as_keys(),
            "history": [*history, _circumstances()],
            "tests": before.get("tests", []),
        }
        write_atomically(self.config, json.dumps(document, indent=2).encode())

    def record_test(self, *, tasks: str, num_batches: int, num_steps: int, seed: int) -> None:
        """Write into `config.json` how the weights that are there were tested, and when, where and with what.

        Args:
            tasks: `test` for held-out ones, `unseen` for those unlike the training ones.
            num_batches: Of the test.
            num_steps: Of adaptation in it.
            seed: Of everything random in it.
        """
        document = json.loads(self.config.read_bytes())
        protocol = {"tasks": tasks, "num-batches": num_batches, "num-steps": num_steps, "seed": seed}
        test = protocol | {"weights": digest(self.weights("policy"))} | _circumstances()
        document["tests"] = [*document.get("tests", []), test]
        write_atomically(self.config, json.dumps(document, indent=2).encode())

    def read_config(self) -> tuple[Configuration, int]:
        """The configuration and the seed in `config.json`.

        Raises:
            UserError: If there is no run here, or its `config.json` is damaged.
        """
        path = self.config
        try:
            document = json.loads(path.read_bytes())
            keys, seed = document["experiment"], document["seed"]
        except FileNotFoundError:
            raise UserError(
                f"{self.path}: is not a run folder: it has no config.json. Train one with `mime train`"
            ) from None
        except OSError as error:
            raise UserError(f"{path}: cannot be read: {error.strerror}") from None
        except (ValueError, KeyError, TypeError):
            raise UserError(f"{path}: is damaged: it must hold a JSON object with `experiment` and `seed`") from None
        format_ = document.get("format", FORMAT)
        if format_ != FORMAT:
            which = OLDER.get(format_, "that this one does not know")
            raise UserError(
                f"{path}: format {format_} is of another version of mime, {which}; this one reads {FORMAT}. Train the"
                " run again, or use the version that made it"
            )
        try:
            seed = checked_seed(seed)
        except UserError as error:
            raise UserError(f"{path}: {error}") from None
        return parsing.parse(keys, source=str(path)), seed


def _require_same(old: Configuration, old_seed: int, new: Configuration, new_seed: int) -> None:
    before, after = old.as_keys() | {"seed": old_seed}, new.as_keys() | {"seed": new_seed}
    # As texts, in which NaN is NaN, and 1 is not true.
    changed = [key for key in before if repr(before[key]) != repr(after.get(key)) and key != old.LENGTH]
    if changed:
        lines = [f"{key}: {after.get(key)!r}, but the run has {before[key]!r}" for key in changed]
        raise UserError(
            f"--resume continues the run as it was configured; only {old.LENGTH} may change.\n" + "\n".join(lines)
        )


def _circumstances() -> dict[str, Any]:
    return {
        "command": sys.argv,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {"mime": __version__, "python": platform.python_version()}
        | {name: metadata.version(name) for name in LIBRARIES},
        "git": _git_state(),
        "hardware": {
            "machine": platform.platform(),
            "cpus": os.cpu_count(),
            "devices": [str(device) for device in jax.devices()],
        },
    }


def _git_state() -> dict[str, Any] | None:
    def git(*arguments: str) -> str:
        command = ["git", "-C", str(Path(__file__).parents[1]), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()

    try:
        return {"commit": git("rev-parse", "HEAD"), "modified": bool(git("status", "--porcelain"))}
    except (OSError, subprocess.SubprocessError):
        return None
