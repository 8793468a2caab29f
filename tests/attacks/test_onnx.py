"""Files of ONNX that are to take memory or time, or to have files read that are not the model's."""

from __future__ import annotations

import itertools
import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import graphkit
from attacks.catalogue import attack, beside
from graphkit.errors import FormatError, GraphkitError, LimitError
from graphkit.ir.edit import nodes_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_SECONDS = 10.0
_OPSETS = (helper.make_opsetid("", 18), helper.make_opsetid("local", 1))


@contextmanager
def _in_time() -> Iterator[None]:
    start = time.process_time()
    yield
    assert time.process_time() - start < _SECONDS


def _saved(
    folder: Path,
    nodes: Sequence[onnx.NodeProto],
    weights: Sequence[onnx.TensorProto] = (),
    functions: Sequence[onnx.FunctionProto] = (),
    shape: Sequence[int | str] = ("n", 4),
) -> Path:
    """A model of one input ``x`` and one output ``y``."""
    graph = helper.make_graph(
        list(nodes),
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        list(weights),
    )
    model = helper.make_model(graph, opset_imports=_OPSETS, functions=list(functions), ir_version=10)
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def _node(op_type: str, inputs: Sequence[str], output: str, **attributes: object) -> onnx.NodeProto:
    domain = "local" if op_type.startswith("f") else ""
    return helper.make_node(op_type, inputs, [output], domain=domain, **attributes)


def _external(location: str, count: int = 4, **said: object) -> onnx.TensorProto:
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[count], data_location=TensorProto.EXTERNAL)
    for key, value in {"location": location, **said}.items():
        tensor.external_data.add(key=key, value=str(value))
    return tensor


def _field(number: int, content: bytes) -> bytes:
    length, head = len(content), bytearray([number << 3 | 2])
    while length > 127:
        head.append(length & 127 | 128)
        length >>= 7
    return bytes((*head, length)) + content


_ADDED = (_node("Add", ["x", "w"], "y"),)


@attack("Millions of empty messages of two bytes, which a parser makes gigabytes of", "refused before it is parsed")
@pytest.mark.parametrize("message", [b"\x0a\x00", b"\x2a\x00", b"\x5a\x00", b"\x0a\x02\x2a\x00"])
def test_a_bomb_of_empty_messages_is_not_parsed(tmp_path: Path, message: bytes) -> None:
    path = _saved(tmp_path, _ADDED)
    path.write_bytes(path.read_bytes() + _field(7, message * (400_000 // len(message))))
    with _in_time(), graphkit.limited(document=100_000_000), pytest.raises(LimitError, match="--limit document="):
        graphkit.look(path)


@attack("A large file of nothing but empty messages", "refused by the limits that hold unless they are raised")
def test_a_large_bomb_is_not_read_to_its_end(tmp_path: Path) -> None:
    path = _saved(tmp_path, _ADDED)
    path.write_bytes(path.read_bytes() + _field(7, b"\x0a\x00" * 9_000_000))
    for read in (graphkit.load, graphkit.look):
        with _in_time(), pytest.raises(LimitError, match="--limit document="):
            read(path)


@attack("A node of a million inputs, an input of a million axes", "refused when the file is read")
def test_nodes_and_shapes_of_endless_lists_are_refused(tmp_path: Path) -> None:
    with _in_time(), pytest.raises(LimitError, match="operands"):
        graphkit.load(_saved(tmp_path, [_node("Concat", [""] * 500_000, "y", axis=0)]))
    with _in_time(), pytest.raises(FormatError, match="100000 axes"):
        graphkit.load(_saved(tmp_path, [_node("Relu", ["x"], "y")], shape=(1,) * 100_000))


@attack(
    "Functions that call the next one twice, forty times: 2^40 nodes", "counted before any is put in place; refused"
)
def test_a_bomb_of_functions_is_not_unrolled(tmp_path: Path) -> None:
    names = [*(f"f{count}" for count in range(40)), "Neg"]
    functions = [
        helper.make_function(
            "local", name, ["a"], ["c"], [_node(inner, ["a"], "b"), _node(inner, ["b"], "c")], list(_OPSETS)
        )
        for name, inner in itertools.pairwise(names)
    ]
    path = _saved(tmp_path, [_node("f0", ["x"], "y")], functions=functions)
    for read in (graphkit.load, graphkit.look):
        with _in_time(), pytest.raises(LimitError, match="1,099,511,627,776 nodes"):
            read(path)


def _deep(folder: Path, count: int) -> Path:
    """Functions with an If of which a branch calls the next one."""
    names = [*(f"f{number}" for number in range(count)), "Neg"]
    functions = []
    for name, inner in itertools.pairwise(names):
        branches = {
            key: helper.make_graph([node], key, [], [helper.make_tensor_value_info(node.output[0], 1, None)])
            for key, node in (
                ("then_branch", _node(inner, ["a"], "yes")),
                ("else_branch", _node("Relu", ["a"], "no")),
            )
        }
        nodes = [
            _node("ReduceMax", ["a"], "m", keepdims=0),
            _node("Cast", ["m"], "c", to=TensorProto.BOOL),
            _node("If", ["c"], "b", **branches),
        ]
        functions.append(helper.make_function("local", name, ["a"], ["b"], nodes, list(_OPSETS)))
    return _saved(folder, [_node("f0", ["x"], "y")], functions=functions)


@attack("Bodies within bodies through functions, a thousand deep, for the stack to overflow", "refused, with the limit")
def test_bodies_as_deep_as_the_stack_are_refused(tmp_path: Path) -> None:
    for count in (400, 100):
        for read in (graphkit.load, graphkit.look):
            with _in_time(), pytest.raises(LimitError, match="levels within each other"):
                read(_deep(tmp_path, count))


@attack("Functions that call each other in a circle", "refused; the circle is named")
def test_functions_in_a_circle_are_refused(tmp_path: Path) -> None:
    functions = [
        helper.make_function("local", name, ["a"], ["b"], [_node(other, ["a"], "b")], list(_OPSETS))
        for name, other in (("f0", "f1"), ("f1", "f0"))
    ]
    with pytest.raises(FormatError, match=r"f0 -> local::f1 -> local::f0|f1 -> local::f0 -> local::f1"):
        graphkit.load(_saved(tmp_path, [_node("f0", ["x"], "y")], functions=functions))


@attack("Nodes that read each other in a circle", "refused; the nodes are named")
def test_nodes_in_a_circle_are_refused(tmp_path: Path) -> None:
    nodes = [_node("Add", ["x", "b"], "a"), _node("Neg", ["a"], "b"), _node("Relu", ["b"], "y")]
    for read in (graphkit.load, graphkit.look):
        with pytest.raises(FormatError, match="depends on itself"):
            read(_saved(tmp_path, nodes))


@attack(
    "Weights in a file outside the model's folder: ``..``, an absolute path, a link, a linked folder",
    "refused, whatever holds the tensor: an initializer, an attribute, a list of them, a function's default",
)
@pytest.mark.parametrize("location", ["../secret", "ABSOLUTE", "link", "folder/secret", "inner/../../secret"])
def test_no_file_outside_the_models_folder_is_read(tmp_path: Path, location: str) -> None:
    (tmp_path / "secret").write_bytes(bytes(16))
    folder = tmp_path / "model"
    (folder / "inner").mkdir(parents=True)
    (folder / "link").symlink_to("../secret")
    (folder / "folder").symlink_to("..")
    tensor = _external(location.replace("ABSOLUTE", str(tmp_path / "secret")))
    kinds = onnx.AttributeProto
    foreign = onnx.NodeProto(op_type="foreign", domain="local", input=["x"], output=["y"])
    constant = _node("Constant", [], "w")
    constant.attribute.add(name="value", type=kinds.TENSOR).t.CopyFrom(tensor)
    listed, sparse = onnx.NodeProto(), onnx.NodeProto()
    listed.CopyFrom(foreign)
    listed.attribute.add(name="held", type=kinds.TENSORS).tensors.append(tensor)
    sparse.CopyFrom(foreign)
    sparse.attribute.add(name="held", type=kinds.SPARSE_TENSOR).sparse_tensor.values.CopyFrom(tensor)
    default = helper.make_function("local", "f0", ["a"], ["b"], [_node("Constant", [], "k")], list(_OPSETS))
    default.node[0].attribute.add(name="value", type=kinds.TENSOR, ref_attr_name="held")
    default.node.append(_node("Add", ["a", "k"], "b"))
    default.attribute_proto.add(name="held", type=kinds.TENSOR).t.CopyFrom(tensor)
    for path in (
        _saved(folder, _ADDED, [tensor]),
        _saved(folder, [constant, *_ADDED]),
        _saved(folder, [listed]),
        _saved(folder, [sparse]),
        _saved(folder, [_node("f0", ["x"], "y")], functions=[default]),
    ):
        with pytest.raises(FormatError, match="outside the model's folder"):
            graphkit.load(path)


@attack("Weights in a device, a pipe or a folder, or at a name with a zero byte", "refused; nothing waits for data")
@pytest.mark.parametrize("location", ["pipe", "inner", "a\0b", "/dev/zero", "x" * 5000])
def test_weights_are_read_from_plain_files_only(tmp_path: Path, location: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "inner").mkdir()
    for count in (0, 4):
        with _in_time(), pytest.raises(FormatError, match=r"model's folder|plain file|missing"):
            graphkit.load(_saved(tmp_path, _ADDED, [_external(location, count)]))


@attack("A model that is a pipe or a device", "refused at once")
def test_a_model_is_a_plain_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.onnx")
    (tmp_path / "zero.onnx").symlink_to("/dev/zero")
    for name in ("pipe.onnx", "zero.onnx"):
        for read in (graphkit.load, graphkit.look):
            with _in_time(), pytest.raises(GraphkitError, match="no plain file"):
                read(tmp_path / name)


@attack("Offsets and lengths that are negative, beyond the file or beyond 64 bits; a place said twice", "refused")
@pytest.mark.parametrize(
    "said",
    [
        {"offset": -8},
        {"offset": 2**64},
        {"offset": "1" * 5000},
        {"length": -16},
        {"offset": 0, "length": 2**63},
        {"offset": "nan"},
    ],
)
def test_places_beyond_the_file_are_refused(tmp_path: Path, said: dict[str, object]) -> None:
    (tmp_path / "w.bin").write_bytes(bytes(16))
    twice = _external("w.bin")
    twice.external_data.add(key="location", value="../w.bin")
    for tensor in (_external("w.bin", **said), twice):
        with pytest.raises(FormatError, match=r"needs 16 bytes|nonsense|twice"):
            graphkit.load(_saved(tmp_path, _ADDED, [tensor]))


@attack("Shapes whose product overflows, or does but for a zero; negative sizes; a hundred axes", "refused as damage")
@pytest.mark.parametrize("dims", [[2**62, 2**62], [2**62, 2**62, 0], [-1, -4], [1] * 100, [2**32, 2**32]])
def test_sizes_are_held_against_what_the_file_has(tmp_path: Path, dims: list[int]) -> None:
    for kind in ("raw_data", "float_data", "string_data", "external"):
        tensor = TensorProto(name="w", data_type=8 if kind == "string_data" else 1, dims=dims)
        if kind == "external":
            (tmp_path / "w.bin").write_bytes(bytes(16))
            tensor.data_location = TensorProto.EXTERNAL
            tensor.external_data.add(key="location", value="w.bin")
        elif kind == "raw_data":
            tensor.raw_data = b"\0" * 4
        with pytest.raises(FormatError):
            graphkit.load(_saved(tmp_path, _ADDED, [tensor]))


@attack("Names of dimensions that are terms: powers of powers, products of sums, code", "taken for names, not computed")
@pytest.mark.parametrize(
    "term",
    [
        "n*9**9**9",
        "(n + 1)**500000",
        "*".join(f"(a{count} + b{count})" for count in range(40)),
        "Mod(" * 60 + "n" + ", 7)" * 60,
        "Max(" + ", ".join(f"a{count}" for count in range(250)) + ")",
        "(" * 5000 + "n" + ")" * 5000,
        "PythonMod(" * 900,
        "n*__import__('os').system('touch pwned')",
    ],
)
def test_terms_of_sizes_neither_hang_nor_run(tmp_path: Path, term: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    nodes = [_node("Flatten", ["x"], "f", axis=0), _node("Relu", ["f"], "y")]
    with _in_time():
        model = graphkit.load(_saved(tmp_path, nodes, shape=(term, 4, term)))
    assert [node.op_type for node in nodes_of(model)] == ["Flatten", "Relu"]
    assert not (tmp_path / "pwned").exists()


@attack("Shape arithmetic that squares a size forty times, or multiplies sums", "followed while the sizes can be sizes")
@pytest.mark.parametrize("shape", [(3, 4), ("n", "m"), ("n + a", "m + b")])
def test_shape_arithmetic_does_not_explode(tmp_path: Path, shape: tuple[int | str, ...]) -> None:
    nodes = [_node("Shape", ["x"], "s0")]
    for count in range(40):
        nodes += [_node("Add", [f"s{count}", "one"], f"t{count}")]
        nodes += [_node("Mul", [f"t{count}", f"s{count}"], f"s{count + 1}")]
    nodes += [_node("Cast", ["s40"], "y", to=1)]
    with _in_time():
        graphkit.load(_saved(tmp_path, nodes, [numpy_helper.from_array(np.array([1, 2]), "one")], shape=shape))


@attack("Constants to be computed of 10^12 elements: filled, repeated, padded, counted", "left as nodes, not computed")
@pytest.mark.parametrize(
    ("op_type", "operands"),
    [
        ("ConstantOfShape", [np.array([10**6, 10**6])]),
        ("Expand", [np.ones((1, 1), "f"), np.array([10**6, 10**6])]),
        ("Tile", [np.ones((1, 1), "f"), np.array([10**6, 10**6])]),
        ("Pad", [np.ones((1, 1), "f"), np.array([10**6, 10**6, 0, 0])]),
        ("Range", [np.float32(0), np.float32(1e12), np.float32(1)]),
        ("OneHot", [np.arange(1000), np.array([10**9]), np.array([0, 1], "f")]),
    ],
)
def test_constants_of_any_size_are_not_computed(
    tmp_path: Path, op_type: str, operands: list[np.ndarray[tuple[int, ...], np.dtype[np.generic]]]
) -> None:
    weights = [numpy_helper.from_array(np.asarray(array), f"w{count}") for count, array in enumerate(operands)]
    nodes = [_node(op_type, [weight.name for weight in weights], "k"), _node("ReduceSum", ["k"], "r")]
    with _in_time():
        model = graphkit.load(_saved(tmp_path, [*nodes, _node("Add", ["x", "r"], "y")], weights))
    assert op_type in {node.op_type for node in nodes_of(model)}


@attack("An opset of the year 4 billion, Split into 2^31 pieces, an If without branches", "refused, naming what it is")
def test_numbers_that_native_code_would_take_are_refused(tmp_path: Path) -> None:
    path = _saved(tmp_path, [_node("Split", ["x"], "y", num_outputs=2**31 - 1)])
    with pytest.raises(FormatError, match="num_outputs"):
        graphkit.load(path)
    proto = onnx.load(_saved(tmp_path, [_node("Relu", ["x"], "y")]))
    for version in (2**62, 4 * 10**9):
        proto.opset_import[0].version = version
        path.write_bytes(proto.SerializeToString())
        for read in (graphkit.load, graphkit.look):
            with pytest.raises(FormatError, match="opset"):
                read(path)
    with pytest.raises(GraphkitError):
        graphkit.load(_saved(tmp_path, [_node("If", ["x"], "y")]))


@beside
def test_limits_of_onnx_can_be_raised(tmp_path: Path) -> None:
    path = _saved(tmp_path, [_node("Relu", ["x"], "a"), _node("Relu", ["a"], "y")])
    for name, least in (("nodes", 2), ("operands", 2)):
        with graphkit.limited(**{name: least}):
            graphkit.load(path)
        with graphkit.limited(**{name: least - 1}), pytest.raises(LimitError, match=f"--limit {name}={least}"):
            graphkit.load(path)
