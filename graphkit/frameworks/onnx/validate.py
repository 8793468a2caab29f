"""Whether an ONNX file is whole: what protobuf accepts and a damaged file is like all the same."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import onnx
import onnx_ir as ir

from graphkit.errors import FormatError
from graphkit.ir.edit import graphs_of, nodes_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

__all__ = ["Findings", "check_complete", "check_proto"]

_FIELDS: Final = ("float_data", "int32_data", "int64_data", "double_data", "uint64_data")
"""Where a tensor has its numbers if not as raw bytes."""
_CONTENT: Final = {
    "FLOAT": "f",
    "GRAPH": "g",
    "INT": "i",
    "SPARSE_TENSOR": "sparse_tensor",
    "STRING": "s",
    "TENSOR": "t",
    "TYPE_PROTO": "tp",
}
"""The field in which an attribute of a type has its value, where that is a single one."""


@dataclass(slots=True)
class Findings:
    """What a model lacks that is looked at all the same.

    Attributes:
        absent: Why the data of an initializer is not there, in a file that is absent or not whole, by its name.
        notes: What the user must know of it, as sentences.
    """

    absent: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def check_proto(path: Path, proto: onnx.ModelProto, findings: Findings | None = None) -> None:
    """Refuse a file whose tensors or attributes are not what they say they are.

    Args:
        path: The file.
        proto: Its content.
        findings: Notes initializers without data, and attributes that their operator does not take so; None refuses
            them.

    Raises:
        FormatError: The message names the file, and the tensor, node or value; a name stands for two values.
    """
    opsets = {"" if entry.domain == "ai.onnx" else entry.domain: entry.version for entry in proto.opset_import}
    _Check(path, opsets, findings).graph(proto.graph)
    for function in proto.functions:
        _Check(path, {}, findings).nodes(function.node)
    if findings is not None and findings.absent:
        first, *others = findings.absent.values()
        more = f" So it is with {len(others)} more." if others else ""
        findings.notes.append(f"{first}{more} The model is shown without these numbers.")


class _Check:
    """Looks at one file, or one of its functions."""

    def __init__(self, path: Path, opsets: Mapping[str, int], findings: Findings | None) -> None:
        self._path = path
        self._opsets = opsets
        self._findings = findings

    def graph(self, graph: onnx.GraphProto) -> None:
        values = (*graph.input, *graph.output, *graph.value_info)
        dims = (dim.dim_param for value in values for dim in value.type.tensor_type.shape.dim)
        self._text([*(value.name for value in values), *(tensor.name for tensor in graph.initializer), *dims])
        for tensor in graph.initializer:
            self._tensor(tensor, self._findings)
        self.nodes(graph.node)
        self._unique(graph)

    def nodes(self, nodes: Iterable[onnx.NodeProto]) -> None:
        for node in nodes:
            self._text([node.name, node.op_type, node.domain, *node.input, *node.output])
            self._attributes(node)
            for attribute in node.attribute:
                if attribute.HasField("t"):
                    self._tensor(attribute.t)
                for graph in _graphs(attribute):
                    self.graph(graph)

    def _text(self, texts: Iterable[object]) -> None:
        for text in texts:
            if not isinstance(text, str):  # protobuf gives bytes where text is not UTF-8
                raise FormatError(f"{self._path} has the name {text!r}, which is no text; the file is damaged.")

    def _unique(self, graph: onnx.GraphProto) -> None:
        """Refuse a graph in which a name stands for two values."""
        given: dict[str, str] = {}
        for kind, names in (
            ("an initializer", [tensor.name for tensor in graph.initializer]),
            ("an input", [value.name for value in graph.input]),
        ):
            for name in names:
                if given.get(name) == kind:
                    raise FormatError(f"{self._path} has {kind} {name!r} twice; rename one of them.")
                given[name] = kind
        for node in graph.node:
            shown = f"an output of node {node.name!r} ({node.op_type})"
            for name in filter(None, node.output):
                if name in given:
                    raise FormatError(
                        f"{self._path}: {name!r} is {shown}, and it is {given[name]} as well, so that nothing says "
                        f"which of them is read; rename one of them."
                    )
                given[name] = shown

    def _attributes(self, node: onnx.NodeProto) -> None:
        where = f"{self._path}: node {node.name!r} ({node.op_type})"
        kinds = {value: name for name, value in onnx.AttributeProto.AttributeType.items()}
        schema = _schema(node, self._opsets)
        for attribute in node.attribute:
            kind = kinds.get(attribute.type, "UNDEFINED")
            field = _CONTENT.get(kind)
            hollow = field is not None and not attribute.HasField(field) and not attribute.ref_attr_name
            formal = None if schema is None else schema.attributes.get(attribute.name)
            wrong = formal is not None and attribute.type != int(formal.type.value)  # type: ignore[attr-defined]  # its stub lacks what enums have
            told = f"{where} has no proper value for its attribute {attribute.name!r}; the file is damaged."
            if kind == "UNDEFINED" or hollow:
                raise FormatError(told)
            if wrong:
                self._note(told)
        if schema is not None:
            given = {attribute.name for attribute in node.attribute}
            for name, formal in schema.attributes.items():
                if formal.required and name not in given:
                    self._note(f"{where} lacks its attribute {name!r}; the file is damaged.")

    def _note(self, told: str) -> None:
        if self._findings is None:
            raise FormatError(told)
        self._findings.notes.append(told)

    def _tensor(self, tensor: onnx.TensorProto, findings: Findings | None = None) -> None:
        """Refuse a tensor whose data is not what its shape and type ask for, or lies outside the model's folder."""
        where = f"{self._path}: tensor {tensor.name!r}"
        try:
            dtype = ir.DataType(tensor.data_type)
        except ValueError as error:
            raise FormatError(
                f"{where} has the unknown element type {tensor.data_type}; the file is damaged."
            ) from error
        if dtype == ir.DataType.UNDEFINED:
            raise FormatError(f"{where} has no element type; the file is damaged.")
        if any(size < 0 for size in tensor.dims):
            raise FormatError(f"{where} has the shape {tuple(tensor.dims)}; the file is damaged.")
        if dtype == ir.DataType.STRING:
            return
        count = math.prod(tensor.dims)
        wanted = -(-count * dtype.bitwidth // 8)
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            try:
                _check_external(self._path, where, tensor, wanted)
            except FormatError as error:
                if findings is None:
                    raise
                findings.absent[tensor.name] = str(error)
            return
        given, needed, unit = len(tensor.raw_data), wanted, "bytes"
        if not tensor.HasField("raw_data"):
            given = max(len(getattr(tensor, field)) for field in _FIELDS)
            needed = wanted if dtype.bitwidth < 8 else count * (2 if dtype.name.startswith("COMPLEX") else 1)
            unit = "numbers"
        if given != needed:
            raise FormatError(
                f"{where} of shape {tuple(tensor.dims)} and type {dtype.name} needs {needed} {unit}, but has {given}; "
                f"the file is damaged."
            )


def _graphs(attribute: onnx.AttributeProto) -> Iterator[onnx.GraphProto]:
    if attribute.HasField("g"):
        yield attribute.g
    yield from attribute.graphs


def _schema(node: onnx.NodeProto, opsets: Mapping[str, int]) -> onnx.defs.OpSchema | None:
    domain = "" if node.domain == "ai.onnx" else node.domain
    if domain not in opsets:
        return None
    try:
        return onnx.defs.get_schema(node.op_type, opsets[domain], domain)
    except onnx.defs.SchemaError:
        return None


def _check_external(path: Path, where: str, tensor: onnx.TensorProto, wanted: int) -> None:
    said = {entry.key: entry.value for entry in tensor.external_data}
    folder = path.resolve().parent
    location = said.get("location", "")
    target = os.path.realpath(folder / location)
    if not location or os.path.isabs(location) or not os.path.realpath(target).startswith(f"{folder}{os.sep}"):
        raise FormatError(f"{where} has its data in {location!r}, outside the model's folder, which is not allowed.")
    try:
        size = os.stat(target).st_size
        offset, length = int(said.get("offset") or 0), int(said.get("length") or wanted)
    except OSError as error:
        raise FormatError(
            f"{where} has its data in {location!r}, which is missing; put it beside {path.name}."
        ) from error
    except ValueError as error:
        raise FormatError(f"{where} says nonsense about its data in {location!r}; the file is damaged.") from error
    if length != wanted or offset < 0 or offset + length > size:
        raise FormatError(
            f"{where} needs {wanted} bytes at offset {offset} of {location!r}, which has {size}; it is truncated, or "
            f"belongs to another model."
        )


def check_complete(model: ir.Model) -> None:
    """Refuse a graph that reads values which nothing gives.

    Raises:
        FormatError: The message names the node and the value.
    """
    given: set[ir.Value] = set()
    for graph in graphs_of(model.graph):
        given.update(graph.inputs, graph.initializers.values())
        given.update(value for node in graph for value in node.outputs)
    for function in model.functions.values():
        given.update(function.inputs)
        given.update(value for node in function for value in node.outputs)
    for node in nodes_of(model):
        for value in node.inputs:
            if value is not None and value not in given:
                raise FormatError(
                    f"Node {node.name!r} ({node.op_type}) reads {value.name!r}, which is no input, no initializer and "
                    f"no other node's output; the file is damaged."
                )
    for graph in graphs_of(model.graph):
        for value in graph.outputs:
            if value not in given:
                raise FormatError(f"Output {value.name!r} is computed by no node; the file is damaged.")
        if not graph.outputs:
            raise FormatError("The graph has no outputs; the file is damaged.")
