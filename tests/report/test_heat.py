"""Reports laid over graphs."""

from __future__ import annotations

import onnx_ir as ir
from drawn import block

from graphkit.ir.view import nx_view
from graphkit.passes.gradient.model import gradient_model
from graphkit.render import picture
from graphkit.report.heat import checks_of_nodes, parity_overlay, strays
from graphkit.report.report import Check, Report


def check(kind, name, verdict="pass", error=0.0, tol=1e-5, **rest) -> Check:
    return Check(kind, name, "torch", "mxnet", verdict, error=error, tol=tol, dtype="float32", **rest)


REPORT = Report(
    "block",
    (
        check("output", "out", error=1e-6),
        check("value", "x1", error=2e-6),
        check("parameter gradient", "body.conv1.weight", "fail", error=5e-5),
        check("parameter gradient", "body.bn.weight", error=4e-6),
        check("input gradient", "image", "unavailable", note="no kernel"),
        check("parameter gradient", "tied", "fail", error=1.0),
        check("value", "elsewhere", error=1e-7),
        Check("backward", "", "torch", "ort", "unavailable", note="it has no gradients"),
    ),
)


def test_a_node_has_the_checks_on_what_it_computes_and_on_what_it_alone_reads():
    found = checks_of_nodes(REPORT, nx_view(block()))
    assert {key: numbers for key, numbers in found.items() if numbers} == {
        "input:image": [4],
        "op:conv1": [1, 2],
        "op:bn": [3],
        "op:last": [0],
        "output:out": [0],
    }


def test_a_parameter_of_several_nodes_is_of_none():
    model = ir.from_onnx_text("""<ir_version: 10, opset_import: ["": 23]>
        g (float[4] x) => (float[4] y) <float[4] two = {2, 2, 2, 2}> { a = Mul (x, two) y = Add (a, two) }""")
    report = Report("tied", (check("parameter gradient", "two"),))
    view = nx_view(model)
    assert not any(checks_of_nodes(report, view).values())
    assert strays(report, checks_of_nodes(report, view)) == list(report.checks)


def test_the_overlay_has_the_worst_share_of_each_node_and_tells_all():
    overlay = parity_overlay(REPORT, nx_view(block()))
    assert overlay.scale == "bound"
    assert {key: (mark.value, mark.verdict) for key, mark in overlay.marks.items()} == {
        "input:image": (None, "unknown"),
        "op:conv1": (5.0, "fail"),
        "op:bn": (0.39999999999999997, "pass"),
        "op:last": (0.09999999999999999, "pass"),
        "output:out": (0.09999999999999999, "pass"),
    }
    assert overlay.marks["op:conv1"].told == (
        "parameter gradient body.conv1.weight, torch | mxnet: FAIL, 5.0e-05 of 1.0e-05 allowed",
        "value x1, torch | mxnet: 2.0e-06 of 1.0e-05 allowed",
    )
    assert overlay.marks["input:image"].told == ("input gradient image, torch | mxnet: not compared; no kernel",)


def test_checks_of_no_node_are_counted_and_named():
    assert parity_overlay(REPORT, nx_view(block())).note == (
        "2 checks (1 failed) belong to no node that is drawn: parameter gradient tied, value elsewhere."
    )
    assert not parity_overlay(Report("x", (check("output", "out"),)), nx_view(block())).note


def test_a_picture_of_it():
    view = nx_view(block())
    for form in ("dot", "mmd"):
        text = picture(view, form, overlays=[parity_overlay(REPORT, view)]).decode()
        assert "fails: 5 × its bound" in text
        assert "2 checks" in text


def test_gradients_are_on_what_computes_them():
    model = gradient_model(block())
    overlay = parity_overlay(REPORT, nx_view(model))
    assert overlay.marks["output:body.conv1.weight.grad"].verdict == "fail"
    (key,) = [key for key in overlay.marks if key.startswith("op:conv1.grad") and overlay.marks[key].verdict == "fail"]
    assert nx_view(model).nodes[key]["outputs"][0].name == "body.conv1.weight.grad"
    assert strays(REPORT, checks_of_nodes(REPORT, nx_view(model)))[0].name == "tied"
