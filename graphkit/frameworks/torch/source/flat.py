"""A program as one class with a line per statement, which can answer any of its values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from graphkit.errors import FeedError
from graphkit.frameworks.torch.source.spell import (
    Text,
    break_unless,
    indented,
    spell,
    spell_arg,
    spell_call,
    spell_targets,
)
from graphkit.frameworks.torch.source.uses import flat_targets, stored_in
from graphkit.ops.torchfunctions import functions_of
from graphkit.ops.torchprogram import Stored, Var, walk

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt

    from graphkit.ops.torchprogram import Arg, Body, Layer, Stmt, Targets, TorchProgram

__all__ = ["HEADER", "Source", "flat", "held_by"]

HEADER = "import torch\nfrom torch import nn\nfrom torch.nn import functional as F\n"


@dataclass(frozen=True, slots=True)
class Source:
    """The source of a module.

    Attributes:
        text: The Python file.
        name: The class in it that is the module; its constructor takes no arguments.
        tensors: What its ``state_dict`` holds, by key.
    """

    text: str
    name: str
    tensors: dict[str, Stored | npt.NDArray[np.generic]]


def flat(program: TorchProgram, taps: Sequence[str], mark: str = "") -> Source:
    """The source of a module that returns a tuple: the program's outputs, then the values named in ``taps``.

    Args:
        program: The program.
        taps: Names of IR values.
        mark: A function of a name and a tensor that each of these values is put through before anything reads it;
            empty for none.

    Raises:
        FeedError: The program does not hold a tapped value, as it is within what one statement computes.
    """
    names: dict[Var, str] = {}
    layers: dict[int, str] = {}
    stored: dict[Stored, str] = {}
    tensors: dict[str, Stored | npt.NDArray[np.generic]] = {}
    init: list[str] = []

    def name(arg: Var | Stored) -> Text:
        if isinstance(arg, Var):
            return Text(names.setdefault(arg, f"v{len(names)}"))
        return Text(f"self.{stored[arg]}")

    def layer_name(layer: Layer) -> str:
        return f"self.{layers[id(layer)]}"

    for stmt in walk(program.stmts):
        if stmt.layer is not None and id(stmt.layer) not in layers:
            key = layers[id(stmt.layer)] = f"layer{len(layers)}"
            init.append(f"self.{key} = {spell_call(stmt.layer.type, stmt.layer.args, stmt.layer.kwargs, name).text}")
            tensors |= {f"{key}.{part}": tensor for part, tensor in stmt.layer.tensors.items()}
    for tensor in stored_in(program):
        if tensor not in stored:
            key = stored[tensor] = f"tensor{len(stored)}"
            init.append(f'self.register_buffer("{key}", torch.empty(0))')
            tensors[key] = tensor
    arguments = [name(var).text for var in program.inputs]

    def bound(targets: Targets) -> str:
        return spell_targets(targets, lambda var: name(var).text)

    def assigned(targets: Targets, values: Sequence[Arg]) -> list[str]:
        given = ", ".join(spell_arg(value, name).text for value in values)
        return [f"{bound(targets)} = {given}"] if targets else []

    def lines_of(stmts: Sequence[Stmt]) -> list[str]:
        return [line for stmt in stmts for line in spelled(stmt)]

    def spelled(stmt: Stmt) -> list[str]:
        if stmt.kind == "if":
            then, otherwise = ([*lines_of(b.stmts), *assigned(stmt.outputs, b.outputs)] for b in stmt.bodies)
            return [spell(stmt, name, layer_name).text, *indented(then), "else:", *indented(otherwise)]
        if stmt.kind == "loop":
            return loop(stmt, stmt.bodies[0])
        if stmt.kind == "break":
            return break_unless(spell(stmt, name, layer_name).text)
        return [f"{bound(stmt.outputs)} = {spell(stmt, name, layer_name).text}"]

    def loop(stmt: Stmt, body: Body) -> list[str]:
        count = len(body.inputs)
        lists = stmt.outputs[count:]
        carried = tuple(body.inputs)
        first = assigned(carried, stmt.args[len(stmt.args) - count :])
        first += [f"{bound((made,))} = []" for made in lists]
        inner = lines_of(body.stmts)
        for made, value in zip(lists, body.outputs[count:], strict=True):
            inner.append(f"{bound((made,))}.append({spell_arg(value, name).text})")
        inner += assigned(carried, body.outputs[:count])
        if body.goes_on is not None:
            inner += break_unless(spell_arg(body.goes_on, name).text)
        last = assigned(stmt.outputs[:count], body.inputs)
        return [*first, spell(stmt, name, layer_name).text, *indented(inner), *last]

    held = held_by(program)
    for tap in taps:
        if tap not in held:
            raise FeedError(
                f"PyTorch's form of the model does not compute {tap!r}, so it cannot be tapped there; tap another "
                "value."
            )
    marked = {held[tap]: tap for tap in taps} if mark else {}
    body = []
    for stmt in program.stmts:
        body += spelled(stmt)
        for var in flat_targets(stmt.outputs):
            if var in marked:
                body.append(f"{bound((var,))} = {mark}({marked[var]!r}, {name(var).text})")
    results = [*map(name, program.outputs), *(name(held[tap]) for tap in taps)]
    body.append(f"return {', '.join(result.text for result in results)},")
    lines = ["class Flat(nn.Module):", "    def __init__(self):", "        super().__init__()"]
    lines += [f"        {line}" for line in init]
    lines += [f"    def forward({', '.join(['self', *arguments])}):", *(f"        {line}" for line in body)]
    text = "\n".join([*functions_of(program), *lines])
    return Source(f"{HEADER}{text}\n", "Flat", tensors)


def held_by(program: TorchProgram) -> dict[str, Var]:
    """The variable that holds each IR value that a statement outside of all others computes."""
    outer = [var for stmt in program.stmts for var in flat_targets(stmt.outputs)]
    return {var.value.name: var for var in outer if var.value is not None and var.value.name}
