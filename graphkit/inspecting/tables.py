"""The terminal's tables of a summary: operators, modules, weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from graphkit.inspecting.cost.count import evaluate, shown, shown_bytes
from graphkit.inspecting.terminal import shape_text
from graphkit.ir.symbols import names_in
from graphkit.text import clean, short

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.table import Table
    from rich.text import Text

    from graphkit.inspecting.cost.count import Count
    from graphkit.inspecting.nodes import Node
    from graphkit.inspecting.tree import Module
    from graphkit.inspecting.weights import Weights
    from graphkit.ir.describe import Tensor
    from graphkit.ir.statistics import Histogram, Statistics

__all__ = ["ModuleTable", "NodeTable", "WeightTable"]

_WIDE: Final = 100
"""Columns from which on everything is shown."""
_SHAPE: Final = 24
"""Columns of a shape in a wide table."""
_BARS: Final = "▁▂▃▄▅▆▇█"
_DEEPEST: Final = 16
"""How deep modules are shown where nobody says."""
_GROUP: Final = 4
"""Bins of a histogram that one bar stands for."""


class NodeTable:
    """Operators, one a line.

    Args:
        nodes: The operators to show.
        total: How many there are.
    """

    def __init__(self, nodes: Sequence[Node], total: int) -> None:
        self.nodes = nodes
        self.total = total

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.text import Text

        table = _table("operator", "name", "output")
        for heading in ("params", "MACs", "FLOPs", "bytes"):
            table.add_column(heading, justify="right", no_wrap=True)
        wide = options.max_width >= _WIDE
        for node in self.nodes:
            name = Text("  " * node.inside + short(node.name, 44 if wide else 22))
            if node.runs != 1:
                name.append(f" × {shown(node.runs)} runs", style="dim")
            style = "yellow" if node.untranslated else ""
            table.add_row(
                Text(short(node.op, 28 if wide else 16), style=style),
                name,
                _outputs(node.outputs),
                _number(node.parameters),
                _number(node.macs),
                _number(node.flops),
                _bytes(node.bytes),
            )
        yield Text()
        yield table if self.nodes else Text("No operators.", style="dim")
        notes = [_sizes(count for node in self.nodes for count in (node.macs, node.bytes))]
        if len(self.nodes) < self.total:
            notes.append(f"{self.total - len(self.nodes):,} more")
        yield from _notes(notes)


class ModuleTable:
    """Modules as a tree.

    Args:
        whole: The model.
        depth: How deep modules are shown; those deeper are part of what they lie in. None for 16 deep.
    """

    def __init__(self, whole: Module, depth: int | None) -> None:
        self.whole = whole
        self.macs = evaluate(whole.macs, {}, 1)
        self.depth = _DEEPEST if depth is None else depth

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.text import Text

        table = _table("module", "output")
        for heading in ("params", "MACs", "share"):
            table.add_column(heading, justify="right", no_wrap=True)
        for row in self._rows(self.whole, "", "", 0, 40 if options.max_width >= _WIDE else 26):
            table.add_row(*row)
        yield Text()
        yield table
        notes = [_sizes(module.macs for module, _ in self.whole.walk())]
        if self.whole.unknown:
            notes.append(f"≥ lacks what operators do of which it is unknown ({self.whole.unknown:,} in all)")
        yield from _notes(notes)

    def _rows(self, module: Module, lead: str, below: str, depth: int, width: int) -> Iterator[tuple[Text, ...]]:
        """The cells of a module and of what is in it; ``lead`` and ``below`` draw the lines to it and past it."""
        from rich.text import Text

        name = Text(lead, style="dim")
        name.append(short(module.name or "model", width), style="" if module.is_layer else "bold")
        name.append(f"  {short(module.kind, 24)}" if module.kind else "", style="dim")
        yield (
            name,
            _outputs(module.outputs),
            _least(_number(module.parameters), module.unknown_parameters),
            *self._work(module),
        )
        if depth >= self.depth:
            return
        rest = self._rest(module)
        for index, child in enumerate(module.children):
            last = index == len(module.children) - 1 and rest is None
            turn, side = ("└─ ", "   ") if last else ("├─ ", "│  ")
            yield from self._rows(child, below + turn, below + side, depth + 1, width)
        if rest is not None:
            yield (Text(f"{below}└─ ", style="dim").append(rest, style="dim italic"), *self._own(module))

    def _work(self, module: Module) -> tuple[Text, Text]:
        from rich.text import Text

        if 0 < module.operators == module.in_bodies:
            return Text("in a body", style="dim"), Text()
        return _least(_number(module.macs), module.unknown), self._share(module.macs)

    def _rest(self, module: Module) -> str | None:
        """What to call the operators of a module that lie in none of its children, where there is something to say."""
        if not module.children or not (module.direct or module.own_parameters):
            return None
        told = f"{module.direct:,} operator{'' if module.direct == 1 else 's'}"
        if module is self.whole:
            return f"outside modules: {told}"
        counts = module.own_parameters or module.own_unknown or evaluate(module.own_macs, {}, 1)
        return told if counts else None

    def _own(self, module: Module) -> tuple[Text, ...]:
        from rich.text import Text

        macs = _least(_number(module.own_macs), module.own_unknown)
        return Text(), _number(module.own_parameters), macs, self._share(module.own_macs)

    def _share(self, macs: Count) -> Text:
        from rich.text import Text

        part = evaluate(macs, {}, 1)
        return Text(f"{100 * part / self.macs:.1f} %" if part is not None and self.macs else "")


class WeightTable:
    """What numbers parameters hold, one tensor a line.

    Args:
        weights: The tensors.
    """

    def __init__(self, weights: Sequence[Weights]) -> None:
        self.weights = weights

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.text import Text

        wide = options.max_width >= _WIDE
        table = _table("tensor", "shape") if wide else _table("tensor")
        for heading in ("mean", "std", "min", "max", "zeros"):
            table.add_column(heading, justify="right", no_wrap=True)
        if wide:
            table.add_column("spread", no_wrap=True)
        faulty = 0
        for each in self.weights:
            name = Text(short(each.name, 44 if wide else 28))
            name.append("" if each.kind == "parameter" else f" {each.kind}", style="dim")
            found = each.statistics
            bad = "" if found is None else _faults(found)
            faulty += bool(bad)
            name.append(f"\n{bad}" if bad else "", style="bold red")
            table.add_row(name, *([_shape(each)] if wide else []), *_cells(found, wide))
        yield Text()
        yield table if self.weights else Text("No parameters, buffers or constants.", style="dim")
        reasons = dict.fromkeys(each.why for each in self.weights if each.why)
        notes = [f"unknown: {clean(reason)}" for reason in reasons]
        if faulty:
            notes.append(f"{faulty:,} of {len(self.weights):,} tensors hold NaN or infinities, which no number counts")
        yield from _notes(notes)


def _shape(weights: Weights) -> Text:
    from rich.text import Text

    shape = Text("unknown" if weights.shape is None else "×".join(map(str, weights.shape)) or "scalar")
    return shape.append(f" {weights.dtype}", style="dim")


def _cells(found: Statistics | None, wide: bool) -> list[Text]:
    from rich.text import Text

    if found is None:
        return [Text("unknown", style="yellow")]
    numbers = [_figure(number) for number in (found.mean, found.std, found.minimum, found.maximum)]
    return [*numbers, _zeros(found), *([Text(_spark(found.histogram))] if wide else [])]


def _table(*headings: str) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for heading in headings:
        table.add_column(heading, overflow="fold")
    return table


def _notes(notes: Iterable[str]) -> Iterator[Text]:
    from rich.text import Text

    return (Text(note, style="dim") for note in notes if note)


def _sizes(counts: Iterable[Count | None]) -> str:
    """What free dimensions are taken for in numbers."""
    free = sorted({name for count in set(counts) for name in names_in(count)})
    return f"for {', '.join(f'{short(name, 20)} = 1' for name in free)}" if free else ""


def _number(count: Count | None) -> Text:
    from rich.text import Text

    number = evaluate(count, {}, 1)
    return Text("unknown", style="yellow") if number is None else Text(shown(number), style="" if number else "dim")


def _bytes(count: Count | None) -> Text:
    from rich.text import Text

    number = evaluate(count, {}, 1)
    return _number(None) if number is None else Text(shown_bytes(number), style="" if number else "dim")


def _least(text: Text, unknown: int) -> Text:
    """A sum that lacks something, marked so; one that lacks all is unknown."""
    from rich.text import Text

    if not unknown:
        return text
    return _number(None) if text.plain == "0" else Text(f"≥ {text.plain}", style="yellow")


def _outputs(tensors: Sequence[Tensor]) -> Text:
    from rich.text import Text

    if not tensors:
        return Text()
    more = f" +{len(tensors) - 1:,}" if len(tensors) > 1 else ""
    return Text(shape_text(tensors[0].shape).replace(" × ", "×") + more)


def _figure(number: float | None) -> Text:
    from rich.text import Text

    if number is None:
        return Text("none", style="dim")
    return Text(f"{number:,}" if isinstance(number, int) and abs(number) < 1_000_000 else f"{number:.3g}")


def _zeros(found: Statistics) -> Text:
    from rich.text import Text

    if not found.counted:
        return Text("none", style="dim")
    share = found.zeros / found.counted
    return Text("0" if not found.zeros else f"{100 * share:.3g} %", style="" if share else "dim")


def _faults(found: Statistics) -> str:
    told = [f"{found.nans:,} NaN" if found.nans else "", f"{found.infinities:,} infinite" if found.infinities else ""]
    return ", ".join(filter(None, told))


def _spark(histogram: Histogram | None) -> str:
    """A histogram as a few bars."""
    if histogram is None or not histogram.counts:
        return ""
    counts = [sum(histogram.counts[at : at + _GROUP]) for at in range(0, len(histogram.counts), _GROUP)]
    most = max(counts)
    return "".join(_BARS[round(count / most * (len(_BARS) - 1))] if count else " " for count in counts)
