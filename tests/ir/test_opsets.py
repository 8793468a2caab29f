"""Raising a model to the canonical opset keeps its meaning, as ONNX Runtime running the original shows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest

from graphkit.errors import FormatError, UnsupportedError
from graphkit.frameworks.onnx import FRAMEWORK
from graphkit.ir.canonical import OPSET, canonical

ORT = FRAMEWORK.runtimes[0]


@dataclass(frozen=True)
class Case:
    """One node at a range of opsets, as ONNX text; ``x`` is random."""

    name: str
    opsets: range
    inputs: str
    body: str
    outputs: str = "float y"


def _old(last: int, first: int = 7) -> range:
    return range(first, last + 1)


X = "float[2,3,4,5] x"
BATCH_NORM = (
    "s = Constant<value=float[3]{0.5, 2, -1}>() b = Constant<value=float[3]{0.1, 0.2, 0.3}>() "
    "m = Constant<value=float[3]{0.3, -0.2, 0.1}>() v = Constant<value=float[3]{1.5, 0.7, 2}>() "
)
EVERY = range(7, OPSET + 1)

CASES = [
    Case("argmax", EVERY, X, "y = ArgMax<axis=1, keepdims=0>(x)", "int64 y"),
    Case("average-pool", EVERY, X, "y = AveragePool<kernel_shape=[3,2], pads=[1,0,1,1], strides=[2,1]>(x)"),
    Case("average-pool-same", EVERY, X, 'y = AveragePool<kernel_shape=[3,2], auto_pad="SAME_LOWER", strides=[2,2]>(x)'),
    Case("average-pool-padded", EVERY, X, "y = AveragePool<kernel_shape=[3,3], pads=[1,1,1,1], count_include_pad=1>(x)"),
    Case("average-pool-ceil", range(10, 24), X, "y = AveragePool<kernel_shape=[2,2], strides=[3,3], ceil_mode=1>(x)"),
    Case("batch-norm", EVERY, X, BATCH_NORM + "y = BatchNormalization<epsilon=0.01>(x, s, b, m, v)"),
    Case("batch-norm-spatial", _old(8), X, BATCH_NORM + "y = BatchNormalization<spatial=1>(x, s, b, m, v)"),
    Case(
        "batch-norm-per-activation",
        _old(8),
        "float[2,3,2] x",
        "s = Constant<value=float[3,2]{0.5, 2, -1, 1, 2, 3}>() b = Constant<value=float[3,2]{1, 2, 3, 4, 5, 6}>() "
        "m = Constant<value=float[3,2]{0.1, 0.2, 0.3, 0.4, 0.5, 0.6}>() v = Constant<value=float[3,2]{1, 2, 3, 4, 5, 6}>() "
        "y = BatchNormalization<spatial=0>(x, s, b, m, v)",
    ),
    Case("cast", EVERY, X, "y = Cast<to=7>(x)", "int64 y"),
    Case("clip-attributes", _old(10), X, "y = Clip<min=-0.5, max=0.25>(x)"),
    Case("clip-min-attribute", _old(10), X, "y = Clip<min=0.1>(x)"),
    Case("clip", range(11, 24), X, "a = Constant<value=float{-0.5}>() y = Clip(x, a)"),
    Case("concat", EVERY, X, "y = Concat<axis=1>(x, x)"),
    Case("constant-int", range(12, 24), X, "a = Constant<value_int=2>() b = Cast<to=1>(a) y = Mul(x, b)"),
    Case("constant-floats", range(12, 24), X, "a = Constant<value_floats=[1.0,2.0,3.0,4.0,0.1]>() y = Mul(x, a)"),
    Case("conv-same", EVERY, X + ", float[2,3,3,2] w", 'y = Conv<auto_pad="SAME_UPPER", strides=[2,2]>(x, w)'),
    Case("conv-transpose", EVERY, X + ", float[3,2,3,2] w", "y = ConvTranspose<strides=[2,3], pads=[1,0,0,1], output_padding=[1,0]>(x, w)"),
    Case("cumsum", range(11, 24), X, "a = Constant<value=int64{1}>() y = CumSum<exclusive=1>(x, a)"),
    Case("depth-to-space", EVERY, "float[2,8,2,3] x", "y = DepthToSpace<blocksize=2>(x)"),
    Case("dft", range(17, 20), "float[2,4,6,1] x", "y = DFT<axis=2, onesided=1>(x)"),
    Case("dropout", EVERY, X, "y = Dropout(x)"),
    Case("dropout-ratio", _old(11), X, "y = Dropout<ratio=0.3>(x)"),
    Case("dropout-mask", range(12, 24), X, "a, m = Dropout(x) b = Cast<to=1>(m) y = Add(a, b)"),
    Case("expand", range(8, 24), "float[2,1,5] x", "s = Constant<value=int64[3]{1,3,1}>() y = Expand(x, s)"),
    Case("flatten", EVERY, X, "y = Flatten<axis=2>(x)"),
    Case("gather", EVERY, X, "i = Constant<value=int64[2]{0,2}>() y = Gather<axis=2>(x, i)"),
    Case("gelu", range(20, 24), X, 'y = Gelu<approximate="tanh">(x)'),
    Case("gemm", EVERY, "float[2,3] x", "w = Constant<value=float[2,3]{1,2,3,4,5,6}>() b = Constant<value=float[2]{1,2}>() y = Gemm<transB=1, alpha=0.5>(x, w, b)"),
    Case("grid-sample", range(16, 24), "float[1,2,3,4] x, float[1,2,2,2] g", "y = GridSample(x, g)"),
    Case("grid-sample-cubic", range(16, 20), "float[1,2,4,4] x, float[1,2,2,2] g", 'y = GridSample<mode="bicubic">(x, g)'),
    Case("group-norm-per-group", range(18, 21), "float[2,4,3] x", "s = Constant<value=float[2]{0.5,2}>() b = Constant<value=float[2]{0.1,0.2}>() y = GroupNormalization<num_groups=2>(x, s, b)"),
    Case("hardmax", _old(12), X, "y = Hardmax<axis=2>(x)"),
    Case("hardmax-13", range(13, 24), X, "y = Hardmax<axis=2>(x)"),
    Case("instance-norm", EVERY, X, BATCH_NORM + "y = InstanceNormalization(x, s, b)"),
    Case("layer-norm", range(17, 24), X, "s = Constant<value=float[5]{0.5,2,-1,1,3}>() y = LayerNormalization(x, s)"),
    Case("leaky-relu", EVERY, X, "y = LeakyRelu<alpha=0.3>(x)"),
    Case("log-softmax", EVERY, X, "y = LogSoftmax<axis=1>(x)"),
    Case("log-softmax-last", EVERY, X, "y = LogSoftmax<axis=3>(x)"),
    Case("lp-pool", EVERY, X, "y = LpPool<kernel_shape=[2,2], p=1>(x)"),
    Case("lrn", EVERY, X, "y = LRN<size=3, alpha=0.5>(x)"),
    Case("max", EVERY, X, "y = Max(x, x)"),
    Case("max-pool", EVERY, X, "y = MaxPool<kernel_shape=[3,2], pads=[1,0,1,1], strides=[2,1]>(x)"),
    Case("max-pool-indices", range(8, 24), X, "y, i = MaxPool<kernel_shape=[2,2]>(x)", "float y, int64 i"),
    Case("max-pool-valid", EVERY, X, 'y = MaxPool<kernel_shape=[2,2], strides=[3,3], auto_pad="VALID">(x)'),
    Case("max-pool-ceil", range(10, 24), X, "y = MaxPool<kernel_shape=[2,2], strides=[2,2], ceil_mode=1, dilations=[2,1]>(x)"),
    Case("mean", EVERY, X, "y = Mean(x, x, x)"),
    Case("pad-attributes", _old(10), X, "y = Pad<pads=[0,1,2,0,0,0,1,3], value=0.5>(x)"),
    Case("pad-reflect-attributes", _old(10), X, 'y = Pad<mode="reflect", pads=[0,0,2,1,0,0,1,3]>(x)'),
    Case("pad", range(11, 24), X, "p = Constant<value=int64[8]{0,1,2,0,0,0,1,3}>() y = Pad(x, p)"),
    Case("prelu", EVERY, X, "s = Constant<value=float[3,1,1]{0.1,0.2,0.3}>() y = PRelu(x, s)"),
    Case("reduce-sum-attributes", _old(12), X, "y = ReduceSum<axes=[1,2], keepdims=0>(x)"),
    Case("reduce-sum-all", EVERY, X, "y = ReduceSum<keepdims=0>(x)"),
    Case("reduce-sum", range(13, 24), X, "a = Constant<value=int64[2]{1,-1}>() y = ReduceSum(x, a)"),
    Case("reduce-mean", _old(17), X, "y = ReduceMean<axes=[2,3]>(x)"),
    Case("reduce-mean-negative", _old(17, 11), X, "y = ReduceMean<axes=[-1]>(x)"),
    Case("reduce-max", _old(17), X, "y = ReduceMax<axes=[0]>(x)"),
    Case("reduce-l2", _old(17), X, "y = ReduceL2<axes=[3]>(x)"),
    Case("reduce-log-sum-exp", _old(17), X, "y = ReduceLogSumExp<axes=[3], keepdims=0>(x)"),
    Case("reshape", EVERY, X, "s = Constant<value=int64[3]{0,-1,5}>() y = Reshape(x, s)"),
    Case("resize-10-nearest", range(10, 11), X, 's = Constant<value=float[4]{1,1,2,3}>() y = Resize<mode="nearest">(x, s)'),
    Case("resize-10-linear", range(10, 11), X, 's = Constant<value=float[4]{1,1,1.5,3}>() y = Resize<mode="linear">(x, s)'),
    Case("resize-10-shrink", range(10, 11), "float[1,2,6,7] x", 's = Constant<value=float[4]{1,1,0.6,0.5}>() y = Resize<mode="nearest">(x, s)'),
    Case("resize-10-both", range(10, 11), "float[1,2,6,7] x", 's = Constant<value=float[4]{1,1,0.6,2.3}>() y = Resize<mode="nearest">(x, s)'),
    Case("resize-11", range(11, 24), X, 'r = Constant<value=float[0]{}>() s = Constant<value=float[4]{1,1,2,3}>() y = Resize<mode="linear", coordinate_transformation_mode="align_corners">(x, r, s)'),
    Case("resize-11-sizes", range(11, 24), X, 'r = Constant<value=float[0]{}>() e = Constant<value=float[0]{}>() s = Constant<value=int64[4]{2,3,7,6}>() y = Resize<mode="cubic", cubic_coeff_a=-0.5>(x, r, e, s)'),
    Case("roi-align", range(10, 22), "float[1,2,6,6] x", "r = Constant<value=float[2,4]{0,0,3,3,1,1,5,4}>() i = Constant<value=int64[2]{0,0}>() y = RoiAlign<output_height=2, output_width=2, sampling_ratio=2>(x, r, i)"),
    Case("scatter", range(9, 11), "float[3,3] x", "i = Constant<value=int64[2,1]{2,0}>() u = Constant<value=float[2,1]{7,8}>() y = Scatter<axis=0>(x, i, u)"),
    Case("scatter-elements", range(11, 24), "float[3,3] x", "i = Constant<value=int64[2,1]{2,0}>() u = Constant<value=float[2,1]{7,8}>() y = ScatterElements<axis=1>(x, i, u)"),
    Case("slice-attributes", _old(9), X, "y = Slice<axes=[1,3], starts=[1,-3], ends=[9,-1]>(x)"),
    Case("slice-without-axes", _old(9), X, "y = Slice<starts=[0,1], ends=[1,3]>(x)"),
    Case("slice", range(10, 24), X, "s = Constant<value=int64[2]{-1,0}>() e = Constant<value=int64[2]{-9,4}>() a = Constant<value=int64[2]{3,2}>() t = Constant<value=int64[2]{-2,2}>() y = Slice(x, s, e, a, t)"),
    Case("softmax-default", EVERY, X, "y = Softmax(x)"),
    Case("softmax", EVERY, X, "y = Softmax<axis=2>(x)"),
    Case("softmax-last", EVERY, X, "y = Softmax<axis=3>(x)"),
    Case("softmax-zero", _old(12), X, "y = Softmax<axis=0>(x)"),
    Case("softmax-channel", EVERY, "float[2,7,1,1] x", "y = Softmax<axis=1>(x)"),
    Case("softmax-negative", _old(12, 11), X, "y = Softmax<axis=-2>(x)"),
    Case("split-attribute", _old(12), X, "y, z = Split<axis=3, split=[2,3]>(x)", "float y, float z"),
    Case("split-equal", _old(17), X, "y, z = Split<axis=2>(x)", "float y, float z"),
    Case("split", range(13, 24), X, "s = Constant<value=int64[2]{2,3}>() y, z = Split<axis=3>(x, s)", "float y, float z"),
    Case("squeeze-attribute", _old(12), "float[2,1,3,1] x", "y = Squeeze<axes=[1,3]>(x)"),
    Case("squeeze-all", EVERY, "float[2,1,3,1] x", "y = Squeeze(x)"),
    Case("sum", EVERY, X, "y = Sum(x, x)"),
    Case("thresholded-relu", range(10, 24), X, "y = ThresholdedRelu<alpha=0.4>(x)"),
    Case("topk-attribute", _old(9), X, "y, i = TopK<k=3, axis=3>(x)", "float y, int64 i"),
    Case("topk", range(10, 24), X, "k = Constant<value=int64[1]{2}>() y, i = TopK<axis=2>(x, k)", "float y, int64 i"),
    Case("unsqueeze-attribute", _old(12), X, "y = Unsqueeze<axes=[0,3]>(x)"),
    Case("unsqueeze", range(13, 24), X, "a = Constant<value=int64[2]{0,-1}>() y = Unsqueeze(x, a)"),
    Case("upsample-attribute", _old(8), X, 'y = Upsample<mode="nearest", scales=[1.0,1.0,2.0,3.0]>(x)'),
    Case("upsample-linear", _old(8), X, 'y = Upsample<mode="linear", scales=[1.0,1.0,2.0,3.0]>(x)'),
    Case("upsample", range(9, 10), X, 's = Constant<value=float[4]{1,1,2.5,3}>() y = Upsample<mode="nearest">(x, s)'),
    Case("where", range(9, 24), X, "z = Constant<value=float{0}>() c = Less(x, z) y = Where(c, z, x)"),
]  # fmt: skip


def _model(case: Case, opset: int) -> onnx.ModelProto:
    version = onnx.helper.find_min_ir_version_for([onnx.helper.make_opsetid("", opset)])
    return onnx.parser.parse_model(
        f'<ir_version: {max(version, 4)}, opset_import: ["": {opset}]> g ({case.inputs}) => ({case.outputs}) {{ {case.body} }}'
    )


def _run(proto: onnx.ModelProto, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, feeds), strict=True))


def _feeds(proto: onnx.ModelProto) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    feeds = {}
    for value in proto.graph.input:
        shape = [dim.dim_value or 2 for dim in value.type.tensor_type.shape.dim]
        feeds[value.name] = rng.normal(size=shape).astype(np.float32)
    return feeds


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_raised_models_give_the_same_numbers(case):
    for opset in case.opsets:
        proto = _model(case, opset)
        feeds = _feeds(proto)
        expected = _run(proto, feeds)
        model = canonical(ir.serde.deserialize_model(proto))
        assert model.opset_imports[""] == OPSET
        raised = ir.serde.serialize_model(model)
        onnx.checker.check_model(raised, full_check=True)
        with ORT.open(model) as session:
            found = session.forward(feeds)
        assert list(found) == list(expected)
        for name, array in expected.items():
            assert found[name].dtype == array.dtype
            assert found[name].shape == array.shape
            np.testing.assert_allclose(found[name], array, rtol=1e-6, atol=1e-6, err_msg=f"opset {opset}")


def _canonical(opset: int, body: str, inputs: str = X, outputs: str = "float y") -> ir.Model:
    return canonical(ir.serde.deserialize_model(_model(Case("", range(0), inputs, body, outputs), opset)))


def test_a_float_mask_of_dropout_is_all_ones():
    """Before opset 12 ONNX left open what the mask is in inference; from then on nothing is masked."""
    model = _canonical(7, "a, y = Dropout(x)")
    with ORT.open(model) as session:
        found = session.forward({"x": np.zeros((2, 3, 4, 5), np.float32)})["y"]
    np.testing.assert_array_equal(found, np.ones((2, 3, 4, 5), np.float32))


def test_an_opset_before_7_is_refused():
    with pytest.raises(FormatError, match="opset 6; graphkit reads opset 7 and later"):
        _canonical(6, "y = Relu(x)")


def test_all_nodes_without_an_equal_are_listed():
    body = (
        "s = Constant<value=float[4]{1,1,2,2}>() r = Constant<value=float[0]{}>() "
        'a = Resize<coordinate_transformation_mode="tf_half_pixel_for_nn">(x, r, s) b = Frobnicate(x) y = Add(a, b)'
    )
    with pytest.raises(UnsupportedError) as raised:
        _canonical(11, body)
    assert [node.op for node in raised.value.nodes] == ["Resize (opset 11)", "Frobnicate (opset 11)"]


def test_a_newer_opset_is_accepted_where_it_says_nothing_new():
    model = _canonical(25, "y = Cast<to=10, saturate=1>(x)", outputs="float16 y")
    assert [node.op_type for node in model.graph] == ["Cast"]
    assert [node.op_type for node in _canonical(24, "y = Swish(x)").graph] == ["Sigmoid", "Mul"]
    with pytest.raises(UnsupportedError, match="round_mode is newer than opset 23"):
        _canonical(25, 'y = Cast<to=24, round_mode="down">(x)', outputs="float8e8m0 y")
    with pytest.raises(UnsupportedError, match="CumProd .* newer than opset 23"):
        _canonical(26, "a = Constant<value=int64{0}>() y = CumProd(x, a)")
