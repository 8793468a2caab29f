"""ONNX's recurrent layers that torch has no module for, computed step by step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphkit.ops.recurrent.activations import activations_of
from graphkit.ops.recurrent.elements import is_zero
from graphkit.ops.spec import Refusal, decimal
from graphkit.ops.tensor.sizes import some
from graphkit.ops.torchprogram import Code

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import TorchBuilder
    from graphkit.ops.torchprogram import Arg

__all__ = ["by_steps"]

_SOURCES = {
    "affine": "lambda x: {alpha} * x + {beta}",
    "elu": "lambda x: F.elu(x, {alpha})",
    "hardsigmoid": "lambda x: ({alpha} * x + {beta}).clamp(0, 1)",
    "leakyrelu": "lambda x: F.leaky_relu(x, {alpha})",
    "relu": "F.relu",
    "scaledtanh": "lambda x: {alpha} * torch.tanh({beta} * x)",
    "sigmoid": "torch.sigmoid",
    "softplus": "F.softplus",
    "softsign": "F.softsign",
    "tanh": "torch.tanh",
    "thresholdedrelu": "lambda x: F.threshold(x, {alpha}, 0.0)",
}
"""ONNX's activations in torch source."""


def by_steps(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Sequence[Arg] | Refusal:
    """Emit an LSTM, GRU or RNN node as calls of a function, one for each direction."""
    args = [*x, *[None] * (8 - len(x))]
    batch_first = bool(node.attributes.get_int("layout", 0))
    way = node.attributes.get_string("direction", "forward")
    directions = 2 if way == "bidirectional" else 1
    activations = activations_of(node)
    if isinstance(activations, Refusal):
        return activations
    functions = [tuple(Code(_SOURCES[each.name].format(**each._asdict())) for each in own) for own in activations]
    data = b.method("transpose", args[0], 0, 1) if batch_first else args[0]
    states = _states(b, node, args, data, batch_first=batch_first)
    options = _options(node)
    sides = []
    for n in range(directions):
        weight, recurrence, bias, peepholes = (
            None if args[place] is None else b.item(args[place], n) for place in (1, 2, 3, 7)
        )
        own = [b.item(state, n) if apart else state for state, apart in states]
        sides.append(
            b.calls(
                "recurrent",
                1 + len(own),
                node.op_type.lower(),
                data,
                weight,
                recurrence,
                bias,
                own,
                functions[n],
                lengths=args[4],
                peepholes=peepholes,
                **options,
                backward=True if way == "reverse" or n == 1 else None,
            )
        )
    outputs, *last = zip(*sides, strict=True)
    if batch_first:
        turned: list[Arg] = [b.method("transpose", side, 0, 1) for side in outputs]
        return [b.call("torch.stack", turned, 2), *(b.call("torch.stack", list(state), 1) for state in last)]
    return [b.call("torch.stack", list(outputs), 1), *(b.call("torch.stack", list(state)) for state in last)]


def _states(
    b: TorchBuilder, node: ir.Node, args: Sequence[Any], data: Arg, *, batch_first: bool
) -> list[tuple[Any, bool]]:
    """The first states: of all directions together (marked), or zeros that all share."""
    hidden = b.size(some(node.inputs[2]), 2)
    batch = b.size(some(node.inputs[0]), 0 if batch_first else 1)
    found: list[tuple[Any, bool]] = []
    for place in (5, 6)[: 2 if node.op_type == "LSTM" else 1]:
        value = node.inputs[place] if len(node.inputs) > place else None
        if value is None or is_zero(value):
            found.append((b.method("new_zeros", data, batch, hidden), False))
        else:
            found.append((b.method("transpose", args[place], 0, 1) if batch_first else args[place], True))
    return found


def _options(node: ir.Node) -> dict[str, Any]:
    return {
        "clip": decimal(node.attributes.get_float("clip", 0.0)) if "clip" in node.attributes else None,
        "coupled": bool(node.attributes.get_int("input_forget", 0)) or None,
        "reset_after": bool(node.attributes.get_int("linear_before_reset", 0)) or None,
    }
