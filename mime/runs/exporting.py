"""A run's weights for other libraries. What they act with is in the environment's units."""

import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mime.errors import UserError, install
from mime.meta.learner import Learner
from mime.pearl.learner import PearlLearner
from mime.rl2.learner import Rl2Learner
from mime.runs import weights
from mime.runs.acting_networks import CENTRE, UNIT, ActingNetwork, Feedforward, Recurrent, Tensors
from mime.runs.files import write_atomically
from mime.runs.folder import RunFolder
from mime.runs.setup import load_weights, set_up
from mime.runs.trained import in_environment_units


def export(folder: RunFolder, kind: str) -> list[Path]:
    """Write a run's weights beside its safetensors files.

    Args:
        folder: Of the run.
        kind: `torch` for state dicts, `policy.th` and so on; `onnx` for a network, `policy.onnx`, from observations
            `[batch observation]` to `mean` and `log_std`, to `logits` of discrete actions, or for PEARL to `action`.
            A policy with a latent has a second input `latent` `[1 latent]` or `[batch latent]`, which may be left out.
            For RL2, see `mime.runs.acting_networks.Recurrent.graph`.

    Returns:
        The files written.

    Raises:
        UserError: If the run is incomplete or damaged, or a package is missing.
    """
    writer = EXPORTERS[kind]()
    experiment, seed = folder.read_config()
    setup = set_up(experiment, seed, source=str(folder.config))
    try:
        return writer(folder, _network(setup.learner, load_weights(folder, setup), setup.environment))
    finally:
        if setup.sampler is not None:
            setup.sampler.close()


def _network(learner: Any, state: Any, environment: Any) -> ActingNetwork:
    if isinstance(learner, PearlLearner):
        return _pearls(learner, state)
    if isinstance(learner, Rl2Learner):
        return Recurrent(state.policy.in_numpy(_arrays(state.policy.named_parameters())), environment.action_units)
    assert isinstance(learner, Learner)
    policy = in_environment_units(state.policy, environment).acting()
    tensors = _arrays(policy.named_parameters())
    layers = [name.removesuffix(".weight") for name in tensors if name.endswith(".weight")]
    return Feedforward(tensors, layers, policy.nonlinearity, tensors.get("latent.mean"))


def _pearls(learner: PearlLearner, state: Any) -> ActingNetwork:
    """Its squashed actions fill [-1, 1]: centre and unit say which those of the environment are."""
    tensors = _arrays(learner.tensors(state)["policy"])
    box = learner.collect_from.box
    tensors |= {CENTRE: (box.high + box.low) / 2, UNIT: (box.high - box.low) / 2}
    layers = [name.removesuffix(".weight") for name in tensors if name.startswith("policy.") and ".weight" in name]
    # The prior's mean.
    return Feedforward(tensors, layers, "relu", np.zeros(learner.experiment.latent_size, np.float32))


def _arrays(named: Mapping[str, Any]) -> Tensors:
    return {name: np.asarray(array) for name, array in named.items()}


def _torch_writer() -> Callable[[RunFolder, ActingNetwork], list[Path]]:
    try:
        import torch
    except ImportError:
        raise UserError(f"--format torch needs PyTorch: {install('torch')}") from None

    def write(folder: RunFolder, network: ActingNetwork) -> list[Path]:
        others = sorted(path.stem for path in folder.path.glob("*.safetensors") if path.stem != "policy")
        files = {"policy": network.tensors} | {name: weights.read(folder.weights(name)) for name in others}
        for name, tensors in files.items():
            content = io.BytesIO()
            torch.save({key: torch.from_numpy(np.array(array)) for key, array in tensors.items()}, content)
            write_atomically(folder.path / f"{name}.th", content.getvalue())
        return [folder.path / f"{name}.th" for name in files]

    return write


def _onnx_writer() -> Callable[[RunFolder, ActingNetwork], list[Path]]:
    try:
        import onnx
        from onnx import helper, numpy_helper
    except ImportError:
        raise UserError(f"--format onnx needs ONNX: {install('onnx')}") from None

    def write(folder: RunFolder, network: ActingNetwork) -> list[Path]:
        nodes, constants, *shapes = network.graph(helper.make_node)
        ends = ([_typed(helper, name, shape) for name, shape in end.items()] for end in shapes)
        values = [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()]
        graph = helper.make_graph(nodes, "policy", *ends, initializer=values)
        opset = [helper.make_opsetid("", 17)]
        model = helper.make_model(graph, producer_name="mime", opset_imports=opset, ir_version=8)
        onnx.checker.check_model(model)
        path = folder.path / "policy.onnx"
        write_atomically(path, model.SerializeToString())
        return [path]

    return write


def _typed(helper: Any, name: str, shape: Sequence[int | str]) -> Any:
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(np.float32)), shape)


EXPORTERS: dict[str, Callable[[], Callable[[RunFolder, ActingNetwork], list[Path]]]] = {
    "torch": _torch_writer,
    "onnx": _onnx_writer,
}
