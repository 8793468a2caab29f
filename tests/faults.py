"""Single faults to plant in a canonical model, each at a node of which the name is told.

A fault takes the model and a random generator, spoils the model in place, and gives the names of the nodes that count
as spoilt: the one whose operator, attributes, inputs or weights are wrong, where a node is missing the nodes that read
what it would have given, and where a weight is wrong the nodes between it and the data. It gives None where the model
has no place for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from graphkit.ir.edit import add_constant
from graphkit.ir.params import kind_of, set_kind
from graphkit.ir.training import stop_gradient

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import numpy.typing as npt

    Rng = np.random.Generator
    Plant = Callable[[ir.Model, Rng], list[str] | None]

__all__ = ["FAULTS", "Fault"]


@dataclass(frozen=True)
class Fault:
    """A kind of fault.

    Attributes:
        plant: Spoils a model.
        shows: In what it shows: ``"outputs"``, or only in ``"gradients"`` or in running ``"statistics"``.
    """

    plant: Plant
    shows: str = "outputs"


FAULTS: dict[str, Fault] = {}
"""All kinds by name."""


def _fault(name: str, shows: str = "outputs") -> Callable[[Plant], Plant]:
    def add(plant: Plant) -> Plant:
        FAULTS[name] = Fault(plant, shows)
        return plant

    return add


def _pick(rng: Rng, nodes: Iterable[ir.Node]) -> ir.Node | None:
    found = list(nodes)
    return found[int(rng.integers(len(found)))] if found else None


def _of(model: ir.Model, *ops: str) -> list[ir.Node]:
    return [node for node in model.graph if node.op_type in ops and not node.domain]


def _inner(model: ir.Model, *ops: str) -> list[ir.Node]:
    return [node for node in _of(model, *ops) if not node.outputs[0].is_graph_output()]


def _array(value: ir.Value | None) -> npt.NDArray[Any] | None:
    return None if value is None or value.const_value is None else value.const_value.numpy()


def _set(value: ir.Value, array: npt.NDArray[Any]) -> None:
    value.const_value = ir.tensor(np.ascontiguousarray(array), name=value.name)
    value.shape = ir.Shape(array.shape)


def _names(nodes: Iterable[ir.Node]) -> list[str]:
    return [node.name or "" for node in nodes]


def _readers(value: ir.Value) -> list[str]:
    return _names(dict.fromkeys(node for node, _ in value.uses()))


def _attribute(model: ir.Model, rng: Rng, ops: tuple[str, ...], name: str, change: Callable[[ir.Node], Any]) -> Any:
    """Change an attribute of a node for which ``change`` tells another value."""
    changes = [(node, change(node)) for node in _of(model, *ops)]
    able = [(node, value) for node, value in changes if value is not None]
    if not able:
        return None
    node, value = able[int(rng.integers(len(able)))]
    kind = {int: ir.AttrInt64, float: ir.AttrFloat32, str: ir.AttrString, tuple: ir.AttrInt64s}[type(value)]
    node.attributes[name] = kind(name, value)
    return _names([node])


def _size(value: ir.Value | None) -> tuple[Any, ...]:
    return () if value is None or value.shape is None else tuple(value.shape)


@_fault("padding on the other side")
def _(model: ir.Model, rng: Rng) -> list[str] | None:
    def change(node: ir.Node) -> Any:
        top, left, bottom, right = node.attributes.get_ints("pads", (0, 0, 0, 0))
        return (top - 1, left - 1, bottom + 1, right + 1) if top and left else None

    return _attribute(model, rng, ("Conv", "MaxPool", "ConvTranspose"), "pads", change)


@_fault("dilation and padding of two")
def _(model: ir.Model, rng: Rng) -> list[str] | None:
    def change(node: ir.Node) -> Any:
        weight = _size(node.inputs[1])
        plain = set(node.attributes.get_ints("dilations", (1, 1))) == {1}
        same = node.attributes.get_ints("pads", (0, 0, 0, 0)) == (1, 1, 1, 1)
        return (2, 2) if plain and same and weight[2:] == (3, 3) else None

    found = _attribute(model, rng, ("Conv",), "dilations", change)
    for node in model.graph:
        if found and node.name == found[0]:
            node.attributes["pads"] = ir.AttrInt64s("pads", (2, 2, 2, 2))
    return found


@_fault("two groups instead of one")
def _(model: ir.Model, rng: Rng) -> list[str] | None:
    def fits(node: ir.Node) -> bool:
        weight = _size(node.inputs[1])
        return node.attributes.get_int("group", 1) == 1 and weight[0] % 2 == 0 and weight[1] % 2 == 0

    node = _pick(rng, filter(fits, _of(model, "Conv")))
    if node is None:
        return None
    weight, array = node.inputs[1], _array(node.inputs[1])
    assert weight is not None
    assert array is not None
    _set(weight, array[:, : array.shape[1] // 2])
    node.attributes["group"] = ir.AttrInt64("group", 2)
    return _names([node])


@_fault("padding counted in averages")
def _(model: ir.Model, rng: Rng) -> list[str] | None:
    def change(node: ir.Node) -> Any:
        return 1 - node.attributes.get_int("count_include_pad", 0) if node.attributes.get_ints("pads", ()) else None

    return _attribute(model, rng, ("AveragePool",), "count_include_pad", change)


@_fault("wrong epsilon")
def _(model: ir.Model, rng: Rng) -> list[str] | None:
    ops = ("BatchNormalization", "LayerNormalization")
    return _attribute(model, rng, ops, "epsilon", lambda node: 1e-2 if node else None)


@_fault("epsilon doubled")
def _(model: ir.Model, rng: Rng) -> list[str] | None:
    ops = ("BatchNormalization", "LayerNormalization")
    return _attribute(model, rng, ops, "epsilon", lambda node: 2 * node.attributes.get_float("epsilon", 1e-5))


@_fault("wrong momentum", "statistics")
def _(model: ir.Model, rng: Rng) -> list[str] | None:
    def change(node: ir.Node) -> Any:
        return 1 - node.attributes.get_float("momentum", 0.9)

    return _attribute(model, rng, ("BatchNormalization",), "momentum", change)


@_fault("wrong slope")
def _(model: ir.Model, rng: Rng) -> list[str] | None:
    return _attribute(model, rng, ("LeakyRelu", "Elu"), "alpha", lambda node: 0.2 if node else None)


@_fault("softmax over another axis")
def _(model: ir.Model, rng: Rng) -> list[str] | None:
    def change(node: ir.Node) -> Any:
        rank = len(_size(node.inputs[0]))
        return (node.attributes.get_int("axis", -1) - 1) % rank if rank > 1 else None

    return _attribute(model, rng, ("Softmax", "LogSoftmax"), "axis", change)


@_fault("other order of equal axes")
def _(model: ir.Model, rng: Rng) -> list[str] | None:
    def change(node: ir.Node) -> Any:
        perm = list(node.attributes.get_ints("perm", ()))
        size = _size(node.inputs[0])
        equal = [(i, j) for i in range(len(perm)) for j in range(i) if size[perm[i]] == size[perm[j]]]
        if not equal or _array(node.inputs[0]) is not None:
            return None
        i, j = equal[0]
        perm[i], perm[j] = perm[j], perm[i]
        return tuple(perm)

    return _attribute(model, rng, ("Transpose",), "perm", change)


@_fault("matrix not transposed")
def _(model: ir.Model, rng: Rng) -> list[str] | None:
    def change(node: ir.Node) -> Any:
        weight = _size(node.inputs[1])
        return 1 - node.attributes.get_int("transB", 0) if len(set(weight)) == 1 else None

    return _attribute(model, rng, ("Gemm",), "transB", change)


@_fault("wrong factor of a product")
def _(model: ir.Model, rng: Rng) -> list[str] | None:
    return _attribute(model, rng, ("Gemm",), "alpha", lambda node: 1.01 if node else None)


@_fault("wrong scale of attention")
def _(model: ir.Model, rng: Rng) -> list[str] | None:
    return _attribute(model, rng, ("Attention",), "scale", lambda node: 1.0 if node else None)


@_fault("causal attention")
def _(model: ir.Model, rng: Rng) -> list[str] | None:
    return _attribute(model, rng, ("Attention",), "is_causal", lambda node: 1 if node else None)


@_fault("other interpolation")
def _(model: ir.Model, rng: Rng) -> list[str] | None:
    return _attribute(model, rng, ("Resize",), "mode", lambda node: "nearest" if node else None)


@_fault("other coordinates of pixels")
def _(model: ir.Model, rng: Rng) -> list[str] | None:
    name = "coordinate_transformation_mode"
    return _attribute(model, rng, ("Resize",), name, lambda node: "align_corners" if node else None)


@_fault("reset before the product")
def _(model: ir.Model, rng: Rng) -> list[str] | None:
    def change(node: ir.Node) -> Any:
        return 1 - node.attributes.get_int("linear_before_reset", 0)

    return _attribute(model, rng, ("GRU",), "linear_before_reset", change)


@_fault("backward in time")
def _(model: ir.Model, rng: Rng) -> list[str] | None:
    def change(node: ir.Node) -> Any:
        return "reverse" if node.attributes.get_string("direction", "forward") == "forward" else None

    return _attribute(model, rng, ("LSTM", "GRU"), "direction", change)


@_fault("lower ceiling")
def _(model: ir.Model, rng: Rng) -> list[str] | None:
    node = _pick(rng, (node for node in _of(model, "Clip") if len(node.inputs) > 2))
    if node is None:
        return None
    ceiling = _array(node.inputs[2])
    assert ceiling is not None
    wrong = add_constant(model.graph, f"{node.name}_ceiling", np.asarray(ceiling / 4, ceiling.dtype))
    node.replace_input_with(2, wrong)
    return _names([node])


@_fault("index off by one")
def _(model: ir.Model, rng: Rng) -> list[str] | None:
    node = _pick(rng, (node for node in _of(model, "Gather") if _array(node.inputs[1]) is not None))
    if node is None:
        return None
    indices = _array(node.inputs[1])
    axis = node.attributes.get_int("axis", 0)
    size = _size(node.inputs[0])[axis]
    assert indices is not None
    moved = np.asarray((indices + 1) % (size if isinstance(size, int) else 2), indices.dtype)
    node.replace_input_with(1, add_constant(model.graph, f"{node.name}_moved", moved))
    return _names([node])


def _swapped(node: ir.Node | None, one: int = 0, two: int = 1) -> list[str] | None:
    if node is None:
        return None
    first, second = node.inputs[one], node.inputs[two]
    node.replace_input_with(one, second)
    node.replace_input_with(two, first)
    return _names([node])


def _alike(node: ir.Node, one: int, two: int) -> bool:
    if len(node.inputs) <= max(one, two):
        return False
    first, second = node.inputs[one], node.inputs[two]
    return first is not None and second is not None and first is not second and _size(first) == _size(second)


@_fault("swapped inputs")
def _(model: ir.Model, rng: Rng) -> list[str] | None:
    fit = (node for node in _of(model, "Sub", "Div", "Pow", "MatMul") if _alike(node, 0, 1))
    return _swapped(_pick(rng, fit))


@_fault("swapped parts of a concatenation")
def _(model: ir.Model, rng: Rng) -> list[str] | None:
    return _swapped(_pick(rng, (n for n in _of(model, "Concat") if _array(n.inputs[0]) is None and len(n.inputs) > 1)))


@_fault("swapped query and key")
def _(model: ir.Model, rng: Rng) -> list[str] | None:
    return _swapped(_pick(rng, _of(model, "Attention")))


@_fault("swapped scale and shift")
def _(model: ir.Model, rng: Rng) -> list[str] | None:
    return _swapped(_pick(rng, _of(model, "BatchNormalization", "LayerNormalization")), 1, 2)


@_fault("swapped mean and variance")
def _(model: ir.Model, rng: Rng) -> list[str] | None:
    node = _pick(rng, _of(model, "BatchNormalization"))
    if node is None:
        return None
    mean, variance = node.inputs[3:5]
    one, two = _array(mean), _array(variance)
    assert one is not None
    assert two is not None
    assert mean is not None
    assert variance is not None
    _set(mean, two)
    _set(variance, np.abs(one) + np.asarray(1e-3, one.dtype))
    return _names([node])


@_fault("another value of the same shape")
def _(model: ir.Model, rng: Rng) -> list[str] | None:
    """An Add or Concat reads what was computed earlier."""
    choices = []
    before: list[ir.Value] = []
    for node in model.graph:
        for index, value in enumerate(node.inputs):
            if node.op_type in ("Add", "Concat", "Mul", "Sub") and value is not None and value.producer() is not None:
                alike = (v for v in before if _size(v) == _size(value) and v.dtype == value.dtype)
                others = [v for v in alike if v not in node.inputs]
                choices += [(node, index, others[-1])] if others and len(value.uses()) > 1 else []
        before += node.outputs
    if not choices:
        return None
    node, index, value = choices[int(rng.integers(len(choices)))]
    node.replace_input_with(index, value)
    return _names([node])


def _weights(model: ir.Model, rank: int = 1, kind: str = "parameter") -> list[ir.Value]:
    found = []
    for value in model.graph.initializers.values():
        array = _array(value)
        if array is not None and array.dtype.kind == "f" and array.ndim >= rank and kind_of(value) == kind:
            found.append(value)
    return found


def _users(value: ir.Value) -> list[str]:
    """The nodes that read an array, through nodes that compute from arrays alone as well."""
    found: dict[ir.Node, None] = {}
    stack = [value]
    while stack:
        for user, _ in stack.pop().uses():
            found[user] = None
            sources = [each for each in user.inputs if each is not None]
            if all(_is_stored(each) for each in sources):
                stack += user.outputs
    return _names(found)


def _is_stored(value: ir.Value) -> bool:
    producer = value.producer()
    if producer is None:
        return not value.is_graph_input()
    return all(_is_stored(each) for each in producer.inputs if each is not None)


def _changed(
    values: list[ir.Value], rng: Rng, change: Callable[[npt.NDArray[Any]], npt.NDArray[Any]]
) -> list[str] | None:
    if not values:
        return None
    value = values[int(rng.integers(len(values)))]
    array = _array(value)
    assert array is not None
    _set(value, change(array).astype(array.dtype))
    return _users(value)


@_fault("one wrong element of a weight")
def _(model: ir.Model, rng: Rng) -> list[str] | None:
    def change(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        found = array.copy()
        found.flat[int(np.argmax(np.abs(found)))] *= 1.01
        return found

    return _changed(_weights(model, 2), rng, change)


@_fault("weight a thousandth too large")
def _(model: ir.Model, rng: Rng) -> list[str] | None:
    return _changed(_weights(model, 2), rng, lambda array: array * 1.001)


@_fault("weight rounded to half precision")
def _(model: ir.Model, rng: Rng) -> list[str] | None:
    return _changed(_weights(model, 2), rng, lambda array: array.astype(np.float16))


@_fault("transposed weight")
def _(model: ir.Model, rng: Rng) -> list[str] | None:
    square = [value for value in _weights(model, 2) if _size(value)[0] == _size(value)[1]]
    return _changed(square, rng, lambda array: array.swapaxes(0, 1))


@_fault("flipped kernel")
def _(model: ir.Model, rng: Rng) -> list[str] | None:
    large = [value for value in _weights(model, 4) if _size(value)[2] > 1]
    return _changed(large, rng, lambda array: array[:, :, ::-1, ::-1])


@_fault("channels the other way round")
def _(model: ir.Model, rng: Rng) -> list[str] | None:
    wide = [value for value in _weights(model, 4) if _size(value)[1] > 1]
    return _changed(wide, rng, lambda array: array[:, ::-1])


@_fault("bias doubled")
def _(model: ir.Model, rng: Rng) -> list[str] | None:
    biases = [value for value in _weights(model) if "bias" in (value.name or "") and len(_size(value)) == 1]
    return _changed(biases, rng, lambda array: array * 2)


@_fault("gates in another order")
def _(model: ir.Model, rng: Rng) -> list[str] | None:
    def change(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        parts = np.split(array, len(array) // hidden)
        return np.concatenate([parts[0], parts[2], parts[1], *parts[3:]])

    node = _pick(rng, _of(model, "LSTM", "GRU"))
    if node is None:
        return None
    hidden = node.attributes.get_int("hidden_size", 0)
    gates = 4 if node.op_type == "LSTM" else 3
    known = [value for value in _weights(model, 2) if _size(value)[0] == gates * hidden]
    return _changed([value for value in known if node.name in _users(value)], rng, change)


@_fault("missing bias")
def _(model: ir.Model, rng: Rng) -> list[str] | None:
    node = _pick(rng, (node for node in _of(model, "Conv", "Gemm", "ConvTranspose") if len(node.inputs) > 2))
    if node is None:
        return None
    bias = node.inputs[2]
    node.resize_inputs(2)
    _forget(model, bias)
    return _names([node])


def _forget(model: ir.Model, value: ir.Value | None) -> None:
    if value is not None and not value.uses():
        model.graph.initializers.pop(value.name or "", None)


def _removed(model: ir.Model, node: ir.Node | None, kept: int = 0) -> list[str] | None:
    """Take a node out; what read it reads one of its inputs. The nodes that read it then."""
    if node is None:
        return None
    readers = _readers(node.outputs[0])
    stored = [value for value in node.inputs if value is not None]
    for user, index in list(node.outputs[0].uses()):
        user.replace_input_with(index, node.inputs[kept])
    model.graph.remove(node, safe=True)
    for value in stored:
        _forget(model, value)
    return readers


@_fault("missing activation")
def _(model: ir.Model, rng: Rng) -> list[str] | None:
    return _removed(model, _pick(rng, _inner(model, "Relu", "Clip", "LeakyRelu", "Elu", "Gelu", "Tanh", "Sigmoid")))


@_fault("missing normalisation")
def _(model: ir.Model, rng: Rng) -> list[str] | None:
    return _removed(model, _pick(rng, _inner(model, "BatchNormalization", "LayerNormalization")))


@_fault("missing sum")
def _(model: ir.Model, rng: Rng) -> list[str] | None:
    whole = (n for n in _inner(model, "Add") if all(v is not None and v.producer() is not None for v in n.inputs))
    node = _pick(rng, (n for n in whole if _alike(n, 0, 1)))
    return _removed(model, node, int(rng.integers(2)))


def _instead(model: ir.Model, node: ir.Node | None, op: str, inputs: int = 1, **attributes: Any) -> list[str] | None:
    """Put another operator in the place of a node, under its names."""
    if node is None:
        return None
    new = ir.node(op, node.inputs[:inputs], attributes, num_outputs=1, name=node.name)
    new.metadata_props.update(node.metadata_props)
    old, result = node.outputs[0], new.outputs[0]
    result.type, result.shape, name = old.type, old.shape, old.name
    model.graph.insert_after(node, new)
    for user, index in list(old.uses()):
        user.replace_input_with(index, result)
    model.graph.remove(node, safe=True)
    result.name = name
    return _names([new])


@_fault("other activation")
def _(model: ir.Model, rng: Rng) -> list[str] | None:
    node = _pick(rng, _inner(model, "Relu", "Tanh", "Sigmoid", "Elu", "Clip"))
    other = "LeakyRelu" if node is not None and node.op_type in ("Relu", "Clip", "Elu") else "Softsign"
    return _instead(model, node, other)


@_fault("other kind of pooling")
def _(model: ir.Model, rng: Rng) -> list[str] | None:
    node = _pick(rng, _inner(model, "MaxPool", "AveragePool"))
    if node is None:
        return None
    names = ("kernel_shape", "strides", "pads", "ceil_mode")
    kept = {name: node.attributes[name].value for name in names if name in node.attributes}
    return _instead(model, node, "AveragePool" if node.op_type == "MaxPool" else "MaxPool", **kept)


@_fault("maximum instead of mean of the image")
def _(model: ir.Model, rng: Rng) -> list[str] | None:
    return _instead(model, _pick(rng, _inner(model, "GlobalAveragePool")), "GlobalMaxPool")


@_fault("other formula of GELU")
def _(model: ir.Model, rng: Rng) -> list[str] | None:
    def change(node: ir.Node) -> Any:
        return "none" if node.attributes.get_string("approximate", "none") == "tanh" else "tanh"

    return _attribute(model, rng, ("Gelu",), "approximate", change)


def _after(model: ir.Model, node: ir.Node, op: str, name: str, **attributes: Any) -> ir.Node:
    """Insert a node behind another; all that read the one read the other."""
    value = node.outputs[0]
    new = ir.node(op, [value], attributes, num_outputs=1, name=name)
    result = new.outputs[0]
    result.name, result.type, result.shape = name, value.type, value.shape
    for user, index in list(value.uses()):
        if user is not new:
            user.replace_input_with(index, result)
    model.graph.insert_after(node, new)
    return new


def _around(node: ir.Node, *more: ir.Node) -> list[str]:
    """Nodes that a node which was inserted after another can be taken for: itself, and those that read it."""
    last = more[-1] if more else node
    return list(dict.fromkeys([*_names([node, *more]), *_readers(last.outputs[0])]))


@_fault("layer run twice")
def _(model: ir.Model, rng: Rng) -> list[str] | None:
    def fits(node: ir.Node) -> bool:
        return _size(node.inputs[0]) == _size(node.outputs[0])

    node = _pick(rng, filter(fits, _inner(model, "BatchNormalization", "LayerNormalization", "Conv", "Gemm", "Tanh")))
    if node is None:
        return None
    again = ir.Node("", node.op_type, node.inputs, node.attributes.values(), num_outputs=1, name=f"{node.name}_again")
    value, result = node.outputs[0], again.outputs[0]
    result.name, result.type, result.shape = again.name, value.type, value.shape
    for user, index in list(value.uses()):
        user.replace_input_with(index, result)
    again.replace_input_with(0, value)
    model.graph.insert_after(node, again)
    return _around(again)


@_fault("rounded to half precision")
def _(model: ir.Model, rng: Rng) -> list[str] | None:
    node = _pick(rng, _inner(model, "Relu", "Conv", "LayerNormalization", "LSTM", "Gemm", "Add"))
    if node is None or node.outputs[0].dtype != ir.DataType.FLOAT:
        return None
    half = _after(model, node, "Cast", f"{node.name}_half", to=int(ir.DataType.FLOAT16))
    half.outputs[0].type = ir.TensorType(ir.DataType.FLOAT16)
    back = _after(model, half, "Cast", f"{node.name}_float", to=int(ir.DataType.FLOAT))
    back.outputs[0].type = ir.TensorType(ir.DataType.FLOAT)
    return _around(half, back)


@_fault("equal axes swapped")
def _(model: ir.Model, rng: Rng) -> list[str] | None:
    def equal(node: ir.Node) -> list[tuple[int, int]]:
        size = _size(node.outputs[0])
        return [(i, j) for i in range(len(size)) for j in range(i) if size[i] == size[j] and size[i] != 1]

    node = _pick(rng, filter(equal, _inner(model, "Reshape", "Conv", "Relu", "Add", "MatMul")))
    if node is None:
        return None
    i, j = equal(node)[0]
    perm = list(range(len(_size(node.outputs[0]))))
    perm[i], perm[j] = j, i
    return _around(_after(model, node, "Transpose", f"{node.name}_swapped", perm=perm))


@_fault("a factor too much")
def _(model: ir.Model, rng: Rng) -> list[str] | None:
    node = _pick(rng, _inner(model, "Conv", "Relu", "Gemm", "Add", "MatMul"))
    if node is None or node.outputs[0].dtype != ir.DataType.FLOAT:
        return None
    value = node.outputs[0]
    factor = add_constant(model.graph, f"{node.name}_factor", np.asarray(1.01, np.float32))
    set_kind(factor, "constant")
    new = _after(model, node, "Mul", f"{node.name}_scaled")
    new.resize_inputs(2)
    new.replace_input_with(0, value)
    new.replace_input_with(1, factor)
    return _around(new)


@_fault("no gradient", "gradients")
def _(model: ir.Model, rng: Rng) -> list[str] | None:
    node = _pick(rng, _inner(model, "Relu", "Conv", "Gemm", "Add", "LayerNormalization", "Concat"))
    if node is None:
        return None
    stop = _after(model, node, "Identity", f"{node.name}_stopped")
    stop_gradient(stop)
    return [*_around(stop), node.name or ""]
