"""The statements of one ``forward``: what is nested into what, and what the variables are called."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from graphkit.frameworks.torch.source.identifiers import Names, identifier
from graphkit.frameworks.torch.source.spell import Text, break_unless, indented, spell_arg, spell_targets
from graphkit.frameworks.torch.source.uses import flat_targets, parts_of
from graphkit.ops.torchprogram import Stored, Var

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from graphkit.ops.torchprogram import Arg, Body, Targets

    Name = Callable[[Var | Stored], Text]

__all__ = ["LAYER", "Flow", "Step", "body_of"]

_WIDTH = 64
"""Characters that a nested expression has at most."""
_DEPTH = 3
"""Calls that are nested at most."""
_SMALL = 14
"""Statements up to which variables get letters rather than names."""
_LABEL = 16
"""Characters up to which the model's own name of a value names what a loop binds."""
LAYER = "layer"
"""What a loop over layers calls each of them."""
_LIST = "outputs"
_LETTERS = ("y", "z", "u", "v", "w", "p", "q", "r", "s", "t")


@dataclass(eq=False, slots=True)
class Step:
    """One call, or one statement with bodies.

    Attributes:
        outputs: What it binds.
        reads: Variables that it reads, as often as it does.
        spell: Spells it, given how variables and tensors are spelled; of a statement with bodies, its first line.
        label: What the source calls it; empty where it does not tell.
        is_operator: Whether it is an operator or an index rather than a call.
        loop: For a loop over the layers of a list: the list, and which of what is read goes from layer to layer.
        flow: For an ``if`` or a loop: its bodies.
        breaks: Whether it leaves a loop unless what it spells is true.
    """

    outputs: Targets
    reads: list[Var]
    spell: Callable[[Name], Text]
    label: str
    is_operator: bool = False
    loop: tuple[str, int] | None = None
    flow: Flow | None = None
    breaks: bool = False

    @property
    def single(self) -> Var | None:
        """The variable it binds, where it is one."""
        return self.outputs[0] if len(self.outputs) == 1 and isinstance(self.outputs[0], Var) else None

    @property
    def is_call(self) -> bool:
        """Whether it is an expression, which may be nested."""
        return self.loop is None and self.flow is None and not self.breaks


@dataclass(eq=False, slots=True)
class Flow:
    """The bodies of an ``if`` or a loop.

    Attributes:
        bodies: The bodies, each with its statements as steps.
        initial: What a loop carries at first.
        endless: Whether a loop goes through nothing.
        captured: Variables of outside that the bodies read.
    """

    bodies: Sequence[tuple[Body, Sequence[Step]]]
    initial: Sequence[Arg]
    endless: bool
    captured: frozenset[Var]


def body_of(
    steps: Sequence[Step],
    arguments: Mapping[Var, str],
    outputs: Sequence[Var | Stored],
    tensor: Callable[[Stored], Text],
    reserved: Sequence[str] = (),
) -> list[str]:
    """The lines of a function, its ``return`` included.

    Args:
        steps: What it does, in order.
        arguments: Names of its arguments.
        outputs: What it returns; several are returned as a tuple.
        tensor: Spells a tensor of the module.
        reserved: Names that no variable gets.
    """
    nested = _Nesting(steps, outputs, tensor)
    if steps and list(outputs) == [steps[-1].single]:
        nested.take_last()
    return _Naming(nested, arguments, outputs, tensor, reserved).function()


class _Nesting:
    """Decides which results are written where they are used."""

    def __init__(self, steps: Sequence[Step], outputs: Sequence[Arg], tensor: Callable[[Stored], Text]) -> None:
        self._tensor = tensor
        self._uses: Counter[Var] = Counter(var for step in steps for var in step.reads)
        self._uses.update(part for output in outputs for part in parts_of(output) if isinstance(part, Var))
        self.inline: dict[Var, Step] = {}
        self._depth: dict[int, int] = {}
        self.inner: dict[int, list[_Nesting]] = {}
        made: dict[Var, tuple[int, Step]] = {}
        for position, step in enumerate(steps):
            self._depth[id(step)] = 0 if step.is_operator else 1
            for var in dict.fromkeys(step.reads):
                if var in made and self._uses[var] == 1 and (step.flow is None or var not in step.flow.captured):
                    self._consider(var, *made[var], step, position, steps)
            if step.flow is not None:
                self.inner[id(step)] = [
                    _Nesting(inside, [*body.outputs, body.goes_on], tensor) for body, inside in step.flow.bodies
                ]
            if step.single is not None and step.is_call:
                made[step.single] = (position, step)
        self.steps = [step for step in steps if step.single not in self.inline or step.single is None]
        self.taken: Step | None = None

    def take_last(self) -> None:
        """Leave the last step, if it is an expression, to be written where its result goes."""
        if self.steps and self.steps[-1].single is not None and self.steps[-1].is_call:
            self.taken = self.steps.pop()
            self.inline[self.taken.outputs[0]] = self.taken  # type: ignore[index]  # it has a single output

    def count(self) -> int:
        """Number of statements, those inside others included."""
        return len(self.steps) + sum(inner.count() for step in self.steps for inner in self.inner.get(id(step), ()))

    def _consider(self, var: Var, made_at: int, maker: Step, step: Step, position: int, steps: Sequence[Step]) -> None:
        between = [s for s in steps[made_at + 1 : position] if s.single not in self.inline]
        if len(between) > 1:
            return
        depth = self._depth[id(maker)]
        if step.is_operator and depth > 1:
            return
        total = max(self._depth[id(step)], depth + (0 if step.is_operator else 1))
        if total > _DEPTH:
            return
        self.inline[var] = maker
        if len(step.spell(self._shown).text) > _WIDTH:
            del self.inline[var]
            return
        self._depth[id(step)] = total

    def _shown(self, arg: Var | Stored) -> Text:
        if isinstance(arg, Stored):
            return self._tensor(arg)
        return self.inline[arg].spell(self._shown) if arg in self.inline else Text("xx")

    def read(self, step: Step) -> list[Var]:
        """Variables that a step reads by name, those of the steps nested in it included."""
        found: list[Var] = []
        for var in step.reads:
            found.extend(self.read(self.inline[var]) if var in self.inline else [var])
        return found


class _Naming:
    """Gives variables their names, the one that nobody reads any more first.

    Args:
        nested: The steps of a function or body.
        names: Names of what is bound outside.
        outputs: What it gives.
        tensor: Spells a tensor of the module.
        reserved: Names that no variable gets.
        held: Names of outside that must keep what they hold.
        wished: Names that results should get.
        small: Whether variables get letters; None to decide by the number of statements.
    """

    def __init__(
        self,
        nested: _Nesting,
        names: Mapping[Var, str],
        outputs: Sequence[Arg],
        tensor: Callable[[Stored], Text],
        reserved: Sequence[str],
        held: frozenset[str] = frozenset(),
        wished: Mapping[Var, str] = MappingProxyType({}),
        small: bool | None = None,
    ) -> None:
        self._nested = nested
        self._reserved = reserved
        self._names = dict(names)
        self._outputs = outputs
        self._tensor = tensor
        self._held = held
        self._wished = wished
        self._last: dict[Var, int] = {}
        for position, step in enumerate(nested.steps):
            for var in nested.read(step):
                self._last[var] = position
        end = len(nested.steps)
        if nested.taken is not None:
            self._last.update((var, end) for var in nested.read(nested.taken))
        self._last.update((part, end) for output in outputs for part in parts_of(output) if isinstance(part, Var))
        self._small = nested.count() <= _SMALL if small is None else small

    def function(self) -> list[str]:
        """The lines of a function."""
        results = self.lines()
        given = [self.spelled(output).text for output in self._outputs]
        if len(given) == 1 and results and results[-1].startswith(f"{given[0]} = "):  # a conditional expression
            return [*results[:-1], f"return {results[-1].partition(' = ')[2]}"]
        return [*results, f"return {', '.join(given)}"]

    def lines(self, start: int = 0) -> list[str]:
        """The lines of all steps from one on."""
        found = []
        for position, step in enumerate(self._nested.steps):
            if position < start:
                continue
            if step.breaks:
                found.extend(break_unless(step.spell(self._spelled).text))
            elif step.loop is not None:
                found.extend(self._layers(step, position, *step.loop))
            elif step.flow is not None and len(step.flow.bodies) > 1:
                found.extend(self._branch(step, step.flow, position))
            elif step.flow is not None:
                found.extend(self._loop(step, step.flow, position))
            else:
                text = step.spell(self._spelled).text
                self._bind(step, position)
                found.append(f"{spell_targets(step.outputs, lambda var: self._names.get(var, '_'))} = {text}")
        return found

    def _layers(self, step: Step, position: int, layers: str, link: int) -> list[str]:
        """A loop over layers, each of which reads what the one before gives."""
        given = [self._spelled(var).text for var in step.reads]
        start = given[link]
        alive = self._alive(position)
        assert step.single is not None
        name = start if start.isidentifier() and start not in alive else self._new(alive | set(given), step.label)
        self._names[step.single] = given[link] = name
        first = [] if name == start else [f"{name} = {start}"]
        return [*first, f"for {LAYER} in self.{layers}:", f"    {name} = {LAYER}({', '.join(given)})"]

    def _branch(self, step: Step, flow: Flow, position: int) -> list[str]:
        """An ``if``; a conditional expression where both of its branches are one."""
        head = step.spell(self._spelled).text
        inside = self._alive(position - 1)
        outputs = [var if var in self._last else None for var in flat_targets(step.outputs)]
        names: list[str] = []
        for output in outputs:
            names.append("_" if output is None else self._new(inside | {*names}, step.label))
        parts = []
        for (body, _), nested in zip(flow.bodies, self._nested.inner[id(step)], strict=True):
            results = [value for value, output in zip(body.outputs, outputs, strict=True) if output is not None]
            kept = [name for name, output in zip(names, outputs, strict=True) if output is not None]
            wished = {value: name for value, name in zip(results, kept, strict=True) if isinstance(value, Var)}
            if len(results) == 1 and nested.steps and results == [nested.steps[-1].single]:
                nested.take_last()
            inner = self._inside(nested, results, frozenset(inside), wished)
            lines = inner.lines()
            parts.append((lines, kept, [inner.spelled(value).text for value in results]))
        self._names.update((output, name) for output, name in zip(outputs, names, strict=True) if output is not None)
        (first, kept, then), (second, _, otherwise) = parts
        if not first and not second and len(then) == 1:
            text = f"{then[0]} {head.removesuffix(':')} else {otherwise[0]}"
            if len(text) <= _WIDTH:
                return [f"{kept[0]} = {text}"]
        return [
            head,
            *indented([*first, *_assigned(kept, then)]),
            "else:",
            *indented([*second, *_assigned(kept, otherwise)]),
        ]

    def _loop(self, step: Step, flow: Flow, position: int) -> list[str]:
        """A loop, and what must be there before it."""
        ((body, _),) = flow.bodies
        (nested,) = self._nested.inner[id(step)]
        count = len(body.inputs)
        alive, inside = self._alive(position), self._alive(position - 1)
        after = list(flat_targets(step.outputs))
        first, names = [], list[str]()
        for number, start in enumerate(flow.initial):
            text = spell_arg(start, self._spelled).text
            free = isinstance(start, Var) and start not in self._nested.inline and text not in {*alive, *names}
            if not free or start in flow.captured or flow.initial.count(start) > 1:
                name = self._new(inside | {*names}, self._label(body.inputs[number], after[number]))
                first.append(f"{name} = {text}")
                text = name
            names.append(text)
        taken = Names([*inside, *names, *self._reserved, *self._names.values()])
        lists = [taken.new(_LIST) for _ in after[count:]]
        first += [f"{made} = []" for made in lists]
        self._names.update(zip(body.inputs, names, strict=True))
        self._names.update(zip(after, [*names, *lists], strict=True))
        wished: dict[Var, str] = {}
        for value, name in zip(body.outputs, names, strict=False):
            if isinstance(value, Var):
                wished.setdefault(value, name)
        if body.goes_on is not None and nested.steps and nested.steps[-1].single is body.goes_on:
            given = [part for value in body.outputs for part in parts_of(value)]
            if body.goes_on not in given:
                nested.take_last()
        held = frozenset({*inside, *names, *lists} - {*wished.values()})
        inner = self._inside(nested, [*body.outputs, body.goes_on], held, wished)
        inner.bind_items(body)
        bound = {var: Text(inner.named(var)) for var in flat_targets(body.items)}
        head = step.spell(lambda arg: bound[arg] if isinstance(arg, Var) and arg in bound else self._spelled(arg)).text
        tested = flow.endless and bool(nested.steps) and nested.steps[0].breaks
        if tested:
            head = f"while {nested.steps[0].spell(inner.spelled).text}:"
        lines = inner.lines(start=int(tested))
        lines += [f"{m}.append({inner.spelled(v).text})" for m, v in zip(lists, body.outputs[count:], strict=True)]
        carried = _assigned(names, [inner.spelled(value).text for value in body.outputs[:count]])
        if body.goes_on is not None:
            text = inner.spelled(body.goes_on).text
            if carried and nested.taken is not None:
                going = inner.new("going")
                lines.append(f"{going} = {text}")
                text = going
            carried += break_unless(text)
        return [*first, head, *indented([*lines, *carried])]

    def _inside(
        self, nested: _Nesting, outputs: Sequence[Arg], held: frozenset[str], wished: Mapping[Var, str]
    ) -> _Naming:
        return _Naming(nested, self._names, outputs, self._tensor, self._reserved, held, wished, self._small)

    def bind_items(self, body: Body) -> None:
        """Name what a loop binds on each turn, as far as it is read."""
        for var in flat_targets(body.items):
            if var in self._last:
                self._names[var] = self._new(self._alive(-1), self._label(var))

    def named(self, var: Var) -> str:
        """The name of a variable; ``_`` for one that nothing reads."""
        return self._names.get(var, "_") if var in self._last else "_"

    def new(self, label: str) -> str:
        """A name for what only the next line reads."""
        return Names([*self._alive(len(self._nested.steps) - 1), *self._reserved]).new(label)

    def spelled(self, arg: Arg) -> Text:
        """An argument."""
        return spell_arg(arg, self._spelled)

    def _spelled(self, arg: Var | Stored) -> Text:
        if isinstance(arg, Stored):
            return self._tensor(arg)
        if arg in self._nested.inline:
            return self._nested.inline[arg].spell(self._spelled)
        return Text(self._names[arg])

    def _alive(self, position: int) -> set[str]:
        """Names of what is read after a step."""
        return {*self._held, *(name for var, name in self._names.items() if self._last.get(var, -1) > position)}

    def _bind(self, step: Step, position: int) -> None:
        """Name what a step binds."""
        alive = self._alive(position)
        single = step.single
        if single is not None:
            wish = self._wished.get(single)
            if wish is not None and wish not in alive:
                self._names[single] = wish
                return
            for var in self._nested.read(step)[:1]:
                if self._names[var] not in alive:
                    self._names[single] = self._names[var]
                    return
            self._names[single] = self._new(alive, step.label)
            return
        for var in flat_targets(step.outputs):
            if var in self._last:
                wish = self._wished.get(var)
                self._names[var] = wish if wish is not None and wish not in alive else self._new(alive, step.label)
                alive.add(self._names[var])

    def _new(self, alive: set[str], label: str) -> str:
        alive = {*alive, *self._wished.values()}
        if (self._small or not label) and (
            free := next((letter for letter in _LETTERS if letter not in alive), None)
        ) is not None:
            return free
        return Names([*alive, *self._reserved]).new(label or "x")

    @staticmethod
    def _label(*variables: Var) -> str:
        """What the model calls one of some variables, where that can be a name."""
        names = [identifier(var.value.name) for var in variables if var.value is not None and var.value.name]
        return next((name for name in names if 1 < len(name) <= _LABEL), "")


def _assigned(names: Sequence[str], values: Sequence[str]) -> list[str]:
    """The assignment of what does not have its name yet."""
    pairs = [(name, value) for name, value in zip(names, values, strict=True) if name != value]
    return [f"{', '.join(n for n, _ in pairs)} = {', '.join(v for _, v in pairs)}"] if pairs else []
