"""Our environments as Gymnasium's: registered, checked, the same numbers one by one and as a vector, drawn."""

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import mime  # noqa: F401 (registers the environments)
from mime.envs import registration

NORTH_EAST = np.array([0.1, 0.1], np.float32)
# Gymnasium would have all observations bounded, all spaces larger than a point and all actions in [-1, 1].
pytestmark = pytest.mark.filterwarnings("ignore:.*(infinity|are equal|symmetric).*:UserWarning")


def test_every_environment_written_in_jax_has_an_id():
    ours = {name: spec for name, spec in registration.ENVIRONMENTS.items() if spec.hosted is None}
    assert len(ours) == 9
    for name, spec in ours.items():
        assert registration.make(name, {}).horizon == spec.horizon
        assert gymnasium.spec(f"mime/{name}").max_episode_steps == spec.horizon
        assert spec.gymnasium_id == f"mime/{name}"


@pytest.mark.parametrize("name", ["2DNavigationSparse-v0", "DogNavigation2D-v0", "MetaPendulum-v0", "Bandit-K5-v0"])
def test_gymnasium_finds_nothing_to_complain_of(name):
    check_env(gymnasium.make(f"mime/{name}", max_episode_steps=-1).unwrapped, skip_render_check=True)


def test_the_task_is_an_argument_and_success_is_told():
    env = gymnasium.make("mime/2DNavigationSparse-v0", goal=(1.0, 1.0))
    env.reset(seed=0)
    outcomes = [env.step(NORTH_EAST) for _ in range(100)]
    # Within distance 1 of (1, 1) from (0.3, 0.3) to (1.7, 1.7).
    inside = [3 <= step <= 17 for step in range(1, 101)]
    assert [info["success"] for *_, info in outcomes] == inside
    assert [reward for _, reward, *_ in outcomes] == [float(each) for each in inside]
    assert [truncated for *_, truncated, _ in outcomes] == [False] * 99 + [True]
    assert not any(terminated for _, _, terminated, *_ in outcomes)


def test_episodes_depend_on_the_seed_alone():
    env = gymnasium.make("mime/MetaPendulum-v0", mass=0.5, length=0.7)
    first, again, other = (env.reset(seed=seed)[0] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert not np.array_equal(env.reset()[0], env.reset()[0])


def test_a_vector_of_environments_gives_the_numbers_of_single_ones():
    """Goals are within reach for some of the episodes only, which then start anew while the others go on."""
    arguments = {"goal": (0.3, 0.3), "max_episode_steps": 6}
    envs = gymnasium.make_vec("mime/2DNavigation-v0", num_envs=3, **arguments)
    single = gymnasium.make("mime/2DNavigation-v0", **arguments)
    assert envs.reset(seed=0)[0].shape == (3, 2)
    fast, slow, away = NORTH_EAST, NORTH_EAST / 2, -NORTH_EAST
    steps = [envs.step(np.stack([fast, slow, away])) for _ in range(8)]
    for place, action in enumerate((fast, slow, away)):
        expected = []
        while len(expected) < 8:
            if not expected or expected[-1][2] or expected[-1][3]:
                observation, info = single.reset(seed=0)
                if expected:
                    expected.append((observation, 0.0, False, False, info))
            expected.append(single.step(action))
        for (*arrays, info), (*numbers, one_info) in zip(steps, expected):
            for array, number in zip(arrays, numbers):
                np.testing.assert_allclose(array[place], number, rtol=1e-6)
            assert info["success"][place] == one_info["success"]
    ended = np.array([terminated | truncated for _, _, terminated, truncated, _ in steps])
    assert ended.argmax(axis=0).tolist() == [2, 5, 5]


def test_episodes_of_a_vector_differ_and_start_anew_differently():
    envs = gymnasium.make_vec("mime/MetaPendulum-v0", num_envs=2, max_episode_steps=1)
    start, _ = envs.reset(seed=0)
    assert not np.array_equal(start[0], start[1])
    actions = np.zeros((2, 1), np.float32)
    assert envs.step(actions)[3].all()
    anew = envs.step(actions)[0]
    assert not np.isin(anew, start).any()


def test_the_episode_so_far_is_drawn():
    env = gymnasium.make("mime/2DNavigation-v0", render_mode="rgb_array")
    env.reset(seed=0)
    start = env.render()
    env.step(NORTH_EAST)
    after = env.render()
    assert start.shape == after.shape == (600, 600, 3)
    assert start.dtype == np.uint8
    assert not np.array_equal(start, after)


def test_tasks_can_be_drawn_and_set():
    env = gymnasium.make("mime/2DNavigationSparse-v0").unwrapped
    env.reset(seed=0)
    tasks = env.sample_tasks(3)
    assert all(5 < np.linalg.norm(task) < 9 for task in tasks)
    assert len({float(task[0]) for task in tasks}) == 3
    np.testing.assert_allclose(env.sample_test_tasks(2)[0], [5.5, 0.0])
    env.reset_task(np.zeros(2, np.float32))
    env.reset()
    assert env.step(NORTH_EAST)[4]["success"]


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("2DNavigationSparse-v0", {"goal": (1.0, 2.0, 3.0)}, r"goal: \(1.0, 2.0, 3.0\) must be 2 numbers"),
        ("2DNavigationSparse-v0", {"goal": "north"}, "goal: 'north' must be 2 numbers"),
        ("2DNavigationSparse-v0", {"gaol": (1.0, 2.0)}, "gaol is not an argument .* low, high, .*its task has goal"),
        ("2DNavigationSparse-v0", {"horizon": 3}, "horizon: is called max_episode_steps"),
        ("DogNavigation2D-v0", {"dog": (1.0, 11.0)}, "dog: .* must be 2 numbers from 0 to 10"),
        ("MetaPendulum-v0", {"mass": float("nan")}, "mass: nan must be a number"),
        ("MetaPendulum-v0", {"sparse": "yes"}, "sparse: 'yes'"),
        ("Bandit-K5-v0", {"probabilities": [0.5]}, r"probabilities: \[0.5\] must be 5 numbers from 0 to 1"),
    ],
)
def test_mistakes_are_told_by_name(name, arguments, message):
    with pytest.raises(ValueError, match=message):
        gymnasium.make(f"mime/{name}", **arguments)
