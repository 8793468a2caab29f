"""Every operator that graphkit knows can be written as torch source."""

from __future__ import annotations

from graphkit.ops.index import index

ELSEWHERE = {
    "BitCast",
    "ConcatFromSequence",
    "Eig",
    "If",
    "Loop",
    "Optional",
    "OptionalGetElement",
    "OptionalHasElement",
    "Scan",
    "SequenceAt",
    "SequenceConstruct",
    "SequenceEmpty",
    "SequenceErase",
    "SequenceInsert",
    "SequenceLength",
    "SplitToSequence",
    "TensorScatter",
    "TfIdfVectorizer",
}
"""What is no node of arrays at the canonical opset, or what ONNX cannot compute: tests of sequences, of control flow
and of eigenvectors try it, and ONNX's own suite does."""


def test_every_onnx_operator_has_a_torch_side() -> None:
    assert [op.onnx for _, op in index().ops if op.onnx and op.torch is None] == []


def test_every_onnx_operator_has_cases_that_its_torch_side_is_tried_with() -> None:
    apart = {op.onnx for path, op in index().ops if op.onnx and not op.cases} - ELSEWHERE
    assert apart == set()
