"""What the documentation shows exists and works."""

import importlib
import re
import subprocess
import sys

import pytest
import yaml

from mime.configuration.gradients import Experiment
from mime.configuration.keys import kebab
from mime.configuration.pearl import PearlExperiment
from mime.configuration.rl2 import Rl2Experiment
from mime.envs.registration import ENVIRONMENTS
from tests.conftest import ROOT

DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
NOT_KEYS = {"method", "config", "scale", "num-steps", "output-folder", "task", "format"}


def test_the_navigation_names_every_page():
    def pages(entry):
        if isinstance(entry, str):
            return [entry]
        return [page for each in (entry.values() if isinstance(entry, dict) else entry) for page in pages(each)]

    named = pages(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"])
    assert sorted(named) == sorted(str(page.relative_to(DOCS)) for page in PAGES)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_pictures_and_links_between_pages_exist(page):
    targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_api_pages_name_what_can_be_imported():
    for name in re.findall(r"^::: (\S+)", "\n".join(page.read_text() for page in (DOCS / "api").glob("*.md")), re.M):
        try:
            importlib.import_module(name)
        except ModuleNotFoundError:
            module, _, attribute = name.rpartition(".")
            assert hasattr(importlib.import_module(module), attribute), name


def test_flags_of_the_methods_are_keys():
    keys = {
        kebab(name) for kind in (Experiment, PearlExperiment, Rl2Experiment) for name in kind.model_fields
    } | NOT_KEYS
    flags = {
        flag for page in (DOCS / "methods").glob("*.md") for flag in re.findall(r"--([a-z][a-z-]+)", page.read_text())
    }
    assert len(flags) > 20
    assert flags <= keys


def test_every_environment_is_described():
    text = "".join(page.read_text() for page in (DOCS / "environments").glob("*.md"))
    assert [name for name in ENVIRONMENTS if name.rsplit("-", 2)[0] not in text] == []


def test_the_site_is_built_without_a_complaint(tmp_path):
    pytest.importorskip("mkdocs")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "<math" in (tmp_path / "methods" / "mime" / "index.html").read_text()
