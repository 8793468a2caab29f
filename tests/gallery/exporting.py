"""ONNX files that PyTorch's own exporters write."""

from __future__ import annotations

import io
import logging
import warnings
from contextlib import redirect_stdout
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from pathlib import Path

    from gallery.entries import Entry

__all__ = ["exported"]

BATCH = 2


def exported(entry: Entry, folder: Path) -> Path:
    """The ONNX file of a network with a free batch, from ``torch.onnx.export``, which optimises what it writes."""
    path = folder / f"{entry.name}.onnx"
    names, tensors, axes = [], [], {}
    for described in entry.shapes:
        name, shape, *dtype = described.split(":")
        sizes = [BATCH if size == "?" else int(size) for size in shape.split("x")]
        names.append(name)
        tensors.append(torch.ones(sizes, dtype=torch.int64) if dtype else torch.randn(sizes))
        axes[name] = {axis: "batch" for axis, size in enumerate(shape.split("x")) if size == "?"}
    module = entry.module()
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)  # what it tells of packages that are not installed
        if entry.legacy:
            options = {"dynamo": False, "opset_version": entry.legacy, "dynamic_axes": axes}
            torch.onnx.export(module, tuple(tensors), path, input_names=names, **options)
        else:
            free = {name: {axis: torch.export.Dim("batch") for axis in found} for name, found in axes.items()}
            given = dict(zip(names, tensors, strict=True))
            torch.onnx.export(module, (), path, kwargs=given, dynamic_shapes=free, dynamo=True, verbose=False)
        logging.disable(logging.NOTSET)
    return path
