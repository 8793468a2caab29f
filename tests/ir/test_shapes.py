"""Inferred dtypes and shapes are what ONNX Runtime computes, at every size of the symbolic dimensions."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st
from opsetcases import CASES, run_original, text_of

from graphkit.errors import FormatError
from graphkit.ir.canonical.literals import lift_constants
from graphkit.ir.shape_rules import slice_length
from graphkit.ir.shapes import infer_node, infer_shapes
from graphkit.ir.symbols import broadcast, ceil_div, dim_of, equal, floor_div, quotient, size_of, sizes_of, tidy

N = sympy.Symbol("n", integer=True, positive=True)
IMAGE = 'float["n",3,"h","w"] x'
SYMBOLIC = {
    "depth-to-space": 'float["n",8,"h","w"] x',
    "expand": 'float["n",1,"w"] x',
    "group-norm": 'float["n",4,"h"] x',
    "squeeze-attribute": 'float["n",1,"h",1] x',
}
CURRENT = [case for case in CASES if 23 in case.opsets and case.inputs == "float[2,3,4,5] x"] + [
    case for case in CASES if case.name in SYMBOLIC and 23 in case.opsets
]
FIXED = {
    "average-pool-ceil": "whether its last window counts depends on the sizes",
    "constant-floats": "its constant fixes the last axis",
    "reshape": "its constant fixes the last axis",
    "split": "its constant fixes the last axis",
    "layer-norm": "its constant fixes the last axis",
    "resize-11-sizes": "its constant fixes all axes",
    "slice": "what is left of an axis depends on how its size compares with the bounds",
    "squeeze-all": "which axes go depends on the sizes",
    "topk": "the axis has to be as long as k",
}


def _evaluated(value: ir.Value, sizes: dict[str, int]) -> tuple[int | ir.SymbolicDim, ...]:
    assert value.shape is not None
    return tuple(value.shape.evaluate(sizes))


@pytest.mark.parametrize("case", [case for case in CURRENT if case.name not in FIXED], ids=lambda case: case.name)
def test_symbolic_shapes_hold_at_every_size(case):
    inputs = SYMBOLIC.get(case.name, IMAGE)
    text = text_of(case.body, inputs, case.outputs, 23)
    model = ir.from_onnx_text(text)
    lift_constants(model)
    infer_shapes(model)
    assert all(isinstance(dim, int) or "_d" not in str(dim) for value in model.graph.outputs for dim in value.shape)
    for sizes in ({"n": 2, "h": 4, "w": 5}, {"n": 1, "h": 9, "w": 6}, {"n": 3, "h": 8, "w": 7}):
        proto = ir.to_proto(ir.from_onnx_text(text))
        shape = _evaluated(model.graph.inputs[0], sizes)
        found = run_original(proto, {"x": np.random.default_rng(0).normal(size=shape).astype(np.float32)})
        for value in model.graph.outputs:
            assert _evaluated(value, sizes) == found[value.name].shape
            assert value.dtype.numpy() == found[value.name].dtype


def test_shape_arithmetic_gives_symbolic_sizes():
    model = ir.from_onnx_text(
        text_of(
            "s = Shape(x) n = Gather<axis=0>(s, @int64{0}) n1 = Unsqueeze(n, @int64[1]{0}) "
            "hw = Slice(s, @int64[1]{2}, @int64[1]{4}, @int64[1]{0}) d = Mul(hw, @int64{2}) "
            "t = Concat<axis=0>(n1, @int64[1]{3}, d) y = Resize(x, , , t) "
            "f = Cast<to=1>(hw) g = Mul(f, @float{0.5}) k = Floor(g) i = Cast<to=7>(k) m = ReduceProd(i) "
            "e = Equal(t, @int64[4]{-1,-1,-1,-1}) v = Where(e, s, t) "
            "z = Concat<axis=0>(n1, @int64[1]{-1}) r = Reshape(y, z)",
            IMAGE,
            "float y",
            23,
        )
    )
    lift_constants(model)
    infer_shapes(model)
    known = {value.name: value for node in model.graph for value in node.outputs}
    assert [str(size) for size in sizes_of(known["t"])] == ["n", "3", "2*h", "2*w"]
    assert [str(size) for size in sizes_of(known["v"])] == ["n", "3", "2*h", "2*w"]
    assert [str(size) for size in sizes_of(known["m"])] == ["floor(h/2)*floor(w/2)"]
    assert [str(dim) for dim in known["y"].shape] == ["n", "3", "2*h", "2*w"]
    assert [str(dim) for dim in known["r"].shape] == ["n", "12*h*w"]


def test_arithmetic_that_float32_rounds_is_not_followed():
    """0.1 × n is not a size: float32 gives another integer than the exact product for some n."""
    model = ir.from_onnx_text(
        text_of(
            "s = Shape(x) f = Cast<to=1>(s) g = Mul(f, @float{0.1}) y = Cast<to=7>(g)", 'float["n"] x', "int64 y", 23
        )
    )
    lift_constants(model)
    infer_shapes(model)
    assert sizes_of(model.graph.outputs[0]) is None


def test_unknown_dimensions_get_a_name_of_their_own():
    model = ir.from_onnx_text(text_of("i = NonZero(x) y = Transpose(i)", "float[?,3] x", "int64 y", 23))
    infer_shapes(model)
    assert [str(dim) for dim in model.graph.inputs[0].shape] == ["x_d0", "3"]
    assert [str(dim) for dim in model.graph.outputs[0].shape] == ["i_d1", "2"]


def test_a_single_node_is_inferred_with_its_constants():
    x = ir.val("x", ir.DataType.FLOAT, ["n", 4, 6])
    shape = ir.val("s", const_value=ir.tensor(np.array([0, 2, -1])))
    node = ir.node("Reshape", [x, shape])
    infer_node(node)
    assert node.outputs[0].dtype == ir.DataType.FLOAT
    assert [str(dim) for dim in node.outputs[0].shape] == ["n", "2", "12"]


def test_a_custom_operator_keeps_what_it_has():
    node = ir.node("Own", [ir.val("x", ir.DataType.FLOAT, [2])], domain="own.domain")
    node.outputs[0].shape = ir.Shape([7])
    infer_node(node)
    assert list(node.outputs[0].shape) == [7]


def test_inputs_that_contradict_the_operator_are_told_with_the_node():
    x, w = ir.val("x", ir.DataType.FLOAT, ["n", 3, 8, 8]), ir.val("w", ir.DataType.FLOAT, [4, 5])
    with pytest.raises(FormatError, match=r"Node 'c' \(MatMul\) does not fit its inputs: .*dimension"):
        infer_node(ir.node("MatMul", [x, w], name="c"))


def test_more_pieces_than_are_made_are_told():
    x = ir.val("x", ir.DataType.FLOAT, [4, 3])
    with pytest.raises(
        FormatError, match=r"Node 's' \(Split\) does not fit its inputs: num_outputs is 2, .* 3 outputs"
    ):
        infer_node(ir.node("Split", [x], {"num_outputs": 2}, num_outputs=3, name="s"))


def test_contradictions_that_onnxs_rules_let_pass_are_told():
    model = ir.from_onnx_text(
        """<ir_version: 10, opset_import: ["": 23]>
        g (float[3] h, float[4,3] x) => (float[3] f, float[4,3] s) {
          f, s = Scan <num_scan_inputs = 1, scan_input_axes = [0, 1], body = b (float[3] a, float[3] c)
            => (float[3] d, float[3] e) { d = Add(a, c) e = Neg(a) }> (h, x)
        }"""
    )
    with pytest.raises(FormatError, match=r"\(Scan\) does not fit its inputs: its attributes and the shapes"):
        infer_shapes(model)


def test_loops_keep_the_shapes_that_every_iteration_keeps():
    model = ir.from_onnx_text(
        """<ir_version: 10, opset_import: ["": 23]>
        g (float["n",3] x, int64 k, bool c) => (float a, float b, float s) {
          a, b, s = Loop(k, c, x, x) <
            body = body (int64 i, bool d, float p, float q) => (bool e, float r, float t, float u) {
            e = Identity(d) r = Relu(p) t = Concat<axis=0>(q, q) u = Neg(p)
          }>
        }"""
    )
    infer_shapes(model)
    shapes = [[str(dim) for dim in value.shape] for value in model.graph.outputs]
    assert shapes == [["n", "3"], ["b_d0", "3"], ["s_d0", "n", "3"]]


def test_branches_agree_on_what_both_have():
    model = ir.from_onnx_text(
        """<ir_version: 10, opset_import: ["": 23]>
        g (float["n",3] x, bool c) => (float y) {
          y = If(c) <then_branch = t () => (float p) { p = Relu(x) },
                     else_branch = e () => (float q) { q = Concat<axis=0>(x, x) }>
        }"""
    )
    infer_shapes(model)
    assert [str(dim) for dim in model.graph.outputs[0].shape] == ["y_d0", "3"]


SMALL = st.integers(-6, 6)
BOUND = st.one_of(SMALL, st.sampled_from([2**31 - 1, 2**63 - 1, -(2**63)]))


@given(BOUND, BOUND, st.integers(-3, 3).filter(bool))
def test_lengths_of_slices_are_those_of_python(start, end, step):
    """Where a symbolic length is given at all, it is right for every size."""
    symbolic = slice_length(N, start, end, step)
    for size in range(1, 12):
        expected = len(range(size)[start:end:step])
        assert slice_length(size, start, end, step) == expected
        if symbolic is not None:
            assert tidy(sympy.sympify(symbolic).subs(N, size)) == expected


@given(st.integers(-8, 8), st.integers(1, 5), st.integers(1, 4))
def test_divisions_round_as_their_names_say(offset, factor, divisor):
    size = tidy(N * factor + offset)
    for n in range(1, 9):
        number = n * factor + offset
        assert tidy(sympy.sympify(floor_div(size, divisor)).subs(N, n)) == number // divisor
        assert tidy(sympy.sympify(ceil_div(size, divisor)).subs(N, n)) == -(-number // divisor)


def test_equality_is_proved_or_left_open():
    assert equal(2 * N + 2, tidy((N + 1) * 2))
    assert equal(N, 0) is False
    assert equal(N, 1) is None
    assert equal(None, 1) is None
    assert broadcast([(N, 1), (1, 5)]) == (N, 5)
    assert broadcast([(N,), (sympy.Symbol("m", integer=True, positive=True),)]) == (None,)
    assert quotient(6 * N, 3 * N) == 2


@pytest.mark.parametrize(("text", "known"), [("?", False), ("-1", False), ("batch size", True), ("2*n + 1", True)])
def test_names_without_a_letter_say_nothing(text, known):
    assert (size_of(ir.SymbolicDim(text)) is not None) == known


def test_expressions_survive_as_text():
    size = tidy(ceil_div(N - 1, 2) * 3)
    assert equal(size_of(ir.SymbolicDim(str(dim_of(size)))), size)
