"""What is wrong with an environment is found before anybody trains on it."""

import pytest

from mime.envs.registration import make_hosted
from mime.sampling.hosted_checks import check_hosted
from tests.envs.external import generated
from tests.envs.external.test_checks import GOOD


def checked(**options):
    return check_hosted(make_hosted(f"{generated.__name__}:Generated", GOOD | {"max_episode_steps": 3} | options))


def test_all_is_well():
    found = checked()
    assert [finding.subject for finding in found] == ["spaces", "horizon", "tasks", "episodes", "seeds", "success"]
    assert all(finding.right for finding in found)


@pytest.mark.parametrize(
    ("options", "mention"),
    [
        ({"returned": "more"}, "observation of shape (3,)"),
        ({"tasks": "half"}, "sample_tasks(3) gives 1 of them"),
        ({"nan_at": 2}, "rewards are not finite"),
        ({"raise_at": 2}, "RuntimeError: as it was told to"),
        ({"success": "score"}, "0.01"),
    ],
)
def test_what_is_wrong_is_the_last_thing_found(options, mention):
    *earlier, last = checked(**options)
    assert all(finding.right for finding in earlier)
    assert not last.right
    assert mention in last.words


def test_what_is_worth_knowing_is_told():
    assert "rounded" in checked(actions="bytes")[0].words
