"""The run folder: which files are in it, who may write them, and what a run was."""

import fcntl
import json
import os
import platform
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import jax

from mime.configuration import parsing
from mime.configuration.keys import Configuration
from mime.errors import UserError
from mime.runs.files import digest, write_atomically
from mime.version import __version__

OWNED = (
    "config.json",
    "policy.safetensors",
    "dynamics.safetensors",
    "policy.th",
    "dynamics.th",
    "policy.onnx",
    "checkpoints",
    "train_log.txt",
    "train_result.csv",
    "test_log.txt",
    "test_result.csv",
    "unseen_log.txt",
    "unseen_result.csv",
    "train_trajectories",
    "test",
    "unseen",
    "figures",
)
# Of the folder's files; a change that an older version could not read gets a new number.
FORMAT = 2
# What a reader of an older format has to know.
OLDER = {1: "in which eta was a logit and the warm-up an iteration shorter"}
EVENTS = "events.out.tfevents.*"
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

    def weights(self, name: str) -> Path:
        """The file of exported weights of that name."""
        return self.path / f"{name}.safetensors"

    def owned_files(self) -> list[Path]:
        """What is there that a run wrote."""
        named = [self.path / name for name in OWNED]
        return [path for path in named if path.exists()] + sorted(self.path.glob(EVENTS))

    def begin(self, experiment: Configuration, seed: int, *, resume: bool, overwrite: bool) -> None:
        """Make the folder ready for training, and write down what is to be trained.

        Args:
            experiment: The configuration.
            seed: Of everything random.
            resume: Continue the run that is there.
            overwrite: Delete what an earlier run wrote, and nothing else.

        Raises:
            UserError: If there is nothing to continue, or it is something else, or must not be overwritten.
        """
        if resume:
            _require_same(*self.read_config(), experiment, seed)
            self.lock()
        else:
            self.create(overwrite=overwrite)
        self.write_config(experiment, seed)

    def create(self, *, overwrite: bool) -> None:
        """Make the folder ready for a new run.

        Args:
            overwrite: Delete what an earlier run wrote, and nothing else.

        Raises:
            UserError: If an earlier run is there and may not be overwritten, or the folder cannot be written.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self.lock()
            existing = self.owned_files()
            if existing and not overwrite:
                raise UserError(
                    f"{self.path}: holds a run already ({existing[0].name}). Choose another --output-folder, continue"
                    " it with --resume, or replace it with --overwrite"
                )
            for path in existing:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        except OSError as error:
            raise UserError(f"{self.path}: cannot be written: {error.strerror}") from None

    def lock(self) -> None:
        """Keep other processes from writing here until this one ends.

        Raises:
            UserError: If another process has the lock.
        """
        self._lock = os.open(self.path / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(self._lock, 32, 0).decode() or "unknown"
            raise UserError(
                f"{self.path}: process {owner} is training here; wait for it, or choose another --output-folder"
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
            num_batches, num_steps, seed: Of the test.
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
                f"{self.path}: is not a run folder: it has no config.json. Train one with train.py"
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
        if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
            raise UserError(f"{path}: seed: {seed!r} must be a whole number, 0 or more")
        return parsing.parse(keys, source=str(path)), seed


def _require_same(old: Configuration, old_seed: int, new: Configuration, new_seed: int) -> None:
    before, after = old.as_keys() | {"seed": old_seed}, new.as_keys() | {"seed": new_seed}
    changed = [key for key in before if before[key] != after.get(key) and key != old.LENGTH]
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
