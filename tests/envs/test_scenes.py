"""Pictures of trajectories: that what happened can be seen in them, and nothing else."""

import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Circle

from mime.envs import scenes
from mime.envs.scenes import caption, draw
from mime.runs.rendering import trajectories
from mime.sampling.episodes import Episodes
from tests.envs.rollouts import ENVIRONMENTS, KEY, play


def picture(environment, tasks, episodes, title):
    return scenes.picture(environment, tasks, trajectories(episodes), title)


def drawn(environment, tasks, episodes):
    """The panel after `draw`."""
    axes = Figure().add_subplot()
    draw(environment, axes, jax.tree.map(np.asarray, tasks), trajectories(episodes))
    return axes


def lines(axes):
    """(vertices, colour, width) of every path, the thin ones first."""
    found = []
    for collection in axes.collections:
        if isinstance(collection, LineCollection):
            colours, width = collection.get_colors(), collection.get_linewidths()[0]
            found += [(path.vertices, tuple(c[:3]), width) for path, c in zip(collection.get_paths(), colours)]
    return found


@pytest.fixture(params=ENVIRONMENTS, scope="module")
def scene(request):
    environment, tasks = ENVIRONMENTS[request.param]
    return environment, tasks, play(environment, tasks)


def test_a_picture_is_an_image_that_shows_the_episodes(scene):
    environment, tasks, episodes = scene
    image = picture(environment, tasks, episodes, "Iteration 3")
    assert image.dtype == np.uint8
    assert image.shape == (600, 600, 3)
    assert (image < 250).any(axis=2).mean() > 0.005
    np.testing.assert_array_equal(picture(environment, tasks, episodes, "Iteration 3"), image)
    on_device = jax.tree.map(jnp.asarray, episodes)
    np.testing.assert_array_equal(picture(environment, tasks, on_device, "Iteration 3"), image)
    assert (picture(environment, tasks, play(environment, tasks, scale=0.3), "Iteration 3") != image).any()


def test_only_valid_steps_are_drawn(scene):
    environment, tasks, episodes = scene

    def with_tail(value, outcome):
        valid = episodes.valid.copy()
        valid[..., 20:] = False
        values = {
            name: np.where(valid.reshape(valid.shape + (1,) * (field.ndim - 3)), field, value)
            for name, field in vars(episodes).items()
            if name not in ("valid", "success") and field is not None
        }
        values |= {"valid": valid, "success": np.where(valid, episodes.success, outcome)}
        leaves = [values[name] for name in vars(episodes) if name in values]
        return jax.tree.unflatten(jax.tree.structure(episodes), leaves)

    image = picture(environment, tasks, with_tail(0.0, False), "")
    np.testing.assert_array_equal(picture(environment, tasks, with_tail(0.7, True), ""), image)
    assert (picture(environment, tasks, episodes, "") != image).any()


def test_pictures_need_no_pyplot(scene, monkeypatch):
    environment, tasks, episodes = scene
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    picture(environment, tasks, episodes, "")


def test_the_caption_counts_returns_and_successes():
    success = np.zeros((4, 5, 10), bool)
    success[0, :, 3], success[1, 0, 9], success[2, 0, 8] = True, True, True
    valid = np.ones((4, 5, 10), bool)
    valid[2, 0, 8:] = False
    rewards = np.where(np.arange(10) == 0, 1234.5, 0.0) * np.ones((4, 5, 1))
    episodes = Episodes(
        observations=jnp.zeros((4, 5, 10, 2)),
        actions=jnp.zeros((4, 5, 10, 2)),
        rewards=jnp.asarray(rewards, jnp.float32),
        next_observations=jnp.zeros((4, 5, 10, 2)),
        success=jnp.asarray(success),
        valid=jnp.asarray(valid),
    )
    assert caption(trajectories(episodes)) == "return 1,234.50 · solved 2 of 4 tasks · 30% of trajectories"


@pytest.mark.parametrize("name", ["ring", "house"])
def test_paths_have_the_colour_of_their_goal_and_success_stands_out(name):
    environment, tasks = ENVIRONMENTS[name]
    if name == "ring":
        # The first goal is reached on a straight line, the second one is missed.
        episodes = play(environment, tasks, actions=jnp.array([[0.05, 0.0], [0.0, -0.05]]), scale=0.0)
    else:
        episodes = play(environment, tasks)
        assert not episodes.success.any()
        episodes.success[0, :, 5] = True
    axes = drawn(environment, tasks, episodes)
    circles = [each for each in axes.patches if isinstance(each, Circle) and each.radius == environment.success_radius]
    discs, rims = ([each for each in circles if each.get_fill() == fill] for fill in (True, False))
    for shapes in (discs, rims):
        np.testing.assert_array_equal([each.center for each in shapes], tasks)
    assert min(rim.get_zorder() for rim in rims) > max(lines.get_zorder() for lines in axes.collections[:-1])
    reached, missed = discs
    assert to_rgb(reached.get_edgecolor()) != to_rgb(missed.get_edgecolor())
    assert reached.get_facecolor()[3] > missed.get_facecolor()[3]

    paths = lines(axes)
    assert len(paths) == 6
    widths = {colour: width for _, colour, width in paths}
    assert widths[to_rgb(reached.get_edgecolor())] > 1.5 * widths[to_rgb(missed.get_edgecolor())]
    for disc, task in ((reached, 0), (missed, 1)):
        own = [vertices for vertices, colour, _ in paths if colour == to_rgb(disc.get_edgecolor())]
        assert len(own) == 3
        for trajectory, vertices in enumerate(own):
            np.testing.assert_allclose(vertices[0], episodes.observations[task, trajectory, 0, :2], atol=1e-6)
            np.testing.assert_allclose(vertices[1:], episodes.next_observations[task, trajectory, :, :2], atol=1e-6)


def test_limits_contain_the_ring_whatever_happened():
    environment, tasks = ENVIRONMENTS["ring"]
    panels = [drawn(environment, tasks, play(environment, tasks, scale=scale)) for scale in (0.01, 10.0)]
    assert panels[0].get_xlim() == panels[1].get_xlim() == panels[0].get_ylim() == panels[1].get_ylim()
    assert panels[0].get_xlim()[0] <= -environment.high - environment.success_radius
    assert panels[0].get_xlim()[1] >= environment.high + environment.success_radius
    assert panels[0].get_aspect() == 1


def test_the_house_is_drawn_from_the_walls_that_block():
    environment, tasks = ENVIRONMENTS["house"]
    axes = drawn(environment, tasks, play(environment, tasks, num_trajectories=1))
    (image,) = axes.images
    shades = np.asarray(image.get_array())[..., 0]
    np.testing.assert_array_equal(shades < 0.5, environment.walls.T)
    assert image.origin == "lower"
    # The centre of cell k lies at k / 10, as in round(10 x).
    np.testing.assert_allclose(image.get_extent(), [-0.05, 9.95, -0.05, 9.95])


def test_a_dog_keeps_its_colour_in_every_batch():
    environment, _ = ENVIRONMENTS["house"]
    all_dogs = environment.sample_tasks(KEY, 3)
    for dogs in (all_dogs, all_dogs[1:], all_dogs[2:]):
        axes = drawn(environment, dogs, play(environment, dogs, num_trajectories=1))
        last = [disc for disc in axes.patches if isinstance(disc, Circle)][-1]
        assert to_rgb(last.get_edgecolor()) == to_rgb("#117733")


def test_angles_wrap_without_vertical_lines():
    environment, tasks = ENVIRONMENTS["pendulum"]
    episodes = play(environment, tasks, scale=3.0)
    axes = drawn(environment, tasks, episodes)
    assert axes.get_ylim() == (-180, 180)
    paths = lines(axes)
    assert len(paths) == 18
    for vertices, _, _ in paths:
        assert np.nanmax(np.abs(np.diff(vertices[:, 1]))) < 180
    vertices = np.concatenate([path for path, _, _ in paths])
    visible = vertices[np.abs(vertices[:, 1]) <= 180]
    cosine, sine = np.moveaxis(episodes.next_observations[..., :2], -1, 0).astype(np.float64)
    angles = np.degrees(np.arctan2(sine, cosine))
    assert (np.abs(np.diff(angles, axis=-1)) > 180).any()
    expected = np.stack([np.broadcast_to(0.1 * np.arange(1, 51), angles.shape).ravel(), angles.ravel()], axis=1)
    gaps = np.abs(expected[:, None] - visible[None]).max(axis=2).min(axis=1)
    assert gaps.max() < 1e-3


def test_rods_have_one_colour_each_and_a_legend():
    environment, _ = ENVIRONMENTS["pendulum"]
    tasks = environment.sample_tasks(KEY, 12)
    axes = drawn(environment, tasks, play(environment, tasks, num_trajectories=1))
    texts = [text.get_text() for text in axes.get_legend().get_texts()]
    assert texts == [f"m {mass}  l {length}" for mass in (0.5, 0.7) for length in (0.4, 0.5, 0.7)]
    colours = [colour for _, colour, _ in lines(axes)]
    of_rods = {}
    for mass, length, colour in zip(np.asarray(tasks.mass), np.asarray(tasks.length), colours):
        of_rods.setdefault((mass, length), set()).add(colour)
    assert all(len(used) == 1 for used in of_rods.values())
    assert len(set.union(*of_rods.values())) == 6


def test_the_first_success_of_a_swing_is_marked():
    environment, tasks = ENVIRONMENTS["pendulum"]
    episodes = play(environment, tasks)
    episodes.success[...] = False
    episodes.success[2, 1, [29, 40]] = True
    axes = drawn(environment, tasks, episodes)
    marks = [np.asarray(points.get_offsets()) for points in axes.collections if not isinstance(points, LineCollection)]
    np.testing.assert_allclose(np.concatenate(marks), [[3.0, 0.0]])


def test_other_environments_show_returns_by_task():
    environment, tasks = ENVIRONMENTS["unknown"]
    episodes = play(environment, tasks)
    episodes.success[...] = False
    episodes.success[1, 2, 5] = True
    solved, not_solved = drawn(environment, tasks, episodes).collections[:2]
    returns = np.sum(episodes.rewards, axis=2)
    np.testing.assert_allclose(solved.get_offsets()[:, 1], [returns[1, 2]], rtol=1e-6)
    assert np.round(solved.get_offsets()[0, 0]) == 1
    expected = [*returns[0], *returns[1, :2]]
    np.testing.assert_allclose(not_solved.get_offsets()[:, 1], expected, rtol=1e-6)


@pytest.mark.parametrize("name", ["ring", "pendulum"])
def test_twenty_tasks_of_twenty_trajectories_are_drawn_quickly(name):
    environment, _ = ENVIRONMENTS[name]
    tasks = environment.sample_tasks(KEY, 20)
    episodes = play(environment, tasks, num_trajectories=20)
    seconds = []
    for _ in range(3):
        # Time of this process alone, so that a busy machine does not fail the test.
        start = time.process_time()
        picture(environment, tasks, episodes, "")
        seconds.append(time.process_time() - start)
    assert min(seconds) < 1
