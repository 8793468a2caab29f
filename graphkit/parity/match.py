"""Which input, output, parameter and value of one model is which of another."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import onnx_ir as ir

from graphkit.errors import InputError
from graphkit.ir.alignment import align
from graphkit.ir.dims import dims_of, shown
from graphkit.ir.dtypes import DTYPES
from graphkit.parity.parameters import LISTED, Parameters
from graphkit.text import several

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from graphkit.ir.alignment import Alignment
    from graphkit.ir.pairing import How

__all__ = ["Matching", "match"]


@dataclass(frozen=True, slots=True)
class Matching:
    """What of one model met what of another.

    Attributes:
        names: Name in the other model of each input, output, parameter, buffer and, where asked for, value between
            nodes that has a counterpart there.
        boxed: Those among them that have no axes, and a single one of size 1 in the other model: MXNet has no other.
        orders: For parameters and buffers among them that the other model holds with their axes in another order, the
            order that puts them into that of this one.
        told: What met and what did not, in sentences.
        extra: Outputs of the other model that this one does not have.
        reshaped: Values between nodes whose counterparts are of a shape that cannot be the same, by name: one of the
            two is wrong, or the models hold the same numbers in another layout there. They are not in ``names``.
        alignment: Nodes that are each other, where values between nodes were asked for.
        reasons: Why parameters and buffers without a counterpart have none, by name.
    """

    names: dict[str, str]
    boxed: frozenset[str]
    orders: Mapping[str, tuple[int, ...]]
    told: tuple[str, ...]
    extra: tuple[str, ...] = ()
    reshaped: Mapping[str, str] = field(default_factory=dict)
    alignment: Alignment | None = None
    reasons: Mapping[str, str] = field(default_factory=dict)


def match(model: ir.Model, other: ir.Model, taps: bool = False) -> Matching:
    """Find out what of one model is what of another.

    Inputs match by name; those without a namesake by position, or by shape where position contradicts it. So do
    outputs, of which the other model may have more if all of the first have namesakes. Parameters and buffers match as
    :class:`~graphkit.parity.parameters.Parameters` tells, values between nodes by their nodes
    (:func:`~graphkit.ir.alignment.align`).

    Args:
        model: A canonical model.
        other: Another.
        taps: Whether values between nodes are matched too.

    Raises:
        InputError: The other model has more or fewer inputs, or lacks outputs; or two that meet differ in element type
            or rank, or two inputs in a size that is fixed in both.
    """
    inputs, outputs = _fed(model), list(model.graph.outputs)
    ends = [_paired("input", inputs, _fed(other)), _paired("output", outputs, list(other.graph.outputs))]
    names = ends[0] | ends[1]
    extra = tuple(value.name or "" for value in other.graph.outputs if value.name not in ends[1].values())
    told = [_meeting("input", ends[0]), _meeting("output", ends[1])]
    if extra:
        told.append(
            f"{_counted(len(extra), 'more output')} in the second model, not compared: {several(extra, LISTED)}"
        )
    given = dict(names)
    parameters = Parameters(model, other, lambda: align(model, other, given))
    names |= parameters.names
    told += parameters.told
    alignment = None
    reshaped: dict[str, str] = {}
    if taps:
        alignment = parameters.alignment
        values, reshaped, retyped = _between(model, other, alignment)
        names |= {name: found for name, found in values.items() if name not in names}
        told += _nodes_told(model, alignment)
        for what, names_there in (("shape", reshaped), ("element type", retyped)):
            if names_there:
                listed = several([f"{name} ↔ {found}" for name, found in names_there.items()], LISTED)
                told.append(f"{_counted(len(names_there), 'value')} of another {what} there, not compared: {listed}")
    return Matching(
        names,
        _boxed(model, other, names),
        parameters.orders,
        tuple(filter(None, told)),
        extra,
        reshaped,
        alignment,
        parameters.reasons,
    )


def _between(
    model: ir.Model, other: ir.Model, alignment: Alignment
) -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
    """Values between nodes that can be compared, those of another shape, and those of another element type."""
    ours, theirs = _computed(model), _computed(other)
    alike: dict[str, str] = {}
    reshaped: dict[str, str] = {}
    retyped: dict[str, str] = {}
    for names, found in ((alignment.values, alike), (alignment.reshaped, reshaped)):
        for name, named in names.items():
            if name not in ours or named not in theirs:
                continue
            unboxed = dims_of(ours[name]) == (1,) and dims_of(theirs[named]) == ()
            typed = ours[name].dtype == theirs[named].dtype
            (retyped if not typed else reshaped if unboxed else found)[name] = named
    return alike, reshaped, retyped


def _computed(model: ir.Model) -> dict[str, ir.Value]:
    """Tensors that nodes compute and that are no outputs."""
    return {
        value.name: value
        for node in model.graph
        for value in node.outputs
        if value.name and not value.is_graph_output() and isinstance(value.type, ir.TensorType)
    }


def _boxed(model: ir.Model, other: ir.Model, names: Mapping[str, str]) -> frozenset[str]:
    ours, theirs = (
        {value.name or "": value for value in (*_fed(each), *each.graph.outputs)} | _computed(each)
        for each in (model, other)
    )
    return frozenset(
        name
        for name, value in ours.items()
        if dims_of(value) == () and (found := theirs.get(names.get(name, ""))) is not None and dims_of(found) == (1,)
    )


def _fed(model: ir.Model) -> list[ir.Value]:
    return [value for value in model.graph.inputs if not value.is_initializer()]


def _paired(what: str, ours: Sequence[ir.Value], theirs: Sequence[ir.Value]) -> dict[str, str]:
    """Inputs or outputs by name; the rest by position, or by shape where position contradicts it."""
    named = {value.name: value for value in theirs}
    pairs = {value: named[value.name] for value in ours if value.name in named and _fit(value, named[value.name])}
    rest = [value for value in ours if value not in pairs]
    taken = {value.name for value in pairs.values()}
    free = [value for value in theirs if value.name not in taken]
    if not rest and what == "output":
        free = []
    if len(rest) != len(free):
        raise InputError(_unequal(what, ours, theirs, rest))
    order = list(zip(rest, free, strict=True))
    if not all(_fit(*pair) for pair in order):
        order = _only(rest, free) or order
    for one, two in (*pairs.items(), *order):
        if not _fit(one, two) or (what == "input" and _clash(one, two)):
            met = f"{_described(one)} meets {_described(two)}"
            if one.dtype != two.dtype:
                raise InputError(
                    f"The two models cannot be compared: among their {what}s, {met}. Cast one of the models, so that "
                    f"both have the same element types."
                )
            raise InputError(
                f"The two models cannot be compared: among their {what}s, {met}. Give both the same shapes, or equal "
                f"names to those that belong together."
            )
    pairs |= dict(order)
    return {value.name or "": pairs[value].name or "" for value in ours}


def _fit(one: ir.Value, two: ir.Value) -> bool:
    """Whether element types are equal, and ranks as far as they are known; no axes fit one of size 1."""
    dims = dims_of(one), dims_of(two)
    if one.dtype != two.dtype:
        return False
    return dims[0] is None or dims[1] is None or len(dims[0]) == len(dims[1]) or dims == ((), (1,))


def _clash(one: ir.Value, two: ir.Value) -> bool:
    """Whether no array has the shapes of both."""
    dims = dims_of(one) or (), dims_of(two) or ()
    return any(isinstance(a, int) and isinstance(b, int) and a != b for a, b in zip(*dims, strict=False))


def _only(ours: Sequence[ir.Value], theirs: Sequence[ir.Value]) -> list[tuple[ir.Value, ir.Value]]:
    """Pairs that fit, if each value fits exactly one; else none."""
    fits = [[two for two in theirs if _fit(one, two)] for one in ours]
    chosen = {two for found in fits for two in found if len(found) == 1}
    alone = len(chosen) == len(ours)
    return [(one, found[0]) for one, found in zip(ours, fits, strict=True)] if alone else []


def _unequal(what: str, ours: Sequence[ir.Value], theirs: Sequence[ir.Value], rest: Sequence[ir.Value]) -> str:
    lists = f"the {what}s of the first are {_listed(ours)}, of the second {_listed(theirs)}"
    if len(theirs) < len(ours):
        lacks = f"{_listed(rest)} of the first" if len(rest) == len(ours) - len(theirs) else f"some of {_listed(rest)}"
        lists += f", which has no counterpart of {lacks}"
    return (
        f"The two models cannot be compared: {lists}. Give both the same {what}s, or equal names to those they share."
    )


def _described(value: ir.Value) -> str:
    dims = dims_of(value)
    shape = "of unknown shape" if dims is None else shown(dims)
    kind = next((row.name for row in DTYPES if row.onnx == value.dtype), "of unknown type")
    return f"{value.name!r} ({kind}, {shape})"


def _listed(values: Iterable[ir.Value]) -> str:
    return ", ".join(repr(value.name) for value in values) or "none"


def _meeting(what: str, names: Mapping[str, str]) -> str:
    """How inputs or outputs met, in words."""
    same = [name for name, found in names.items() if name == found]
    other = [f"{name} ↔ {found}" for name, found in names.items() if name != found]
    parts = [f"by name: {several(same, LISTED)}"] if same else []
    parts += [f"by order and shape: {several(other, LISTED)}"] if other else []
    return f"{what}s {'; '.join(parts)}" if parts else ""


def _nodes_told(model: ir.Model, alignment: Alignment) -> list[str]:
    """How nodes met, in sentences."""
    folded, holders = alignment.folded, set(alignment.folded.values())
    total = sum(1 for _ in model.graph)
    counts = Counter(pair.how for pair in alignment.nodes)
    hows: tuple[How, ...] = ("name", "structure", "order")
    parts = [f"{counts[how]} by {how}" for how in hows if counts[how]]
    into = [pair.left for pair in alignment.nodes if pair.left in folded]
    if into:
        listed = [f"{_node(node)} into {_node(folded[node])}" for node in into if node is not None]
        parts.append(f"{len(into)} folded into others ({several(listed, LISTED)})")
    ours = [_node(pair.left) for pair in alignment.nodes if pair.right is None and pair.left not in folded]
    if ours:
        parts.append(f"{len(ours)} without a counterpart ({several(ours, LISTED)})")
    told = [f"values between nodes: of {_counted(total, 'node')}, {', '.join(parts)}"] if parts else []
    theirs = [_node(pair.right) for pair in alignment.nodes if pair.left is None and pair.right not in folded]
    if theirs:
        told.append(f"{_counted(len(theirs), 'more node')} in the second model: {several(theirs, LISTED)}")
    swapped = [pair for pair in alignment.nodes if pair.replaced and not {pair.left, pair.right} & holders]
    replaced = [f"{_node(pair.left)} ↔ {_node(pair.right)}" for pair in swapped]
    if replaced:
        told.append(
            f"{_counted(len(replaced), 'node')} with another operator in the second model: {several(replaced, LISTED)}"
        )
    return told


def _node(node: ir.Node | None) -> str:
    return "" if node is None else f"{node.op_type} {node.name or node.outputs[0].name!r}"


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
