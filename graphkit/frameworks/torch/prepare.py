"""What is done to an exported program before it is translated."""

from __future__ import annotations

import copy
import dataclasses
from typing import TYPE_CHECKING, Any, Final

from graphkit.errors import InputError
from graphkit.frameworks.torch.complex_views import view_parts
from graphkit.frameworks.torch.control_flow import lift_constants
from graphkit.frameworks.torch.free_splits import slice_free_splits
from graphkit.frameworks.torch.lasting import DROPOUTS, detach_without_grad, keep_dropouts, out_of_place
from graphkit.frameworks.torch.mode import set_mode
from graphkit.frameworks.torch.quiet import quiet
from graphkit.frameworks.torch.recurrent_capture import keep_recurrent

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

__all__ = ["prepared"]

_NAMED: Final = 3
"""Nodes that a warning names before it counts the others."""
_DEVIATES: Final = {
    "_embedding_bag": "does not divide gradients by how often a row is looked up (scale_grad_by_freq)",
    "alpha_dropout": "drops elements without keeping mean and variance",
    "embedding": "does not divide gradients by how often a row is looked up (scale_grad_by_freq)",
    "embedding_bag": "does not divide gradients by how often a row is looked up (scale_grad_by_freq)",
    "embedding_renorm": "changes no row of the table whose norms are bounded (max_norm), and gives it no gradient",
    "feature_alpha_dropout": "drops elements rather than channels",
    "feature_dropout": "drops elements rather than channels",
    "rrelu": "keeps the mean slope",
    "scaled_dot_product_attention": "drops nothing",
}
"""Operators whose canonical form behaves otherwise when it is trained further."""


def prepared(
    program: torch.export.ExportedProgram, *, warn: Callable[[str], None], label: str
) -> torch.export.ExportedProgram:
    """A copy in evaluation mode whose outputs are tensors.

    Args:
        program: The program; it is not changed.
        warn: Told what the canonical form cannot keep.
        label: How to call the program in messages.

    Raises:
        InputError: The program has no tensor among its outputs.
    """
    _warn_of_training(program, warn, label)
    module = _copied(program.graph_module)
    set_mode(module, "eval")
    keep_dropouts(module)
    keep_recurrent(module, warn)
    detach_without_grad(module)
    out_of_place(module)
    slice_free_splits(module)
    view_parts(module)
    signature = _tensor_outputs(module, program.graph_signature, warn, label)
    _warn_of_writes(module, signature, warn, label)
    signature, constants = lift_constants(module, signature, program.constants)
    return _rebuilt(program, module, signature, constants)


def _copied(module: torch.fx.GraphModule) -> torch.fx.GraphModule:
    """A copy whose nodes keep their names, which the signature refers to; fx renames some (``input``) on copying."""
    fresh = copy.deepcopy(module)
    for old, new in zip(module.graph.nodes, fresh.graph.nodes, strict=True):
        new.name = old.name
        if new.op == "placeholder":
            new.target = old.target
    return fresh


def _rebuilt(
    program: torch.export.ExportedProgram, module: torch.fx.GraphModule, signature: Any, constants: dict[str, Any]
) -> torch.export.ExportedProgram:
    """A program of the same weights with another graph; if it has fewer outputs, it returns them as a tuple."""
    import torch
    from torch.utils import _pytree

    calls = program.module_call_graph
    whole = calls[0].signature
    count = len(signature.user_outputs)
    if whole is not None and count != len(program.graph_signature.user_outputs):
        spec = _pytree.tree_structure((0,) * count)
        calls = [dataclasses.replace(calls[0], signature=dataclasses.replace(whole, out_spec=spec)), *calls[1:]]
    with quiet():
        return torch.export.ExportedProgram(
            module,
            module.graph,
            signature,
            program.state_dict,
            program.range_constraints,
            calls,
            program.example_inputs,
            constants,
            verifiers=program.verifiers,
        )


def _warn_of_training(program: torch.export.ExportedProgram, warn: Callable[[str], None], label: str) -> None:
    found: dict[str, int] = {}
    active = [node.name for node in program.graph.nodes if _is_active(node)]
    if active:
        more = f" and {len(active) - _NAMED} more" if len(active) > _NAMED else ""
        warn(
            f"Dropout is active in {label} ({', '.join(map(repr, active[:_NAMED]))}{more}), so that its runs differ: "
            f"it was exported in training mode, or asks for it. The model read leaves it out in inference; export it "
            f"after .eval()."
        )
    for node in program.graph.nodes:
        packet = getattr(getattr(node.target, "overloadpacket", None), "__name__", "").rstrip("_")
        condition = _CONDITIONS.get(packet)
        if packet in _DEVIATES and (condition is None or condition(node)):
            found[packet] = found.get(packet, 0) + 1
    for packet, count in found.items():
        warn(
            f"{label} has {count} × aten.{packet}: its inference is exact, but the converted model, trained further, "
            f"{_DEVIATES[packet]}."
        )


def _is_active(node: torch.fx.Node) -> bool:
    """Whether a node is a dropout of training mode: its arguments are the input, p and train."""
    packet = getattr(getattr(node.target, "overloadpacket", None), "__name__", "").rstrip("_")
    train = node.args[2] if len(node.args) > 2 else node.kwargs.get("train", False)
    return packet in DROPOUTS and bool(train)


def _drops(node: torch.fx.Node) -> bool:
    return bool(node.kwargs.get("dropout_p") or (len(node.args) > 4 and node.args[4]))


def _counts_rows(node: torch.fx.Node) -> bool:
    return bool(node.kwargs.get("scale_grad_by_freq") or (len(node.args) > 3 and node.args[3]))


_CONDITIONS: Final[dict[str, Callable[[torch.fx.Node], bool]]] = {
    "_embedding_bag": _counts_rows,
    "embedding": _counts_rows,
    "embedding_bag": _counts_rows,
    "scaled_dot_product_attention": _drops,
}
"""When nodes of these operators deviate; those of the others always do."""


def _tensor_outputs(module: torch.fx.GraphModule, signature: Any, warn: Callable[[str], None], label: str) -> Any:
    """The signature without outputs that are Python constants, which are taken out of the graph as well."""
    import torch
    from torch.export.graph_signature import ConstantArgument, ExportGraphSignature

    output = module.graph.output_node()
    values = output.args[0]
    assert isinstance(values, tuple | list)
    kept = [not isinstance(spec.arg, ConstantArgument) for spec in signature.output_specs]
    if all(kept):
        return signature
    specs = [spec for spec, keep in zip(signature.output_specs, kept, strict=True) if keep]
    if not any(isinstance(value, torch.fx.Node) for value in values):
        raise InputError(f"{label} returns no tensor, so there is nothing to convert.")
    constants = [
        repr(spec.arg.value)
        for spec, keep in zip(signature.output_specs, kept, strict=True)
        if not keep and spec.arg.value is not None
    ]
    if constants:
        warn(f"{label} returns constants beside its tensors ({', '.join(constants)}); the converted model does not.")
    output.update_arg(0, tuple(value for value, keep in zip(values, kept, strict=True) if keep))
    module.recompile()
    return ExportGraphSignature(input_specs=signature.input_specs, output_specs=specs)


def _warn_of_writes(module: torch.fx.GraphModule, signature: Any, warn: Callable[[str], None], label: str) -> None:
    """Buffers that the program writes even in evaluation mode: a converted model keeps no state between calls."""
    import torch
    from torch.export.graph_signature import OutputKind

    buffers = dict(signature.inputs_to_buffers)
    written = {
        spec.target
        for spec in signature.output_specs
        if spec.kind is OutputKind.BUFFER_MUTATION and not _is_statistic(spec.target)
    }
    for node in module.graph.nodes:
        schema = getattr(node.target, "_schema", None)
        if node.op != "call_function" or schema is None or not schema.is_mutable or not node.args:
            continue
        target = node.args[0]
        if isinstance(target, torch.fx.Node) and target.name in buffers:
            name = buffers[target.name]
            if not _is_statistic(name):
                written.add(name)
    if written:
        warn(
            f"{label} writes to its buffers ({', '.join(sorted(written))}) when it runs; the converted model does not "
            f"keep what it writes from one call to the next."
        )


def _is_statistic(name: str) -> bool:
    return name.endswith(("running_mean", "running_var", "num_batches_tracked"))
