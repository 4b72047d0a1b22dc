"""A small experiment, and its run in this process."""

from mime.configuration import parsing
from mime.runs.folder import RunFolder
from mime.runs.setup import build_environment
from mime.runs.training import train

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
    return parsing.parse(SMALL | {name.replace("_", "-"): value for name, value in keys.items()}, source="test")


def build(document, *, source="test"):
    """The environment of an experiment's keys."""
    return build_environment(parsing.parse(document, source=source), source=source)


def run(path, *, resume=False, seed=0, **keys):
    """Train the small experiment in this process."""
    return train(small(**keys), RunFolder(path), seed=seed, resume=resume)


def results(path):
    """What must be identical, bit for bit, in two runs of the same seed."""
    names = ("train_result.csv", "policy.safetensors", "dynamics.safetensors")
    return {name: (path / name).read_bytes() for name in names if (path / name).exists()}
