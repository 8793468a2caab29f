"""Branches and loops of an exported program: the graphs inside them, made fit for torch's decompositions."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final

from graphkit.errors import InputError
from graphkit.frameworks.torch.explain import chain, user_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import torch

__all__ = ["exported", "lift_constants", "without_gradients"]

_PLACES: Final = {"cond": ((1, 2), 3), "while_loop": ((0, 1), 3), "scan": ((0,), 3), "map_impl": ((0,), 2)}
"""Where the arguments of a branch or a loop have its graphs, and where what all of them are handed."""
_NAMES: Final = ("cond", "while_loop", "scan", "map")


def lift_constants(
    module: torch.fx.GraphModule, signature: Any, constants: dict[str, Any]
) -> tuple[Any, dict[str, Any]]:
    """Make inputs of the tensors that the code within branches and loops makes, in place.

    torch.export does so with those of the code around them only, and torch's decompositions fail on others.

    Args:
        module: The graph of a program.
        signature: Its signature.
        constants: Its constants.

    Returns:
        Signature and constants with these.
    """
    from torch.export.graph_signature import ExportGraphSignature, InputKind, InputSpec, TensorArgument

    _hand_in(module)
    found = [node for node in module.graph.nodes if _tensor(module, node) is not None]
    if not found:
        return signature, constants
    constants, specs = dict(constants), []
    first = next(
        (node for node in module.graph.nodes if node.name in signature.user_inputs), module.graph.output_node()
    )
    for node in found:
        name = next(
            name for number in range(len(constants) + 1) if (name := f"lifted_tensor_{number}") not in constants
        )
        constants[name] = _tensor(module, node)
        with module.graph.inserting_before(first):
            placeholder = module.graph.placeholder(f"c_{name}")
        placeholder.meta = dict(node.meta)
        specs.append(InputSpec(InputKind.CONSTANT_TENSOR, TensorArgument(placeholder.name), name))
        node.replace_all_uses_with(placeholder)
        module.graph.erase_node(node)
    module.recompile()
    before = list(signature.input_specs)
    place = next((n for n, spec in enumerate(before) if spec.kind is InputKind.USER_INPUT), len(before))
    inputs = [*before[:place], *specs, *before[place:]]
    return ExportGraphSignature(input_specs=inputs, output_specs=list(signature.output_specs)), constants


def _hand_in(module: torch.fx.GraphModule) -> None:
    """Take tensors out of the graphs inside a graph; it hands them to these, and has them itself."""
    for node in list(module.graph.nodes):
        if node.op != "call_function" or str(node.target) not in _PLACES:
            continue
        places, operands = _PLACES[str(node.target)]
        bodies: list[Any] = [module.get_submodule(node.args[place].target) for place in places]
        for body in bodies:
            _hand_in(body)
        for body in bodies:
            for inner in [inner for inner in body.graph.nodes if _tensor(body, inner) is not None]:
                outer = _taken(body, inner, module, node)
                for each in bodies:
                    _add_input(each, inner, replaced=each is body)
                arguments = list(node.args)
                arguments[operands] = (*(arguments[operands] if operands < len(arguments) else ()), outer)
                node.args = tuple(arguments)
        for body in bodies:
            body.recompile()
    module.recompile()


def _tensor(module: torch.fx.GraphModule, node: torch.fx.Node) -> Any:
    """The tensor of a module that a node reads; None for any other node."""
    import torch

    if node.op != "get_attr":
        return None
    found: Any = module
    for part in str(node.target).split("."):
        found = getattr(found, part, None)
    return found if isinstance(found, torch.Tensor) else None


def _taken(
    body: torch.fx.GraphModule, inner: torch.fx.Node, module: torch.fx.GraphModule, before: torch.fx.Node
) -> torch.fx.Node:
    """A node before another one that reads, in its own graph, what a node inside that reads."""
    tensor = _tensor(body, inner)
    delattr(body, str(inner.target))
    name = next(name for number in range(10**6) if not hasattr(module, name := f"_handed_tensor_{number}"))
    setattr(module, name, tensor)
    with module.graph.inserting_before(before):
        node = module.graph.create_node("get_attr", name)
    node.meta = dict(inner.meta)
    return node


def _add_input(module: torch.fx.GraphModule, inner: torch.fx.Node, *, replaced: bool) -> None:
    """A last input that stands for a node; where it is of this graph, in place of it."""
    last = [node for node in module.graph.nodes if node.op == "placeholder"]
    with module.graph.inserting_after(last[-1]) if last else module.graph.inserting_before():
        placeholder = module.graph.placeholder(f"{inner.name}_handed")
    placeholder.meta = dict(inner.meta)
    if replaced:
        inner.replace_all_uses_with(placeholder)
        module.graph.erase_node(inner)


@contextlib.contextmanager
def without_gradients(program: torch.export.ExportedProgram) -> Iterator[None]:
    """Decompose a program that has branches or loops without recording gradients, whose rules for these fail."""
    import torch

    modules = [module for module in program.graph_module.modules() if isinstance(module, torch.fx.GraphModule)]
    branches = any(str(node.target) in _PLACES for module in modules for node in module.graph.nodes)
    with torch.no_grad() if branches else contextlib.nullcontext():
        yield


def exported(export: Callable[[], torch.export.ExportedProgram]) -> torch.export.ExportedProgram:
    """What an export gives; where torch's rules for gradients of branches and loops fail, without gradients.

    These rules refuse integers that are carried, and a loop in a scan.

    Raises:
        InputError: A branch or loop shares tensors as torch does not allow.
    """
    import torch

    try:
        return export()
    except Exception as error:
        text = " ".join(str(cause) for cause in chain(error))
        if "do not support aliasing" in text:
            where = user_line(error)
            raise InputError(
                f"torch.export cannot capture a branch or loop{f' at {where}' if where else ''}: it gives or reads one "
                f"tensor twice, or gives what it is given as it stands. Give a copy (x.clone()) instead."
            ) from error
        if not torch.is_grad_enabled() or not any(f"call_function {name}" in text for name in _NAMES):
            raise
        with torch.no_grad():
            return export()
