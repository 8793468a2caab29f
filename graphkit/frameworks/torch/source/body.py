"""The statements of one ``forward``: what is nested into what, and what the variables are called."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from graphkit.frameworks.torch.source.identifiers import Names
from graphkit.frameworks.torch.source.spell import Text, spell_targets
from graphkit.ops.torchprogram import Stored, Var

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from graphkit.ops.torchprogram import Targets

    Name = Callable[[Var | Stored], Text]

__all__ = ["Step", "body_of"]

_WIDTH = 64
"""Characters that a nested expression has at most."""
_DEPTH = 3
"""Calls that are nested at most."""
_SMALL = 14
"""Statements up to which variables get letters rather than names."""
_LETTERS = ("y", "z", "u", "v", "w", "p", "q", "r", "s", "t")


@dataclass(eq=False, slots=True)
class Step:
    """One call.

    Attributes:
        outputs: What it binds.
        reads: Variables that it reads, as often as it does.
        spell: Spells it, given how variables and tensors are spelled.
        label: What the source calls it; empty where it does not tell.
        is_operator: Whether it is an operator or an index rather than a call.
        loop: For a loop over the layers of a list: the list, and which of what is read goes from layer to layer.
    """

    outputs: Targets
    reads: list[Var]
    spell: Callable[[Name], Text]
    label: str
    is_operator: bool = False
    loop: tuple[str, int] | None = None

    @property
    def single(self) -> Var | None:
        """The variable it binds, where it is one."""
        return self.outputs[0] if len(self.outputs) == 1 and isinstance(self.outputs[0], Var) else None


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
    return _Naming(nested, arguments, outputs, tensor, reserved).lines()


class _Nesting:
    """Decides which results are written where they are used."""

    def __init__(
        self, steps: Sequence[Step], outputs: Sequence[Var | Stored], tensor: Callable[[Stored], Text]
    ) -> None:
        self._tensor = tensor
        self._uses: Counter[Var] = Counter(var for step in steps for var in step.reads)
        self._uses.update(output for output in outputs if isinstance(output, Var))
        self.inline: dict[Var, Step] = {}
        self._depth: dict[int, int] = {}
        made: dict[Var, tuple[int, Step]] = {}
        for position, step in enumerate(steps):
            self._depth[id(step)] = 0 if step.is_operator else 1
            for var in dict.fromkeys(step.reads):
                if var in made and self._uses[var] == 1:
                    self._consider(var, *made[var], step, position, steps)
            if step.single is not None and step.loop is None:
                made[step.single] = (position, step)
        self.steps = [step for step in steps if step.single not in self.inline or step.single is None]
        last = self.steps[-1] if self.steps else None
        self.returned = None
        if last is not None and list(outputs) == [last.single] and last.single is not None and last.loop is None:
            self.returned = self.steps.pop()
            self.inline[last.single] = last

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
    """Gives variables their names, the one that nobody reads any more first."""

    def __init__(
        self,
        nested: _Nesting,
        arguments: Mapping[Var, str],
        outputs: Sequence[Var | Stored],
        tensor: Callable[[Stored], Text],
        reserved: Sequence[str],
    ) -> None:
        self._nested = nested
        self._reserved = reserved
        self._names = dict(arguments)
        self._outputs = outputs
        self._tensor = tensor
        self._last: dict[Var, int] = {}
        for position, step in enumerate(nested.steps):
            for var in nested.read(step):
                self._last[var] = position
        end = len(nested.steps)
        if nested.returned is not None:
            self._last.update((var, end) for var in nested.read(nested.returned))
        self._last.update((output, end) for output in outputs if isinstance(output, Var))
        self._small = end <= _SMALL

    def lines(self) -> list[str]:
        """The lines."""
        found = []
        for position, step in enumerate(self._nested.steps):
            if step.loop is not None:
                found.extend(self._loop(step, position, *step.loop))
                continue
            text = step.spell(self._spelled).text
            self._bind(step, position)
            found.append(f"{spell_targets(step.outputs, lambda var: self._names.get(var, '_'))} = {text}")
        results = [self._spelled(output).text for output in self._outputs]
        found.append(f"return {', '.join(results)}")
        return found

    def _loop(self, step: Step, position: int, layers: str, link: int) -> list[str]:
        """A loop over layers, each of which reads what the one before gives."""
        given = [self._spelled(var).text for var in step.reads]
        start = given[link]
        alive = {self._names[var] for var in self._names if self._last.get(var, -1) > position}
        assert step.single is not None
        name = start if start.isidentifier() and start not in alive else self._new(alive | set(given), step)
        self._names[step.single] = given[link] = name
        first = [] if name == start else [f"{name} = {start}"]
        return [*first, f"for layer in self.{layers}:", f"    {name} = layer({', '.join(given)})"]

    def _spelled(self, arg: Var | Stored) -> Text:
        if isinstance(arg, Stored):
            return self._tensor(arg)
        if arg in self._nested.inline:
            return self._nested.inline[arg].spell(self._spelled)
        return Text(self._names[arg])

    def _bind(self, step: Step, position: int) -> None:
        """Name what a step binds."""
        alive = {self._names[var] for var in self._names if self._last.get(var, -1) > position}
        single = step.single
        if single is not None:
            for var in self._nested.read(step)[:1]:
                if self._names[var] not in alive:
                    self._names[single] = self._names[var]
                    return
            self._names[single] = self._new(alive, step)
            return
        for var in _vars(step.outputs):
            if var in self._last:
                self._names[var] = self._new(alive, step)
                alive.add(self._names[var])

    def _new(self, alive: set[str], step: Step) -> str:
        if (self._small or not step.label) and (
            free := next((letter for letter in _LETTERS if letter not in alive), None)
        ) is not None:
            return free
        return Names([*alive, *self._reserved]).new(step.label or "x")


def _vars(targets: Targets) -> list[Var]:
    return [var for target in targets for var in ([target] if isinstance(target, Var) else _vars(target))]
