"""Evaluating what depends on constants only."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import ml_dtypes
import numpy as np
import onnx_ir as ir

from graphkit import limits
from graphkit.errors import FormatError
from graphkit.files import aside
from graphkit.ir.edit import add_constant, nodes_of, redirect
from graphkit.ir.opset import OPSET
from graphkit.ir.params import exact, kind_of
from graphkit.ir.shapes import infer_node
from graphkit.ir.symbols import shape_of

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["evaluate", "fold_constants"]

LIMIT: Final = 1_000_000
"""Elements beyond which a result is not stored unless its inputs are as large."""
_FOLDED = """
Abs Acos Acosh Add And ArgMax ArgMin Asin Asinh Atan Atanh BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor Cast
Ceil Clip Compress Concat ConstantOfShape Cos Cosh CumSum DepthToSpace Div Einsum Equal Erf Exp Expand EyeLike
Flatten Floor Gather GatherElements GatherND Gemm Greater GreaterOrEqual IsInf IsNaN Less LessOrEqual Log MatMul Max
Mean Min Mod Mul Neg NonZero Not OneHot Or Pad Pow Range Reciprocal ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp
ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare Relu Reshape Round ScatterElements ScatterND
Shape Sigmoid Sign Sin Sinh Size Slice SpaceToDepth Split Sqrt Squeeze Sub Sum Tan Tanh Tile TopK Transpose Trilu
Unsqueeze Where Xor
"""
FOLDED: Final = frozenset(_FOLDED.split())
"""Operators that are folded: plain arithmetic and rearranging, on which the reference evaluator is right."""
_GROWING: Final = frozenset(("ConstantOfShape", "Expand", "EyeLike", "OneHot", "Pad", "Range", "Tile"))
"""Operators whose results are of a size that numbers in the model say."""
_EXPANDED: Final = "graphkit.expanded"
"""Where a model has how many bytes it has grown by."""
_LITTLE: Final = 10_000
"""Bytes by which a result may be larger than its operands without being counted."""
_WIDENED: Final = 100_000
"""Elements of the inputs up to which doubles are computed where none are known."""
_DTYPE_ATTRIBUTES: Final = {"Cast": "to", "EyeLike": "dtype"}


def fold_constants(model: ir.Model) -> bool:
    """Replace nodes whose inputs are all constants by their values, in place.

    Parameters and buffers are not constants, so what is computed from them stays. Values are computed in the model's
    own precision. Float results are also computed in double precision, from the exact numbers where they are known
    (:func:`graphkit.ir.params.exact`), and the doubles kept: a float64 run then agrees with the source's own.
    What is computed from arrays without elements, such as their sum, is a constant, too. What a few numbers say stays
    a node once all of it would take more than :attr:`graphkit.limits.Limits.expanded`.

    Returns:
        Whether anything was folded.
    """
    folded = False
    room = limits.current().expanded - int(model.meta.get(_EXPANDED, 0))
    for node in nodes_of(model):
        _store_empty(model, node)
        if not _foldable(node) or (grown := _growth(node)) > room:
            continue
        try:
            results = evaluate(node)
        except Exception:
            continue
        if grown > _LITTLE:
            room -= grown
            model.meta[_EXPANDED] = int(model.meta.get(_EXPANDED, 0)) + grown
        _put(model, node, results)
        folded = True
    return folded


def _store_empty(model: ir.Model, node: ir.Node) -> None:
    """Make constants of operands that have no elements, where the results have some and so are known."""
    if node.domain or node.op_type not in FOLDED or node.graph is None:
        return
    empty = [index for index, value in enumerate(node.inputs) if value is not None and _count(value) == 0]
    others = [value for index, value in enumerate(node.inputs) if value is not None and index not in empty]
    fed = any(value.const_value is None for value in others)
    if not empty or fed or any(not _count(output) for output in node.outputs):
        return
    for index in empty:
        value = node.inputs[index]
        if value is not None and value.const_value is None and value.dtype is not None and value.shape is not None:
            array = np.zeros(value.shape.numpy(), value.dtype.numpy())
            node.replace_input_with(index, add_constant(model.graph, f"{value.name}_empty", array))


def _count(value: ir.Value) -> int | None:
    """The number of elements of a value, None where it is not known."""
    shape = shape_of(value)
    if shape is None or not all(isinstance(dim, int) for dim in shape):
        return None
    return math.prod(int(dim) for dim in shape if isinstance(dim, int))


def _growth(node: ir.Node) -> int:
    """Bytes by which what a node computes is larger than what it reads, as far as its shapes tell."""
    return sum(map(_bytes, node.outputs)) - sum(_bytes(value) for value in node.inputs if value is not None)


def _bytes(value: ir.Value) -> int:
    return (_count(value) or 0) * (8 if value.dtype is None else max(value.dtype.bitwidth // 8, 1))


def _foldable(node: ir.Node) -> bool:
    if node.domain or node.op_type not in FOLDED or node.graph is None:
        return False
    size = 0
    for value in node.inputs:
        if value is None:
            continue
        if value.const_value is None or not value.is_initializer() or kind_of(value) != "constant":
            return False
        size += value.const_value.size
    if node.op_type in _GROWING and any(_count(output) is None for output in node.outputs):
        try:
            infer_node(node)
        except FormatError:
            return False
    for output in node.outputs:
        if not isinstance(output.type, ir.TensorType):
            return False
        shape = shape_of(output)
        known = shape is not None and all(isinstance(dim, int) for dim in shape)
        elements = math.prod(int(dim) for dim in shape) if known and shape is not None else 0
        if elements > max(LIMIT, size) or (not known and (size > LIMIT or node.op_type in _GROWING)):
            return False
    return True


def _is_float(value: ir.Value) -> bool:
    return value.dtype is not None and value.dtype.is_floating_point() and value.dtype.bitwidth >= 16


def evaluate(node: ir.Node) -> list[tuple[npt.NDArray[np.generic], npt.NDArray[np.float64] | None]]:
    """The outputs of a node whose inputs are all initializers: each array, and its double where narrowing lost some.

    Raises:
        Exception: Whatever the reference evaluator raises.
    """
    tensors = [None if value is None else value.const_value for value in node.inputs]
    arrays = [None if tensor is None else tensor.numpy() for tensor in tensors]
    own = [np.asarray(array) for array in _run(node, arrays, wide=False)]
    known = any(value is not None and exact(value) is not None for value in node.inputs)
    worthwhile = known or sum(tensor.size for tensor in tensors if tensor is not None) <= _WIDENED
    wide: list[Any] | None = None
    results: list[tuple[npt.NDArray[np.generic], npt.NDArray[np.float64] | None]] = []
    for index, output in enumerate(node.outputs):
        if output.dtype is None:
            raise TypeError(f"no dtype known for {output.name!r}")
        array, dtype = own[index], output.dtype.numpy()
        narrow = array if array.dtype == dtype and array.flags.owndata else array.astype(dtype)
        doubles = None
        if worthwhile and _is_float(output) and output.dtype != ir.DataType.DOUBLE:
            if wide is None:
                widened = [
                    _widened(value, array) if value is not None and array is not None and _is_float(value) else array
                    for value, array in zip(node.inputs, arrays, strict=True)
                ]
                wide = _run(node, widened, wide=True)
            doubles = _finer(np.asarray(wide[index], np.float64), narrow)
        results.append((narrow, doubles))
    return results


def _finer(doubles: npt.NDArray[np.float64], narrow: npt.NDArray[np.generic]) -> npt.NDArray[np.float64] | None:
    """The doubles, None where they say no more than the narrow array, or something else (a rounding fell otherwise)."""
    same = narrow.astype(np.float64)
    if np.array_equal(same, doubles, equal_nan=True):
        return None
    precision = float(ml_dtypes.finfo(narrow.dtype).eps)  # type: ignore[no-untyped-call]
    reach = np.sqrt(precision) * np.max(np.abs(same), initial=0.0)
    return doubles if np.allclose(doubles, same, rtol=0.0, atol=reach, equal_nan=True) else None


def _widened(value: ir.Value, array: npt.NDArray[np.generic]) -> npt.NDArray[np.float64]:
    doubles = exact(value)
    return array.astype(np.float64) if doubles is None else doubles


def _run(node: ir.Node, arrays: list[Any], *, wide: bool) -> list[Any]:
    from onnx.reference import ReferenceEvaluator

    proto = ir.serde.serialize_node(node)
    names = [f"i{index}" if array is not None else "" for index, array in enumerate(arrays)]
    del proto.input[:], proto.output[:]
    proto.input.extend(names)
    proto.output.extend(f"o{index}" for index in range(len(node.outputs)))
    if wide:
        _widen_attributes(proto)
    feeds = {name: array for name, array in zip(names, arrays, strict=True) if array is not None}
    evaluator = ReferenceEvaluator(proto, opsets={"": OPSET})
    with np.errstate(all="ignore"):
        return list(evaluator.run(None, feeds))


def _widen_attributes(proto: Any) -> None:
    """Let a node that says its result's dtype say double instead of another float.

    A value in an attribute becomes the shortest decimal that rounds to it, which is what its author wrote.
    """
    name = _DTYPE_ATTRIBUTES.get(proto.op_type)
    for attribute in proto.attribute:
        if attribute.name == name and ir.DataType(attribute.i).is_floating_point():
            attribute.i = int(ir.DataType.DOUBLE)
        if proto.op_type == "ConstantOfShape" and attribute.name == "value":
            tensor = ir.serde.deserialize_tensor(attribute.t)
            if tensor.dtype.is_floating_point():
                decimal = np.array([float(str(number)) for number in tensor.numpy().flat], np.float64)
                attribute.t.CopyFrom(ir.serde.serialize_tensor(ir.tensor(decimal)))


def _put(
    model: ir.Model, node: ir.Node, results: list[tuple[npt.NDArray[np.generic], npt.NDArray[np.float64] | None]]
) -> None:
    for output, (array, doubles) in zip(node.outputs, results, strict=True):
        if not output.uses() and not output.is_graph_output():
            continue
        name = output.name or node.name or node.op_type
        outer = output.is_graph_output() or node.graph is not model.graph
        value = add_constant(model.graph, f"{name}_value" if outer else name, aside(array), doubles)
        redirect(output, value)
    inputs = {value for value in node.inputs if value is not None}
    if node.graph is not None:
        node.graph.remove(node, safe=True)
    for value in inputs:
        if not value.uses() and not value.is_graph_output() and value.name is not None:
            model.graph.initializers.pop(value.name, None)
