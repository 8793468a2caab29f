"""ONNX files, read to be converted and to be looked at, for fuzzing."""

from __future__ import annotations

import warnings
import zlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import onnx
import onnx_ir as ir
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message
from hostile.budget import written
from hostile.mutating import EDGES, mutate_bytes
from onnx import TensorProto, helper, numpy_helper
from opcases import onnx_model, onnx_uses

import graphkit
from graphkit.errors import GraphkitError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from random import Random

__all__ = ["mutated", "read", "seeds"]

_LARGEST: Final = 6000
_MOST: Final = 1 << 17
_NAME: Final = "x.onnx"
_TEXTS: Final = (
    *("", "x", "y", "n", "N*2", "n//0", "n*9**9**9", "(a + b)**99", "floor(n/3)", "Mod(n, 0)", "Max(n, m)", "\x00"),
    *("..", "../x.onnx", "/etc/passwd", "/dev/zero", _NAME, ".", "location", "offset", "length", "9" * 30, "-1", "é"),
    *("ai.onnx", "ai.onnx.ml", "com.microsoft", "graphkit", "local", "1", "2.5", "constant", "reflect", "SAME_UPPER"),
    *("If", "Loop", "Scan", "Constant", "Identity", "Cast", "Reshape", "ConstantOfShape", "Split", "SequenceAt"),
)


def seeds() -> list[bytes]:
    """The cases of graphkit's operators, files of PyTorch that onnx comes with, and models of what operators lack."""
    found = [path.read_bytes() for path in sorted(Path(onnx.__file__).parent.glob("backend/test/data/*/*/model.onnx"))]
    found = [data for data in found if len(data) <= _LARGEST]
    for use in onnx_uses():
        try:
            found.append(ir.serde.serialize_model(onnx_model(use)[0]).SerializeToString())
        except (TypeError, ValueError, GraphkitError):  # what only a row of graphkit's own has
            continue
    return [data for data in found if len(data) <= _LARGEST] + list(_made())


@cache
def _made() -> tuple[bytes, ...]:
    node, graph = helper.make_node, helper.make_graph
    value = helper.make_tensor_value_info
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("local", 1)]
    x, y = value("x", TensorProto.FLOAT, ["n", 4]), value("y", TensorProto.FLOAT, None)
    number = numpy_helper.from_array(np.arange(4, dtype=np.float32), "w")
    branch = [graph([node(op, ["x"], ["r"])], op, [], [value("r", 1, None)]) for op in ("Neg", "Abs")]
    body = graph(
        [node("Add", ["s", "w"], ["t"]), node("Identity", ["c"], ["d"]), node("Neg", ["t"], ["u"])],
        "body",
        [value("i", 7, []), value("c", 9, []), value("s", 1, ["n", 4])],
        [value("d", 9, []), value("t", 1, None), value("u", 1, None)],
    )
    scan = graph(
        [node("Add", ["p", "q"], ["t"]), node("Neg", ["t"], ["u"])],
        "scan",
        [value("p", 1, [4]), value("q", 1, [4])],
        [value("t", 1, [4]), value("u", 1, [4])],
    )
    function = helper.make_function(
        "local", "f", ["a"], ["b"], [node("LeakyRelu", ["a"], ["b"])], opsets[:1], attributes=["alpha"]
    )
    function.node[0].attribute.add(name="alpha", type=1, ref_attr_name="alpha")
    outer = helper.make_function(
        "local",
        "h",
        ["a"],
        ["c"],
        [node("f", ["a"], ["b"], domain="local", alpha=0.5), node("Neg", ["b"], ["c"])],
        opsets,
    )
    true, three = numpy_helper.from_array(np.array(1) > 0, "k"), numpy_helper.from_array(np.array(3), "m")
    external = TensorProto(name="w", data_type=1, dims=[4], data_location=TensorProto.EXTERNAL)
    for key, said in (("location", _NAME), ("offset", "8"), ("length", "16")):
        external.external_data.add(key=key, value=said)
    half = TensorProto(name="w", data_type=TensorProto.INT4, dims=[4], raw_data=b"\x12\x34")
    graphs: list[tuple[list[onnx.NodeProto], list[TensorProto], list[onnx.FunctionProto]]] = [
        ([node("If", ["k"], ["y"], then_branch=branch[0], else_branch=branch[1])], [true], []),
        ([node("Loop", ["m", "k", "x"], ["y", "z"], body=body)], [true, three, number], []),
        ([node("Scan", ["w", "x"], ["y", "z"], body=scan, num_scan_inputs=1)], [number], []),
        ([node("h", ["x"], ["y"], domain="local")], [], [function, outer]),
        ([node("Add", ["x", "w"], ["y"])], [external], []),
        ([node("Cast", ["w"], ["v"], to=1), node("Add", ["x", "v"], ["y"])], [half], []),
        (
            [
                node("Shape", ["x"], ["s"]),
                node("Gather", ["s", "m"], ["g"]),
                node("Concat", ["s", "s"], ["t"], axis=0),
                node("ConstantOfShape", ["s"], ["f"], value=helper.make_tensor("v", 1, [1], [2.0])),
                node("Add", ["x", "f"], ["y"]),
            ],
            [numpy_helper.from_array(np.array([0]), "m")],
            [],
        ),
        (
            [
                node("SequenceConstruct", ["x", "x"], ["q"]),
                node("SequenceAt", ["q", "m"], ["a"]),
                node("SplitToSequence", ["a"], ["p"], axis=1, keepdims=0),
                node("ConcatFromSequence", ["p"], ["y"], axis=0, new_axis=1),
            ],
            [numpy_helper.from_array(np.array(1), "m")],
            [],
        ),
    ]
    return tuple(
        helper.make_model(
            graph(nodes, "g", [x], [y], weights), opset_imports=opsets, functions=functions, ir_version=10
        ).SerializeToString()
        for nodes, weights, functions in graphs
    )


def mutated(rng: Random, data: bytes, others: list[bytes]) -> bytes:
    """A model with one to four changes of what it says, or of its bytes."""
    if rng.random() < 0.25:
        return mutate_bytes(rng, data, others)
    model = _parsed(data)
    if model is None:
        return mutate_bytes(rng, data, others)
    other = _parsed(rng.choice(others)) if others and rng.random() < 0.3 else None
    for _ in range(rng.choice((1, 1, 1, 2, 3, 4))):
        messages = _messages(model)
        message = rng.choice(messages)
        donors = messages if other is None else _messages(other)
        rng.choice(_CHANGES)(rng, message, donors)
        if model.ByteSize() > _MOST:
            return mutate_bytes(rng, data, others)
    return model.SerializeToString()


def _parsed(data: bytes) -> onnx.ModelProto | None:
    try:
        model: onnx.ModelProto = onnx.ModelProto.FromString(data)
    except DecodeError:
        return None
    return model


def _messages(root: Message) -> list[Any]:
    """A message and all in it."""
    found, stack = [], [root]
    while stack and len(found) < 5000:
        message = stack.pop()
        found.append(message)
        for field, held in message.ListFields():
            if field.message_type is not None:
                stack.extend(held if field.is_repeated else [held])
    return found


def _field(rng: Random, message: Any, *, known: bool) -> FieldDescriptor | None:
    fields = [field for field, _ in message.ListFields()] if known else list(message.DESCRIPTOR.fields)
    return rng.choice(fields) if fields else None


def _scalar(rng: Random, field: FieldDescriptor, donors: Sequence[Any]) -> Any:
    kind = field.cpp_type
    if kind in (FieldDescriptor.CPPTYPE_FLOAT, FieldDescriptor.CPPTYPE_DOUBLE):
        return rng.choice((0.0, -1.0, 1e30, float("nan"), float("inf"), 0.5, 2.0))
    if kind == FieldDescriptor.CPPTYPE_ENUM:
        return rng.choice([value.number for value in field.enum_type.values])
    if kind == FieldDescriptor.CPPTYPE_STRING:
        told = [held for donor in donors for one, held in donor.ListFields() if one.name == field.name]
        names = [text for held in told for text in ([held] if isinstance(held, str | bytes) else held)]
        drawn = rng.choice(names) if names and rng.random() < 0.6 else None
        drawn = drawn if isinstance(drawn, str | bytes) else rng.choice(_TEXTS)
        if field.type == FieldDescriptor.TYPE_BYTES:
            return drawn if isinstance(drawn, bytes) else rng.choice((drawn.encode(), rng.randbytes(16), b""))
        return drawn if isinstance(drawn, str) else drawn.decode("latin-1")
    bits = 32 if kind in (FieldDescriptor.CPPTYPE_INT32, FieldDescriptor.CPPTYPE_UINT32) else 64
    number = rng.choice((*EDGES, *range(-3, 30))) % (1 << bits)
    signed = kind in (FieldDescriptor.CPPTYPE_INT32, FieldDescriptor.CPPTYPE_INT64)
    return number - (1 << bits) if signed and number >> bits - 1 else number


def _set(rng: Random, message: Any, donors: Sequence[Any]) -> None:
    field = _field(rng, message, known=rng.random() < 0.7)
    if field is None:
        return
    if field.message_type is not None:
        same = [donor for donor in donors if donor.DESCRIPTOR.full_name == field.message_type.full_name]
        made = type(same[0])() if same else None
        if made is None:
            return
        made.CopyFrom(rng.choice(same))
        target = getattr(message, field.name)
        target.append(made) if field.is_repeated else target.CopyFrom(made)
    elif not field.is_repeated:
        setattr(message, field.name, _scalar(rng, field, donors))
    else:
        held = getattr(message, field.name)
        if held and rng.random() < 0.7:
            held[rng.randrange(len(held))] = _scalar(rng, field, donors)
        else:
            held.extend(_scalar(rng, field, donors) for _ in range(rng.choice((1, 1, 2, 40))))


def _clear(rng: Random, message: Any, _donors: Sequence[Any]) -> None:
    field = _field(rng, message, known=True)
    if field is None:
        return
    held = getattr(message, field.name)
    if field.is_repeated and rng.random() < 0.7:
        del held[rng.randrange(len(held))]
    else:
        message.ClearField(field.name)


def _repeat(rng: Random, message: Any, _donors: Sequence[Any]) -> None:
    lists = [field for field, _ in message.ListFields() if field.is_repeated]
    if lists:
        held = getattr(message, rng.choice(lists).name)
        held.extend([held[rng.randrange(len(held))]] * rng.choice((1, 1, 3, 50)))


def _shuffle(rng: Random, message: Any, _donors: Sequence[Any]) -> None:
    lists = [field for field, _ in message.ListFields() if field.is_repeated]
    if lists:
        held = getattr(message, rng.choice(lists).name)
        items = list(held)
        copies = [
            type(item).FromString(item.SerializeToString()) if isinstance(item, Message) else item for item in items
        ]
        rng.shuffle(copies)
        del held[:]
        held.extend(copies)


def _swap(rng: Random, message: Any, donors: Sequence[Any]) -> None:
    """What another message of the kind says."""
    same = [donor for donor in donors if donor.DESCRIPTOR.full_name == message.DESCRIPTOR.full_name]
    if same:
        copy = type(message)()
        copy.CopyFrom(rng.choice(same))
        message.CopyFrom(copy)


_CHANGES: Final[Sequence[Callable[[Random, Any, Sequence[Any]], None]]] = (
    *(_set, _set, _set, _set, _clear, _repeat, _shuffle, _swap),
)


def read(data: bytes) -> object:
    """Read a model to be converted, looked at in canonical form, or as it is spelled: which one its bytes decide."""
    path = written(data, _NAME)
    way = zlib.crc32(data) % 4
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return graphkit.load(path) if way < 2 else graphkit.look(path, raw=way == 2)
