"""`mime export`: a run's weights for other libraries."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from mime.commands.terminal import parse_options, prepare_jax, tell_where


@dataclass(frozen=True)
class Export:
    """Write a run's weights for PyTorch or ONNX, into its folder."""

    output_folder: tyro.conf.Positional[Path]
    """Run folder that train.py wrote."""
    format: Annotated[Literal["torch", "onnx"], tyro.conf.arg(metavar="torch|onnx")] = "torch"
    """State dicts policy.th and dynamics.th, or the policy as a network, policy.onnx."""


def run(arguments: Sequence[str]) -> int:
    """Export a run; returns the exit status."""
    command = parse_options(Export, arguments, name="export")
    prepare_jax()
    from mime.runs.exporting import export
    from mime.runs.folder import RunFolder

    for path in export(RunFolder(command.output_folder), command.format):
        tell_where(**{path.stem: path})
    return 0
