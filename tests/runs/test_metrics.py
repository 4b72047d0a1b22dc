"""The columns of a run, in their order, by class of tasks, and in words."""

import numpy as np
import pytest

from mime.envs import registration
from mime.numerics.trpo import OuterStep
from mime.runs.metrics import before_and_after, class_metrics, log_line, ordered, warnings_of, without_success
from mime.runs.setup import set_up, stream
from mime.sampling.resources import Resources
from tests.small_runs import small

TOY = "tests.sampling.toy:Toy"


def test_columns_are_in_the_order_of_the_loop():
    names = ["OuterStep", "KL", "Eta", "Dynamics/OldMSELoss", "Valid/Returns", "Train-10/Returns", "Train-9/Returns"]
    assert list(ordered(dict.fromkeys(names, 0.0))) == [
        "Train-9/Returns",
        "Train-10/Returns",
        "Valid/Returns",
        "Dynamics/OldMSELoss",
        "Eta",
        "KL",
        "OuterStep",
    ]


def test_success_that_is_not_reported_is_no_zero():
    row = {"Train-0/Success": 0.0, "Train-0/Returns": 1.0, "Valid/Success": 0.0, "Valid/Returns": 2.0}
    toy, silent = (registration.make(name, {"max_episode_steps": 6}) for name in (TOY, TOY))
    toy.reports_success = True
    assert without_success(row, toy) == row
    assert before_and_after(without_success(row, silent)) == "return 1.00 -> 2.00  success - -> -"


def test_class_metrics():
    environment = registration.make(TOY, {"max_episode_steps": 6})
    environment.class_of = lambda task: "right" if task["goal"] > 0 else "left"
    setup = set_up(small(env_name=TOY, env_kwargs={"max_episode_steps": 6}), 0, Resources(1))
    tasks = environment.test_batch(0)[8:14]
    trial = setup.learner.adapt_and_evaluate(setup.state, tasks, stream(0, 0), num_steps=1)
    setup.sampler.close()
    metrics = class_metrics(environment, ("left", "right", "up"), tasks, setup.learner.stages(trial))
    returns = np.asarray(trial.after.episodes.returns())
    right = np.array([task["goal"] > 0 for task in tasks])
    assert metrics["Valid/right/Returns"] == pytest.approx(returns[right].mean())
    assert metrics["Valid/left/Returns"] == pytest.approx(returns[~right].mean())
    assert np.isnan(metrics["Train-0/up/Success"])
    success, valid = np.asarray(trial.after.episodes.success), np.asarray(trial.after.episodes.valid)
    last = [[s[v][-1] for s, v in zip(*task)] for task in zip(success, valid)]
    assert metrics["Valid/LastStepSuccess"] == pytest.approx(np.mean(last))


def test_a_line_of_the_log():
    row = {"Iteration": 2, "TotalEnvSteps": 1600, "KL": 0.00651, "OuterStep": 0}
    row |= {"Train-0/Returns": -4.0, "Train-0/Success": 0.0, "Valid/Returns": -2.5, "Valid/Success": 0.75}
    assert log_line(row, small(), 1.5) == (
        "iteration 2/8  steps 1600  return -4.00 -> -2.50  success 0% -> 75%  kl 0.0065  1.50 s"
    )


@pytest.mark.parametrize(
    ("step", "reason"),
    [
        (OuterStep.NO_IMPROVEMENT, "no step improved the surrogate"),
        (OuterStep.OUTSIDE_TRUST_REGION, "every step left the trust region"),
        (OuterStep.NOT_FINITE, "gradient, surrogate or KL was not finite"),
    ],
)
def test_what_went_wrong_is_said(step, reason):
    assert warnings_of({"NonFinite": 0, "OuterStep": int(step)}) == [f"the policy was not changed: {reason}"]
    assert warnings_of({"NonFinite": 2, "OuterStep": 0, "Dynamics/Refused": True}) == [
        "2 steps had rewards or observations that are not finite",
        "the dynamics model was not changed: its update was not finite",
    ]
    assert warnings_of({"NonFinite": 0, "RefusedUpdates": 5}) == ["5 updates were left out: they were not finite"]
    assert warnings_of({"NonFinite": 0, "OuterStep": 0, "Dynamics/Refused": False}) == []
