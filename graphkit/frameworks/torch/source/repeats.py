"""Finds what a program repeats, and turns it into uses of blocks.

A block is a run of consecutive items of which only the last one's result is read outside. The run that saves most lines
is replaced first; then the search starts again, also inside the blocks found, until nothing is worth a class.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from graphkit.frameworks.torch.source.blocks import Block, Shortcut, Use, reads, stmts_of, writes
from graphkit.frameworks.torch.source.shortcuts import CHAIN, with_shortcuts
from graphkit.frameworks.torch.source.signature import head, numbers_of, shape_of_layer, signature
from graphkit.frameworks.torch.source.uses import flat_targets, stored_by
from graphkit.ir.scope import place_of
from graphkit.ops.torchprogram import Stmt, TorchProgram, Var, walk

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Sequence

    from graphkit.frameworks.torch.source.blocks import Item

__all__ = ["find_repeats"]

_LONGEST = 90
"""Items that a block holds at most."""
_INPUTS = 4
"""Variables that a block reads at most."""
_NEARLY = 0.8
"""Share of runs from which on others are exceptions."""
_OVERHEAD = 4
"""Lines that a class costs besides its members and statements."""


def find_repeats(program: TorchProgram) -> list[Item]:
    """The program's statements, with every repeated piece as a use of a block."""
    search = _Search(with_shortcuts(program), program)
    while search.step():
        search.absorb_additions()
    return search.items


@dataclass(slots=True)
class _Span:
    """A run of items that is being extended.

    Attributes:
        owner: Which sequence it lies in.
        start: Its first item.
        key: Its structure.
        outer: Variables read from outside, in order.
        last: Position of the last reader of what it binds, its last item apart.
        scope: Module path that all of its items share.
    """

    owner: int
    start: int
    key: int = 0
    outer: dict[Var, int] = field(default_factory=dict)
    last: int = -1
    scope: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class _Found:
    """Equal runs, by sequence and first item, and how many items each has."""

    spans: tuple[tuple[int, int], ...]
    length: int
    score: float


class _Search:
    def __init__(self, items: list[Item], program: TorchProgram) -> None:
        self.items = items
        self._program = program
        self._blocks: list[Block] = []
        shapes = Counter(
            tuple(shape_of_layer(stmt.layer) for stmt in item.items if stmt.layer is not None)
            for item in items
            if isinstance(item, Shortcut) and item.items
        )
        self._common: Hashable = shapes.most_common(1)[0][0] if shapes else None
        layers = Counter(id(stmt.layer) for stmt in walk(program.stmts) if stmt.layer is not None)
        stored = Counter(tensor for stmt in walk(program.stmts) for tensor in stored_by(stmt))
        self._shared = {
            id(stmt)
            for stmt in program.stmts
            if (stmt.layer is not None and layers[id(stmt.layer)] > 1) or any(stored[t] > 1 for t in stored_by(stmt))
        }
        self._scopes: dict[int, tuple[str, ...]] = {}
        self._kinds: dict[int, tuple[int, tuple[Var, ...], Item]] = {}
        self._best: _Found | None = None
        self._read: set[Any] = set()

    def step(self) -> bool:
        """Replace the best run by uses of a block; whether there was one."""
        best = self._search()
        if best is not None:
            self._replace(best)
        return best is not None

    def _sequences(self) -> list[list[Item]]:
        return [self.items, *(block.uses[0].items for block in self._blocks)]

    def _search(self) -> _Found | None:
        """The equal runs that save most."""
        self._best = None
        sequences = self._sequences()
        self._read = {*self._program.outputs, *(var for items in sequences for item in items for var in reads(item))}
        readers = [self._readers(items, number) for number, items in enumerate(sequences)]
        places = [
            {var: (k, n) for k, item in enumerate(items) for n, var in enumerate(writes(item))} for items in sequences
        ]
        live = [
            _Span(owner, start)
            for owner, items in enumerate(sequences)
            for start in range(len(items))
            if not self._fixed(items[start])
        ]
        for length in range(1, _LONGEST + 1):
            groups: dict[int, list[_Span]] = defaultdict(list)
            for span in live:
                items = sequences[span.owner]
                end = span.start + length - 1
                if end >= len(items) or self._fixed(items[end]):
                    continue
                if length > 1:
                    span.last = max(span.last, readers[span.owner][end - 1])
                self._extend(span, items[end], end, places[span.owner])
                if len(span.outer) <= _INPUTS:
                    groups[span.key].append(span)
            live = []
            for spans in groups.values():
                if len(spans) < 2:
                    continue
                live.extend(spans)
                if length > 1:
                    self._judge(spans, length, sequences)
        return self._best

    def _fixed(self, item: Item) -> bool:
        """Whether an item must stay where it is: one with bodies, or one that shares a tensor with another."""
        return isinstance(item, Stmt) and (bool(item.bodies) or id(item) in self._shared)

    def _readers(self, items: Sequence[Item], number: int) -> list[int]:
        """Position of the last reader of each item's results; far away where they leave the sequence."""
        last: dict[Var, int] = {}
        for position, item in enumerate(items):
            for var in reads(item):
                last[var] = position
        outside = self._program.outputs if number == 0 else [self._blocks[number - 1].uses[0].output]
        last.update((var, len(items)) for var in outside if isinstance(var, Var))
        return [max((last.get(var, 0) for var in writes(item)), default=0) for item in items]

    def _extend(self, span: _Span, item: Item, position: int, places: dict[Var, tuple[int, int]]) -> None:
        def place(var: Var) -> Hashable:
            made = places.get(var)
            if made is not None and made[0] >= span.start:
                return position - made[0], made[1]
            return span.outer.setdefault(var, len(span.outer))

        kind, read, _ = self._kind(item)
        span.key = hash((span.key, kind, *map(place, read)))
        scope = self._scope(item)
        if scope is not None:
            span.scope = scope if span.scope is None else _shared_path(span.scope, scope)

    def _kind(self, item: Item) -> tuple[int, tuple[Var, ...], Item]:
        """A number that items of equal structure share, and what the item reads."""
        if id(item) not in self._kinds:
            # The item is kept with them, so that no other one gets its identity.
            self._kinds[id(item)] = (hash(signature(item, self._common)), tuple(reads(item)), item)
        return self._kinds[id(item)]

    def _scope(self, item: Item) -> tuple[str, ...] | None:
        """Module path of an item, None where it has no statements."""
        if id(item) not in self._scopes:
            paths = [tuple(place_of(s.node)[0].split(".")) for s in stmts_of(item) if s.node is not None]
            if not paths:
                return None
            shared = paths[0]
            for path in paths[1:]:
                shared = _shared_path(shared, path)
            self._scopes[id(item)] = shared
        return self._scopes[id(item)]

    def _judge(self, spans: list[_Span], length: int, sequences: Sequence[Sequence[Item]]) -> None:
        """Remember runs of equal structure where replacing them is worth more than what was found before."""
        spans = [span for span in spans if span.last <= span.start + length - 1]
        least = self._best.score if self._best is not None else 0.0
        if _saved(len(spans), length) + 0.5 * length <= least or _saved(len(spans), length) <= 0:
            return
        first = spans[0]
        items = sequences[first.owner][first.start : first.start + length]
        if not _is_block(items, {*self._program.inputs}):
            return
        if not self._read.isdisjoint(var for span in spans for var in _rest(span, length, sequences)):
            return
        if any(_splits(sequences[span.owner], span.start, length) for span in spans):
            return
        kept = self._chosen(_alike(spans, length, sequences), length, sequences)
        saved = _saved(len(kept), length)
        whole = sum(self._is_module(span, length, sequences[span.owner]) for span in kept)
        extra = (len(first.outer) - 1) * len(kept)
        score = saved - extra + 0.5 * length * whole / max(len(kept), 1)
        if saved > 0 and score > least:
            self._best = _Found(tuple((span.owner, span.start) for span in kept), length, score)

    def _chosen(self, spans: list[_Span], length: int, sequences: Sequence[Sequence[Item]]) -> list[_Span]:
        """Runs that do not overlap: modules of the source first, then those with the commonest numbers."""
        if all(a.owner != b.owner or a.start + length <= b.start for a, b in pairwise(spans)):
            return spans
        numbers = {
            id(span): tuple(map(numbers_of, sequences[span.owner][span.start : span.start + length])) for span in spans
        }
        common = Counter(numbers.values())

        def rank(span: _Span) -> tuple[bool, int, int, int]:
            module = self._is_module(span, length, sequences[span.owner])
            return not module, -common[numbers[id(span)]], span.owner, span.start

        taken: set[tuple[int, int]] = set()
        kept: list[_Span] = []
        for span in sorted(spans, key=rank):
            places = {(span.owner, k) for k in range(span.start, span.start + length)}
            if not places & taken:
                taken |= places
                kept.append(span)
        return sorted(kept, key=lambda span: (span.owner, span.start))

    def _is_module(self, span: _Span, length: int, items: Sequence[Item]) -> bool:
        """Whether the names of the source say that a run is one module: its neighbours lie outside."""
        path = span.scope
        if not path or path == ("",):
            return False
        near = [k for k in (span.start - 1, span.start + length) if 0 <= k < len(items)]
        others = [scope for k in near if (scope := self._scope(items[k])) is not None]
        return all(_shared_path(path, other) != path for other in others)

    def _replace(self, found: _Found) -> None:
        block = Block()
        sequences = self._sequences()
        by_owner: dict[int, list[int]] = defaultdict(list)
        for owner, start in found.spans:
            by_owner[owner].append(start)
        for owner, starts in by_owner.items():
            # What happens inside a block happens in all of its uses.
            bodies = [self.items] if owner == 0 else [use.items for use in self._blocks[owner - 1].uses]
            assert bodies[0] is sequences[owner]
            for body in bodies:
                for start in reversed(starts):
                    body[start : start + found.length] = [_use(block, body[start : start + found.length])]
        self._blocks.append(block)
        block.uses = [
            item for items in self._everywhere() for item in items if isinstance(item, Use) and item.block is block
        ]

    def _everywhere(self) -> Iterable[list[Item]]:
        """The items of the program and of every use of every block, outermost first."""
        stack = [self.items]
        while stack:
            items = stack.pop()
            yield items
            stack.extend(item.items for item in reversed(items) if isinstance(item, Use))

    def absorb_additions(self) -> None:
        """Let blocks add their input themselves where some of their uses, but not all, are followed by that."""
        for block in self._blocks:
            if block.tail:
                continue
            followed = [use for use in block.uses if self._addition(use) is not None]
            if not 1 < len(followed) < len(block.uses) or any(use not in self.items for use in block.uses):
                continue
            block.tail = True
            for use in followed:
                position = self.items.index(use)
                addition = self._addition(use)
                assert addition is not None
                use.added, use.output = True, addition
                del self.items[position + 1 : position + 3]

    def _addition(self, use: Use) -> Var | None:
        """The sum of a use's first input and its result, where that is what follows it."""
        if use not in self.items or len(use.inputs) != 1:
            return None
        position = self.items.index(use)
        after = self.items[position + 1 : position + 3]
        if len(after) != 2:
            return None
        way, addition = after
        if not isinstance(way, Shortcut) or way.items or way.input is not use.inputs[0]:
            return None
        if not isinstance(addition, Stmt) or set(addition.args) != {use.output, way.output}:
            return None
        readers = sum(var is use.output for item in self.items for var in reads(item))
        readers += sum(output is use.output for output in self._program.outputs)
        return next(flat_targets(addition.outputs)) if readers == 1 else None


def _rest(span: _Span, length: int, sequences: Sequence[Sequence[Item]]) -> Sequence[Var]:
    """What the last item of a run gives besides its first result."""
    return writes(sequences[span.owner][span.start + length - 1])[1:]


def _alike(spans: list[_Span], length: int, sequences: Sequence[Sequence[Item]]) -> list[_Span]:
    """Runs of several convolutions without those few whose kernels are of other sizes than nearly all have."""
    sizes: dict[int, tuple[Hashable, ...]] = {}
    for span in spans:
        items = sequences[span.owner][span.start : span.start + length]
        layers = [item.layer for item in items if isinstance(item, Stmt) and item.layer is not None]
        sizes[id(span)] = tuple(repr(layer.args[2]) for layer in layers if layer.type.startswith("nn.Conv"))
    usual, count = Counter(sizes.values()).most_common(1)[0]
    if len(usual) < 2 or count < _NEARLY * len(spans):
        return spans
    return [span for span in spans if sizes[id(span)] == usual]


def _saved(count: int, length: int) -> int:
    """Lines saved by writing runs of some length once."""
    return (count - 1) * length - count - _OVERHEAD


def _is_block(items: Sequence[Item], inputs: set[Var]) -> bool:
    """Whether items make a class or function that a person would write: one that holds both ends of its shortcuts."""
    if isinstance(items[-1], Shortcut) or _periodic([head(item) for item in items]):
        return False
    if any(_is_row(a, b) for a, b in pairwise(items)):
        return False
    bound = {var for item in items for var in writes(item)}
    outer = {var for item in items for var in reads(item) if var not in bound}
    if len(outer - inputs) > 1 and any(isinstance(item, Shortcut) and item.input in outer for item in items):
        return False
    owns = any(stmt.layer is not None for item in items for stmt in stmts_of(item))
    return owns or len(items) > 2


def _splits(items: Sequence[Item], start: int, length: int) -> bool:
    """Whether a run of items ends inside a row of uses of one block."""
    end = start + length
    before = start > 0 and _is_row(items[start - 1], items[start])
    return before or (end < len(items) and _is_row(items[end - 1], items[end]))


def _is_row(item: Item, following: Item) -> bool:
    """Whether two items are uses of one block that is more than a chain of a few layers."""
    if not isinstance(item, Use) or not isinstance(following, Use) or item.block is not following.block:
        return False
    return len(item.items) > CHAIN + 1 or any(
        list(reads(after)) != [writes(before)[0]] for before, after in pairwise(item.items)
    )


def _use(block: Block, items: list[Item]) -> Use:
    bound = {var for item in items for var in writes(item)}
    inputs = list(dict.fromkeys(var for item in items for var in reads(item) if var not in bound))
    return Use(block, items, inputs, writes(items[-1])[0])


def _shared_path(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...]:
    length = next((k for k, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    return one[:length]


def _periodic(heads: Sequence[Hashable]) -> bool:
    """Whether a sequence is a shorter one, several times over."""
    length = len(heads)
    return any(
        length % period == 0 and all(heads[k] == heads[k + period] for k in range(length - period))
        for period in range(1, length // 2 + 1)
    )
