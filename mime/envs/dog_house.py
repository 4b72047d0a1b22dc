"""The dog-feeding robot: a house full of walls, and a hungry dog that the robot cannot see."""

import csv
from importlib.resources import files
from typing import Any, NamedTuple

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from mime.envs.grid import Grid
from mime.envs.task_environment import TaskEnvironment, numbers

Vector = Float[Array, "2"]
Dogs = Float[Array, "tasks 2"]
Cells = Bool[np.ndarray, "columns rows"]

START = (1.3, 2.0)
TRAINING_DOGS = ((2.0, 9.0), (5.3, 4.0), (8.5, 1.3))
TEST_DOGS = (TRAINING_DOGS[0], TRAINING_DOGS[-1])
# Drawn once, uniformly from where the robot can get to, at least 1.5 from the start and the training dogs and 1 from
# each other.
UNSEEN_DOGS = (
    *((5.0, 9.4), (5.1, 5.5), (3.6, 8.7), (3.5, 4.7), (8.1, 6.6)),
    *((2.2, 3.8), (7.6, 3.9), (3.0, 0.2), (5.5, 7.1), (3.9, 1.9)),
)
CELLS_PER_UNIT = 10
CELLS_PER_BLOCK = 5
MAX_DISPLACEMENT = 0.1


class Robot(NamedTuple):
    """State of the robot.

    Attributes:
        position: Coordinates (x, y) from the bottom-left corner of the 10 × 10 house.
        bump: 1 if the last move was refused, else 0.
    """

    position: Vector
    bump: Float[Array, ""]


def load_walls() -> Cells:
    """The house's cells `[x, y]`, 100 × 100 from the bottom-left corner: true where a wall stands."""
    walls = np.zeros((100, 100), bool)
    with (files("mime.envs") / "dog_house_walls.csv").open(encoding="utf-8") as file:
        for wall in csv.DictReader(file):
            line, extent = int(wall["line"]), slice(int(wall["first"]), int(wall["last"]) + 1)
            walls[(extent, line) if wall["orientation"] == "horizontal" else (line, extent)] = True
    return walls


def clear_cells(walls: Cells) -> Cells:
    """The cells on which the robot, which covers 3 × 3 cells, can stand: inside the house and clear of walls."""
    free = np.pad(~walls, 1, constant_values=False)
    return np.asarray(np.lib.stride_tricks.sliding_window_view(free, (3, 3)).all(axis=(2, 3)))


def reachable_blocks(clear: Cells) -> Grid:
    """The house in blocks of 5 × 5 cells, of which those count that hold a cell to which steps lead from the start."""
    from scipy import ndimage  # Whoever trains in another environment need not wait for it.

    rooms, _ = ndimage.label(clear, structure=np.ones((3, 3)))
    reachable = rooms == rooms[tuple(np.rint(CELLS_PER_UNIT * np.array(START)).astype(int))]
    blocks = reachable.reshape(100 // CELLS_PER_BLOCK, CELLS_PER_BLOCK, -1, CELLS_PER_BLOCK).any(axis=(1, 3))
    # A cell's middle is a multiple of its width, so that the first one begins half a cell before 0.
    edge = -0.5 / CELLS_PER_UNIT
    return Grid((edge, edge), CELLS_PER_BLOCK / CELLS_PER_UNIT, blocks)


class DogHouse(TaskEnvironment):
    """A robot in a house of walls, moved by displacements clipped to [-0.1, 0.1], in search of a dog to feed.

    A move that would put the robot, 3 × 3 cells wide, on a wall or outside the house is refused as a whole: there is
    no sliding along walls. The robot then stays where it is and feels a bump. The observation is (x, y, bump); the task
    is the dog's position. Success, and the reward +1, come with every step that ends within distance 0.5 of the dog.
    Exploration is measured in blocks of width 0.5.

    Args:
        low: Without effect; accepted because the published configuration files carry it for this environment.
        high: Without effect, like `low`.
        sparse: If false, the reward is minus the distance to the dog.
    """

    observation_space = gymnasium.spaces.Box(np.zeros(3, np.float32), np.array([10, 10, 1], np.float32))
    action_space = gymnasium.spaces.Box(-MAX_DISPLACEMENT, MAX_DISPLACEMENT, (2,), np.float32)
    horizon = 1000
    success_radius = 0.5
    walls = load_walls()
    free_centres = clear_cells(walls)
    grid = reachable_blocks(free_centres)
    places = (0, 1)

    def __init__(self, *, low: float | None = None, high: float | None = None, sparse: bool = True):
        self.sparse = sparse
        super().__init__()

    def get_default_params(self, *, dog: Any = TRAINING_DOGS[0]) -> Vector:
        """The dog's position; by default the first training dog's."""
        return numbers("dog", dog, (2,), low=0.0, high=10.0)

    def initial(self, rng: PRNGKeyArray, params: Vector | None = None) -> Robot:
        """The start, in the south-west room."""
        return Robot(jnp.array(START), jnp.zeros(()))

    def observation(self, state: Robot, rng: PRNGKeyArray, params: Vector | None = None) -> Float[Array, "3"]:
        """Position and bump."""
        return jnp.append(state.position, state.bump)

    def transition(self, state: Robot, action: Vector, rng: PRNGKeyArray, params: Vector | None = None) -> Robot:
        """The robot after the clipped displacement, or where it was, bumped."""
        target = state.position + jnp.clip(action, -MAX_DISPLACEMENT, MAX_DISPLACEMENT)
        free = self.is_free(target)
        return Robot(jnp.where(free, target, state.position), 1 - free.astype(jnp.float32))

    def is_free(self, position: Vector) -> Bool[Array, ""]:
        """Whether the robot can stand at `position`.

        The centre's cell is round(10 position), halves to even as in NumPy; in float32, so that a position within 1e-6
        of half a cell may fall on either side. No centre on the house's edge is free, so positions beyond it can be
        looked up there.
        """
        centre = jnp.round(CELLS_PER_UNIT * position).astype(jnp.int32)
        x, y = jnp.clip(centre, 0, np.array(self.free_centres.shape) - 1)
        return jnp.asarray(self.free_centres)[x, y]

    def success(self, state: Robot, task: Vector) -> Bool[Array, ""]:
        """Whether the robot is within distance 0.5 of the dog."""
        return jnp.linalg.norm(state.position - task) <= self.success_radius

    def reward(
        self, state: Robot, action: Vector, next_state: Robot, rng: PRNGKeyArray, params: Vector
    ) -> Float[Array, ""]:
        """1 within reach of the dog and 0 elsewhere, or minus the distance."""
        if self.sparse:
            return self.success(next_state, params).astype(jnp.float32)
        return -jnp.linalg.norm(next_state.position - params)

    def sample_tasks(self, key: PRNGKeyArray, num_tasks: int) -> Dogs:
        """Each training dog once; a random subset of them, in their order, if `num_tasks` is smaller."""
        available = len(TRAINING_DOGS)
        chosen = jax.random.choice(key, available, (min(num_tasks, available),), replace=False)
        return jnp.array(TRAINING_DOGS)[jnp.sort(chosen)]

    def test_tasks(self) -> Dogs:
        """The first and the last training dog."""
        return jnp.array(TEST_DOGS)

    def unseen_batch(self, batch: int) -> Dogs:
        """Ten dogs that are not among the training ones."""
        return jnp.array(UNSEEN_DOGS)
