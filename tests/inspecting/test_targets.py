"""Whether targets take models: the same as converting says, without writing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir
import pytest

import graphkit
from graphkit.errors import MissingError, ParameterError, UnsupportedError, UnsupportedNode
from graphkit.inspecting.targets import judged, verdicts
from graphkit.ir.params import set_kind
from graphkit.ir.shapes import infer_shapes
from graphkit.ir.untranslated import set_untranslated

if TYPE_CHECKING:
    from pathlib import Path

HEAD = '<ir_version: 10, opset_import: ["": 23, "my.ops": 1]>'
ODD = f"{HEAD} net (float[6] x) => (bool y) {{ [odd] y = OptionalHasElement(x) }}"
LOOP = f"""{HEAD} net (float[2] x, int64 n) => (float[2] y) <bool go = {{1}}>
{{
    [loop] y = Loop(n, go, x) <body = one (int64 i, bool c, float[2] s) => (bool d, float[2] t)
        {{ d = Identity(c) t = Relu(s) }}>
}}"""
TAKEN = f"{HEAD} net (float[N, 4] x) => (float[N, 4] y) {{ [relu] y = Relu(x) }}"


def _model(text: str) -> ir.Model:
    model = ir.from_onnx_text(text)
    infer_shapes(model)
    return model


def _kept(text: str) -> ir.Model:
    """A model whose node of another domain is marked as kept."""
    model = _model(text)
    for node in model.graph:
        if node.domain:
            set_untranslated(node, "nobody knows it")
    return model


@pytest.mark.parametrize("target", ["mxnet", "onnx", "torch"])
def test_a_target_takes_what_it_can_be_written_for(target: str, tmp_path: Path) -> None:
    model = _model(TAKEN)
    verdict = judged(model, target)
    assert (verdict.takes, verdict.refused, verdict.problem) == (True, (), "")
    assert not list(tmp_path.iterdir())


def test_refusals_are_those_of_a_conversion(tmp_path: Path) -> None:
    model = _model(ODD)
    with pytest.raises(UnsupportedError) as raised:
        graphkit.save(model, tmp_path / "net", to="mxnet")
    verdict = judged(model, "mxnet")
    assert not verdict.takes
    assert [(node.op, node.name, node.reason) for node in verdict.refused] == [
        (node.op, node.name, node.reason) for node in raised.value.nodes
    ]


def test_inputs_that_would_help_as_constants_are_told() -> None:
    (node,) = judged(_model(LOOP), "mxnet").refused
    assert (node.name, node.fix) == ("loop", ("n",))


@pytest.mark.parametrize("target", ["mxnet", "onnx", "torch"])
def test_a_node_without_canonical_form_is_refused_with_its_own_reason(target: str) -> None:
    model = _kept(f"{HEAD} net (float[N, 4] x) => (float[N, 4] y) {{ [frob] h = my.ops.Frob(x) [end] y = Relu(h) }}")
    verdict = judged(model, target)
    assert not verdict.takes
    assert [(node.op, node.name, node.reason) for node in verdict.refused] == [
        ("my.ops:Frob", "frob", "nobody knows it")
    ]


def _made() -> ir.Model:
    """A model whose node of another domain is taken apart where the model is converted."""
    model = _model(f"{HEAD} net (float[N, 4] x) => (float[N, 4] y) {{ [frob] y = my.ops.Frob(x) }}")
    for node in model.graph:
        set_untranslated(node, "conversion makes it", "made")
    return model


def test_what_its_framework_takes_apart_is_not_known_without_that_framework() -> None:
    def load() -> ir.Model:
        raise MissingError("it is not installed")

    for found in (verdicts(_made(), ("mxnet", "onnx"), load), verdicts(_made(), ("mxnet", "onnx"))):
        mxnet, onnx = found
        assert not mxnet.takes
        assert [node.name for node in mxnet.unknown] == ["frob"]
        assert not mxnet.refused
        assert onnx.takes


def test_what_its_framework_takes_apart_is_settled_by_reading_the_source() -> None:
    assert [verdict.takes for verdict in verdicts(_made(), ("mxnet", "torch"), lambda: _model(TAKEN))] == [True, True]
    (verdict,) = verdicts(_made(), ("mxnet",), lambda: _model(ODD))
    assert [node.name for node in verdict.refused] == ["odd"]


def test_refusals_of_reading_are_refusals_of_every_target() -> None:
    def load() -> ir.Model:
        raise UnsupportedError("ONNX", [UnsupportedNode("aten.frob", "frob", "nobody knows it")])

    for verdict in verdicts(_made(), ("mxnet", "onnx"), load):
        assert not verdict.takes
        assert [(node.name, node.reason) for node in verdict.refused] == [("frob", "nobody knows it")]


def test_a_source_is_not_read_again_where_the_answer_is_known() -> None:
    def load() -> ir.Model:
        raise AssertionError

    frob = f"{HEAD} net (float[N, 4] x) => (float[N, 4] y) {{ [frob] y = my.ops.Frob(x) }}"
    assert verdicts(_model(TAKEN), ("mxnet",), load)[0].takes
    assert not verdicts(_kept(frob), ("mxnet",), load)[0].takes


def test_what_depends_on_such_a_node_is_not_known_to_be_refused() -> None:
    model = _kept(
        f"{HEAD} net (float[6] x) => (bool y, bool z) "
        "{ [frob] h = my.ops.Frob(x) [blind] y = OptionalHasElement(h) [seeing] z = OptionalHasElement(x) }"
    )
    verdict = judged(model, "mxnet")
    assert [node.name for node in verdict.unknown] == ["blind"]
    assert [node.name for node in verdict.refused] == ["frob", "seeing"]


def test_parameters_of_another_shape_are_a_problem(tmp_path: Path) -> None:
    text = f"{HEAD} net (float[N, 4] x) => (float[N, 3] y) <float[4, 3] w = {{0}}, float[2] b = {{0, 0}}> "
    model = ir.from_onnx_text(text + "{ [fc] y = Gemm(x, w, b) }")
    for name, shape in (("w", (4, 3)), ("b", (2,))):
        value = model.graph.initializers[name]
        value.const_value = ir.tensor(np.ones(shape, np.float32), name=name)
        set_kind(value, "parameter")
    assert "'b'" in judged(model, "torch").problem
    ir.save(model, tmp_path / "net.onnx")
    with pytest.raises(ParameterError):
        graphkit.load(tmp_path / "net.onnx")


def test_weights_without_values_do_not_hide_what_is_refused() -> None:
    model = ir.from_onnx_text(
        f"{HEAD} net (float[6, 4] x) => (bool y) <float[4, 1] w = {{0, 0, 0, 0}}> "
        "{ h = MatMul(x, w) [odd] y = OptionalHasElement(h) }"
    )
    weight = model.graph.initializers["w"]
    set_kind(weight, "parameter")
    infer_shapes(model)
    weight.const_value = None
    verdict = judged(model, "mxnet")
    assert [node.name for node in verdict.refused] == ["odd"]
    assert verdict.warnings
    assert weight.const_value is None
