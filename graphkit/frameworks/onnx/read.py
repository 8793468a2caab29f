"""ONNX files to canonical models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import onnx
import onnx_ir as ir

from graphkit.errors import FormatError, InputError
from graphkit.files import steady
from graphkit.frameworks.onnx.load import TRAINING, load, named
from graphkit.ir.canonical import canonical
from graphkit.ir.chance import active_dropouts
from graphkit.ir.edit import nodes_of
from graphkit.ir.opset import NEWEST, OPSET
from graphkit.ir.origin import Source, set_source
from graphkit.ir.params import take_exact
from graphkit.ir.symbols import numbers_of, shape_of
from graphkit.passes.fix_inputs import fix_inputs
from graphkit.text import several

if TYPE_CHECKING:
    from pathlib import Path

    from graphkit.frameworks.base import InputSpec, ReadOptions

__all__ = ["read", "take_inputs"]

_NAMED: Final = 3
"""Nodes that a warning names before it counts the others."""


def read(path: Path, options: ReadOptions) -> ir.Model:
    """Read an ``.onnx`` file of any opset.

    Weights in external files are mapped into memory, not loaded, so that they stay what they are when the file is
    replaced; they must lie in the model's own folder. The batch
    dimension is as free as the file says; ``options.inputs`` frees or pins dimensions, and ``options.fixed`` makes
    constants of inputs.

    Raises:
        FormatError: The file is damaged or truncated, contradicts itself, or is of an opset that is not known yet.
        InputError: The file cannot be read, or a given input does not fit the model.
        UnsupportedError: Nodes have no equal in canonical form.
    """
    with steady(path):
        model = load(path)
    _check_opset(path, model)
    if model.meta.pop(TRAINING, False):
        options.warn(
            f"{path} says how to train it (training_info), which is left out; `graphkit grad --step` makes a step."
        )
    for value in model.graph.initializers.values():
        take_exact(value)
    with named(path):
        freed = take_inputs(model, options)
        canonical(model)
        _check_free(model, freed)
        if active := active_dropouts(model):
            options.warn(
                f"Dropout is active in {path} whatever the mode (training_mode of {_listed(active)}), so that its "
                f"runs differ. The model read leaves it out in inference; export it in inference mode."
            )
    set_source(model, Source("onnx", path.name, path))
    return model


def _check_opset(path: Path, model: ir.Model) -> None:
    """Refuse operators whose meaning may have changed since the installed onnx was made.

    Raises:
        FormatError: The file is of such an opset.
    """
    used = [model.opset_imports, *(function.opset_imports for function in model.functions.values())]
    if (newest := max(imports.get("", 0) for imports in used)) > NEWEST:
        raise FormatError(
            f"{path} is of ai.onnx opset {newest}, and the installed onnx {onnx.__version__} knows opsets up to "
            f"{NEWEST}: what its operators mean may have changed. Upgrade onnx, or export the model at opset {OPSET}."
        )


def _listed(names: list[str]) -> str:
    return several(list(map(repr, names)), _NAMED)


def take_inputs(model: ir.Model, options: ReadOptions) -> dict[str, int]:
    """Free, pin and fix inputs as the options say, in place; shapes that followed from them are forgotten.

    Returns:
        For each dimension that the file fixed and that is free now, its new name and the number it had.

    Raises:
        InputError: An input is not one of the model's, or does not fit it.
    """
    freed = _apply_inputs(model, options.inputs)
    fix_inputs(model, options.fixed)
    if options.inputs or options.fixed:
        _forget_shapes(model)
    return freed


def _apply_inputs(model: ir.Model, specs: tuple[InputSpec, ...]) -> dict[str, int]:
    """Free and pin the dimensions that were asked for.

    Returns:
        For each dimension that the file fixed and that is free now, its new name and the number it had.
    """
    inputs = {value.name or "": value for value in model.graph.inputs if not value.is_initializer()}
    nameless = iter(inputs)
    pinned: dict[str, int] = {}
    freed: dict[str, int] = {}
    for spec in specs:
        name = spec.name or next(nameless, "")
        if name not in inputs:
            known = ", ".join(map(repr, inputs)) or "none"
            raise InputError(f"The model has no input {name!r}; its inputs are {known}.")
        value = inputs[name]
        if spec.dtype and value.dtype is not None and value.dtype.numpy().name != spec.dtype:
            raise InputError(
                f"Input {name!r} is {value.dtype.numpy().name} in the file, not {spec.dtype}; leave the element "
                "type out."
            )
        dims: list[int | ir.SymbolicDim | None] = [None] * len(spec.shape)
        if value.shape is not None:
            dims = list(value.shape)
        if len(dims) != len(spec.shape):
            raise InputError(
                f"Input {name!r} has {len(dims)} dimensions in the file, {len(spec.shape)} were given; give as many."
            )
        for axis, (old, new) in enumerate(zip(dims, spec.shape, strict=True)):
            if new is not None:
                if isinstance(old, ir.SymbolicDim) and old.value is not None:
                    pinned[old.value] = new
                dims[axis] = new
            elif isinstance(old, int):
                label = "batch" if axis == 0 else f"{name}_d{axis}"
                freed[label] = old
                dims[axis] = ir.SymbolicDim(label)
        value.shape = ir.Shape(dims)
    for value in inputs.values():
        if value.shape is not None:
            value.shape = ir.Shape(
                [
                    pinned.get(dim.value, dim) if isinstance(dim, ir.SymbolicDim) and dim.value is not None else dim
                    for dim in value.shape
                ]
            )
    return freed


def _forget_shapes(model: ir.Model) -> None:
    for node in nodes_of(model):
        for value in node.outputs:
            if node.domain in ("", "ai.onnx"):
                value.shape = None


def _check_free(model: ir.Model, freed: dict[str, int]) -> None:
    """Refuse to free a dimension that a Reshape of the file fixes again."""
    if not freed:
        return
    for node in nodes_of(model):
        if node.op_type != "Reshape" or node.inputs[0] is None:
            continue
        codes, shape = numbers_of(node.inputs[1]), shape_of(node.inputs[0])
        for axis, code in enumerate(codes or []):
            size = shape[axis] if shape is not None and axis < len(shape) else None
            if str(size) in freed and code == freed[str(size)]:
                raise InputError(
                    f"Dimension {axis} cannot be freed: node {node.name!r} (Reshape) fixes it at {code}. Export the "
                    f"model with that dimension dynamic."
                )
