"""Verification of one model against another."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from fakes import Fake, model

import graphkit
from graphkit.errors import InputError, MissingError
from graphkit.frameworks.base import runtimes
from graphkit.ir.origin import Source, set_source
from graphkit.parity.verify import verify


def renamed(prefix: str = "other_") -> ir.Model:
    """The same model with other names of its input and output."""
    found = model()
    for value in (*found.graph.inputs, *found.graph.outputs):
        value.name = prefix + value.name
    return found


def labelled(found: ir.Model, label: str) -> ir.Model:
    set_source(found, Source("onnx", label, None))
    return found


@pytest.mark.parametrize(
    "other",
    [
        '<ir_version: 10, opset_import: ["": 23]> g (float[n, 5] x, float z) => (float[n, 3] y) { y = Add(x, z) }',
        '<ir_version: 10, opset_import: ["": 23]> g (float[n] x) => (float[n, 3] y) { y = Neg(x) }',
        '<ir_version: 10, opset_import: ["": 23]> g (float[n, 5] x) => (int64[n, 3] y) { y = Neg(x) }',
    ],
)
def test_models_of_other_inputs_or_outputs_cannot_be_compared(other):
    with pytest.raises(InputError, match="cannot be compared"):
        verify(model(), ir.from_onnx_text(other), on=["reference"])


def test_the_same_model_under_other_names_is_in_parity():
    report = verify(labelled(model(), "a.onnx"), labelled(renamed(), "b.onnx"), on=["reference"])
    assert report.passed
    assert [(check.what, check.left, check.right) for check in report.checks] == [
        ("output y", "ort", "b.onnx on reference")
    ]
    assert report.title.startswith("a.onnx and b.onnx in float32")


def test_sizes_that_only_the_other_model_fixes_are_drawn_so():
    free = ir.from_onnx_text(
        '<ir_version: 10, opset_import: ["": 23]> g (float[n, t] x) => (float[n, t] y) { y = Neg(x) }'
    )
    fixed = ir.from_onnx_text(
        '<ir_version: 10, opset_import: ["": 23]> g (float[n, 7] data) => (float[n, 7] y) { y = Neg(data) }'
    )
    report = verify(labelled(free, "a.onnx"), labelled(fixed, "b.onnx"), on=["reference"])
    assert report.passed
    assert "x 2×7" in report.title
    with pytest.raises(InputError, match="7"):
        verify(labelled(free, "a.onnx"), labelled(fixed, "b.onnx"), on=["reference"], inputs=["x:2x5"])


def test_another_model_fails():
    other = renamed()
    other.graph.initializers["b"].const_value = ir.tensor(np.zeros(3, np.float32), name="b")
    assert not verify(labelled(model(), "a.onnx"), labelled(other, "b.onnx"), on=["reference"]).passed


def test_gradients_are_compared_as_far_as_parameters_have_counterparts(monkeypatch):
    teacher, pupil = Fake("teacher"), Fake("pupil")
    monkeypatch.setattr("graphkit.parity.lineup._home", lambda *_of: [teacher])
    other = model()
    bias = other.graph.initializers["b"]
    bias.const_value = ir.tensor(bias.const_value.numpy().reshape(1, 3), name="b")
    bias.shape = ir.Shape((1, 3))
    report = verify(model(), other, on=[pupil], backward=True)
    assert {check.name: check.verdict for check in report.checks} == {
        "y": "pass",
        "x": "pass",
        "w": "pass",
        "b": "unavailable",
    }


def test_files_are_read_by_what_compares_them_and_named_by_what_does_not(tmp_path):
    first, second = tmp_path / "a.onnx", tmp_path / "b.onnx"
    graphkit.save(model(), first, to="onnx")
    graphkit.save(renamed(), second, to="onnx")
    assert graphkit.verify(first, str(second), on=["reference"]).title.startswith("a.onnx and b.onnx in float32")
    assert graphkit.bisect(str(first), second, on=["reference"]).passed
    with pytest.raises(InputError, match=r"not of .*a\.onnx.*graphkit\.look"):
        graphkit.render(str(first), tmp_path / "a.svg")
    with pytest.raises(InputError, match=r"a model that load\(\) gave, not .*convert\(\)"):
        graphkit.save(str(first), tmp_path / "c.onnx", to="onnx")
    assert not (tmp_path / "c.onnx").exists()


@pytest.mark.parametrize(("first", "told"), [(True, "give the other model first"), (False, "run the other model")])
def test_what_else_to_do_is_told_where_a_models_own_framework_is_missing(monkeypatch, first, told):
    ours, theirs = labelled(model(), "a.onnx"), renamed()
    set_source(theirs, Source("mxnet", "net-symbol.json", None))
    home = runtimes()["mxnet"]
    monkeypatch.setattr(type(home), "missing", lambda _: "run: pip install it")
    with pytest.raises(MissingError, match=rf"run: pip install it; or .*{told}.*--on ort\.$"):
        verify(*(theirs, ours) if first else (ours, theirs))
    assert verify(ours, theirs, on=["ort"]).passed
