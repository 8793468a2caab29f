"""A difference for a terminal: a verdict, then what differs, group by group."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from graphkit.ir.dims import shown
from graphkit.text import clean, short

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from rich.console import Group, RenderableType
    from rich.text import Text

    from graphkit.inspecting.difference.difference import (
        Difference,
        NodeDifference,
        ParameterDifference,
        Place,
        Side,
        Stored,
        ValueDifference,
    )
    from graphkit.ir.describe import Tensor

__all__ = ["headline", "node_lines", "node_title", "parameter_line", "summary", "told"]

_SHOWN: Final = 12
"""Things of a group that are told one by one unless all are wanted."""
_FEW: Final = 4
"""Renamed things that are listed unless all are wanted."""
_NAME: Final = 60
"""Characters of a name."""
_STYLES: Final = {"removed": "red", "added": "green", "changed": "yellow", "renamed": "cyan", "same": "dim"}
_SIGNS: Final = {"removed": "-", "added": "+", "changed": "~", "renamed": "=", "same": "="}


def told(difference: Difference, *, unabridged: bool = False) -> Group:
    """Lay a difference out for a terminal.

    Args:
        difference: What is different.
        unabridged: Whether every difference is told, and names in full, rather than the first of each kind.

    Returns:
        Something that rich prints, as wide as the console.
    """
    from rich.console import Group
    from rich.text import Text

    teller = _Teller(difference, unabridged)
    parts: list[RenderableType] = [
        Text(f"A  {_side(difference.left)}", "red"),
        Text(f"B  {_side(difference.right)}", "green"),
    ]
    if difference.left.reading != "canonical":
        parts.append(Text(f"both {_reading(difference.left.reading)}", "dim"))
    parts += teller.ends()
    parts += teller.nodes()
    parts += teller.rewritten()
    parts += teller.parameters()
    parts += teller.names()
    parts += teller.notes()
    style = "bold green" if difference.same else "bold"
    return Group(*parts, Text(headline(difference), style=style))


def headline(difference: Difference) -> str:
    """The verdict in a sentence."""
    lines = summary(difference)
    also = _also(difference)
    if difference.same:
        return f"The same{f', but for {_listed(also)}' if also else ''}."
    if not lines[:-1] and lines and lines[0].endswith(("renamed", "renamed ")):
        return f"The same but for names: {lines[0]}."
    return f"Different: {', '.join(lines)}."


def summary(difference: Difference) -> list[str]:
    """What counts, with numbers, e.g. ``["2 nodes removed", "3 parameters changed"]``."""
    words = {
        "inputs and outputs": ("input or output changed", "inputs and outputs changed"),
        "foldings": ("layer folded into another", "layers folded into others"),
        "names": ("thing renamed", "things renamed"),
    }
    found = []
    for what, number in difference.counts().items():
        if number:
            noun, _, verb = what.partition(" ")
            one, many = words.get(what, (f"{noun[:-1]} {verb}", f"{noun} {verb}"))
            found.append(f"{number:,} {one if number == 1 else many}")
    return found


def _also(difference: Difference) -> list[str]:
    """What does not count but is there."""
    kinds = Counter(rewrite.kind for rewrite in difference.rewrites)
    found = []
    if kinds["otherwise"]:
        number = kinds["otherwise"]
        found.append(f"{number:,} computation{'' if number == 1 else 's'} written otherwise")
    if any(entry.status == "rewritten" for entry in difference.parameters):
        found.append("the layout of weights")
    if "names" in difference.ignored and any(each.renamed for each in difference.called):
        found.append("names")
    if "parameters" in difference.ignored and any(each.numbers for each in difference.parameters):
        found.append("numbers of parameters")
    return found


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _reading(reading: str) -> str:
    return {"looked at": "as far as they can be looked at", "as spelled": "as the files spell them"}.get(
        reading, reading
    )


def _side(side: Side) -> str:
    names = {"mxnet": "MXNet", "torch": "PyTorch", "onnx": "ONNX"}
    parts = [clean(side.label), names.get(side.framework, ""), f"{side.operators:,} operators"]
    if side.parameters:
        parts.append(f"{side.parameters:,} parameters")
    if side.untranslated:
        parts.append(f"{side.untranslated:,} without canonical form")
    return " · ".join(filter(None, parts))


class _Teller:
    def __init__(self, difference: Difference, unabridged: bool) -> None:
        self.difference = difference
        self.all = unabridged
        self.limit = 400 if unabridged else _NAME

    def ends(self) -> Iterator[RenderableType]:
        """Inputs and outputs that are other than by name."""
        found = [
            each
            for each in (*self.difference.inputs, *self.difference.outputs)
            if each.status not in ("same", "renamed")
        ]
        yield from self._group("Inputs and outputs", found, self._end)

    def nodes(self) -> Iterator[RenderableType]:
        """Nodes that are removed, added, replaced, changed, rewired."""
        groups = {
            "Nodes removed": "removed",
            "Nodes added": "added",
            "Nodes with another operator": "replaced",
            "Nodes changed": "changed",
            "Nodes that read other values": "moved",
        }
        for title, status in groups.items():
            found = [each for each in self.difference.nodes if each.status == status]
            yield from self._group(title, found, self._node)

    def rewritten(self) -> Iterator[RenderableType]:
        """Computations that are written otherwise."""
        for title, kind in (("Folded into weights", "folded"), ("Written otherwise, the same numbers", "otherwise")):
            found = [each for each in self.difference.rewrites if each.kind == kind]
            yield from self._group(title, found, self._rewrite)

    def parameters(self) -> Iterator[RenderableType]:
        """Stored arrays."""
        groups = {
            "Parameters removed": ("removed",),
            "Parameters added": ("added",),
            "Parameters changed": ("changed",),
            "Parameters in another layout": ("rewritten",),
        }
        for title, statuses in groups.items():
            found = [each for each in self.difference.parameters if each.status in statuses]
            if title.endswith("changed"):
                found.sort(key=lambda each: -(each.numbers.relative if each.numbers else math.inf))
            yield from self._group(title, found, self._parameter)

    def names(self) -> Iterator[Text]:
        """What is only called otherwise."""
        from rich.text import Text

        difference = self.difference
        pairs: dict[str, list[tuple[str, str]]] = {}
        for each in (*difference.inputs, *difference.outputs):
            if each.renamed and each.left is not None and each.right is not None:
                pairs.setdefault(f"{each.kind}s", []).append((each.left.name, each.right.name))
        for node in difference.nodes:
            counts = node.status not in ("rewritten", "folded", "replaced")
            if node.renamed and counts and node.left is not None and node.right is not None:
                pairs.setdefault("nodes", []).append((node.left.name, node.right.name))
        for entry in difference.parameters:
            if entry.renamed and entry.status not in ("rewritten", "folded"):
                pairs.setdefault("parameters", []).append((entry.left[0].name, entry.right[0].name))
        if not pairs:
            return
        yield Text()
        yield Text(f"Renamed ({sum(map(len, pairs.values())):,})", "bold")
        for kind, found in pairs.items():
            yield Text(f"  {len(found):,} {kind if len(found) > 1 else kind[:-1]}", "cyan")
            shown_ = found if self.all or len(found) <= _FEW + 1 else found[:_FEW]
            for old, new in shown_:
                yield Text(f"    {self._name(old)} → {self._name(new)}", "cyan")
            if len(found) > len(shown_):
                yield Text(f"    and {len(found) - len(shown_):,} more (--all)", "dim")

    def notes(self) -> Iterator[Text]:
        """Notes on the files."""
        from rich.text import Text

        yield Text()
        for change in self.difference.metadata:
            yield Text(clean(short(str(change), 4 * self.limit)), "dim")

    def _group(self, title: str, found: Sequence[Any], tell: Any) -> Iterator[RenderableType]:
        from rich.padding import Padding
        from rich.text import Text

        if not found:
            return
        yield Text()
        yield Text(f"{title} ({len(found):,})", "bold")
        few = found if self.all or len(found) <= _SHOWN + 1 else found[:_SHOWN]
        for each in few:
            for line, style in tell(each):
                text = line.lstrip()
                yield Padding.indent(Text(text, style), 2 + len(line) - len(text))
        if len(found) > len(few):
            yield Text(f"  and {len(found) - len(few):,} more (--all)", "dim")

    def _name(self, name: str) -> str:
        return short(name, self.limit) or "(unnamed)"

    def _end(self, each: ValueDifference) -> Iterator[tuple[str, str]]:
        known = each.left or each.right
        assert known is not None
        status = each.status if each.status in _SIGNS else "changed"
        names = self._name(known.name)
        if each.renamed and each.right is not None:
            names += f" → {self._name(each.right.name)}"
        detail = "; ".join(map(str, each.changes)) if each.changes else _tensor(known)
        yield f"{_SIGNS[status]} {each.kind} {names}: {clean(detail)}", _STYLES[status]

    def _node(self, each: NodeDifference) -> Iterator[tuple[str, str]]:
        status = each.status if each.status in _SIGNS else "changed"
        yield f"{_SIGNS[status]} {node_title(each, self.limit)}", _STYLES[status]
        for line in node_lines(each, self.limit):
            yield f"    {line}", ""

    def _rewrite(self, each: Any) -> Iterator[tuple[str, str]]:
        nodes = self.difference.nodes
        lefts = [place for index in each.left if (place := nodes[index].left) is not None]
        rights = [place for index in each.right if (place := nodes[index].right) is not None]
        error = "not compared" if each.error is None else "equal" if not each.error else f"error {each.error:.1e}"
        yield (
            f"~ {self._several(lefts)} → {self._several(rights)}  ({error})",
            "" if each.kind == "otherwise" else "yellow",
        )

    def _several(self, places: Sequence[Place]) -> str:
        if not places:
            return "nothing"
        ops = list(dict.fromkeys(place.op for place in places))
        if len(places) == 1:
            return f"{clean(places[0].op)} {self._name(places[0].name)}"
        if len(places) > len(ops) or len(ops) > 4:
            common = ", ".join(f"{op} × {n}" if n > 1 else op for op, n in Counter(p.op for p in places).most_common(4))
            common += ", …" if len(ops) > 4 else ""
            return f"{clean(common)} at {self._name(places[0].name)}"
        return f"{clean(' + '.join(ops))} at {self._name(places[0].name)}"

    def _parameter(self, each: ParameterDifference) -> Iterator[tuple[str, str]]:
        status = each.status if each.status in _SIGNS else "changed"
        style = "" if each.status == "rewritten" else _STYLES[status]
        yield f"{_SIGNS[status]} {parameter_line(each, self.limit)}", style


def node_title(each: NodeDifference, limit: int = _NAME) -> str:
    """Operator and name of a node, and both names where they differ."""
    place = each.left or each.right
    assert place is not None
    where = f" in {short(place.body, limit)}" if place.body else ""
    other = ""
    if each.renamed and each.right is not None:
        other = f" → {short(each.right.name, limit) or '(unnamed)'}"
    return f"{clean(place.op)} {short(place.name, limit) or '(unnamed)'}{other}{where}"


def node_lines(each: NodeDifference, limit: int = _NAME) -> list[str]:
    """What is otherwise in a node, in lines."""
    return [clean(short(str(change), 4 * limit)) for change in each.changes]


def parameter_line(each: ParameterDifference, limit: int = _NAME) -> str:
    """A stored array and how it differs, in a line."""
    names = _arrays(each.left, limit)
    if each.right and (not each.left or each.renamed or len(each.left) != len(each.right)):
        names = f"{names} → {_arrays(each.right, limit)}" if each.left else _arrays(each.right, limit)
    known = (each.left or each.right)[0]
    parts = [clean(str(change)) for change in each.changes]
    if each.numbers is not None:
        numbers = each.numbers
        parts.append(
            f"max|d| {numbers.max_abs:.2g} (relative {numbers.relative:.2g}), l2 {numbers.l2:.2g}, "
            f"{numbers.differing:,} of {numbers.elements:,} elements"
        )
    parts += [each.note] if each.note else []
    if not parts:
        parts = [
            " ".join(
                filter(None, (known.kind, known.dtype or "", shown(known.shape) if known.shape is not None else ""))
            )
        ]
    return f"{names}: {'; '.join(parts)}"


def _arrays(found: Iterable[Stored], limit: int) -> str:
    names = [short(each.name, limit) or "(unnamed)" for each in found]
    more = f" and {len(names) - 3} more" if len(names) > 4 else ""
    return ", ".join(names[:3] if more else names) + more


def _tensor(tensor: Tensor) -> str:
    return " ".join(filter(None, (tensor.dtype, shown(tensor.shape) if tensor.shape is not None else "")))
