"""Multiply-adds of PyTorch's operators, in models of which nodes stay PyTorch's.

Inputs are the tensors of an operator's schema in its order, lists flattened; attributes are its other arguments.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from graphkit.ir.symbols import product, shape_of
from graphkit.ops.work import Product, contracted, either, matmul_macs, multiplied

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import onnx_ir as ir

    from graphkit.ir.symbols import Size
    from graphkit.ops.work import Macs

__all__ = ["ATEN", "DOMAIN", "PYTHON", "WITHOUT", "packet_of"]

DOMAIN: Final = "torch.aten"
PYTHON: Final = frozenset({"torch.math", "torch.operator"})
"""Domains of Python's own arithmetic, on sizes."""

_WITHOUT: Final = """
    __ilshift __ixor __lshift __rshift __xor _adaptive_avg_pool2d _adaptive_avg_pool3d _assert_async _assert_scalar
    _assert_tensor_metadata _embedding_bag _fft_c2r _fft_r2c _local_scalar_dense _log_softmax _native_batch_norm_legit
    _native_batch_norm_legit_no_training _pdist_forward _softmax _to_copy abs acos acosh adaptive_avg_pool1d
    adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d add addcdiv
    addcmul alias alpha_dropout amax amin angle any arange argmax argmin argsort as_strided asin asinh atan atan2
    atanh avg_pool1d avg_pool2d avg_pool3d batch_norm binary_cross_entropy binary_cross_entropy_with_logits bincount
    bitwise_and bitwise_left_shift bitwise_not bitwise_or bitwise_right_shift bitwise_xor broadcast_tensors
    broadcast_to bucketize cat ceil celu channel_shuffle chunk clamp clamp_max clamp_min clip clone col2im concat
    concatenate conj_physical constant_pad_nd contiguous copy copysign cos cosh cosine_similarity count_nonzero
    cross_entropy_loss cummax cummin cumprod cumsum deg2rad detach diagonal diff digamma div dropout dstack elu
    embedding embedding_bag empty empty_like empty_strided eq erf erfc erfinv exp exp2 expand expand_as expm1 eye
    feature_dropout fft_fft fft_fft2 fft_ifft fft_ifft2 fft_irfft fft_rfft fill flatten flip fliplr flipud float_power
    floor fmax fmin fmod frac frexp full full_like gather gcd ge gelu glu grid_sampler grid_sampler_2d group_norm gt
    hardshrink hardsigmoid hardswish hardtanh heaviside histc hstack huber_loss hypot i0 igamma igammac im2col index
    index_copy index_fill index_put index_select instance_norm is_floating_point isfinite isinf isnan isneginf
    isposinf istft item kl_div kthvalue l1_loss layer_norm lcm ldexp le leaky_relu lerp lgamma lift_fresh
    lift_fresh_copy linspace log log10 log1p log2 log_softmax logaddexp logaddexp2 logcumsumexp logical_and
    logical_not logical_or logical_xor logit logsumexp lt mT masked_fill masked_scatter masked_select max max_pool1d
    max_pool2d max_pool2d_with_indices max_pool3d max_pool3d_with_indices maximum mean median meshgrid min minimum
    mish mode moveaxis movedim mse_loss mul mvlgamma nan_to_num nanmedian narrow native_batch_norm native_dropout
    native_group_norm native_layer_norm ne neg new_empty new_full new_ones new_zeros nextafter nll_loss nll_loss_nd
    nonzero nonzero_numpy norm numpy_T one_hot ones ones_like pad pairwise_distance permute pixel_shuffle
    pixel_unshuffle polar polygamma positive pow prelu prod quantile rad2deg rand rand_like randint_like randn
    randn_like randperm range reciprocal reflection_pad1d reflection_pad2d reflection_pad3d relu relu6 remainder
    repeat repeat_interleave replication_pad1d replication_pad2d replication_pad3d reshape reshape_as resolve_conj
    resolve_neg rms_norm roll rot90 round rrelu rsqrt rsub scalar_tensor scatter scatter_add scatter_reduce
    searchsorted select select_scatter selu sgn sigmoid sign signbit silu sin sinc sinh slice slice_scatter
    smooth_l1_loss softmax softplus softshrink sort special_airy_ai special_bessel_j0 special_bessel_j1
    special_bessel_y0 special_bessel_y1 special_chebyshev_polynomial_t special_chebyshev_polynomial_u
    special_chebyshev_polynomial_v special_chebyshev_polynomial_w special_entr special_erfcx
    special_hermite_polynomial_h special_hermite_polynomial_he special_i0e special_i1 special_i1e
    special_laguerre_polynomial_l special_legendre_polynomial_p special_log_ndtr special_modified_bessel_i0
    special_modified_bessel_i1 special_modified_bessel_k0 special_modified_bessel_k1 special_ndtri
    special_scaled_modified_bessel_k0 special_scaled_modified_bessel_k1 special_shifted_chebyshev_polynomial_t
    special_shifted_chebyshev_polynomial_u special_shifted_chebyshev_polynomial_v
    special_shifted_chebyshev_polynomial_w special_spherical_bessel_j0 special_xlog1py special_zeta split
    split_with_sizes sqrt square squeeze stack std std_mean stft sub sum swapaxes swapdims sym_constrain_range
    sym_constrain_range_for_size sym_numel sym_size sym_storage_offset sym_stride t take take_along_dim tan tanh
    tensor_split threshold tile to topk trace transpose tril tril_indices triu triu_indices true_divide trunc type_as
    unbind unflatten unfold unsafe_chunk unsafe_split unsqueeze upsample_bicubic2d upsample_bilinear2d
    upsample_linear1d upsample_nearest1d upsample_nearest2d upsample_nearest3d upsample_trilinear3d vander var
    var_mean view view_as vstack where xlogy zero zeros zeros_like
"""

WITHOUT: Final = frozenset(_WITHOUT.split())
"""Operators, by name without overload, that make no matrix product and no convolution that PyTorch counts."""


def packet_of(op_type: str) -> str:
    """An operator's name without its overload, and without the mark of working in place."""
    name = op_type.partition(".")[0]
    return name if name.startswith("__") else name.rstrip("_") or name


def _shape(node: ir.Node, index: int) -> tuple[Size, ...] | None:
    value = node.inputs[index] if index < len(node.inputs) else None
    return None if value is None else shape_of(value)


def _convolution(node: ir.Node) -> Sequence[Product]:
    """A convolution, transposed where an attribute or the name says so."""
    turned = "transpose" in node.op_type or bool(node.attributes.get_int("transposed", 0))
    moved, filters = (_shape(node, 0) if turned else shape_of(node.outputs[0])), _shape(node, 1)
    data = _shape(node, 0)
    count = None
    if moved and filters and data:
        batch = data[0] if len(data) == len(filters) else 1  # PyTorch takes single images, too
        count = product((batch, *moved[len(moved) - len(filters) + 2 :], *filters))
    return (Product(count, (0,), (1,), node.attributes.get_int("groups", 1)),)


def _linear(node: ir.Node) -> Sequence[Product]:
    """A product with a matrix (outputs, inputs)."""
    data, weight = _shape(node, 0), _shape(node, 1)
    count = product((*data, *weight[:-1])) if data and weight else None
    return (Product(count, (0,), (1,)),)


def _added(node: ir.Node) -> Sequence[Product]:
    """A product of the last two of three operands."""
    return (Product(matmul_macs(_shape(node, 1), _shape(node, 2)), (1,), (2,)),)


def _attention(node: ir.Node) -> Sequence[Product]:
    """Queries, keys and values by head, with groups of heads or without."""
    query, key, value = (_shape(node, index) for index in range(3))
    scores = weighed = None
    if query and key and value and len(query) > 1:
        scores = product((*query, key[-2]))
        weighed = product((*query[:-1], either(key[-2], value[-2]), value[-1]))
    return (Product(scores, (0,), (1,)), Product(weighed, (0, 1, 3), (2,)))


def _recurrent(states: int) -> Macs:
    """Layers of a recurrent network: of the data, and of the state of the step before."""

    def macs(node: ir.Node) -> Sequence[Product]:
        data, start = _shape(node, 0), _shape(node, 1)
        weights = [index for index in range(1 + states, len(node.inputs)) if len(_shape(node, index) or ()) == 2]
        last = _shape(node, states)
        group = 3 if start and last and start[-1] != last[-1] else 2  # with a projection of the state
        known = data is not None and len(data) == 3 and bool(weights) and len(weights) % group == 0
        if data is None or not known:
            return (Product(None, (0,), tuple(range(1, len(node.inputs)))),)
        batch_first = node.attributes.get_int("batch_first", 0)
        batch, steps = (data[0], data[1]) if batch_first else (data[1], data[0])
        directions = 2 if node.attributes.get_int("bidirectional", 0) else 1
        found = []
        for place in range(0, len(weights), group):
            layer = place // group // directions * directions * group
            before = tuple(range(weights[layer])) if layer else (0,)
            of_data, of_state, *projection = weights[place : place + group]
            behind = tuple(range(weights[min(layer + directions * group, len(weights)) - 1] + 1))
            every = product((steps, batch))
            rest = None if steps is None else product((steps - 1, batch))
            found.append(Product(product((every, *(_shape(node, of_data) or (None,)))), before, (of_data,)))
            again = _shape(node, of_state) or (None,)
            found.append(Product(product((batch, *again)), (1,), (of_state,)))
            found.append(Product(product((rest, *again)), behind, (of_state,)))
            found += [Product(product((every, *(_shape(node, w) or (None,)))), behind, (w,)) for w in projection]
        return found

    return macs


ATEN: Final[Mapping[str, Macs]] = {
    "_convolution": _convolution,
    "_int_mm": multiplied(),
    "addbmm": _added,
    "addmm": _added,
    "addmv": _added,
    "baddbmm": _added,
    "bmm": multiplied(),
    "conv1d": _convolution,
    "conv2d": _convolution,
    "conv3d": _convolution,
    "conv_transpose1d": _convolution,
    "conv_transpose2d": _convolution,
    "conv_transpose3d": _convolution,
    "convolution": _convolution,
    "dot": multiplied(),
    "einsum": contracted,
    "gru": _recurrent(1),
    "linear": _linear,
    "linalg_matmul": multiplied(),
    "lstm": _recurrent(2),
    "matmul": multiplied(),
    "mm": multiplied(),
    "mv": multiplied(),
    "rnn_relu": _recurrent(1),
    "rnn_tanh": _recurrent(1),
    "scaled_dot_product_attention": _attention,
}
"""What tells the products of an operator, by its name without overload."""
