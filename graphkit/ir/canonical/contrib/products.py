"""ONNX Runtime's matrix products and convolutions with what its optimizers fuse into them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from graphkit.ir.canonical.contrib.activations import activated
from graphkit.ir.canonical.contrib.parts import (
    UnsuitableError,
    floats,
    integer,
    needed,
    number,
    operand,
    rank_of,
    scaled,
    transposed,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    import onnx_ir as ir

    from graphkit.ir.canonical.contrib.parts import Expansion
    from graphkit.ir.edit import Editor

__all__ = ["EXPANSIONS"]

_WINDOW: Final = ("auto_pad", "dilations", "group", "kernel_shape", "pads", "strides", "ceil_mode", "storage_order")


def _window(edit: Editor) -> dict[str, Any]:
    """The attributes that say how a window moves."""
    return {name: edit.node.attributes[name].value for name in _WINDOW if name in edit.node.attributes}


def _fused_activation(edit: Editor, value: ir.Value) -> ir.Value:
    name = edit.node.attributes.get_string("activation", "") or ""
    parameters = floats(edit, "activation_params") or tuple(
        number(edit, key, 0.0)
        for key in ("activation_alpha", "activation_beta", "activation_gamma")
        if key in edit.node.attributes
    )
    return activated(edit, value, name, parameters)


def _turned(edit: Editor, value: ir.Value, *, last: bool, batch: bool) -> ir.Value:
    """An operand with its last two axes swapped, or with its first axis moved behind the other batch axes."""
    if not last and not batch:
        return value
    rank = rank_of(value)
    if rank == 1:
        return value
    order = list(range(rank))
    if batch:
        if rank < 3:
            raise UnsuitableError("transBatchA and transBatchB need operands of three or more dimensions")
        order = [*order[1:-1], order[0], order[-1]]
    if last:
        order[-2:] = order[-1], order[-2]
    return transposed(edit, value, *order)


def _matmul(edit: Editor) -> ir.Value:
    left, right = (
        _turned(
            edit,
            needed(edit, place),
            last=bool(integer(edit, f"trans{side}")),
            batch=bool(integer(edit, f"transBatch{side}")),
        )
        for place, side in enumerate("AB")
    )
    return scaled(edit, edit.op("MatMul", left, right), number(edit, "alpha", 1.0), "alpha")


def _fused_matmul(edit: Editor) -> None:
    edit.replace(_matmul(edit))


def _activated_matmul(edit: Editor) -> None:
    edit.replace(_fused_activation(edit, _matmul(edit)))


def _fused_gemm(edit: Editor) -> None:
    names = ("alpha", "beta", "transA", "transB")
    kept = {name: edit.node.attributes[name].value for name in names if name in edit.node.attributes}
    product = edit.op("Gemm", needed(edit, 0), needed(edit, 1), operand(edit, 2), **kept)
    edit.replace(_fused_activation(edit, product))


def _fused_conv(edit: Editor) -> None:
    """Convolution, then a summand, then an activation."""
    made = edit.op("Conv", needed(edit, 0), needed(edit, 1), operand(edit, 2), **_window(edit))
    summand = operand(edit, 3)
    edit.replace(_fused_activation(edit, made if summand is None else edit.op("Add", made, summand)))


def _channels_first(edit: Editor, value: ir.Value) -> ir.Value:
    rank = rank_of(value)
    return transposed(edit, value, 0, rank - 1, *range(1, rank - 1))


def _channels_last(edit: Editor, value: ir.Value) -> ir.Value:
    return transposed(edit, value, 0, *range(2, rank_of(value)), 1)


def _nhwc_conv(edit: Editor) -> None:
    """Convolution of images (N, H, W, C); the filters of NhwcConv lie as Conv's."""
    made = edit.op("Conv", _channels_first(edit, needed(edit, 0)), needed(edit, 1), operand(edit, 2), **_window(edit))
    summand = operand(edit, 3)
    result = _channels_last(edit, made)
    edit.replace(_fused_activation(edit, result if summand is None else edit.op("Add", result, summand)))


def _nhwc_max_pool(edit: Editor) -> None:
    made = edit.op("MaxPool", _channels_first(edit, needed(edit, 0)), **_window(edit))
    edit.replace(_channels_last(edit, made))


EXPANSIONS: Mapping[tuple[str, str], Expansion] = {
    ("com.microsoft", name): expansion
    for name, expansion in {
        "FusedConv": _fused_conv,
        "FusedGemm": _fused_gemm,
        "FusedMatMul": _fused_matmul,
        "FusedMatMulActivation": _activated_matmul,
        "NhwcConv": _nhwc_conv,
        "NhwcFusedConv": _nhwc_conv,
        "NhwcMaxPool": _nhwc_max_pool,
        "TransposeMatMul": _fused_matmul,
    }.items()
}
