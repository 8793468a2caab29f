"""Operators that a target is not reached from, each with the reason; messages and the tables of support quote it.

An operator is translated to everything or here, never both, and never neither: ``tests/test_ledger.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["MXNET", "ONNX"]

_CODE: Final = "what it computes is code outside the symbol; write that part with operators and export again"
_CSR: Final = "it computes on sparse (CSR) graphs, which neither ONNX nor torch modules take as inputs"
_LAPACK: Final = "ONNX has no operators that give eigenvalues in LAPACK's order; torch source and MXNet do"
_IN_PLACE: Final = "MXNet runs it as an assignment in Python only and refuses it in a symbol; choose with where instead"
_IN_PYTHON: Final = "it writes into arrays in Python only; MXNet 1.9.1 does not run it in a symbol"
_STORED: Final = "it touches the stored elements of sparse arrays only, which a symbol does not name; use dense arrays"
_MAP: Final = "it makes or takes a map, which neither torch nor MXNet has; end the model before it"
_GENERATION: Final = "it holds a whole loop of generation; convert the decoder inside it"
_ONE_DEVICE: Final = "its tensors lie as one device has them; export the model before it is compiled for that"
_PACKED: Final = "it takes sequences of different lengths one after the other; export the model without packing"
_ONE_TOKEN: Final = "it attends with one token to buffers of one kind of GPU; export attention before it is fused"
_EXPERTS: Final = "it sends tokens to experts by ranks; export the experts as operators"
_TEXT: Final = "it works on text, before the model; feed numbers"
_RARE: Final = (
    "ONNX Runtime fuses it from other operators, or one exporter writes it; export the model before it is fused"
)
_FEW_BITS: Final = "its weights are in a format of its own; quantize with MatMulNBits"
_SAMPLING: Final = "it reads or decodes images on the host, outside a model; do that before feeding"
_UPDATE: Final = "it is a part of an optimizer, which a model does not hold; take one of the other framework"

_LIST: Final = "MXNet has neither sequences nor optional values; keep tensors apart by name instead"

MXNET: Final[Mapping[str, str]] = {
    "Custom": _CODE,
    "_CachedOp": "it is a call of a compiled block inside Python; export the block itself",
    "_CachedOpThreadSafe": "it is a call of a compiled block inside Python; export the block itself",
    "_CrossDeviceCopy": "MXNet puts it in where it lays a graph over several devices, and refuses it in a symbol",
    "_CustomFunction": _CODE,
    "_NDArray": _CODE,
    "_Native": _CODE,
    "_NoGradient": "it stands for a gradient that is not there, in backward graphs only",
    "_contrib_calibrate_entropy": "it finds ranges while a model is quantized, and is no part of the result",
    "_contrib_dgl_adjacency": _CSR,
    "_contrib_dgl_csr_neighbor_non_uniform_sample": _CSR,
    "_contrib_dgl_csr_neighbor_uniform_sample": _CSR,
    "_contrib_dgl_graph_compact": _CSR,
    "_contrib_dgl_subgraph": _CSR,
    "_contrib_edge_id": _CSR,
    "_contrib_getnnz": _CSR,
    "_contrib_quantize_asym": "MXNet 1.9.1 itself crashes on it outside its integer LSTM; quantize with quantize_v2",
    "_contrib_quantized_elemwise_mul": "MXNet 1.9.1 does not infer the shape of its result; leave products in floats",
    "_contrib_quantized_rnn": "its weights lie as oneDNN packs them on one CPU; leave recurrent layers in floats",
    "_copyto": _IN_PYTHON,
    "_cvimdecode": _SAMPLING,
    "_cvimread": _SAMPLING,
    "_imdecode": _SAMPLING,
    "_npi_boolean_mask_assign_scalar": _IN_PLACE,
    "_npi_boolean_mask_assign_tensor": _IN_PLACE,
    "_npi_eig": _LAPACK,
    "_npi_eigvals": _LAPACK,
    "_npi_share_memory": "it asks where arrays lie in memory, which a model elsewhere has no say in",
    "_onehot_encode": _IN_PYTHON,
    "_scatter_elemwise_div": _STORED,
    "_scatter_minus_scalar": _STORED,
    "_scatter_plus_scalar": _STORED,
    "_scatter_set_nd": _IN_PYTHON,
    "_set_value": _IN_PYTHON,
    "_sparse_retain": _STORED,
    "_square_sum": _STORED,
    "all_finite": _UPDATE,
    "fill_element_0index": _IN_PYTHON,
    "multi_all_finite": _UPDATE,
    "multi_lars": _UPDATE,
    "multi_sum_sq": _UPDATE,
    "reset_arrays": _UPDATE,
}
"""MXNet operators, by canonical name: why nothing reads them. Clauses without a full stop, as a Refusal's."""

ONNX: Final[Mapping[tuple[str, str], str]] = {
    ("", "ConcatFromSequence"): _LIST,
    ("", "ImageDecoder"): "it decodes image files, which is not a model's part elsewhere; feed the decoded image",
    ("", "Optional"): _LIST,
    ("", "OptionalGetElement"): _LIST,
    ("", "OptionalHasElement"): _LIST,
    ("", "RegexFullMatch"): "neither torch nor MXNet has strings; match before the model",
    ("", "SequenceAt"): _LIST,
    ("", "SequenceConstruct"): _LIST,
    ("", "SequenceEmpty"): _LIST,
    ("", "SequenceErase"): _LIST,
    ("", "SequenceInsert"): _LIST,
    ("", "SequenceLength"): _LIST,
    ("", "SplitToSequence"): _LIST,
    ("", "StringConcat"): "neither torch nor MXNet has strings; concatenate before the model",
    ("", "StringNormalizer"): "neither torch nor MXNet has strings; normalise before the model",
    ("", "StringSplit"): "neither torch nor MXNet has strings; split before the model",
    ("ai.onnx.ml", "CastMap"): _MAP,
    ("ai.onnx.ml", "CategoryMapper"): "it maps strings to numbers or back, and neither torch nor MXNet has strings",
    ("ai.onnx.ml", "DictVectorizer"): _MAP,
    ("ai.onnx.ml", "SVMClassifier"): "it lets pairs of classes vote, in an order that runtimes differ in; use scores",
    ("ai.onnx.ml", "ZipMap"): _MAP,
    ("ai.onnx.preview.training", "Gradient"): "it names a part of the graph to differentiate; graphkit takes gradients "
    "itself, from the model without it",
    ("com.microsoft", "AttnLSTM"): _RARE,
    ("com.microsoft", "BeamSearch"): _GENERATION,
    ("com.microsoft", "BifurcationDetector"): _RARE,
    ("com.microsoft", "BitmaskBiasDropout"): _RARE,
    ("com.microsoft", "BitmaskDropout"): _RARE,
    ("com.microsoft", "ConvTransposeWithDynamicPads"): _RARE,
    ("com.microsoft", "DecoderAttention"): _RARE,
    ("com.microsoft", "DecoderMaskedMultiHeadAttention"): _ONE_TOKEN,
    ("com.microsoft", "DecoderMaskedSelfAttention"): _ONE_TOKEN,
    ("com.microsoft", "DequantizeWithOrder"): _ONE_DEVICE,
    ("com.microsoft", "DynamicQuantizeLSTM"): "it quantizes its data step by step inside; quantize all but the LSTMs",
    ("com.microsoft", "DynamicTimeWarping"): _RARE,
    ("com.microsoft", "EPContext"): _ONE_DEVICE,
    ("com.microsoft", "GatedRelativePositionBias"): _RARE,
    ("com.microsoft", "GreedySearch"): _GENERATION,
    ("com.microsoft", "Irfft"): _RARE,
    ("com.microsoft", "IsAllFinite"): _RARE,
    ("com.microsoft", "LongformerAttention"): _RARE,
    ("com.microsoft", "MatMulBnb4"): _FEW_BITS,
    ("com.microsoft", "MatMulFpQ4"): _FEW_BITS,
    ("com.microsoft", "MoE"): _EXPERTS,
    ("com.microsoft", "NGramRepeatBlock"): _RARE,
    ("com.microsoft", "PackedAttention"): _PACKED,
    ("com.microsoft", "PackedMultiHeadAttention"): _PACKED,
    ("com.microsoft", "PagedAttention"): _PACKED,
    ("com.microsoft", "QMoE"): _EXPERTS,
    ("com.microsoft", "QOrderedAttention"): _ONE_DEVICE,
    ("com.microsoft", "QOrderedGelu"): _ONE_DEVICE,
    ("com.microsoft", "QOrderedLayerNormalization"): _ONE_DEVICE,
    ("com.microsoft", "QOrderedLongformerAttention"): _ONE_DEVICE,
    ("com.microsoft", "QOrderedMatMul"): _ONE_DEVICE,
    ("com.microsoft", "QuantizeWithOrder"): _ONE_DEVICE,
    ("com.microsoft", "RelativePositionBias"): _RARE,
    ("com.microsoft", "RemovePadding"): _PACKED,
    ("com.microsoft", "RestorePadding"): _PACKED,
    ("com.microsoft", "Rfft"): _RARE,
    ("com.microsoft", "Sampling"): _GENERATION,
    ("com.microsoft", "Snpe"): _ONE_DEVICE,
    ("com.microsoft", "SparseAttention"): _RARE,
    ("com.microsoft", "Tokenizer"): _TEXT,
    ("com.microsoft", "UnfoldTensor"): _RARE,
    ("com.microsoft", "WhisperBeamSearch"): _GENERATION,
    ("com.microsoft", "WordConvEmbedding"): _TEXT,
}
"""ONNX operators, by domain and type: why MXNet symbols, or torch source either, are not written for them."""
