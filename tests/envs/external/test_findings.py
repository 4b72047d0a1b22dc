"""What is wrong with an environment is found before anybody trains on it."""

import pytest

from mime.envs.external.findings import findings
from mime.envs.registration import make_hosted
from tests.envs.external import generated
from tests.envs.external.test_checks import GOOD


def found(**options):
    return findings(make_hosted(f"{generated.__name__}:Generated", GOOD | {"max_episode_steps": 3} | options))


def test_nothing_is_found_where_all_is_well():
    assert found() == []


@pytest.mark.parametrize(
    ("options", "mention"),
    [
        ({"returned": "more"}, "observation of shape (3,)"),
        ({"tasks": "half"}, "sample_tasks(4) gave 2 tasks"),
        ({"nan_at": 2}, "rewards are not finite"),
        ({"raise_at": 2}, "raised RuntimeError: as it was told to"),
        ({"actions": "bytes"}, "rounded"),
        ({"success": "score"}, "0.01"),
    ],
)
def test_what_is_wrong_is_found(options, mention):
    assert any(mention in line for line in found(**options))
