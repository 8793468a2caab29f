"""Torch programs as the source that a person would have written."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from graphkit.frameworks.torch.source.batch_first import with_batch_first
from graphkit.frameworks.torch.source.blocks import Use, writes
from graphkit.frameworks.torch.source.body import LAYER
from graphkit.frameworks.torch.source.classes import FREEZE, print_scope
from graphkit.frameworks.torch.source.flat import HEADER, Source
from graphkit.frameworks.torch.source.identifiers import Names, camel, identifier
from graphkit.frameworks.torch.source.inplace import in_place
from graphkit.frameworks.torch.source.naming import Modules, class_name, scope_of, shared_scope
from graphkit.frameworks.torch.source.once import once
from graphkit.frameworks.torch.source.plan import owns, plan
from graphkit.frameworks.torch.source.repeats import find_repeats
from graphkit.frameworks.torch.source.stacks import stacked
from graphkit.ops.torchfunctions import functions_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphkit.frameworks.torch.source.blocks import Block, Item
    from graphkit.frameworks.torch.source.classes import Printed
    from graphkit.frameworks.torch.source.plan import Plan
    from graphkit.ops.torchprogram import TorchProgram, Var

__all__ = ["to_source"]

_SHORT = 16
"""Characters up to which the model's own name of a value makes an argument's name."""


def to_source(program: TorchProgram, name: str, header: str = "") -> Source:
    """The source of a module that computes what the program does, not yet formatted.

    Args:
        program: The program.
        name: What the module's class is called after.
        header: Text of the file's docstring.
    """
    program = in_place(with_batch_first(stacked(once(program))))
    items = find_repeats(program)
    classes = Names([camel(name)])
    modules = Modules(items)
    plans: dict[Block, Plan] = {}
    for block in _inner_first(items):
        is_class = any(owns(item, plans) for use in block.uses for item in use.items)
        plans[block] = plan(block, plans, _unique(class_name(block, plans, modules, is_class=is_class), classes))
    root = shared_scope([path for item in items if (path := scope_of(item))])
    functions = [LAYER, *(own.name for own in plans.values() if not own.is_class)]
    printed: dict[Block, Printed] = {}
    for block, own in plans.items():
        use = block.uses[0]
        arguments = Names([*functions, *(parameter.name for parameter in own.parameters)])
        inputs = {var: "x" if k == 0 else arguments.new(_argument(block, k)) for k, var in enumerate(use.inputs)}
        output = use.output if not use.added else _inner_output(use)
        printed[block] = print_scope(own.name, own.body(forward=True), inputs, [output], plans, own, root)
    arguments = Names(functions)
    inputs = {var: arguments.new(var.value.name if var.value and var.value.name else "x") for var in program.inputs}
    main = print_scope(camel(name), items, inputs, program.outputs, plans, None, root)
    freezes = main.freezes or any(text.freezes for text in printed.values())
    texts = [
        *functions_of(program),
        *([FREEZE] if freezes else []),
        *(text.text for text in printed.values()),
        main.text,
    ]
    imports = [line for line in HEADER.splitlines() if re.search(rf"\b{line.split()[-1]}\.", "".join(texts))]
    parts = ["\n".join(imports) + "\n", *texts]
    docstring = f'"""{header}"""\n\n' if header else ""
    tensors = dict(main.tensors(items, "", printed)) | dict(main.returned(program.outputs))
    return Source(docstring + "\n\n".join(parts), camel(name), tensors)


def _inner_first(items: Sequence[Item]) -> list[Block]:
    found: dict[Block, None] = {}

    def visit(items: Sequence[Item]) -> None:
        for item in items:
            if isinstance(item, Use) and item.block not in found:
                visit(item.items)
                found[item.block] = None

    visit(items)
    return list(found)


def _unique(name: str, names: Names) -> str:
    """A name that nothing else has; :class:`Names` speaks of identifiers in lower case."""
    number, candidate = 1, name
    while not names.claim(candidate):
        number += 1
        candidate = f"{name}{number}"
    return candidate


def _argument(block: Block, k: int) -> str:
    """What all uses call one of their inputs, else a letter."""
    values = [use.inputs[k].value for use in block.uses]
    names = {"" if value is None else value.name or "" for value in values}
    name = identifier(names.pop()) if len(names) == 1 else ""
    return name if 1 < len(name) <= _SHORT else "yzuv"[k - 1]


def _inner_output(use: Use) -> Var:
    return writes(use.items[-1])[0]
