"""Gradient graphs give what torch's backward pass gives, where functions bend, jump, tie and overflow, too."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from opcases import Use

from graphkit.frameworks.base import runtimes
from graphkit.ir import params
from graphkit.ir.canonical import canonical
from graphkit.ir.opset import OPSET
from graphkit.ir.own import DOMAIN, VERSION
from graphkit.ir.training import is_backward
from graphkit.ops.index import index
from graphkit.ops.spec import Arr, Case, arr, int64
from graphkit.ops.spec import given as integers
from graphkit.passes.gradient.model import gradient_model

Arrays = dict[str, np.ndarray]
INF = float("inf")


def given(values: Any) -> Arr:
    return integers(values, "float32")


POINTS = given([[-100.0, -3.0, -1.0, -0.5, 0.0, 0.5, 1.0, 3.0, 100.0]])
BESIDE = given([[-15.0, -3.0000002, -2.9999998, -1e-6, -0.0, 1e-6, 2.9999998, 3.0000002, 15.0]])
TIES = given([[1.0, 3.0, 3.0, -2.0], [0.0, 0.0, 0.0, 0.0], [-1.0, -1.0, -2.0, -0.5]])
ZEROS = given([[2.0, 0.0, 3.0, -1.5], [0.0, 0.0, 4.0, 1.0], [1.0, -2.0, 3.0, 0.5], [0.0, 0.0, 0.0, 0.0]])
MASKED = given([[0.0, -INF, 1.0, -INF], [100.0, -100.0, 0.0, -INF]])
LEFT, RIGHT = (
    given([0.0, 1.0, -1.0, 2.0, 0.0, -0.0, 100.0]),
    given([0.0, 1.0, 1.0, -3.0, -1.0, 0.0, -100.0]),
)
BASES, POWERS = (
    given([0.0, 0.0, 0.0, 2.0, -2.0, -2.0, 1.0, 100.0, -0.5, 0.0, 2.0]),
    given([0.0, 1.0, 2.0, 0.0, 3.0, 2.0, 5.0, 0.5, 0.0, -1.0, -0.5]),
)
LOW, HIGH = given(-0.5), given(1.0)
LOGITS = given([[100.0, -100.0, 0.0], [1e4, -1e4, 1e4], [0.0, 0.0, 0.0]])
MAPS, CLASSES = arr(3, 3, 2, low=-50, high=50), int64([[0, 1], [2, -100], [1, 0]])
IGNORED = {"ignore_index": -100}

UNARY = [
    *("Abs", "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "Ceil", "Cos", "Cosh", "Erf", "Exp", "Expm1", "Floor"),
    *("Log", "Log1p", "Neg", "Reciprocal", "Round", "Sigmoid", "Sign", "Sin", "Sinh", "Softplus", "Softsign", "Sqrt"),
    *("Tan", "Tanh", "Mish", "Relu", "Elu", "Selu", "Celu", "Gelu", "HardSigmoid", "HardSwish", "LeakyRelu", "Shrink"),
    *("ThresholdedRelu", "Erfinv"),
]
REDUCTIONS = ["ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2"]
REDUCTIONS += ["ReduceSumSquare", "ReduceLogSumExp"]


def _use(name: str, about: str, *inputs: Arr | None, **options: Any) -> Use:
    return Use(next(op for _, op in index().ops if op.onnx == name), Case(about, inputs, **options))


USES = [
    *(_use(name, "points", POINTS) for name in UNARY),
    *(_use(name, "beside points", BESIDE) for name in UNARY),
    _use("Lgamma", "points", given([-100.0, -1.5, -1.0, -1e-6, 0.0, 1e-6, 0.5, 2.0, 100.0, 1e20])),
    _use("Gamma", "points", given([-20.5, -1.5, -1e-6, 1e-6, 0.5, 2.0, 30.0])),
    _use("Gelu", "tanh", POINTS, attrs={"approximate": "tanh"}),
    _use("Elu", "alpha", POINTS, attrs={"alpha": 0.5}),
    _use("Celu", "alpha", POINTS, attrs={"alpha": 2.0}),
    _use("LeakyRelu", "quarter", POINTS, attrs={"alpha": 0.25}),
    _use("HardSigmoid", "sixth", POINTS, attrs={"alpha": 1 / 6}),
    _use("HardSigmoid", "beside sixth", BESIDE, attrs={"alpha": 1 / 6}),
    _use("HardSigmoid", "half", POINTS, attrs={"alpha": 0.5, "beta": 0.5}),
    _use("Shrink", "soft", POINTS, attrs={"lambd": 1.0, "bias": 1.0}),
    _use("Shrink", "bias", POINTS, attrs={"lambd": 1.0, "bias": 0.25}),
    _use("Shrink", "below zero", POINTS, attrs={"lambd": -1.0, "bias": 0.25}),
    _use("ThresholdedRelu", "half", POINTS, attrs={"alpha": 0.5}),
    _use("PRelu", "fed", POINTS, given([0.25])),
    _use("PRelu", "one", POINTS, given([0.25]), const=(1,)),
    _use("PRelu", "each", POINTS, arr(1, 9), const=(1,)),
    *(
        use
        for name in ("Max", "Min")
        for use in (
            _use(name, "two", LEFT, RIGHT),
            _use(name, "three", LEFT, RIGHT, given([0.0, 1.0, 1.0, 2.0, 0.0, 0.0, 100.0])),
            _use(name, "four alike", LEFT, LEFT, LEFT, LEFT),
            _use(name, "rows", TIES, given([1.0, 3.0, 0.0, -2.0])),
            _use(name, "number", POINTS, given(0.5), const=(1,)),
            _use(name, "number first", given(-0.5), POINTS, const=(0,)),
            _use(name, "fed number", POINTS, given(0.5)),
        )
    ),
    *(
        use
        for name in REDUCTIONS
        for about, data in (("ties", TIES), ("zeros", ZEROS))
        for use in (
            _use(name, f"rows, {about}", data, int64([1]), const=(1,)),
            _use(name, f"columns, {about}", data, int64([-2]), const=(1,), attrs={"keepdims": 0}),
            _use(name, f"all, {about}", data, attrs={"keepdims": 0}),
            _use(name, f"none, {about}", data, None, attrs={"noop_with_empty_axes": 1}),
        )
    ),
    *(_use(name, "fed axes", ZEROS, int64([0])) for name in REDUCTIONS if name != "ReduceProd"),
    *(_use(name, "masked", MASKED, int64([1]), const=(1,)) for name in ("ReduceMax", "ReduceMin", "ReduceLogSumExp")),
    _use("Pow", "points", BASES, POWERS),
    _use("Pow", "stored powers", BASES, POWERS, const=(1,)),
    *(_use("Pow", f"power {x:g}", POINTS, given(x), const=(1,)) for x in (0, 1, 2, 3, 0.5, -1, -0.5, 1.5)),
    _use("Pow", "whole power", POINTS, int64(2), const=(1,)),
    _use("Pow", "whole powers", BASES, int64([0, 1, 2, 0, 3, 2, 5, 1, 0, 1, 2])),
    _use("Pow", "of two", given(2.0), POINTS, const=(0,)),
    _use("Pow", "of zero", given(0.0), given([0.0, 1.0, 2.0, -1.0]), const=(0,)),
    _use("Mod", "fmod", given([-7.5, 7.5, 4.0, -4.0, 0.0]), given([2.0, -2.0, 2.0, 2.0, 3.0]), attrs={"fmod": 1}),
    _use("Div", "by zeros", given([1.0, 0.0, -1.0, 5.0]), given([0.0, 0.0, 2.0, 1e-30])),
    _use("Atan2", "points", LEFT, RIGHT),
    _use("Clip", "both", POINTS, LOW, HIGH, const=(1, 2)),
    _use("Clip", "low", POINTS, given(0.0), const=(1,)),
    _use("Clip", "high", POINTS, None, HIGH, const=(2,)),
    _use("Clip", "to six", given([-1.0, 0.0, 3.0, 6.0, 7.0]), given(0.0), given(6.0), const=(1, 2)),
    _use("Clip", "crossed", POINTS, HIGH, LOW, const=(1, 2)),
    _use("Clip", "fed", POINTS, LOW, HIGH),
    _use("Clip", "fed low", POINTS, LOW),
    _use("Clip", "fed high", POINTS, None, HIGH),
    _use("Clip", "fed, crossed", POINTS, HIGH, LOW),
    *(_use(name, "masked", MASKED) for name in ("Softmax", "LogSoftmax", "Hardmax")),
    *(_use(name, "large", LOGITS) for name in ("Softmax", "LogSoftmax", "Hardmax")),
    _use("Where", "infinity", integers([[True], [False]], "bool"), given([[1.0, INF]]), given([[INF, 3.0]])),
    _use("SoftmaxCrossEntropyLoss", "large", LOGITS, int64([0, 2, 1])),
    _use("SoftmaxCrossEntropyLoss", "all ignored", LOGITS, int64([-100, -100, -100]), attrs=IGNORED),
    _use("SoftmaxCrossEntropyLoss", "some ignored", LOGITS, int64([-100, 2, -100]), attrs=IGNORED),
    _use("SoftmaxCrossEntropyLoss", "logs", LOGITS, int64([-100, 2, 0]), attrs=IGNORED, outputs=2),
    _use("SoftmaxCrossEntropyLoss", "weights", MAPS, CLASSES, given([0.0, 1.0, 2.0]), attrs=IGNORED),
    _use(
        "SoftmaxCrossEntropyLoss",
        "stored weights",
        MAPS,
        CLASSES,
        given([0.0, 1.0, 2.0]),
        const=(2,),
        attrs={**IGNORED, "reduction": "sum"},
    ),
    _use("NegativeLogLikelihoodLoss", "impossible", MASKED, int64([2, -100]), attrs=IGNORED),
]


def _matrices(name: str, *shapes: tuple[int, ...], **options: Any) -> Use:
    return _use(name, f"{shapes} {options}", *(arr(*shape) for shape in shapes), **options)


FREE = [
    _matrices("MatMul", (2, 3), (3, 4)),
    _matrices("MatMul", (3,), (3,)),
    _matrices("MatMul", (3,), (3, 4)),
    _matrices("MatMul", (3,), (2, 3, 4)),
    _matrices("MatMul", (5, 3), (3,)),
    _matrices("MatMul", (2, 5, 3), (3,)),
    _matrices("MatMul", (2, 5, 3), (3, 4)),
    _matrices("MatMul", (5, 3), (2, 3, 4)),
    _matrices("MatMul", (2, 1, 5, 3), (1, 6, 3, 4)),
    _matrices("MatMul", (6, 5, 3), (2, 1, 3, 4)),
    _matrices("Gemm", (3, 5), (4, 3), (1, 4), attrs={"transA": 1, "transB": 1, "alpha": 0.5, "beta": 2.0}, const=(1,)),
    *(
        _matrices("Gemm", (5, 3) if a else (3, 5), (4, 5) if b else (5, 4), attrs={"transA": a, "transB": b})
        for a in (0, 1)
        for b in (0, 1)
    ),
    *(
        _matrices("Einsum", *shapes, attrs={"equation": equation})
        for equation, *shapes in (
            ("bij,bjk->bik", (2, 3, 4), (2, 4, 5)),
            ("iij->j", (3, 3, 2)),
            ("ii,ij->", (3, 3), (3, 2)),
            ("abc->b", (2, 3, 4)),
            ("...ij,...j->i...", (2, 3, 4), (2, 4)),
            ("ij,ij->i", (2, 3), (2, 3)),
        )
    ),
    *(
        _use(name, f"rows {keep}", arr(2, 3, 4, low=0.5, high=2), int64([1]), const=(1,), attrs={"keepdims": keep})
        for name in (*REDUCTIONS, "ReduceLogSum")
        for keep in (0, 1)
    ),
    *(_matrices(name, (2, 3), (1, 3), (4, 2, 1)) for name in ("Max", "Min", "Sum", "Mean")),
    *(_use(name, "stretched", arr(2, 1, low=0.5, high=2), arr(4, 2, 3, low=0.5, high=2)) for name in ("Pow", "Div")),
    _use("Where", "stretched", integers([[True], [False]], "bool"), arr(3), arr(4, 1, 1)),
    _use("PRelu", "stretched", arr(2, 3, 4), arr(3, 1)),
    _use("Clip", "fed", arr(2, 3), LOW, HIGH),
    _use("SoftmaxCrossEntropyLoss", "weights", MAPS, CLASSES, given([0.0, 1.0, 2.0]), attrs=IGNORED),
    _use("NegativeLogLikelihoodLoss", "mean", MAPS, int64([[0, 1], [2, 1], [1, 0]])),
]


def _joined(uses: list[Use], dtype: str, *, free: bool = False) -> tuple[ir.Model, Arrays]:
    """One model of several uses, side by side, with their numbers before the names of their values.

    Args:
        uses: What is used.
        dtype: The dtype of floats.
        free: Whether nothing is known of the sizes of what is fed.
    """
    nodes: list[ir.Node] = []
    inputs: list[ir.Value] = []
    outputs: list[ir.Value] = []
    stored: list[ir.Value] = []
    feeds: Arrays = {}
    for place, use in enumerate(uses):
        operands: list[ir.Value | None] = []
        for number, array in enumerate(use.arrays(dtype)):
            name = f"u{place}_x{number}"
            if array is None:
                operands.append(None)
                continue
            kind = ir.TensorType(ir.DataType.from_numpy(array.dtype))
            unknown = free and number not in use.case.const
            shape = [f"{name}_{axis}" for axis in range(array.ndim)] if unknown else array.shape
            value = ir.Value(name=name, type=kind, shape=ir.Shape(shape))
            if number in use.case.const:
                value.const_value = ir.tensor(array, name=name)
                params.set_kind(value, use.kind(number, array))
                stored.append(value)
            else:
                inputs.append(value)
                feeds[name] = array
            operands.append(value)
        results = [ir.Value(name=f"u{place}_y{number}") for number in range(use.case.outputs)]
        outputs += results
        made = ir.node(use.op.onnx, operands, use.case.attrs, domain=use.op.domain, outputs=results, name=f"u{place}")
        nodes.append(made)
    opsets = {"": OPSET, DOMAIN: VERSION}
    graph = ir.Graph(inputs, outputs, nodes=nodes, initializers=stored, opset_imports=opsets, name="all")
    return canonical(ir.Model(graph, ir_version=10)), feeds


def _seeds(outputs: Arrays) -> Arrays:
    rng = np.random.default_rng(3)
    return {
        name: rng.choice([-1.5, 0.75, 2.0], size=array.shape).astype(array.dtype) for name, array in outputs.items()
    }


@pytest.fixture(scope="module", params=[("float32", "ort"), ("float64", "reference")], ids=lambda param: param[0])
def gradients(request: pytest.FixtureRequest) -> tuple[str, Arrays, Arrays]:
    """What gradient graphs give, and what torch gives, in one precision."""
    dtype, runtime = request.param
    model, feeds = _joined(USES, dtype)
    found: list[Arrays] = []
    with np.errstate(all="ignore"), runtimes()["torch"].open(model, native=False) as session:
        seeds = _seeds(session.forward(feeds))
        found.append(session.backward(feeds, seeds))
    with np.errstate(all="ignore"), runtimes()[runtime].open(model, native=False) as session:
        found.append(session.backward(feeds, seeds))
    return dtype, found[1], found[0]


@pytest.mark.parametrize("number", range(len(USES)), ids=[use.id for use in USES])
def test_gradients_are_torchs(gradients: tuple[str, Arrays, Arrays], number: int) -> None:
    dtype, found, expected = gradients
    names = [name for name in expected if name.startswith(f"u{number}_")]
    assert names
    near = 3e-6 if dtype == "float32" else 3e-8 if USES[number].has_rounded_attribute else 1e-9
    for name in names:
        right = expected[name]
        scale = np.abs(right[np.isfinite(right)]).max(initial=0.0)
        np.testing.assert_allclose(found[name], right, rtol=near, atol=near * scale)


@pytest.fixture(scope="module")
def of_free_sizes() -> tuple[Arrays, Arrays]:
    """What gradient graphs of models of unknown sizes give, and what those of known sizes do."""
    found: list[Arrays] = []
    for free in (True, False):
        model, feeds = _joined(FREE, "float32", free=free)
        with runtimes()["ort"].open(model, native=False) as session:
            found.append(session.backward(feeds, _seeds(session.forward(feeds))))
    return found[0], found[1]


@pytest.mark.parametrize("number", range(len(FREE)), ids=[use.id for use in FREE])
def test_gradients_need_no_sizes(of_free_sizes: tuple[Arrays, Arrays], number: int) -> None:
    free, fixed = of_free_sizes
    names = [name for name in fixed if name.startswith(f"u{number}_")]
    assert names
    for name in names:
        assert free[name].shape == fixed[name].shape
        np.testing.assert_allclose(free[name], fixed[name], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("first", "second"), [("Max", "Min"), ("Min", "Max")])
def test_both_extremes_in_a_row_pass_gradients_as_torchs_relu6_does(first: str, second: str) -> None:
    x = ir.val("x", ir.DataType.FLOAT, (5,))
    ends = {"Max": 0.0, "Min": 6.0}
    bounds = {name: ir.Value(name=name, const_value=ir.tensor(np.float32(end))) for name, end in ends.items()}
    inner = ir.node(first, [x, bounds[first]], name="inner")
    outer = ir.node(second, [inner.outputs[0], bounds[second]], name="outer")
    inner.outputs[0].name, outer.outputs[0].name = "t", "y"
    opsets = {"": OPSET}
    graph = ir.Graph([x], outer.outputs, nodes=[inner, outer], initializers=[*bounds.values()], opset_imports=opsets)
    model = canonical(ir.Model(graph, ir_version=10))
    feeds, seeds = {"x": np.array([-1, 0, 3, 6, 7], np.float32)}, {"y": np.full(5, 2, np.float32)}
    for name in ("torch", "ort"):
        with runtimes()[name].open(model, native=False) as session:
            np.testing.assert_array_equal(session.backward(feeds, seeds)["x"], [0, 0, 2, 0, 0])


def test_the_gradient_in_a_matrix_that_many_share_is_one_product() -> None:
    model, _ = _joined([_matrices("MatMul", (2, 5, 3), (3, 4))], "float32", free=True)
    backward = gradient_model(model, ["u0_x1"])
    assert [node.op_type for node in backward.graph if is_backward(node)] == ["Flatten", "Flatten", "Gemm"]
