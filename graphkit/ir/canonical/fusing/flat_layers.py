"""Layers of rows, without the Reshape before them that joins all axes but the last, and the one that undoes it.

GPT-2's layers are so, and OPT's: ``addmm`` and ``Gemm`` know two axes only. Their equals on as many axes as there are
need no sizes, which may be free.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from graphkit.ir.origin import disown
from graphkit.ir.producers import made_by
from graphkit.ir.symbols import equal, product, shape_of

if TYPE_CHECKING:
    import onnx_ir as ir

    from graphkit.ir.edit import Editor
    from graphkit.ir.symbols import Size

__all__ = ["unflatten"]

_EACH: Final = frozenset({"Add", "Cast", "Div", "Dropout", "Gelu", "Mul", "Relu", "Sigmoid", "Sub", "Tanh"})
"""Operators that compute element by element."""
_ROWS: Final = frozenset({"LayerNormalization", "RMSNormalization", "Softmax"})
"""Operators that compute row by row, where their axis is the last."""


def unflatten(edit: Editor) -> bool:
    """Compute what a Reshape gives in its own axes, where rows are what was computed; shapes must be known.

    Nothing else may read what is computed in between. At least one Gemm is among it: others gain nothing.
    """
    node = edit.node
    x, shape, rows = node.inputs[0], shape_of(node.outputs[0]), None if not node.inputs[0] else shape_of(node.inputs[0])
    if x is None or shape is None or rows is None or len(shape) < 3 or len(rows) != 2 or not equal(shape[-1], rows[-1]):
        return False
    found: list[ir.Node] = []
    if not _computes_rows(x, shape[:-1], found) or not any(each.op_type == "Gemm" for each in found):
        return False
    edit.replace(_raised(edit, x, shape[:-1], {}))
    return True


def _joined(value: ir.Value, front: tuple[Size, ...]) -> ir.Value | None:
    """What a Reshape made rows of, if the front axes are joined to rows, and all others to the features of one."""
    node = value.producer()
    source = None if node is None or node.op_type != "Reshape" or node.domain else node.inputs[0]
    shape, rows = None if source is None else shape_of(source), shape_of(value)
    if shape is None or rows is None or len(rows) != 2 or len(shape) <= len(front):
        return None
    same = all(map(equal, shape[: len(front)], front)) and equal(product(shape[len(front) :]), rows[-1])
    return source if same else None


def _spreads(value: ir.Value) -> bool:
    """Whether a value is a row, or a number, that broadcasts to all rows alike."""
    shape = shape_of(value)
    return shape is not None and all(size == 1 for size in shape[:-1])


def _computes_rows(value: ir.Value, front: tuple[Size, ...], found: list[ir.Node]) -> bool:
    """Whether a value is computed row by row of what :func:`_joined` finds; the nodes are added to those found."""
    if _joined(value, front) is not None:
        return True
    node = value.producer()
    if node is None or made_by(value, node.op_type) is None:
        return False
    if any(output.uses() or output.is_graph_output() for output in node.outputs[1:]):
        return False
    found.append(node)
    first = node.inputs[0]
    if node.op_type == "Gemm":
        plain = all(node.attributes.get_float(name, 1.0) == 1.0 for name in ("alpha", "beta"))
        bias = node.inputs[2] if len(node.inputs) > 2 else None
        if not plain or node.attributes.get_int("transA", 0) != 0 or (bias is not None and not _spreads(bias)):
            return False
        return first is not None and _computes_rows(first, front, found)
    if node.op_type in _ROWS:
        return (
            node.attributes.get_int("axis", -1) in (1, -1) and first is not None and _computes_rows(first, front, found)
        )
    if node.op_type not in _EACH:
        return False
    if node.op_type == "Dropout":
        return first is not None and _computes_rows(first, front, found)
    operands = [operand for operand in node.inputs if operand is not None and not _spreads(operand)]
    return bool(operands) and all(_computes_rows(operand, front, found) for operand in operands)


def _raised(edit: Editor, value: ir.Value, front: tuple[Size, ...], known: dict[ir.Value, ir.Value]) -> ir.Value:
    """A value of rows in the axes that they come from; those known are looked up."""
    source = _joined(value, front)
    if source is not None and len(shape_of(source) or ()) == len(front) + 1:
        return source
    if source is not None:
        if value not in known:
            known[value] = edit.op("Reshape", source, edit.const("joined", [*[0] * len(front), -1]))
        return known[value]
    node = value.producer()
    assert node is not None
    start = len(edit.made)
    if node.op_type == "Gemm":
        x, weight, *bias = node.inputs
        assert x is not None
        raised = _raised(edit, x, front, known)
        start = len(edit.made)
        if node.attributes.get_int("transB", 0):
            assert weight is not None
            weight = edit.op("Transpose", weight, perm=[1, 0])
        result = edit.op("MatMul", raised, weight)
        if bias and bias[0] is not None:
            result = edit.op("Add", result, bias[0])
    else:
        whole = node.op_type in _ROWS or node.op_type == "Dropout"
        inputs = [
            operand
            if operand is None or (place and whole) or (not whole and _spreads(operand))
            else _raised(edit, operand, front, known)
            for place, operand in enumerate(node.inputs)
        ]
        start = len(edit.made)
        attributes = {name: attribute.value for name, attribute in node.attributes.items()}
        if node.op_type in _ROWS:
            attributes["axis"] = -1
        result = edit.op(node.op_type, *inputs, **attributes)
    for made in edit.made[start:]:
        made.metadata_props.clear()
        made.metadata_props.update(node.metadata_props)
        disown(made)
    return result
