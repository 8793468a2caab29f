"""Whether a side gives the same numbers for the same inputs, and if not, where that begins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from graphkit.errors import GraphkitError
from graphkit.ir.chance import active_dropouts, random_values
from graphkit.parity.metrics import distance

if TYPE_CHECKING:
    import numpy.typing as npt
    import onnx_ir as ir

    from graphkit.parity.sides import Arrays, Side

__all__ = ["unsteady"]

_ROUNDING: Final = 1e-5
"""What threads that add in another order each time may make of the same inputs, relative to the largest magnitude."""


def unsteady(side: Side, model: ir.Model, feeds: Arrays) -> str:
    """What makes a side give other numbers when it is run again on the same inputs; empty where nothing does.

    Values that are known to depend on random numbers are left out.

    Args:
        side: The side, which is run four times at most; what it holds of the current sample stays.
        model: The model compared, for the order of its values.
        feeds: Inputs in float32.
    """
    held = side.outputs, side.values
    chances = random_values(model)
    try:
        outputs = [_run(side, feeds, ()) for _ in range(2)]
        if not any(_differs(array, outputs[1][name]) for name, array in outputs[0].items() if name not in chances):
            return ""
        known = side.tappable() - outputs[0].keys()
        shown = (known | outputs[0].keys()) - chances.keys()
        order = [(value.name or "", node) for node in model.graph for value in node.outputs if value.name in shown]
        values = [_run(side, feeds, [name for name, _ in order if name in known]) for _ in range(2)]
    except GraphkitError:
        return ""
    finally:
        side.outputs, side.values = held
    for name, node in order:
        if _differs(values[0][name], values[1][name]):
            return f"first in {name!r}, which {node.op_type} node {node.name!r} gives"
    if active := active_dropouts(model):
        return f"as Dropout is active in its source ({', '.join(map(repr, active))})"
    return "where that begins it does not show"


def _run(side: Side, feeds: Arrays, taps: tuple[str, ...] | list[str]) -> dict[str, npt.NDArray[np.generic]]:
    side.forward(feeds, taps)
    return {**side.outputs, **side.values}


def _differs(one: npt.NDArray[np.generic], two: npt.NDArray[np.generic]) -> bool:
    if one.shape != two.shape or one.dtype != two.dtype:
        return True
    if one.dtype.kind not in "fVbiu":
        return not np.array_equal(one, two)
    return distance(one, two, _ROUNDING).bad > 0
