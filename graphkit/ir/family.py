"""Which family an operator belongs to, for pictures and summaries."""

from __future__ import annotations

from functools import cache
from typing import Final, Literal, TypeAlias, get_args

from graphkit.ir.keeping import KEPT

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


_MXNET: Final[dict[Family, str]] = {
    "convolution": "convolution deconvolution deformableconvolution modulateddeformableconvolution qconvolution",
    "normalisation": """
        batchnorm batchnormwithrelu groupnorm instancenorm l2normalization layernorm lrn mean_var_norm syncbatchnorm
    """,
    "activation": """
        activation clip gelu hard_sigmoid leakyrelu log_softmax logisticregressionoutput qactivation relu sigmoid
        softmax softmaxactivation softmaxoutput softmin softsign tanh
    """,
    "pooling": """
        adaptiveavgpooling2d deformablepsroipooling pooling psroipooling roialign roipooling rroialign
    """,
    "matmul": """
        batch_dot cholesky dot eig eigh eigvals eigvalsh einsum fullyconnected interleaved_matmul_encdec_qk
        interleaved_matmul_encdec_valatt interleaved_matmul_selfatt_qk interleaved_matmul_selfatt_valatt khatri_rao
        linalg_det linalg_gelqf linalg_gemm linalg_gemm2 linalg_inverse linalg_potrf linalg_potri linalg_slogdet
        linalg_syevd linalg_syrk linalg_trmm linalg_trsm matmul pinv qfullyconnected solve svd tensordot
        tensordot_int_axes
    """,
    "shape": """
        amp_cast arange arange_like batch_take bilinearresize2d bilinearsampler boolean_mask broadcast_axis
        broadcast_like broadcast_to cast cast_storage col2im column_stack concat concatenate copy crop depth_to_space
        diag embedding expand_dims eye flatten flip full gather_nd gridgenerator identity identity_with_attr_like_rhs
        im2col image_crop image_resize index_copy linspace moveaxis nonzero one_hot ones ones_like pad pick repeat
        reshape reshape_like reverse rnn_param_concat roll scatter_nd sequencelast sequencemask sequencereverse
        shape_array size_array slice slice_axis slice_like slicechannel space_to_depth sparseembedding
        spatialtransformer split split_v2 squeeze stack swapaxes swapaxis take tile transpose tril unique upsampling
        vstack zeros zeros_like
    """,
    "arithmetic": """
        abs absolute add add_n arccos arccosh arcsin arcsinh arctan arctan2 arctanh around bitwise_and bitwise_not
        bitwise_or bitwise_xor cbrt ceil cos cosh degrees div div_sqrt_dim divide equal erf erfinv exp expm1 fix floor
        gamma gammaln grad_add greater greater_equal hypot less less_equal lesser lesser_equal log log10 log1p log2
        logical_and logical_not logical_or logical_xor maximum minimum minus mod mul multiply negative not_equal plus
        power quadratic radians reciprocal rint round rsqrt sign sin sinh smooth_l1 sqrt square sub subtract tan
        true_divide trunc where
    """,
    "reduction": """
        argmax argmax_channel argmin argsort ctcloss cumsum hawkesll max mean min moments nanprod nansum norm prod
        softmax_cross_entropy sort std sum topk var
    """,
    "control flow": "cond foreach while_loop",
    "recurrent": "rnn",
}
"""MXNet's operators, as :func:`_plain` has their names."""


@cache
def _by_operator() -> dict[str, Family]:
    return {operator: family for family, operators in _OPERATORS.items() for operator in operators.split()}


@cache
def _by_mxnet() -> dict[str, Family]:
    return {operator: family for family, operators in _MXNET.items() for operator in operators.split()}


def _plain(op: str) -> str:
    """An operator of MXNet's without what tells its interface, its version or the kind of its operands."""
    name = op.lower().lstrip("_").removesuffix("_v1")
    for prefix in ("contrib_", "npi_", "npx_", "np_", "elemwise_"):
        name = name.removeprefix(prefix)
    scalar = name.removesuffix("_scalar")
    name = scalar.removeprefix("r") if scalar != name and scalar.removeprefix("r") in _by_mxnet() else scalar
    stretched = name.removeprefix("broadcast_")
    return stretched if _by_mxnet().get(stretched) == "arithmetic" else name


def family_of(op_type: str, domain: str = "") -> Family:
    """The family of an operator; ``"other"`` for random numbers, quantisation, strings, and what is not known."""
    if domain == "mxnet":
        return _by_mxnet().get(_plain(op_type), "other")
    common = domain in ("", "ai.onnx", "com.microsoft", KEPT)
    return _by_operator().get(op_type if common else f"{domain}:{op_type}", "other")
