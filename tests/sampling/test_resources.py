"""Resources: what cannot be had is refused before a run begins."""

import sys

import pytest

from mime.errors import UserError
from mime.sampling.resources import Resources, make_sampler
from tests import small_runs
from tests.sampling import toy

ENVIRONMENT = {"env-name": f"{toy.__name__}:Toy", "env-kwargs": {"max_episode_steps": 5}}


def test_a_cluster_needs_ray(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delitem(sys.modules, "mime.sampling.cluster", raising=False)
    environment = small_runs.build(ENVIRONMENT)
    with pytest.raises(UserError, match=r"--ray-address needs Ray: in MIME's folder, pip install '\.\[ray\]'"):
        make_sampler(environment, small_runs.small(), 2, Resources(ray_address="local"))


@pytest.mark.parametrize(
    ("resources", "words"),
    [(Resources(num_workers=0), "--num-workers: 0 should"), (Resources(timeout=0), "--rollout-timeout: 0 should")],
)
def test_numbers_that_are_too_small_are_refused(resources, words):
    with pytest.raises(UserError, match=words):
        make_sampler(small_runs.build({}), small_runs.small(), 2, resources)
