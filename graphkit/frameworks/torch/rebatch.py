"""Freeing the batch of a program that was exported with a fixed one."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Final

from graphkit.frameworks.torch.capture import capture, is_free
from graphkit.frameworks.torch.explain import sentence
from graphkit.frameworks.torch.mode import set_mode
from graphkit.frameworks.torch.quiet import quiet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import torch

    from graphkit.frameworks.torch.samples import Sample

__all__ = ["freed"]

_RESHAPES: Final = ("view", "reshape", "_unsafe_view", "expand")
"""Operators that give a tensor the shape that is their second argument."""
_FILLS_LIKE: Final = ("new_zeros", "new_ones", "new_full", "new_empty")
"""Operators that make a tensor of the shape that is their second argument, after another one."""
_FILLS: Final = ("zeros", "ones", "full", "empty")
"""Operators that make a tensor of the shape that is their first argument."""


def freed(
    program: torch.export.ExportedProgram, sample: Sample, *, warn: Callable[[str], None], label: str
) -> torch.export.ExportedProgram:
    """The program with a free batch, or itself where that cannot be done; the user is told which.

    The graph is traced again with a symbolic batch: as it is; with the batch in the shapes of reshapes replaced by the
    size of an input; and with that in the shapes of new tensors as well. A result counts only if it treats the samples
    of a batch one by one, as the original shows on two batches: freed(a ++ b) = original(a) ++ original(b).

    Args:
        program: An exported program all of whose shapes are fixed.
        sample: Its arguments.
        warn: Told that the batch is free now, or why it is not.
        label: How to call the program in messages.
    """
    batch = sample.batch
    if not isinstance(batch, int):
        return program
    reason = ""
    for operators in ((), (*_RESHAPES, *_FILLS_LIKE), (*_RESHAPES, *_FILLS_LIKE, *_FILLS)):
        module: Any = program.module(check_guards=False)
        if operators and not _symbolic_shapes(module, batch, operators):
            continue
        told: list[str] = []
        try:
            candidate = capture(module, sample, dynamic_batch=True, warn=told.append, label=label)
            if not is_free(candidate):
                reason = reason or "a size in it was computed from the batch when it was exported"
                continue
            if not _agree(program, candidate, sample, batch):
                reason = reason or "its samples do not seem to be computed one by one"
                continue
        except Exception as error:
            reason = reason or sentence(error)
            continue
        warn(
            f"The batch of {label}, exported as {batch}, is free in the converted model; that its samples are computed "
            f"one by one was checked on two batches."
        )
        return candidate
    warn(
        f"The batch of {label} stays {batch}, as it was exported: {reason}. To have any batch, export it with "
        f"dynamic_shapes={{...: {{0: torch.export.Dim.DYNAMIC}}}}."
    )
    return program


def _symbolic_shapes(module: torch.fx.GraphModule, batch: int, operators: Iterable[str]) -> bool:
    """Replace the batch in front of shapes by the size of an input; whether there was any."""
    import torch

    aten = torch.ops.aten
    packets = {getattr(aten, name): name for name in operators}
    first = next(node for node in module.graph.nodes if node.op == "placeholder" and _leads(node, batch))
    changed = False
    for node in list(module.graph.nodes):
        name = packets.get(getattr(node.target, "overloadpacket", None))
        if node.op != "call_function" or name is None or not _leads(node, batch):
            continue
        place = 0 if name in _FILLS else 1
        source = node.args[0] if name in _RESHAPES else first
        sizes = node.args[place]
        if _leads(source, batch) and isinstance(sizes, list | tuple) and sizes and sizes[0] == batch:
            with module.graph.inserting_before(node):
                size = module.graph.call_function(aten.sym_size.int, (source, 0))
            node.update_arg(place, [size, *sizes[1:]])
            changed = True
    if changed:
        module.recompile()
    return changed


def _leads(node: Any, batch: int) -> bool:
    """Whether the batch is the first dimension of a node's value."""
    import torch

    value = node.meta.get("val") if isinstance(node, torch.fx.Node) else None
    return isinstance(value, torch.Tensor) and value.ndim > 0 and value.shape[0] == batch


def _agree(
    program: torch.export.ExportedProgram, candidate: torch.export.ExportedProgram, sample: Sample, batch: int
) -> bool:
    import torch
    from torch.utils import _pytree

    original, free = _evaluating(program), _evaluating(candidate)
    parts = [sample.tensors(batch, seed) for seed in (1, 2)]
    shared = [sample.shares_batch(blank) for blank in sample.blanks]

    def joined(*leaves: Any) -> Any:
        return torch.cat(leaves) if next(flags) else leaves[0]

    flags = (flag for leaf, flag in _flagged(parts[0], shared) if isinstance(leaf, torch.Tensor))
    args, kwargs = _pytree.tree_map(
        lambda *leaves: joined(*leaves) if isinstance(leaves[0], torch.Tensor) else leaves[0], *parts
    )
    with quiet(), torch.no_grad():
        wanted = [_pytree.tree_leaves(original(*part[0], **part[1])) for part in parts]
        found = _pytree.tree_leaves(free(*args, **kwargs))
    for one, two, both in zip(*wanted, found, strict=True):
        if not isinstance(both, torch.Tensor):
            continue
        if not one.ndim or one.shape[0] != batch or both.shape[0] != 2 * batch or one.shape[1:] != both.shape[1:]:
            return False
        expected = torch.cat([one, two])
        scale = expected.abs().max().item() if expected.numel() and expected.is_floating_point() else 0.0
        if not torch.allclose(expected, both, rtol=0, atol=1e-4 * scale, equal_nan=True):
            return False
    return True


def _flagged(part: Any, shared: list[bool]) -> Iterable[tuple[Any, bool]]:
    import torch
    from torch.utils import _pytree

    flags = iter(shared)
    for leaf in _pytree.tree_leaves(part):
        yield leaf, next(flags) if isinstance(leaf, torch.Tensor) else False


def _evaluating(program: torch.export.ExportedProgram) -> torch.fx.GraphModule:
    module: Any = copy.copy(program.module(check_guards=False))
    set_mode(module, "eval")
    return module  # type: ignore[no-any-return]  # torch types module() as nn.Module
