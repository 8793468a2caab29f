"""What tells whether two models hold the same weights, take the same inputs and are the same graph, by SHA-256.

Weights are hashed one by one, in float32 and under the names that they had in the model which was converted
(:func:`graphkit.ir.params.alias_of`): a ``.pt2`` file and the ``.onnx`` file converted from it have the same, as far
as the conversion keeps names and layouts. The graph is hashed by what its outputs are computed from; names of nodes and
values do not count, nor does the order of nodes.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import onnx_ir as ir

from graphkit.ir.dims import dims_of, shown
from graphkit.ir.params import alias_of, kind_of, of_kind
from graphkit.ir.training import losses, padding_row, stops_gradient
from graphkit.ops.nn.batch_norm import FROZEN
from graphkit.text import several

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import numpy.typing as npt

    Array = npt.NDArray[Any]

__all__ = ["Signature", "Weight", "digest", "signature_of"]

_SHOWN: Final = 3
"""Names that a message lists."""


@dataclass(frozen=True, slots=True)
class Weight:
    """A parameter or a buffer.

    Attributes:
        name: Its IR value name.
        alias: Its name in the model that was converted.
        shape: Its shape.
        sha256: Hash of its numbers, their type and shape.
    """

    name: str
    alias: str
    shape: tuple[int, ...]
    sha256: str


@dataclass(frozen=True, slots=True)
class Signature:
    """What identifies a model.

    Attributes:
        inputs: Name of each input, with its element type.
        outputs: Names of the outputs.
        weights: Every parameter and buffer.
        structure: Hash of the graph without its weights.
    """

    inputs: Mapping[str, str]
    outputs: tuple[str, ...]
    weights: tuple[Weight, ...]
    structure: str

    def other_weights(self, model: Signature) -> str:
        """What of another model's weights is not as here, as a clause; empty where all are the same."""
        ours = {weight.alias: weight for weight in self.weights}
        theirs = {weight.alias: weight for weight in model.weights}
        both = [alias for alias in ours if alias in theirs]
        changed = [alias for alias in both if ours[alias].sha256 != theirs[alias].sha256]
        reshaped = [alias for alias in changed if ours[alias].shape != theirs[alias].shape]
        gone = [alias for alias in ours if alias not in theirs]
        fresh = [alias for alias in theirs if alias not in ours]
        parts = []
        if changed:
            parts.append(f"{len(changed)} of {len(ours)} parameters and buffers differ ({several(changed, _SHOWN)})")
        if reshaped:
            one = reshaped[0]
            parts.append(f"{one} had shape {shown(ours[one].shape)}, now {shown(theirs[one].shape)}")
        if gone:
            parts.append(f"{len(gone)} of {len(ours)} are missing ({several(gone, _SHOWN)})")
        if fresh:
            parts.append(f"{len(fresh)} are new ({several(fresh, _SHOWN)})")
        if gone and {ours[alias].sha256 for alias in gone} == {theirs[alias].sha256 for alias in fresh}:
            parts.append("the numbers of these are the same under other names")
        return ", ".join(parts)

    def other_inputs(self, model: Signature) -> str:
        """What of another model's inputs and outputs is not as here, as a clause; empty where they meet."""
        if list(self.inputs.values()) != list(_ordered(self.inputs, model.inputs)):
            return f"inputs {_typed(self.inputs)} were recorded, the model has {_typed(model.inputs)}"
        if len(self.outputs) != len(model.outputs):
            return f"outputs {_listed(self.outputs)} were recorded, the model has {_listed(model.outputs)}"
        return ""

    def names(self, model: Signature) -> dict[str, str]:
        """Name in another model of each input, output, parameter and buffer here.

        Inputs meet by name if all names are the same, else by position; so do outputs; weights by alias.
        """
        found: dict[str, str] = {}
        for ours, theirs in ((list(self.inputs), list(model.inputs)), (self.outputs, model.outputs)):
            same = set(ours) == set(theirs)
            found.update((one, one if same else two) for one, two in zip(ours, theirs, strict=True))
        known = {weight.alias: weight.name for weight in model.weights}
        found.update((weight.name, known[weight.alias]) for weight in self.weights if weight.alias in known)
        return found


def signature_of(model: ir.Model) -> Signature:
    """The signature of a canonical model, in whichever float type it is."""
    weights = []
    for value in of_kind(model, "parameter", "buffer"):
        if value.const_value is None:
            continue
        array = value.const_value.numpy()
        weights.append(Weight(value.name or "", alias_of(value), tuple(array.shape), digest(_single(array))))
    inputs = [value for value in model.graph.inputs if not value.is_initializer()]
    return Signature(
        {value.name or "": _type(value) for value in inputs},
        tuple(value.name or "" for value in model.graph.outputs),
        tuple(weights),
        _structure(model),
    )


def digest(array: Array) -> str:
    """SHA-256 of an array's element type, shape and elements."""
    found = hashlib.sha256(f"{array.dtype.name} {list(array.shape)}\n".encode())
    if array.dtype.kind in "OSU":
        for item in array.reshape(-1).tolist():
            found.update(repr(item).encode() + b"\n")
        return found.hexdigest()
    flat = np.ascontiguousarray(array.reshape(-1))
    found.update(flat.astype(flat.dtype.newbyteorder("<"), copy=False).view(np.uint8).data)
    return found.hexdigest()


def _single(array: Array) -> Array:
    """Floats in float32, whichever precision the model is in."""
    if array.dtype.kind == "f" or (array.dtype.kind == "V" and "float" in array.dtype.name):
        with np.errstate(over="ignore"):
            return array.astype(np.float32)
    return array


def _type(value: ir.Value) -> str:
    """The element type of an input; any float is ``"float"``, as models are compared in a precision of choice."""
    if value.dtype is None or value.dtype.is_floating_point():
        return "float"
    return value.dtype.name.lower()


def _structure(model: ir.Model) -> str:
    known: dict[ir.Value, str] = {}
    for place, value in enumerate(value for value in model.graph.inputs if not value.is_initializer()):
        rank = dims_of(value)
        known[value] = f"input {place} {_type(value)} {'?' if rank is None else len(rank)}"
    _walk(model.graph, known, "0")
    kept = [known.get(value, "") for value in model.graph.outputs]
    return _sha(*kept, *(str(value.name in losses(model)) for value in model.graph.outputs))


def _walk(graph: ir.Graph, known: dict[ir.Value, str], depth: str) -> None:
    """Hash every value of a graph by what it is computed from."""
    for value in graph.initializers.values():
        tensor = value.const_value
        if tensor is None:
            continue
        if kind_of(value) == "constant":
            known[value] = digest(_single(tensor.numpy()))
        else:
            known[value] = f"{kind_of(value)} {alias_of(value)}"
    for node in graph:
        parts = [
            node.domain,
            node.op_type,
            node.overload,
            str(stops_gradient(node)),
            str(FROZEN in node.metadata_props),
            str(padding_row(node)),
        ]
        parts += ["" if value is None else known.get(value, "") for value in node.inputs]
        for name in sorted(node.attributes):
            parts += [name, _attribute(node.attributes[name], known, depth)]
        whole = _sha(*parts)
        known.update((value, f"{whole} {place}") for place, value in enumerate(node.outputs))


def _attribute(attribute: ir.Attr, known: dict[ir.Value, str], depth: str) -> str:
    value: Any = attribute.value
    if attribute.type == ir.AttributeType.GRAPH:
        return _body(value, known, depth)
    if attribute.type == ir.AttributeType.GRAPHS:
        return _sha(*(_body(each, known, depth) for each in value))
    if attribute.type == ir.AttributeType.TENSOR:
        return digest(_single(value.numpy()))
    if attribute.type == ir.AttributeType.TENSORS:
        return _sha(*(digest(_single(each.numpy())) for each in value))
    if attribute.type == ir.AttributeType.FLOAT:
        return repr(float(np.float32(value)))
    if attribute.type == ir.AttributeType.FLOATS:
        return repr([float(np.float32(each)) for each in value])
    return repr(list(value) if isinstance(value, tuple) else value)


def _body(graph: ir.Graph, known: dict[ir.Value, str], depth: str) -> str:
    inner = dict(known)
    inner.update((value, f"body {depth} {place}") for place, value in enumerate(graph.inputs))
    _walk(graph, inner, f"{depth}.")
    return _sha(*(inner.get(value, "") for value in graph.outputs))


def _sha(*parts: str) -> str:
    found = hashlib.sha256()
    for part in parts:
        found.update(f"{len(part)}:{part}".encode())
    return found.hexdigest()


def _ordered(ours: Mapping[str, str], theirs: Mapping[str, str]) -> Iterable[str]:
    """Element types there in the order in which inputs meet those here."""
    return [theirs[name] for name in ours] if set(ours) == set(theirs) else theirs.values()


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(repr, names)) or "none"


def _typed(inputs: Mapping[str, str]) -> str:
    return ", ".join(f"{name!r} ({kind})" for name, kind in inputs.items()) or "none"
