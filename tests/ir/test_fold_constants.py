"""What depends on constants only is evaluated, in double precision where it is float."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from opsetcases import run_original, text_of

from graphkit.ir.canonical import canonical
from graphkit.ir.canonical.fold_constants import FOLDED
from graphkit.ir.params import exact, set_exact, set_kind

F = "@float[2,3]{0.5,-1.25,2,3.75,-0.1,0.7}"
G = "@float[2,3]{1.5,1.25,2,0.75,0.1,3}"
I = "@int64[2,3]{5,-7,3,0,2,-1}"  # noqa: E741  # one letter each
J = "@int64[2,3]{2,3,-2,4,1,2}"
B = "@bool[2,3]{1,0,1,1,0,0}"
C = "@bool[2,3]{1,1,0,1,0,1}"
UNARY = """
Abs Atan Ceil Cos Cosh Erf Exp Floor Neg Reciprocal Relu Round Sigmoid Sign Sin Sinh Tan Tanh Asinh IsNaN
"""
POSITIVE = ["Log", "Sqrt", "Acosh"]
BODIES = {
    **{op: f"y = {op}({F})" for op in UNARY.split()},
    **{op: f"y = {op}(@float[3]{{1.5,2,7}})" for op in POSITIVE},
    **{op: f"y = {op}(@float[3]{{0.5,-0.2,0.7}})" for op in ("Acos", "Asin", "Atanh")},
    **{op: f"y = {op}({F}, {G})" for op in ("Add", "Sub", "Mul", "Div", "Max", "Mean", "Min", "Sum")},
    **{op: f"y = {op}({F}, {G})" for op in ("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual")},
    **{op: f"y = {op}({B}, {C})" for op in ("And", "Or", "Xor")},
    **{op: f"y = {op}({I}, {J})" for op in ("BitwiseAnd", "BitwiseOr", "BitwiseXor")},
    **{f"Reduce{op}": f"y = Reduce{op}<keepdims=0>({G}, @int64[1]{{1}})" for op in (
        "L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "Sum", "SumSquare")},
    "ArgMax": f"y = ArgMax<axis=1>({F})",
    "ArgMin": f"y = ArgMin<axis=0, select_last_index=1>({F})",
    "BitShift": 'y = BitShift<direction="LEFT">(@uint8[3]{1,2,3}, @uint8[3]{1,0,3})',
    "BitwiseNot": f"y = BitwiseNot({I})",
    "Cast": f"y = Cast<to=7>({F})",
    "Clip": f"y = Clip({F}, @float{{-0.5}}, @float{{1}})",
    "Compress": f"y = Compress<axis=1>({F}, @bool[3]{{1,0,1}})",
    "Concat": f"y = Concat<axis=1>({F}, {G})",
    "ConstantOfShape": "y = ConstantOfShape<value=float[1]{2.5}>(@int64[2]{2,3})",
    "CumSum": f"y = CumSum<reverse=1>({F}, @int64{{1}})",
    "DepthToSpace": 'y = DepthToSpace<blocksize=2, mode="CRD">(@float[1,4,1,2]{1,2,3,4,5,6,7,8})',
    "Einsum": f'y = Einsum<equation="ij,kj->ik">({F}, {G})',
    "Expand": f"y = Expand({F}, @int64[3]{{2,1,1}})",
    "EyeLike": f"y = EyeLike<k=1>({F})",
    "Flatten": f"y = Flatten<axis=0>({F})",
    "Gather": f"y = Gather<axis=1>({F}, @int64[2]{{-1,0}})",
    "GatherElements": f"y = GatherElements<axis=1>({F}, @int64[2,1]{{2,0}})",
    "GatherND": f"y = GatherND({F}, @int64[2,2]{{0,1,1,2}})",
    "Gemm": f"a = Neg({F}) b = Neg({G}) c = Neg(@float[2]{{1,2}}) y = Gemm<transB=1, alpha=0.5>(a, b, c)",
    "IntegerDivision": f"y = Div({I}, {J})",
    "IsInf": "y = IsInf(@float[2]{1,2})",
    "MatMul": f"a = Neg({F}) b = Neg(@float[3,1]{{1,2,3}}) y = MatMul(a, b)",
    "Mod": f"y = Mod({I}, {J})",
    "Mod-fmod": f"y = Mod<fmod=1>({F}, {G})",
    "NonZero": f"y = NonZero({I})",
    "Not": f"y = Not({B})",
    "OneHot": "y = OneHot<axis=0>(@int64[2]{1,-1}, @int64{3}, @float[2]{0,5})",
    "Pad": f'y = Pad<mode="reflect">({F}, @int64[4]{{0,1,0,2}})',
    "Pow": f"y = Pow({G}, {F})",
    "Range": "y = Range(@float{1}, @float{2}, @float{0.25})",
    "Reshape": f"y = Reshape({F}, @int64[2]{{0,-1}})",
    "ScatterElements": f'y = ScatterElements<axis=1, reduction="add">({F}, @int64[2,1]{{2,0}}, @float[2,1]{{1,2}})',
    "ScatterND": f"y = ScatterND({F}, @int64[1,1]{{1}}, @float[1,3]{{7,8,9}})",
    "Shape": f"y = Shape({F})",
    "Size": f"y = Size({F})",
    "Slice": f"y = Slice({F}, @int64[1]{{-1}}, @int64[1]{{-9}}, @int64[1]{{1}}, @int64[1]{{-2}})",
    "SpaceToDepth": "y = SpaceToDepth<blocksize=2>(@float[1,1,2,4]{1,2,3,4,5,6,7,8})",
    "Split": f"y, z = Split<axis=1>({F}, @int64[2]{{1,2}})",
    "Squeeze": "y = Squeeze(@float[1,2]{1,2}, @int64[1]{0})",
    "Tile": f"y = Tile({F}, @int64[2]{{2,1}})",
    "TopK": f"y, z = TopK({F}, @int64[1]{{2}})",
    "Transpose": f"y = Transpose({F})",
    "Trilu": f"y = Trilu<upper=0>({F})",
    "Unsqueeze": f"y = Unsqueeze({F}, @int64[1]{{-1}})",
    "Where": f"y = Where({B}, {F}, {G})",
}  # fmt: skip


def test_every_folded_operator_has_a_case():
    assert {name.split("-")[0] for name in BODIES} - {"IntegerDivision"} == FOLDED


@pytest.mark.parametrize("name", BODIES)
def test_folding_gives_what_onnx_runtime_computes(name):
    outputs = "float y, float z" if "z =" in BODIES[name] else "float y"
    proto = ir.to_proto(ir.from_onnx_text(text_of(BODIES[name], "float[1] x", outputs, 23)))
    for output in proto.graph.output:
        output.ClearField("type")
    expected = run_original(proto, {"x": np.zeros(1, np.float32)})
    model = canonical(ir.serde.deserialize_model(proto))
    assert {node.op_type for node in model.graph} == {"Identity"}
    for node in model.graph:
        found = node.inputs[0].const_value.numpy()
        array = expected[node.outputs[0].name]
        assert found.dtype == array.dtype
        np.testing.assert_allclose(found, array, rtol=1e-6, atol=1e-7)


def _model(body: str, weights: dict[str, np.ndarray], inputs: str = 'float["n"] x') -> ir.Model:
    model = ir.from_onnx_text(text_of(body, inputs, "float y", 23))
    free = {value.name: value for node in model.graph for value in node.inputs if value.producer() is None}
    for name, array in weights.items():
        free[name].const_value = ir.tensor(array, name=name)
        model.graph.register_initializer(free[name])
        set_kind(free[name], "constant")
    return model


def test_exact_numbers_go_through_the_arithmetic():
    model = _model("c = Mul(a, b) d = Sqrt(c) y = Add(x, d)", {"a": np.float32(0.1), "b": np.float32(3)})
    set_exact(model.graph.initializers["a"], np.array(0.1))
    canonical(model)
    (value,) = model.graph.initializers.values()
    assert value.const_value.numpy() == np.float32(np.sqrt(0.1 * 3))
    assert exact(value) == np.sqrt(0.1 * 3)


def test_exact_numbers_are_chosen_among():
    model = _model(
        "c = Less(a, b) d = Where(c, a, b) y = Add(x, d)", {"a": np.float32(0.1), "b": np.array([3, 4], np.float32)}
    )
    set_exact(model.graph.initializers["a"], np.array(0.1))
    canonical(model)
    (value,) = model.graph.initializers.values()
    np.testing.assert_array_equal(exact(value), [0.1, 0.1])


def test_integers_made_from_floats_are_those_of_the_model_s_own_precision():
    """In float32 0.1 × 30 is 3, exactly; in float64 the rounded 0.1 makes it a little more."""
    model = _model(
        "c = Mul(a, b) f = Ceil(c) i = Cast<to=7>(f) y = Tile(x, i)",
        {"a": np.float32(0.1), "b": np.array([30], np.float32)},
    )
    canonical(model)
    assert model.graph[0].inputs[1].const_value.numpy().tolist() == [3]


def test_lossless_results_carry_no_doubles():
    model = _model("c = Transpose(a) y = MatMul(x, c)", {"a": np.ones((2, 2), np.float32)}, 'float["n",2] x')
    canonical(model)
    (value,) = model.graph.initializers.values()
    assert exact(value) is None


def test_parameters_and_buffers_are_not_folded():
    model = _model("c = Transpose(a) y = MatMul(x, c)", {"a": np.ones((2, 2), np.float32)}, 'float["n",2] x')
    set_kind(model.graph.initializers["a"], "parameter")
    assert [node.op_type for node in canonical(model).graph] == ["Transpose", "MatMul"]


def test_what_would_grow_huge_is_not_stored():
    model = _model(
        "c = Expand(a, s) y = MatMul(x, c)", {"a": np.float32([[2]]), "s": np.array([2000, 2000])}, 'float["n",2000] x'
    )
    assert [node.op_type for node in canonical(model).graph] == ["Expand", "MatMul"]


def test_random_numbers_stay_random():
    model = _model("c = RandomNormal<shape=[3]>() y = Add(x, c)", {}, "float[3] x")
    assert [node.op_type for node in canonical(model).graph] == ["RandomNormal", "Add"]


def test_what_is_computed_from_no_elements_is_a_constant():
    model = _model("a = ReduceSum(x, @int64[1]{1}) y = Add(a, z)", {}, 'float[2,0,4] x, float["n",1,4] z')
    assert [node.op_type for node in canonical(model).graph] == ["Add"]
    assert [value.name for value in model.graph.inputs] == ["x", "z"]


def test_what_has_no_elements_itself_is_computed():
    model = _model("a = Abs(x) y = Concat<axis=1>(a, z)", {}, "float[2,0] x, float[2,3] z")
    canonical(model)
    assert not [value for value in model.graph.initializers.values() if value.const_value.size == 0]
