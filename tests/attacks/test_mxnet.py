"""Symbols and parameter files of MXNet that are to run code, take memory or time, or kill the process."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pickle
import struct
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hostile import checkpoint_files, params_files, symbol_files
from hostile.budget import measured, written

import graphkit
from attacks.catalogue import attack
from graphkit.errors import FormatError, GraphkitError, InputError, LimitError
from graphkit.frameworks.mxnet import params, symbol
from graphkit.frameworks.mxnet.arrays import Csr, ParamsFile, Record, RowSparse

if TYPE_CHECKING:
    from collections.abc import Callable

_HEAD = struct.pack("<QQ", 0x112, 0)
_V2 = struct.pack("<Ii", 0xF993FAC9, 0)
_TYPE = struct.pack("<iii", 1, 0, 0)


def _refused(read: Callable[[bytes], object], data: bytes) -> str:
    """The error that a file is refused with, in time and within memory."""
    _warm(read)
    _held(read, data)
    with pytest.raises(GraphkitError) as caught:
        read(data)
    return str(caught.value)


def _held(read: Callable[[bytes], object], data: bytes) -> bool:
    """Whether a file is read; in time and within memory."""
    outcome = measured(read, data)
    assert outcome.finding is None or outcome.finding.kind == "slow", outcome.finding
    return outcome.accepted


def _warm(read: Callable[[bytes], object]) -> None:
    """Have what is imported late imported now."""
    with contextlib.suppress(GraphkitError):
        read(_one_node("relu", {}))
    with contextlib.suppress(GraphkitError):
        read(_list(_V2 + _shape(1) + _TYPE + bytes(4), names=(b"arg:x",)))


def _list(*arrays: bytes, names: tuple[bytes, ...] = ()) -> bytes:
    """A parameter file of such arrays."""
    named = b"".join(struct.pack("<Q", len(name)) + name for name in names)
    return _HEAD + struct.pack("<Q", len(arrays)) + b"".join(arrays) + struct.pack("<Q", len(names)) + named


def _shape(*dims: int) -> bytes:
    return struct.pack(f"<i{len(dims)}q", len(dims), *dims)


def _nodes(*nodes: dict[str, Any], **more: Any) -> bytes:
    made = [{"op": "null", "name": "x", "inputs": [], "attrs": {"__shape__": "(2, 3)"}}, *nodes]
    data = {
        "nodes": made,
        "arg_nodes": [0],
        "heads": [[len(made) - 1, 0, 0]],
        "attrs": {"mxnet_version": ["int", 10901]},
    }
    return json.dumps(data | more).encode()


def _one_node(op: str, attrs: dict[str, str], reads: bool = True) -> bytes:
    return _nodes({"op": op, "name": "n", "attrs": attrs, "inputs": [[0, 0, 0]] if reads else []})


@attack(
    "Parameter file that announces 2⁶⁰ arrays, or names of 2⁶³ bytes", "refused: counts are compared with the length"
)
def test_counts_are_compared_with_the_length_of_the_file() -> None:
    assert "more than fit" in _refused(params_files.read, _HEAD + struct.pack("<Q", 2**60) + bytes(64))
    array = _V2 + _shape(1) + _TYPE + bytes(4)
    told = _refused(params_files.read, _list(array)[:-8] + struct.pack("<QQ", 1, 2**63) + b"x")
    assert "only 1 bytes are left" in told


@attack(
    "Shape whose number of elements is 0 once it overflows 64 bits (2³² × 2³²)",
    "refused: sizes are computed without overflow and compared with the length",
)
@pytest.mark.parametrize("dims", [(2**32, 2**32), (2**62, 4), (2**63 - 1,), (3, 2**31, 2**31, 2**31)])
def test_shapes_that_overflow_are_refused(dims: tuple[int, ...]) -> None:
    assert "should follow" in _refused(params_files.read, _list(_V2 + _shape(*dims) + _TYPE, names=(b"arg:x",)))


@attack("Empty array whose other dimensions are 2⁶²", "refused: no array has such a shape")
def test_empty_arrays_of_endless_shape_are_refused() -> None:
    data = _list(struct.pack("<Ii", 0xF993FACA, 0) + _shape(2**62, 0, 2**62) + _TYPE, names=(b"arg:x",))
    assert "impossible" in _refused(params_files.read, data)


@attack(
    "Sparse array of a few bytes that is 4 TB once it is dense", "refused by the limit `expanded`, before it is made"
)
@pytest.mark.parametrize("kind", ["row_sparse", "csr"])
def test_sparse_arrays_that_are_bombs_are_refused(kind: str) -> None:
    one = np.ones(1, np.float32)
    rows = RowSparse((10**6, 10**6), np.zeros(0, np.int64), np.zeros((0, 10**6), np.float32))
    lines = Csr((3, 10**12), np.array([0, 1, 1, 1]), np.array([5]), one)
    out = io.BytesIO()
    params.dump(ParamsFile([Record(rows if kind == "row_sparse" else lines)], ["arg:x"]), out)
    assert "--limit expanded=" in _refused(params_files.read, out.getvalue())


@attack("Many sparse arrays, each within the limit, that are 80 GB together", "refused: the limit is one of the file")
def test_sparse_arrays_are_counted_together() -> None:
    out, none = io.BytesIO(), np.zeros(0, np.int64)
    rows = [Record(RowSparse((1000, 10_000), none, np.zeros((0, 10_000), np.float32))) for _ in range(2000)]
    params.dump(ParamsFile(rows, [f"arg:{n}" for n in range(len(rows))]), out)
    assert "--limit expanded=" in _refused(params_files.read, out.getvalue())


@attack("Indices of a sparse array before its start or past its end, to write over memory", "refused: they are checked")
@pytest.mark.parametrize("index", [-1, 3, 2**62, -(2**63)])
def test_indices_of_sparse_arrays_stay_within_them(index: int) -> None:
    rows = RowSparse((3, 2), np.array([index]), np.ones((1, 2), np.float32))
    out = io.BytesIO()
    params.dump(ParamsFile([Record(rows)], ["arg:x"]), out)
    assert "beyond its shape" in _refused(params_files.read, out.getvalue())


@attack(
    "Zip bomb: a parameter file of MXNet 2 that is a thousand times as large once it is unpacked",
    "refused before anything is unpacked",
)
def test_zip_bombs_are_refused() -> None:
    out = io.BytesIO()
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": "<f4", "fortran_order": False, "shape": (1 << 26,)})
    with (
        zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("x.npy", "w") as file,
    ):
        file.write(head.getvalue())
        for _ in range(1 << 4):
            file.write(bytes(1 << 24))
    assert "--limit expanded=" in _refused(params_files.read, out.getvalue())


class _Bomb:
    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return Path.touch, (self._path,)


@attack("Array of pickled objects in a parameter file of MXNet 2, which runs code", "refused; nothing is unpickled")
def test_pickled_arrays_are_refused(tmp_path: Path) -> None:
    out = io.BytesIO()
    np.savez(out, x=np.array([_Bomb(tmp_path / "ran")], object))
    assert pickle.dumps(_Bomb(tmp_path)) is not None
    assert "numpy" in _refused(params_files.read, out.getvalue())
    assert not (tmp_path / "ran").exists()


@attack(
    "Code in the header of a numpy array, which Python's parser reads", "refused; literals are parsed, not evaluated"
)
def test_headers_are_not_evaluated(tmp_path: Path) -> None:
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': (open({str(tmp_path / 'ran')!r}, 'w'),)}}".encode()
    data = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + bytes(4)
    assert "makes no sense" in _refused(params_files.read, data)
    deep = b"{'shape': " + b"(" * 9000
    assert "makes no sense" in _refused(params_files.read, b"\x93NUMPY\x01\x00" + struct.pack("<H", len(deep)) + deep)
    assert not (tmp_path / "ran").exists()


@attack("Code as the value of a parameter: shape=__import__('os').system(…)", "refused: values are literals")
@pytest.mark.parametrize("op", ["_zeros", "_arange", "Convolution", "slice", "_npi_pad"])
def test_parameters_are_not_evaluated(op: str, tmp_path: Path) -> None:
    code = f"__import__('os').system('touch {tmp_path}/ran')"
    names = ("shape", "start", "kernel", "begin", "pad_width")
    _refused(checkpoint_files.read, _one_node(op, dict.fromkeys(names, code)))
    assert not (tmp_path / "ran").exists()


@attack("Custom operator, which MXNet finds in Python by its name", "refused: nothing is looked for or imported")
def test_custom_operators_are_not_looked_for() -> None:
    assert "Custom" in _refused(checkpoint_files.read, _one_node("Custom", {"op_type": "antigravity"}))


@attack("Numbers that take minutes or terabytes to parse: a million digits, 1e999999, (1,)*10**9", "refused at once")
@pytest.mark.parametrize(
    "number", ["9" * 1_000_000, "1e999999", "(1,)*10**9", "9**9**9", "(" * 100_000, "1," * 1_000_000]
)
def test_numbers_that_explode_are_refused(number: str) -> None:
    for op, name in (
        ("_zeros", "shape"),
        ("SliceChannel", "num_outputs"),
        ("_plus_scalar", "scalar"),
        ("clip", "a_min"),
    ):
        told = _refused(checkpoint_files.read, _one_node(op, {name: number}, reads=op != "_zeros"))
        assert len(told) < 3000
    _refused(checkpoint_files.read, _one_node("relu", {}).replace(b"(2, 3)", number.encode()))


@attack(
    "Values that a pattern takes hours to match: a number of 100,000 digits and an x, a bracket and 100,000 blanks",
    "refused at once: patterns never go back",
)
def test_patterns_take_no_longer_than_values_are_long() -> None:
    for op, name in (
        ("_plus_scalar", "scalar"),
        ("_zeros", "shape"),
        ("slice", "begin"),
        ("SliceChannel", "num_outputs"),
    ):
        for text in ("1" * 100_000 + "x", "(" + " " * 100_000 + "1", "1." + "0" * 100_000 + "e", "(1" + " ," * 100_000):
            assert len(_refused(checkpoint_files.read, _one_node(op, {name: text}, reads=op != "_zeros"))) < 3000


@attack("JSON nested 100,000 deep, to overflow the stack", "refused")
@pytest.mark.parametrize("opened", ["[", '{"nodes":[', '{"a":'])
def test_deep_json_is_refused(opened: str) -> None:
    _refused(symbol_files.read, (opened * 100_000).encode())


@attack(
    "Subgraphs within each other, hundreds deep, to overflow the stack of what walks through them", "refused: `nesting`"
)
def test_deep_subgraphs_are_refused() -> None:
    start = '{"nodes":[{"op":"null","name":"x","inputs":[]},{"op":"_cond","name":"c","inputs":[[0,0,0]],"subgraphs":['
    end = ']}],"arg_nodes":[0],"heads":[[1,0,0]]}'
    for levels, told in ((210, "--limit nesting="), (5000, "is not an MXNet symbol")):
        data = (start * levels + _one_node("relu", {}).decode() + end * levels).encode()
        assert told in _refused(symbol_files.read, data)
        assert told in _refused(checkpoint_files.read, data)


@attack("Graph that reads itself", "refused: it has a cycle")
def test_cycles_are_refused() -> None:
    for inputs in ([[1, 0, 0], [1, 0, 0]], [[2, 0, 0], [0, 0, 0]]):
        nodes = (
            {"op": "elemwise_add", "name": "a", "inputs": inputs},
            {"op": "relu", "name": "b", "inputs": [[1, 0, 0]]},
        )
        assert "cycle" in _refused(symbol_files.read, _nodes(*nodes))


@attack("Operator with 2³¹ outputs, or one that reads output 2³¹ of another", "refused before they are made")
def test_outputs_beyond_all_bounds_are_refused() -> None:
    _refused(checkpoint_files.read, _one_node("SliceChannel", {"num_outputs": "2147483647"}))
    _refused(checkpoint_files.read, _one_node("_split_v2", {"sections": "2147483647", "indices": "()"}))
    _refused(checkpoint_files.read, _one_node("_npi_dsplit", {"sections": "1000000000", "indices": "()"}))
    _refused(checkpoint_files.read, _nodes({"op": "relu", "name": "n", "inputs": [[0, 2**31 - 1, 0]]}))


@attack(
    "Symbol of 2015 whose 400 nodes lack 65,536 inputs each, which a loader of old symbols adds",
    "refused: so many are not added",
)
def test_missing_inputs_are_not_added_without_end() -> None:
    node = {"op": "Concat", "name": "c", "param": {"num_args": "65536", "dim": "1"}, "inputs": [[0, 0, 0]]}
    _refused(checkpoint_files.read, _nodes(*[node] * 400, attrs={}))


@attack(
    "Operator that writes out a range of 10¹², a unit matrix of 10⁶ × 10⁶ or a window of 10¹⁰", "refused: `expanded`"
)
@pytest.mark.parametrize(
    ("op", "attrs"),
    [
        ("_arange", {"start": "0", "stop": "1e12"}),
        ("_arange", {"start": "0", "stop": "1000", "repeat": "2000000000"}),
        ("_npi_linspace", {"start": "0", "stop": "1", "num": "2000000000"}),
        ("_eye", {"N": "1000000"}),
        ("_npi_identity", {"shape": "(1000000, 1000000)"}),
        ("_npi_indices", {"dimensions": "(100000, 100000)"}),
        ("_npi_hanning", {"M": "2000000000"}),
        ("_npi_logspace", {"start": "0", "stop": "1", "num": "2000000000"}),
    ],
)
def test_what_numbers_say_is_not_written_out(op: str, attrs: dict[str, str]) -> None:
    assert "--limit expanded=" in _refused(checkpoint_files.read, _one_node(op, attrs, reads=False))


@attack("A thousand ranges of 4 MB each, in 60 kB", "refused: what is written out is counted together")
def test_what_is_written_out_is_counted_together() -> None:
    node = {"op": "_arange", "name": "r", "attrs": {"start": "0", "stop": "1000000"}, "inputs": []}
    join = {"op": "add_n", "name": "s", "attrs": {"num_args": "1000"}, "inputs": [[n + 1, 0, 0] for n in range(1000)]}
    assert "--limit expanded=" in _refused(checkpoint_files.read, _nodes(*[node] * 1000, join))


@attack("Zeros of 10⁶ × 10⁶ that a converter folds into a constant", "stay a node, which needs no memory")
def test_constants_of_endless_shape_stay_nodes() -> None:
    _warm(checkpoint_files.read)
    huge = {"op": "_zeros", "name": "z", "attrs": {"shape": "(1000000, 1000000)"}, "inputs": []}
    more = {"op": "_plus_scalar", "name": "p", "attrs": {"scalar": "1"}, "inputs": [[1, 0, 0]]}
    sums = {"op": "sum", "name": "s", "attrs": {"axis": "0"}, "inputs": [[2, 0, 0]]}
    data = _nodes(huge, more, sums)
    assert _held(checkpoint_files.read, data)


@attack(
    "Constants of a million elements, a thousand times: each small enough to be folded", "folded up to `expanded` only"
)
def test_folding_ends_where_the_limit_is() -> None:
    _warm(checkpoint_files.read)
    nodes = []
    for number in range(40):
        shape = f"(1000, {1000 - number})"
        nodes.append({"op": "_ones", "name": f"z{number}", "attrs": {"shape": shape}, "inputs": []})
    heads = [[number + 1, 0, 0] for number in range(len(nodes))]
    data = _nodes(*nodes, heads=heads)
    with graphkit.limited(expanded=10_000_000):
        model = graphkit.look(written(data, "x-symbol.json"), warn=lambda _message: None)
    assert sum(node.op_type == "ConstantOfShape" for node in model.graph) > 30
    assert sum(value.const_value.nbytes for value in model.graph.initializers.values()) < 11_000_000


@attack(
    "Operator that is unrolled two billion times: n-th differences, displacements of a correlation",
    "refused: `expanded`",
)
def test_unrolled_operators_end() -> None:
    with graphkit.limited(expanded=5_000_000):
        assert "--limit expanded=" in _refused(checkpoint_files.read, _one_node("_npi_diff", {"n": "2000000000"}))


@attack("Windows padded by 2³⁰, each of which is looked at", "told at once: only those at the edges are")
def test_padding_without_end_takes_no_time() -> None:
    _warm(checkpoint_files.read)
    attrs = {"kernel": "(2147483647,)", "pad": "(1073741824,)", "pool_type": "max"}
    data = _one_node("Pooling", attrs).replace(b"(2, 3)", b"(1, 3, 2147483647)")
    _held(checkpoint_files.read, data)


@attack(
    "Name of an operator of 5 MB, which is compared with all that are known", "refused at once, with a short message"
)
def test_endless_names_take_no_time_and_no_screen() -> None:
    assert len(_refused(checkpoint_files.read, _one_node("relu" * 1_250_000, {}))) < 3000


@attack("Escape sequences of terminals in names, which rewrite what is on the screen", "told as visible signs")
def test_names_do_not_write_to_the_terminal() -> None:
    told = _refused(checkpoint_files.read, _one_node("\x1b]0;owned\x07\x1b[2Jrelu", {}))
    assert "\x1b" not in told
    assert "owned" in told


@attack(
    "Symbol or parameters that link to /dev/zero, or are a pipe, in a downloaded folder", "refused: they are no files"
)
def test_devices_and_pipes_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "z-symbol.json").symlink_to("/dev/zero")
    os.mkfifo(tmp_path / "p-symbol.json")
    (tmp_path / "n-symbol.json").write_bytes(_one_node("relu", {}))
    os.mkfifo(tmp_path / "n-0000.params")
    for name in "zpn":
        with pytest.raises(InputError, match="pipe or device"):
            graphkit.load(tmp_path / f"{name}-symbol.json")


@attack(
    "JSON of a few megabytes that takes gigabytes once it is parsed", "refused by the limit `document`, before that"
)
def test_json_bombs_are_refused() -> None:
    data = b'{"nodes": [' + b"{}," * 1_000_000 + b"{}]}"
    with graphkit.limited(document=100_000_000), pytest.raises(LimitError, match="--limit document="):
        symbol.loads(data)
    with pytest.raises(FormatError):
        symbol.loads(data)
