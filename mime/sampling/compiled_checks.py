"""Checks of an environment written in JAX: what the sampler and the learner take for granted about it."""

from functools import partial
from typing import Any

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key, PRNGKeyArray

from mime.envs.external.checks import cause
from mime.envs.task_environment import TaskEnvironment, count_tasks
from mime.sampling.check_results import Finding, Mistake, any_key, findings, form, same
from mime.sampling.compiled import rollout
from mime.sampling.episodes import Episodes

METHODS = ("initial", "transition", "observation", "reward", "sample_tasks", "test_tasks")
NUM_TASKS, NUM_TRAJECTORIES, FEW_STEPS = 5, 4, 2
INSIDE_JAX = "use jnp.where in place of if, and jnp in place of math and numpy, on what depends on the arguments"


def check_compiled(environment: TaskEnvironment) -> list[Finding]:
    """What is right and wrong with an environment written in JAX.

    Args:
        environment: The environment.
    """
    checks = (_methods, _spaces, _horizon, _tasks, _functions, _purity, _vmap, _numbers, _success)
    return findings({check.__name__[1:]: partial(check, environment) for check in checks})


def require_fitting_functions(environment: TaskEnvironment) -> None:
    """Check what each function of an environment returns, without computing anything.

    Raises:
        ValueError: Naming the function, and what it should return.
    """
    try:
        for check in (_methods, _spaces, _horizon, _functions):
            check(environment)
    except Mistake as mistake:
        raise ValueError(f"{mistake}. `mime check` says more") from mistake.__cause__


class RandomActions:
    """A `Behaviour` that takes any action of a space: uniformly where it is bounded, else from a normal distribution.

    Args:
        space: Of actions.
    """

    def __init__(self, space: gymnasium.Space):
        self.space = space

    def __call__(self, observation: Array) -> "RandomActions":
        """The same whatever is observed."""
        return self

    def sample(self, *, key: PRNGKeyArray) -> Array:
        """An action."""
        if isinstance(self.space, gymnasium.spaces.Discrete):
            return jax.random.randint(key, (), 0, int(self.space.n))
        assert isinstance(self.space, gymnasium.spaces.Box)
        low, high = jnp.asarray(self.space.low), jnp.asarray(self.space.high)
        uniform = jax.random.uniform(key, low.shape)
        bounded = jnp.asarray(self.space.bounded_below & self.space.bounded_above)
        within = jnp.where(bounded, low, 0) + uniform * jnp.where(bounded, high - low, 0)
        return jnp.where(bounded, within, jax.random.normal(key, low.shape))


def _methods(environment: TaskEnvironment) -> str:
    kind = type(environment)
    missing = [name for name in METHODS if getattr(kind, name) is getattr(TaskEnvironment, name)]
    if missing:
        raise Mistake(f"{kind.__name__} has no {', no '.join(missing)}: write them, as in {TaskEnvironment.__module__}")
    return f"{kind.__name__} has all that it needs"


def _spaces(environment: TaskEnvironment) -> str:
    for name in ("observation_space", "action_space"):
        if not hasattr(environment, name):
            raise Mistake(f"there is no {name}: set one, as {name} = gymnasium.spaces.Box(-1, 1, (2,))")
    observations, actions = environment.observation_space, environment.action_space
    if not isinstance(observations, gymnasium.spaces.Box) or len(observations.shape) != 1:
        raise Mistake(f"observations must be a vector (a Box of one axis), not {observations}")
    box = isinstance(actions, gymnasium.spaces.Box) and len(actions.shape) == 1
    if not box and not (isinstance(actions, gymnasium.spaces.Discrete) and actions.start == 0):
        raise Mistake(f"actions must be a Box of one axis, or Discrete from 0, not {actions}")
    return f"observations {observations}, actions {actions}"


def _horizon(environment: TaskEnvironment) -> str:
    horizon = getattr(environment, "horizon", None)
    if not isinstance(horizon, int) or isinstance(horizon, bool) or horizon < 1:
        raise Mistake(f"horizon is {horizon!r}; set it to the steps of an episode, as horizon = 100")
    return f"{horizon} steps"


def _tasks(environment: TaskEnvironment) -> str:
    tasks, held_out = environment.sample_tasks(any_key(), NUM_TASKS), environment.test_tasks()
    for name, batch in ((f"sample_tasks(key, {NUM_TASKS})", tasks), ("test_tasks()", held_out)):
        leaves = jax.tree.leaves(batch)
        lengths = {jnp.shape(leaf)[:1] for leaf in leaves}
        if len(lengths) != 1 or lengths == {()} or lengths == {(0,)}:
            shapes = [jnp.shape(leaf) for leaf in leaves]
            raise Mistake(f"{name} must give arrays whose first axis is the tasks, as many for all; it gives {shapes}")
    if count_tasks(tasks) > NUM_TASKS:
        raise Mistake(f"sample_tasks(key, {NUM_TASKS}) gives {count_tasks(tasks)} tasks, more than asked for")
    forms = {
        "sample_tasks": jax.tree.map(lambda leaf: leaf[0], tasks),
        "test_tasks": jax.tree.map(lambda leaf: leaf[0], held_out),
        "get_default_params": environment.default_params,
    }
    texts = {name: form(task) for name, task in forms.items()}
    if len(set(texts.values())) > 1:
        raise Mistake("tasks must have one form; " + ", ".join(f"{name} gives {text}" for name, text in texts.items()))
    if not same(tasks, environment.sample_tasks(any_key(), NUM_TASKS)):
        raise Mistake("sample_tasks gives other tasks for the same key: draw them with jax.random and that key alone")
    try:
        jax.eval_shape(partial(environment.sample_tasks, num_tasks=NUM_TASKS), any_key())
    except jax.errors.JAXTypeError as error:
        raise Mistake(f"sample_tasks cannot be compiled: {cause(error)}; {INSIDE_JAX}") from error
    return (
        f"{count_tasks(tasks)} of {NUM_TASKS} asked for, {count_tasks(held_out)} held out, each {texts['test_tasks']}"
    )


def _functions(environment: TaskEnvironment) -> str:
    """Shapes and types of what each function returns."""
    task = environment.default_params
    action = jax.eval_shape(partial(RandomActions(environment.action_space).sample, key=any_key()))
    size = environment.observation_space.shape

    state = _traced(environment.initial, any_key(), task)
    after = _traced(environment.transition, state, action, any_key(), task)
    if form(state) != form(after):
        raise Mistake(f"transition must return a state like that of initial, {form(state)}; it returns {form(after)}")
    expected = {
        environment.observation: ((state, any_key(), task), size, jnp.floating, f"floats of the space's shape {size}"),
        environment.reward: ((state, action, state, any_key(), task), (), jnp.floating, "one float"),
        environment.success: ((state, task), (), jnp.bool_, "one truth value, as jnp.linalg.norm(state - task) < 1"),
        environment.terminal: ((state, any_key(), task), (), jnp.bool_, "one truth value"),
    }
    for function, (arguments, shape, kind, words) in expected.items():
        result = _traced(function, *arguments)
        fits = isinstance(result, jax.ShapeDtypeStruct) and result.shape == shape
        if not fits or not jnp.issubdtype(result.dtype, kind):
            raise Mistake(f"{function.__name__} must return {words}; it returns {form(result)}")
    return f"a state is {form(state)}"


def _traced(function: Any, *arguments: Any) -> Any:
    """The form of what a function returns."""
    try:
        return jax.eval_shape(lambda *args: jax.tree.map(jnp.asarray, function(*args)), *arguments)
    except jax.errors.JAXTypeError as error:  # Values are asked for that are known only when it runs.
        raise Mistake(f"{function.__name__} cannot be compiled: {cause(error)}; {INSIDE_JAX}") from error
    except Exception as error:  # Whatever somebody's function raises.
        raise Mistake(f"{function.__name__} raises {cause(error)}") from error


def _vmap(environment: TaskEnvironment) -> str:
    together = _episodes(environment)
    task = jax.tree.map(lambda leaf: leaf[0], environment.sample_tasks(any_key(), NUM_TASKS))
    one = partial(rollout, environment, RandomActions(environment.action_space))
    alone = jax.jit(one)(task, _keys(environment)[0, 0])
    for name in ("observations", "rewards"):
        # The first steps alone: later ones may make rounding errors large.
        single, of_many = (np.asarray(getattr(alone, name))[:FEW_STEPS], getattr(together, name)[0, 0, :FEW_STEPS])
        if not np.allclose(single, of_many, rtol=1e-3, atol=1e-3, equal_nan=True):
            raise Mistake(f"an episode's {name} are others when many are computed at once: does one see another?")
    return f"{len(together.rewards) * NUM_TRAJECTORIES} episodes at once are what they are one by one"


def _purity(environment: TaskEnvironment) -> str:
    """Functions are called outside a compiled program, where hidden state shows."""
    before = dict(vars(environment))
    task, behaviour = environment.default_params, RandomActions(environment.action_space)
    state = environment.initial(any_key(), task)
    for step in range(FEW_STEPS):
        key = jax.random.fold_in(any_key(), step)
        action = behaviour.sample(key=key)
        calls: dict[Any, tuple[Any, ...]] = {
            environment.initial: (key, task),
            environment.transition: (state, action, key, task),
            environment.observation: (state, key, task),
            environment.success: (state, task),
        }
        for function, arguments in calls.items():
            if not same(function(*arguments), function(*arguments)):
                raise Mistake(
                    f"{function.__name__} returns something else when called again with the same arguments: draw with"
                    " jax.random and the key it is given, and keep nothing in self"
                )
        after = environment.transition(state, action, key, task)
        if not same(*(environment.reward(state, action, after, key, task) for _ in range(2))):
            raise Mistake("reward returns something else when called again with the same arguments")
        state = after
    changed = [name for name, value in vars(environment).items() if before.get(name) is not value]
    if changed:
        raise Mistake(f"calls change self.{changed[0]}: what changes in an episode belongs in the state")
    return "the same arguments give the same results, and nothing is kept in self"


def _numbers(environment: TaskEnvironment) -> str:
    episodes = jax.device_get(_episodes(environment))
    valid = episodes.valid
    observations, space = episodes.next_observations[valid], environment.observation_space
    for name, values in (("observations", observations), ("rewards", episodes.rewards[valid])):
        if not np.isfinite(values).all():
            raise Mistake(f"some {name} are not finite under random actions: is there a division by 0, or a log of 0?")
    low, high = observations.min(axis=0), observations.max(axis=0)
    for place in np.flatnonzero((low < space.low) | (high > space.high)):
        raise Mistake(
            f"number {place} of the observations goes from {low[place]:g} to {high[place]:g}, beyond observation_space,"
            f" which goes from {space.low[place]:g} to {space.high[place]:g}: widen the space, or clip"
        )
    rewards = episodes.rewards[valid]
    return f"random actions earn rewards from {rewards.min():g} to {rewards.max():g} a step, all finite"


def _success(environment: TaskEnvironment) -> str:
    if not environment.reports_success:
        return "not reported: tables show - for it. Write success(state, task) if tasks can be solved"
    solved = np.asarray(_episodes(environment).solved())
    return f"random actions solve {solved.sum()} of {solved.size} episodes"


@partial(jax.jit, static_argnums=0)
def _episodes(environment: TaskEnvironment) -> Episodes:
    """Episodes `[tasks trajectories steps ...]` of random actions."""
    tasks = environment.sample_tasks(any_key(), NUM_TASKS)
    one = partial(rollout, environment, RandomActions(environment.action_space))
    return jax.vmap(jax.vmap(one, (None, 0)))(tasks, _keys(environment))


def _keys(environment: TaskEnvironment) -> Key[Array, "tasks trajectories"]:
    num_tasks = count_tasks(environment.sample_tasks(any_key(), NUM_TASKS))
    return jax.random.split(jax.random.key(1), (num_tasks, NUM_TRAJECTORIES))
