"""The variants of the ablation differ from one another, and from their file in what their name says alone."""

import pytest

import mime
from benchmarks.ablation import ALONE, CHEAP, PUBLISHED, REMOVED, SOLVED, VARIANTS, WITHOUT_BONUS, configuration
from mime.configuration.keys import kebab


def differences(configuration, file):
    ours, theirs = configuration.as_keys(), mime.load_experiment(file).as_keys()
    return {key for key in ours if ours[key] != theirs[key]} - {"num-batches"}


@pytest.mark.parametrize("variant", [*REMOVED, *ALONE])
def test_a_variant_changes_what_it_names(variant):
    file, changes = (SOLVED, REMOVED[variant]) if variant in REMOVED else (PUBLISHED, CHEAP | ALONE[variant])
    ours = configuration(variant, 7)
    assert ours.iterations == 7
    assert differences(ours, file) <= {kebab(name) for name in changes}


def test_a_variant_without_bonus_changes_nothing_else():
    keys = {"use-vime", "adapt-eta", "bonus-credit"}
    assert differences(configuration(WITHOUT_BONUS, 7), SOLVED) == keys


def test_all_variants_differ():
    assert len({str(configuration(variant, 7)) for variant in VARIANTS}) == len(VARIANTS)
