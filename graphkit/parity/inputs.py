"""Seeded inputs and cotangents, the same for every runtime."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from graphkit.errors import InputError
from graphkit.frameworks.base import InputSpec
from graphkit.ir.dims import bounds_of, dims_of
from graphkit.parity.precision import HALVES, roundoff
from graphkit.parity.ranges import range_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import numpy.typing as npt
    import onnx_ir as ir

    Arrays = Mapping[str, npt.NDArray[np.generic]]

__all__ = [
    "BATCH",
    "FREE",
    "draw_classes",
    "draw_inputs",
    "draw_seeds",
    "fixed_by",
    "guessed",
    "in_dtype",
    "input_shapes",
    "nudged",
]

BATCH = 2
"""Batch size where the batch dimension is free and none is asked for: samples that are mixed up show from two on."""
FREE = 32
"""Size of every other free dimension that is not given."""
_APART: Final = ", or, where these are not one batch, read the model with --no-dynamic-batch"


def input_shapes(
    model: ir.Model, batch: int | None = None, specs: Sequence[InputSpec] = ()
) -> tuple[dict[str, tuple[int, ...]], dict[str, int]]:
    """A size for every free dimension of the inputs.

    Given shapes come first, then ``batch`` for the batch dimension, then :data:`BATCH` and :data:`FREE`, or what comes
    next to it where the model takes no such size. The batch dimension is the symbolic one whose name says so; where
    none does, the first of every input.

    Returns:
        Shape of each input by name, and size of each symbolic dimension by name.

    Raises:
        InputError: A given name is not an input's, a given shape does not fit, ``batch`` is asked for where the first
            dimension is fixed at something else, or an input's rank is not known and no shape is given.
    """
    values = {value.name or "": value for value in model.graph.inputs if not value.is_initializer()}
    given = _given(values, specs)
    dims = {name: _dims(name, value, given.get(name)) for name, value in values.items()}
    batches = _batches(dims)
    if batch is not None and not batches:
        _refuse_fixed_batch(dims, batch)
    sizes: dict[str, int] = {}
    wanted: dict[tuple[str, int], int] = {}
    for name, axis, dim in _axes(dims):
        asked = given[name][axis] if name in given else None
        if batch is not None and _is_batch(axis, dim, batches):
            asked = batch
        if asked is not None:
            _accept(name, axis, dim, asked, sizes)
            wanted[name, axis] = asked
    shapes: dict[str, list[int]] = {name: [] for name in dims}
    bounds = _bounds(values, dims)
    for name, axis, dim in _axes(dims):
        least, most = bounds.get(dim or (name, axis), (0, None))
        free = max(least, BATCH if _is_batch(axis, dim, batches) else FREE)
        free = free if most is None else min(free, most)
        if isinstance(dim, str):
            shapes[name].append(sizes.setdefault(dim, free))
        else:
            shapes[name].append(wanted.get((name, axis), free) if dim is None else dim)
    return {name: tuple(shape) for name, shape in shapes.items()}, sizes


def fixed_by(
    model: ir.Model, other: ir.Model, names: Mapping[str, str], specs: Sequence[InputSpec] = ()
) -> tuple[InputSpec, ...]:
    """Given shapes, and for inputs without one the sizes that another model fixes and this one leaves free.

    Args:
        model: The model that inputs are drawn for.
        other: The model that is fed the same.
        names: What an input is called in the other model.
        specs: Given shapes.

    Raises:
        InputError: A given name is not an input's.
    """
    values = {value.name or "": value for value in model.graph.inputs if not value.is_initializer()}
    there = {value.name or "": dims_of(value) for value in other.graph.inputs if not value.is_initializer()}
    shapes = _given(values, specs)
    for name, value in values.items():
        here, others = dims_of(value) or (), there.get(names.get(name, name)) or ()
        if name not in shapes and len(here) == len(others):
            fixed = [
                b if isinstance(b, int) and not isinstance(a, int) else None for a, b in zip(here, others, strict=True)
            ]
            if any(size is not None for size in fixed):
                shapes[name] = tuple(a if isinstance(a, int) else size for a, size in zip(here, fixed, strict=True))
    return tuple(InputSpec(name, shape) for name, shape in shapes.items())


def guessed(model: ir.Model, specs: Sequence[InputSpec] = ()) -> str:
    """What to say about the inputs of which a size other than the batch was guessed; empty where none was."""
    values = {value.name or "": value for value in model.graph.inputs if not value.is_initializer()}
    given = _given(values, specs)
    dims = {name: dims_of(value) or () for name, value in values.items() if name not in given}
    shapes, _ = input_shapes(model, None, specs)
    batches = _batches(dims)
    names = {name for name, axis, dim in _axes(dims) if _is_guessed(axis, dim, batches)}
    if not names:
        return ""
    told = ", ".join(f"{name!r} ({_shown(dims[name])})" for name in sorted(names))
    chosen = {shapes[name][axis] for name, axis, dim in _axes(dims) if _is_guessed(axis, dim, batches)}
    numbers = " and ".join(map(str, sorted(chosen)))
    example = " ".join(f"--input {name}:{'x'.join(map(str, shapes[name]))}" for name in sorted(names))
    return (
        f"The model leaves sizes of {told} free and graphkit chose {numbers} for them; give those it needs, as "
        f"{example}."
    )


def draw_inputs(
    model: ir.Model, seed: int = 0, batch: int | None = None, specs: Sequence[InputSpec] = ()
) -> dict[str, npt.NDArray[np.generic]]:
    """Random inputs: standard normal floats, integers within what their consumers allow, fair booleans.

    Floats hold numbers that float32 represents, so that runs in float32 and in float64 are fed the same. Each input
    has a random stream of its own, so it does not change when another input is added.

    Args:
        model: A canonical model.
        seed: Seed.
        batch: Size of the batch dimension.
        specs: Given shapes.

    Raises:
        InputError: As :func:`input_shapes`, or an input holds what cannot be drawn, e.g. text.
    """
    shapes, sizes = input_shapes(model, batch, specs)
    found: dict[str, npt.NDArray[np.generic]] = {}
    for value in model.graph.inputs:
        if value.is_initializer():
            continue
        name = value.name or ""
        rng = _stream(seed, "input", name)
        allowed = range_of(value, sizes)
        dtype: np.dtype[Any] = np.dtype(np.float32) if value.dtype is None else value.dtype.numpy()
        if dtype.kind == "b":
            found[name] = rng.integers(0, 2, shapes[name]).astype(bool)
        elif dtype.kind in "iu":
            stop = min(allowed.stop, int(np.iinfo(dtype).max) + 1)
            found[name] = rng.integers(allowed.start, stop, shapes[name]).astype(dtype)
        elif value.dtype is not None and not value.dtype.is_floating_point():
            raise InputError(
                f"Input {name!r} holds {value.dtype.name.lower()}; graphkit draws numbers only. Give data, with --feed."
            )
        elif allowed.index:
            found[name] = rng.integers(allowed.start, allowed.stop, shapes[name]).astype(dtype)
        else:
            found[name] = rng.standard_normal(shapes[name]).astype(np.float32).astype(dtype)
    return found


def draw_seeds(outputs: Arrays, seed: int = 0) -> dict[str, npt.NDArray[np.generic]]:
    """A standard normal cotangent of the shape and dtype of each float output, representable in float32.

    Args:
        outputs: Computed outputs by name.
        seed: Seed.
    """
    return {
        name: _stream(seed, "cotangent", name).standard_normal(array.shape).astype(np.float32).astype(array.dtype)
        for name, array in outputs.items()
        if array.dtype.kind in "fV"
    }


def draw_classes(outputs: Arrays, seed: int = 0) -> dict[str, npt.NDArray[np.int64]]:
    """A class along axis 1, drawn evenly, for each place of each float output that has that axis.

    Args:
        outputs: Computed outputs by name.
        seed: Seed.

    Returns:
        Arrays of the outputs' shapes without axis 1.
    """
    return {
        name: _stream(seed, "class", name).integers(0, array.shape[1], (array.shape[0], *array.shape[2:]))
        for name, array in outputs.items()
        if array.dtype.kind in "fV" and array.ndim > 1 and array.shape[1]
    }


def in_dtype(arrays: Arrays, dtype: npt.DTypeLike) -> dict[str, npt.NDArray[np.generic]]:
    """The arrays with their floats in another float type."""
    return {name: array.astype(dtype) if array.dtype.kind in "fV" else array for name, array in arrays.items()}


def nudged(arrays: Arrays, seed: int, index: int, units: float = 1.0) -> dict[str, npt.NDArray[np.generic]]:
    """The arrays with every float moved by up to some units in the last place of a float32, up or down.

    Args:
        arrays: Arrays by name; integers and booleans stay as they are. Floats of 16 bits move by one unit of their own
            at most.
        seed: Seed.
        index: Which of many such moves.
        units: Units in the last place of the largest floats of a binade; small ones may move by twice as many.
    """
    moved: dict[str, npt.NDArray[np.generic]] = {}
    for name, array in arrays.items():
        if array.dtype.kind not in "fV" or _whole(array):
            moved[name] = array
            continue
        most = 2 * roundoff(array.dtype) if array.dtype.name in HALVES else units * 2.0**-23
        steps = _stream(seed, "nudge", f"{index} {name}").uniform(-most, most, array.shape)
        moved[name] = (array.astype(np.float64) * (1 + steps)).astype(array.dtype)
    return moved


def _whole(array: npt.NDArray[np.generic]) -> bool:
    """Whether floats are indices, which a nudge would spoil."""
    return bool(np.all(array == np.round(array.astype(np.float64))))


def _stream(seed: int, what: str, name: str) -> np.random.Generator:
    return np.random.default_rng([seed, zlib.crc32(f"{what} {name}".encode())])


def _given(values: Mapping[str, Any], specs: Sequence[InputSpec]) -> dict[str, tuple[int | None, ...]]:
    """Shapes by input name; specs without a name go to the inputs in order."""
    found: dict[str, tuple[int | None, ...]] = {}
    known = ", ".join(map(repr, values)) or "none"
    named = {spec.name for spec in specs}
    unnamed = iter([name for name in values if name not in named])
    for spec in specs:
        name = spec.name or next(unnamed, "")
        if not name:
            raise InputError(f"More inputs are given than the model has; its inputs are {known}.")
        if name not in values:
            raise InputError(f"The model has no input {name!r}; its inputs are {known}.")
        found[name] = spec.shape
    return found


def _dims(name: str, value: ir.Value, given: tuple[int | None, ...] | None) -> tuple[int | str | None, ...]:
    dims = dims_of(value)
    if dims is None:
        if given is None:
            raise InputError(f"The rank of input {name!r} is not known; give its shape: --input {name}:2x3x224x224.")
        return given
    if given is not None and len(given) != len(dims):
        raise InputError(
            f"Input {name!r} has {len(dims)} dimensions ({_shown(dims)}), {_shown(given)} was given; give as many."
        )
    return dims


def _bounds(
    values: Mapping[str, ir.Value], dims: Mapping[str, tuple[int | str | None, ...]]
) -> dict[int | str | tuple[str, int], tuple[int, int | None]]:
    """The least and the largest sizes that are noted of symbols, and of axes without one."""
    return {
        dims[name][axis] or (name, axis): bounds
        for name, value in values.items()
        for axis, bounds in bounds_of(value).items()
        if axis < len(dims[name])
    }


def _axes(dims: Mapping[str, tuple[int | str | None, ...]]) -> Iterator[tuple[str, int, int | str | None]]:
    return ((name, axis, dim) for name, shape in dims.items() for axis, dim in enumerate(shape))


def _batches(dims: Mapping[str, tuple[int | str | None, ...]]) -> set[str]:
    """Symbols that call themselves the batch."""
    return {dim for shape in dims.values() for dim in shape if isinstance(dim, str) and "batch" in dim.lower()}


def _is_batch(axis: int, dim: int | str | None, batches: set[str]) -> bool:
    if isinstance(dim, int):
        return False
    return dim in batches if batches else axis == 0


def _is_guessed(axis: int, dim: int | str | None, batches: set[str]) -> bool:
    return not isinstance(dim, int) and not _is_batch(axis, dim, batches)


def _accept(name: str, axis: int, dim: int | str | None, asked: int, sizes: dict[str, int]) -> None:
    if isinstance(dim, int) and asked != dim:
        raise InputError(
            f"Dimension {axis} of input {name!r} is fixed at {dim}, {asked} was given; give {dim}, or export the model "
            f"with that dimension free."
        )
    if isinstance(dim, str) and sizes.setdefault(dim, asked) != asked:
        raise InputError(
            f"Dimension {axis} of input {name!r} is {dim}, which another input sets to {sizes[dim]}, not {asked}; "
            f"give both the same size{_APART if axis == 0 else ''}."
        )


def _refuse_fixed_batch(dims: Mapping[str, tuple[int | str | None, ...]], batch: int) -> None:
    if any(shape and not isinstance(shape[0], int) for shape in dims.values()):
        return
    for name, shape in dims.items():
        if shape and shape[0] != batch:
            raise InputError(
                f"The batch dimension of input {name!r} is fixed at {shape[0]}; leave the batch size out, or export "
                f"the model with a free batch dimension."
            )


def _shown(dims: Sequence[int | str | None]) -> str:
    return "×".join("?" if dim is None else str(dim) for dim in dims) or "scalar"
