"""Every code block of the README and the documentation is run, or says why not."""

import json
import os
import sys
from functools import partial

import pytest

import mime
from mime.commands import check, export, render, replay, study, test, train
from tests.conftest import ROOT
from tests.documentation import NOT_CODE, SIZES, HereAndNow, Reader, blocks, pages

PAGES = [page for page in pages() if any("skip" not in block.words for block in blocks(page))]
TUTORIALS = [page for page in PAGES if page.parent.name == "tutorials"]


def name_of(page):
    return str(page.relative_to(ROOT))


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """An empty folder with the repository's configurations and results; the commands run in this process."""
    for name in ("configs", "results", "examples"):
        os.symlink(ROOT / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    for module in (check, export, render, replay, test, train):
        monkeypatch.setattr(module, "prepare_jax", lambda: None)
    monkeypatch.setattr(study, "_pool", lambda options: HereAndNow())
    yield tmp_path
    # The next page may have a file of the same name.
    for name, module in list(sys.modules.items()):
        if (getattr(module, "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.fixture(scope="module")
def small_run(tmp_path_factory):
    """A run of the dense point robot as small as it can be."""
    path = tmp_path_factory.mktemp("shared") / "run"
    mime.train(mime.load_experiment("2d-navigation-dense", **SIZES), path)
    return path


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_block_works(page, desk, small_run, monkeypatch):
    monkeypatch.setattr(mime, "load_experiment", partial(shortened, mime.load_experiment))
    reader = Reader(desk, run=small_run)
    for block in blocks(page):
        reader.follow(block)


def shortened(load, path, **keys):
    """An experiment as small as it can be."""
    return load(path, **keys | SIZES)


@pytest.mark.learning
@pytest.mark.parametrize("page", TUTORIALS, ids=name_of)
def test_tutorials_work_at_full_length(page, desk):
    reader = Reader(desk, short=False)
    for block in blocks(page):
        reader.follow(block)


def test_every_block_has_a_language_and_a_reason_where_it_is_not_run():
    told = [(name_of(page), block) for page in pages() for block in blocks(page)]
    languages = {*NOT_CODE, "sh", "python", "yaml"}
    assert [f"{page}:{block.line}" for page, block in told if block.language not in languages] == []
    assert [f"{page}:{block.line}" for page, block in told if not block.words.get("skip", "a reason")] == []


def test_the_notebook_runs(desk, monkeypatch):
    monkeypatch.setattr(mime, "load_experiment", partial(shortened, mime.load_experiment))
    notebook = json.loads((ROOT / "examples" / "notebook.ipynb").read_text(encoding="utf-8"))
    names = {}
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]), names)
    assert len(names["rows"]) == SIZES["num_batches"] + SIZES["pre_epochs"]
    assert len(names["walk"](names["after"])) > 1
