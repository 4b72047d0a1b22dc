"""YAML: what one reader takes for another thing than the next is refused."""

import pytest

from mime.configuration import parsing
from mime.configuration.yaml_text import parse_yaml
from mime.errors import UserError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: 1e-3", {"a": 0.001}),
        ("a: -1.5E3", {"a": -1500.0}),
        ("a: 0", {"a": 0}),
        ("a: 0.5", {"a": 0.5}),
        ("a: '1:30'", {"a": "1:30"}),
        ("a: '010'", {"a": "010"}),
        ("a: 1e", {"a": "1e"}),
        ("a: &x {b: 1, c: 2}\nd:\n  <<: *x\n  b: 3", {"a": {"b": 1, "c": 2}, "d": {"b": 3, "c": 2}}),
        ("", None),
    ],
)
def test_what_is_clear_is_read(text, value):
    assert parse_yaml(text) == value


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: 1\nb: 2\na: 3", "a is given twice, in lines 1 and 3"),
        ("b: {a: 1, a: 1}", "a is given twice"),
        ("a: 1:30", "line 1: 1:30 is one number in YAML 1.1 and another, or text, in 1.2"),
        ("a: 1:30.5", "1:30.5 is one number"),
        ("a: [1, 010]", "010 is one number"),
        ("a: 2026-13-45", "is not YAML: month"),
        ("a: [", "is not YAML"),
        ("[" * 2000, "is not YAML"),
    ],
)
def test_what_is_not_is_refused_with_its_place(text, words):
    with pytest.raises(ValueError, match=words):
        parse_yaml(text)


@pytest.mark.parametrize("text", ["fast-lr: 0.1\nfast_lr: 0.5", "fast-lr: 0.1\nfast-lr: 0.5"])
def test_a_key_that_comes_twice_is_refused_however_it_is_spelt(tmp_path, text):
    path = tmp_path / "twice.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=r"fast-lr:? is given twice"):
        parsing.load(path)


def test_a_scale_may_spell_its_keys_otherwise(tmp_path):
    path = tmp_path / "scaled.yaml"
    path.write_text("fast-lr: 0.1\nscales: {small: {fast_lr: 0.5}}")
    assert parsing.load(path, scale="small").fast_lr == 0.5
