"""What goes by way of a sequence is said without one, where its members are known."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from opsetcases import feeds_of, run_original, text_of

from graphkit.frameworks.onnx import FRAMEWORK
from graphkit.ir.canonical import canonical

ORT = FRAMEWORK.runtimes[0]
X = 'float["n",6] x'


@pytest.mark.parametrize(
    ("body", "ops"),
    [
        (
            (
                "s = SplitToSequence<axis=1>(x, @int64{2}) a = SequenceAt(s, @int64{0}) b = SequenceAt(s, @int64{-1}) "
                "y = Sub(a, b)"
            ),
            ["Split", "Sub"],
        ),
        (
            (
                "s = SplitToSequence<axis=-1>(x, @int64[3]{1,4,1}) a = SequenceAt(s, @int64{0}) "
                "b = SequenceAt(s, @int64{1}) y = Mul(a, b)"
            ),
            ["Split", "Mul"],
        ),
        ("s = SplitToSequence<axis=1>(x, @int64{4}) y = SequenceAt(s, @int64{1})", ["Split"]),
        (
            "s = SplitToSequence<axis=1, keepdims=0>(x) y = ConcatFromSequence<axis=0, new_axis=1>(s)",
            ["Split", *["Squeeze"] * 6, *["Unsqueeze"] * 6, "Concat"],
        ),
        (
            (
                "a = Neg(x) s = SequenceConstruct(x, a) t = SequenceInsert(s, x, @int64{0}) "
                "u = SequenceErase(t, @int64{-2}) y = ConcatFromSequence<axis=1>(u)"
            ),
            ["Neg", "Concat"],
        ),
        (
            "a = Neg(x) s = SequenceConstruct(x, a, x) l = SequenceLength(s) f = Cast<to=1>(l) y = Mul(x, f)",
            ["Mul"],
        ),
    ],
)
def test_known_members_need_no_sequence(body, ops):
    text = text_of(body, X, "float y", 23)
    model = canonical(ir.from_onnx_text(text))
    assert [node.op_type for node in model.graph] == ops
    proto = ir.to_proto(ir.from_onnx_text(text))
    feeds = feeds_of(proto)
    with ORT.open(model) as session:
        np.testing.assert_array_equal(session.forward(feeds)["y"], run_original(proto, feeds)["y"])


def test_a_computed_position_keeps_the_sequence():
    text = text_of("s = SplitToSequence<axis=1>(x, @int64{2}) y = SequenceAt(s, i)", f"{X}, int64 i", "float y", 23)
    model = canonical(ir.from_onnx_text(text))
    assert "SequenceAt" in [node.op_type for node in model.graph]
    with ORT.open(model) as session:
        found = session.forward({"x": np.arange(6, dtype=np.float32).reshape(1, 6), "i": np.array(1)})
    np.testing.assert_array_equal(found["y"], [[2, 3]])
