"""Loop, and MXNet's ``_while_loop``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import onnx_ir as ir

from graphkit.ops.booleans import as_carrier
from graphkit.ops.control_flow.grad_loop import gradient
from graphkit.ops.control_flow.lists import empty, is_read, stacked
from graphkit.ops.control_flow.reading import places, truth
from graphkit.ops.control_flow.samples import LOOPS, MX_LOOPS
from graphkit.ops.control_flow.writing import ENDLESS, Looping, changing, outside, rows_of
from graphkit.ops.spec import Limit, MxForm, Op, Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graphkit.ops.builders import MxBuilder, OnnxBuilder, TorchBuilder
    from graphkit.ops.mxgraph import MxNode, MxRef
    from graphkit.ops.torchprogram import Arg, Body

__all__ = ["OP"]


def _limit(b: MxBuilder | TorchBuilder, node: ir.Node) -> tuple[ir.Value | None, int | None]:
    """What limits the number of turns, and that number where it is a constant; None where nothing does."""
    limit = node.inputs[0]
    number = b.number(limit)
    if number is not None and number >= ENDLESS:  # exporters of ``while`` write the largest integer
        return None, None
    return limit, None if number is None else int(number)


def _going(b: MxBuilder | TorchBuilder, node: ir.Node) -> tuple[ir.Value | None, bool]:
    """What says whether the loop begins, None where that is a constant; and that constant."""
    given = node.inputs[1] if len(node.inputs) > 1 else None
    number = b.number(given)
    return (given, True) if given is not None and number is None else (None, given is None or bool(number))


def _goes_on(b: MxBuilder | TorchBuilder, graph: ir.Graph) -> bool | None:
    """Whether a turn is followed by another one; None where the turn computes that."""
    value = graph.outputs[0]
    if value is graph.inputs[1] or b.number(value) is not None:
        return value is graph.inputs[1] or bool(b.number(value))
    producer = value.producer()
    is_copy = producer is not None and producer.op_type == "Identity"
    source = producer.inputs[0] if is_copy and producer is not None else None
    if source is None:
        return None
    return True if source is graph.inputs[1] else None if b.number(source) is None else bool(b.number(source))


def _torch(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Sequence[Arg]:
    graph = node.attributes["body"].as_graph()
    limit, number = _limit(b, node)
    begins, begun = _going(b, node)
    carried = list(x[2:])
    collected = graph.outputs[1 + len(carried) :]
    if (number is not None and number <= 0) or not begun:
        return [*carried, *(empty(b, value) for value in collected)]
    goes_on = _goes_on(b, graph)
    repeated = begins is not None and goes_on is None and _is_repeated(b, begins, node, graph)
    counts = bool(graph.inputs[0].uses())
    going = b.const(np.array(True)) if graph.inputs[1].uses() else True
    body = b.body(graph, None if counts else 0, going)
    index = body.inputs.pop(0) if counts else b.var()
    condition, *body.outputs = body.outputs
    if goes_on is None and begins is None:
        body.goes_on = condition
    elif goes_on is False:
        body.goes_on = False
    kept = [place for place, value in enumerate(node.outputs[len(carried) :]) if is_read(value)]
    body.outputs = [*body.outputs[: len(carried)], *(body.outputs[len(carried) + place] for place in kept)]
    through: list[Arg] = []
    if limit is not None:
        turns = x[0] if number is None else number
        through = [b.call("torch.arange", turns) if counts else turns]
        body.items = (index,)
    elif counts:
        _carry(body, index, b.block(lambda: [b.infix("+", index, 1)]))
        carried.append(b.const(np.array(0)))
    if repeated and begins is not None:
        again = dict(zip(_starts(node), body.inputs, strict=False))
        body.stmts[:0] = b.block(lambda: _tested(b, b.anew(begins, again))).stmts
    elif begins is not None:
        going = b.var()
        body.inputs.append(going)
        body.outputs.insert(len(carried), going if goes_on else condition)
        body.stmts[:0] = b.block(lambda: _tested(b, going)).stmts
        carried.append(x[1])
    results = b.loop(body, carried, *through, head="range" if through and not counts else "")
    found: list[Arg] = [None] * len(collected)
    for place, values in zip(kept, results[len(carried) :], strict=True):
        like = collected[place]
        found[place] = (
            stacked(b, values, like) if number is not None and begins is None else _stacked_if_any(b, values, like)
        )
    return [*results[: len(x[2:])], *found]


def _tested(b: TorchBuilder, condition: Arg) -> list[Arg]:
    b.stop_unless(condition)
    return []


def _starts(node: ir.Node) -> list[ir.Value]:
    """What a loop carries at first."""
    return [value for value in node.inputs[2:] if value is not None]


def _is_repeated(b: TorchBuilder, begins: ir.Value, node: ir.Node, graph: ir.Graph) -> bool:
    """Whether a turn computes of what it gives whether another one follows as that is computed at first."""
    starts = _starts(node)
    given = graph.outputs[1 : 1 + len(starts)]
    same = len(set(starts)) == len(starts) and all(
        b.shape(start) == b.shape(inner) for start, inner in zip(starts, graph.inputs[2:], strict=True)
    )
    return same and _alike(begins, graph.outputs[0], dict(zip(starts, given, strict=True)))


def _alike(one: ir.Value | None, other: ir.Value | None, pairs: Mapping[ir.Value, ir.Value]) -> bool:
    """Whether two values are computed in the same way of pairs of others."""
    if one is None or other is None or one is other:
        return one is other
    if one in pairs:
        return pairs[one] is other
    if one.const_value is not None and other.const_value is not None:
        arrays = one.const_value.numpy(), other.const_value.numpy()
        return arrays[0].dtype == arrays[1].dtype and np.array_equal(*arrays)
    first, second = one.producer(), other.producer()
    if first is None or second is None or one.index() != other.index():
        return False
    said = [
        (n.op_type, n.domain, {a.name: a.value for a in n.attributes.values()}, len(n.inputs)) for n in (first, second)
    ]
    return said[0] == said[1] and all(_alike(a, c, pairs) for a, c in zip(first.inputs, second.inputs, strict=True))


def _carry(body: Body, variable: Any, step: Body) -> None:
    """Let a loop carry one more variable."""
    place = len(body.inputs)
    body.inputs.append(variable)
    body.stmts += step.stmts
    body.outputs.insert(place, step.outputs[0])


def _stacked_if_any(b: TorchBuilder, values: Arg, like: ir.Value) -> Arg:
    """What a loop of perhaps no turn collected, as one tensor."""
    some, none = b.block(lambda: [stacked(b, values, like)]), b.block(lambda: [empty(b, like)])
    return b.branch(values, some, none)[0]


def _read(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> Sequence[ir.Value] | Refusal:
    values = [value for value in x if value is not None]
    condition, body = node.subgraphs
    tested, used = (places(node, name, len(values), once=False) for name in ("cond_input_locs", "func_input_locs"))
    variables = places(node, "func_var_locs", len(used))
    collected, limit = int(node.attrs["num_out_data"]), int(node.attrs["max_iterations"])
    given = [len(list(graph.variables())) for graph in node.subgraphs]
    if given != [len(tested), len(used)] or len(body.heads) != collected + len(variables):
        return Refusal("its bodies have other inputs and outputs than its parameters say")
    first = [values[used[place]] for place in variables]
    index, going = b.variable(ir.DataType.INT64, ()), b.variable(ir.DataType.BOOL, ())
    carried = [b.variable(value.dtype, b.shape(value)) for value in first]
    own = [used[place] for place in variables]

    def holds(held: Sequence[ir.Value]) -> ir.Value:
        """Whether the condition holds for the variables of the loop."""
        now = dict(zip(own, held, strict=True))
        return truth(b, b.inline(condition, [now.get(place, values[place]) for place in tested])[0])

    def turn() -> list[ir.Value]:
        now = dict(zip(variables, carried, strict=True))
        results = b.inline(body, [now.get(number, values[place]) for number, place in enumerate(used)])
        return [holds(results[collected:]), *results[collected:], *results[:collected]]

    graph = b.body([index, going, *carried], turn)
    turns = b.const(np.array(limit, np.int64))
    results = b.ops("Loop", len(first) + collected, turns, holds(first), *first, body=graph)
    return [*(_padded(b, value, limit) for value in results[len(first) :]), *results[: len(first)]]


def _padded(b: OnnxBuilder, value: ir.Value, turns: int) -> ir.Value:
    """What a loop collected, and zeros for the turns that it might have made; MXNet leaves what was in memory."""
    rank = b.rank(value)
    padded = b.op("Slice", b.op("Pad", value, [*[0] * rank, turns, *[0] * (rank - 1)]), [0], [turns], [0])
    padded.shape = ir.Shape([turns, *list(value.shape or ())[1:]])
    return padded


def _write(b: MxBuilder, node: ir.Node, _x: Sequence[MxRef | None]) -> Sequence[MxRef] | Refusal:
    graph = node.attributes["body"].as_graph()
    limit, turns = _limit(b, node)
    begins, begun = _going(b, node)
    if limit is not None and turns is None:
        return Refusal(
            "its number of turns is computed, and MXNet has to know it beforehand; fix the sizes that it depends on "
            "(--input with sizes, --no-dynamic-batch)",
            needs=node.inputs[:1],
        )
    goes_on = _goes_on(b, graph)
    first = node.inputs[2:]
    kept = [number for number, value in enumerate(node.outputs[len(first) :]) if is_read(value)]
    if not begun or (turns is not None and turns <= 0):
        if kept:
            return Refusal("it makes no turn and so collects nothing, and MXNet has no arrays without elements")
        return [b.ref(value) for value in first if value is not None]
    inner, given = graph.inputs[2:], graph.outputs[1 : 1 + len(first)]
    for start, before, after in zip(first, inner, given, strict=True):
        if why := changing(b, start, (before, after)):
            return why
    if goes_on is False:
        turns = 1
    collected = graph.outputs[1 + len(first) :]
    outputs = node.outputs[len(first) :]
    looping = Looping(
        graph,
        {value: outside(b, start) for value, start in zip(inner, first, strict=True) if start is not None},
        given,
        [collected[number] for number in kept],
        index=graph.inputs[0] if graph.inputs[0].uses() else None,
        going=graph.outputs[0] if goes_on is None else None,
        begins=None if begins is None else as_carrier(b, begins, np.dtype(np.float32)),
        turns=turns,
    )
    if looping.going is None and looping.begins is None:
        if turns is None:
            return Refusal("nothing ends it: it has neither a number of turns nor a condition")
        fillers = dict[int, ir.Value]()
    else:
        fillers = {number: filler for number in kept if (filler := _filler(b, outputs[number], turns)) is not None}
        if len(fillers) < len(kept):
            return Refusal(
                "how many turns it makes depends on numbers that it computes, and MXNet has no arrays of as many rows; "
                "read what it carries instead of what it collects, or fill that up to the number of turns that it "
                "makes at most (Pad by that number, then Slice to it), as MXNet does itself"
            )
    if graph.inputs[1].uses():
        b.bind(graph.inputs[1], b.const(np.ones(1, np.float32), "true"))
    looped = looping.write(b)
    found = {}
    for number, ref in zip(kept, looped.collected, strict=True):
        if number in fillers and turns is not None and looped.turns is not None:
            b.bind(
                fillers[number], rows_of(b, _filled(b, ref, looped.turns, collected[number], turns), collected[number])
            )
        found[number] = rows_of(b, ref, collected[number])
    return looped.outputs(b, node.outputs, found)


def _filler(b: MxBuilder, value: ir.Value, turns: int | None) -> ir.Value | None:
    """The value that is a collected one, filled up with zeros to a number of rows, if it is read for that only."""
    uses = list(value.uses())
    pad = uses[0].node if len(uses) == 1 and not value.is_graph_output() else None
    if (
        turns is None
        or pad is None
        or pad.op_type != "Pad"
        or pad.attributes.get_string("mode", "constant") != "constant"
    ):
        return None
    rank = b.rank(value)
    pads, fill, axes = (b.value(pad.inputs[place]) if len(pad.inputs) > place else None for place in (1, 2, 3))
    if pads is None or axes is not None or (fill is not None and fill.item() != 0):
        return None
    after = list(pad.outputs[0].uses())
    cut = after[0].node if len(after) == 1 and not pad.outputs[0].is_graph_output() else None
    if list(pads) != [*[0] * rank, turns, *[0] * (rank - 1)] or cut is None or cut.op_type != "Slice":
        return None
    bounds = [b.value(cut.inputs[place]) if len(cut.inputs) > place else None for place in (1, 2, 3)]
    given = [None if bound is None else list(bound) for bound in bounds]
    return cut.outputs[0] if given == [[0], [turns], [0]] and len(cut.inputs) == 4 else None


def _filled(b: MxBuilder, ref: MxRef, made: MxRef, like: ir.Value, turns: int) -> MxRef:
    """Rows with zeros in those that a loop did not fill."""
    sizes = [size if isinstance(size, int) else 0 for size in b.shape(like)] or [1]
    rows = b.op("Reshape", ref, shape=(turns, 1, -1), name="rows")
    count = b.op("Cast", made, dtype=b.dtype(like).name, name="turns")
    masked = b.op("SequenceMask", rows, count, use_sequence_length=True, name="filled")
    return b.op("Reshape", masked, shape=(turns, *sizes), name="filled_rows")


_UNKNOWN_TO_MXNET: Final = {
    "a computed number of turns": "MXNet has to know beforehand how many turns a loop makes",
    "collected until a condition fails": "MXNet has no arrays of a size that depends on numbers",
    "growing": "MXNet's loops carry arrays of one shape",
    "never": "MXNet has no arrays without elements",
}

OP = Op(
    "Loop",
    mx=(
        MxForm(
            "_while_loop",
            read=_read,
            reads=(
                "num_args",
                "num_outputs",
                "num_out_data",
                "max_iterations",
                "cond_input_locs",
                "func_input_locs",
                "func_var_locs",
            ),
            write=_write,
            cases=MX_LOOPS,
        ),
    ),
    torch=_torch,
    cases=LOOPS,
    gradient=gradient,
    limits=tuple(
        Limit(where, reason, case)
        for case, reason in _UNKNOWN_TO_MXNET.items()
        for where in ("schema", "mxnet", "mxnet-float64", "mxnet-backward", "round-trip")
    ),
)
