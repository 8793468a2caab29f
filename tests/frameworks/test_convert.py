"""Reading and writing models of any framework."""

from __future__ import annotations

import json

import numpy as np
import onnx_ir as ir
import pytest
from fakes import model

import graphkit
from graphkit.errors import InputError
from graphkit.frameworks.base import InputSpec
from graphkit.frameworks.convert import default_output
from graphkit.frameworks.given import input_spec, parse_input


@pytest.fixture
def source(tmp_path):
    ir.save(model(), tmp_path / "net.onnx")
    return tmp_path / "net.onnx"


def test_a_model_is_read_written_and_read_again(source, tmp_path):
    read = graphkit.load(source)
    files = graphkit.save(read, tmp_path / "again", to="mxnet")
    assert sorted(path.name for path in files) == ["again-0000.params", "again-symbol.json"]
    again = graphkit.load(tmp_path / "again-symbol.json", inputs=[(2, 5)])
    assert set(again.graph.initializers) == set(read.graph.initializers)


def test_convert_does_both_and_names_the_result_after_its_source(source, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert {path.name for path in graphkit.convert(source, "mxnet")} == {"net-symbol.json", "net-0000.params"}


def test_deviations_are_python_warnings_unless_somebody_hears_them(monkeypatch, source):
    from graphkit.frameworks import convert

    def deviating(_source, options):
        options.warn("it deviates")
        return model()

    framework = convert.frameworks()["onnx"]
    monkeypatch.setattr(convert, "framework_of", lambda _source: _replaced(framework, deviating))
    with pytest.warns(UserWarning, match="it deviates"):
        graphkit.load(source)
    heard = []
    graphkit.load(source, warn=heard.append)
    assert heard == ["it deviates"]


def _replaced(framework, read):
    from dataclasses import replace

    return replace(framework, read=read)


def test_an_object_of_no_framework_is_refused_by_its_type():
    with pytest.raises(InputError, match="a dict is not anything that graphkit reads"):
        graphkit.load({})


def test_an_object_has_no_name_to_write_to():
    with pytest.raises(InputError, match="say where the result goes"):
        default_output(object(), "mxnet")


@pytest.mark.parametrize("given", [(2, None, 3), [2, None, 3], "2x?x3", InputSpec("", (2, None, 3))])
def test_an_input_may_be_given_as_a_shape_a_text_or_a_specification(given):
    assert input_spec(given) == InputSpec("", (2, None, 3))


def test_a_shape_of_anything_but_sizes_is_refused():
    with pytest.raises(InputError, match="no shape"):
        input_spec((2, "three"))


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("image:2x3x224x224", InputSpec("image", (2, 3, 224, 224))),
        ("2x3", InputSpec("", (2, 3))),
        ("ids:1x16:int64", InputSpec("ids", (1, 16), "int64")),
        ("x:?x3", InputSpec("x", (None, 3))),
        ("7", InputSpec("", (7,))),
        ("x:scalar:float64", InputSpec("x", (), "float64")),
        ("scope/x:0:2x3", InputSpec("scope/x:0", (2, 3))),
    ],
)
def test_inputs_are_parsed(text, spec):
    assert parse_input(text) == spec


@pytest.mark.parametrize(
    ("source", "to", "out"),
    [
        ("models/net.pt2", "mxnet", "net"),
        ("net.v2.onnx", "mxnet", "net.v2"),
        ("net-symbol.json", "onnx", "net.onnx"),
        ("models/net-symbol.json", "mxnet", "net"),
        ("package.module:build", "mxnet", "build"),
        ("package.module:Nets.build", "onnx", "build.onnx"),
    ],
)
def test_a_result_is_named_after_its_source(source, to, out, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert str(default_output(source, to)) == out


@pytest.mark.parametrize("raw", [False, True])
def test_an_input_that_is_fixed_is_none_of_what_is_looked_at(raw, tmp_path):
    torch = pytest.importorskip("torch")
    program = torch.export.export(added(torch), (torch.zeros(2, 3), torch.zeros(3)))
    torch.export.save(program, tmp_path / "net.pt2")
    symbol = {
        "nodes": [
            {"op": "null", "name": "x", "inputs": []},
            {"op": "null", "name": "y", "inputs": []},
            {"op": "broadcast_add", "name": "sum", "inputs": [[0, 0, 0], [1, 0, 0]]},
        ],
        "arg_nodes": [0, 1],
        "heads": [[2, 0, 0]],
    }
    (tmp_path / "net-symbol.json").write_text(json.dumps(symbol), encoding="utf-8")
    for name in ("net.pt2", "net-symbol.json"):
        found = graphkit.look(
            tmp_path / name, inputs=["x:2x3", "y:3"], fixed={"y": np.ones(3, np.float32)}, raw=raw, warn=print
        )
        assert [value.name for value in found.graph.inputs] == ["x"]


def added(torch):  # makes a module, whose base must be imported first
    class Module(torch.nn.Module):
        def forward(self, x, y):
            return x + y

    return Module()
