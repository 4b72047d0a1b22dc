"""Films of trained runs."""

from itertools import pairwise

import jax
import numpy as np
import pytest
from PIL import Image

from mime.configuration.parsing import parse
from mime.envs import registration
from mime.errors import UserError
from mime.numerics.parallel import repeated
from mime.policies.making import make_policy
from mime.runs import rendering
from mime.runs.folder import RunFolder
from mime.runs.rendering import filmed, render
from mime.runs.training import train
from mime.sampling.hosted import numpy_policies
from mime.sampling.resources import Resources
from tests.small_runs import run, small

pytestmark = pytest.mark.usefixtures("shared_learners")

TOY = "tests.sampling.toy:Toy"
KEY = jax.random.key(0)


def hosted_run(path, **keys):
    """Train for an iteration in worker processes."""
    folder = RunFolder(path)
    experiment = small(num_batches=1, pre_epochs=0, **keys)
    train(experiment, folder, seed=0, resources=Resources(1))
    return folder


def test_an_animation_of_drawn_trajectories(tmp_path, monkeypatch):
    monkeypatch.setattr(rendering, "GIF_FRAMES", 3)
    run(tmp_path / "run", num_batches=1, pre_epochs=0)
    folder = RunFolder(tmp_path / "run")
    path = render(folder, task=None, num_steps=1, seed=1)
    with Image.open(path) as film:
        assert (path.parent, film.format, film.n_frames) == (folder.figures, "GIF", 6)
        frames = []
        for number in range(6):
            film.seek(number)
            frames.append(np.asarray(film.convert("RGB")))
    assert all(np.any(one != other) for one, other in pairwise(frames))
    with pytest.raises(UserError, match="have no names"):
        render(folder, task="north", num_steps=1, seed=1)


def test_a_film_shows_the_task_before_and_after(tmp_path, monkeypatch):
    folder = hosted_run(tmp_path / "run", env_name=TOY, env_kwargs={"max_episode_steps": 6})
    written = {}
    monkeypatch.setattr(rendering, "_write_mp4", lambda path, frames: written.update({path: frames}))
    path = render(folder, task=" 0.47", num_steps=2, seed=1, resources=Resources(1))
    assert path.name.startswith("render-goal-0-47368")
    frames = np.array(written[path])
    assert frames.shape == (12, 4, 5, 3)
    assert (frames[:, 0, 0, 1] == 147).all(), "green shows the goal: 100 times 0.47 more than 100"
    assert np.any(frames[:6] != frames[6:])
    with pytest.raises(UserError, match="no held-out task is called teapot; there are"):
        render(folder, task="teapot", num_steps=1, seed=1, resources=Resources(1))


def test_a_machine_that_cannot_render_is_told_what_to_install():
    environment = registration.make("tests.sampling.toy:Modules", {"max_episode_steps": 6})
    spaces = environment.observation_space, environment.action_space
    policies = repeated(make_policy(*spaces, hidden_sizes=(4,), nonlinearity="tanh", key=KEY), 1)
    with pytest.raises(UserError, match=r"cannot render here: .*EGL"):
        filmed(environment, numpy_policies(policies)[0], {"goal": 0.0}, KEY)


def test_a_film_of_rl2_shows_the_first_and_the_last_episode_of_a_trial(tmp_path, monkeypatch):
    keys = {"env-name": TOY, "env-kwargs": {"max_episode_steps": 6}, "num-batches": 1, "trials-per-task": 2}
    keys |= {"algorithm": "rl2", "hidden-size": 4, "num-minibatches": 1, "update-epochs": 1, "meta-batch-size": 2}
    folder, filmed_episodes = RunFolder(tmp_path / "run"), []
    train(parse(keys, source="test"), folder, seed=0, resources=Resources(1))
    original = rendering.filmed

    def counted(environment, policy, task, key):
        before = policy.hidden.copy(), policy.started
        frames = original(environment, policy, task, key)
        filmed_episodes.append((before, policy.hidden.copy(), frames))
        return frames

    written = []
    monkeypatch.setattr(rendering, "filmed", counted)
    monkeypatch.setattr(rendering, "_write_mp4", lambda path, frames: written.extend(frames))
    render(folder, task=None, num_steps=2, seed=1, resources=Resources(1))
    assert len(filmed_episodes) == 3
    assert [before[1] for before, _, _ in filmed_episodes] == [False, True, True]
    for (_, after, _), (before, _, _) in pairwise(filmed_episodes):
        np.testing.assert_array_equal(before[0], after)
    np.testing.assert_array_equal(written, filmed_episodes[0][2] + filmed_episodes[-1][2])


@pytest.mark.torture
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("name", "task", "steps"), [("HalfCheetahDir-v1", "-1.0", 20), ("Metaworld-ML1-door-close-v3", "door-close", 20)]
)
def test_films_without_a_display(tmp_path, monkeypatch, name, task, steps):
    pytest.importorskip("mujoco")
    imageio = pytest.importorskip("imageio.v2")
    pytest.importorskip("imageio_ffmpeg")
    monkeypatch.delenv("DISPLAY", raising=False)
    folder = hosted_run(tmp_path / "run", env_name=name, env_kwargs={"max_episode_steps": steps})
    frames = np.array(imageio.mimread(render(folder, task=task, num_steps=1, seed=1), memtest=False))
    assert len(frames) == 2 * steps
    assert frames.std() > 10
    assert np.abs(frames[0].astype(float) - frames[steps - 1]).max() > 30, "the robot moves"
