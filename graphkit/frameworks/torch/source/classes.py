"""Classes and functions of a module's source as text."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING, Any

import onnx_ir as ir

from graphkit.frameworks.torch.source.blocks import Shortcut, Use, stmts_of, writes
from graphkit.frameworks.torch.source.body import LAYER, Flow, Step, body_of
from graphkit.frameworks.torch.source.identifiers import MODULE, Names, identifier
from graphkit.frameworks.torch.source.naming import (
    common_label,
    kinds_of,
    label_of,
    scope_of,
    shared_prefix,
    shared_scope,
    stem_of,
    tensor_label,
)
from graphkit.frameworks.torch.source.program import BUFFERS
from graphkit.frameworks.torch.source.sequence import Run, elements, with_runs
from graphkit.frameworks.torch.source.spell import Text, spell, spell_arg, spell_call
from graphkit.frameworks.torch.source.uses import captured_by, read_by, stored_by, stored_dtype, stored_shape
from graphkit.ir import params
from graphkit.ir.dtypes import dtype_of
from graphkit.ops.torchprogram import Stmt, Stored, Var, walk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import numpy as np
    import numpy.typing as npt

    from graphkit.frameworks.torch.source.blocks import Block, Item
    from graphkit.frameworks.torch.source.plan import Plan
    from graphkit.frameworks.torch.source.sequence import Part
    from graphkit.ops.torchprogram import Arg, Body, Layer

    Tensors = dict[str, Stored | npt.NDArray[np.generic]]

__all__ = ["FREEZE", "Printed", "print_scope"]

FREEZE = '''
def freeze(layer, *names):
    """Leave parameters of a layer out of training."""
    for name in names:
        getattr(layer, name).requires_grad_(False)
    return layer
'''


class Printed:
    """The text of a class or function, and where its uses keep their tensors.

    Attributes:
        text: The text.
        freezes: Whether it calls ``freeze``.
    """

    def __init__(
        self, text: str, freezes: bool, members: Mapping[tuple[int, int], str], parts: Any, stored: Any
    ) -> None:
        self.text = text
        self.freezes = freezes
        self._members = members
        self._parts: list[tuple[int, Part]] = parts
        self._stored: dict[tuple[int, int, int], str] = stored

    def tensors(
        self, items: Sequence[Item], prefix: str, printed: Mapping[Block, Printed]
    ) -> Iterator[tuple[str, Any]]:
        """What the ``state_dict`` of a use holds, by key.

        Args:
            items: The items of the use.
            prefix: What its keys begin with.
            printed: The classes inside.
        """
        for position, part in self._parts:
            item = items[position]
            if isinstance(part, Run):
                for number, (place, _) in enumerate(part.uses):
                    use = items[place]
                    assert isinstance(use, Use)
                    start = f"{prefix}{self._members[position, 0]}.{number}."
                    yield from printed[use.block].tensors(use.items, start, printed)
            elif isinstance(item, Use):
                if (position, 0) in self._members:
                    start = f"{prefix}{self._members[position, 0]}."
                    yield from printed[item.block].tensors(item.items, start, printed)
            elif isinstance(item, Shortcut):
                for number, stmt in enumerate(item.items):
                    assert stmt.layer is not None
                    member = self._members.get((position, number), f"{self._members.get((position, -1))}.{number}")
                    yield from ((f"{prefix}{member}.{name}", t) for name, t in stmt.layer.tensors.items())
            else:
                for inner, stmt in enumerate(walk([item])):
                    if stmt.layer is not None:
                        member = self._members[position, inner]
                        yield from ((f"{prefix}{member}.{name}", t) for name, t in stmt.layer.tensors.items())
                    for number, tensor in enumerate(stored_by(stmt)):
                        yield f"{prefix}{self._stored[position, inner, number]}", tensor

    def returned(self, outputs: Sequence[Var | Stored]) -> Iterator[tuple[str, Stored]]:
        """The tensors that are returned as they are held, by key."""
        for number, output in enumerate(outputs):
            if isinstance(output, Stored):
                yield self._stored[-1, 0, number], output


def print_scope(
    name: str,
    items: Sequence[Item],
    inputs: Mapping[Var, str],
    outputs: Sequence[Var | Stored],
    plans: Mapping[Block, Plan],
    own: Plan | None = None,
    root: tuple[str, ...] = (),
) -> Printed:
    """Print a class, or the function that a block without tensors is.

    Args:
        name: Its name.
        items: What it does; for a block those of its plan's body.
        inputs: Its arguments and their names.
        outputs: What it returns.
        plans: Plans of all blocks.
        own: The plan of the block that it is, None for the module itself.
        root: Module path that all of the model shares, which says nothing.
    """
    return _Scope(name, items, inputs, outputs, plans, own, root).printed()


class _Scope:
    def __init__(
        self,
        name: str,
        items: Sequence[Item],
        inputs: Mapping[Var, str],
        outputs: Sequence[Var | Stored],
        plans: Mapping[Block, Plan],
        own: Plan | None,
        root: tuple[str, ...],
    ) -> None:
        self._name = name
        self._inputs = inputs
        self._outputs = list(outputs)
        self._plans = plans
        self._own = own
        self._root = root
        self._parts = with_runs(items, self._outputs, plans)
        self._members: dict[tuple[int, int], str] = {}
        self._stored: dict[tuple[int, int, int], str] = {}
        self._held: dict[Stored, str] = {}
        self._layers: dict[int, str] = {}
        self._alias: dict[Var, Var] = {}
        self._names = Names([*MODULE, *([] if own is None else [*own.attributes(), "residual"])])
        self._generic: set[str] = set()
        self._init: list[str] = []
        self._freezes = False
        self._stems = Counter(stem_of(part) for _, part in self._parts if not isinstance(part, Run))
        bodies = [items] if own is None else [use.items for use in own.block.uses]
        self._scopes = Counter(scope_of(item) for body in bodies for item in body if isinstance(item, Use))
        self._numbers: Counter[str] = Counter()
        stmts = walk(item for item in items if isinstance(item, Stmt))
        self._kinds = kinds_of(stmt for stmt in stmts if stmt.layer is not None)
        self._kinds_of_uses = [
            kinds_of((stmt for stmt in stmts_of(use) if stmt.layer is not None), scope_of(use))
            for use in ([] if own is None else own.block.uses)
        ]
        self._runs = {self._run_label(part) for _, part in self._parts if isinstance(part, Run)}
        self._prefix = shared_prefix(items) if own is None else ""

    def printed(self) -> Printed:
        steps = [step for position, part in self._parts for step in self._steps(position, part)]
        outputs = [self._alias.get(output, output) if isinstance(output, Var) else output for output in self._outputs]
        for number, output in enumerate(outputs):
            if isinstance(output, Stored):
                self._hold(output, (-1, 0, number), identifier(output.value.name or "output"))
        if self._own is not None and self._own.block.tail:
            steps.append(self._tail(outputs))
        functions = [LAYER, *(plan.name for plan in self._plans.values() if not plan.is_class)]
        lines = body_of(steps, self._inputs, outputs, lambda tensor: Text(f"self.{self._held[tensor]}"), functions)
        text = self._function(lines) if self._own is not None and not self._own.is_class else self._class(lines)
        return Printed(text, self._freezes, self._members, self._parts, self._stored)

    def _function(self, lines: list[str]) -> str:
        assert self._own is not None
        arguments = [*self._inputs.values(), *_signature(self._own)]
        return "\n".join([f"def {self._name}({', '.join(arguments)}):", *(f"    {line}" for line in lines)]) + "\n"

    def _class(self, lines: list[str]) -> str:
        text = [f"class {self._name}(nn.Module):"]
        arguments = [] if self._own is None else _signature(self._own)
        attributes = [] if self._own is None else self._own.attributes()
        if self._own is not None and self._own.block.tail:
            attributes.append("residual")
        init = [*self._init, *(f"self.{name} = {name}" for name in attributes)]
        if init:
            text += [f"    def __init__({', '.join(['self', *arguments])}):", "        super().__init__()"]
            text += [f"        {line}" for line in init]
            text.append("")
        text.append(f"    def forward({', '.join(['self', *self._inputs.values()])}):")
        text += [f"        {line}" for line in lines]
        return "\n".join(text) + "\n"

    def _tail(self, outputs: list[Any]) -> Step:
        start, end, total = next(iter(self._inputs)), outputs[0], Var()
        outputs[:] = [total]
        return Step(
            (total,),
            [end, start, end],
            lambda name: Text(f"{name(end).text} + {name(start).text} if self.residual else {name(end).text}", 0),
            "sum",
        )

    def _steps(self, position: int, part: Part) -> Iterator[Step]:
        if isinstance(part, Run):
            step = self._member_step(self._add_run(position, part), part.inputs, part.output)
            if len(part.inputs) > 1:
                step.loop = (self._members[position, 0], part.link)
            yield step
        elif isinstance(part, Use):
            yield self._use(position, part)
        elif isinstance(part, Shortcut):
            yield from self._shortcut(position, part)
        else:
            yield self._stmt(position, count(), part)

    def _member_step(self, member: str, inputs: Sequence[Var], output: Var) -> Step:
        read = [self._alias.get(var, var) for var in inputs]
        label = "" if member in self._generic else member
        return Step(
            (output,), read, lambda name: Text(f"self.{member}({', '.join(name(var).text for var in read)})"), label
        )

    def _use(self, position: int, use: Use) -> Step:
        plan = self._plans[use.block]
        if plan.is_class:
            member = self._member(position, 0, use)
            self._init.append(f"self.{member} = {_constructor(plan, self._arguments(position, use))}")
            return self._member_step(member, use.inputs, use.output)
        read = [self._alias.get(var, var) for var in use.inputs]
        extra = [f"{key}={spell_arg(arg, _no_name).text}" for key, arg in self._arguments(position, use).items()]
        return Step(
            (use.output,),
            read,
            lambda name: Text(f"{plan.name}({', '.join([*(name(var).text for var in read), *extra])})"),
            plan.name,
        )

    def _arguments(self, position: int, use: Use) -> dict[str, Any]:
        return self._plans[use.block].arguments(use) if self._own is None else self._own.inner_arguments(position)

    def _add_run(self, position: int, run: Run) -> str:
        plan = self._plans[run.uses[0][1].block]
        path = scope_of(run.uses[0][1])
        for _, use in run.uses[1:]:
            path = tuple(a for a, b in zip(path, scope_of(use), strict=False) if a == b)
        named = len(path) > len(self._root) and self._own is None
        label = (
            path[-1] if named else f"{identifier(plan.name.rstrip('0123456789'))}s" if self._own is None else "layers"
        )
        member = self._members[position, 0] = self._names.new(label)
        if not named:
            self._generic.add(member)
        given = [self._arguments(place, use) for place, use in run.uses]
        parts = elements(given, lambda arguments: _constructor(plan, arguments))
        if len(run.inputs) == 1:
            made = f"nn.Sequential({', '.join(parts)})"
        elif len(parts) == 1:
            made = f"nn.ModuleList{parts[0].removeprefix('*')}"
        else:
            made = f"nn.ModuleList([{', '.join(parts)}])"
        self._init.append(f"self.{member} = {made}")
        return member

    def _run_label(self, run: Run) -> str:
        """What the source calls the module that holds a run; empty where it does not tell."""
        path = shared_scope([scope_of(use) for _, use in run.uses])
        return path[-1] if self._own is None and len(path) > len(self._root) else ""

    def _shortcut(self, position: int, shortcut: Shortcut) -> Iterator[Step]:
        if self._own is not None and position in self._own.optional:
            member = self._members[position, -1] = self._names.new("shortcut")
            layers = ", ".join(self._layer_text(stmt.layer) for stmt in shortcut.items if stmt.layer is not None)
            some = f"nn.Sequential({layers})"
            self._init.append(f"self.{member} = {some} if downsample else nn.Identity()")
            yield self._member_step(member, [shortcut.input], shortcut.output)
            return
        for number, stmt in enumerate(shortcut.items):
            yield self._stmt(position, count(number), stmt)
        end = writes(shortcut.items[-1])[0] if shortcut.items else shortcut.input
        self._alias[shortcut.output] = self._alias.get(end, end)

    def _stmt(self, position: int, numbers: Iterator[int], stmt: Stmt) -> Step:
        """A statement; ``numbers`` gives its place in the item, and the places of the statements inside it."""
        inner = next(numbers)
        label = identifier(label_of(stmt) or stem_of(stmt))
        if stmt.layer is not None:
            if id(stmt.layer) not in self._layers:
                self._layers[id(stmt.layer)] = self._member(position, inner, stmt)
                self._init.append(f"self.{self._layers[id(stmt.layer)]} = {self._layer_text(stmt.layer)}")
            self._members[position, inner] = self._layers[id(stmt.layer)]
            label = self._layers[id(stmt.layer)]
        for number, tensor in enumerate(stored_by(stmt)):
            self._hold(tensor, (position, inner, number), self._tensor_label(tensor, position, inner, number))
        read = [self._alias.get(var, var) for var in read_by(stmt)]
        layer = self._layers.get(id(stmt.layer), "")

        def text(name: Callable[[Any], Text]) -> Text:
            def resolved(arg: Var | Stored) -> Text:
                return name(self._alias.get(arg, arg) if isinstance(arg, Var) else arg)

            return spell(stmt, resolved, lambda _layer: f"self.{layer}")

        step = Step(stmt.outputs, read, text, label, stmt.kind in ("infix", "prefix", "item"))
        step.breaks = stmt.kind == "break"
        if stmt.bodies:
            bodies = [
                (self._body(body), [self._stmt(position, numbers, each) for each in body.stmts]) for body in stmt.bodies
            ]
            captured = frozenset(self._alias.get(var, var) for body in stmt.bodies for var in captured_by(body))
            started = len(stmt.args) - len(stmt.bodies[0].inputs)
            initial = [self._arg(arg) for arg in stmt.args[started:]] if stmt.kind == "loop" else []
            step.flow = Flow(bodies, initial, stmt.kind == "loop" and not started, captured)
        return step

    def _arg(self, arg: Arg) -> Arg:
        return self._alias.get(arg, arg) if isinstance(arg, Var) else arg

    def _body(self, body: Body) -> Body:
        """A body with what stands for the variables that it gives."""
        return replace(body, outputs=[self._arg(arg) for arg in body.outputs], goes_on=self._arg(body.goes_on))

    def _layer_text(self, layer: Layer) -> str:
        text = spell_call(layer.type, layer.args, layer.kwargs, _no_name).text
        if not layer.frozen:
            return text
        if set(layer.frozen) == set(layer.tensors) - BUFFERS:
            return f"{text}.requires_grad_(False)"
        self._freezes = True
        return f"freeze({text}, {', '.join(map(repr, layer.frozen))})"

    def _member(self, position: int, inner: int, item: Stmt | Use) -> str:
        """The name of the member for a layer or block."""
        if self._own is None:
            labels = {self._label(item, (), self._kinds)}
            if isinstance(item, Use):
                path = scope_of(item)
                if len(path) <= len(self._root) or self._scopes[path] > 1:
                    labels = {common_label(item)}
                labels -= self._runs
        else:
            uses = self._own.block.uses
            labels = {
                self._label(_inner(use.items[position], inner), scope_of(use), kinds)
                for use, kinds in zip(uses, self._kinds_of_uses, strict=True)
            }
        label = identifier(labels.pop()) if len(labels) == 1 and "" not in labels else ""
        generic = not label
        if generic:
            kind = self._plans[item.block].name.rstrip("0123456789") if isinstance(item, Use) else stem_of(item)
            label = identifier(kind)
            self._numbers[label] += 1
            if self._own is not None and self._stems[stem_of(item)] > 1:
                label = f"{label}{self._numbers[label]}"
        member = self._members[position, inner] = self._names.new(label)
        if generic:
            self._generic.add(member)
        return member

    def _label(self, item: Item, inside: tuple[str, ...], kinds: Mapping[tuple[str, ...], set[str]]) -> str:
        if isinstance(item, Use) and inside and ((path := scope_of(item)) == inside or self._scopes[path] > 1):
            return common_label(item)
        label = label_of(item, inside, kinds)
        return label.removeprefix(self._prefix) or label

    def _tensor_label(self, tensor: Stored, position: int, inner: int, number: int) -> str:
        if self._own is None:
            name = tensor.value.name or "tensor"
            root = next((start for sep in "._" if name.startswith(start := sep.join((*self._root, "")))), "")
            return name.removeprefix(root) or name
        stmts = [_inner(use.items[position], inner) for use in self._own.block.uses]
        tensors = [list(stored_by(stmt))[number] for stmt in stmts if isinstance(stmt, Stmt)]
        return tensor_label([tensor.value.name or "" for tensor in tensors])

    def _hold(self, tensor: Stored, place: tuple[int, int, int], label: str) -> None:
        if tensor not in self._held:
            key = self._held[tensor] = self._names.new(label)
            shape: list[Any] = list(stored_shape(tensor))
            if self._own is not None and place[0] >= 0:
                shape = self._own.stored_sizes(*place, shape)
            dtype = stored_dtype(tensor)
            options = "" if dtype == ir.DataType.FLOAT else f", dtype=torch.{dtype_of(dtype).torch}"
            empty = f"torch.empty({spell_arg(tuple(shape), _no_name).text}{options})"
            if params.kind_of(tensor.value) == "parameter" and dtype.is_floating_point():
                self._init.append(f"self.{key} = nn.Parameter({empty})")
            else:
                self._init.append(f'self.register_buffer("{key}", {empty})')
        self._stored[place] = self._held[tensor]


def _inner(item: Item, number: int) -> Item:
    """One layer of a shortcut; any other item as it is."""
    return item.items[number] if isinstance(item, Shortcut) and number < len(item.items) else item


def _no_name(arg: Var | Stored) -> Text:
    raise AssertionError(f"{arg!r} in a constructor")


def _signature(plan: Plan) -> list[str]:
    return [
        parameter.name if parameter.default is None else f"{parameter.name}={parameter.default!r}"
        for parameter in plan.parameters
    ]


def _constructor(plan: Plan, arguments: Mapping[str, Any]) -> str:
    """A class with its arguments, those without a default by position."""
    given = []
    for parameter in plan.parameters:
        if parameter.name in arguments:
            text = spell_arg(arguments[parameter.name], _no_name).text
            given.append(text if parameter.default is None else f"{parameter.name}={text}")
    return f"{plan.name}({', '.join(given)})"
