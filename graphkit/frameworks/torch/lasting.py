"""Operators that torch's decompositions would dissolve, kept whole by stand-ins of our own.

In evaluation mode torch traces a dropout to nothing at all, whatever translation is registered for it. So the dropouts
of a graph are replaced by custom operators, which no decomposition touches.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import torch.fx

__all__ = ["DROPOUTS", "NAMESPACE", "aliases", "detach_without_grad", "keep_dropouts", "out_of_place", "register"]

NAMESPACE: Final = "graphkit"
"""Namespace of the stand-ins in ``torch.ops``; each is called as the ATen operator that it stands for."""
_GRAD_MODE: Final = "wrap_with_set_grad_enabled"
DROPOUTS: Final = ("dropout", "feature_dropout", "alpha_dropout", "feature_alpha_dropout")


def keep_dropouts(module: torch.fx.GraphModule) -> None:
    """Replace the dropouts of a graph, and of the graphs nested in it, by stand-ins, in place."""
    import torch

    stand_ins = _stand_ins()
    for inner in module.modules():
        if not isinstance(inner, torch.fx.GraphModule):
            continue
        for node in inner.graph.nodes:
            packet = getattr(node.target, "overloadpacket", None)
            if node.op == "call_function" and packet in stand_ins:
                node.target = stand_ins[packet]
                # its arguments are the input, p and train
                node.args, node.kwargs = (node.args[0], node.args[1] if len(node.args) > 1 else node.kwargs["p"]), {}
        inner.recompile()


def detach_without_grad(module: torch.fx.GraphModule) -> None:
    """Detach what is computed under ``torch.no_grad()`` from what uses it, in place.

    The exporter puts it into graphs of their own, which torch.onnx inlines as if gradients flowed.
    """
    import torch

    for inner in module.modules():
        if not isinstance(inner, torch.fx.GraphModule):
            continue
        for node in inner.graph.nodes:
            if node.op == "call_function" and str(node.target) == _GRAD_MODE and node.args[0] is False:
                held: Any = node.args[1]
                _detach_outputs(inner.get_submodule(held.target))


def _detach_outputs(module: Any) -> None:
    import torch

    output = module.graph.output_node()
    with module.graph.inserting_before(output):
        for result in list(output.all_input_nodes):
            value = result.meta.get("val")
            if isinstance(value, torch.Tensor) and value.is_floating_point():
                detached = module.graph.call_function(torch.ops.aten.detach.default, (result,))
                detached.meta = dict(result.meta)
                output.replace_input_with(result, detached)
    module.recompile()


def register() -> None:
    """Make the stand-ins known to torch."""
    from graphkit.frameworks.torch.ctc_capture import ctc_operator
    from graphkit.frameworks.torch.recurrent_ops import operators

    _stand_ins()
    operators()
    ctc_operator()


@cache
def _stand_ins() -> dict[Any, Any]:
    """The stand-in of each dropout of ATen, in place or not; registered with torch on first use."""
    import torch

    found: dict[Any, Any] = {}
    for name in DROPOUTS:
        operator = torch.library.custom_op(
            f"{NAMESPACE}::{name}", _identity, mutates_args=(), schema="(Tensor x, float p) -> Tensor"
        )
        operator.register_fake(_identity)
        packet = getattr(getattr(torch.ops, NAMESPACE), name)
        for spelling in (name, f"{name}_"):
            found[getattr(torch.ops.aten, spelling)] = packet.default
    return found


def _identity(x: torch.Tensor, p: float) -> torch.Tensor:  # noqa: ARG001 -- the operator's signature
    return x.clone()


def out_of_place(module: torch.fx.GraphModule) -> None:
    """Replace in-place operators by out-of-place ones where nobody can see the difference, in place.

    That is where the operand was computed for this operator alone and is no view. Otherwise functionalisation would
    replay views of the operand, and give the replayed nodes the scope of whatever runs next.
    """
    import torch

    for inner in module.modules():
        if not isinstance(inner, torch.fx.GraphModule):
            continue
        for node in inner.graph.nodes:
            if node.op == "call_function" and (target := _functional(node)) is not None:
                node.target = target
        inner.recompile()


def _functional(node: torch.fx.Node) -> Any:
    import torch

    target: Any = node.target
    if not isinstance(target, torch._ops.OpOverload) or target.namespace != "aten" or not node.args:
        return None
    name = target.overloadpacket.__name__
    operand = node.args[0]
    if not name.endswith("_") or name.startswith("_") or not isinstance(operand, torch.fx.Node):
        return None
    if operand.op != "call_function" or len(operand.users) != 1 or aliases(operand):
        return None
    packet = getattr(torch.ops.aten, name[:-1], None)
    functional = getattr(packet, target._overloadname, None)
    if functional is None:
        return None
    wanted, found = target._schema.arguments, functional._schema.arguments
    same = [argument.name for argument in wanted] == [argument.name for argument in found]
    return functional if same else None


def aliases(node: torch.fx.Node) -> bool:
    """Whether a node's result may share memory with another tensor."""
    import torch

    target: Any = node.target
    if not isinstance(target, torch._ops.OpOverload):
        return True
    # type_as may return its input and does not say so.
    return target is torch.ops.aten.type_as.default or any(result.alias_info for result in target._schema.returns)
