"""Whether an ONNX file is whole: what protobuf accepts and a damaged file is like all the same."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import onnx
import onnx_ir as ir

from graphkit import limits
from graphkit.errors import FormatError
from graphkit.frameworks.onnx.external import check_external
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
_AXES: Final = 32
"""Axes that arrays have at most in every version of numpy (64 from 2.0 on)."""
_DIMENSIONS: Final = 1024
"""Axes that any value can be said to have."""
_LEVELS: Final = 3
"""Messages within each other that a graph within another is: node, attribute and graph."""
_LARGEST: Final = 2**62
"""Elements that no array can have."""
_VERSIONS: Final = range(-(2**31), 2**31)
"""What a version of an opset can be, whether or not there is one."""

_LISTS: Final = frozenset(
    (
        onnx.AttributeProto.STRING,
        onnx.AttributeProto.FLOATS,
        onnx.AttributeProto.INTS,
        onnx.AttributeProto.STRINGS,
    )
)
"""Types of attributes that are of any size, those of tensors and graphs left out."""


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
        LimitError: An attribute, a node's operands or the graphs within each other are beyond :mod:`graphkit.limits`.
    """
    for entry in (*proto.opset_import, *(entry for function in proto.functions for entry in function.opset_import)):
        if entry.version not in _VERSIONS:
            raise FormatError(f"{path} says to be of opset {entry.version} of {entry.domain!r}; the file is damaged.")
    opsets = {"" if entry.domain == "ai.onnx" else entry.domain: entry.version for entry in proto.opset_import}
    _Check(path, opsets, findings).graph(proto.graph)
    for function in proto.functions:
        check = _Check(path, {}, findings, in_function=True)
        check.nodes(function.node)
        for attribute in function.attribute_proto:
            check.tensors_of(attribute)
    if findings is not None and findings.absent:
        first, *others = findings.absent.values()
        more = f" So it is with {len(others)} more." if others else ""
        findings.notes.append(f"{first}{more} The model is shown without these numbers.")


class _Check:
    """Looks at one file, or one of its functions."""

    def __init__(
        self, path: Path, opsets: Mapping[str, int], findings: Findings | None, *, in_function: bool = False
    ) -> None:
        self._path = path
        self._opsets = opsets
        self._findings = findings
        self._in_function = in_function

    def graph(self, graph: onnx.GraphProto, depth: int = 1) -> None:
        limits.check("nesting", depth * _LEVELS, f"{self._path}: graph {graph.name!r}")
        values = (*graph.input, *graph.output, *graph.value_info)
        for value in values:
            if len(value.type.tensor_type.shape.dim) > _DIMENSIONS:
                raise FormatError(
                    f"{self._path} says that {value.name!r} has {len(value.type.tensor_type.shape.dim)} axes; the file "
                    f"is damaged."
                )
        dims = (dim.dim_param for value in values for dim in value.type.tensor_type.shape.dim)
        self._text([*(value.name for value in values), *(tensor.name for tensor in graph.initializer), *dims])
        for tensor in graph.initializer:
            self._tensor(tensor, self._findings)
        for sparse in graph.sparse_initializer:
            self._sparse(sparse)
        self.nodes(graph.node, depth)
        self._unique(graph)

    def nodes(self, nodes: Iterable[onnx.NodeProto], depth: int = 1) -> None:
        """Look at nodes, and at the graphs in them."""
        for node in nodes:
            where = f"{self._path}: node {node.name!r} ({node.op_type})"
            limits.check("operands", len(node.input) + len(node.output), where)
            self._text([node.name, node.op_type, node.domain, *node.input, *node.output])
            self._attributes(node)
            for attribute in node.attribute:
                if attribute.type in _LISTS:
                    limits.check("attribute", attribute.ByteSize(), where)
                self.tensors_of(attribute)
                for graph in _graphs(attribute):
                    self.graph(graph, depth + 1)

    def tensors_of(self, attribute: onnx.AttributeProto) -> None:
        """Look at all tensors that an attribute holds."""
        if attribute.HasField("t"):
            self._tensor(attribute.t)
        for tensor in attribute.tensors:
            self._tensor(tensor)
        for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
            self._sparse(sparse)

    def _sparse(self, sparse: onnx.SparseTensorProto) -> None:
        for tensor in (sparse.values, sparse.indices):
            if tensor.data_type or tensor.external_data:
                self._tensor(tensor)

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
            if attribute.ref_attr_name and (not self._in_function or kind in ("GRAPH", "GRAPHS")):
                raise FormatError(
                    f"{where} takes its attribute {attribute.name!r} from who calls the function that it is in, which "
                    f"is none, or cannot hand a graph over; the file is damaged."
                )
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
        if len(tensor.dims) > _AXES:
            raise FormatError(
                f"{where} has {len(tensor.dims)} axes, more than the {_AXES} that arrays have; the file is damaged."
            )
        if min(tensor.dims, default=0) < 0 or math.prod(filter(None, tensor.dims)) > _LARGEST:
            raise FormatError(f"{where} has the shape {tuple(tensor.dims)}; the file is damaged.")
        count = math.prod(tensor.dims)
        if dtype == ir.DataType.STRING:
            if len(tensor.string_data) != count or tensor.external_data:
                raise FormatError(
                    f"{where} of shape {tuple(tensor.dims)} and type STRING needs {count} texts, but has "
                    f"{len(tensor.string_data)}; the file is damaged."
                )
            return
        wanted = -(-count * dtype.bitwidth // 8)
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            try:
                check_external(self._path, where, tensor, wanted)
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
