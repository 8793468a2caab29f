"""Switching an exported graph between inference and training.

torch.export writes the mode of the module into the arguments of the operators; these functions rewrite them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import torch.fx

    from graphkit.frameworks.base import Mode

__all__ = ["set_mode"]

_FLAGS: Final = frozenset({"train", "training", "use_input_stats"})
"""Arguments of ATen operators that say whether they train."""

_NORMS: Final = (
    "aten.batch_norm.",
    "aten.cudnn_batch_norm.",
    "aten.instance_norm.",
    "aten.miopen_batch_norm.",
    "aten.native_batch_norm.",
    "aten._batch_norm_",
    "aten._native_batch_norm_",
)
"""Operators that train without drawing at random."""

_BATCH_STATISTICS: Final = ("aten.batch_norm.", "aten._native_batch_norm_legit.no_stats", "aten.instance_norm.")
"""Normalisations that use the batch's statistics in either mode where they have no running ones."""


def set_mode(module: torch.fx.GraphModule, mode: Mode) -> list[str]:
    """Put every operator of a graph, and of the graphs nested in it, in one mode, in place.

    In evaluation mode, and in training without dropout, randomised ReLUs become leaky ReLUs of their mean slope and
    attention drops nothing; in evaluation mode BatchNorm no longer counts batches.

    Returns:
        Names of the nodes that were in the other mode.
    """
    import torch

    changed = []
    for inner in module.modules():
        if not isinstance(inner, torch.fx.GraphModule):
            continue
        for node in list(inner.graph.nodes):
            if node.op == "call_function" and isinstance(node.target, torch._ops.OpOverload):
                if _switch(node, train=mode == "train" or (mode != "eval" and not _draws(node))):
                    changed.append(node.name)
                if mode != "train":
                    _rest(node, count=mode != "eval")
        inner.recompile()
    return changed


def _draws(node: torch.fx.Node) -> bool:
    """Whether an operator draws at random when it trains."""
    return not str(node.target).startswith(_NORMS)


def _switch(node: torch.fx.Node, *, train: bool) -> bool:
    import torch

    op: Any = node.target
    name = str(op)
    if name == "aten._native_batch_norm_legit_no_training.default" and train:
        # Its arguments lack the flag that follows the variance; its first output is the only one used.
        node.target = torch.ops.aten._native_batch_norm_legit.default
        node.args = (*node.args[:5], True, *node.args[5:])
        return True
    if name == "aten._native_batch_norm_legit_functional.default" and train:
        _keep_statistics(node)
    if name == "aten.scaled_dot_product_attention.default":
        return _no_attention_dropout(node) if not train else False
    changed = False
    for index, argument in enumerate(op._schema.arguments):
        if argument.name not in _FLAGS:
            continue
        wanted = train
        if name.startswith(_BATCH_STATISTICS):
            statistics = node.args[3] if len(node.args) > 3 else None
            wanted = train or not isinstance(statistics, torch.fx.Node)
        found = node.args[index] if index < len(node.args) else node.kwargs.get(argument.name, argument.default_value)
        if bool(found) != wanted:
            changed = True
            if index < len(node.args):
                node.update_arg(index, wanted)
            else:
                node.update_kwarg(argument.name, wanted)
    return changed


def _keep_statistics(node: torch.fx.Node) -> None:
    """Have a BatchNorm read copies: its backward pass needs the statistics that the graph writes to afterwards."""
    import torch

    with node.graph.inserting_before(node):
        for index in (3, 4):
            held = node.args[index]
            if isinstance(held, torch.fx.Node):
                node.update_arg(index, node.graph.call_function(torch.ops.aten.clone.default, (held,)))


def _no_attention_dropout(node: torch.fx.Node) -> bool:
    # dropout_p is its fifth argument
    if len(node.args) > 4 and node.args[4]:
        node.update_arg(4, 0.0)
        return True
    if node.kwargs.get("dropout_p"):
        node.update_kwarg("dropout_p", 0.0)
        return True
    return False


def _rest(node: torch.fx.Node, *, count: bool) -> None:
    """What evaluation mode, or one that only counts batches, changes beyond the flags."""
    import torch

    aten = torch.ops.aten
    packet = node.target.overloadpacket if isinstance(node.target, torch._ops.OpOverload) else None
    if packet in (aten.rrelu, aten.rrelu_, aten.rrelu_with_noise, aten.rrelu_with_noise_):
        noise = 1 if packet in (aten.rrelu_with_noise, aten.rrelu_with_noise_) else 0
        low = node.args[1 + noise] if len(node.args) > 1 + noise else node.kwargs.get("lower", 0.125)
        high = node.args[2 + noise] if len(node.args) > 2 + noise else node.kwargs.get("upper", 1 / 3)
        assert isinstance(low, float | int)
        assert isinstance(high, float | int)
        node.target = aten.leaky_relu.default
        node.args, node.kwargs = (node.args[0], (low + high) / 2), {}
    if not count and packet is aten.add_ and not node.users and _counts_batches(node.args[0]):
        node.graph.erase_node(node)


def _counts_batches(argument: Any) -> bool:
    import torch

    if not isinstance(argument, torch.fx.Node):
        return False
    if argument.op == "get_attr":
        return str(argument.target).endswith("num_batches_tracked")
    return argument.op == "placeholder" and argument.name.endswith("num_batches_tracked")
