"""Names of packaged configurations."""

import pytest

import mime
from mime.configuration import packaged
from mime.configuration.keys import ConfigurationError
from mime.studies.methods import with_method
from tests.conftest import ROOT

CONFIGS = ROOT / "configs"


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("wide-ring", "msc_project/2d-navigation-wide-ring-sparse.yaml"),
        ("pendulum", "msc_project/pendulum.yaml"),
        ("solved/wide-ring", "solved/2d-navigation-wide-ring-sparse.yaml"),
        ("bandit-5", "tabular/bandit-5.yaml"),
        ("dense", "2d-navigation-dense.yaml"),
    ],
)
def test_names(name, file):
    assert packaged.find(name) == CONFIGS / file


def test_every_file_has_a_name_of_its_own():
    assert sorted(packaged.names().values()) == sorted(CONFIGS.glob("**/*.yaml"))
    assert all(packaged.find(name) == path for name, path in packaged.names().items())


def test_a_path_is_a_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wide-ring").mkdir()
    assert packaged.find("wide-ring").is_file()
    (tmp_path / "dense").write_text("gamma: 0.5")
    assert mime.load_experiment("dense").gamma == 0.5


@pytest.mark.parametrize(("name", "words"), [("ring", "close-ring.* or .*wide-ring.*; say which"), ("x y", "neither")])
def test_what_is_no_name_is_refused(name, words):
    with pytest.raises(ConfigurationError, match=words):
        packaged.find(name)


def test_a_method_by_name_replaces_the_files():
    solved = mime.load_experiment("solved/wide-ring")
    methods = {name: with_method(solved, name, source="").method for name in ("maml", "noise", "expl", "mime")}
    assert methods == {"maml": "MAML", "noise": "MAML+noise", "expl": "MAML+expl", "mime": "MIME"}


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"bonus": "rnd"}, "bonus: has no effect on MAML; add use-vime"),
        ({"dyn_lr": 0.1}, "dyn-lr: has no effect on MAML; add use-vime"),
        ({"use_vime": True, "eta_lr": 1.0}, "eta-lr: has no effect on MAML.expl; add adapt-eta"),
        ({"noise_std": 0.1}, "noise-std: has no effect on MAML; add add-noise"),
    ],
)
def test_keys_without_effect_are_refused(keys, words):
    with pytest.raises(mime.UserError, match=words):
        mime.load_experiment("wide-ring", **keys)
    assert mime.load_experiment("wide-ring", use_vime=True, bonus="rnd").bonus == "rnd"
