"""Meta-World's tasks as numbers: which there are, and their cache."""

import importlib
import pickle

import numpy as np
import pytest

pytest.importorskip("metaworld")

import metaworld
from metaworld.env_dict import ALL_V3_ENVIRONMENTS, ML10_V3

from mime.envs import registration
from mime.envs.external import metaworld_tasks
from tests.envs.external.stock import PADDING, small_tasks

pytestmark = pytest.mark.filterwarnings("ignore:Constant")


@pytest.fixture(name="small_tasks")
def small_tasks_fixture():
    return small_tasks()


def test_tasks_survive_the_cache(tmp_path, monkeypatch, small_tasks):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    calls = []
    monkeypatch.setattr(metaworld_tasks, "build", lambda *arguments: calls.append(arguments) or small_tasks)
    for _ in range(2):
        loaded = metaworld_tasks.load("ML10", 4)
        assert list(loaded.training) == ["reach-v3", "push-v3"]
        assert loaded.varying == (0, 1, 5)
        np.testing.assert_array_equal(loaded.test["lever-pull-v3"], small_tasks.test["lever-pull-v3"])
    assert calls == [("ML10", 4)]
    metaworld_tasks.load("ML10", 5)
    assert len(calls) == 2
    files = list(metaworld_tasks.cache_folder().iterdir())
    assert sorted(path.name for path in files) == [
        f"ML10-seed{seed}-metaworld{importlib.metadata.version('metaworld')}.npz" for seed in (4, 5)
    ]


@pytest.mark.parametrize("content", [b"", b"not a zip", pickle.dumps(print)])
def test_a_damaged_cache_is_built_anew(tmp_path, monkeypatch, small_tasks, content):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(metaworld_tasks, "build", lambda *arguments: small_tasks)
    metaworld_tasks.load("ML10", 4)
    (path,) = metaworld_tasks.cache_folder().iterdir()
    path.write_bytes(content)
    assert metaworld_tasks.load("ML10", 4).varying == (0, 1, 5)
    assert metaworld_tasks.read(path).varying == (0, 1, 5)


def test_padding_is_found():
    kinds = [ALL_V3_ENVIRONMENTS[kind] for kind in ("reach-v3", "drawer-close-v3")]
    assert set(range(39)) - set(metaworld_tasks._varying(kinds)) == PADDING


@pytest.mark.torture
def test_a_whole_benchmark(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    environment = registration.make("Metaworld-ML10", {})
    assert list(environment.classes) == list(ML10_V3["train"])
    assert list(environment.test_classes) == list(ML10_V3["test"])
    assert set(range(39)) - set(environment.varying) == PADDING
    drawn = metaworld.ML10(seed=0)
    vectors = {split: {} for split in ("training", "test")}
    for split, tasks in (("training", drawn.train_tasks), ("test", drawn.test_tasks)):
        for task in tasks:
            vectors[split].setdefault(task.env_name, []).append(pickle.loads(task.data)["rand_vec"])
    for split, expected in vectors.items():
        for kind, rows in expected.items():
            np.testing.assert_array_equal(getattr(environment.tasks, split)[kind], rows)
