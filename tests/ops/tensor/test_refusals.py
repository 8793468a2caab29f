"""What of the tensor operators MXNet cannot express is refused, with the reason and a remedy."""

from __future__ import annotations

import onnx_ir as ir
import pytest

from graphkit.errors import UnsupportedError
from graphkit.frameworks.mxnet.write import to_symbol
from graphkit.ir.canonical import canonical


@pytest.mark.parametrize(
    ("signature", "result", "body", "held", "why"),
    [
        ("float[4] x, int64[2] s", "float[a, b] y", "y = Reshape (x, s)", "", "its shape is computed"),
        ("float[4] x, int64[2] p", "float[a] y", "y = Pad (x, p)", "", "pads are computed"),
        ("float[4] x", "float[a] y", 'y = Pad <mode = "reflect"> (x, p)', "int64[2] p = {4, 0}", "more than there is"),
        ("float[4] x, float v", "float[a] y", "y = Pad (x, p, v)", "int64[2] p = {1, 0}", "value it pads with"),
        ("float[4] x, int64[1] s", "float[a] y", "y = Slice (x, s, e)", "int64[1] e = {4}", "bounds are computed"),
        ("float[4] x", "float[0] y", "y = Slice (x, s, e)", "int64[1] s = {2}, int64[1] e = {2}", "without elements"),
        (
            "float[N, 3] x, int64[1, 2] i, float[1] u",
            "float[N, 3] y",
            "y = ScatterND (x, i, u)",
            "",
            "needs a fixed shape",
        ),
        ("int64[3] i, float[2] v", "float[3, 4] y", "y = OneHot (i, d, v)", "int64 d = {4}", "values are computed"),
    ],
)
def test_refusals_say_why(signature: str, result: str, body: str, held: str, why: str) -> None:
    stored = f"<{held}>" if held else ""
    text = f'<ir_version: 10, opset_import: ["": 23]> g ({signature}) => ({result}) {stored} {{ {body} }}'
    with pytest.raises(UnsupportedError, match=why):
        to_symbol(canonical(ir.from_onnx_text(text)))


def test_unstable_ties_are_told() -> None:
    text = (
        '<ir_version: 10, opset_import: ["": 23]> g (float[50] x) => (float[3] v, int64[3] i) <int64[1] k = {3}> '
        "{ v, i = TopK (x, k) }"
    )
    warnings: list[str] = []
    to_symbol(canonical(ir.from_onnx_text(text)), warnings.append)
    assert "equal" in warnings[0]
