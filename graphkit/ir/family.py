"""Which family an operator belongs to, for pictures and summaries."""

from __future__ import annotations

from functools import cache
from typing import Final, Literal, TypeAlias, get_args

__all__ = ["FAMILIES", "Family", "family_of"]

Family: TypeAlias = Literal[
    "convolution",
    "normalisation",
    "activation",
    "pooling",
    "matmul",
    "shape",
    "arithmetic",
    "reduction",
    "control flow",
    "recurrent",
    "other",
]
"""A kind of operator. ``shape`` moves and rearranges data without computing on it."""

FAMILIES: Final[tuple[Family, ...]] = get_args(Family)

_OPERATORS: Final[dict[Family, str]] = {
    "convolution": """
        Conv ConvTranspose ConvInteger DeformConv QLinearConv CausalConvWithState
        FusedConv NhwcConv NhwcFusedConv QLinearConvTranspose
    """,
    "normalisation": """
        BatchNormalization InstanceNormalization LayerNormalization GroupNormalization RMSNormalization LRN
        LpNormalization MeanVarianceNormalization
        SkipLayerNormalization SkipGroupNorm GroupNorm EmbedLayerNormalization SimplifiedLayerNormalization
        SkipSimplifiedLayerNormalization ai.onnx.ml:Normalizer ai.onnx.ml:Scaler
    """,
    "activation": """
        Relu LeakyRelu PRelu ThresholdedRelu Elu Celu Selu Gelu Mish Swish SwiGLU HardSwish HardSigmoid Sigmoid Tanh
        Softplus Softsign Softmax LogSoftmax Hardmax Shrink Clip
        FastGelu BiasGelu QuickGelu QLinearSigmoid QLinearLeakyRelu QLinearSoftmax
    """,
    "pooling": """
        MaxPool AveragePool LpPool GlobalMaxPool GlobalAveragePool GlobalLpPool MaxRoiPool MaxUnpool RoiAlign
        QLinearAveragePool QLinearGlobalAveragePool
        graphkit:PSRoiPool graphkit:DeformablePSRoiPool graphkit:RotatedRoiAlign
    """,
    "matmul": """
        MatMul Gemm Einsum MatMulInteger QLinearMatMul Attention LinearAttention ai.onnx.preview:FlexAttention Det
        FusedMatMul FusedGemm MatMulNBits QGemm MultiHeadAttention GroupQueryAttention TransposeMatMul
        graphkit:Cholesky graphkit:Eig graphkit:Eigh graphkit:Inverse graphkit:Qr graphkit:SlogDet graphkit:Solve
        graphkit:Svd graphkit:TriangularSolve
    """,
    "shape": """
        Reshape Transpose Flatten Squeeze Unsqueeze Concat Split Slice Expand Tile Pad Shape Size Identity Cast CastLike
        BitCast Gather GatherElements GatherND Scatter ScatterElements ScatterND TensorScatter Resize Upsample
        DepthToSpace SpaceToDepth Col2Im CenterCropPad ReverseSequence Constant ConstantOfShape Range EyeLike OneHot
        NonZero Compress Unique Trilu GridSample AffineGrid
        ai.onnx.ml:ArrayFeatureExtractor ai.onnx.ml:FeatureVectorizer
    """,
    "arithmetic": """
        Add Sub Mul Div Neg Abs Sign Reciprocal Pow Sqrt Exp Log Erf Mod Floor Ceil Round Sum Mean Max Min
        Sin Cos Tan Asin Acos Atan Sinh Cosh Asinh Acosh Atanh And Or Xor Not Equal Less LessOrEqual Greater
        GreaterOrEqual BitShift BitwiseAnd BitwiseOr BitwiseXor BitwiseNot Where IsInf IsNaN RotaryEmbedding
        QLinearAdd QLinearMul ai.onnx.ml:Binarizer graphkit:Atan2 graphkit:Erfinv graphkit:Gamma graphkit:Lgamma
        graphkit:Expm1 graphkit:Log1p
    """,
    "reduction": """
        ReduceMean ReduceSum ReduceMax ReduceMin ReduceProd ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp
        ReduceSumSquare ArgMax ArgMin TopK CumSum CumProd SoftmaxCrossEntropyLoss NegativeLogLikelihoodLoss
        graphkit:CTCLoss graphkit:HawkesLogLikelihood
    """,
    "control flow": """
        If Loop Scan SequenceMap SequenceConstruct SequenceEmpty SequenceInsert SequenceErase SequenceAt SequenceLength
        SplitToSequence ConcatFromSequence Optional OptionalGetElement OptionalHasElement
    """,
    "recurrent": "LSTM GRU RNN DynamicQuantizeLSTM",
}
"""Operators of ai.onnx and com.microsoft by name; those of other domains as ``domain:name``."""


@cache
def _by_operator() -> dict[str, Family]:
    return {operator: family for family, operators in _OPERATORS.items() for operator in operators.split()}


def family_of(op_type: str, domain: str = "") -> Family:
    """The family of an operator; ``"other"`` for random numbers, quantisation, strings, and what is not known."""
    common = domain in ("", "ai.onnx", "com.microsoft")
    return _by_operator().get(op_type if common else f"{domain}:{op_type}", "other")
