"""Calling the module of an exported program with tensors alone, and getting tensors alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

__all__ = ["arguments", "results"]


def arguments(
    program: torch.export.ExportedProgram, inputs: Sequence[torch.Tensor]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments that a program's module is called with, its constant ones included.

    Args:
        program: The program.
        inputs: The tensors among its inputs, in order.
    """
    from torch.export.graph_signature import ConstantArgument, InputKind
    from torch.utils import _pytree

    tensors = iter(inputs)
    specs = [spec for spec in program.graph_signature.input_specs if spec.kind is InputKind.USER_INPUT]
    leaves = [spec.arg.value if isinstance(spec.arg, ConstantArgument) else next(tensors) for spec in specs]
    tree = program.call_spec.in_spec
    assert tree is not None
    args, kwargs = _pytree.tree_unflatten(leaves, tree)
    return tuple(args), dict(kwargs)


def results(program: torch.export.ExportedProgram, result: Any) -> list[torch.Tensor]:
    """The tensors of what a program's module returned; symbolic sizes become scalars, constants are left out."""
    import torch
    from torch.export.graph_signature import ConstantArgument, OutputKind
    from torch.utils import _pytree

    specs = [spec for spec in program.graph_signature.output_specs if spec.kind is OutputKind.USER_OUTPUT]
    return [
        leaf if isinstance(leaf, torch.Tensor) else torch.tensor(leaf)
        for leaf, spec in zip(_pytree.tree_leaves(result), specs, strict=True)
        if not isinstance(spec.arg, ConstantArgument)
    ]
