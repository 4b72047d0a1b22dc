"""A run's weights: safetensors files, which hold numbers and nothing else, and the formats of other libraries."""

import io
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import safetensors.numpy
from jaxtyping import Array
from safetensors import SafetensorError

from mime.configuration.keys import Configuration
from mime.errors import UserError
from mime.runs.files import write_atomically
from mime.runs.folder import RunFolder

ACTIVATIONS = {"tanh": "Tanh", "relu": "Relu", "elu": "Elu", "sigmoid": "Sigmoid"}


def save(path: Path, tensors: dict[str, Array]) -> None:
    """Write named tensors, atomically."""
    arrays = {name: np.array(tensor, order="C") for name, tensor in tensors.items()}
    write_atomically(path, safetensors.numpy.save(arrays))


def read(path: Path) -> dict[str, np.ndarray]:
    """Read named tensors.

    Raises:
        UserError: If the file is missing or is no safetensors file.
    """
    try:
        return safetensors.numpy.load(path.read_bytes())
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; a run writes it with its first checkpoint") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: is not an intact safetensors file ({error}); retrain, or restore the file") from None


def load(path: Path, like: dict[str, Array]) -> dict[str, np.ndarray]:
    """Read named tensors that must be those expected.

    Args:
        path: The file.
        like: Tensors of the names, shapes and types that are expected.

    Raises:
        UserError: If the file is missing, is no safetensors file, or holds other tensors than expected.
    """
    tensors = read(path)
    expected = {name: tuple(tensor.shape) for name, tensor in like.items()}
    found = {name: tensor.shape for name, tensor in tensors.items()}
    if expected != found:
        wrong = [
            f"{name} is {found.get(name, 'missing')}, expected {expected.get(name, 'none')}"
            for name in sorted(expected.keys() | found.keys())
            if expected.get(name) != found.get(name)
        ]
        raise UserError(f"{path}: does not fit this run's configuration: {'; '.join(wrong[:3])}")
    broken = [name for name, tensor in tensors.items() if not np.all(np.isfinite(tensor))]
    if broken:
        raise UserError(f"{path}: {broken[0]} holds numbers that are not finite")
    return {name: tensor.astype(like[name].dtype) for name, tensor in tensors.items()}


def export(folder: RunFolder, kind: str) -> list[Path]:
    """Write a run's weights beside its safetensors files.

    Args:
        folder: Of the run.
        kind: `torch` for state dicts, `policy.th` and `dynamics.th`; `onnx` for a network, `policy.onnx`, from
            observations `[batch observation]` to `mean` and `log_std`, or to `logits` of discrete actions.

    Returns:
        The files written.

    Raises:
        UserError: If the run is incomplete or damaged, has no such network, or a package is missing.
    """
    experiment, _ = folder.read_config()
    return EXPORTERS[kind](folder, experiment)


def _export_torch(folder: RunFolder, experiment: Configuration) -> list[Path]:
    try:
        import torch
    except ImportError:
        raise UserError("--format torch needs PyTorch: pip install 'mime-rl[torch]'") from None
    names = ["policy", *(path.stem for path in sorted(folder.path.glob("*.safetensors")) if path.stem != "policy")]
    written = []
    for name in names:
        state = {key: torch.from_numpy(array) for key, array in read(folder.weights(name)).items()}
        content = io.BytesIO()
        torch.save(state, content)
        written.append(folder.path / f"{name}.th")
        write_atomically(written[-1], content.getvalue())
    return written


def _export_onnx(folder: RunFolder, experiment: Configuration) -> list[Path]:
    try:
        import onnx
        from onnx import helper, numpy_helper
    except ImportError:
        raise UserError("--format onnx needs ONNX: pip install 'mime-rl[onnx]'") from None
    activation = ACTIVATIONS.get(getattr(experiment, "nonlinearity", ""))
    if activation is None:
        raise UserError(
            f"--format onnx: {experiment.method}'s policy sees more than an observation; use --format torch"
        )
    tensors = read(folder.weights("policy"))
    layers = {name.removesuffix(".weight") for name in tensors if name.endswith(".weight")}
    *hidden, last = sorted(layers, key=lambda name: (name == "mu", int(name.removeprefix("layer").replace("mu", "0"))))
    nodes, features = [], "observation"
    for name in hidden:
        nodes.append(helper.make_node("Gemm", [features, f"{name}.weight", f"{name}.bias"], [f"{name}.sum"], transB=1))
        nodes.append(helper.make_node(activation, [f"{name}.sum"], [name]))
        features = name
    head = "mean" if "sigma" in tensors else "logits"
    nodes.append(helper.make_node("Gemm", [features, f"{last}.weight", f"{last}.bias"], [head], transB=1))
    outputs = {head: ["batch", tensors[f"{last}.bias"].size]}
    if "sigma" in tensors:
        nodes.append(helper.make_node("Identity", ["sigma"], ["log_std"]))
        outputs["log_std"] = [tensors["sigma"].size]
    inputs = {"observation": ["batch", tensors[f"{(*hidden, last)[0]}.weight"].shape[1]]}
    graph = helper.make_graph(
        nodes,
        "policy",
        *([_typed(helper, name, shape) for name, shape in ends.items()] for ends in (inputs, outputs)),
        initializer=[numpy_helper.from_array(array, name) for name, array in tensors.items()],
    )
    model = helper.make_model(graph, producer_name="mime", opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    path = folder.path / "policy.onnx"
    write_atomically(path, model.SerializeToString())
    return [path]


def _typed(helper, name: str, shape: Sequence[int | str]):
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(np.float32)), shape)


EXPORTERS: dict[str, Callable[[RunFolder, Configuration], list[Path]]] = {
    "torch": _export_torch,
    "onnx": _export_onnx,
}
