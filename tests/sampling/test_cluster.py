"""Workers on a Ray cluster of this machine."""

import pytest

pytest.importorskip("ray")

from mime.envs import registration
from mime.errors import Failure
from mime.sampling.cluster import RayWorkers
from mime.sampling.hosted import HostedSampler
from tests.sampling.test_hosted import KEY, TASKS, TOY, assert_same, episodes_of, policies_for, sampler

pytestmark = [pytest.mark.torture, pytest.mark.filterwarnings("ignore")]


def on_ray(*, timeout=60.0, **arguments):
    arguments = {"max_episode_steps": 7} | arguments
    workers = RayWorkers(TOY, arguments, address="local", number=2, timeout=timeout)
    return HostedSampler(registration.make(TOY, arguments), 3, workers)


@pytest.fixture(scope="module")
def reference():
    return episodes_of(sampler(number=1))


def test_episodes_are_those_of_local_processes(reference):
    one = on_ray()
    assert_same(one(policies_for(one), TASKS, KEY), reference)
    assert_same(episodes_of(one), reference)


@pytest.mark.parametrize(("failure", "timeout"), [("kill", 60.0), ("raise", 60.0), ("hang", 8.0)])
def test_a_worker_that_fails_once_is_replaced(reference, failure, timeout, tmp_path):
    marker = tmp_path / "happened"
    assert_same(episodes_of(on_ray(failure=failure, marker=str(marker), timeout=timeout)), reference)
    assert marker.exists()


def test_a_task_that_keeps_failing_is_named():
    with pytest.raises(Failure, match=r"\{'goal': 0.4\}.*3 times"):
        episodes_of(on_ray(failure="raise"))
