"""Joining tensors after giving them the axes that they lack."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from graphkit.frameworks.torch.aten.emit import rank

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import onnx_ir as ir

    from graphkit.frameworks.torch.aten.emit import Emit

__all__ = ["ROWS"]

_NEW: Final[Mapping[int, Mapping[int, tuple[int, ...]]]] = {
    1: {0: (0,)},
    2: {0: (0, 1), 1: (0,)},
    3: {0: (0, 1, 2), 1: (0, 2), 2: (2,)},
}
"""Axes that ``atleast_1d``, ``2d`` and ``3d`` add to what has fewer."""


def _stack(axis: int, least: int, columns: bool = False) -> Callable[..., ir.Value]:
    def row(emit: Emit, tensors: Sequence[ir.Value]) -> ir.Value:
        parts = []
        for tensor in tensors:
            axes = (1,) if columns and rank(tensor) == 1 else _NEW[least].get(rank(tensor), ())
            parts.append(emit.op("Unsqueeze", tensor, emit.ints(*axes)) if axes else tensor)
        flat = axis == 1 and not columns and max(map(rank, tensors)) <= 1
        return emit.op("Concat", *parts, axis=0 if flat else axis)

    return row


def _at_least(least: int) -> Callable[..., list[ir.Value]]:
    def row(emit: Emit, tensors: Sequence[ir.Value]) -> list[ir.Value]:
        added = [_NEW[least].get(rank(tensor), ()) for tensor in tensors]
        return [
            emit.op("Unsqueeze", tensor, emit.ints(*axes)) if axes else emit.op("Identity", tensor)
            for tensor, axes in zip(tensors, added, strict=True)
        ]

    return row


ROWS: dict[str, Callable[..., Any]] = {
    **{f"aten.atleast_{least}d.Sequence": _at_least(least) for least in _NEW},
    "aten.column_stack.default": _stack(1, 2, columns=True),
    "aten.dstack.default": _stack(2, 3),
    "aten.hstack.default": _stack(1, 1),
    "aten.vstack.default": _stack(0, 2),
}
