"""Whether attributes have values that their operators define; ONNX's schemas say their types only.

What is allowed is the text of each operator in ONNX's Operators.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import onnx_ir as ir

from graphkit.errors import FormatError
from graphkit.ir.opset import schema_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["check_attributes"]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_FLAGS: Final = _words(
    """
    align_corners allowzero antialias ceil_mode center_point_box count_include_pad detect_negative detect_positive
    exclude_outside exclusive fmod input_forget interleaved inverse is_causal keepdims largest layout
    linear_before_reset new_axis noop_with_empty_axes onesided periodic reverse saturate select_last_index sorted
    storage_order training_mode transA transB upper
    """
)
_POSITIVE: Final = _words(
    """
    blocksize chunk_size dilations group hidden_size kernel_shape kv_num_heads num_groups num_outputs offset_group
    output_height output_width q_num_heads sample_size size strides
    """
)
_NOT_NEGATIVE: Final = frozenset({"batch_dims", "block_size", "num_heads", "output_padding", "rotary_embedding_dim"})
_RECURRENT: Final = ("forward", "reverse", "bidirectional")
_LOSS: Final = ("none", "mean", "sum")
_SCATTER: Final = ("none", "add", "mul", "max", "min")
_CHOICES: Final[Mapping[tuple[str, str], Sequence[str | int]]] = {
    ("", "approximate"): ("none", "tanh"),
    ("", "auto_pad"): ("NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"),
    ("", "keep_aspect_ratio_policy"): ("stretch", "not_larger", "not_smaller"),
    ("", "nearest_mode"): ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil"),
    ("", "padding_mode"): ("zeros", "border", "reflection"),
    ("Attention", "qk_matmul_output_mode"): (0, 1, 2, 3),
    ("BitShift", "direction"): ("LEFT", "RIGHT"),
    ("DepthToSpace", "mode"): ("DCR", "CRD"),
    ("GRU", "direction"): _RECURRENT,
    ("GridSample", "mode"): ("linear", "nearest", "cubic"),
    ("LSTM", "direction"): _RECURRENT,
    ("LpNormalization", "p"): (1, 2),
    ("NegativeLogLikelihoodLoss", "reduction"): _LOSS,
    ("Pad", "mode"): ("constant", "reflect", "edge", "wrap"),
    ("RNN", "direction"): _RECURRENT,
    ("Resize", "coordinate_transformation_mode"): (
        "half_pixel",
        "half_pixel_symmetric",
        "pytorch_half_pixel",
        "align_corners",
        "asymmetric",
        "tf_crop_and_resize",
    ),
    ("Resize", "mode"): ("nearest", "linear", "cubic"),
    ("RoiAlign", "coordinate_transformation_mode"): ("half_pixel", "output_half_pixel"),
    ("RoiAlign", "mode"): ("avg", "max"),
    ("ScatterElements", "reduction"): _SCATTER,
    ("ScatterND", "reduction"): _SCATTER,
    ("SoftmaxCrossEntropyLoss", "reduction"): _LOSS,
    ("TensorScatter", "mode"): ("linear", "circular"),
    ("TfIdfVectorizer", "mode"): ("TF", "IDF", "TFIDF"),
}
"""By operator, empty for all, and attribute."""
_AXES: Final = {"Flatten": (0, 1), "OneHot": (-1, 1), "Unsqueeze": (-1, 1)}
"""How far beyond the axes of what it reads an operator's axis may lie, at both ends; elsewhere not at all."""
_FREE: Final = frozenset({"DequantizeLinear", "QuantizeLinear", "ConcatFromSequence", "SplitToSequence"})
"""Operators whose axis may mean nothing, or is one of what is not their first input."""


def check_attributes(node: ir.Node) -> None:
    """Refuse attributes that are out of range; the shape of what is read is looked at as far as it is known.

    Args:
        node: A node of the canonical opset.

    Raises:
        FormatError: The message names the node, the operator, the attribute and what is allowed.
    """
    if node.domain or schema_of(node.op_type) is None:
        return
    for name, attribute in node.attributes.items():
        if not attribute.is_ref() and (allowed := _allowed(node, name, attribute)):
            raise FormatError(
                f"Node {node.name!r} ({node.op_type}) has {name}={_shown(attribute)}, which the operator does not "
                f"define: {allowed}."
            )


def _shown(attribute: ir.Attr) -> str:
    value = attribute.value
    return repr(value.decode(errors="replace") if isinstance(value, bytes) else value)


def _allowed(node: ir.Node, name: str, attribute: ir.Attr) -> str:
    """What the attribute may be, as a clause, if it is something else."""
    if attribute.type == ir.AttributeType.STRING:
        choices = _CHOICES.get((node.op_type, name), _CHOICES.get(("", name)))
        return "" if choices is None or attribute.as_string() in choices else f"it is one of {_list(choices)}"
    if attribute.type == ir.AttributeType.INT:
        return _number(node, name, attribute.as_int())
    if attribute.type == ir.AttributeType.INTS:
        return _numbers(node, name, tuple(attribute.as_ints()))
    return ""


def _number(node: ir.Node, name: str, number: int) -> str:
    choices = _CHOICES.get((node.op_type, name))
    if choices is not None and number not in choices:
        return f"it is one of {_list(choices)}"
    if name in _FLAGS and number not in (0, 1):
        return "it is 0 or 1"
    if (bound := _bound(name, [number])) or name not in ("axis", "group"):
        return bound
    shape = node.inputs[0].shape if node.inputs and node.inputs[0] is not None else None
    if shape is None:
        return ""
    if name == "axis" and node.op_type not in _FREE and len(shape):
        low, high = _AXES.get(node.op_type, (0, 0))
        first, last = low - len(shape), len(shape) - 1 + high
        return "" if first <= number <= last else f"it is between {first} and {last}"
    channels = shape[1] if name == "group" and len(shape) > 1 else None
    return "" if not isinstance(channels, int) or channels % number == 0 else f"it divides the {channels} channels"


def _numbers(node: ir.Node, name: str, numbers: tuple[int, ...]) -> str:
    if bound := _bound(name, numbers):
        return bound
    shape = node.inputs[0].shape if node.inputs and node.inputs[0] is not None else None
    if shape is None or name not in ("axes", "perm"):
        return ""
    rank = len(shape)
    places = {number % rank for number in numbers if -rank <= number < rank} if rank else set()
    if name == "perm":
        return "" if sorted(numbers) == list(range(rank)) else f"it has each of the {rank} axes once"
    return "" if len(places) == len(numbers) else f"it has axes between {-rank} and {rank - 1}, each once"


def _bound(name: str, numbers: Iterable[int]) -> str:
    lowest = min(numbers, default=1)
    if name in _POSITIVE and lowest < 1:
        return "it is positive"
    return "it is not negative" if name in _NOT_NEGATIVE and lowest < 0 else ""


def _list(choices: Sequence[str | int]) -> str:
    return f"{', '.join(map(str, choices[:-1]))} or {choices[-1]}"
