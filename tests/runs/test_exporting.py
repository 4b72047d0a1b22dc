"""Weights for other libraries, which compute what ours do, in the environment's units."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete

from mime.configuration import parsing
from mime.errors import UserError
from mime.runs import weights
from mime.runs.exporting import export
from mime.runs.folder import RunFolder
from mime.runs.setup import set_up
from mime.runs.trained import load_run
from tests.sampling.toy import Toy
from tests.small_runs import small

pytestmark = pytest.mark.usefixtures("shared_learners")

OBSERVATIONS = np.random.default_rng(0).normal(size=(5, 2)).astype(np.float32)


def untrained(path, **keys):
    """A run folder with the initial weights, and the policy they are of."""
    folder, state = written(path, small(**keys))
    return folder, state.policy


def written(path, experiment):
    """A run folder with the initial weights, and the state they are of."""
    folder = RunFolder(path)
    folder.path.mkdir(exist_ok=True, parents=True)
    folder.write_config(experiment, 0)
    setup = set_up(experiment, 0)
    for name, tensors in setup.learner.tensors(setup.state).items():
        weights.save(folder.weights(name), tensors)
    return folder, setup.state


def test_torch_state_dicts(tmp_path):
    torch = pytest.importorskip("torch")
    folder, policy = untrained(tmp_path, use_vime=True, hidden_sizes=(8, 6))
    assert [path.name for path in export(folder, "torch")] == ["policy.th", "dynamics.th"]
    state = torch.load(tmp_path / "policy.th", weights_only=True)
    layers = torch.nn.Sequential(
        torch.nn.Linear(2, 8), torch.nn.Tanh(), torch.nn.Linear(8, 6), torch.nn.Tanh(), torch.nn.Linear(6, 2)
    )
    names = {"0": "layer1", "2": "layer2", "4": "mu"}
    layers.load_state_dict(
        {f"{place}.{part}": state[f"{name}.{part}"] for place, name in names.items() for part in ("weight", "bias")}
    )
    expected = jax.vmap(policy)(OBSERVATIONS)
    np.testing.assert_allclose(layers(torch.from_numpy(OBSERVATIONS)).detach(), expected.mean, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(state["sigma"], policy.sigma)
    dynamics = torch.load(tmp_path / "dynamics.th", weights_only=True)
    for name, array in weights.read(folder.weights("dynamics")).items():
        np.testing.assert_array_equal(dynamics[name], array)


@pytest.mark.parametrize(
    ("keys", "head"),
    [({"nonlinearity": "elu"}, "mean"), ({"env_name": "Bandit-K5-v0", "hidden_sizes": (4,) * 10}, "logits")],
)
def test_onnx_network(tmp_path, keys, head):
    reference = pytest.importorskip("onnx.reference")
    folder, policy = untrained(tmp_path, **keys)
    (path,) = export(folder, "onnx")
    observations = OBSERVATIONS[:, :1] if head == "logits" else OBSERVATIONS
    outputs = reference.ReferenceEvaluator(str(path)).run(None, {"observation": observations})
    distribution = jax.vmap(policy)(observations)
    np.testing.assert_allclose(outputs[0], getattr(distribution, head), rtol=1e-5, atol=1e-6)
    if head == "mean":
        np.testing.assert_array_equal(outputs[1], distribution.log_std[0])


class Wide(Toy):
    """Actions of [-10, 30], and of 1, 2 and 3."""

    def __init__(self, discrete=False):
        super().__init__()
        self.action_space = Discrete(3, start=1) if discrete else Box(-10, 30, (1,), np.float32)


def onnx_outputs(path, **inputs):
    reference = pytest.importorskip("onnx.reference")
    return reference.ReferenceEvaluator(str(path)).run(None, inputs)


WIDE = {"env_name": f"{__name__}:Wide"}
SCALED = WIDE | {"env_kwargs": {"max_episode_steps": 5, "normalization_scale": 2.0}}


@pytest.mark.parametrize(
    "keys", [{}, {"scale_actions": True}, {"latent_size": 3}, {"min_std": 0.5, "initial_std": 0.1}]
)
def test_actions_leave_a_run_in_the_environments_units(tmp_path, keys):
    folder, policy = untrained(tmp_path, **SCALED, **keys)
    observation = OBSERVATIONS[0]
    inside, width = policy(observation), 20 / 2.0
    with load_run(folder) as run:
        outside, adapted = run.policy(observation), run.policy.named_parameters()
        unwrapped = run.environment.env.action(np.asarray(inside.mean))
    np.testing.assert_allclose(outside.mean, 10 + width * inside.mean, rtol=1e-5)
    np.testing.assert_allclose(outside.mean, unwrapped, rtol=1e-5)
    np.testing.assert_allclose(outside.log_std, np.log(width) + inside.log_std, rtol=1e-5)
    assert "mu.weight" in adapted
    pytest.importorskip("onnx")
    mean, log_std = onnx_outputs(*export(folder, "onnx"), observation=observation[None])
    np.testing.assert_allclose(mean[0], outside.mean, rtol=1e-4)
    np.testing.assert_allclose(log_std, outside.log_std, rtol=1e-4)


def test_discrete_actions_leave_a_run_with_the_environments_numbers(tmp_path):
    folder, _ = untrained(tmp_path, env_name=WIDE["env_name"], env_kwargs={"max_episode_steps": 5, "discrete": True})
    with load_run(folder) as run:
        distribution = run.policy(OBSERVATIONS[0])
    keys = jax.random.split(jax.random.key(0), 50)
    drawn = jax.vmap(lambda key: distribution.sample(key=key))(keys)
    assert set(np.unique(drawn)) == {1, 2, 3}
    np.testing.assert_allclose(distribution.log_prob(jnp.array(3)), jax.nn.log_softmax(distribution.logits)[2])


def test_a_latent_may_be_left_out_of_the_onnx_network(tmp_path):
    pytest.importorskip("onnx")
    folder, policy = untrained(tmp_path, latent_size=3)
    (path,) = export(folder, "onnx")
    latent = np.array([[0.5, -1.0, 2.0]], np.float32)
    means = [onnx_outputs(path, observation=OBSERVATIONS)[0]]
    means.append(onnx_outputs(path, observation=OBSERVATIONS, latent=latent)[0])
    for mean, held in zip(means, (policy.latent_mean, jnp.asarray(latent[0]))):
        expected = jax.vmap(lambda observation, held=held: policy(observation, held).mean)(OBSERVATIONS)
        np.testing.assert_allclose(mean, expected, rtol=1e-5, atol=1e-6)


PEARL = {
    "algorithm": "pearl", "env-name": "MetaPendulum-v0", "net-size": 6, "encoder-size": 4, "latent-size": 2,
    "replay-buffer-size": 2000,
}  # fmt: skip


def test_pearls_network_takes_observations_and_gives_the_environments_actions(tmp_path):
    pytest.importorskip("onnx")
    experiment = parsing.parse(PEARL, source="test")
    folder, state = written(tmp_path, experiment)
    observations = np.random.default_rng(1).normal(size=(4, 3)).astype(np.float32)
    (path,) = export(folder, "onnx")
    for latent in (None, np.array([[1.0, -2.0]], np.float32)):
        given = {} if latent is None else {"latent": latent}
        (actions,) = onnx_outputs(path, observation=observations, **given)
        held = jnp.zeros(2) if latent is None else jnp.asarray(latent[0])
        expected = jax.vmap(lambda o, held=held: state.sac.networks.act(o, held).mode().mean)(observations)
        # The pendulum's torques are [-2, 2].
        np.testing.assert_allclose(actions, 2 * jnp.tanh(expected), rtol=1e-5, atol=1e-6)


RL2 = {"algorithm": "rl2", "hidden-size": 4, "observation-scale": 0.5, "reward-scale": 0.1, "initial-std": 0.7}


@pytest.mark.parametrize(
    ("keys", "head"),
    [
        ({"env-name": "MetaPendulum-v0"}, "mean"),
        ({"env-name": "Bandit-K5-v0"}, "logits"),
        ({"env-name": WIDE["env_name"], "env-kwargs": SCALED["env_kwargs"]}, "mean"),
    ],
)
def test_rl2s_network_acts_as_its_policy_does_in_a_trial(tmp_path, keys, head):
    """Two episodes at once, and step by step with the memory handed on."""
    pytest.importorskip("onnx")
    experiment = parsing.parse(RL2 | keys, source="test")
    folder, state = written(tmp_path, experiment)
    environment = set_up(experiment, 0).environment
    (path,) = export(folder, "onnx")
    generator, steps = np.random.default_rng(0), 6
    observations = generator.normal(size=(steps, environment.observation_space.shape[0])).astype(np.float32)
    rewards = generator.normal(size=steps).astype(np.float32)
    carry, expected, fed = state.policy.start(), [], []
    discrete = head == "logits"
    units = environment.action_units or (np.float32(1), np.float32(0))
    middle, _ = (None, None) if discrete else state.policy.actions._middle_and_unit
    last, reward = np.zeros(5, np.float32) if discrete else units[0] * middle + units[1], np.float32(0)
    for step in range(steps):
        carry = state.policy.next_episode(carry) if step == 3 else carry
        fed.append((observations[step], last, [reward], [float(carry.done)]))
        distribution, carry = state.policy(jnp.asarray(observations[step]), carry)
        expected.append(getattr(distribution, head))
        # Beyond the box: what the network sees of it is clipped.
        action = jnp.array(step % 5) if discrete else jnp.asarray(distribution.mean + 3 * generator.normal())
        carry, reward = state.policy.remember(carry, action, jnp.asarray(rewards[step])), rewards[step]
        last = np.asarray(jax.nn.one_hot(action, 5) if discrete else units[0] * action + units[1])
    expected = np.array(expected) if discrete else units[0] * np.array(expected) + units[1]
    names = "observation", "action", "reward", "done"
    sequence = {name: np.array(column, np.float32)[:, None] for name, column in zip(names, zip(*fed))}
    hidden = np.zeros((1, 1, 4), np.float32)
    outputs = onnx_outputs(path, **sequence, hidden=hidden)
    np.testing.assert_allclose(outputs[0][:, 0], expected, rtol=1e-4, atol=1e-5)
    if not discrete:
        np.testing.assert_allclose(outputs[1], distribution.log_std + np.log(units[0]), rtol=1e-5)
    for step in range(steps):
        one = {name: array[step : step + 1] for name, array in sequence.items()}
        first, *_, hidden = onnx_outputs(path, **one, hidden=hidden)
        np.testing.assert_allclose(first[0, 0], expected[step], rtol=1e-4, atol=1e-5)


def test_what_is_missing_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    folder = RunFolder(tmp_path)
    with pytest.raises(UserError, match=r"needs PyTorch: in MIME's folder, pip install '\.\[torch\]'"):
        export(folder, "torch")
