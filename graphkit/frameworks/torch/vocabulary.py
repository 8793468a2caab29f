"""What source may name that is run without being trusted: what computes, and nothing else of torch.

Left out of torch's own lists is what reads or writes files, runs or compiles code, registers hooks, hands out memory or
takes structures that torch does not check.
"""

# ruff: noqa: SIM905  # words are read and compared more easily than quoted strings, a line each

from __future__ import annotations

from typing import Final

__all__ = ["ATTRIBUTES", "MODULES", "RESERVED"]

_TORCH: Final = frozenset(
    """
Size Tensor abs absolute acos acosh adaptive_avg_pool1d adaptive_max_pool1d add addbmm addcdiv addcmul addmm addmv
addr adjoint affine_grid_generator alias_copy all allclose alpha_dropout amax amin aminmax angle any arange arccos
arccosh arcsin arcsinh arctan arctan2 arctanh argmax argmin argsort argwhere as_strided as_strided_copy
as_strided_scatter as_tensor asarray asin asinh atan atan2 atanh atleast_1d atleast_2d atleast_3d autocast avg_pool1d
baddbmm bartlett_window batch_norm bernoulli bilinear binary_cross_entropy_with_logits bincount binomial bitwise_and
bitwise_left_shift bitwise_not bitwise_or bitwise_right_shift bitwise_xor blackman_window block_diag bmm
broadcast_shapes broadcast_tensors broadcast_to bucketize can_cast cartesian_prod cat cdist ceil celu chain_matmul
channel_shuffle cholesky cholesky_inverse cholesky_solve chunk clamp clamp_max clamp_min clip clone column_stack
combinations complex concat concatenate conj conj_physical constant_pad_nd conv1d conv2d conv3d conv_tbc
conv_transpose1d conv_transpose2d conv_transpose3d convolution copysign corrcoef cos cosh cosine_embedding_loss
cosine_similarity count_nonzero cov cross ctc_loss cummax cummin cumprod cumsum cumulative_trapezoid deg2rad
dequantize det detach detach_copy device diag diag_embed diagflat diagonal diagonal_copy diagonal_scatter diff digamma
dist div divide dot dropout dsplit dstack einsum embedding embedding_bag empty empty_like enable_grad eq equal erf
erfc erfinv exp exp2 expand_copy expm1 eye fake_quantize_per_channel_affine fake_quantize_per_tensor_affine
feature_alpha_dropout feature_dropout fill finfo fix flatten flip fliplr flipud float_power floor floor_divide fmax
fmin fmod frac frexp frobenius_norm full full_like gather gcd ge geqrf ger gradient greater greater_equal grid_sampler
grid_sampler_2d grid_sampler_3d group_norm gru gru_cell gt hamming_window hann_window hardshrink heaviside
hinge_embedding_loss histc histogram histogramdd hsplit hstack hypot i0 igamma igammac iinfo imag index_add index_copy
index_fill index_put index_reduce index_select inference_mode inner instance_norm inverse is_complex is_conj
is_floating_point is_grad_enabled is_inference is_neg is_nonzero is_same_size is_signed is_tensor isclose isfinite
isin isinf isnan isneginf isposinf isreal istft kaiser_window kl_div kron kthvalue layer_norm lcm ldexp le lerp less
less_equal lgamma linspace lobpcg log log10 log1p log2 log_softmax logaddexp logaddexp2 logcumsumexp logdet
logical_and logical_not logical_or logical_xor logit logspace logsumexp lstm lstm_cell lt lu lu_solve
margin_ranking_loss masked_fill masked_scatter masked_select matmul matrix_exp matrix_power max max_pool1d
max_pool1d_with_indices max_pool2d max_pool3d maximum mean median meshgrid min minimum mm mode moveaxis movedim msort
mul multinomial multiply mv mvlgamma nan_to_num nanmean nanmedian nanquantile nansum narrow narrow_copy ne neg
negative nextafter no_grad nonzero nonzero_static norm norm_except_dim normal not_equal nuclear_norm numel ones
ones_like outer pairwise_distance pca_lowrank pdist permute permute_copy pinverse pixel_shuffle pixel_unshuffle
poisson poisson_nll_loss polar polygamma positive pow prelu prod promote_types put qr quantile quantize_per_channel
quantize_per_tensor quantize_per_tensor_dynamic rad2deg rand rand_like randint randint_like randn randn_like randperm
range ravel real reciprocal relu remainder renorm repeat_interleave reshape resolve_conj resolve_neg result_type
rms_norm rnn_relu rnn_relu_cell rnn_tanh rnn_tanh_cell roll rot90 round row_stack rrelu rsqrt rsub scalar_tensor
scatter scatter_add scatter_reduce searchsorted select select_copy select_scatter selu sgn sigmoid sign signbit sin
sinc sinh slice_copy slice_scatter slogdet softmax sort split split_copy split_with_sizes split_with_sizes_copy spmm
sqrt square squeeze squeeze_copy stack std std_mean stft sub subtract sum svd svd_lowrank swapaxes swapdims t t_copy
take take_along_dim tan tanh tensor tensor_split tensordot threshold tile topk trace transpose transpose_copy
trapezoid trapz triangular_solve tril tril_indices triplet_margin_loss triu triu_indices true_divide trunc unbind
unbind_copy unflatten unfold_copy unique unique_consecutive unravel_index unsqueeze unsqueeze_copy vander var var_mean
vdot view_as_complex view_as_complex_copy view_as_real view_as_real_copy view_copy vsplit vstack where xlogy zeros
zeros_like
""".split()
)

_FUNCTIONAL: Final = frozenset(
    """
adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool1d_with_indices
adaptive_max_pool2d adaptive_max_pool2d_with_indices adaptive_max_pool3d adaptive_max_pool3d_with_indices affine_grid
alpha_dropout avg_pool1d avg_pool2d avg_pool3d batch_norm bilinear binary_cross_entropy
binary_cross_entropy_with_logits celu celu_ channel_shuffle conv1d conv2d conv3d conv_tbc conv_transpose1d
conv_transpose2d conv_transpose3d cosine_embedding_loss cosine_similarity cross_entropy ctc_loss dropout dropout1d
dropout2d dropout3d elu elu_ embedding embedding_bag feature_alpha_dropout fold fractional_max_pool2d
fractional_max_pool2d_with_indices fractional_max_pool3d fractional_max_pool3d_with_indices gaussian_nll_loss gelu glu
grid_sample group_norm gumbel_softmax hardshrink hardsigmoid hardswish hardtanh hardtanh_ hinge_embedding_loss
huber_loss instance_norm interpolate kl_div l1_loss layer_norm leaky_relu leaky_relu_ linear linear_cross_entropy
local_response_norm log_softmax logsigmoid lp_pool1d lp_pool2d lp_pool3d margin_ranking_loss max_pool1d
max_pool1d_with_indices max_pool2d max_pool2d_with_indices max_pool3d max_pool3d_with_indices max_unpool1d
max_unpool2d max_unpool3d mish mse_loss multi_head_attention_forward multi_margin_loss multilabel_margin_loss
multilabel_soft_margin_loss nll_loss normalize one_hot pad pairwise_distance pdist pixel_shuffle pixel_unshuffle
poisson_nll_loss prelu relu relu6 relu_ rms_norm rrelu rrelu_ scaled_dot_product_attention selu selu_ sigmoid silu
smooth_l1_loss soft_margin_loss softmax softmin softplus softshrink softsign tanh tanhshrink threshold threshold_
triplet_margin_loss triplet_margin_with_distance_loss unfold upsample
""".split()
)

_LINALG: Final = frozenset(
    """
cholesky cholesky_ex cond cross det diagonal eig eigh eigvals eigvalsh householder_product inv inv_ex ldl_factor
ldl_factor_ex ldl_solve lstsq lu lu_factor lu_factor_ex lu_solve matmul matrix_exp matrix_norm matrix_power
matrix_rank multi_dot norm pinv qr slogdet solve solve_ex solve_triangular svd svdvals tensorinv tensorsolve vander
vecdot vector_norm
""".split()
)

_FFT: Final = frozenset(
    """
fft fft2 fftfreq fftn fftshift hfft hfft2 hfftn ifft ifft2 ifftn ifftshift ihfft ihfft2 ihfftn irfft irfft2 irfftn
rfft rfft2 rfftfreq rfftn
""".split()
)

_SPECIAL: Final = frozenset(
    """
airy_ai bessel_j0 bessel_j1 bessel_y0 bessel_y1 chebyshev_polynomial_t chebyshev_polynomial_u chebyshev_polynomial_v
chebyshev_polynomial_w digamma entr erf erfc erfcx erfinv exp2 expit expm1 gammainc gammaincc gammaln
hermite_polynomial_h hermite_polynomial_he i0 i0e i1 i1e laguerre_polynomial_l legendre_polynomial_p log1p log_ndtr
log_softmax logit logsumexp modified_bessel_i0 modified_bessel_i1 modified_bessel_k0 modified_bessel_k1 multigammaln
ndtr ndtri polygamma psi round scaled_modified_bessel_k0 scaled_modified_bessel_k1 shifted_chebyshev_polynomial_t
shifted_chebyshev_polynomial_u shifted_chebyshev_polynomial_v shifted_chebyshev_polynomial_w sinc softmax
spherical_bessel_j0 xlog1py xlogy zeta
""".split()
)

_INIT: Final = frozenset(
    """
calculate_gain constant_ dirac_ eye_ kaiming_normal_ kaiming_uniform_ normal_ ones_ orthogonal_ sparse_ trunc_normal_
uniform_ xavier_normal_ xavier_uniform_ zeros_
""".split()
)

_MATH: Final = frozenset(
    """
acos acosh asin asinh atan atan2 atanh cbrt ceil copysign cos cosh degrees dist e erf erfc exp exp2 expm1 fabs floor
fmod frexp fsum gamma gcd hypot inf isclose isfinite isinf isnan isqrt lcm ldexp lgamma log log10 log1p log2 modf nan
nextafter pi pow prod radians remainder sin sinh sqrt tan tanh tau trunc ulp
""".split()
)

MODULES: Final = {
    "torch": _TORCH,
    "torch.nn": frozenset({"Parameter", "Buffer"}),
    "torch.nn.functional": _FUNCTIONAL,
    "torch.nn.init": _INIT,
    "torch.nn.utils": frozenset[str](),
    "torch.nn.utils.rnn": frozenset({"pack_padded_sequence", "pad_packed_sequence", "pad_sequence", "PackedSequence"}),
    "torch.linalg": _LINALG,
    "torch.fft": _FFT,
    "torch.special": _SPECIAL,
    "torch.distributions": frozenset({"Gamma"}),
    "math": _MATH,
    "collections": frozenset({"OrderedDict"}),
    "typing": frozenset({"Any", "Callable", "Dict", "List", "Optional", "Sequence", "Tuple", "Union"}),
}
"""What may be named of each module, beside torch's numbers, element types and classes of layers."""

_TENSOR: Final = frozenset(
    """
H T abs abs_ absolute absolute_ acos acos_ acosh acosh_ add add_ addbmm addbmm_ addcdiv addcdiv_ addcmul addcmul_
addmm addmm_ addmv addmv_ addr addr_ adjoint all allclose amax amin aminmax angle any arccos arccos_ arccosh arccosh_
arcsin arcsin_ arcsinh arcsinh_ arctan arctan2 arctan2_ arctan_ arctanh arctanh_ argmax argmin argsort argwhere
as_strided as_strided_ asin asin_ asinh asinh_ atan atan2 atan2_ atan_ atanh atanh_ baddbmm baddbmm_ bernoulli
bernoulli_ bfloat16 bincount bitwise_and bitwise_and_ bitwise_left_shift bitwise_left_shift_ bitwise_not bitwise_not_
bitwise_or bitwise_or_ bitwise_right_shift bitwise_right_shift_ bitwise_xor bitwise_xor_ bmm bool broadcast_to byte
cauchy_ cdouble ceil ceil_ cfloat chalf char cholesky cholesky_inverse cholesky_solve chunk clamp clamp_ clamp_max
clamp_max_ clamp_min clamp_min_ clip clip_ clone conj conj_physical conj_physical_ contiguous copy_ copysign copysign_
corrcoef cos cos_ cosh cosh_ count_nonzero cov cpu cross cummax cummin cumprod cumprod_ cumsum cumsum_ data deg2rad
deg2rad_ dequantize det detach detach_ device diag diag_embed diagflat diagonal diagonal_scatter diff digamma digamma_
dim dist div div_ divide divide_ dot double dsplit dtype element_size eq eq_ equal erf erf_ erfc erfc_ erfinv erfinv_
exp exp2 exp2_ exp_ expand expand_as expm1 expm1_ exponential_ fill_ fill_diagonal_ fix fix_ flatten flip fliplr
flipud float float_power float_power_ floor floor_ floor_divide floor_divide_ fmax fmin fmod fmod_ frac frac_ frexp
gather gcd gcd_ ge ge_ geometric_ geqrf ger grad greater greater_ greater_equal greater_equal_ gt gt_ half hardshrink
heaviside heaviside_ histc histogram hsplit hypot hypot_ i0 i0_ igamma igamma_ igammac igammac_ imag index index_add
index_add_ index_copy index_copy_ index_fill index_fill_ index_put index_put_ index_reduce index_reduce_ index_select
indices inner int inverse is_complex is_conj is_contiguous is_cpu is_cuda is_floating_point is_inference is_leaf
is_meta is_neg is_nonzero is_same_size is_signed isclose isfinite isinf isnan isneginf isposinf isreal istft item
itemsize kron kthvalue layout lcm lcm_ ldexp ldexp_ le le_ lerp lerp_ less less_ less_equal less_equal_ lgamma lgamma_
log log10 log10_ log1p log1p_ log2 log2_ log_ log_normal_ log_softmax logaddexp logaddexp2 logcumsumexp logdet
logical_and logical_and_ logical_not logical_not_ logical_or logical_or_ logical_xor logical_xor_ logit logit_
logsumexp long lt lt_ lu lu_solve mH mT masked_fill masked_fill_ masked_scatter masked_scatter_ masked_select matmul
matrix_exp matrix_power max maximum mean median min minimum mm mode moveaxis movedim msort mul mul_ multinomial
multiply multiply_ mv mvlgamma mvlgamma_ name nan_to_num nan_to_num_ nanmean nanmedian nanquantile nansum narrow
narrow_copy nbytes ndim ndimension ne ne_ neg neg_ negative negative_ nelement new_empty new_full new_ones new_tensor
new_zeros nextafter nextafter_ nonzero nonzero_static norm normal_ not_equal not_equal_ numel outer permute pinverse
polygamma polygamma_ positive pow pow_ prelu prod put put_ qr quantile rad2deg rad2deg_ random_ ravel real reciprocal
reciprocal_ relu relu_ remainder remainder_ renorm renorm_ repeat repeat_interleave requires_grad requires_grad_
reshape reshape_as resolve_conj resolve_neg roll rot90 round round_ rsqrt rsqrt_ scatter scatter_ scatter_add
scatter_add_ scatter_reduce scatter_reduce_ select select_scatter sgn sgn_ shape short sigmoid sigmoid_ sign sign_
signbit sin sin_ sinc sinc_ sinh sinh_ size slice_scatter slogdet softmax sort split split_with_sizes sqrt sqrt_
square square_ squeeze squeeze_ std stft stride sub sub_ subtract subtract_ sum sum_to_size svd swapaxes swapaxes_
swapdims swapdims_ t t_ take take_along_dim tan tan_ tanh tanh_ tensor_split tile to tolist topk trace transpose
transpose_ triangular_solve tril tril_ triu triu_ true_divide true_divide_ trunc trunc_ type type_as unbind unflatten
unfold uniform_ unique unique_consecutive unsqueeze unsqueeze_ values var vdot view view_as vsplit where xlogy xlogy_
zero_
""".split()
)

_OTHERS: Final = frozenset(
    """
add add_module affine append apply batch_first batch_sizes bias bidirectional bits buffers children clear copy count
dilation discard dropout embedding_dim endswith eps eval extend extra_repr flatten_parameters fromkeys get groups
hidden_size in_channels in_features in_proj_bias in_proj_weight index inplace input_size insert items join kernel_size
keys log_prob lower lstrip max min modules momentum named_buffers named_children named_modules named_parameters
nonlinearity normalized_shape num_batches_tracked num_channels num_embeddings num_features num_groups num_layers
out_channels out_features out_proj output_padding p padding padding_idx padding_mode parameters pop popitem proj_size
register_buffer register_module register_parameter remove replace resolution reverse rsample rsplit rstrip
running_mean running_var sample setdefault smallest_normal sort sorted_indices split start startswith step stop stride
strip tiny title track_running_stats train training union unsorted_indices update upper values weight
""".split()
)

ATTRIBUTES: Final = _TENSOR | _OTHERS
"""Attributes and methods that may be used of anything: of tensors, of layers, and of Python's texts and containers."""

RESERVED: Final = frozenset(
    """
T_destination aclose ag_await ag_code ag_frame ag_running apply_ as_strided_scatter as_subclass asend athrow backward
call_super_init ccol_indices close co_argcount co_cellvars co_code co_consts co_exceptiontable co_filename
co_firstlineno co_flags co_freevars co_kwonlyargcount co_lines co_linetable co_lnotab co_name co_names co_nlocals
co_positions co_posonlyargcount co_qualname co_stacksize co_varnames coalesce col_indices compile const_data_ptr
cr_await cr_code cr_frame cr_origin cr_running cr_suspended crow_indices cuda data_ptr dense_dim dim_order
dump_patches eig f_back f_builtins f_code f_globals f_lasti f_lineno f_locals f_trace f_trace_lines f_trace_opcodes
format format_map forward get_buffer get_device get_extra_state get_parameter get_submodule gi_code gi_frame
gi_running gi_suspended gi_yieldfrom grad_dtype grad_fn hash_tensor int_repr ipu is_coalesced is_distributed is_ipu
is_maia is_mkldnn is_mps is_mtia is_nested is_pinned is_quantized is_set_to is_shared is_sparse is_sparse_csr
is_vulkan is_xla is_xpu load_state_dict lstsq map2_ map_ module_load mro mtia new new_empty_strided numpy orgqr ormqr
output_nr pin_memory q_per_channel_axis q_per_channel_scales q_per_channel_zero_points q_scale q_zero_point qscheme
record_stream register_backward_hook register_forward_hook register_forward_pre_hook register_full_backward_hook
register_full_backward_pre_hook register_hook register_load_state_dict_post_hook register_load_state_dict_pre_hook
register_post_accumulate_grad_hook register_state_dict_post_hook register_state_dict_pre_hook reinforce resize resize_
resize_as resize_as_ resize_as_sparse_ retain_grad retains_grad row_indices send set_ set_extra_state set_submodule
share_memory share_memory_ slice_inverse smm solve sparse_dim sparse_mask sparse_resize_ sparse_resize_and_clear_
sspaddmm state_dict storage storage_offset storage_type symeig tb_frame tb_lasti tb_lineno tb_next throw to_dense
to_empty to_mkldnn to_padded_tensor to_sparse to_sparse_bsc to_sparse_bsr to_sparse_coo to_sparse_csc to_sparse_csr
unsafe_chunk unsafe_split unsafe_split_with_sizes untyped_storage volatile xpu zero_grad
""".split()
)
"""What tensors, layers and what Python knows of running code have beside; no member of a module is called so."""
