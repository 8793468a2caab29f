"""``ai.onnx.preview.training``: one step of Adagrad, Adam or SGD with momentum, as arithmetic.

Source of the formulas: ONNX's operator texts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from graphkit.ir.canonical.contrib.parts import UnsuitableError, dtype_of, needed, number, scalar, scaled

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import onnx_ir as ir

    from graphkit.ir.canonical.contrib.parts import Expansion
    from graphkit.ir.edit import Editor

    Step = Callable[[Editor, ir.Value, ir.Value, Sequence[ir.Value]], Sequence[ir.Value]]

__all__ = ["EXPANSIONS"]


def _each(parts: int, step: Step) -> Expansion:
    """A step for every tensor: the rate, the number of the step, then all tensors, their gradients, their states."""

    def expand(edit: Editor) -> None:
        rate, count = needed(edit, 0), needed(edit, 1)
        given = [needed(edit, place) for place in range(2, len(edit.node.inputs))]
        if not given or len(given) % parts:
            raise UnsuitableError(f"its inputs are not {parts} for each tensor")
        tensors = len(given) // parts
        made = [step(edit, rate, count, given[place::tensors]) for place in range(tensors)]
        edit.replace(*(results[part] for part in range(parts - 1) for results in made))

    return expand


def _regularized(edit: Editor, x: ir.Value, gradient: ir.Value) -> ir.Value:
    """The gradient with that of a penalty on the squares."""
    norm = number(edit, "norm_coefficient", 0.0)
    return gradient if norm == 0 else edit.op("Add", scaled(edit, x, norm, "norm"), gradient)


def _mixed(edit: Editor, old: ir.Value, new: ir.Value, share: np.float32, role: str) -> ir.Value:
    """Share · old + (1 − share) · new."""
    return edit.op("Add", scaled(edit, old, share, role), scaled(edit, new, np.float32(1) - share, f"{role}_rest"))


def _as(edit: Editor, value: ir.Value, like: ir.Value) -> ir.Value:
    return value if value.dtype == like.dtype else edit.op("Cast", value, to=int(like.dtype or 1))


def _root(edit: Editor, squares: ir.Value) -> ir.Value:
    epsilon = number(edit, "epsilon", 1e-6)
    return edit.op("Add", edit.op("Sqrt", squares), scalar(edit, "epsilon", epsilon, squares))


def _adagrad(edit: Editor, rate: ir.Value, count: ir.Value, given: Sequence[ir.Value]) -> Sequence[ir.Value]:
    x, gradient, squares = given
    slope = _regularized(edit, x, gradient)
    decay = number(edit, "decay_factor", 0.0)
    if decay != 0:
        grown = edit.op("Add", scalar(edit, "one", 1.0, rate), scaled(edit, _as(edit, count, rate), decay, "decay"))
        rate = edit.op("Div", rate, grown)
    total = edit.op("Add", squares, edit.op("Mul", slope, slope))
    moved = edit.op("Div", edit.op("Mul", _as(edit, rate, x), slope), _root(edit, total))
    return edit.op("Sub", x, moved), total


def _adam(edit: Editor, rate: ir.Value, count: ir.Value, given: Sequence[ir.Value]) -> Sequence[ir.Value]:
    x, gradient, mean, squares = given
    alpha, beta = number(edit, "alpha", 0.9), number(edit, "beta", 0.999)
    slope = _regularized(edit, x, gradient)
    first = _mixed(edit, mean, slope, alpha, "alpha")
    second = _mixed(edit, squares, edit.op("Mul", slope, slope), beta, "beta")
    steps, one = _as(edit, count, rate), scalar(edit, "one", 1.0, rate)
    left = (
        edit.op("Sub", one, edit.op("Pow", scalar(edit, role, share, rate), steps))
        for role, share in (("beta_power", beta), ("alpha_power", alpha))
    )
    fair = edit.op("Div", edit.op("Mul", rate, edit.op("Sqrt", next(left))), next(left))
    later = edit.op("Greater", count, edit.const("first", 0, dtype_of(count)))
    own = edit.op("Where", later, fair, rate)
    moved = edit.op("Div", edit.op("Mul", _as(edit, own, x), first), _root(edit, second))
    after = number(edit, "norm_coefficient_post", 0.0)
    return scaled(edit, edit.op("Sub", x, moved), np.float32(1) - after, "norm_post"), first, second


def _momentum(edit: Editor, rate: ir.Value, count: ir.Value, given: Sequence[ir.Value]) -> Sequence[ir.Value]:
    x, gradient, velocity = given
    alpha, beta = number(edit, "alpha", 0.0), number(edit, "beta", 0.0)
    slope = _regularized(edit, x, gradient)
    later = edit.op("Greater", count, edit.const("first", 0, dtype_of(count)))
    share = edit.op("Where", later, scalar(edit, "beta", beta, x), scalar(edit, "one", 1.0, x))
    fresh = edit.op("Add", scaled(edit, velocity, alpha, "alpha"), edit.op("Mul", share, slope))
    step = fresh
    if edit.node.attributes.get_string("mode", "standard") == "nesterov":
        step = edit.op("Add", slope, scaled(edit, fresh, alpha, "alpha"))
    return edit.op("Sub", x, edit.op("Mul", _as(edit, rate, x), step)), fresh


EXPANSIONS: Mapping[tuple[str, str], Expansion] = {
    ("ai.onnx.preview.training", "Adagrad"): _each(3, _adagrad),
    ("ai.onnx.preview.training", "Adam"): _each(4, _adam),
    ("ai.onnx.preview.training", "Momentum"): _each(3, _momentum),
}
