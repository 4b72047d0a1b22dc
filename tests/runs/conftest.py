"""A small run, in this process and as a user would start it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mime import config
from mime.runs.folder import RunFolder
from mime.runs.training import train

ROOT = Path(__file__).parent.parent.parent
SMALL = {
    "env-name": "2DNavigation-v0",
    "hidden-sizes": [8],
    "fast-batch-size": 2,
    "meta-batch-size": 2,
    "num-batches": 7,
    "pre-epochs": 1,
    "dyn-hidden": [4],
    "checkpoint-every": 2,
    "pictures-every": 100,
}
METHODS = {
    "maml": {},
    "noise": {"add-noise": True},
    "expl": {"use-vime": True},
    "mime": {"use-vime": True, "adapt-eta": True, "normalize-spaces": True},
    "e-maml": {"e-maml": True},
}


def small(**keys):
    """The small experiment with other values of some keys."""
    return config.parse(SMALL | {name.replace("_", "-"): value for name, value in keys.items()}, source="test")


def run(path, *, resume=False, seed=0, **keys):
    """Train the small experiment in this process."""
    folder = RunFolder(path)
    if resume:
        folder.lock()
    else:
        folder.create(overwrite=False)
    experiment = small(**keys)
    folder.write_config(experiment, seed)
    try:
        return train(experiment, folder, seed=seed, resume=resume)
    finally:
        folder.unlock()


def results(path):
    """What must be identical, bit for bit, in two runs of the same seed."""
    names = ("train_result.csv", "policy.safetensors", "dynamics.safetensors")
    return {name: (path / name).read_bytes() for name in names if (path / name).exists()}


@pytest.fixture(scope="session")
def environment_variables(tmp_path_factory):
    """Of commands: compiled programs are cached in a folder of this test session."""
    return os.environ | {"XDG_CACHE_HOME": str(tmp_path_factory.mktemp("cache")), "COLUMNS": "200"}


@pytest.fixture
def command(environment_variables):
    """Starts `train.py` or `test.py` with arguments, and by default waits for its end."""

    def start(script, *arguments, wait=True, **options):
        process = subprocess.Popen(
            [sys.executable, str(ROOT / script), *map(str, arguments)],
            env=environment_variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )
        if not wait:
            return process
        out, err = process.communicate(timeout=300)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    return start


@pytest.fixture
def small_yaml(tmp_path):
    """The small experiment as a file."""
    import yaml

    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(SMALL))
    return path
