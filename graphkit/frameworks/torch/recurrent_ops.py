"""Recurrent layers as operators that torch can trace without knowing how many steps there are.

ATen's own are traced step by step, which fixes their number, and their packed sequences have sizes that only lengths
tell. These have the padded sequences and, where there are any, the lengths.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final

from graphkit.frameworks.torch.lasting import NAMESPACE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import torch

    Results = tuple[torch.Tensor, ...]

__all__ = ["GATES", "operators"]

GATES: Final[Mapping[str, int]] = {"lstm": 4, "gru": 3, "rnn_tanh": 1, "rnn_relu": 1}
"""Number of gates by the name of the operator."""
_ARGUMENTS: Final = (
    "Tensor x, Tensor? lengths, Tensor[] states, Tensor[] weights, bool bias, int layers, float dropout, bool train, "
    "bool bidirectional, bool batch_first"
)
"""Padded sequences (steps, batch, features), or (batch, steps, features); lengths (batch,), absent where all sequences
have all steps; initial states as torch has them, none for zeros; and the layers' weights in torch's order."""


@cache
def operators() -> Mapping[str, Any]:
    """The operators by name; registered with torch on first use."""
    import torch

    found = {}
    for name in GATES:
        results = ", ".join(["Tensor"] * (3 if name == "lstm" else 2))
        operator = torch.library.custom_op(
            f"{NAMESPACE}::{name}", _computing(name), mutates_args=(), schema=f"({_ARGUMENTS}) -> ({results})"
        )
        operator.register_fake(_sizing(name))
        operator.register_autograd(_differentiating(name), setup_context=_keep)
        found[name] = getattr(getattr(torch.ops, NAMESPACE), name).default
    return found


def _computing(name: str) -> Any:
    def compute(*args: Any) -> Results:
        return _computed(name, *args)

    return compute


def _computed(
    name: str,
    x: torch.Tensor,
    lengths: torch.Tensor | None,
    states: Sequence[torch.Tensor],
    weights: Sequence[torch.Tensor],
    bias: bool,
    layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_first: bool,
) -> Results:
    import torch
    from torch.nn.utils import rnn

    if not states:
        sizes = _state_sizes(name, x, weights, layers, bidirectional, batch_first)
        states = [x.new_zeros(size) for size in sizes]
    initial: Any = tuple(states) if name == "lstm" else states[0]
    function = getattr(torch, name)
    if lengths is None:
        found = function(x, initial, weights, bias, layers, dropout, train, bidirectional, batch_first)
        return tuple(found)
    packed = rnn.pack_padded_sequence(x, lengths.long().cpu(), batch_first, enforce_sorted=False)
    order, back = packed.sorted_indices, packed.unsorted_indices
    assert order is not None
    assert back is not None
    initial = tuple(state[:, order] for state in initial) if name == "lstm" else initial[:, order]
    data, *last = function(
        packed.data, packed.batch_sizes, initial, weights, bias, layers, dropout, train, bidirectional
    )
    steps = rnn.PackedSequence(data, packed.batch_sizes, order, back)
    y, _ = rnn.pad_packed_sequence(steps, batch_first, total_length=x.shape[1 if batch_first else 0])
    return (y.contiguous(), *(state[:, back] for state in last))


def _state_sizes(
    name: str, x: torch.Tensor, weights: Sequence[torch.Tensor], layers: int, bidirectional: bool, batch_first: bool
) -> list[tuple[Any, ...]]:
    """Shapes of the states: the hidden one, which may be projected, and the cell."""
    batch = x.shape[0 if batch_first else 1]
    count = layers * (2 if bidirectional else 1)
    hidden = (count, batch, weights[1].shape[1])
    return [hidden, (count, batch, weights[0].shape[0] // 4)] if name == "lstm" else [hidden]


def _sizing(name: str) -> Any:
    def sized(
        x: torch.Tensor,
        lengths: torch.Tensor | None,
        states: Sequence[torch.Tensor],  # noqa: ARG001 -- the operator's signature
        weights: Sequence[torch.Tensor],
        bias: bool,  # noqa: ARG001
        layers: int,
        dropout: float,  # noqa: ARG001
        train: bool,  # noqa: ARG001
        bidirectional: bool,
        batch_first: bool,
    ) -> Results:
        sizes = _state_sizes(name, x, weights, layers, bidirectional, batch_first)
        width = sizes[0][2] * (2 if bidirectional else 1)
        if batch_first and lengths is None:  # as ATen has it in memory, which decides what views there are of it
            y = x.new_empty((x.shape[1], x.shape[0], width)).transpose(0, 1)
        else:
            y = x.new_empty((*x.shape[:2], width))
        return (y, *(x.new_empty(size) for size in sizes))

    return sized


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:  # noqa: ARG001 -- torch's signature
    x, lengths, states, weights, *ctx.options = inputs
    ctx.has_lengths, ctx.count = lengths is not None, len(states)
    ctx.save_for_backward(x, *([lengths] if ctx.has_lengths else []), *states, *weights)


def _differentiating(name: str) -> Any:
    """The layers once more, this time differentiated; nothing may be drawn at random in them."""

    def backward(ctx: Any, *cotangents: torch.Tensor | None) -> tuple[Any, ...]:
        import torch

        x, *rest = ctx.saved_tensors
        lengths = rest.pop(0) if ctx.has_lengths else None
        tensors = [x, *rest]
        with torch.enable_grad():
            own = [tensor.detach().requires_grad_() for tensor in tensors]
            states, weights = own[1 : 1 + ctx.count], own[1 + ctx.count :]
            found = _computed(name, own[0], lengths, states, weights, *ctx.options)
        ends = [(y, dy) for y, dy in zip(found, cotangents, strict=True) if dy is not None]
        gradients = torch.autograd.grad(
            [y for y, _ in ends], own, [dy for _, dy in ends], allow_unused=True, materialize_grads=True
        )
        return (
            gradients[0],
            None,
            list(gradients[1 : 1 + ctx.count]),
            list(gradients[1 + ctx.count :]),
            *[None] * len(ctx.options),
        )

    return backward
