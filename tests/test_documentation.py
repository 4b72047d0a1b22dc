"""Every code block of the README and the documentation is run, or says why not."""

import csv
import json
import os
import shutil
import sys

import pytest

import mime
from mime.commands import check, export, render, replay, study, test, train
from tests.conftest import ROOT
from tests.documentation import NOT_CODE, HastyReader, Reader, blocks, pages

PAGES = [page for page in pages() if any("skip" not in block.words for block in blocks(page))]
WALKS = [page for page in PAGES if page.parent.name == "tutorials" or page.name == "README.md"]
SHORT = {"num_batches": 2, "meta_batch_size": 2, "fast_batch_size": 2}


def name_of(page):
    return str(page.relative_to(ROOT))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder with the repository's configurations and results; commands run in this process."""
    for name in ("configs", "results"):
        os.symlink(ROOT / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    for module in (check, export, render, replay, test, train):
        monkeypatch.setattr(module, "prepare_jax", lambda: None)
    yield tmp_path
    # The next page may have a file of the same name.
    for name, module in list(sys.modules.items()):
        if (getattr(module, "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.fixture(scope="module")
def small_run(tmp_path_factory):
    """A run of the dense point robot as small as it can be, tested."""
    path = tmp_path_factory.mktemp("shared") / "run"
    mime.train(mime.load_experiment("2d-navigation-dense", **SHORT), path)
    mime.evaluate(path, num_batches=3, num_steps=1)
    return path


@pytest.fixture
def hasty(folder, small_run, monkeypatch):
    """A reader who does not wait for anything to be learned, in Python neither."""
    reader = HastyReader(folder, run=small_run)

    def rows(name, report):
        with open(small_run / f"{name}_result.csv", encoding="utf-8") as file:
            read = [
                {key: int(value) if value.isdigit() else value for key, value in row.items()}
                for row in csv.DictReader(file)
            ]
        numbers = [{key: float(value) if "/" in key else value for key, value in row.items()} for row in read]
        for row in numbers:
            report(row)
        return numbers

    def train_at_once(experiment, path, *, seed=0, overwrite=False, report=lambda row: None):
        shutil.copytree(small_run, path)
        rows("train", report)

    def test_at_once(path, *, num_steps=10, report=lambda row: None):
        assert (folder / path / "config.json").exists()
        return rows("test", report)

    monkeypatch.setattr(mime, "train", train_at_once)
    monkeypatch.setattr(mime, "evaluate", test_at_once)
    monkeypatch.setattr(study, "_pool", lambda options: reader)
    return reader


# Gymnasium says it of bandits, which have nothing to observe.
@pytest.mark.filterwarnings("ignore:.*maximum and minimum values are equal:UserWarning")
@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_block_works(page, hasty):
    for block in blocks(page):
        hasty.follow(block)


@pytest.mark.learning
@pytest.mark.parametrize("page", WALKS, ids=name_of)
def test_tutorials_work_at_full_length(page, folder):
    reader = Reader(folder)
    for block in blocks(page):
        reader.follow(block)


def test_every_block_has_a_language_and_a_reason_where_it_is_not_run():
    told = [(name_of(page), block) for page in pages() for block in blocks(page)]
    languages = {*NOT_CODE, "sh", "python", "yaml"}
    assert [f"{page}:{block.line}" for page, block in told if block.language not in languages] == []
    assert [f"{page}:{block.line}" for page, block in told if not block.words.get("skip", "a reason")] == []


def test_the_notebook_runs(hasty):
    notebook = json.loads((ROOT / "examples" / "notebook.ipynb").read_text(encoding="utf-8"))
    names = {}
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]), names)
    assert len(names["rows"]) == SHORT["num_batches"]
    assert len(names["walk"](names["after"])) > 1
