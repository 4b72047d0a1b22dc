"""Episodes collected in worker processes: the same whoever collects them, whatever happens to the workers."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import psutil
import pytest

from mime.envs import registration
from mime.envs.external.hosted_environment import as_tasks
from mime.errors import Failure, UserError
from mime.numerics.parallel import repeated
from mime.policies.making import make_policy
from mime.sampling.hosted import HostedSampler, numpy_policies
from mime.sampling.local import LocalWorkers
from tests.sampling.processes import running
from tests.sampling.toy import Toy

KEY = jax.random.key(3)
TOY = f"{Toy.__module__}:Toy"
TASKS = as_tasks([{"goal": -0.3}, {"goal": 0.4}, {"goal": -0.5}, {"goal": -0.1}, {"goal": -0.8}])
ROOT = Path(__file__).parents[2]


def sampler(name=TOY, *, number=2, timeout=60.0, trajectories=3, **arguments):
    arguments = {"max_episode_steps": 7} | arguments
    environment = registration.make(name, arguments)
    return HostedSampler(environment, trajectories, LocalWorkers(name, arguments, number=number, timeout=timeout))


def policies_for(sampler, num_tasks=5):
    spaces = sampler.environment.observation_space, sampler.environment.action_space
    return repeated(make_policy(*spaces, hidden_sizes=(8,), nonlinearity="tanh", key=KEY), num_tasks)


def episodes_of(sampler, tasks=TASKS, key=KEY):
    try:
        return sampler(policies_for(sampler, len(tasks)), tasks, key)
    finally:
        sampler.close()


def assert_same(one, other):
    for name, values in vars(one).items():
        np.testing.assert_array_equal(values, getattr(other, name), err_msg=name)


@pytest.fixture(scope="module")
def reference():
    """What an undisturbed single worker gives."""
    return episodes_of(sampler(number=1))


def test_shapes_and_types(reference):
    assert reference.observations.shape == reference.next_observations.shape == (5, 3, 7, 2)
    assert reference.actions.shape == (5, 3, 7, 1)
    assert reference.rewards.shape == reference.success.shape == reference.valid.shape == (5, 3, 7)
    assert reference.observations.dtype == reference.rewards.dtype == jnp.float32
    assert reference.valid.dtype == reference.success.dtype == bool


@pytest.mark.parametrize("number", [2, 3])
def test_the_number_of_workers_makes_no_difference(reference, number):
    assert_same(episodes_of(sampler(number=number)), reference)


def test_what_a_worker_did_before_makes_no_difference(reference):
    one = sampler(number=1)
    one(policies_for(one, 2), TASKS[3:], jax.random.key(9))
    assert_same(episodes_of(one), reference)


def test_everything_random_follows_from_key_task_trajectory_and_step(reference):
    other_key = episodes_of(sampler(number=1), key=jax.random.key(4))
    same_task_twice = episodes_of(sampler(number=1), tasks=as_tasks([TASKS[0]] * 2))
    draws = np.concatenate([np.asarray(each.actions)[np.asarray(each.valid)] for each in (reference, other_key)])
    assert len(np.unique(draws)) == draws.size
    assert not np.any(same_task_twice.actions[0, :, 0] == same_task_twice.actions[1, :, 0])
    np.testing.assert_array_equal(same_task_twice.actions[0], reference.actions[0])


def test_observations_follow_each_other(reference):
    valid = np.asarray(reference.valid[:, :, 1:])
    np.testing.assert_array_equal(
        np.asarray(reference.observations[:, :, 1:])[valid], np.asarray(reference.next_observations[:, :, :-1])[valid]
    )


def test_an_episode_ends_when_the_environment_says_so():
    episodes = episodes_of(sampler(number=1, max_episode_steps=400), tasks=as_tasks([{"goal": 0.05}, {"goal": 50.0}]))
    lengths = np.asarray(episodes.valid.sum(axis=-1))
    assert lengths[0].max() < 400
    assert (lengths[1] == 400).all()
    for trajectory, length in enumerate(lengths[0]):
        assert episodes.valid[0, trajectory, :length].all()
        assert episodes.success[0, trajectory, length - 1]
        assert not np.any(episodes.rewards[0, trajectory, length:])


def test_discrete_actions():
    episodes = episodes_of(sampler(discrete=True))
    assert episodes.actions.shape == (5, 3, 7)
    assert jnp.issubdtype(episodes.actions.dtype, jnp.integer)
    assert set(np.unique(episodes.actions)) == {0, 1, 2}


def policies_of(discrete, nonlinearity):
    environment = sampler(discrete=discrete).environment
    spaces = environment.observation_space, environment.action_space
    made = partial(make_policy, *spaces, hidden_sizes=(16, 8), nonlinearity=nonlinearity)
    return jax.vmap(lambda key: made(key=key))(jax.random.split(KEY, 3))


OBSERVATION = np.array([0.7, -1.3], np.float32)


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu", "elu", "sigmoid"])
@pytest.mark.parametrize("discrete", [False, True])
def test_the_numpy_policy_is_the_jax_policy(nonlinearity, discrete):
    policies = policies_of(discrete, nonlinearity)
    for place in range(3):
        ours = jax.tree.map(lambda leaf, place=place: leaf[place], policies)(jnp.asarray(OBSERVATION))
        expected = ours.logits if discrete else ours.mean
        theirs = numpy_policies(policies)[place].output(OBSERVATION)
        np.testing.assert_allclose(theirs, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("discrete", [False, True])
def test_the_numpy_policy_acts_as_the_jax_policy_would(discrete):
    policies = policies_of(discrete, "tanh")
    ours = jax.tree.map(lambda leaf: leaf[1], policies)(jnp.asarray(OBSERVATION))
    theirs = numpy_policies(policies)[1]
    noise = theirs.noise(np.random.default_rng(0), 20_000)
    actions = np.array([theirs.act(OBSERVATION, row) for row in noise])
    if discrete:
        shares = np.bincount(actions, minlength=3) / len(actions)
        np.testing.assert_allclose(shares, jax.nn.softmax(ours.logits), atol=0.02)
    else:
        assert actions.dtype == np.float32
        np.testing.assert_allclose(actions.mean(axis=0), ours.mean, atol=0.03)
        np.testing.assert_allclose(actions.std(axis=0), np.exp(ours.log_std), atol=0.03)


def test_workers_do_without_jax():
    episodes = episodes_of(sampler("tests.sampling.toy:Modules", number=1))
    assert not np.any(episodes.observations[..., 0])
    assert not np.any(episodes.observations[..., 1] == np.float32(os.getpid()))


@pytest.mark.parametrize("failure", ["kill", "raise"])
def test_a_worker_that_fails_once_is_replaced(reference, failure, tmp_path):
    marker = tmp_path / "happened"
    assert_same(episodes_of(sampler(failure=failure, marker=str(marker))), reference)
    assert marker.exists()


def test_a_worker_that_hangs_is_replaced(reference, tmp_path):
    marker = tmp_path / "happened"
    started = time.monotonic()
    assert_same(episodes_of(sampler(failure="hang", marker=str(marker), timeout=4.0)), reference)
    assert marker.exists()
    assert time.monotonic() - started > 4


def test_a_worker_that_was_killed_while_idle_is_replaced(reference):
    one = sampler(number=2)
    one(policies_for(one), TASKS, KEY)
    for worker in children():
        worker.kill()
    assert_same(episodes_of(one), reference)


@pytest.mark.parametrize(("failure", "reason"), [("kill", "signal 9"), ("raise", "the robot fell over")])
def test_a_task_that_keeps_failing_is_named(failure, reason):
    with pytest.raises(Failure, match=r"\{'goal': 0.4\}.*3 times") as raised:
        episodes_of(sampler(failure=failure))
    assert reason in str(raised.value)
    assert not children()


def test_an_environment_that_is_not_what_it_declares_is_refused_at_once():
    with pytest.raises(UserError, match=r"test_hosted:Longer: reset\(\) returned an observation of shape \(3,\)"):
        episodes_of(sampler(f"{__name__}:Longer", number=1))


class Longer(Toy):
    """Observations of another length than it declares."""

    def _observation(self):
        return np.zeros(3)


class Unpicklable:
    """A task that no worker can be sent."""

    def __reduce__(self):
        raise TypeError("it holds a socket")


def test_tasks_that_cannot_be_sent_are_refused():
    with pytest.raises(UserError, match=r"it holds a socket.*file that can be imported"):
        episodes_of(sampler(number=1), tasks=as_tasks([Unpicklable()]))


def test_what_an_environment_starts_ends_with_its_worker(tmp_path):
    marker = tmp_path / "programs"
    marker.touch()
    one = sampler("tests.sampling.toy:Starts", number=1, marker=str(marker))
    episodes_of(one, tasks=TASKS[:1])
    started = [int(pid) for pid in marker.read_text().split()]
    assert marker.with_suffix(".closed").exists()
    # In this process an environment was built for its spaces; nobody can end what it lost.
    mine = set(started) & {child.pid for child in psutil.Process().children()}
    for pid in mine:
        psutil.Process(pid).kill()
    assert len(started) == 4
    workers = [psutil.Process(pid) for pid in set(started) - mine if psutil.pid_exists(pid)]
    # A process that has been killed is there for a moment.
    assert psutil.wait_procs(workers, timeout=10)[1] == []


def test_rewards_that_are_not_finite_are_named(caplog):
    episodes = episodes_of(sampler(failure="nan"))
    assert np.isnan(episodes.rewards[1, :, 0]).all()
    messages = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert messages == ["task {'goal': 0.4}: rewards not finite at trajectory 0, step 0: nan"]


def test_an_interrupt_leaves_no_process(tmp_path, request):
    # A process that was started in the background ignores the signal.
    request.addfinalizer(partial(signal.signal, signal.SIGINT, signal.getsignal(signal.SIGINT)))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    marker = tmp_path / "hanging"
    when(marker, os.kill, os.getpid(), signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        episodes_of(sampler(failure="hang", marker=str(marker)))
    assert not children()


def test_workers_die_with_their_parent(tmp_path):
    marker, pids = tmp_path / "hanging", tmp_path / "pids"
    program = textwrap.dedent(f"""
        import os, signal, sys
        from pathlib import Path
        sys.path.insert(0, {str(ROOT)!r})
        from tests.sampling.test_hosted import TASKS, KEY, children, policies_for, sampler, when

        def die():
            Path({str(pids)!r}).write_text(" ".join(str(child.pid) for child in children()))
            os.kill(os.getpid(), signal.SIGKILL)

        when(Path({str(marker)!r}), die)
        one = sampler(failure="hang", marker={str(marker)!r})
        one(policies_for(one), TASKS, KEY)
    """)
    assert subprocess.run([sys.executable, "-c", program], timeout=120, check=False).returncode == -signal.SIGKILL
    workers = [int(pid) for pid in pids.read_text().split()]
    assert workers
    deadline = time.monotonic() + 20
    while any(map(psutil.pid_exists, workers)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(map(psutil.pid_exists, workers))


def when(marker, action, *arguments):
    """Act, in a thread, as soon as a file exists."""

    def watch():
        while not marker.exists():
            time.sleep(0.05)
        action(*arguments)

    threading.Thread(target=watch, daemon=True).start()


def children():
    """Worker processes of this process."""
    return running("mime.sampling.worker")
