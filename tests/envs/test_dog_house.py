"""The dog house against plain loops over its walls, in float64."""

import csv
from collections import deque
from itertools import product
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mime.envs import dog_house
from mime.envs.dog_house import DogHouse, Robot

KEY = jax.random.key(0)
NEIGHBOURS = [move for move in product((-1, 0, 1), repeat=2) if move != (0, 0)]
DOGS = [(2.0, 9.0), (5.3, 4.0), (8.5, 1.3)]
# In steps, to within distance 0.5 of each dog, by breadth-first search below.
SHORTEST_PATHS = [71, 66, 68]


def parse_walls():
    """The cells of walls, by a parser of our own."""
    cells = set()
    with (Path(dog_house.__file__).parent / "dog_house_walls.csv").open() as file:
        for wall in list(csv.reader(file))[1:]:
            line, first, last = (int(number) for number in wall[1:])
            for along in range(first, last + 1):
                cells.add((along, line) if wall[0] == "horizontal" else (line, along))
    return cells


WALLS = parse_walls()


def can_stand(x, y):
    """Whether the 3 × 3 cells around a centre are all inside and free."""
    around = [(x + dx, y + dy) for dx in (-1, 0, 1) for dy in (-1, 0, 1)]
    return all(0 <= a < 100 and 0 <= b < 100 and (a, b) not in WALLS for a, b in around)


FREE = {(x, y) for x in range(100) for y in range(100) if can_stand(x, y)}


def drive(environment, starts, actions):
    """States before and after each step, `[trajectories steps ...]`, as the library would step them."""

    def run(start, row):
        def step(state, action):
            after = environment.transition(state, action, KEY, None)
            return after, (state, after)

        return jax.lax.scan(step, Robot(start, jnp.zeros(())), row)[1]

    before, after = jax.jit(jax.vmap(run))(jnp.asarray(starts, jnp.float32), jnp.asarray(actions, jnp.float32))
    return jax.tree.map(np.asarray, (before, after))


def shortest_path(reached):
    """Cells from the start to the first one that is `reached`, moving to any of eight neighbours."""
    start = (13, 20)
    previous, queue = {start: None}, deque([start])
    while queue:
        cell = queue.popleft()
        if reached(cell):
            path = [cell]
            while previous[path[-1]] is not None:
                path.append(previous[path[-1]])
            return path[::-1]
        for dx, dy in NEIGHBOURS:
            neighbour = cell[0] + dx, cell[1] + dy
            if neighbour in FREE and neighbour not in previous:
                previous[neighbour] = cell
                queue.append(neighbour)
    raise AssertionError("no path")


def test_grids_are_those_of_the_walls():
    expected = np.zeros((100, 100), bool)
    expected[tuple(np.array(sorted(WALLS)).T)] = True
    np.testing.assert_array_equal(DogHouse.walls, expected)
    assert {tuple(cell) for cell in np.argwhere(DogHouse.free_centres).tolist()} == FREE
    # The only gap in the outer wall is the front door; a robot cannot leave through it.
    outer = [cell for cell in product(range(100), repeat=2) if {0, 99} & set(cell)]
    assert {cell for cell in outer if cell not in WALLS} == {(x, 0) for x in range(36, 41)}
    assert (38, 1) in FREE
    assert (38, 0) not in FREE


def test_steps_like_numpy_along_walls():
    rng = np.random.default_rng(0)
    starts = np.array(sorted(FREE))[rng.integers(len(FREE), size=200)] / 10
    # A direction is held for many steps, so that robots reach walls and stay at them.
    held = np.repeat(rng.normal(size=(200, 15, 2)), 20, axis=1) * 10 ** rng.uniform(-2, 6, size=(200, 300, 1))
    actions = (held + 0.03 * rng.normal(size=held.shape)).astype(np.float32)
    before, after = drive(DogHouse(), starts, actions)

    target = before.position.astype(np.float64) + np.clip(actions.astype(np.float64), -0.1, 0.1)
    cells = np.round(10 * target).astype(int)
    free = np.array([tuple(cell) in FREE for cell in cells.reshape(-1, 2).tolist()]).reshape(cells.shape[:2])
    clear = (np.abs(np.abs(10 * target - cells) - 0.5) > 1e-4).all(axis=2)
    assert clear.mean() > 0.99
    assert 0.1 < free.mean() < 0.9
    np.testing.assert_array_equal(after.bump[clear], 1 - free[clear])
    expected = np.where(free[..., None], target, before.position)
    np.testing.assert_allclose(after.position[clear], expected[clear], atol=1e-6)


def test_halves_round_to_even_as_in_numpy(monkeypatch):
    chequered = np.random.default_rng(0).random((100, 100)) < 0.5
    chequered[[0, -1]] = chequered[:, [0, -1]] = False
    monkeypatch.setattr(DogHouse, "free_centres", chequered)
    quarters = np.stack(np.meshgrid(np.arange(0, 9.9, 0.25), np.arange(0, 9.9, 0.25)), axis=-1).reshape(-1, 2)
    x, y = np.round(10 * quarters).astype(int).T
    free = jax.jit(jax.vmap(DogHouse().is_free))(jnp.asarray(quarters, jnp.float32))
    np.testing.assert_array_equal(free, chequered[x, y])


def test_every_wall_cell_blocks_and_a_free_move_resets_bump():
    offsets = [offset for offset in product(range(-2, 3), repeat=2) if max(map(abs, offset)) == 2]
    # From cells at distance 2, one step towards the wall would put the robot's edge on it.
    encounters = [
        ((x + dx, y + dy), (-dx // 2 if abs(dx) == 2 else 0, -dy // 2 if abs(dy) == 2 else 0), (x, y))
        for x, y in WALLS
        for dx, dy in offsets
        if (x + dx, y + dy) in FREE
    ]
    # Of the others nothing can be felt: each is hidden behind walls for every place the robot can stand.
    felt = {wall for _, _, wall in encounters}
    assert len(felt) > 0.7 * len(WALLS)
    hidden = WALLS - felt
    assert not any(max(abs(x - a), abs(y - b)) <= 2 for x, y in hidden for a, b in FREE)

    starts, moves = np.array([start for start, _, _ in encounters]) / 10, np.array([move for _, move, _ in encounters])
    actions = np.stack([0.1 * moves, -0.01 * moves, 0.1 * moves], axis=1)
    _, after = drive(DogHouse(), starts, actions)
    np.testing.assert_array_equal(after.position[:, 0], starts.astype(np.float32))
    np.testing.assert_array_equal(after.bump, np.tile([1.0, 0.0, 1.0], (len(starts), 1)))


def test_a_robot_outside_the_house_is_not_free():
    positions = jnp.array([[-3.0, 5.0], [5.0, 1e6], [-1e6, -1e6], [12.0, 3.0], [9.95, 5.0], [3.8, 0.0]])
    assert not jax.vmap(DogHouse().is_free)(positions).any()


@pytest.mark.parametrize(("dog", "length"), zip(DOGS, SHORTEST_PATHS))
def test_the_shortest_path_leads_to_the_dog(dog, length):
    path = shortest_path(lambda cell: np.hypot(cell[0] / 10 - dog[0], cell[1] / 10 - dog[1]) <= 0.5)
    assert len(path) - 1 == length

    # One step more, towards the dog: the last path ends on the circle, where rounding decides.
    path.append(tuple(path[-1] + np.sign(np.round(10 * np.array(dog)) - path[-1]).astype(int)))
    environment, moves = DogHouse(), np.diff(path, axis=0)
    _, after = drive(environment, np.array([[1.3, 2.0]]), 0.1 * moves[None])
    success = [environment.success(Robot(position, 0.0), jnp.array(dog)) for position in after.position[0]]
    assert not after.bump.any()
    assert success[-1]
    assert not any(success[:-2])


def test_start_and_observation():
    environment = DogHouse()
    state = environment.initial(KEY, None)
    np.testing.assert_array_equal(environment.observation(state, KEY), np.array([1.3, 2.0, 0.0], np.float32))
    bumped = environment.observation(Robot(jnp.array([4.0, 5.0]), jnp.array(1.0)), KEY)
    np.testing.assert_array_equal(bumped, np.array([4.0, 5.0, 1.0], np.float32))
    assert bumped.dtype == np.float32


def test_success_reaches_exactly_to_half_a_unit():
    dog = jnp.array([2.0, 9.0])
    for y, expected in [(8.5, True), (9.5, True), (np.nextafter(np.float32(8.5), 0), False), (9.500001, False)]:
        state = Robot(jnp.array([2.0, y]), jnp.zeros(()))
        assert DogHouse().success(state, dog) == expected
        assert DogHouse().reward(state, jnp.zeros(2), state, KEY, dog) == float(expected)


def test_reward_is_that_of_the_next_state_and_dense_on_request():
    dog, far = jnp.array([2.0, 9.0]), Robot(jnp.array([5.0, 5.0]), jnp.zeros(()))
    near = Robot(dog, jnp.zeros(()))
    assert DogHouse(sparse=True).reward(far, jnp.zeros(2), near, KEY, dog) == 1
    assert DogHouse(sparse=True).reward(near, jnp.zeros(2), far, KEY, dog) == 0
    assert DogHouse(sparse=False).reward(near, jnp.zeros(2), far, KEY, dog) == -5
    assert DogHouse(sparse=False).reward(far, jnp.zeros(2), near, KEY, dog) == 0


def test_low_and_high_are_without_effect():
    action = jnp.array([0.05, -0.02])
    for environment in (DogHouse(), DogHouse(low=8.0, high=9.0), DogHouse(low=3.0, high=1.0)):
        after = environment.transition(environment.initial(KEY), action, KEY)
        np.testing.assert_allclose(after.position, [1.35, 1.98], atol=1e-6)
        np.testing.assert_array_equal(environment.sample_tasks(KEY, 10), np.array(DOGS, np.float32))


@pytest.mark.parametrize("num_tasks", [1, 2, 3, 20])
def test_a_batch_holds_each_training_dog_once(num_tasks):
    keys = jax.random.split(KEY, 100)
    batches = jax.jit(jax.vmap(lambda key: DogHouse().sample_tasks(key, num_tasks)))(keys)
    assert batches.shape == (100, min(num_tasks, 3), 2)
    known = [tuple(dog) for dog in np.array(DOGS, np.float32).tolist()]
    indices = [[known.index(tuple(dog)) for dog in batch] for batch in batches.tolist()]
    assert all(batch == sorted(set(batch)) for batch in indices)
    counts = np.bincount(np.concatenate(indices).astype(int), minlength=3)
    assert (np.abs(counts - 100 * min(num_tasks, 3) / 3) < 25).all()
    assert np.ptp(counts) > 0 or num_tasks >= 3


def test_unseen_dogs_can_be_reached_and_are_far_from_the_start_and_from_each_other():
    dogs = np.asarray(DogHouse().unseen_batch(0), np.float64)
    for dog in dogs:
        assert shortest_path(lambda cell, dog=dog: np.hypot(*(np.array(cell) / 10 - dog)) <= 0.05)
    others = np.concatenate([dogs, DOGS, [[1.3, 2.0]]])
    distances = np.linalg.norm(dogs[:, None] - others, axis=-1)
    np.fill_diagonal(distances, np.inf)
    assert len(dogs) == 10
    assert distances[:, :10].min() >= 1
    assert distances[:, 10:].min() >= 1.5


def test_test_dogs_are_the_first_and_the_last():
    np.testing.assert_array_equal(DogHouse().test_tasks(), np.array([DOGS[0], DOGS[2]], np.float32))
