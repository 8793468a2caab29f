"""Files that are no exported programs, or damaged or hostile: refused in a paragraph, and nothing of them runs."""

from __future__ import annotations

import json
import pickle
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import graphkit
from graphkit.errors import FormatError, GraphkitError, InputError
from graphkit.frameworks.torch.program.expressions import infix
from graphkit.frameworks.torch.program.read import read_bytes
from tests.frameworks.torch.ages import AGES, entries, packed, saved

if TYPE_CHECKING:
    from collections.abc import Callable

    import onnx_ir as ir


class Net(nn.Module):
    """A few nodes of all kinds."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 3)
        self.register_buffer("scale", torch.ones(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.relu(self.fc(x)) * self.scale
        return torch.cat(torch.split(y, 2, 1), 1).view(x.shape[0], 3)


PROGRAM = torch.export.export(Net().eval(), (torch.ones(2, 4),), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},))
HELD = entries(saved(PROGRAM))
ROOT = next(iter(HELD)).partition("/")[0]
MODEL, CONFIG = f"{ROOT}/models/model.json", f"{ROOT}/data/weights/model_weights_config.json"


def look(data: bytes, warn: Callable[[str], None] = lambda _: None) -> ir.Model | None:
    return read_bytes(memoryview(data), "net.pt2", "net", raw=False, warn=warn)


def with_program(change: Callable[[Any], object], name: str = MODEL) -> bytes:
    """The archive with its program, or another JSON entry, changed."""
    document = json.loads(HELD[name])
    change(document)
    return packed({**HELD, name: json.dumps(document).encode()})


def graph(document: Any) -> Any:
    return document["graph_module"]["graph"]


def refused(data: bytes, *words: str) -> str:
    with pytest.raises(FormatError) as caught:
        look(data)
    text = str(caught.value)
    assert text.startswith("net.pt2 is ")
    assert "\n" not in text
    assert all(word in text for word in words), text
    return text


def read_or_refused(data: bytes, *, raw: bool = False) -> None:
    """Read a file, which gives a model or says what is wrong."""
    said = "net.pt2 is "
    try:
        read_bytes(memoryview(data), "net.pt2", "net", raw=raw, warn=lambda _: None)
    except GraphkitError as error:
        said = str(error)
    assert said.startswith("net.pt2 is ")


@pytest.mark.parametrize("size", [0, 1, 2, 30, 1000, -1, -30, -200])
def test_truncated_files_are_refused(size: int, tmp_path: Path) -> None:
    path = tmp_path / "net.pt2"
    path.write_bytes(saved(PROGRAM)[: size or None] if size else b"")
    with pytest.raises(FormatError, match=r"net\.pt2"):
        graphkit.look(path)


def test_files_that_are_not_there_or_of_another_kind_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        graphkit.look(tmp_path / "none.pt2")
    (tmp_path / "text.pt2").write_text("hello, I am no archive at all")
    with pytest.raises(FormatError, match="no zip archive"):
        graphkit.look(tmp_path / "text.pt2")
    (tmp_path / "other.pt2").write_bytes(packed({"a.txt": b"a"}))
    with pytest.raises(FormatError, match="not of PyTorch"):
        graphkit.look(tmp_path / "other.pt2")


@pytest.mark.parametrize("name", [CONFIG, f"{ROOT}/data/constants/model_constants_config.json"])
def test_missing_entries_are_named(name: str) -> None:
    refused(packed({key: data for key, data in HELD.items() if key != name}), f"it lacks {name}")


def test_missing_weights_are_named() -> None:
    name = next(key for key in HELD if key.endswith("weight_0"))
    refused(packed({key: data for key, data in HELD.items() if key != name}), f"it lacks {name}", "'fc.weight'")


def test_weights_that_are_too_short_are_refused() -> None:
    name = next(key for key in HELD if key.endswith("weight_0"))
    refused(packed({**HELD, name: HELD[name][:-4]}), "'fc.weight'", "needs 48 bytes", "44 bytes long")


def test_weights_without_numbers_are_shown_without_them() -> None:
    name = next(key for key in HELD if key.endswith("weight_0"))
    told: list[str] = []
    model = look(packed({**HELD, name: b""}), told.append)
    assert model is not None
    assert model.graph.initializers["fc.weight"].const_value is None
    assert model.graph.initializers["fc.weight"].shape == (3, 4)
    assert len(told) == 1
    assert "'fc.weight'" in told[0]


def _sizes(numbers: list[int]) -> Callable[[Any], None]:
    def change(config: Any) -> None:
        config["config"]["fc.bias"]["tensor_meta"]["sizes"] = [{"as_int": number} for number in numbers]

    return change


@pytest.mark.parametrize("sizes", [[10**15], [-3], [2**62, 2**62], []])
def test_absurd_sizes_are_refused_or_read_as_they_are(sizes: list[int]) -> None:
    data = with_program(_sizes(sizes), CONFIG)
    refused(data, "'fc.bias'")


def test_sizes_that_strides_of_zero_spread_are_bounded() -> None:
    def spread(config: Any) -> None:
        meta = config["config"]["fc.bias"]["tensor_meta"]
        meta["sizes"], meta["strides"] = [{"as_int": 2**40}] * 2, [{"as_int": 0}] * 2

    refused(with_program(spread, CONFIG), "'fc.bias'")


def test_references_to_nothing_name_the_node() -> None:
    def change(document: Any) -> None:
        node = next(node for node in graph(document)["nodes"] if "relu" in node["target"])
        node["inputs"][0]["arg"]["as_tensor"]["name"] = "nowhere"

    refused(with_program(change), "node 'relu' reads 'nowhere'", "cycle")


def test_cycles_are_refused() -> None:
    refused(with_program(lambda document: graph(document)["nodes"].reverse()), "nothing before it computes")


def test_values_that_are_computed_twice_are_refused() -> None:
    refused(with_program(lambda document: graph(document)["nodes"].append(graph(document)["nodes"][-1])), "twice")


def test_outputs_that_nothing_computes_are_refused() -> None:
    def change(document: Any) -> None:
        document["graph_module"]["signature"]["output_specs"][0]["user_output"]["arg"]["as_tensor"]["name"] = "x9"

    refused(with_program(change), "an output reads 'x9'")


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[]", b"null", b"{}", b"\xff\xfe", b"[" * 100_000, b'{"graph_module": 3}']
)
def test_programs_that_are_no_json_or_another_are_refused(text: bytes) -> None:
    refused(packed({**HELD, MODEL: text}))


def test_newer_formats_say_so() -> None:
    def change(document: Any) -> None:
        document["schema_version"] = {"major": 99, "minor": 0}
        document["torch_version"] = "9.9"
        del document["graph_module"]["graph"]["nodes"]

    refused(with_program(change), "PyTorch 9.9")


def test_entries_that_claim_more_than_the_archive_holds_are_refused() -> None:
    data = bytearray(packed(HELD, zipfile.ZIP_DEFLATED))
    place = data.rfind(MODEL.encode()) - 46  # its record in the archive's directory
    data[place + 24 : place + 28] = (2**32 - 2).to_bytes(4, "little")
    refused(bytes(data))


class Attack:
    """Unpickling it would make a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def _zip_of_torch(payload: Any) -> bytes:
    return packed({"archive/data.pkl": pickle.dumps(payload, 2), "archive/version": b"3\n"})


@pytest.mark.parametrize("age", ["2.8", "2.5", "2.1"])
def test_pickles_run_nothing(age: str, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    held = entries(AGES[age](PROGRAM))
    name = next(key for key in held if "state_dict" in key or key.endswith("data/weights/model.pt"))
    told: list[str] = []
    model = look(packed({**held, name: _zip_of_torch({"fc.weight": Attack(mark)})}), told.append)
    assert not mark.exists()
    assert model is not None
    assert model.graph.initializers["fc.weight"].const_value is None
    assert len(told) == 1
    assert "'fc.weight' is shown without values" in told[0]
    assert "run code of their author" in told[0]
    refused(packed({**held, name: _zip_of_torch(Attack(mark))}), "no dictionary of tensors")
    assert not mark.exists()


def test_pickled_weights_of_current_files_are_not_loaded(tmp_path: Path) -> None:
    mark = tmp_path / "ran"

    def change(config: Any) -> None:
        config["config"]["fc.weight"]["use_pickle"] = True

    held = entries(with_program(change, CONFIG))
    name = f"{ROOT}/data/weights/" + json.loads(HELD[CONFIG])["config"]["fc.weight"]["path_name"]
    told: list[str] = []
    model = look(packed({**held, name: _zip_of_torch(Attack(mark))}), told.append)
    assert model is not None
    assert not mark.exists()
    assert len(told) == 1


@pytest.mark.parametrize(
    "attack",
    [
        b"cos\nsystem\n(S'touch ran'\ntR.",
        b"cbuiltins\neval\n(S'1/0'\ntR.",
        b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n)R.",
        b"\x80\x02ctorch\nSize\n(K\x01K\x02\x85tR.",
        b"\x80\x02\x8c\x02os\x8c\x06system\x93.",
        b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7f.",
        b"(dp0\nS'a'\ng9\ns.",
        b"\x80\x02ccollections\nOrderedDict\n)R}X\x01\x00\x00\x00aK\x01sb.",
        b"",
    ],
)
def test_any_pickle_is_refused_or_read_in_peace(attack: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    held = entries(AGES["2.5"](PROGRAM))
    bad = packed({"archive/data.pkl": attack})
    read_or_refused(packed({**held, "serialized_state_dict.pt": bad}))
    assert not any(tmp_path.iterdir())


NAMES = [
    "<script>alert(1)</script>",
    'a"b',
    "line\nbreak",
    "🦊" * 40,
    "x" * 10_000,
    "../../etc/passwd",
    "a/b",
    " ",
    "%s{}",
]


@pytest.mark.parametrize("name", NAMES)
def test_names_may_be_anything(name: str) -> None:
    text = HELD[MODEL].decode().replace('"relu"', json.dumps(name)).replace("tests.frameworks", json.dumps(name)[1:-1])
    model = look(packed({**HELD, MODEL: text.encode()}))
    assert model is not None
    assert [node.op_type for node in model.graph][:3] == ["Gemm", "Relu", "Mul"]
    raw = read_bytes(memoryview(packed({**HELD, MODEL: text.encode()})), "x", "x", raw=True, warn=pytest.fail)
    assert raw is not None
    assert name in [node.name for node in raw.graph]


def test_arguments_that_no_operator_takes_leave_it_pytorchs() -> None:
    def change(document: Any) -> None:
        for node in graph(document)["nodes"]:
            node["inputs"] = [{"name": "strange", "arg": {"as_unheard_of": {"deep": 1}}}, *node["inputs"]]

    model = look(with_program(change))
    assert model is not None
    assert {node.domain for node in model.graph} <= {"torch.aten", ""}
    assert any(node.domain == "torch.aten" and "strange" in node.attributes for node in model.graph)


def test_sizes_that_contradict_the_file_leave_an_operator_pytorchs() -> None:
    class Filling(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + torch.zeros(4)

    held = entries(saved(torch.export.export(Filling(), (torch.ones(4),))))
    name = next(key for key in held if key.endswith("models/model.json"))
    document = json.loads(held[name])
    fill = next(node for node in graph(document)["nodes"] if "zeros" in node["target"])
    fill["inputs"][0]["arg"] = {"as_ints": [2**45]}
    model = look(packed({**held, name: json.dumps(document).encode()}))
    assert model is not None
    assert "zeros" in [node.op_type for node in model.graph]


_PLACES = [place for place, char in enumerate(HELD[MODEL].decode()) if char in '0123456789:,"{}[]']


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(_PLACES), st.sampled_from(["null", "-1", "[]", "{}", '"x"', "1e9", "", "true", '"as_int"']))
def test_changed_programs_are_read_or_refused(place: int, text: str) -> None:
    document = HELD[MODEL].decode()
    read_or_refused(packed({**HELD, MODEL: (document[:place] + text + document[place + 1 :]).encode()}))


def _paths(held: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    if isinstance(held, dict | list):
        items = held.items() if isinstance(held, dict) else enumerate(held)
        for key, one in items:
            found += _paths(one, (*path, key))
    return found


_PATHS = _paths(json.loads(HELD[MODEL]))
_ODD = st.sampled_from([None, -1, 2**70, 1.5, "x", [], {}, [None], {"name": 1}, {"as_int": "a"}, True, [[1]]])


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(_PATHS), _ODD), min_size=1, max_size=3))
def test_changed_parts_are_read_or_refused(changes: list[tuple[tuple[Any, ...], Any]]) -> None:
    document = json.loads(HELD[MODEL])
    for path, value in changes:
        held = document
        try:
            for key in path[:-1]:
                held = held[key]
            held[path[-1]] = value
        except (KeyError, IndexError, TypeError):
            continue
    for raw in (False, True):
        read_or_refused(packed({**HELD, MODEL: json.dumps(document).encode()}), raw=raw)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 255))
def test_changed_bytes_are_read_or_refused(place: int, byte: int) -> None:
    data = bytearray(packed(HELD))
    data[place % len(data)] = byte
    read_or_refused(bytes(data))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Symbol('s77', positive=True, integer=True)", "batch"),
        ("Add(Mul(Integer(2), Symbol('s77', integer=True)), Integer(1))", "2*batch + 1"),
        ("Add(Integer(-1), Symbol('s3'))", "s3 - 1"),
        ("FloorDiv(Add(Symbol('s77'), Integer(1)), Integer(2))", "((batch + 1)//2)"),
        ("Mul(Integer(-1), Symbol('s77'))", "-batch"),
        ("Max(Integer(1), Symbol('u0'))", "Max(1, u0)"),
        ("s77 + s3", "batch + s3"),
        ("__import__('os').system('touch ran')", "__import__('os').system('touch ran')"),
        ("(" * 5000, "(" * 5000),
    ],
)
def test_symbolic_sizes_are_told_in_pythons_notation(text: str, shown: str) -> None:
    assert infix(text, {"s77": "batch"}) == shown


def test_numbers_of_changed_files_are_never_written_to(tmp_path: Path) -> None:
    path = tmp_path / "net.pt2"
    path.write_bytes(saved(PROGRAM))
    tensor = graphkit.look(path).graph.initializers["fc.weight"].const_value
    assert tensor is not None
    with pytest.raises(ValueError, match="read-only"):
        tensor.numpy()[0, 0] = np.float32(3)
