"""Pictures of trials, and films of a trained run: an episode before adaptation and one after, of a held-out task."""

import io
import os
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import gymnasium
import jax
import numpy as np
from jaxtyping import UInt8

from mime.configuration.pearl import PearlExperiment
from mime.drawing.trajectories import before_and_after
from mime.envs.environment import Environment
from mime.envs.external.checks import cause
from mime.envs.external.hosted_environment import HostedEnvironment, words_of
from mime.envs.scenes import Trajectories, picture
from mime.envs.task_environment import TaskEnvironment, count_tasks
from mime.errors import UserError, install
from mime.numerics.parallel import repeated
from mime.rl2.learner import Rl2Learner
from mime.runs.files import write_atomically
from mime.runs.folder import RunFolder
from mime.runs.recorder import Recorder
from mime.runs.setup import TESTING, build_environment, load_weights, set_up, stream
from mime.sampling.episodes import Episodes
from mime.sampling.hosted import numpy_policies
from mime.sampling.resources import HERE, Resources
from mime.sampling.rollouts import ActingPolicy, Request, rollout

Frame = UInt8[np.ndarray, "height width 3"]
FRAMES_PER_SECOND = 20
GIF_FRAMES = 30


def draw_trial(
    recorder: Recorder,
    path: Path,
    environment: Environment,
    tasks: Any,
    stages: Sequence[Episodes],
    caption: str,
    x: int,
) -> None:
    """Draw the trajectories of a trial before and after adaptation, in TensorBoard and as a file.

    Args:
        recorder: Gets the TensorBoard images TrainTrajectories and ValidTrajectories.
        path: Of the PNG file with both side by side.
        environment: Where the trial took place.
        tasks: Its tasks, with a leading `tasks` axis.
        stages: Episodes `[tasks trajectories steps ...]`, the first before adaptation and the last after it.
        caption: What the trial was, as "iteration 10".
        x: The images' place on TensorBoard's axis.
    """
    tasks = jax.device_get(tasks)
    before, after = trajectories(stages[0]), trajectories(stages[-1])
    recorder.picture("TrainTrajectories", picture(environment, tasks, before, f"{caption}, before adaptation"), x)
    recorder.picture("ValidTrajectories", picture(environment, tasks, after, f"{caption}, after adaptation"), x)
    path.parent.mkdir(exist_ok=True)
    content = io.BytesIO()
    before_and_after(environment, tasks, before, after, caption).savefig(content, dpi=150)
    write_atomically(path, content.getvalue())


def render(
    folder: RunFolder, *, task: str | None, num_steps: int | None, seed: int, resources: Resources = HERE
) -> Path:
    """Adapt a trained run to a held-out task and film it before and after.

    Args:
        folder: Of the run.
        task: Part of the task's description, as `door-close`; by default the first task.
        num_steps: Steps of adaptation; None for as many as a test takes.
        seed: Of everything random.
        resources: Where the episodes that adaptation learns from are collected.

    Returns:
        The film, in the run's folder of figures: MP4 for environments that render themselves, else an animated GIF.

    Raises:
        UserError: If there is no such task, the run is incomplete, or pictures cannot be made on this machine.
    """
    # MuJoCo looks for a display unless it is told to do without.
    os.environ.setdefault("MUJOCO_GL", "egl")
    folder.figures.mkdir(parents=True, exist_ok=True)
    experiment, run_seed = folder.read_config()
    num_steps = experiment.test_steps if num_steps is None else num_steps
    if isinstance(build_environment(experiment, source=str(folder.config)), TaskEnvironment):
        if task is not None:
            raise UserError("--task: this environment's tasks have no names; all held-out ones are drawn")
        path = folder.figures / "render.gif"
        _write_gif(path, _drawn(folder, num_steps, seed))
        return path
    if isinstance(experiment, PearlExperiment):
        raise UserError(f"{folder.path}: films of PEARL are made of environments written in JAX alone")
    setup, key = set_up(experiment, run_seed, resources, source=str(folder.config)), stream(seed, TESTING)
    environment = setup.environment
    assert isinstance(environment, HostedEnvironment)
    assert setup.sampler is not None
    with closing(setup.sampler):
        tasks, name = _chosen(environment, task)
        acting = _acting(setup.learner, load_weights(folder, setup), tasks, key, num_steps)
    episodes = [filmed(environment, policy, tasks[0], key) for policy in acting]
    path = folder.figures / f"render-{name}.mp4"
    _write_mp4(path, episodes[0] + episodes[-1])
    return path


def _acting(learner: Any, state: Any, tasks: Any, key: jax.Array, num_steps: int) -> list[ActingPolicy]:
    """Who acts in a task's first episode, and in those after it until the last one, which is after adaptation."""
    # The learner's own policies, whose actions are translated where they are taken.
    before = repeated(state.policy, count_tasks(tasks))
    if isinstance(learner, Rl2Learner):
        # One memory, which the episodes in between adapt.
        return numpy_policies(before)[:1] * (num_steps + 1)
    after = learner.adapt_to(state, tasks, key, num_steps=num_steps)[0].policy
    return [numpy_policies(policies)[0] for policies in (before, after)]


def filmed(environment: HostedEnvironment, policy: ActingPolicy, task: Any, key: jax.Array) -> list[Frame]:
    """The frames of one episode.

    Raises:
        UserError: If the environment cannot render, or this machine has no OpenGL.
    """
    studio = environment.drawing()
    request = Request(task, policy, words_of(key), 1)
    try:
        with closing(studio):
            camera = _Camera(studio.enter(task))
            studio.enter = lambda task: camera
            rollout(studio, request)
    except UserError:
        raise
    except Exception as error:  # OpenGL's many ways to be missing.
        raise UserError(
            f"cannot render here: {cause(error)}. Without a display, install EGL or OSMesa and set"
            " MUJOCO_GL to egl or osmesa"
        ) from error
    return camera.frames


class _Camera(gymnasium.Wrapper):
    """Takes a picture after every step."""

    def __init__(self, env: gymnasium.Env):
        super().__init__(env)
        self.frames: list[Frame] = []

    def step(self, action: Any):
        result = self.env.step(action)
        frame: Any = self.env.render()
        if np.ndim(frame) != 3:
            raise UserError(f"render() returned {frame!r:.60}, but it must return a picture [height width 3]")
        self.frames.append(np.ascontiguousarray(frame))
        return result


def _chosen(environment: Any, wanted: str | None) -> tuple[Any, str]:
    """A batch of one task and its name."""
    tasks = environment.test_batch(0)
    names = [environment.describe(task) for task in tasks]
    places = [place for place, name in enumerate(names) if wanted is None or wanted in name]
    if not places:
        raise UserError(f"--task: no held-out task is called {wanted}; there are {', '.join(names)}")
    place = places[0]
    parts = "".join(letter if letter.isalnum() else " " for letter in names[place]).split()
    return tasks[place : place + 1], "-".join(parts)


def _drawn(folder: RunFolder, num_steps: int, seed: int) -> Iterator[Frame]:
    """Frames of growing trajectories before and after adaptation, of all held-out tasks at once."""
    experiment, run_seed = folder.read_config()
    setup = set_up(experiment, run_seed, source=str(folder.config))
    tasks, learner = setup.environment.test_batch(0), setup.learner
    trial = learner.adapt_and_evaluate(load_weights(folder, setup), tasks, stream(seed, TESTING), num_steps=num_steps)
    first, *_, last = learner.stages(trial)
    tasks = jax.device_get(tasks)
    for episodes, title in ((first, "Before adaptation"), (last, f"After {num_steps} {experiment.STEPS}")):
        whole = trajectories(episodes)
        for end in np.linspace(1, whole.valid.shape[-1], GIF_FRAMES).astype(int).tolist():
            yield picture(setup.environment, tasks, _until(whole, end), f"{title}: time {end}")


def _until(whole: Trajectories, end: int) -> Trajectories:
    return whole._replace(valid=whole.valid & (np.arange(whole.valid.shape[-1]) < end))


def _write_gif(path: Path, frames: Iterator[Frame]) -> None:
    from PIL import Image

    first, *others = [Image.fromarray(frame) for frame in frames]
    first.save(path, save_all=True, append_images=others, duration=1000 // FRAMES_PER_SECOND, loop=0)


def _write_mp4(path: Path, frames: list[Frame]) -> None:
    try:
        import imageio.v2 as imageio
        import imageio_ffmpeg  # noqa: F401  Other packages bring imageio alone.
    except ImportError:
        raise UserError(f"films need imageio and ffmpeg: {install('render')}") from None
    imageio.mimwrite(path, frames, fps=FRAMES_PER_SECOND, macro_block_size=1)


def trajectories(episodes: Episodes) -> Trajectories:
    """What is drawn of episodes `[tasks trajectories steps ...]`."""
    arrays = jax.device_get(episodes)
    observations = np.concatenate([arrays.observations[:, :, :1], arrays.next_observations], axis=2)
    return Trajectories(observations, arrays.rewards, arrays.success, arrays.valid)
