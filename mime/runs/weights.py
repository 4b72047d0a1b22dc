"""A run's weights: safetensors files, which hold numbers and nothing else."""

from pathlib import Path

import numpy as np
import safetensors.numpy
from jaxtyping import Array
from safetensors import SafetensorError

from mime.errors import UserError
from mime.runs.files import write_atomically


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
