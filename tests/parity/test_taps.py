"""Values between nodes, compared in the pass that gives the outputs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
import pytest
from fakes import Fake, model

from graphkit.errors import ExecutionError
from graphkit.ir.shapes import infer_shapes
from graphkit.parity.verify import verify

RIGHT = Fake("right")
INNER = {"product", "sum"}


def spoilt(**by):
    def spoil(found):
        return {name: array * array.dtype.type(by.get(name, 1)) for name, array in found.items()}

    return spoil


def failed(report):
    return {(check.kind, check.name) for check in report.checks if check.verdict == "fail"}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_value_is_compared_and_with_gradients_the_gradient_in_it(dtype):
    report = verify(model(), on=[RIGHT, Fake("other")], taps=True, backward=True, dtype=dtype)
    assert report.passed
    assert {check.name for check in report.checks if check.kind == "value"} == INNER
    assert {check.name for check in report.checks if check.kind == "value gradient"} == INNER
    assert {check.name for check in report.checks if check.kind.endswith("t gradient")} == {"x"}


def test_values_are_not_compared_without_taps():
    report = verify(model(), on=[RIGHT, Fake("other")], backward=True)
    assert not {check.kind for check in report.checks} & {"value", "value gradient"}


@pytest.mark.parametrize("name", sorted(INNER))
def test_one_value_that_is_wrong_is_named(name):
    wrong = Fake("wrong", outputs=spoilt(**{name: 1.001}))
    assert failed(verify(model(), on=[RIGHT, wrong], taps=True)) == {("value", name)}


def test_one_gradient_that_is_wrong_is_named():
    wrong = Fake("wrong", gradients=spoilt(product=1.01))
    assert failed(verify(model(), on=[RIGHT, wrong], taps=True, backward=True)) == {("value gradient", "product")}


def test_each_runtime_makes_one_pass(monkeypatch):
    from fakes import FakeSession

    passes = []
    for what in ("forward", "backward"):
        right = getattr(FakeSession, what)

        def counted(self, *arguments, what=what, right=right):
            passes.append((self.runtime.name, what, tuple(arguments[-1])))
            return right(self, *arguments)

        monkeypatch.setattr(FakeSession, what, counted)
    verify(model(), on=[RIGHT, Fake("other")], taps=True, backward=True, dtype="float64")
    assert passes == [
        (name, what, ("product", "sum")) for what in ("forward", "backward") for name in ("right", "other")
    ]


def test_values_that_a_runtime_does_not_give_are_left_out_of_its_comparison(monkeypatch):
    from fakes import FakeSession

    monkeypatch.setattr(
        FakeSession,
        "tappable",
        property(lambda self: frozenset({"sum"} if self.runtime.name == "half" else INNER)),
    )
    report = verify(model(), on=[RIGHT, Fake("half"), Fake("whole")], taps=True)
    compared = {(check.right, check.name) for check in report.checks if check.kind == "value"}
    assert compared == {("half", "sum"), ("whole", "sum"), ("whole", "product")}


def test_a_runtime_that_crashes_while_it_is_asked_for_its_values_is_an_error():
    with pytest.raises(ExecutionError):
        verify(model(), on=[RIGHT, Fake("crash", fails=ExecutionError("it crashed"))], taps=True)


def chain() -> ir.Model:
    found = ir.from_onnx_text("""
        <ir_version: 10, opset_import: ["": 23]>
        chain (float[batch, 3] x) => (float[batch, 3] y) { e = Exp(x)  t = Tanh(e)  s = Sin(t)  y = Neg(s) }
    """)
    infer_shapes(found)
    return found


REAL = [["torch", "ort"], ["torch", "reference"], pytest.param(["torch", "mxnet"], marks=pytest.mark.mxnet)]


@pytest.mark.parametrize("on", REAL)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_runtimes_give_their_values(on, dtype):
    report = verify(chain(), on=on, taps=True, dtype=dtype)
    assert report.passed
    assert {check.name for check in report.checks if check.kind == "value"} == {"e", "t", "s"}


@pytest.mark.mxnet
def test_the_runtimes_give_gradients_in_their_values():
    report = verify(chain(), on=["torch", "mxnet"], taps=True, backward=True)
    assert report.passed
    assert {check.name for check in report.checks if check.kind == "value gradient"} == {"e", "t", "s"}
    assert all(check.peak > 0 for check in report.checks)


def test_of_several_samples_the_worst_of_each_value_is_told():
    @dataclass
    class Seen:
        calls: int = 0

    seen = Seen()

    def second(found):
        seen.calls += 1
        return spoilt(product=1.5)(found) if seen.calls == 2 else found

    report = verify(
        model(), on=[RIGHT, Fake("wrong", outputs=second)], taps=True, dtype="float64", seeds=[0, 1, 2], batches=[4]
    )
    (wrong,) = [check for check in report.checks if check.verdict == "fail"]
    assert (wrong.name, wrong.sample, wrong.failures, wrong.samples) == ("product", "seed 1", 1, 3)
    assert np.isclose(wrong.error, 0.5)
