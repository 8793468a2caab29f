"""What a model stores: parameters, buffers and constants, counted once, and which of them share their numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import onnx_ir as ir

from graphkit.ir.describe import constant_of, element_name
from graphkit.ir.edit import graphs_of
from graphkit.ir.origin import source_of
from graphkit.ir.params import kind_of

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Mapping

    from graphkit.ir.params import Kind

__all__ = ["Amount", "Shared", "Stored", "StoredTensor", "is_stored", "stored", "stored_tensor", "stored_tensors"]

_KINDS: Final[tuple[Kind, ...]] = ("parameter", "buffer", "constant")


class StoredTensor(NamedTuple):
    """A tensor that is part of a model.

    Attributes:
        value: What holds it.
        kind: What it is.
        tensor: Its data, which is not read; None where the model was read without.
        dtype: numpy's name of its element type; empty where not known.
        elements: Number of its elements; None where not known.
        bytes: Size of its data; None where not known.
        storage: The same for tensors that lie at one place in memory or in a file; None where that cannot be told.
    """

    value: ir.Value
    kind: Kind
    tensor: ir.TensorProtocol | None
    dtype: str
    elements: int | None
    bytes: int | None
    storage: Hashable


@dataclass(slots=True)
class Amount:
    """How much is stored.

    Attributes:
        tensors: Number of tensors, those that share their numbers with another among them.
        elements: Number of elements, shared ones once.
        bytes: Size of them.
        unknown: Tensors whose size is not known and not in ``elements`` and ``bytes``, which then are at least so many.
    """

    tensors: int = 0
    elements: int = 0
    bytes: int = 0
    unknown: int = 0


@dataclass(frozen=True, slots=True)
class Shared:
    """Parameters that are tied: one tensor under several names, or one that several nodes read.

    Attributes:
        names: Names of the initializers that lie at one place.
        readers: Names of the nodes that read them, operators' types for nodes without a name.
        elements: Number of elements of one; None where not known.
        bytes: Size of one.
    """

    names: tuple[str, ...]
    readers: tuple[str, ...]
    elements: int | None
    bytes: int | None


@dataclass(frozen=True, slots=True)
class Stored:
    """What a model stores.

    Attributes:
        kinds: How much there is of parameters (which are trained), buffers (state that is not, as BatchNorm's) and
            constants.
        dtypes: The same for each kind and element type.
        shared: Parameters that are tied, in the model's order.
        unused: Names of stored tensors that nothing reads, in the source or in the model.
        absent: Names of initializers whose data the model was read without.
    """

    kinds: Mapping[Kind, Amount] = field(default_factory=dict)
    dtypes: Mapping[Kind, Mapping[str, Amount]] = field(default_factory=dict)
    shared: tuple[Shared, ...] = ()
    unused: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()


def stored_tensors(model: ir.Model) -> Iterator[StoredTensor]:
    """The initializers of a model and the tensors of its Constant nodes, those of nested graphs too; none is read."""
    for graph in graphs_of(model.graph):
        for value in graph.initializers.values():
            yield stored_tensor(value)
        for node in graph:
            if node.outputs and constant_of(node.outputs[0]) is not None:
                yield stored_tensor(node.outputs[0])


def stored(model: ir.Model) -> Stored:
    """Count what a model stores."""
    kinds = {kind: Amount() for kind in _KINDS}
    dtypes: dict[Kind, dict[str, Amount]] = {kind: {} for kind in _KINDS}
    places: dict[Hashable, list[StoredTensor]] = {}
    unused, absent = [], []
    for found in stored_tensors(model):
        place = places.setdefault(id(found.value) if found.storage is None else found.storage, [])
        for amount in (kinds[found.kind], dtypes[found.kind].setdefault(found.dtype or "unknown", Amount())):
            _add(amount, found, is_first=not place)
        place.append(found)
        value = found.value
        if value.producer() is None and not value.uses() and not value.is_graph_output():
            unused.append(value.name or "")
        if found.tensor is None:
            absent.append(value.name or "")
    shared = tuple(tie for place in places.values() if (tie := _shared(place)) is not None)
    source = source_of(model)
    all_unused = dict.fromkeys([*(source.unused if source is not None else ()), *unused])
    return Stored(kinds, dtypes, shared, tuple(all_unused), tuple(absent))


def is_stored(value: ir.Value) -> bool:
    """Whether a value is part of the model: an initializer, its data at hand or not, or what a Constant node gives."""
    return value.is_initializer() or constant_of(value) is not None


def stored_tensor(value: ir.Value) -> StoredTensor:
    """What is known of an initializer, or of the output of a Constant node."""
    tensor = constant_of(value)
    if tensor is not None:
        name = element_name(tensor.dtype)
        return StoredTensor(value, kind_of(value), tensor, name, int(tensor.size), int(tensor.nbytes), _storage(tensor))
    sizes = [] if value.shape is None else [dim for dim in value.shape if isinstance(dim, int)]
    elements = math.prod(sizes) if value.shape is not None and len(sizes) == len(value.shape) else None
    dtype = value.dtype
    size = None
    if dtype is not None and elements is not None and dtype != ir.DataType.STRING:
        size = -(-elements * dtype.bitwidth // 8)
    return StoredTensor(value, kind_of(value), None, "" if dtype is None else element_name(dtype), elements, size, None)


def _storage(tensor: ir.TensorProtocol) -> Hashable:
    if not tensor.size:
        return None
    if isinstance(tensor, ir.ExternalTensor):
        return str(tensor.path), tensor.offset, tensor.length, tensor.dtype
    raw = tensor.raw
    if isinstance(raw, np.ndarray):
        return raw.__array_interface__["data"][0], raw.nbytes, tensor.dtype
    return None


def _add(amount: Amount, found: StoredTensor, *, is_first: bool) -> None:
    amount.tensors += 1
    if found.elements is None or found.bytes is None:
        amount.unknown += 1
    elif is_first:
        amount.elements += found.elements
        amount.bytes += found.bytes


def _shared(place: list[StoredTensor]) -> Shared | None:
    if place[0].kind != "parameter":
        return None
    nodes = dict.fromkeys(node for found in place for node, _ in found.value.uses())
    if len(place) == 1 and len(nodes) < 2:
        return None
    names = tuple(found.value.name or "" for found in place)
    readers = tuple(node.name or node.op_type for node in nodes)
    return Shared(names, readers, place[0].elements, place[0].bytes)
