"""ONNX Runtime's activations, with what its optimizers fuse into them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from graphkit.ir.canonical.contrib.parts import (
    UnsuitableError,
    floats,
    integer,
    needed,
    number,
    operand,
    rank_of,
    scalar,
    scaled,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import onnx_ir as ir

    from graphkit.ir.canonical.contrib.parts import Expansion
    from graphkit.ir.edit import Editor

__all__ = ["EXPANSIONS", "activated"]

_PLAIN: Final = frozenset({"Relu", "Sigmoid", "Tanh", "Softplus", "Softsign"})


def activated(edit: Editor, value: ir.Value, name: str | None, parameters: Sequence[np.float32] = ()) -> ir.Value:
    """What a fused activation makes of a value.

    Args:
        edit: Emits.
        value: What goes in.
        name: ONNX's name of the activation; none does nothing.
        parameters: Its alpha and beta, or bounds; the operator's defaults where they are absent.
    """
    if not name:
        return value
    if name in _PLAIN:
        return edit.op(name, value)
    given: dict[str, Any] = dict(zip(("alpha", "beta"), map(float, parameters), strict=False))
    if name in ("LeakyRelu", "Elu", "ThresholdedRelu"):
        return edit.op(name, value, alpha=given.get("alpha"))
    if name in ("HardSigmoid", "Selu"):
        return edit.op(name, value, **given)
    if name == "Clip" and len(parameters) == 2:
        low, high = (scalar(edit, role, n, value) for role, n in zip(("low", "high"), parameters, strict=True))
        return edit.op("Clip", value, low, high)
    if name == "HardSwish":
        return edit.op("HardSwish", value)
    if name == "QuickGelu":
        return _swish(edit, value, parameters[0] if parameters else np.float32(1.702))
    if name in ("Gelu", "FastGelu"):
        return edit.op("Gelu", value, approximate="tanh" if name == "FastGelu" else None)
    raise UnsuitableError(f"its fused activation {name!r} is none that graphkit knows")


def _swish(edit: Editor, x: ir.Value, alpha: np.float32) -> ir.Value:
    return edit.op("Mul", x, edit.op("Sigmoid", scaled(edit, x, alpha, "alpha")))


def _biased(edit: Editor) -> ir.Value:
    x, bias = needed(edit, 0), operand(edit, 1)
    return x if bias is None else edit.op("Add", x, bias)


def _gelu(edit: Editor) -> None:
    edit.replace(edit.op("Gelu", _biased(edit)))


def _fast_gelu(edit: Editor) -> None:
    edit.replace(edit.op("Gelu", _biased(edit), approximate="tanh"))


def _gemm_fast_gelu(edit: Editor) -> None:
    product, bias = edit.op("MatMul", needed(edit, 0), needed(edit, 1)), operand(edit, 2)
    edit.replace(edit.op("Gelu", product if bias is None else edit.op("Add", product, bias), approximate="tanh"))


def _quick_gelu(edit: Editor) -> None:
    edit.replace(_swish(edit, needed(edit, 0), number(edit, "alpha", 1.702)))


def _scaled_silu(edit: Editor) -> None:
    edit.replace(scaled(edit, _swish(edit, needed(edit, 0), np.float32(1)), number(edit, "scale", 1.0)))


def _split_gelu(edit: Editor) -> None:
    """The left half of the last axis times the Gelu of the right one."""
    left, right = edit.ops("Split", 2, _biased(edit), axis=-1, num_outputs=2)
    edit.replace(edit.op("Mul", left, edit.op("Gelu", right)))


def _bias_add(edit: Editor) -> None:
    """X + bias + skip."""
    edit.replace(edit.op("Add", _biased(edit), needed(edit, 2)))


def _bias_dropout(edit: Editor) -> None:
    ratio = operand(edit, 3)
    dropped = edit.op("Dropout", _biased(edit), edit.const("ratio", 0.5, np.float32) if ratio is None else ratio)
    residual = operand(edit, 2)
    edit.replace(dropped if residual is None else edit.op("Add", dropped, residual))


def _bias_softmax(edit: Editor) -> None:
    """Softmax of all axes from ``axis`` on as one, after a bias is added.

    With ``is_inner_broadcast`` the bias has one row for each block of rows; else the rows repeat it from their start.
    """
    x, bias = needed(edit, 0), needed(edit, 1)
    rank = rank_of(x)
    axis = integer(edit, "axis", 1)
    axis = axis + rank if axis < 0 else axis
    if rank_of(bias) not in (0, rank) and integer(edit, "is_inner_broadcast"):
        raise UnsuitableError("its bias has fewer axes than its data, and is to be repeated within them")
    total = edit.op("Add", x, bias)
    if axis == rank - 1:
        edit.replace(edit.op("Softmax", total, axis=axis))
        return
    flat = edit.op("Softmax", edit.op("Flatten", total, axis=axis), axis=-1)
    edit.replace(edit.op("Reshape", flat, edit.op("Shape", x)))


def _scaled_tanh(edit: Editor) -> None:
    """Alpha · tanh(beta · x)."""
    inner = scaled(edit, needed(edit, 0), number(edit, "beta", 1.0), "beta")
    edit.replace(scaled(edit, edit.op("Tanh", inner), number(edit, "alpha", 1.0), "alpha"))


def _parametric_softplus(edit: Editor) -> None:
    """Alpha · log(exp(beta · x) + 1)."""
    inner = scaled(edit, needed(edit, 0), number(edit, "beta", 1.0), "beta")
    edit.replace(scaled(edit, edit.op("Softplus", inner), number(edit, "alpha", 1.0), "alpha"))


def _affine(edit: Editor) -> None:
    """Alpha · x + beta."""
    x = scaled(edit, needed(edit, 0), number(edit, "alpha", 1.0), "alpha")
    edit.replace(edit.op("Add", x, scalar(edit, "beta", number(edit, "beta", 0.0), x)))


def _scale(edit: Editor) -> None:
    x = needed(edit, 0)
    edit.replace(edit.op("Mul", x, scalar(edit, "scale", number(edit, "scale", 1.0), x)))


def _image_scaler(edit: Editor) -> None:
    """Scale · x + bias by channel."""
    x = needed(edit, 0)
    bias = np.array(floats(edit, "bias"), np.float32).reshape(-1, 1, 1)
    edit.replace(edit.op("Add", scaled(edit, x, number(edit, "scale", 1.0)), edit.const("bias", bias, np.float32)))


EXPANSIONS: Mapping[tuple[str, str], Expansion] = {
    **{
        ("com.microsoft", name): expansion
        for name, expansion in {
            "BiasAdd": _bias_add,
            "BiasDropout": _bias_dropout,
            "BiasGelu": _gelu,
            "BiasSoftmax": _bias_softmax,
            "BiasSplitGelu": _split_gelu,
            "FastGelu": _fast_gelu,
            "Gelu": _gelu,
            "GemmFastGelu": _gemm_fast_gelu,
            "QuickGelu": _quick_gelu,
            "ScaledSiLU": _scaled_silu,
        }.items()
    },
    ("", "Affine"): _affine,
    ("", "ImageScaler"): _image_scaler,
    ("", "ParametricSoftplus"): _parametric_softplus,
    ("", "Scale"): _scale,
    ("", "ScaledTanh"): _scaled_tanh,
}
