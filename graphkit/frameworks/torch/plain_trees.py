"""Programs that take and return objects, as programs that take and return dictionaries and tuples."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from graphkit.frameworks.torch.program.trees import without_classes

if TYPE_CHECKING:
    import torch

__all__ = ["of_plain_containers"]


def of_plain_containers(program: torch.export.ExportedProgram) -> torch.export.ExportedProgram:
    """A program of the same graph that takes and returns dictionaries in place of objects, as one in a file is read.

    How an object is made of its tensors is its class's own, and many classes make none of what stands for tensors.

    Args:
        program: Any program; it comes back itself where it takes and returns plain containers, or where torch cannot
            write down what else.
    """
    import torch
    from torch.utils import _pytree

    calls = [_plain(call) for call in program.module_call_graph]
    if all(call is before for call, before in zip(calls, program.module_call_graph, strict=True)):
        return program
    examples = program.example_inputs
    whole = calls[0].signature
    if examples is not None and whole is not None:
        examples = _pytree.tree_unflatten(_pytree.tree_leaves(examples), whole.in_spec)
    return torch.export.ExportedProgram(
        program.graph_module,
        program.graph,
        program.graph_signature,
        program.state_dict,
        program.range_constraints,
        calls,
        examples,
        program.constants,
        verifiers=program.verifiers,
    )


def _plain(call: Any) -> Any:
    """What a program notes of a call of a module, with plain trees; itself where they are."""
    from torch.utils import _pytree

    signature = call.signature
    if signature is None:
        return call
    try:
        before = [_pytree.treespec_dumps(spec) for spec in (signature.in_spec, signature.out_spec)]
    except (NotImplementedError, TypeError):
        return call
    after = [_pytree.treespec_loads(without_classes(spec)) for spec in before]
    if after == [signature.in_spec, signature.out_spec]:
        return call
    return dataclasses.replace(call, signature=dataclasses.replace(signature, in_spec=after[0], out_spec=after[1]))
