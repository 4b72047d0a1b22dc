"""What environments give is refused in words, or arrives exactly as it was given: generated ones, and known habits."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mime.envs.external.checks import cause, lost_digits
from mime.envs.registration import make_hosted
from mime.errors import UserError
from mime.policies.numpy_policy import NumpyPolicy
from mime.sampling.host import Collected, Host, Raised, Refused
from mime.sampling.rollouts import Request
from tests.envs.external import generated
from tests.envs.external.generated import ACTIONS, REWARDS, SUCCESSES, TASKS, Generated

BAD_REWARDS = {"none": "reward None", "vector": "reward array", "text": "reward '"}
BAD_SUCCESSES = {"nan": "success", "score": "0.01", "text": "'no'"}
BAD_TASKS = {"dictionary": "dict", "number": "20", "none": "None", "empty": "no tasks"}
BAD_SHAPES = {"more": "observation_space has", "column": "observation_space has"}
GOOD = {
    "actions": "box", "dtype": "float32", "shape": [2], "returned": "right", "start": "pair", "step": "five",
    "reward": "float", "unit": 1.0, "success": "none", "tasks": "list", "nan_at": 0, "raise_at": 0,
}  # fmt: skip


def mostly(good, others):
    """The good value three times of four: several mistakes at once hide each other."""
    return st.integers(0, 3).flatmap(lambda number: st.sampled_from(others) if number == 0 else st.just(good))


environments = st.fixed_dictionaries(
    {
        "actions": st.sampled_from(list(ACTIONS)),
        "dtype": st.sampled_from(["float32", "float64", "uint8", "int16"]),
        "shape": st.lists(st.integers(1, 3), min_size=1, max_size=1),
        "returned": mostly("right", ["list", "more", "column"]),
        "start": mostly("pair", ["alone", "nothing"]),
        "step": mostly("five", ["four", "list"]),
        "reward": mostly("float", list(REWARDS)),
        "unit": st.sampled_from([1e-30, 1.0, 1e30]),
        "success": mostly("none", list(SUCCESSES)),
        "tasks": mostly("list", list(TASKS)),
        "nan_at": mostly(0, [1, 3]),
        "raise_at": mostly(0, [1, 3]),
    }
)


def collect(name, options, scale=None):
    """What a worker answers for an environment's first task; the refusal where there is none."""
    arguments = options | {"max_episode_steps": 6} | ({} if scale is None else {"normalization_scale": scale})
    name = f"{generated.__name__}:{name}"
    environment = make_hosted(name, arguments)
    try:
        task = environment.draw_tasks((1, 2), 20)[0]
    except UserError as error:
        return None, Refused(str(error))
    host = Host(name, arguments)
    size, space = environment.observation_space.shape[0], environment.action_space
    outputs = int(space.n) if hasattr(space, "n") else space.shape[0]
    weight = np.linspace(-0.02, 0.02, outputs * size, dtype=np.float32).reshape(outputs, size)
    log_std = None if hasattr(space, "n") else np.zeros(outputs, np.float32)
    policy = NumpyPolicy(((weight, np.zeros(outputs, np.float32)),), log_std, "tanh")
    answer = host.answer(pickle.dumps(Request(task, policy, (3,), 1)))
    host.close()
    environment.close()
    return task, answer


def expected_mistakes(options):
    """Words of which the refusal must hold some; none if all is well."""
    if options["tasks"] in BAD_TASKS:
        return [BAD_TASKS[options["tasks"]]]
    if options["start"] != "pair":
        return ["reset() returned"]
    if options["returned"] in BAD_SHAPES:
        return [BAD_SHAPES[options["returned"]]]
    return []


def check(options, wrapped):
    task, answer = collect("Wrapped" if wrapped else "Generated", options)
    mistakes = expected_mistakes(options)
    if mistakes:
        assert isinstance(answer, Refused)
        assert any(word in answer.reason for word in mistakes), answer.reason
        return
    env = Generated.newest
    assert env.is_closed
    assert all(env.action_space.contains(action) for action in env.given), env.given
    # Gymnasium's own wrapper unpacks what a step returned: a list is then as good, and four things are its error.
    unpacks = wrapped and options["step"] == "four"
    returned = "step() returned" if options["step"] == "four" or (options["step"] == "list" and not wrapped) else ""
    mistakes = [BAD_REWARDS.get(options["reward"]), BAD_SUCCESSES.get(options["success"]), returned]
    mistakes = [word for word in mistakes if word]
    if options["raise_at"] == 1 or unpacks or (options["raise_at"] and not mistakes):
        assert isinstance(answer, Raised)
        assert ("not enough values" if unpacks and options["raise_at"] != 1 else "as it was told to") in answer.cause
        assert "generated.py, line" in answer.cause
        return
    if mistakes:
        assert isinstance(answer, Refused)
        assert any(word in answer.reason for word in mistakes), answer.reason
        return
    assert isinstance(answer, Collected), answer
    assert env.task == (100 + task if wrapped else task)
    fields = {name: field[0] for name, field in answer.fields.items()}
    assert fields["valid"].tolist() == [True] * 4 + [False] * 2
    doubled = 2 if wrapped and options["reward"] == "float" else 1
    rewards = np.array([np.asarray(reward).item() for reward in env.rewards]) * doubled
    np.testing.assert_array_equal(fields["rewards"][:4], rewards.astype(np.float32))
    np.testing.assert_array_equal(fields["observations"][:4], np.float32(env.observations[:4]))
    np.testing.assert_array_equal(fields["next_observations"][:4], np.float32(env.observations[1:]))
    assert fields["success"].any() == (options["success"] in ("true", "one", "is_success"))


@settings(max_examples=40, deadline=None, derandomize=True)
@given(environments, st.booleans())
def test_generated_environments(options, wrapped):
    check(options, wrapped)


@pytest.mark.torture
@settings(max_examples=1000, deadline=None)
@given(environments, st.booleans())
def test_a_thousand_generated_environments(options, wrapped):
    check(options, wrapped)


@pytest.mark.parametrize(
    ("option", "value", "mentions"),
    [
        ("returned", "more", ["shape (3,)", "(2,)"]),
        ("start", "alone", ["reset()", "(observation, dictionary)"]),
        ("step", "four", ["step()", "truncated"]),
        ("success", "nan", ["success in the information = nan", "True or False"]),
        ("success", "score", ["0.01"]),
        ("reward", "none", ["the reward None"]),
        ("tasks", "dictionary", ["sample_tasks(20) returned a dict", "list"]),
    ],
)
def test_a_mistake_is_named(option, value, mentions):
    _, answer = collect("Generated", GOOD | {option: value})
    for mention in mentions:
        assert mention in answer.reason


def test_actions_are_those_of_the_environments_own_space():
    collect("Generated", GOOD | {"actions": "from one"})
    assert set(Generated.newest.given) <= {1, 2, 3, 4}
    collect("Generated", GOOD | {"actions": "whole"}, scale=0.5)
    space = ACTIONS["whole"]
    assert all(space.contains(action) for action in Generated.newest.given)
    environment = make_hosted(f"{generated.__name__}:Generated", GOOD | {"actions": "whole", "max_episode_steps": 3})
    assert "rounded" in environment.remarks[0]


def test_a_box_without_bounds_cannot_be_rescaled_to():
    arguments = GOOD | {"actions": "double", "max_episode_steps": 3, "normalization_scale": 1.0}
    with pytest.raises(ValueError, match=r"normalization_scale: 1.0 needs a bounded box"):
        make_hosted(f"{generated.__name__}:Generated", arguments).action_space  # noqa: B018


def test_another_number_of_tasks_than_asked_is_said():
    environment = make_hosted(f"{generated.__name__}:Generated", GOOD | {"tasks": "half", "max_episode_steps": 3})
    assert len(environment.draw_tasks((1,), 6)) == 3
    assert environment.remarks == ("sample_tasks(6) gave 3 tasks",)
    environment.env.unwrapped.kinds = ("float", "none", "list")
    with pytest.raises(UserError, match=r"sample_tasks\(6\) gave 3 tasks, and then 6"):
        environment.draw_tasks((1,), 6)


def test_a_clock_that_float32_cannot_hold_is_named():
    clock = np.stack([1e9 + np.arange(20.0), np.arange(20.0)], axis=1)
    (line,) = lost_digits("observation", clock)
    assert line.startswith("observation[0] is about 1e+09")
    assert lost_digits("observation", np.array([[1 + 1e-12 * step, 5e8] for step in range(9)])) == []
    assert lost_digits("observation", np.array([[np.nan, np.inf, 1e300]] * 3)) == []


def test_the_cause_of_an_error_is_the_last_line_of_the_users_files():
    with pytest.raises(AttributeError) as raised:
        Generated(**GOOD).step(None)
    assert "generated.py, line" in cause(raised.value)
    assert "self.time += 1" in cause(raised.value)
    assert cause(AssertionError()) == "AssertionError"
