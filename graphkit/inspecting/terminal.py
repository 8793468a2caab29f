"""The terminal's form of a summary: what the model is, has and costs, and which targets take it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from graphkit.inspecting.cost.costs import GROUPED
from graphkit.inspecting.cost.count import evaluate, plain, shown, shown_bytes
from graphkit.ir.symbols import names_in
from graphkit.text import clean, several, short

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from rich.console import Group, RenderableType
    from rich.text import Text

    from graphkit.inspecting.cost.costs import Sum
    from graphkit.inspecting.parameters import Amount, Shared
    from graphkit.inspecting.summary import Summary
    from graphkit.inspecting.targets import Refused, Verdict
    from graphkit.ir.describe import Dims, Tensor

__all__ = ["named", "overview", "shape_text", "verdict_text"]

_NAMED: Final = 3
"""Names that a line gives before it counts the others."""
_LISTED: Final = 12
"""Lines of one kind that are printed before the others are counted."""
_NAME: Final = 48
"""Characters of a name."""


def overview(summary: Summary) -> Group:
    """Lay out what a model is, has and costs."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    rows: list[tuple[str, RenderableType]] = [
        ("Inputs", _tensors(summary.inputs)),
        ("Outputs", _tensors(summary.outputs)),
        *_stored(summary),
        *_operators(summary),
        *_costs(summary),
        *_untranslated(summary),
    ]
    for heading, content in rows:
        grid.add_row(heading, content)
    return Group(Text(short(summary.origin.label, _NAME), style="bold"), Text(_provenance(summary), style="dim"), grid)


def verdict_text(verdict: Verdict) -> Group:
    """Lay out whether a target takes a model, and which nodes it does not."""
    from rich.console import Group
    from rich.text import Text

    parts: list[RenderableType] = [Text()]
    if verdict.takes:
        parts.append(Text(f"{verdict.label} takes the model.", style="bold green"))
    else:
        of = f"of {_count(verdict.operators, 'operator')}"
        found = [
            f"does not take {len(verdict.refused):,} {of}" if verdict.refused else "",
            f"is not known to take {len(verdict.unknown):,} {of}" if verdict.unknown else "",
        ]
        told = " and ".join(filter(None, found)) or "is not known to take the model"
        parts.append(Text(f"{verdict.label} {told}.", style="bold red" if verdict.refused else "bold yellow"))
    parts += _refused(verdict.refused)
    if verdict.unknown:
        parts += [Text("Not known:", style="yellow"), *_refused(verdict.unknown)]
    if verdict.problem:
        parts.append(Text(clean(verdict.problem), style="yellow"))
    parts += [Text(f"{clean(warning)}", style="dim") for warning in verdict.warnings]
    return Group(*parts)


def shape_text(shape: Dims | None) -> str:
    """A shape for people: ``batch × 3 × 224 × 224``, ``scalar``, ``unknown``."""
    if shape is None:
        return "unknown"
    return " × ".join("?" if dim is None else short(str(dim), 20) for dim in shape) or "scalar"


def named(names: Sequence[str], limit: int = _NAMED) -> str:
    """Some names, and how many more there are."""
    return several([short(name) or "(no name)" for name in names], limit)


def _provenance(summary: Summary) -> str:
    origin = summary.origin
    facts = [f"{name} {short(text, 60)}" for name, text in origin.facts.items()]
    size = [] if not origin.files else [shown_bytes(origin.bytes) if origin.bytes is not None else "size unknown"]
    missing = [f"{short(file.path)} is not there" for file in origin.files if file.bytes is None]
    return " · ".join([origin.kind, *facts, *size, *missing])


def _tensors(tensors: Sequence[Tensor]) -> RenderableType:
    from rich.table import Table
    from rich.text import Text

    if not tensors:
        return Text("none", style="dim")
    grid = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    for tensor in tensors[:_LISTED]:
        dtype = Text(tensor.dtype or "unknown type", style="dim")
        grid.add_row(Text(short(tensor.name, _NAME)), Text(shape_text(tensor.shape)), dtype)
    if len(tensors) > _LISTED:
        grid.add_row(Text(f"{len(tensors) - _LISTED:,} more", style="dim"), "", "")
    return grid


def _stored(summary: Summary) -> Iterator[tuple[str, Text]]:
    from rich.text import Text

    found = summary.stored
    for kind, heading in (("parameter", "Parameters"), ("buffer", "Buffers"), ("constant", "Constants")):
        amount = found.kinds[kind]  # type: ignore[index]  # these are the kinds
        if amount.tensors or kind == "parameter":
            yield heading, Text(_amount(amount, found.dtypes[kind]))  # type: ignore[index]  # these are the kinds
    lines = [_tie(tie) for tie in found.shared]
    if lines:
        yield "Tied", Text("\n".join(_some(lines)))
    if found.unused:
        yield "Unused", Text(f"{_count(len(found.unused), 'tensor')}: {named(found.unused)}")
    if found.absent:
        yield "Without data", Text(f"{_count(len(found.absent), 'tensor')}: {named(found.absent)}")


def _amount(amount: Amount, dtypes: dict[str, Amount] | object) -> str:
    assert isinstance(dtypes, dict)
    if not amount.tensors:
        return "none"
    kinds = [name if len(dtypes) == 1 else f"{name} {shown(each.elements)}" for name, each in dtypes.items()]
    least = "at least " if amount.unknown else ""
    exact = f" ({amount.elements:,})" if amount.elements >= 1000 else ""
    unknown = f"; of {_count(amount.unknown, 'tensor')} the size is unknown" if amount.unknown else ""
    return (
        f"{least}{shown(amount.elements)}{exact} in {_count(amount.tensors, 'tensor')}, {shown_bytes(amount.bytes)}, "
        f"{', '.join(kinds)}{unknown}"
    )


def _tie(tie: Shared) -> str:
    names = " = ".join(short(name) for name in tie.names[:_NAMED])
    more = f" and {len(tie.names) - _NAMED:,} more names" if len(tie.names) > _NAMED else ""
    size = "" if tie.elements is None else f" ({shown(tie.elements)})"
    return f"{names}{more}{size}, read by {named(tie.readers)}"


def _operators(summary: Summary) -> Iterator[tuple[str, RenderableType]]:
    from rich.table import Table
    from rich.text import Text

    found = summary.operators
    parts = [f"{found.nodes:,}, {found.depth:,} on the longest path"]
    if found.modules:
        parts.append(f"in {_count(found.modules, 'module')} nested {found.module_depth:,} deep")
    if found.backward:
        parts.append(f"{found.backward:,} of them compute gradients")
    if found.in_bodies:
        parts.append(f"{found.in_bodies:,} of them in {_count(len(found.bodies), 'body', 'bodies')} of control flow")
    yield "Operators", Text("; ".join(parts))
    if found.families:
        grid = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
        grid.add_column()
        grid.add_column(justify="right")
        grid.add_column(overflow="fold", style="dim")
        for family, types in found.families.items():
            listed = [short(op) if count == 1 else f"{short(op)} × {count:,}" for op, count in types.items()]
            more = f" and {len(listed) - _LISTED:,} more" if len(listed) > _LISTED else ""
            grid.add_row(family, f"{sum(types.values()):,}", Text(", ".join(listed[:_LISTED]) + more))
        yield "", grid
    if found.bodies:
        lines = [
            f"{short(body.owner) or body.op} ({short(body.op)}), {short(body.attribute)}: "
            f"{_count(body.nodes, 'operator')}"
            for body in found.bodies
        ]
        yield "Bodies", Text("\n".join(_some(lines)))


def _costs(summary: Summary) -> Iterator[tuple[str, RenderableType]]:
    from rich.text import Text

    cost, peak = summary.cost, summary.peak
    yield "Forward", Text(_work(cost.forward))
    note = "" if cost.has_backward else ", for all parameters"
    yield "Backward", Text(_work(cost.backward) + note)
    if cost.overcounted:
        yield "  exactly", Text(f"{_work(cost.backward_exact)}; {GROUPED}")
    yield "Activations", Text(_activations(summary))
    if peak.given is None or peak.best is None:
        names = [value.name or "" for value in peak.unknown]
        yield "Peak memory", Text(f"unknown, as the sizes of {_count(len(names), 'value')} are: {named(names)}")
    else:
        yield "Peak memory", Text(_peak(summary))
    if summary.kept is not None:
        kept = summary.kept
        told = f"unknown: {kept.why}" if kept.why else shown_bytes(kept.bytes)
        yield "Kept", Text(f"{told}{'' if kept.why else ' from the forward for the backward pass'}")
    if options := _options(summary):
        yield "More with", Text(options)
    unknown = [each for each in (*cost.nodes, *cost.inner) if each.macs is None and each.why]
    if unknown:
        reasons = Counter(each.why for each in unknown)
        lines = [f"MACs of {_count(count, 'operator')}: {short(why, 120)}" for why, count in reasons.most_common()]
        yield "Unknown", Text("\n".join(_some(lines, _NAMED)), style="yellow")


def _options(summary: Summary) -> str:
    """Options of the command line with which more is known; empty where that is little."""
    cost = summary.cost
    blind = [tensor.name for tensor in summary.inputs if tensor.shape is None or None in tensor.shape]
    names = sorted(names_in(cost.forward.known) | names_in(cost.activations.known))
    given = [f"--input {clean(name)}:SHAPE" for name in blind]
    if not blind and len(names) > 1:
        given = [f"--size {clean(name)}=N" for name in names]
    return " ".join(given[:_NAMED]) + (" …" if len(given) > _NAMED else "")


def _work(found: Sum) -> str:
    if found.unknown and plain(found.known) == 0:
        return "unknown"
    macs, flops = shown(found.known, "MACs"), shown(found.doubled().known, "FLOPs")
    if macs == flops:  # only what they depend on can be said
        return f"unknown; what is known of it is {macs}" if found.unknown else macs
    least = "at least " if found.unknown else ""
    return f"{least}{macs} = {least}{flops}"


def _activations(summary: Summary) -> str:
    found = summary.cost.activations
    whole = shown_bytes(found.known)
    whole = f"at least {whole}" if found.unknown else whole
    if found.unknown:
        whole += f", unknown for {_count(len(found.unknown), 'operator')}"
        if plain(found.known) == 0:
            whole = f"unknown for {_count(len(found.unknown), 'operator')}"
    largest = summary.largest
    if largest is None or plain(largest.bytes) == 0:
        return whole
    name = short(largest.name) or largest.op
    blind = any(not node.inside and evaluate(node.bytes, {}, 1) is None for node in summary.nodes)
    return f"{whole}; the largest {'known ' if blind else ''}{shown_bytes(largest.bytes)} at {name}"


def _peak(summary: Summary) -> str:
    peak = summary.peak
    assert peak.given is not None
    assert peak.best is not None
    per = f" × {short(peak.per, 20)}" if peak.per else ""
    where = "" if peak.node is None else f" at {short(peak.node.name or peak.node.op_type)}"
    sizes = ", ".join(f"{short(name, 20)} = {size:,}" for name, size in peak.sizes.items()) if not per else ""
    if peak.best < peak.given:
        best = f"; in the best order{'' if peak.proved else ' found'} {shown_bytes(peak.best)}{per}"
    else:
        best = ", and no order needs less" if peak.proved else ", and no better order was found"
    return f"{shown_bytes(peak.given)}{per}{where}{best}{f' (for {sizes})' if sizes else ''}"


def _untranslated(summary: Summary) -> Iterator[tuple[str, RenderableType]]:
    nodes = summary.operators.untranslated
    if nodes:
        from rich.console import Group
        from rich.text import Text

        heading = Text(f"{_count(len(nodes), 'operator')} without canonical form:", style="yellow")
        yield "Kept as is", Group(heading, *_grouped((node.op, node.name, node.reason) for node in nodes))


def _refused(nodes: Sequence[Refused]) -> list[RenderableType]:
    return _grouped((node.op, node.name, node.reason) for node in nodes)


def _grouped(nodes: Iterable[tuple[str, str, str]]) -> list[RenderableType]:
    """Nodes as a paragraph for each operator and reason, with how many there are and where the first ones are."""
    from rich.padding import Padding
    from rich.text import Text

    groups: dict[tuple[str, str], list[str]] = {}
    for op, name, reason in nodes:
        groups.setdefault((op, reason), []).append(name)
    lines: list[RenderableType] = []
    for (op, reason), names in sorted(groups.items(), key=lambda group: -len(group[1])):
        line = Text(short(op), style="bold")
        line.append(f" × {len(names):,}" if len(names) > 1 else "", style="not bold")
        line.append(f": {clean(reason)}", style="not bold")
        line.append(f" (at {named(names)})", style="not bold dim")
        lines.append(Padding(line, (0, 0, 0, 2)))
    if len(lines) > _LISTED:
        lines[_LISTED:] = [Text(f"  {len(lines) - _LISTED:,} more reasons", style="dim")]
    return lines


def _some(lines: list[str], limit: int = _LISTED) -> list[str]:
    return lines if len(lines) <= limit else [*lines[:limit], f"{len(lines) - limit:,} more"]


def _count(number: int, singular: str, plural: str = "") -> str:
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"
