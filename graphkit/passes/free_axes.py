"""The free sizes of a model's inputs that a node's shapes are made of, and how to say what they are to be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from graphkit.ir.symbols import named, names_in, shape_of, sizes_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import onnx_ir as ir

__all__ = ["free_axes", "how_to_fix"]

_BATCH: Final = 2
_SIZE: Final = 16
"""Sizes that stand for the user's own in what is told."""


def free_axes(
    inputs: Sequence[ir.Value], needs: Iterable[ir.Value] = (), shaped: Iterable[ir.Value | str] = ()
) -> tuple[tuple[str, int], ...]:
    """The axes of a model's inputs that would have to be of a known size.

    Args:
        inputs: The model's inputs.
        needs: Integer values whose elements are to be numbers.
        shaped: Values whose shapes are to be, or single sizes as they are spelled.

    Returns:
        Name of the input and axis, in the inputs' order. A size that no input's axis is made of asks for all of them.
    """
    needs = list(needs)
    sizes = [size for value in needs if (found := sizes_of(value)) is not None for size in found.flat]
    for value in shaped:
        sizes += [named(value)] if isinstance(value, str) else shape_of(value) or (None,)
    unknown = any(sizes_of(value) is None for value in needs) or None in sizes
    names = {name for size in sizes for name in names_in(size)}
    axes = [(value.name or "", axis, names_in(size)) for value in inputs for axis, size in enumerate(_free(value))]
    known = {name for *_, made_of in axes for name in made_of}
    unknown = unknown or not names <= known
    return tuple((name, axis) for name, axis, made_of in axes if made_of and (unknown or made_of & names))


def _free(value: ir.Value) -> tuple[object, ...]:
    return () if value.const_value is not None else shape_of(value) or ()


def how_to_fix(inputs: Sequence[ir.Value], axes: Sequence[tuple[str, int]]) -> str:
    """What to tell who may give free axes a size: a clause with the options of the command line."""
    told, options = [], []
    for value in inputs:
        wanted = [axis for name, axis in axes if name == value.name]
        if not wanted or value.shape is None:
            continue
        told.append(f"{'axes' if len(wanted) > 1 else 'axis'} {', '.join(map(str, wanted))} of input {value.name!r}")
        sizes = [
            str(dim) if isinstance(dim, int) else "?" if axis not in wanted else str(_SIZE if axis else _BATCH)
            for axis, dim in enumerate(value.shape)
        ]
        dtype = "" if value.dtype is None or value.dtype.name == "FLOAT" else f":{value.dtype.numpy().name}"
        options.append(f"--input {value.name}:{'x'.join(sizes)}{dtype}")
    if any(axis == 0 for _, axis in axes):
        options.append("--no-dynamic-batch")
    return f"give {' and '.join(told)} a size, as with {' '.join(options)}"
