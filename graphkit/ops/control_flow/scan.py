"""Scan, and MXNet's ``_foreach``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from graphkit.ops.control_flow.lists import empty, is_read, stacked
from graphkit.ops.spec import Op

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import TorchBuilder
    from graphkit.ops.torchprogram import Arg

__all__ = ["OP"]


class _Scan(NamedTuple):
    """A Scan node's attributes, defaults filled in.

    Attributes:
        body: What it does on each turn.
        states: Number of values that it carries.
        axes: Axis along which it goes through each input, and along which it stacks each output.
        backward: Which of the inputs it goes through from the end, and which outputs it fills from there.
    """

    body: ir.Graph
    states: int
    axes: tuple[list[int], list[int]]
    backward: tuple[list[bool], list[bool]]

    @classmethod
    def of(cls, node: ir.Node) -> _Scan:
        states = len(node.inputs) - (node.attributes.get_int("num_scan_inputs", 0) or 0)
        counts = (len(node.inputs) - states, len(node.outputs) - states)

        def numbers(kind: str) -> tuple[list[int], list[int]]:
            names = (f"scan_input_{kind}", f"scan_output_{kind}")
            given = [node.attributes.get_ints(name, None) for name in names]
            first, second = (list(own or [0] * count) for own, count in zip(given, counts, strict=True))
            return first, second

        ahead, back = numbers("directions")
        both = ([bool(one) for one in ahead], [bool(one) for one in back])
        return cls(node.attributes["body"].as_graph(), states, numbers("axes"), both)


def _torch(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Sequence[Arg]:
    scan = _Scan.of(node)
    sources = node.inputs[scan.states :]
    collected = scan.body.outputs[scan.states :]
    if b.shape(sources[0])[scan.axes[0][0]] == 0:  # type: ignore[arg-type]  # no input of Scan is optional
        ends = zip(collected, scan.axes[1], strict=True)
        return [*x[: scan.states], *(empty(b, value, axis) for value, axis in ends)]
    through = []
    for value, arg, axis, reverse in zip(sources, x[scan.states :], scan.axes[0], scan.backward[0], strict=True):
        place = axis + b.rank(value) if axis < 0 and value is not None else axis
        turned = b.method("flip", arg, place) if reverse else arg
        through.append(b.method("unbind", turned, place) if place else turned)
    body = b.body(scan.body)
    body.inputs, body.items = body.inputs[: scan.states], tuple(body.inputs[scan.states :])
    kept = [number for number, value in enumerate(node.outputs[scan.states :]) if is_read(value)]
    body.outputs = [*body.outputs[: scan.states], *(body.outputs[scan.states + number] for number in kept)]
    results = b.loop(body, x[: scan.states], *through, head="zip" if len(through) > 1 else "")
    found: list[Arg] = [None] * len(collected)
    for number, values in zip(kept, results[scan.states :], strict=True):
        reverse, axis = scan.backward[1][number], scan.axes[1][number]
        found[number] = stacked(b, values, collected[number], axis, reverse=reverse)
    return [*results[: scan.states], *found]


OP = Op("Scan", torch=_torch)
