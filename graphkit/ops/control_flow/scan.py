"""Scan, and MXNet's ``_foreach``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from graphkit.ops.control_flow.backward import Carried, Turn, drawn, totals
from graphkit.ops.control_flow.lists import empty, is_read, stacked
from graphkit.ops.control_flow.reading import places
from graphkit.ops.control_flow.samples import MX_SCANS, SCANS
from graphkit.ops.control_flow.writing import Looping, changing, outside, rows_of
from graphkit.ops.spec import MxForm, Op, Refusal
from graphkit.ops.tensor.sizes import some

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import MxBuilder, OnnxBuilder, TorchBuilder
    from graphkit.ops.gradients import GradientBuilder
    from graphkit.ops.mxgraph import MxNode, MxRef
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


def _read(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> Sequence[ir.Value] | Refusal:
    values = [value for value in x if value is not None]
    (body,) = node.subgraphs
    inner = len(list(body.variables()))
    data, states, rest = (places(node, name, inner) for name in ("in_data_locs", "in_state_locs", "remain_locs"))
    collected, given = int(node.attrs["num_out_data"]), len(data) + len(states)
    fits = len(values) == inner == len({*data, *states, *rest}) == given + len(rest)
    if not fits or len(body.heads) != collected + len(states) or not data:
        return Refusal("its body has other inputs and outputs than its parameters say")
    # A slice of an array of one axis is an array of one element in MXNet, and a scalar in ONNX.
    sources = [b.op("Unsqueeze", value, [1]) if b.rank(value) == 1 else value for value in values[: len(data)]]
    first = values[len(data) : given]
    carried = [b.variable(value.dtype, b.shape(value)) for value in first]
    items = [b.variable(value.dtype, b.shape(value)[1:]) for value in sources]
    held = dict(zip((*data, *states, *rest), (*items, *carried, *values[given:]), strict=True))

    def turn() -> list[ir.Value]:
        results = b.inline(body, [held[place] for place in range(len(held))])
        return [*results[collected:], *results[:collected]]

    graph = b.body([*carried, *items], turn)
    count = len(states) + collected
    results = b.ops("Scan", count, *first, *sources, body=graph, num_scan_inputs=len(data))
    return [*results[len(states) :], *results[: len(states)]]


def _write(b: MxBuilder, node: ir.Node, _x: Sequence[MxRef | None]) -> Sequence[MxRef] | Refusal:
    scan = _Scan.of(node)
    states, sources = node.inputs[: scan.states], node.inputs[scan.states :]
    inner, given = scan.body.inputs[: scan.states], scan.body.outputs[: scan.states]
    for first, before, after in zip(states, inner, given, strict=True):
        if why := changing(b, first, (before, after)):
            return why
    rows: dict[ir.Value, MxRef] = {}
    turns: int | None = None
    for value, item, axis, reverse in zip(
        sources, scan.body.inputs[scan.states :], scan.axes[0], scan.backward[0], strict=True
    ):
        assert value is not None
        dims = b.shape(value)
        place = axis % len(dims)
        size = dims[place]
        turns = size if isinstance(size, int) else turns
        order = [place, *(other for other in range(len(dims)) if other != place)]
        ref = outside(b, value) if not place else b.op("transpose", outside(b, value), axes=order, name="rows")
        rows[item] = b.op("reverse", ref, axis=0, name="backward") if reverse else ref
    kept = [number for number, value in enumerate(node.outputs[scan.states :]) if is_read(value)]
    looping = Looping(
        scan.body,
        {value: outside(b, first) for value, first in zip(inner, states, strict=True) if first is not None},
        given,
        [scan.body.outputs[scan.states + number] for number in kept],
        rows,
        turns=turns,
    )
    if not looping.is_flat(b) and turns is None:
        return Refusal(
            "it holds another loop or branch, or is inside one, and MXNet has to know how many turns such a loop "
            "makes; fix the size that it goes through (--input with sizes, --no-dynamic-batch)"
        )
    looped = looping.write(b)
    found = {
        number: rows_of(
            b, ref, scan.body.outputs[scan.states + number], scan.axes[1][number], reverse=scan.backward[1][number]
        )
        for number, ref in zip(kept, looped.collected, strict=True)
    }
    return looped.outputs(b, node.outputs, found)


def _gradient(b: GradientBuilder, node: ir.Node, dy: Sequence[Any]) -> Mapping[ir.Value, ir.Value | None] | Refusal:
    """A Scan in the other direction, of turns computed anew from what the node carried into them."""
    scan = _Scan.of(node)
    body, states = scan.body, scan.states
    random = drawn(b, body)
    if isinstance(random, Refusal):
        return random
    inner = body.inputs
    carried = [
        Carried(some(start), before, after, place, dy[place])
        for place, (start, before, after) in enumerate(zip(node.inputs[:states], inner, body.outputs, strict=False))
    ]
    sources = dict(zip(inner[states:], node.inputs[states:], strict=True))
    given = list(dy[states:])
    turn = Turn(b, body, carried, given, [value for value, source in sources.items() if b.wants(source)])
    if not turn.active and not turn.read and not turn.items:
        return {}
    held = turn.variables()
    slices = {value: b.variable(value) for value in (*inner, *random)}
    collected = body.outputs[states:]
    cotangents = [
        None if cotangent is None else b.variable(value) for value, cotangent in zip(collected, given, strict=True)
    ]

    def emit() -> list[ir.Value]:
        passed, gradients = turn.pull(slices, cotangents, held)
        return [*passed, *gradients]

    graph, count = b.graph(held, emit)
    (ahead, behind), (back, filled) = scan.axes, scan.backward
    read: list[tuple[ir.Value, ir.Value, int, bool]] = []  # in the body, outside, axis, whether from the end
    for value, source, axis, reverse in zip(sources, node.inputs[states:], ahead, back, strict=True):
        read.append((slices[value], some(source), axis, not reverse))
    for own, cotangent, axis, reverse in zip(cotangents, given, behind, filled, strict=True):
        if own is not None:
            read.append((own, cotangent, axis, not reverse))
    through = [each for each in read if is_read(each[0])]
    kept = [value for value in (*inner[:states], *random) if is_read(slices[value])]
    through += [(slices[value], b.collected(node, value), 0, True) for value in kept]
    through = through or read[:1]  # something has to say how many turns there are
    graph.inputs.extend(value for value, *_ in through)
    places = [list(sources).index(value) for value in turn.items]
    results = b.ops(
        "Scan",
        count,
        *turn.ends(node),
        *(source for _, source, _, _ in through),
        body=graph,
        num_scan_inputs=len(through),
        scan_input_axes=[axis for *_, axis, _ in through],
        scan_input_directions=[int(reverse) for *_, reverse in through],
        scan_output_axes=[ahead[place] for place in places] or None,
        scan_output_directions=[int(not back[place]) for place in places] or None,
    )
    values = [*(each.start for each in turn.active), *turn.read, *(sources[value] for value in turn.items)]
    return totals(b, zip(values, results, strict=True))


OP = Op(
    "Scan",
    mx=(
        MxForm(
            "_foreach",
            read=_read,
            reads=("num_args", "num_outputs", "num_out_data", "in_data_locs", "in_state_locs", "remain_locs"),
            write=_write,
            cases=MX_SCANS,
        ),
    ),
    torch=_torch,
    cases=SCANS,
    gradient=_gradient,
)
