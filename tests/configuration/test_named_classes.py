"""Classes that a configuration names: found in the current folder, or refused with the way out."""

import sys

import pytest

from mime.configuration.named_classes import import_class, is_class_name


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty current folder that Python does not know of."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return tmp_path


@pytest.mark.parametrize(("name", "is_one"), [("a:B", True), ("a.b_1:C", True), ("a:B-v0", False), ("rnd", False)])
def test_form(name, is_one):
    assert is_class_name(name) == is_one


def test_a_file_in_the_current_folder_is_found(here):
    (here / "lamp_of_mine.py").write_text("class Lamp:\n    watts = 7\n")
    assert import_class("lamp_of_mine:Lamp").watts == 7
    with pytest.raises(ValueError, match=r"does not exist: .*lamp_of_mine\.py has no Torch"):
        import_class("lamp_of_mine:Torch")


def test_a_file_does_not_stand_in_for_an_installed_module(here):
    (here / "colorsys.py").write_text("raise SystemExit")
    assert import_class("colorsys:rgb_to_hls") is not None


def test_a_missing_file_is_told_with_the_folder(here):
    with pytest.raises(ValueError, match=r"Is this the folder that holds nowhere_at_all\.py\? It is ") as caught:
        import_class("nowhere_at_all:Thing")
    assert str(here) in str(caught.value)


def test_what_a_module_raises_is_told(here):
    (here / "broken_of_mine.py").write_text("1 / 0\n")
    with pytest.raises(ValueError, match=r"cannot be imported: ZeroDivisionError: division by zero$"):
        import_class("broken_of_mine:Thing")
