"""Meta-World without its overhead: the same physics, observations and rewards from faster helpers.

Two thirds of a stock step is Python: looking up bodies by name, SciPy's rotations, loops over contacts. `accelerated`
makes a subclass in which these helpers are replaced, the physics untouched; observations are the same to the bit. A
reset to the same task restores a snapshot in place of simulating the arm's way to its start once more.
"""

import math
from functools import cache
from types import FunctionType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import mujoco
import numpy as np
from metaworld.sawyer_xyz_env import SawyerXYZEnv
from metaworld.types import Task
from metaworld.utils import reward_utils
from scipy.spatial.transform import Rotation

FULL_STATE = mujoco.mjtState.mjSTATE_INTEGRATION
Number = int | float | np.number
FRAME = 18  # Numbers that an observation holds twice: of now, and of one step ago.
# What the overrides are mixed into; a class of Meta-World derives from it already.
_Stock = SawyerXYZEnv if TYPE_CHECKING else object


@cache
def accelerated(kind: type[SawyerXYZEnv]) -> type[SawyerXYZEnv]:
    """The same environment with faster helpers."""
    replaced = {
        name: _with_globals(member, Rotation=_FastRotation, reward_utils=_fast_reward_utils)
        for name, member in vars(kind).items()
        if isinstance(member, FunctionType) and not name.startswith("__")
    }
    return type(f"Accelerated{kind.__name__}", (_Accelerated, kind), replaced)


class _Accelerated(_Stock):
    """Overrides of `SawyerXYZEnv`, each equivalent to what it overrides."""

    def __init__(self, **arguments: Any):
        super().__init__(**arguments)
        self._low, self._high = self.sawyer_observation_space.low, self.sawyer_observation_space.high
        self._pads = tuple(self.data.geom(f"{side}pad_geom").id for side in ("left", "right"))
        self._pristine = _Snapshot(self)
        self._start: tuple[_Snapshot, np.ndarray] | None = None

    def _initialize_simulation(self):
        model, _ = super()._initialize_simulation()
        return model, _NamedViews(model)

    def set_task(self, task: Task) -> None:
        """As stock, but from the state after construction: nothing of an earlier task or episode is left."""
        self._pristine.restore(self)
        self._start = None
        super().set_task(task)

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None):
        """As stock; from the second reset on, by restoring what the first one led to."""
        start = self._start
        if start is None:
            observation, _ = super().reset(seed=seed, options=options)
            start = _Snapshot(self), observation.copy()
        snapshot, observation = start
        snapshot.restore(self)
        self._start = start  # Afterwards: the snapshot is of a time when there was none.
        return observation.copy(), {}

    def step(self, action: np.ndarray):
        """As stock, without its checks."""
        self.set_xyz_action(action[:3])
        if self.curr_path_length >= self.max_path_length:
            raise ValueError("You must reset the env manually once truncate==True")
        self._step_mujoco_simulation((action[-1], -action[-1]), self.frame_skip)
        self.curr_path_length += 1
        for name, position in self._target_site_config:
            self.data.site(name).xpos = position[:3]
        mujoco.mj_forward(self.model, self.data)
        observation = self._get_obs()
        np.maximum(observation, self._low, out=observation)
        np.minimum(observation, self._high, out=observation)
        self._last_stable_obs = observation
        reward, info = self.evaluate_state(observation, action)
        return observation.copy(), reward, False, self.curr_path_length == self.max_path_length, info

    def set_xyz_action(self, action: np.ndarray) -> None:
        change = np.minimum(np.maximum(action, -1), 1) * self.action_scale
        position = np.minimum(np.maximum(self.data.mocap_pos[0] + change, self.mocap_low), self.mocap_high)
        self.data.mocap_pos[0] = position
        self.data.mocap_quat[0] = (1, 0, 1, 0)

    def _get_obs(self) -> np.ndarray:
        frame = self._get_curr_obs_combined_no_goal()
        goal = np.zeros(3) if self._partially_observable else self._get_pos_goal()
        observation = np.concatenate((frame, self._prev_obs, goal))
        self._prev_obs = frame
        return observation

    def _get_curr_obs_combined_no_goal(self) -> np.ndarray:
        data, frame = self.data, np.zeros(FRAME)
        frame[:3] = data.body("hand").xpos
        apart = data.body("rightclaw").xpos - data.body("leftclaw").xpos
        frame[3] = min(max(math.sqrt(apart.dot(apart)) / 0.1, 0.0), 1.0)
        positions, quaternions = self._get_pos_objects(), self._get_quat_objects()
        for number in range(len(positions) // 3):
            place = 4 + 7 * number
            frame[place : place + 3] = positions[3 * number : 3 * number + 3]
            frame[place + 3 : place + 7] = quaternions[4 * number : 4 * number + 4]
        return frame

    @property
    def tcp_center(self) -> np.ndarray:
        return (self.data.site("rightEndEffector").xpos + self.data.site("leftEndEffector").xpos) / 2.0

    def touching_object(self, object_geom_id: int) -> bool:
        contact = self.data.contact
        geoms = contact.geom
        touching = (geoms == object_geom_id).any(axis=1)
        if not touching.any():
            return False
        forces = self.data.efc_force
        for pad in self._pads:
            addresses = contact.efc_address[touching & (geoms == pad).any(axis=1)]
            if not sum(forces[address] for address in addresses) > 0:
                return False
        return True


class _NamedViews(mujoco.MjData):
    """Simulation data that looks up each name once; the views stay valid, as MuJoCo allocates its arrays once."""

    def __init__(self, model: mujoco.MjModel):
        super().__init__(model)
        self.body, self.geom, self.site = cache(super().body), cache(super().geom), cache(super().site)


class _Snapshot:
    """The state of an environment: MuJoCo's, the poses a task may have changed in its model, and plain attributes."""

    def __init__(self, env: SawyerXYZEnv):
        self._state = np.empty(mujoco.mj_stateSize(env.model, FULL_STATE))
        mujoco.mj_getState(env.model, env.data, self._state, FULL_STATE)
        self._body_positions, self._site_positions = env.model.body_pos.copy(), env.model.site_pos.copy()
        self._attributes = {name: value for name, value in vars(env).items() if isinstance(value, _PLAIN)}
        # An array may be changed in place, and may be a view of another one, or of MuJoCo's memory.
        self._contents = [(value, value.copy()) for value in self._attributes.values() if isinstance(value, np.ndarray)]

    def restore(self, env: SawyerXYZEnv) -> None:
        """Return to the state."""
        vars(env).update(self._attributes)
        for array, content in self._contents:
            if array.flags.writeable:
                array[...] = content
        env.model.body_pos[:], env.model.site_pos[:] = self._body_positions, self._site_positions
        mujoco.mj_resetData(env.model, env.data)
        mujoco.mj_setState(env.model, env.data, self._state, FULL_STATE)
        mujoco.mj_forward(env.model, env.data)
        # The solver starts from its last solution: that, too, has to be the old one.
        mujoco.mj_setState(env.model, env.data, self._state, FULL_STATE)


_PLAIN = (int, float, bool, str, tuple, type(None), np.ndarray, np.generic)


def _with_globals(function: FunctionType, **replacements: Any) -> FunctionType:
    """The function, to which some names of its module mean something else."""
    copy = FunctionType(
        function.__code__,
        function.__globals__ | replacements,
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )
    copy.__kwdefaults__ = function.__kwdefaults__
    return copy


class _FastRotation:
    """What Meta-World uses of SciPy's `Rotation`: the quaternion (x, y, z, w) of one rotation matrix."""

    def __init__(self, matrix: np.ndarray):
        self._matrix = matrix

    from_matrix = classmethod(lambda kind, matrix: kind(matrix))

    def as_quat(self) -> np.ndarray:
        """SciPy's own steps; matrices that are not orthogonal to 1e-12 are left to SciPy."""
        rows = self._matrix.tolist()
        if not _orthogonal(rows):
            return Rotation.from_matrix(self._matrix).as_quat()
        (a, b, c), (d, e, f), (g, h, i) = rows
        trace = a + e + i
        largest = max(a, e, i, trace)
        if largest == a:
            quaternion = (1 - trace + 2 * a, d + b, g + c, h - f)
        elif largest == e:
            quaternion = (d + b, 1 - trace + 2 * e, h + f, c - g)
        elif largest == i:
            quaternion = (g + c, h + f, 1 - trace + 2 * i, d - b)
        else:
            quaternion = (h - f, c - g, d - b, 1 + trace)
        x, y, z, w = quaternion
        norm = math.sqrt(x * x + y * y + z * z + w * w)
        return np.array([x / norm, y / norm, z / norm, w / norm])


def _orthogonal(rows: list[list[float]]) -> bool:
    for first in range(3):
        for second in range(first, 3):
            product = sum(p * q for p, q in zip(rows[first], rows[second]))
            if not abs(product - (first == second)) < 1e-12:
                return False
    (a, b, c), (d, e, f), (g, h, i) = rows
    return a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g) > 0


def _tolerance(
    x: Number | np.ndarray,
    bounds: tuple[Number, Number] = (0.0, 0.0),
    margin: Number = 0.0,
    sigmoid: str = "gaussian",
    value_at_margin: Number = 0.1,
) -> Number | np.ndarray:
    """`reward_utils.tolerance` for numbers; arrays, rare shapes and mistakes are left to the original."""
    lower, upper = bounds
    rare = sigmoid not in ("gaussian", "long_tail") or not margin >= 0 or lower > upper or value_at_margin != 0.1
    if rare or isinstance(x, np.ndarray):
        return reward_utils.tolerance(x, bounds, margin, sigmoid, value_at_margin)
    if lower <= x <= upper:
        return 1.0
    if margin == 0:
        return 0.0
    distance = float(lower - x if x < lower else x - upper) / float(margin)
    if sigmoid == "long_tail":
        return 1 / ((distance * 3.0) ** 2 + 1)
    return math.exp(-0.5 * (distance * _GAUSSIAN_SCALE) ** 2)


_GAUSSIAN_SCALE = math.sqrt(-2 * math.log(0.1))
_fast_reward_utils = SimpleNamespace(**vars(reward_utils) | {"tolerance": _tolerance})
