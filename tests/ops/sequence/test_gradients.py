"""Gradient graphs of sequences of tensors whose lengths only running tells, against torch's of lists."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from torchgradients import assert_torch_gradients

from graphkit.ir.canonical import canonical

RNG = np.random.default_rng(3)


def floats(*shape: int) -> np.ndarray:
    """Random numbers that float32 holds, too."""
    return RNG.standard_normal(shape).astype(np.float32).astype(np.float64)


def model(inputs: str, body: str, output: str) -> ir.Model:
    text = f'<ir_version: 10, opset_import: ["": 23]> g ({inputs}) => ({output} y) {{ {body} }}'
    return canonical(ir.serde.deserialize_model(onnx.parser.parse_model(text)))


PARTS = {
    "rows": ("s = SplitToSequence<axis=0, keepdims=0>(x)", "", "float[3]"),
    "pieces of one": ("s = SplitToSequence<axis=0>(x)", "", "float[A,3]"),
    "pieces of two": ("s = SplitToSequence<axis=0>(x, k)", ", int64 k", "float[A,3]"),
    "given pieces": ("s = SplitToSequence<axis=0>(x, k)", ", int64[K] k", "float[A,3]"),
}


@pytest.mark.parametrize("place", [1, -1])
@pytest.mark.parametrize("name", PARTS)
def test_a_part_of_a_tensor_is_looked_up(name: str, place: int) -> None:
    split, more, output = PARTS[name]
    feeds = {"x": floats(5, 3), "i": np.array(place), "k": np.array([2, 3] if "[K]" in more else 2)}
    made = model(f"float[N,3] x, int64 i{more}", f"{split} e = SequenceAt(s, i) y = Mul(e, e)", output)
    assert_torch_gradients(made, {name: feeds[name] for name in (value.name for value in made.graph.inputs)})


def test_parts_of_unequal_sizes_are_joined() -> None:
    body = "s = SplitToSequence<axis=0>(x, k) y = ConcatFromSequence<axis=0>(s)"
    assert_torch_gradients(model("float[N,3] x, int64 k", body, "float[N,3]"), {"x": floats(5, 3), "k": np.array(2)})


def test_parts_are_stacked() -> None:
    body = "s = SplitToSequence<axis=0, keepdims=0>(x) y = ConcatFromSequence<axis=1, new_axis=1>(s)"
    assert_torch_gradients(model("float[N,3] x", body, "float[3,N]"), {"x": floats(5, 3)})


@pytest.mark.parametrize("place", [1, -2])
def test_members_are_erased_and_inserted(place: int) -> None:
    body = (
        "s = SplitToSequence<axis=0>(x) t = SequenceErase(s, i) u = SequenceInsert(t, z, i) v = SequenceErase(u) "
        "w = SequenceInsert(v, z) y = ConcatFromSequence<axis=0>(w)"
    )
    made = model("float[N,3] x, float[2,3] z, int64 i", body, "float[A,3]")
    assert_torch_gradients(made, {"x": floats(5, 3), "z": floats(2, 3), "i": np.array(place)})


def test_a_sequence_that_is_read_twice_gets_the_sums() -> None:
    body = (
        "s = SplitToSequence<axis=0>(x) t = SequenceInsert(s, z, i) a = ConcatFromSequence<axis=0>(t) "
        "b = SequenceAt(t, i) y = Concat<axis=0>(a, b)"
    )
    made = model("float[N,3] x, float[2,3] z, int64 i", body, "float[A,3]")
    assert_torch_gradients(made, {"x": floats(5, 3), "z": floats(2, 3), "i": np.array(1)})


@pytest.mark.parametrize("chosen", [True, False])
def test_a_branch_gives_a_sequence(chosen: bool) -> None:  # it is a parameter of the test
    body = (
        "s = If(c) <then_branch = a () => (seq(float[]) p) { p = SequenceConstruct(x, z, x) }, "
        "else_branch = b () => (seq(float[]) q) { q = SequenceConstruct(z, x) }> y = ConcatFromSequence<axis=0>(s)"
    )
    made = model("float[N,3] x, float[M,3] z, bool c", body, "float[A,3]")
    assert_torch_gradients(made, {"x": floats(5, 3), "z": floats(2, 3), "c": np.array(chosen)})
