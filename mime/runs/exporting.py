"""A run's weights for other libraries. What they act with is in the environment's units."""

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from mime.errors import UserError, install
from mime.meta.learner import Learner
from mime.pearl.environment import UnitActions
from mime.pearl.learner import PearlLearner
from mime.rl2.learner import Rl2Learner
from mime.runs import weights
from mime.runs.files import write_atomically
from mime.runs.folder import RunFolder
from mime.runs.setup import load_weights, set_up
from mime.runs.trained import in_environment_units

ACTIVATIONS = {"tanh": "Tanh", "relu": "Relu", "elu": "Elu", "sigmoid": "Sigmoid"}
CENTRE, UNIT = "action.centre", "action.unit"

Tensors = dict[str, np.ndarray]


class ActingNetwork(NamedTuple):
    """What acts, as a network from observations.

    Attributes:
        tensors: All of its arrays, under the names of a PyTorch state dict.
        layers: Names of its layers, as `layer1`, in their order; none if it has a memory.
        activation: Between them: a key of `ACTIVATIONS`.
        latent: The latent that is also seen unless another is given; None if there is none.
    """

    tensors: Tensors
    layers: list[str]
    activation: str
    latent: Float[np.ndarray, "latent"] | None


def export(folder: RunFolder, kind: str) -> list[Path]:
    """Write a run's weights beside its safetensors files.

    Args:
        folder: Of the run.
        kind: `torch` for state dicts, `policy.th` and so on; `onnx` for a network, `policy.onnx`, from observations
            `[batch observation]` to `mean` and `log_std`, to `logits` of discrete actions, or for PEARL to `action`.
            A policy with a latent has a second input `latent` `[1 latent]` or `[batch latent]`, which may be left out.

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
        tensors = {name: np.asarray(array) for name, array in state.policy.named_parameters().items()}
        return ActingNetwork(tensors, [], "tanh", None)
    assert isinstance(learner, Learner)
    policy = in_environment_units(state.policy, environment).acting()
    tensors = {name: np.asarray(array) for name, array in policy.named_parameters().items()}
    layers = [name.removesuffix(".weight") for name in tensors if name.endswith(".weight")]
    return ActingNetwork(tensors, layers, policy.nonlinearity, tensors.get("latent.mean"))


def _pearls(learner: PearlLearner, state: Any) -> ActingNetwork:
    """Its squashed actions fill [-1, 1]: centre and unit say which those of the environment are."""
    tensors = {name: np.asarray(array) for name, array in learner.tensors(state)["policy"].items()}
    environment = learner.environment
    assert isinstance(environment, UnitActions)
    box = environment.box
    tensors |= {CENTRE: (box.high + box.low) / 2, UNIT: (box.high - box.low) / 2}
    layers = [name.removesuffix(".weight") for name in tensors if name.startswith("policy.") and ".weight" in name]
    # The prior's mean.
    return ActingNetwork(tensors, layers, "relu", np.zeros(learner.experiment.latent_size, np.float32))


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
        if not network.layers:
            raise UserError(
                "--format onnx: the policy has a memory, and is no network of observations alone; use torch"
            )
        nodes, constants, outputs = _graph(network, helper.make_node)
        size = constants["observation.weight"].shape[1]
        inputs = {"observation": ["batch", size]}
        if network.latent is not None:
            # An input with a value of its own may be left out.
            inputs["latent"] = ["latents", network.latent.size]
            constants["latent"] = network.latent[None]
        ends = ([_typed(helper, name, shape) for name, shape in end.items()] for end in (inputs, outputs))
        values = [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()]
        graph = helper.make_graph(nodes, "policy", *ends, initializer=values)
        opset = [helper.make_opsetid("", 17)]
        model = helper.make_model(graph, producer_name="mime", opset_imports=opset, ir_version=8)
        onnx.checker.check_model(model)
        path = folder.path / "policy.onnx"
        write_atomically(path, model.SerializeToString())
        return [path]

    return write


def _graph(network: ActingNetwork, node: Callable[..., Any]) -> tuple[list[Any], Tensors, dict[str, list[int | str]]]:
    """Nodes, constants, and outputs with their shapes."""
    tensors, first = network.tensors, network.layers[0]
    weight, held = tensors[f"{first}.weight"], 0 if network.latent is None else network.latent.size
    seen = weight.shape[1] - held
    constants = {"observation.weight": weight[:, :seen], f"{first}.bias": tensors[f"{first}.bias"]}
    nodes, features = [], "observation.sum"
    nodes.append(node("Gemm", ["observation", "observation.weight", f"{first}.bias"], [features], transB=1))
    if network.latent is not None:
        constants["latent.weight"] = np.ascontiguousarray(weight[:, seen:].T)
        nodes.append(node("MatMul", ["latent", "latent.weight"], ["latent.sum"]))
        nodes.append(node("Add", [features, "latent.sum"], [f"{first}.sum"]))
        features = f"{first}.sum"
    for name in network.layers[1:]:
        nodes.append(node(ACTIVATIONS[network.activation], [features], [f"{name}.input"]))
        features = f"{name}.sum"
        nodes.append(node("Gemm", [f"{name}.input", f"{name}.weight", f"{name}.bias"], [features], transB=1))
        constants |= {f"{name}.{part}": tensors[f"{name}.{part}"] for part in ("weight", "bias")}
    width = tensors[f"{network.layers[-1]}.bias"].size
    if UNIT in tensors:
        nodes += [
            node("Split", [features], ["squashed.input", "squashed.log_std"], axis=-1),
            node("Tanh", ["squashed.input"], ["squashed"]),
            node("Mul", ["squashed", UNIT], ["squashed.scaled"]),
            node("Add", ["squashed.scaled", CENTRE], ["action"]),
        ]
        return nodes, constants | {name: tensors[name] for name in (UNIT, CENTRE)}, {"action": ["batch", width // 2]}
    head = "mean" if "sigma" in tensors else "logits"
    nodes.append(node("Identity", [features], [head]))
    outputs: dict[str, list[int | str]] = {head: ["batch", width]}
    if "sigma" in tensors:
        nodes.append(node("Identity", ["sigma"], ["log_std"]))
        constants["sigma"] = tensors["sigma"]
        outputs["log_std"] = [tensors["sigma"].size]
    return nodes, constants, outputs


def _typed(helper: Any, name: str, shape: Sequence[int | str]) -> Any:
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(np.float32)), shape)


EXPORTERS: dict[str, Callable[[], Callable[[RunFolder, ActingNetwork], list[Path]]]] = {
    "torch": _torch_writer,
    "onnx": _onnx_writer,
}
