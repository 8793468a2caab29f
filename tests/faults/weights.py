"""Wrong, missing and swapped weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from faults.planting import (
    array_of,
    fault,
    names_of,
    nodes_of,
    pick,
    set_array,
    size_of,
)
from faults.structure import forget
from graphkit.ir.params import kind_of

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt
    import onnx_ir as ir

    from faults.planting import Rng


def _weights(model: ir.Model, rank: int = 1, kind: str = "parameter") -> list[ir.Value]:
    found = []
    for value in model.graph.initializers.values():
        array = array_of(value)
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
    return names_of(found)


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
    array = array_of(value)
    assert array is not None
    set_array(value, change(array).astype(array.dtype))
    return _users(value)


@fault("one wrong element of a weight")
def _(model: ir.Model, rng: Rng) -> list[str] | None:
    def change(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        found = array.copy()
        found.flat[int(np.argmax(np.abs(found)))] *= 1.01
        return found

    return _changed(_weights(model, 2), rng, change)


@fault("weight a thousandth too large")
def _(model: ir.Model, rng: Rng) -> list[str] | None:
    return _changed(_weights(model, 2), rng, lambda array: array * 1.001)


@fault("weight rounded to half precision")
def _(model: ir.Model, rng: Rng) -> list[str] | None:
    return _changed(_weights(model, 2), rng, lambda array: array.astype(np.float16))


@fault("transposed weight")
def _(model: ir.Model, rng: Rng) -> list[str] | None:
    square = [value for value in _weights(model, 2) if size_of(value)[0] == size_of(value)[1]]
    return _changed(square, rng, lambda array: array.swapaxes(0, 1))


@fault("flipped kernel")
def _(model: ir.Model, rng: Rng) -> list[str] | None:
    large = [value for value in _weights(model, 4) if size_of(value)[2] > 1]
    return _changed(large, rng, lambda array: array[:, :, ::-1, ::-1])


@fault("channels the other way round")
def _(model: ir.Model, rng: Rng) -> list[str] | None:
    wide = [value for value in _weights(model, 4) if size_of(value)[1] > 1]
    return _changed(wide, rng, lambda array: array[:, ::-1])


@fault("bias doubled")
def _(model: ir.Model, rng: Rng) -> list[str] | None:
    biases = [value for value in _weights(model) if "bias" in (value.name or "") and len(size_of(value)) == 1]
    return _changed(biases, rng, lambda array: array * 2)


@fault("gates in another order")
def _(model: ir.Model, rng: Rng) -> list[str] | None:
    def change(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        parts = np.split(array, len(array) // hidden)
        return np.concatenate([parts[0], parts[2], parts[1], *parts[3:]])

    node = pick(rng, nodes_of(model, "LSTM", "GRU"))
    if node is None:
        return None
    hidden = node.attributes.get_int("hidden_size", 0)
    gates = 4 if node.op_type == "LSTM" else 3
    known = [value for value in _weights(model, 2) if size_of(value)[0] == gates * hidden]
    return _changed([value for value in known if node.name in _users(value)], rng, change)


@fault("missing bias")
def _(model: ir.Model, rng: Rng) -> list[str] | None:
    node = pick(rng, (node for node in nodes_of(model, "Conv", "Gemm", "ConvTranspose") if len(node.inputs) > 2))
    if node is None:
        return None
    bias = node.inputs[2]
    node.resize_inputs(2)
    forget(model, bias)
    return names_of([node])
