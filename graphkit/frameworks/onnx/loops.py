"""Loops that ``onnx.reference`` (onnx 1.23) gets wrong.

==== ======================================================================================================
Loop takes an absent condition for a false one, joins what it collects along an axis that is there already,
     and refuses to collect nothing
Scan refuses axes and directions other than the default ones, and to go through nothing
==== ======================================================================================================
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import helper
from onnx.reference.op_run import OpRun

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy.typing as npt

    Array = npt.NDArray[Any]

__all__ = ["LOOPS", "Loop", "Scan"]


def _stacked(values: Sequence[Any], kind: Any, axis: int = 0) -> Array:
    """Values along a new axis; an empty array of the shape that the body declares, 0 where it does not, for none."""
    if values:
        return np.stack([np.asarray(value) for value in values], axis)
    tensor = kind.tensor_type
    sizes = [dim.dim_value for dim in tensor.shape.dim]
    sizes.insert(axis if axis >= 0 else axis + len(sizes) + 1, 0)
    return np.zeros(sizes, helper.tensor_dtype_to_np_dtype(tensor.elem_type))


class _Looping(OpRun):
    op_domain = ""
    body: Any
    """The body's own evaluator, set from the node's attribute."""
    _run_body: Any

    def need_context(self) -> bool:
        """Whether the body may read values from outside."""
        return True


class Loop(_Looping):
    """Turns until the count or the condition ends them."""

    def _run(
        self, limit: Any = None, going: Any = None, *args: Any, context: Any = None, bindings: Any = None, **_: Any
    ) -> Any:
        body, carried = self.body, list(args)
        collected: list[list[Any]] = [[] for _ in body.output_names[1 + len(carried) :]]
        turn = 0
        while (going is None or bool(np.all(going))) and (limit is None or turn < int(np.asarray(limit).item())):
            given = [np.array(turn, np.int64), np.array(True), *carried]
            inputs = {**(context or {}), **dict(zip(body.input_names, given, strict=True))}
            going, *results = self._run_body(inputs, bindings=bindings)
            carried = results[: len(carried)]
            for values, value in zip(collected, results[len(carried) :], strict=True):
                values.append(value)
            turn += 1
        kinds = body.output_types[1 + len(carried) :]
        return (*carried, *(_stacked(v, kind) for v, kind in zip(collected, kinds, strict=True)))


class Scan(_Looping):
    """A turn for each slice of its inputs."""

    def _run(
        self,
        *args: Any,
        context: Any = None,
        bindings: Any = None,
        num_scan_inputs: int = 1,
        scan_input_axes: Iterable[int] | None = None,
        scan_input_directions: Iterable[int] | None = None,
        scan_output_axes: Iterable[int] | None = None,
        scan_output_directions: Iterable[int] | None = None,
        **_: Any,
    ) -> Any:
        body = self.body
        states = list(args[: len(args) - num_scan_inputs])
        count = len(states)
        outputs = len(body.output_names) - count
        scanned = [
            np.flip(np.moveaxis(x, axis, 0), 0) if backward else np.moveaxis(x, axis, 0)
            for x, axis, backward in zip(
                args[count:],
                scan_input_axes or [0] * num_scan_inputs,
                scan_input_directions or [0] * num_scan_inputs,
                strict=True,
            )
        ]
        collected: list[list[Any]] = [[] for _ in range(outputs)]
        for slices in zip(*scanned, strict=True):
            given = dict(zip(body.input_names, [*states, *slices], strict=True))
            results = self._run_body({**(context or {}), **given}, bindings=bindings)
            states = results[:count]
            for values, value in zip(collected, results[count:], strict=True):
                values.append(value)
        ends = zip(
            collected,
            body.output_types[count:],
            scan_output_axes or [0] * outputs,
            scan_output_directions or [0] * outputs,
            strict=True,
        )
        return (*states, *(_stacked(v[::-1] if backward else v, kind, axis) for v, kind, axis, backward in ends))


LOOPS = [Loop, Scan]
"""What to hand to :class:`onnx.reference.ReferenceEvaluator` as ``new_ops``."""
