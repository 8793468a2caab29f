"""Single nodes at ranges of opsets, as ONNX text, and ONNX Runtime running them as they are."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import onnx
import onnxruntime

from graphkit.ir.opset import OPSET

__all__ = ["CASES", "Case", "feeds_of", "proto_of", "run_original", "text_of"]


@dataclass(frozen=True)
class Case:
    """One node at a range of opsets, as ONNX text in which ``@float[2]{1,2}`` is a constant; inputs are random."""

    name: str
    opsets: range
    inputs: str
    body: str
    outputs: str = "float y"


def _old(last: int, first: int = 7) -> range:
    return range(first, last + 1)


X = "float[2,3,4,5] x"
BATCH_NORM = "@float[3]{0.5,2,-1}, @float[3]{0.1,0.2,0.3}, @float[3]{0.3,-0.2,0.1}, @float[3]{1.5,0.7,2}"
EVERY = range(7, OPSET + 1)

CASES = [
    Case("argmax", EVERY, X, "y = ArgMax<axis=1, keepdims=0>(x)", "int64 y"),
    Case("average-pool", EVERY, X, "y = AveragePool<kernel_shape=[3,2], pads=[1,0,1,1], strides=[2,1]>(x)"),
    Case("average-pool-same", EVERY, X, 'y = AveragePool<kernel_shape=[3,2], auto_pad="SAME_LOWER", strides=[2,2]>(x)'),
    Case(
        "average-pool-padded", EVERY, X, "y = AveragePool<kernel_shape=[2,2], pads=[1,1,1,1], count_include_pad=1>(x)"
    ),
    Case("average-pool-ceil", range(10, 24), X, "y = AveragePool<kernel_shape=[2,2], strides=[3,3], ceil_mode=1>(x)"),
    Case("batch-norm", EVERY, X, f"y = BatchNormalization<epsilon=0.01>(x, {BATCH_NORM})"),
    Case("batch-norm-spatial", _old(8), X, f"y = BatchNormalization<spatial=1>(x, {BATCH_NORM})"),
    Case(
        "batch-norm-per-activation",
        _old(8),
        "float[2,3,2] x",
        "y = BatchNormalization<spatial=0>(x, @float[3,2]{0.5,2,-1,1,2,3}, @float[3,2]{1,2,3,4,5,6}, "
        "@float[3,2]{0.1,0.2,0.3,0.4,0.5,0.6}, @float[3,2]{1,2,3,4,5,6})",
    ),
    Case("cast", EVERY, X, "y = Cast<to=7>(x)", "int64 y"),
    Case("clip-attributes", _old(10), X, "y = Clip<min=-0.5, max=0.25>(x)"),
    Case("clip-min-attribute", _old(10), X, "y = Clip<min=0.1>(x)"),
    Case("clip", range(11, 24), X, "y = Clip(x, @float{-0.5})"),
    Case("concat", EVERY, X, "y = Concat<axis=1>(x, x)"),
    Case("constant-int", range(12, 24), X, "a = Constant<value_int=2>() b = Cast<to=1>(a) y = Mul(x, b)"),
    Case("constant-floats", range(12, 24), X, "a = Constant<value_floats=[1.0,2.0,3.0,4.0,0.1]>() y = Mul(x, a)"),
    Case("conv-same", EVERY, X + ", float[2,3,3,2] w", 'y = Conv<auto_pad="SAME_UPPER", strides=[2,2]>(x, w)'),
    Case(
        "conv-transpose",
        EVERY,
        X + ", float[3,2,3,2] w",
        "y = ConvTranspose<strides=[2,3], pads=[1,0,0,1], output_padding=[1,0]>(x, w)",
    ),
    Case("cumsum", range(11, 24), X, "y = CumSum<exclusive=1>(x, @int64{1})"),
    Case("depth-to-space", EVERY, "float[2,8,2,3] x", "y = DepthToSpace<blocksize=2>(x)"),
    Case("dft", range(17, 20), "float[2,4,6,1] x", "y = DFT<axis=2, onesided=1>(x)"),
    Case("dropout", EVERY, X, "y = Dropout(x)"),
    Case("dropout-ratio", _old(11), X, "y = Dropout<ratio=0.3>(x)"),
    Case("dropout-mask", range(12, 24), X, "a, m = Dropout(x) b = Cast<to=1>(m) y = Add(a, b)"),
    Case("expand", range(8, 24), "float[2,1,5] x", "y = Expand(x, @int64[3]{1,3,1})"),
    Case("flatten", EVERY, X, "y = Flatten<axis=2>(x)"),
    Case("gather", EVERY, X, "y = Gather<axis=2>(x, @int64[2]{0,2})"),
    Case("gelu", range(20, 24), X, 'y = Gelu<approximate="tanh">(x)'),
    Case("gemm", EVERY, "float[2,3] x", "y = Gemm<transB=1, alpha=0.5>(x, @float[2,3]{1,2,3,4,5,6}, @float[2]{1,2})"),
    Case("grid-sample", range(16, 24), "float[1,2,3,4] x, float[1,2,2,2] g", "y = GridSample(x, g)"),
    Case(
        "grid-sample-cubic", range(16, 20), "float[1,2,4,4] x, float[1,2,2,2] g", 'y = GridSample<mode="bicubic">(x, g)'
    ),
    Case(
        "group-norm-per-group",
        range(18, 21),
        "float[2,4,3] x",
        "y = GroupNormalization<num_groups=2>(x, @float[2]{0.5,2}, @float[2]{0.1,0.2})",
    ),
    Case(
        "group-norm",
        range(21, 24),
        "float[2,4,3] x",
        "y = GroupNormalization<num_groups=2>(x, @float[4]{0.5,2,1,3}, @float[4]{0.1,0.2,0.3,0.4})",
        "float[a,b,c] y",
    ),
    Case("mean-variance-norm", range(13, 24), X, "y = MeanVarianceNormalization<axes=[0,2,3]>(x)", "float[a,b,c,d] y"),
    Case("hardmax", _old(12), X, "y = Hardmax<axis=2>(x)"),
    Case("hardmax-13", range(13, 24), X, "y = Hardmax<axis=2>(x)"),
    Case("instance-norm", EVERY, X, "y = InstanceNormalization(x, @float[3]{0.5,2,-1}, @float[3]{0.1,0.2,0.3})"),
    Case("layer-norm", range(17, 24), X, "y = LayerNormalization(x, @float[5]{0.5,2,-1,1,3})"),
    Case("leaky-relu", EVERY, X, "y = LeakyRelu<alpha=0.3>(x)"),
    Case("log-softmax", EVERY, X, "y = LogSoftmax<axis=1>(x)"),
    Case("log-softmax-last", EVERY, X, "y = LogSoftmax<axis=3>(x)"),
    Case("lp-pool", EVERY, X, "y = LpPool<kernel_shape=[2,2], p=1>(x)"),
    Case("lrn", EVERY, X, "y = LRN<size=3, alpha=0.5>(x)"),
    Case("max", EVERY, X, "y = Max(x, x)"),
    Case("max-pool", EVERY, X, "y = MaxPool<kernel_shape=[3,2], pads=[1,0,1,1], strides=[2,1]>(x)"),
    Case("max-pool-indices", range(8, 24), X, "y, i = MaxPool<kernel_shape=[2,2]>(x)", "float y, int64 i"),
    Case("max-pool-valid", EVERY, X, 'y = MaxPool<kernel_shape=[2,2], strides=[3,3], auto_pad="VALID">(x)'),
    Case(
        "max-pool-ceil",
        range(10, 24),
        X,
        "y = MaxPool<kernel_shape=[2,2], strides=[2,2], ceil_mode=1, dilations=[2,1]>(x)",
    ),
    Case("mean", EVERY, X, "y = Mean(x, x, x)"),
    Case("pad-attributes", _old(10), X, "y = Pad<pads=[0,1,2,0,0,0,1,3], value=0.5>(x)"),
    Case("pad-reflect-attributes", _old(10), X, 'y = Pad<mode="reflect", pads=[0,0,2,1,0,0,1,3]>(x)'),
    Case("pad", range(11, 24), X, "y = Pad(x, @int64[8]{0,1,2,0,0,0,1,3})"),
    Case("prelu", EVERY, X, "y = PRelu(x, @float[3,1,1]{0.1,0.2,0.3})"),
    Case("reduce-sum-attributes", _old(12), X, "y = ReduceSum<axes=[1,2], keepdims=0>(x)"),
    Case("reduce-sum-all", EVERY, X, "y = ReduceSum<keepdims=0>(x)"),
    Case("reduce-sum", range(13, 24), X, "y = ReduceSum(x, @int64[2]{1,-1})"),
    Case("reduce-mean", _old(17), X, "y = ReduceMean<axes=[2,3]>(x)"),
    Case("reduce-mean-negative", _old(17, 11), X, "y = ReduceMean<axes=[-1]>(x)"),
    Case("reduce-max", _old(17), X, "y = ReduceMax<axes=[0]>(x)"),
    Case("reduce-l2", _old(17), X, "y = ReduceL2<axes=[3]>(x)"),
    Case("reduce-log-sum-exp", _old(17), X, "y = ReduceLogSumExp<axes=[3], keepdims=0>(x)"),
    Case("reshape", EVERY, X, "y = Reshape(x, @int64[3]{0,-1,5})"),
    Case("resize-10-nearest", range(10, 11), X, 'y = Resize<mode="nearest">(x, @float[4]{1,1,2,3})'),
    Case("resize-10-linear", range(10, 11), X, 'y = Resize<mode="linear">(x, @float[4]{1,1,1.5,3})'),
    Case(
        "resize-10-shrink", range(10, 11), "float[1,2,6,7] x", 'y = Resize<mode="nearest">(x, @float[4]{1,1,0.6,0.5})'
    ),
    Case("resize-10-both", range(10, 11), "float[1,2,6,7] x", 'y = Resize<mode="nearest">(x, @float[4]{1,1,0.6,2.3})'),
    Case(
        "resize-11",
        range(11, 24),
        X,
        'y = Resize<mode="linear", coordinate_transformation_mode="align_corners">(x, @float[0]{}, @float[4]{1,1,2,3})',
    ),
    Case(
        "resize-11-sizes",
        range(11, 24),
        X,
        'y = Resize<mode="cubic", cubic_coeff_a=-0.5>(x, @float[0]{}, @float[0]{}, @int64[4]{2,3,7,6})',
    ),
    Case(
        "roi-align",
        range(10, 22),
        "float[1,2,6,6] x",
        "y = RoiAlign<output_height=2, sampling_ratio=2>(x, @float[2,4]{0,0,3,3,1,1,5,4}, @int64[2]{0,0})",
    ),
    Case("scatter", range(9, 11), "float[3,3] x", "y = Scatter<axis=0>(x, @int64[2,1]{2,0}, @float[2,1]{7,8})"),
    Case(
        "scatter-elements",
        range(11, 24),
        "float[3,3] x",
        "y = ScatterElements<axis=1>(x, @int64[2,1]{2,0}, @float[2,1]{7,8})",
    ),
    Case("slice-attributes", _old(9), X, "y = Slice<axes=[1,3], starts=[1,-3], ends=[9,-1]>(x)"),
    Case("slice-without-axes", _old(9), X, "y = Slice<starts=[0,1], ends=[1,3]>(x)"),
    Case("slice", range(10, 24), X, "y = Slice(x, @int64[2]{-1,0}, @int64[2]{-9,4}, @int64[2]{3,2}, @int64[2]{-2,2})"),
    Case("softmax-default", EVERY, X, "y = Softmax(x)"),
    Case("softmax", EVERY, X, "y = Softmax<axis=2>(x)"),
    Case("softmax-last", EVERY, X, "y = Softmax<axis=3>(x)"),
    Case("softmax-zero", _old(12), X, "y = Softmax<axis=0>(x)"),
    Case("softmax-channel", EVERY, "float[2,7,1,1] x", "y = Softmax<axis=1>(x)"),
    Case("softmax-negative", _old(12, 11), X, "y = Softmax<axis=-2>(x)"),
    Case("split-attribute", _old(12), X, "y, z = Split<axis=3, split=[2,3]>(x)", "float y, float z"),
    Case("split-equal", _old(17), X, "y, z = Split<axis=2>(x)", "float y, float z"),
    Case("split", range(13, 24), X, "y, z = Split<axis=3>(x, @int64[2]{2,3})", "float y, float z"),
    Case("squeeze-attribute", _old(12), "float[2,1,3,1] x", "y = Squeeze<axes=[1,3]>(x)"),
    Case("squeeze-all", EVERY, "float[2,1,3,1] x", "y = Squeeze(x)"),
    Case("sum", EVERY, X, "y = Sum(x, x)"),
    Case("thresholded-relu", range(10, 24), X, "y = ThresholdedRelu<alpha=0.4>(x)"),
    Case("topk-attribute", _old(9), X, "y, i = TopK<k=3, axis=3>(x)", "float y, int64 i"),
    Case("topk", range(10, 24), X, "y, i = TopK<axis=2>(x, @int64[1]{2})", "float y, int64 i"),
    Case("unsqueeze-attribute", _old(12), X, "y = Unsqueeze<axes=[0,3]>(x)"),
    Case("unsqueeze", range(13, 24), X, "y = Unsqueeze(x, @int64[2]{0,-1})"),
    Case("upsample-attribute", _old(8), X, 'y = Upsample<mode="nearest", scales=[1.0,1.0,2.0,3.0]>(x)'),
    Case("upsample-linear", _old(8), X, 'y = Upsample<mode="linear", scales=[1.0,1.0,2.0,3.0]>(x)'),
    Case("upsample", range(9, 10), X, 'y = Upsample<mode="nearest">(x, @float[4]{1,1,2.5,3})'),
    Case("where", range(9, 24), X, "c = Less(x, @float{0}) y = Where(c, @float{0}, x)"),
]


def text_of(body: str, inputs: str, outputs: str, opset: int) -> str:
    """ONNX text of a model; constants written in place become nodes."""
    constants = list(dict.fromkeys(re.findall(r"@(\w+(?:\[[\d,]*\])?\{[^}]*\})", body)))
    nodes = " ".join(f"c{index} = Constant<value={constant}>()" for index, constant in enumerate(constants))
    for index, constant in enumerate(constants):
        body = body.replace(f"@{constant}", f"c{index}")
    version = max(onnx.helper.find_min_ir_version_for([onnx.helper.make_opsetid("", opset)]), 4)
    head = f'<ir_version: {version}, opset_import: ["": {opset}]>'
    return f"{head} g ({inputs}) => ({outputs}) {{ {nodes} {body} }}"


def proto_of(case: Case, opset: int) -> onnx.ModelProto:
    """The case as a model of an opset."""
    return onnx.parser.parse_model(text_of(case.body, case.inputs, case.outputs, opset))


def run_original(proto: onnx.ModelProto, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Outputs by name, from ONNX Runtime given the model as it is."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, feeds), strict=True))


def feeds_of(proto: onnx.ModelProto) -> dict[str, np.ndarray]:
    """Random float32 inputs of a model; free dimensions are 2."""
    rng = np.random.default_rng(0)
    feeds = {}
    for value in proto.graph.input:
        shape = [dim.dim_value or 2 for dim in value.type.tensor_type.shape.dim]
        feeds[value.name] = rng.normal(size=shape).astype(np.float32)
    return feeds
