"""Models whose names and texts would be code in the PyTorch source that is written of them."""

from __future__ import annotations

import ast
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
import pytest
import torch
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from onnx import numpy_helper
from torch import nn

import graphkit
from attacks.catalogue import attack
from attacks.names import CODE
from graphkit.errors import GraphkitError
from graphkit.frameworks.mxnet import params
from graphkit.frameworks.torch.converted import ConvertedSession
from graphkit.frameworks.torch.folder import read_folder
from graphkit.frameworks.torch.source.identifiers import Names, camel
from graphkit.frameworks.torch.source.program import to_program
from graphkit.frameworks.torch.source.spell import literal
from graphkit.frameworks.torch.source.write import to_source
from graphkit.frameworks.torch.vetting import parsed, vet

MODEL = Path("model.py")
MODELS = {
    "layers": (
        "float[N, 4, 8, 8] x",
        "float[N, 4, H, W] y",
        """
        c1 = Conv <pads = [1, 1, 1, 1]> (x, w1)
        n1 = BatchNormalization (c1, scale, shift, mean, var)
        r1 = Relu (n1)
        c2 = Conv <pads = [1, 1, 1, 1]> (r1, w2)
        n2 = BatchNormalization (c2, scale2, shift2, mean2, var2)
        r2 = Relu (n2)
        s = Add (r2, x)
        y = Mul (s, factor)
        """,
        dict.fromkeys(("w1", "w2"), (4, 4, 3, 3))
        | {f"{name}{end}": (4,) for name in ("scale", "shift", "mean", "var") for end in ("", "2")}
        | {"factor": (4, 1, 1)},
    ),
    "flow": (
        "float[3] x, int64 n",
        "float[3] y, float[M, 3] z",
        """
        total = ReduceSum <keepdims = 0> (x)
        above = Greater (total, zero)
        picked = If (above) <
            then_branch = then_graph () => (float[3] a) { a = Add (x, held) },
            else_branch = else_graph () => (float[3] b) { b = Sub (x, held) }
        >
        y, z = Loop (n, , picked) <
            body = body_graph (int64 i, bool go, float[3] s) => (bool go_on, float[3] t, float[3] u)
            { go_on = Identity (go)  t = Add (s, held)  u = Tanh (t) }
        >
        """,
        {"held": (3,), "zero": ()},
    ),
    "recurrent": (
        "float[5, 2, 3] x",
        "float[5, 1, 2, 4] y, float[5, 2, 4] z",
        """
        y = LSTM <hidden_size = 4> (x, w, r, b)
        first = Squeeze (y, axis)
        z = MatMul (first, dense)
        """,
        {"w": (1, 16, 3), "r": (1, 16, 4), "b": (1, 32), "dense": (4, 4), "axis": None},
    ),
}
"""Inputs, outputs, nodes and shapes of weights."""
KEPT = {("NodeProto", "op_type"), ("NodeProto", "domain"), ("AttributeProto", "name"), ("OperatorSetIdProto", "domain")}
"""Texts that say what is computed."""


def proto(inputs: str, outputs: str, nodes: str, weights: dict[str, Any]) -> onnx.ModelProto:
    header = '<ir_version: 10, opset_import: ["" : 20], producer_name: "maker", doc_string: "told">'
    model = onnx.parser.parse_model(f"{header} net ({inputs}) => ({outputs}) {{ {nodes} }}")
    rng = np.random.default_rng(0)
    for name, shape in weights.items():
        array = np.array([1]) if shape is None else rng.random(shape, np.float32)
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(array), name))
    model.metadata_props.add(key="key", value="value")
    for number, node in enumerate(model.graph.node):
        node.name, node.doc_string = f"node{number}", "told"
    return model


def planted(message: Any, end: str) -> None:
    """End every text of a message that is a name, or is for people, with another one."""
    for field, value in message.ListFields():
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            for inner in [value] if isinstance(value, Message) else value:
                planted(inner, end)
        elif field.type == FieldDescriptor.TYPE_STRING and (message.DESCRIPTOR.name, field.name) not in KEPT:
            if isinstance(value, str):
                setattr(message, field.name, f"{value}{end}")
            else:
                value[:] = [f"{text}{end}" if text else "" for text in value]


def statements(text: str) -> Counter[str]:
    """How often source has each statement and calls each function of torch, which must do nothing but compute."""
    tree = parsed(text, MODEL)
    found: Counter[str] = Counter()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            found[name if name.startswith(("torch.", "nn.", "F.")) else "call"] += 1
        elif not isinstance(node, ast.Name | ast.Attribute | ast.Assign | ast.Tuple | ast.Return | ast.expr_context):
            found[type(node).__name__.removesuffix("Exp")] += (
                1  # which result is written where it is used depends on lengths of names
            )
    vet(tree, MODEL)
    assert text.isprintable() or {char for char in text if not char.isprintable()} == {"\n"}
    return found


class Watch:
    """What is started meanwhile."""

    def __init__(self) -> None:
        self.on = False
        self.seen: list[tuple[str, Any]] = []
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: Any) -> None:
        own = "/graphkit/files/" in str(arguments)  # which moves files into place in a process of its own
        starts = ("os.system", "subprocess.Popen", "os.exec", "os.posix_spawn", "os.fork", "os.remove")
        if self.on and event in starts and not own:
            self.seen.append((event, arguments))


WATCH = Watch()


@pytest.fixture
def watch():
    WATCH.seen.clear()
    WATCH.on = True
    yield WATCH
    WATCH.on = False


@attack("ONNX names, dimensions, metadata and docstrings in which there is Python", "the source says the same as ever")
@pytest.mark.parametrize("kind", MODELS)
def test_names_of_onnx(kind, tmp_path):
    def written(end):
        model = proto(*MODELS[kind])
        planted(model, end)
        onnx.save(model, tmp_path / "net.onnx")
        return statements(to_source(to_program(graphkit.load(tmp_path / "net.onnx")), "net").text)

    expected = written("_plain")
    for tried, end in CODE.items():
        assert written(end) == expected, tried


@attack("Inputs and weights called as what source uses: self, torch, F, layer, super, forward", "they get other names")
def test_names_of_pythons_own(tmp_path, watch):
    expected = None
    for (tried, name), other in zip(CODE.items(), [*list(CODE.values())[1:], "factor"], strict=True):
        model = proto(*MODELS["layers"])
        renamed(model, "x", name)
        renamed(model, "factor", other)
        onnx.save(model, tmp_path / "net.onnx")
        read = graphkit.load(tmp_path / "net.onnx")
        statements(to_source(to_program(read), "net").text)
        with ConvertedSession(read, "eval") as session:
            (result,) = session.forward({name: np.ones((1, 4, 8, 8), np.float32)}).values()
        expected = result if expected is None else expected
        np.testing.assert_array_equal(result, expected, err_msg=tried)
    assert not watch.seen


def renamed(message: Any, old: str, new: str) -> None:
    """Call one thing otherwise in all of a message."""
    for field, value in message.ListFields():
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            for inner in [value] if isinstance(value, Message) else value:
                renamed(inner, old, new)
        elif field.type == FieldDescriptor.TYPE_STRING and value == old:
            setattr(message, field.name, new)
        elif field.type == FieldDescriptor.TYPE_STRING and not isinstance(value, str):
            value[:] = [new if text == old else text for text in value]


@attack("A whole conversion of a file that is called like code, run afterwards", "a folder that computes, and no more")
@pytest.mark.parametrize("tried", ["call", "docstring", "bidi", "separators", "last backslash", "coding"])
def test_a_file_called_like_code(tried, tmp_path, watch, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = proto(*MODELS["layers"])
    planted(model, CODE[tried])
    path = tmp_path / f"{CODE[tried].replace('/', '_')[:100]}.onnx"
    onnx.save(model, path)
    graphkit.convert(path, "torch", tmp_path / "net")
    text = (tmp_path / "net" / "model.py").read_text(encoding="utf-8")
    assert {char for char in text if not char.isprintable()} == {"\n"}
    tree = parsed(text, MODEL)
    assert [type(node).__name__ for node in tree.body] == ["Expr", "Import", "ImportFrom", "ImportFrom", "ClassDef"]
    module = read_folder(tmp_path / "net").module
    assert module(torch.ones(1, 4, 8, 8)).shape == (1, 4, 8, 8)
    assert not watch.seen
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([path.name, "net"])


@attack("MXNet symbols whose names and attributes are code", "the source says the same as ever, or they are refused")
def test_names_of_symbols(tmp_path, watch):
    def written(end):
        def variable(name):
            return {"op": "null", "name": f"{name}{end}", "attrs": {f"__lr_mult__{end}": end}, "inputs": []}

        nodes = [variable(name) for name in ("data", "w", "b")]
        nodes.append(
            {
                "op": "FullyConnected",
                "name": f"fc{end}",
                "attrs": {"num_hidden": "4"},
                "inputs": [[n, 0, 0] for n in range(3)],
            }
        )
        nodes.append({"op": "Activation", "name": f"act{end}", "attrs": {"act_type": "relu"}, "inputs": [[3, 0, 0]]})
        symbol = {
            "nodes": nodes,
            "arg_nodes": [0, 1, 2],
            "heads": [[4, 0, 0]],
            "attrs": {"mxnet_version": ["int", 10901]},
        }
        (tmp_path / "net-symbol.json").write_text(json.dumps(symbol))
        held = {f"arg:w{end}": np.ones((4, 3), np.float32), f"arg:b{end}": np.ones(4, np.float32)}
        try:
            params.write(tmp_path / "net-0000.params", held)
            model = graphkit.load(tmp_path / "net-symbol.json", inputs=[(2, 3)])
        except GraphkitError as error:
            return str(error)
        return statements(to_source(to_program(model), "net").text)

    expected = written("_plain")
    assert isinstance(expected, Counter)
    found = {tried: written(end) for tried, end in CODE.items()} | {"surrogate": written("\ud800")}
    assert {tried: told for tried, told in found.items() if isinstance(told, Counter) and told != expected} == {}
    assert sum(isinstance(told, Counter) for told in found.values()) > len(found) // 2
    assert not watch.seen


@attack("Modules of a program whose names are code, which torch exports", "the source says the same as ever")
def test_names_of_modules(watch):
    def written(end):
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.parts = nn.ModuleDict({f"q{end}": nn.Linear(3, 3)})
                self.register_parameter(f"p{end}", nn.Parameter(torch.ones(3)))

            def forward(self, x):
                return torch.relu(self.parts[f"q{end}"](x)) * getattr(self, f"p{end}")

        try:
            model = graphkit.load(Net(), inputs=[(2, 3)])
        except GraphkitError as error:
            return str(error)
        return statements(to_source(to_program(model), "net").text)

    expected = written("_plain")
    assert isinstance(expected, Counter)
    assert written(CODE["call"].replace(".", "_")) == expected
    assert not watch.seen


@attack("Names that are the same identifier to Python: full-width, ligatures, long s, capitals", "each gets its own")
def test_names_that_normalize_to_others():
    wanted = [
        "self",
        "ｓｅｌｆ",
        "weight",
        "ｗｅｉｇｈｔ",
        "ﬁle",
        "file",
        "ſelf",
        "İ",
        "i̇",
        "K",
        "k",
        "__ｉｍｐｏｒｔ__",
        "_",
        "",
        "²",
    ]
    names = Names()
    made = [names.new(name) for name in wanted]
    read = [node.id for node in ast.walk(ast.parse("\n".join(made))) if isinstance(node, ast.Name)]
    assert read == made
    assert len({*read}) == len(made)
    assert not {"self", "__import__"} & {*read}
    for name in [*wanted, *CODE.values(), "ŉ", "ΐ", "ß", "class", "None"]:
        assert ast.parse(f"class {camel(name)}: pass").body[0].name == camel(name)


@attack("Numbers that Python does not spell: nan, infinities, minus zero", "torch spells them")
def test_numbers():
    for number in (float("nan"), float("inf"), -float("inf"), -0.0, np.float32("nan"), 2**63, 5e-324, True):
        (expression,) = ast.parse(literal(number).text).body
        vet(parsed(f"import torch\nx = {literal(number).text}", MODEL), MODEL)
        value = eval(compile(ast.Expression(expression.value), "x", "eval"), {"torch": torch})
        np.testing.assert_array_equal(value, number)
        assert np.signbit(value) == np.signbit(number) or np.isnan(number)
