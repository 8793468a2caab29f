"""Exported programs (`.pt2`) with code of their author where PyTorch would run it."""

from __future__ import annotations

import contextlib
import io
import json
import pickle
import zipfile
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn

import graphkit
from attacks.catalogue import attack
from graphkit.errors import FormatError, GraphkitError, InputError
from tests.frameworks.torch.ages import AGES, entries, packed, saved

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


pytestmark = pytest.mark.filterwarnings("ignore:.*pickled objects:UserWarning")


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(x).view(x.shape[0] * 2, 2)


@pytest.fixture(scope="module")
def program() -> torch.export.ExportedProgram:
    batch = torch.export.Dim("batch", min=2, max=64)
    return torch.export.export(Net().eval(), (torch.ones(3, 4),), dynamic_shapes=({0: batch},))


@pytest.fixture(scope="module")
def held(program: torch.export.ExportedProgram) -> dict[str, bytes]:
    """The entries of a file that is fine."""
    return entries(saved(program))


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    """What the code of a file would make."""
    return tmp_path / "executed"


def code(mark: Path) -> str:
    """An expression that makes the mark."""
    return f"__import__('pathlib').Path('{mark}').touch()"


class Payload:
    """Unpickles to a call that makes the mark."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return eval, (code(self.mark),)


def changed(held: dict[str, bytes], change: Callable[[Any], None]) -> bytes:
    """The file with its program changed."""
    name = next(name for name in held if name.endswith("models/model.json"))
    document = json.loads(held[name])
    change(document)
    return packed({**held, name: json.dumps(document).encode()})


def replaced(held: dict[str, bytes], ending: str, data: bytes) -> bytes:
    """The file with other bytes in one of its entries."""
    return packed({name: data if name.endswith(ending) else old for name, old in held.items()})


def refused(data: bytes, folder: Path, mark: Path | None, says: str, kind: type[GraphkitError] = InputError) -> str:
    """Read a file in all ways that there are; its message."""
    path = folder / "net.pt2"
    path.write_bytes(data)
    with pytest.raises(kind, match=says) as caught:
        graphkit.load(path)
    assert mark is None or not mark.exists()
    with contextlib.suppress(GraphkitError):
        graphkit.look(path)
    assert mark is None or not mark.exists()
    return str(caught.value)


def graph(document: Any) -> Any:
    return document["graph_module"]["graph"]


@attack("A size in a .pt2 that is Python code, which sympy evaluates", "refused before torch sees it")
@pytest.mark.parametrize(
    "text",
    [
        "{code}",
        "Symbol('s77') + {code}",
        "Add(Integer(1), (lambda: {code})())",
        "Symbol('s77', positive={code})",
        "Integer(1).__class__.__base__.__subclasses__()",
        "Symbol('s77').func('x').__init__.__globals__['os'].system('true')",
    ],
)
def test_a_size_that_is_code(text: str, held: dict[str, bytes], mark: Path, tmp_path: Path) -> None:
    def change(document: Any) -> None:
        graph(document)["tensor_values"]["view"]["sizes"][0]["as_expr"]["expr_str"] = text.format(code=code(mark))

    assert "size" in refused(changed(held, change), tmp_path, mark, "net.pt2")


@attack("A size in a .pt2 whose power has billions of digits", "refused, as torch never writes it")
@pytest.mark.parametrize(
    "text",
    [
        "Pow(Integer(9), Pow(Integer(9), Integer(9999999999)))",
        "Pow(Pow(Pow(Pow(Integer(9), Integer(60)), Integer(60)), Integer(60)), Integer(60))",
        "Integer(" + "9" * 5000 + ")",
        "9**9**9**9",
        "Pow(Symbol('s77', positive=True, integer=True), Integer(9999999999))",
        "LShift(Integer(1), Integer(99999999999))",
    ],
)
def test_a_size_that_never_ends(text: str, held: dict[str, bytes], tmp_path: Path) -> None:
    def change(document: Any) -> None:
        graph(document)["tensor_values"]["view"]["sizes"][0]["as_expr"]["expr_str"] = text

    refused(changed(held, change), tmp_path, None, "size")


@attack(
    "An operator in a .pt2 that is a function of Python's (torch.os.system, torch.hub, …)",
    "refused with the name of the node",
)
@pytest.mark.parametrize(
    "target",
    [
        "torch.os.system",
        "torch.ops.load_library",
        "torch.hub.load",
        "torch.load",
        "torch._C._jit_set_profiling_mode",
        "torch.ops.aten.linear.default.__call__",
        "torch.ops.aten.__class__",
        "torch.utils._pytree.importlib.import_module",
        "_operator.methodcaller",
        "_operator.setitem",
        "math.factorial",
        "#elsewhere:operator",
        "torch.ops.elsewhere.operator.default",
        "os.system",
    ],
)
def test_an_operator_that_is_a_function(target: str, held: dict[str, bytes], mark: Path, tmp_path: Path) -> None:
    def change(document: Any) -> None:
        node = graph(document)["nodes"][2]
        node["target"] = target
        node["inputs"] = [{"name": "", "arg": {"as_string": f"touch {mark}"}, "kind": 1}]

    assert "'mul'" in refused(changed(held, change), tmp_path, mark, target.rpartition(".")[2].rpartition(":")[2])


@attack("An operator in a .pt2 that reads or writes files, prints or loads code", "refused with the name of the node")
@pytest.mark.parametrize(
    "target",
    [
        "torch.ops.aten.from_file.default",
        "torch.ops.aten.save.default",
        "torch.ops.aten._print.default",
        "torch.ops.aten.warn.default",
        "torch.ops.aten.manual_seed.default",
        "torch.ops.aten.set_.source_Storage",
        "torch.ops.higher_order.aoti_call_delegate",
        "torch.ops.higher_order.call_torchbind",
        "torch.ops.higher_order.print",
        "torch.ops.higher_order.inductor_compiled_code",
        "torch.ops.higher_order.triton_kernel_wrapper_functional",
        "torch.ops.c10d.send.default",
        "torch.ops.profiler._record_function_enter.default",
    ],
)
def test_an_operator_with_effects(target: str, held: dict[str, bytes], mark: Path, tmp_path: Path) -> None:
    mark.write_bytes(bytes(64))

    def change(document: Any) -> None:
        node = graph(document)["nodes"][1]
        node["target"] = target
        node["inputs"] = [
            {"name": "filename", "arg": {"as_string": str(mark)}, "kind": 1},
            {"name": "size", "arg": {"as_int": 16}, "kind": 2},
        ]

    assert "'linear'" in refused(changed(held, change), tmp_path, None, "operator")


@attack("The same operators within the body of a condition, or as an argument of another one", "refused as well")
def test_an_operator_that_is_hidden(held: dict[str, bytes], mark: Path, tmp_path: Path) -> None:
    def in_body(document: Any) -> None:
        nodes = graph(document)["nodes"]
        body = json.loads(json.dumps({**graph(document), "nodes": [{**nodes[1], "target": "torch.os.system"}]}))
        nodes[1]["inputs"][0]["arg"] = {"as_graph": {"name": "true_graph_0", "graph": body}}

    def as_argument(document: Any) -> None:
        graph(document)["nodes"][1]["inputs"][0]["arg"] = {"as_operator": "torch.os.system"}

    for change in (in_body, as_argument):
        refused(changed(held, change), tmp_path, mark, r"os\.system")


@attack(
    "A value, argument or body in a .pt2 that is called as Python code, which torch writes into a function",
    "refused, since torch gives values names of letters and digits",
)
@pytest.mark.parametrize("place", ["input", "value", "body", "keyword", "argument"])
def test_a_value_that_is_called_as_code(place: str, held: dict[str, bytes], mark: Path, tmp_path: Path) -> None:
    named = f"x={code(mark)}"

    def change(document: Any) -> None:
        whole, nodes = graph(document), graph(document)["nodes"]
        if place == "input":
            whole["inputs"][2]["as_tensor"]["name"] = named
            whole["tensor_values"][named] = whole["tensor_values"].pop("x")
            nodes[0]["inputs"][0]["arg"]["as_tensor"]["name"] = named
            nodes[1]["inputs"][0]["arg"]["as_tensor"]["name"] = named
            specs = document["graph_module"]["signature"]["input_specs"]
            specs[2]["user_input"]["arg"]["as_tensor"]["name"] = named
        elif place == "value":
            nodes[3]["outputs"][0]["as_tensor"]["name"] = f"view: {code(mark)}"
            whole["tensor_values"][f"view: {code(mark)}"] = whole["tensor_values"]["view"]
        elif place == "body":
            body = {**whole, "nodes": []}
            nodes[1]["inputs"][0]["arg"] = {"as_graph": {"name": f"a, {code(mark)}", "graph": body}}
        elif place == "keyword":
            nodes[1]["target"] = "torch.ops.higher_order.cond"
            nodes[1]["inputs"].append({"name": named + ", y", "arg": {"as_int": 1}, "kind": 2})
        else:
            call = document["graph_module"]["module_call_graph"][0]["signature"]
            call["forward_arg_names"] = [named]

    refused(changed(held, change), tmp_path, mark, "name")


@attack(
    'A parameter of a .pt2 called `x"); import os; os.system("…`, which torch writes into a getattr', "refused by name"
)
def test_a_parameter_that_is_called_as_code(held: dict[str, bytes], mark: Path, tmp_path: Path) -> None:
    named = f'x", {code(mark)}) or getattr(self, "fc'

    def change(document: Any) -> None:
        document["graph_module"]["signature"]["input_specs"][0]["parameter"]["parameter_name"] = named

    held = entries(changed(held, change))
    config = next(name for name in held if name.endswith("model_weights_config.json"))
    tensors = json.loads(held[config])
    tensors["config"][named] = tensors["config"].pop("fc.weight")
    refused(packed({**held, config: json.dumps(tensors).encode()}), tmp_path, mark, "name")


@attack("A text given for an argument of a .pt2, which torch writes into a condition", "refused where it has quotes")
def test_a_text_that_is_code(held: dict[str, bytes], mark: Path, tmp_path: Path) -> None:
    text = f"' or {code(mark)} or '"

    def change(document: Any) -> None:
        value = {"constant_input": {"name": "x", "value": {"as_string": text}}}
        document["graph_module"]["signature"]["input_specs"][2] = value

    refused(changed(held, change), tmp_path, mark, "text for an argument")


@attack("A condition on sizes in a .pt2 (guards_code), which torch executes", "refused unless it compares sizes")
@pytest.mark.parametrize(
    "text",
    [
        "{code} is None",
        "L['x'].size()[0] == {code}",
        "L['x'].__class__.__init__.__globals__['sys'] is None",
        "L['x'].size()[0] == 3, {code}",
        "True)\n  {code}\n  print(1",
        "L['x\"); {double}; (\"'].size()[0] == 3",
        "9**9**9**9 > L['x'].size()[0]",
        "1 << 99999999999 > L['x'].size()[0]",
    ],
)
def test_a_condition_that_is_code(text: str, held: dict[str, bytes], mark: Path, tmp_path: Path) -> None:
    double = code(mark).replace("'", '\\"')

    def change(document: Any) -> None:
        document["guards_code"] = [text.format(code=code(mark), double=double)]

    path = tmp_path / "net.pt2"
    path.write_bytes(changed(held, change))
    with pytest.raises(InputError, match="condition"):
        graphkit.load(path)
    assert not mark.exists()


@attack("A tree of arguments in a .pt2 that has Python import a module", "refused, or read without its classes")
@pytest.mark.parametrize("place", ["in_spec", "out_spec"])
@pytest.mark.parametrize("kind", ["enum", "defaultdict"])
def test_a_tree_that_imports(
    kind: str, place: str, held: dict[str, bytes], mark: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "imported_by_a_tree.py").write_text(code(mark))
    monkeypatch.syspath_prepend(tmp_path)
    leaf = {"type": None, "context": None, "children_spec": []}
    enum = json.dumps([{"__enum__": True, "fqn": "imported_by_a_tree:Kind", "name": "A"}])
    factory = {"default_factory_module": "imported_by_a_tree", "default_factory_name": "A", "dict_context": ["a"]}
    trees = {
        "enum": {"type": "builtins.dict", "context": enum, "children_spec": [leaf]},
        "defaultdict": {"type": "collections.defaultdict", "context": factory, "children_spec": [leaf]},
    }

    def change(document: Any) -> None:
        document["graph_module"]["module_call_graph"][0]["signature"][place] = json.dumps([1, trees[kind]])

    refused(changed(held, change), tmp_path, mark, "tree")


@attack("A pickle that calls a function among the example inputs of a .pt2", "never unpickled")
@pytest.mark.parametrize("nested", [False, True])
def test_example_inputs_that_call(nested: bool, held: dict[str, bytes], mark: Path, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    torch.save(((torch.ones(3, 4),), {"y": Payload(mark)}), buffer)
    if nested:  # bytes are read, and torch takes them for a file of torch.save
        inner, buffer = buffer.getvalue(), io.BytesIO()
        torch.save(inner, buffer)
    path = tmp_path / "net.pt2"
    path.write_bytes(replaced(held, "data/sample_inputs/model.pt", buffer.getvalue()))
    for read in (graphkit.load, graphkit.look):
        with contextlib.suppress(InputError):
            read(path)
    assert not mark.exists()


@attack("A pickle that calls a function among the weights or constants of a .pt2", "refused, unless it is trusted")
@pytest.mark.parametrize("part", ["weights", "constants"])
def test_weights_that_call(
    part: str, program: torch.export.ExportedProgram, mark: Path, tmp_path: Path, held: dict[str, bytes]
) -> None:
    buffer = io.BytesIO()
    torch.save({**program.state_dict, "evil": Payload(mark)}, buffer)
    old = entries(AGES["2.8"](program))
    refused(replaced(old, f"data/{part}/model.pt", buffer.getvalue()), tmp_path, mark, "trust-pickle")
    entry = {"path_name": "custom_obj_0", "is_param": False, "use_pickle": True, "tensor_meta": None}
    config = next(name for name in held if name.endswith(f"model_{part}_config.json"))
    told = json.loads(held[config])
    told["config"]["evil"] = entry
    objects = {**held, config: json.dumps(told).encode()}
    objects[f"{config.rpartition('/')[0]}/custom_obj_0"] = pickle.dumps(Payload(mark))
    refused(packed(objects), tmp_path, mark, "trust-pickle")


@attack("Machine code that torch would load from a .pt2 beside a program that only a pickle makes", "never loaded")
def test_machine_code_beside_a_program(held: dict[str, bytes], mark: Path, tmp_path: Path) -> None:
    root = next(iter(held)).partition("/")[0]
    config = next(name for name in held if name.endswith("model_constants_config.json"))
    entry = {"path_name": "custom_obj_0", "is_param": False, "use_pickle": True, "tensor_meta": None}
    library = {
        config: json.dumps({"config": {"evil": entry}}).encode(),
        f"{root}/data/constants/custom_obj_0": pickle.dumps(Payload(mark)),
        f"{root}/data/aotinductor/model/model.so": b"\x7fELF",
        f"{root}/data/aotinductor/model/model.cpp": b"",
    }
    refused(packed({**held, **library}), tmp_path, mark, "trust-pickle")


@attack("A weight of a .pt2 that lies beyond the end of its data", "refused")
@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"sizes": [{"as_int": 4}, {"as_int": 4}]', b'"sizes": [{"as_int": 4}, {"as_int": 400000}]'),
        (b'"strides": [{"as_int": 4}, {"as_int": 1}]', b'"strides": [{"as_int": 4000}, {"as_int": 1}]'),
        (b'"strides": [{"as_int": 4}, {"as_int": 1}]', b'"strides": [{"as_int": -4}, {"as_int": 1}]'),
        (b'"storage_offset": {"as_int": 0}', b'"storage_offset": {"as_int": 4000}'),
        (b'"storage_offset": {"as_int": 0}', b'"storage_offset": {"as_int": -4}'),
    ],
)
def test_a_weight_beyond_its_data(old: bytes, new: bytes, held: dict[str, bytes], tmp_path: Path) -> None:
    config = next(name for name in held if name.endswith("model_weights_config.json"))
    assert old in held[config]
    refused(packed({**held, config: held[config].replace(old, new)}), tmp_path, None, "fc", FormatError)


@attack("A symbol u999999999999 in the ranges of a .pt2, up to which torch counts", "refused")
def test_a_symbol_that_is_counted_to(held: dict[str, bytes], tmp_path: Path) -> None:
    def change(document: Any) -> None:
        document["range_constraints"]["u999999999999"] = {"min_val": 0, "max_val": 9}

    refused(changed(held, change), tmp_path, None, "u999999999999")


@attack("Two entries of one name in a .pt2, of which zip readers take different ones", "refused")
def test_an_entry_that_is_there_twice(held: dict[str, bytes], mark: Path, tmp_path: Path) -> None:
    data = io.BytesIO()
    name = next(name for name in held if name.endswith("model.json"))
    with zipfile.ZipFile(data, "w") as archive:
        for each, value in held.items():
            archive.writestr(each, value)
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr(name, held[name].replace(b"torch.ops.aten.linear.default", b"torch.os.system"))
    refused(data.getvalue(), tmp_path, mark, "twice|duplicate")
