"""Inserting into an array and deleting from it.

What is inserted stands before the element whose place is given, and places count in the array as it was. So both are
sorted together: element i by 2·i + 1, what comes before it by 2·i, equals in their own order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from graphkit.limits import check_elements
from graphkit.ops.codec import FLOAT
from graphkit.ops.numpy.parameters import axis_in, cast
from graphkit.ops.spec import Case, Limit, MxForm, Op, Refusal, arr, given
from graphkit.ops.tensor.sizes import as_int64, some

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from graphkit.ops.builders import OnnxBuilder
    from graphkit.ops.mxgraph import MxNode
    from graphkit.ops.spec import Read


def _int(node: MxNode, name: str) -> int | None:
    text = node.attrs.get(name, "None")
    return None if text == "None" else int(text)


def _line(b: OnnxBuilder, node: MxNode, data: ir.Value) -> tuple[ir.Value, int]:
    """The array, flattened where no axis is given, and the axis."""
    axis = _int(node, "axis")
    if axis is None:
        return (data if b.rank(data) == 1 else b.op("Reshape", data, [-1])), 0
    return data, axis_in(axis, b.rank(data))


def _sliced(node: MxNode, size: int) -> npt.NDArray[np.int64]:
    """The places that the parameters name along an axis: one, or those of a slice.

    Raises:
        ValueError: The place is none of the axis.
    """
    check_elements(size)
    place = _int(node, "int_ind")
    if place is None:
        return np.arange(size)[slice(*(_int(node, name) for name in ("start", "stop", "step")))]
    if not -size <= place <= size:
        raise ValueError(f"int_ind={place} is no place along {size} elements")
    return np.asarray([place + size if place < 0 else place])


def _reads_insert(*, one: bool = False, computed: bool = False) -> Read:
    """Args: whether a single place is given, as a number; whether the places are an input."""

    def read(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
        data, axis = _line(b, node, some(x[0]))
        if b.rank(data) == 0:
            return Refusal("nothing can be inserted into a scalar")
        number = node.attrs.get("val", "None")
        values = cast(b, some(x[1]), b.dtype(data)) if number == "None" else b.scalar(FLOAT.parse(number), data)
        if b.rank(values) > b.rank(data):
            return Refusal(f"values have {b.rank(values)} axes, the array only {b.rank(data)}")
        size = b.static_shape(data)[axis]
        places: npt.NDArray[np.int64] | ir.Value = some(x[-1]) if computed else _sliced(node, size)
        if not isinstance(places, np.ndarray):
            known = b.value(places)
            one_place, count = b.rank(places) == 0, int(np.prod(b.static_shape(places)))
            if known is not None:
                places = known.astype(np.int64).reshape(-1)
                if (np.abs(places) > size).any():
                    return Refusal(f"places {places.tolist()} are not all along {size} elements")
                places = np.where(places < 0, places + size, places)
        else:
            one_place, count = one, places.size
        block = _block(b, values, data, axis, count, turned=one_place)
        return block if isinstance(block, Refusal) else _merged(b, data, block, places, axis)

    return read


def _block(
    b: OnnxBuilder, values: ir.Value, data: ir.Value, axis: int, count: int, *, turned: bool
) -> ir.Value | Refusal:
    """What is inserted, in the shape of the array but along the axis.

    Args:
        b: The builder.
        values: What is inserted, to be stretched.
        data: The array.
        axis: The axis.
        count: At how many places; a block of several goes to one.
        turned: Whether the first axis of the values is the one inserted along.
    """
    shape = list(b.static_shape(data))
    missing = len(shape) - b.rank(values)
    if missing:
        values = b.op("Unsqueeze", values, list(range(missing)))
    if turned and axis:
        values = b.op("Transpose", values, perm=[*range(1, axis + 1), 0, *range(axis + 1, len(shape))])
    have = b.static_shape(values)
    shape[axis] = have[axis] if count == 1 else count
    if any(size not in (1, wanted) for size, wanted in zip(have, shape, strict=True)):
        return Refusal(f"values of shape {tuple(have)} do not stretch to the {tuple(shape)} that is inserted")
    return values if list(have) == shape else b.op("Expand", values, shape)


def _merged(
    b: OnnxBuilder, data: ir.Value, block: ir.Value, places: npt.NDArray[np.int64] | ir.Value, axis: int
) -> ir.Value:
    size, new = b.static_shape(data)[axis], b.static_shape(block)[axis]
    joined = b.op("Concat", block, data, axis=axis)
    check_elements(size + new)
    rest = 2 * np.arange(size) + 1
    if isinstance(places, np.ndarray):
        before = np.broadcast_to(2 * places, new)
        return b.op("Gather", joined, np.argsort(np.concatenate([before, rest]), kind="stable"), axis=axis)
    place = as_int64(b, places)
    place = b.op("Where", b.op("Less", place, np.asarray(0)), b.op("Add", place, np.asarray(size)), place)
    keys = b.op("Expand", b.op("Mul", place, np.asarray(2)), [new])
    _, order = b.ops("TopK", 2, b.op("Concat", keys, rest, axis=0), [size + new], axis=0, largest=0)
    return b.op("Gather", joined, order, axis=axis)


def _read_delete(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    data, axis = _line(b, node, some(x[0]))
    if b.rank(data) == 0:
        return Refusal("nothing can be deleted from a scalar")
    size = b.static_shape(data)[axis]
    check_elements(size)
    gone = some(x[1]) if len(x) > 1 else None
    known = _sliced(node, size) if gone is None else b.value(gone)
    if known is not None:
        if known.size and not -size <= int(known.min()) <= int(known.max()) < size:
            return Refusal(f"it deletes places that an axis of {size} elements has not")
        kept = np.delete(np.arange(size), known.astype(np.int64).reshape(-1))
        return b.op("Gather", data, kept, axis=axis)
    place = b.op("Reshape", as_int64(b, some(gone)), [-1, 1])
    place = b.op("Where", b.op("Less", place, np.asarray(0)), b.op("Add", place, np.asarray(size)), place)
    hit = b.op("Cast", b.op("Equal", place, np.arange(size)), to=ir.DataType.INT32)
    kept_mask = b.op("Equal", b.op("ReduceSum", hit, [0], keepdims=0), np.asarray(0, np.int32))
    return b.op("Compress", data, kept_mask, axis=axis)


_X, _LINE = arr(3, 4), arr(4)


def _form(op: str, read: Read, *cases: Case) -> MxForm:
    reads = ("val", "start", "stop", "step", "int_ind", "axis")
    return MxForm(op, read=read, reads=reads[op == "_npi_delete" :], direction="read", cases=cases)


_FORMS = (
    _form(
        "_npi_insert_scalar",
        _reads_insert(one=True),
        Case("row", (_X, _LINE), {"int_ind": -1, "axis": 0}, grad=False),
        Case("column", (_X, arr(3)), {"int_ind": 1, "axis": 1}, grad=False),
        Case("rows at one place", (_X, arr(2, 4)), {"int_ind": 3, "axis": 0}, grad=False),
        Case("number, flattened", (_X,), {"int_ind": 2, "val": 0.3}, grad=False),
        Case("numbers, flattened", (_X, arr(2)), {"int_ind": 12}, grad=False),
    ),
    _form(
        "_npi_insert_slice",
        _reads_insert(),
        Case("columns", (_X, arr(3, 2)), {"start": 0, "stop": 4, "step": 2, "axis": 1}, grad=False),
        Case("backward", (_X, arr(3, 2)), {"start": 3, "stop": 0, "step": -2, "axis": -1}, grad=False),
        Case("stretched", (_X, arr(1)), {"start": 0, "stop": 3, "step": 1, "axis": 0}, grad=False),
        Case("block at one place", (_X, arr(2, 4)), {"start": 1, "stop": 2, "step": 1, "axis": 0}, grad=False),
    ),
    _form(
        "_npi_insert_tensor",
        _reads_insert(computed=True),
        Case("columns", (_X, arr(3, 2), given([3, 1], "int64")), {"axis": 1}, grad=False),
        Case("from behind", (_X, _LINE, given([1, -1], "int64")), {"axis": 0}, grad=False),
        Case("at equal places", (_LINE, arr(3), given([2, 0, 2], "int64")), grad=False),
        Case("at one place", (_X, arr(3, 2), given([1], "int64")), {"axis": 1}, grad=False),
        Case("at stored places", (_X, arr(3, 2), given([4, -3], "int64")), {"axis": 1}, const=(2,), grad=False),
    ),
    _form(
        "_npi_delete",
        _read_delete,
        Case("column", (_X,), {"int_ind": -1, "axis": 1}, grad=False),
        Case("flattened", (_X,), {"int_ind": 3}, grad=False),
        Case("slice", (_X,), {"start": 0, "stop": 3, "step": 2, "axis": 1}, grad=False),
        Case("places", (_X, given([1, 3, 1, -1], "int64")), {"axis": 1}, grad=False),
        Case("stored places", (_X, given([1, -1], "int64")), {"axis": 1}, const=(1,), grad=False),
    ),
)
_IMPERATIVE = "MXNet 1.9.1 deletes in its imperative calls only; a symbol that does it gives an empty array"

OPS = tuple(
    Op(
        "",
        mx=(form,),
        limits=tuple(Limit(claim, _IMPERATIVE) for claim in ("read", "read-float64"))
        if form.op == "_npi_delete"
        else (),
    )
    for form in _FORMS
)
