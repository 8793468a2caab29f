"""Operators, which torch looks up by the names that a file has, from its own module on."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from graphkit.frameworks.torch.checks.refusal import HarmfulError
from graphkit.frameworks.torch.checks.words import words
from graphkit.frameworks.torch.program.targets import target_of

if TYPE_CHECKING:
    from graphkit.frameworks.torch.program.targets import Target

__all__ = ["check_operator"]

_OF_PYTHON: Final = frozenset(
    f"_operator.{name}"
    for name in words("""
    abs add and_ eq floordiv ge getitem gt inv invert le lshift lt mod mul ne neg not_ or_ pos pow rshift sub
    truediv xor
    """)
)
_OF_MATH: Final = frozenset(f"math.{name}" for name in ("ceil", "floor", "sqrt", "trunc", "log2"))
_OF_TORCH: Final = frozenset(
    f"torch.{name}"
    for name in words("""
    sym_float sym_int sym_ite sym_max sym_min sym_not sym_sqrt sym_sum _sym_sqrt torch._sym_sqrt
    _C._set_grad_enabled amp.autocast_mode._enter_autocast amp.autocast_mode._exit_autocast
    fx.experimental.symbolic_shapes.cast_symbool_to_symint_guardless _functorch.predispatch._add_batch_dim
    _functorch.predispatch._remove_batch_dim _functorch.predispatch._vmap_increment_nesting
    _functorch.predispatch._vmap_decrement_nesting _functorch.predispatch.lazy_load_decompositions
    _functorch.predispatch._make_dual _functorch.predispatch._unpack_dual
    _functorch.predispatch._jvp_increment_nesting _functorch.predispatch._jvp_decrement_nesting
    _functorch.predispatch._unwrap_for_grad _functorch.predispatch._enter_dual_level
    _functorch.predispatch._exit_dual_level
    """)
)
"""Functions that programs may call: ``Verifier`` in torch/_export/verifier.py."""
_HIGHER_ORDER: Final = words("""
    associative_scan autograd_function_apply auto_functionalized auto_functionalized_v2 cond
    hints_wrapper invoke_subgraph map_impl out_dtype run_const_graph scan strict_mode tag_activation_checkpoint
    while_loop with_effects wrap wrap_activation_checkpoint wrap_with_autocast wrap_with_set_grad_enabled
    """)
"""Operators that compute what the graphs they hold do, or an operator that they name."""
_NAMESPACES: Final = frozenset(("aten", "prims", "quantized_decomposed", "quantized", "onnx", "graphkit"))
"""Libraries of operators that compute: torch's own, and graphkit's."""
_VISION: Final = frozenset(("nms", "roi_align", "roi_pool", "ps_roi_align", "ps_roi_pool", "deform_conv2d"))
"""Operators of torchvision that compute; others read files."""
_EFFECTS: Final = frozenset(("save", "from_file", "warn", "manual_seed", "get_gradients", "record_stream", "_print"))
_TEXTS: Final = words("""
    reduce activation algorithm padding_side norm assert_msg approximate mode ord rounding_mode interpolation driver
    p pad_mode UPLO side padding equation indexing cast_mode auto_pad stash_type coordinate_transformation_mode
    post_op
    """)
"""Arguments that are texts, as they choose a way to compute."""
_VALUES: Final = re.compile(
    r"(?:(?:List|Optional)\[)*"
    r"(?:Tensor|int|float|bool|number|Scalar|SymInt|SymFloat|SymBool|Device|Generator|complex|ScalarType|Layout|"
    r"MemoryFormat|Dtype|str|QScheme|NoneType)\]*"
)
"""Types of arguments and results that are values; others are memory, streams or objects."""


def check_operator(name: str) -> None:
    """Refuse what does anything else than to compute values of values.

    Args:
        name: What the file has, e.g. ``"torch.ops.aten.relu.default"``.

    Raises:
        HarmfulError: It does, or there is no such operator.
    """
    if reason := _reason(name):
        raise HarmfulError(f"it calls {name!r}, {reason}")


@cache
def _reason(name: str) -> str:
    """Why an operator is refused; empty for one that is not."""
    if name in _OF_PYTHON or name in _OF_MATH or name in _OF_TORCH:
        return ""
    if not re.fullmatch(r"torch\.ops(\.[A-Za-z_]\w*){2,3}", name, re.ASCII):
        return "which is no operator of an exported program but may be any function"
    target = target_of(name)
    if target.namespace == "higher_order" or (target.namespace == "" and target.packet in _HIGHER_ORDER):
        if target.packet in _HIGHER_ORDER or target.overload in _HIGHER_ORDER:
            return ""
        return "an operator that may run anything that it is given"
    if target.namespace not in _NAMESPACES and not (target.namespace == "torchvision" and target.packet in _VISION):
        return "an operator of an extension, of which nothing is known"
    return _of_library(target)


def _of_library(target: Target) -> str:
    schema = _schema(target)
    if schema is None:
        return "an operator that this torch does not have"
    if target.packet in _EFFECTS:
        return "an operator that does not only compute"
    for value in (*schema.arguments, *schema.returns):
        kind = str(value.type)
        if not _VALUES.fullmatch(kind):
            return f"an operator of something else than values ({kind})"
        if "str" in kind and value.name not in _TEXTS:
            return "an operator of texts"
    return ""


def _schema(target: Target) -> Any:
    import torch

    _register(target.namespace)
    packet = getattr(getattr(torch.ops, target.namespace), target.packet, None)
    operator = getattr(packet, target.overload or "default", None)
    return operator._schema if isinstance(operator, torch._ops.OpOverload) else None


@cache
def _register(namespace: str) -> None:
    """Have torch know the operators of a library that it does not always."""
    if namespace == "quantized_decomposed":
        import torch.ao.quantization.fx._decomposed
    elif namespace == "onnx":
        import torch.onnx.ops  # noqa: F401  # for its operators
    elif namespace == "graphkit":
        from graphkit.frameworks.torch.lasting import register

        register()
