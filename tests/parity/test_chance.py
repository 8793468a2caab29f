"""What depends on random numbers is told apart from what can be compared."""

from __future__ import annotations

import onnx_ir as ir

from graphkit.ir.canonical import canonical
from graphkit.ir.chance import random_values
from graphkit.parity.verify import verify


def model_of(body: str, outputs: str, inputs: str = "float[2, 3] x") -> ir.Model:
    text = f'<ir_version: 11, opset_import: ["": 23, "graphkit": 1]> m ({inputs}) => ({outputs}) {{ {body} }}'
    return canonical(ir.from_onnx_text(text))


def test_values_name_the_node_that_draws() -> None:
    branches = "then_branch = a () => (float[2, 3] p) { [inner] p = RandomNormalLike(x) }"
    branches += ", else_branch = b () => (float[2, 3] q) { q = Identity(x) }"
    body = f"[noise] n = RandomUniformLike(x) y = Add(x, n) z = Exp(x) [choice] w = If <{branches}> (c) v = Abs(w)"
    found = random_values(model_of(body, "float[2, 3] y, float[2, 3] z, float[2, 3] v", "float[2, 3] x, bool c"))
    assert found == {"n": "noise", "y": "noise", "w": "inner", "v": "inner"}


def test_operators_of_graphkits_own_draw_too() -> None:
    model = model_of("[draw] g = graphkit.RandomGamma(x) y = Log(g)", "float[2, 3] y")
    assert random_values(model) == {"g": "draw", "y": "draw"}


def test_random_outputs_are_not_compared_and_the_others_are() -> None:
    model = model_of("[noise] n = RandomNormalLike(x) y = Add(x, n) z = Exp(x)", "float[2, 3] y, float[2, 3] z")
    report = verify(model, on=["torch", "ort"])
    verdicts = {check.name: (check.verdict, check.note) for check in report.checks}
    assert verdicts["z"] == ("pass", "")
    assert verdicts["y"][0] == "unavailable"
    assert "random numbers" in verdicts["y"][1]
    assert "'noise'" in verdicts["y"][1]
    assert report.passed
