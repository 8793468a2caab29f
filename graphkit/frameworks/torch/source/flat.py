"""A program as one class with a line per statement, which can answer any of its values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from graphkit.errors import FeedError
from graphkit.frameworks.torch.source.program import stored_in
from graphkit.frameworks.torch.source.spell import Text, spell, spell_call, spell_targets
from graphkit.ops.torchfunctions import functions_of
from graphkit.ops.torchprogram import Stored, Var

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt

    from graphkit.ops.torchprogram import Layer, TorchProgram

__all__ = ["HEADER", "Source", "flat"]

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


def flat(program: TorchProgram, taps: Sequence[str]) -> Source:
    """The source of a module that returns a list: the program's outputs, then the values named in ``taps``.

    Args:
        program: The program.
        taps: Names of IR values.

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

    for stmt in program.stmts:
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
    body = [
        f"{spell_targets(stmt.outputs, lambda var: name(var).text)} = {spell(stmt, name, layer_name).text}"
        for stmt in program.stmts
    ]
    held = {var.value.name: var for var in names if var.value is not None}
    for tap in taps:
        if tap not in held:
            raise FeedError(f"PyTorch's form of the model does not compute {tap!r}, so it cannot be tapped there.")
    results = [*map(name, program.outputs), *(name(held[tap]) for tap in taps)]
    body.append(f"return [{', '.join(result.text for result in results)}]")
    lines = ["class Flat(nn.Module):", "    def __init__(self):", "        super().__init__()"]
    lines += [f"        {line}" for line in init]
    lines += [f"    def forward({', '.join(['self', *arguments])}):", *(f"        {line}" for line in body)]
    text = "\n".join([*functions_of(program), *lines])
    return Source(f"{HEADER}{text}\n", "Flat", tensors)
