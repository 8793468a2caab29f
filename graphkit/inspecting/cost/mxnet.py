"""Multiply-adds of MXNet's operators, in models whose nodes stay as a symbol spells them; attributes are strings."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

from graphkit.ir.symbols import product, shape_of
from graphkit.ops.codec import BOOL, INT
from graphkit.ops.work import Product, matmul_macs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import onnx_ir as ir

    from graphkit.ir.symbols import Size
    from graphkit.ops.work import Macs

__all__ = ["DOMAIN", "MXNET", "WITHOUT", "canonical_name", "reads_as"]

DOMAIN: Final = "mxnet"


_WITHOUT: Final = """
    BlockGrad CTCLoss Crop IdentityAttachKLSparseReg LinearRegressionOutput LogisticRegressionOutput
    MAERegressionOutput MakeLoss MoonOutput Pooling Pooling_v1 SVMOutput SequenceLast SequenceMask SoftmaxOutput
    _contrib_AdaptiveAvgPooling2D _contrib_BilinearResize2D _contrib_DeformablePSROIPooling
    _contrib_MultiBoxDetection _contrib_MultiBoxPrior _contrib_MultiBoxTarget _contrib_MultiProposal
    _contrib_PSROIPooling _contrib_Proposal _contrib_RROIAlign _contrib_allclose _contrib_bipartite_matching
    _contrib_box_decode _contrib_box_encode _contrib_box_iou _contrib_box_nms _contrib_count_sketch
    _contrib_dequantize _contrib_div_sqrt_dim _contrib_fft _contrib_gradientmultiplier _contrib_hawkesll
    _contrib_ifft _contrib_index_array _contrib_quadratic _contrib_quantize _contrib_quantize_v2
    _contrib_quantized_act _contrib_quantized_batch_norm _contrib_quantized_concat _contrib_quantized_elemwise_add
    _contrib_quantized_embedding _contrib_quantized_flatten _contrib_quantized_pooling _contrib_requantize
    _contrib_round_ste _contrib_sign_ste _cvcopyMakeBorder _cvimresize _full _histogram _hypot _hypot_scalar
    _image_adjust_lighting _image_crop _image_flip_left_right _image_flip_top_bottom _image_normalize
    _image_random_brightness _image_random_contrast _image_random_flip_left_right _image_random_flip_top_bottom
    _image_random_lighting _image_random_saturation _image_resize _image_to_tensor _linalg_extractdiag
    _linalg_extracttrian _linalg_gelqf _linalg_inverse _linalg_makediag _linalg_maketrian _linalg_potrf
    _linalg_slogdet _linalg_sumlogdiag _linalg_syevd _linalg_trsm _not_equal _not_equal_scalar _np_all _np_any
    _np_atleast_1d _np_atleast_2d _np_atleast_3d _np_copy _np_diag _np_diagflat _np_diagonal _np_max _np_min
    _np_moveaxis _np_prod _np_reshape _np_roll _np_squeeze _np_sum _np_trace _np_transpose _npi_add _npi_arange
    _npi_arctan2 _npi_arctan2_scalar _npi_argmax _npi_argmin _npi_around _npi_average _npi_bernoulli _npi_bincount
    _npi_blackman _npi_broadcast_to _npi_cbrt _npi_choice _npi_cholesky _npi_column_stack _npi_concatenate
    _npi_copysign _npi_copysign_scalar _npi_degrees _npi_delete _npi_diag_indices_from _npi_diff _npi_dsplit
    _npi_dstack _npi_ediff1d _npi_eig _npi_eigh _npi_eigvals _npi_eigvalsh _npi_equal _npi_equal_scalar _npi_expm1
    _npi_exponential _npi_eye _npi_fix _npi_flip _npi_full_like _npi_gamma _npi_greater _npi_greater_equal
    _npi_greater_equal_scalar _npi_greater_scalar _npi_gumbel _npi_hamming _npi_hanning _npi_hsplit _npi_hstack
    _npi_hypot _npi_identity _npi_indices _npi_insert_scalar _npi_insert_slice _npi_insert_tensor _npi_isfinite
    _npi_isinf _npi_isnan _npi_isneginf _npi_isposinf _npi_lcm _npi_lcm_scalar _npi_ldexp _npi_ldexp_scalar
    _npi_less _npi_less_equal _npi_less_equal_scalar _npi_less_scalar _npi_log10 _npi_log1p _npi_log2
    _npi_logical_not _npi_logistic _npi_logspace _npi_mean _npi_mod _npi_multinomial _npi_multiply _npi_nan_to_num
    _npi_norm _npi_normal _npi_normal_n _npi_not_equal _npi_not_equal_scalar _npi_ones _npi_pad _npi_pareto
    _npi_percentile _npi_power _npi_powerd _npi_radians _npi_rarctan2_scalar _npi_rayleigh _npi_rcopysign_scalar
    _npi_rint _npi_rldexp_scalar _npi_rot90 _npi_rtrue_divide_scalar _npi_solve _npi_square _npi_stack _npi_std
    _npi_subtract _npi_svd _npi_tensorinv _npi_tensorsolve _npi_tril _npi_true_divide _npi_true_divide_scalar
    _npi_trunc _npi_uniform _npi_uniform_n _npi_var _npi_vstack _npi_weibull _npi_where _npi_where_lscalar
    _npi_where_rscalar _npi_where_scalar2 _npi_zeros _npx_constraint_check _npx_reshape _ones _random_exponential
    _random_exponential_like _random_gamma _random_gamma_like _random_generalized_negative_binomial
    _random_generalized_negative_binomial_like _random_negative_binomial _random_negative_binomial_like
    _random_pdf_dirichlet _random_pdf_exponential _random_pdf_gamma _random_pdf_generalized_negative_binomial
    _random_pdf_negative_binomial _random_pdf_normal _random_pdf_poisson _random_pdf_uniform _random_poisson
    _random_poisson_like _random_randint _ravel_multi_index _sample_exponential _sample_gamma
    _sample_generalized_negative_binomial _sample_negative_binomial _sample_normal _sample_poisson _sample_uniform
    _sample_unique_zipfian _shuffle _slice_assign _slice_assign_scalar _unravel_index _zeros _zeros_without_dtype
    amp_multicast argsort batch_take broadcast_hypot broadcast_not_equal cbrt degrees diag erfinv expm1 fix gamma
    gammaln im2col khatri_rao log10 log1p log2 make_loss moments nanprod nansum norm ones_like pick radians rcbrt
    repeat reshape_like rint round rsqrt smooth_l1 sort square trunc zeros_like
"""

WITHOUT: Final = frozenset(_WITHOUT.split())
"""Operators that are read as several of ONNX's, none of which is a matrix product or a convolution."""


@cache
def reads_as(op_type: str) -> frozenset[str]:
    """The ONNX operators that one of MXNet's is read as, one or another; none where it is read as several at once."""
    from graphkit.ops.index import index

    forms = index().by_mx.get(op_type, ())
    names = frozenset(op.onnx for op, _ in forms)
    return frozenset() if "" in names or any(op.domain for op, _ in forms) else names


def canonical_name(op_type: str) -> str:
    """MXNet's own name of an operator that a symbol may call by an older one."""
    from graphkit.frameworks.mxnet.schema import canonical

    return canonical(op_type)


def _upsampled(node: ir.Node) -> Sequence[Product]:
    """Nearest neighbours make no product; bilinear weights are a transposed convolution of each channel."""
    return () if _text(node, "sample_type", "") == "nearest" else (Product(None, (0,), (1,)),)


def _shape(node: ir.Node, index: int) -> tuple[Size, ...] | None:
    value = node.inputs[index] if index < len(node.inputs) else None
    return None if value is None else shape_of(value)


def _text(node: ir.Node, name: str, default: str) -> str:
    return node.attributes.get_string(name, default) or default


def _convolved(node: ir.Node) -> Sequence[Product]:
    """A convolution, or a transposed one; channels are the second axis."""
    filters = _shape(node, 1)
    moved = _shape(node, 0) if node.op_type == "Deconvolution" else shape_of(node.outputs[0])
    first = _text(node, "layout", "NC").upper().startswith("NC")
    count = product((moved[0], *moved[2:], *filters)) if moved and filters and first else None
    return (Product(count, (0,), (1,), INT.parse(_text(node, "num_group", "1"))),)


def _dense(node: ir.Node) -> Sequence[Product]:
    """A product with a matrix (outputs, inputs)."""
    made, weight = shape_of(node.outputs[0]), _shape(node, 1)
    count = product((*made, weight[1])) if made and weight and len(weight) == 2 else None
    return (Product(count, (0,), (1,)),)


def _multiplied(node: ir.Node) -> Sequence[Product]:
    """A product of stacks of as many matrices, either of which may be turned."""
    a, b = _shape(node, 0), _shape(node, 1)
    count = None
    if a and b and len(a) == len(b) > 1:
        turned = [BOOL.parse(_text(node, name, "False")) for name in ("transpose_a", "transpose_b")]
        a, b = ((*x[:-2], x[-1], x[-2]) if turn else x for x, turn in zip((a, b), turned, strict=True))
        count = matmul_macs(a, b)
    return (Product(count, (0,), (1,)),)


def _dot(node: ir.Node) -> Sequence[Product]:
    """A sum over the last axis of one tensor and the first of another; matrices may be turned."""
    a, b = _shape(node, 0), _shape(node, 1)
    if a and b and len(a) == len(b) == 2:
        return _multiplied(node)
    turned = any(BOOL.parse(_text(node, name, "False")) for name in ("transpose_a", "transpose_b"))
    count = product((*a[:-1], *b)) if a and b and not turned else None
    return (Product(count, (0,), (1,)),)


_GATES: Final = {"lstm": 4, "gru": 3, "rnn_relu": 1, "rnn_tanh": 1}


def _recurrent(node: ir.Node) -> Sequence[Product]:
    """Layers of a recurrent network whose parameters lie in one vector; without a projection of the state."""
    data = _shape(node, 0)
    gates, hidden = _GATES[_text(node, "mode", "")], INT.parse(_text(node, "state_size", ""))
    twice = 2 if BOOL.parse(_text(node, "bidirectional", "False")) else 1
    found = []
    for layer in range(INT.parse(_text(node, "num_layers", "1"))):
        steps, batch, width = data if data is not None and len(data) == 3 else (None, None, None)
        if _text(node, "projection_size", "None") != "None":
            steps = None
        inputs = twice * hidden if layer else width
        made = product((twice, batch, gates * hidden))
        behind = (0, 1, 2)
        found.append(Product(product((made, steps, inputs)), behind if layer else (0,), (1,)))
        found.append(Product(product((made, hidden)), (2,), (1,)))
        found.append(Product(product((made, hidden, None if steps is None else steps - 1)), behind, (1,)))
    return found


MXNET: Final[Mapping[str, Macs]] = {
    "Convolution": _convolved,
    "Convolution_v1": _convolved,
    "Deconvolution": _convolved,
    "FullyConnected": _dense,
    "RNN": _recurrent,
    "UpSampling": _upsampled,
    "_linalg_gemm2": _multiplied,
    "batch_dot": _multiplied,
    "dot": _dot,
}
"""What tells the products of an operator."""
