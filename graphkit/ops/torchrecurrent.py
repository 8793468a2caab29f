"""Torch source of recurrent layers that torch has no module for; see :mod:`graphkit.ops.torchfunctions`."""

from __future__ import annotations

from typing import Final

__all__ = ["RECURRENT"]

_RECURRENT = '''
def recurrent(
    kind,
    x,
    weight,
    recurrence,
    bias,
    states,
    activations,
    lengths=None,
    peepholes=None,
    clip=torch.inf,
    coupled=False,
    reset_after=False,
    backward=False,
):
    """One direction of a recurrent layer, step by step.

    Args:
        kind: "rnn", "gru" (update, reset, new) or "lstm" (input, output, forget, cell).
        x: (steps, batch, features).
        weight: Weight of the input, (gates * hidden, features).
        recurrence: Weight of the hidden state, (gates * hidden, hidden).
        bias: Bias of the input, then that of the state, (2 * gates * hidden,); or None.
        states: Hidden state, of an LSTM also the cell, (batch, hidden) each.
        activations: What the gates, what is new and what the cell goes through.
        lengths: Steps of each sequence, (batch,); None for all.
        peepholes: From the cell to input, output and forget gate, (3 * hidden,).
        clip: What activations see lies between -clip and clip.
        coupled: Whether the forget gate is what the input gate leaves.
        reset_after: Whether the reset gate applies behind the recurrent weight.
        backward: Whether the last step comes first.

    Returns:
        Hidden states of all steps, (steps, batch, hidden), then the last states.
    """
    size = recurrence.shape[1]
    bias = x.new_zeros(2 * len(weight)) if bias is None else bias
    own, other = bias.chunk(2)
    seen = torch.nn.functional.linear(x, weight, own)
    look = [0, 0, 0] if peepholes is None else peepholes.chunk(3)
    outputs = [None] * len(x)

    for step in reversed(range(len(x))) if backward else range(len(x)):
        hidden = states[0]
        if kind == "rnn":
            total = seen[step] + torch.nn.functional.linear(hidden, recurrence, other)
            new = [activations[0](total.clamp(-clip, clip))]
        elif kind == "gru":
            gates = torch.nn.functional.linear(
                hidden, recurrence[: 2 * size], other[: 2 * size]
            )
            gates = activations[0](
                (seen[step, :, : 2 * size] + gates).clamp(-clip, clip)
            )
            update, reset = gates.chunk(2, 1)
            last = recurrence[2 * size :], other[2 * size :]
            if reset_after:
                past = reset * torch.nn.functional.linear(hidden, *last)
            else:
                past = torch.nn.functional.linear(reset * hidden, *last)
            fresh = activations[1](
                (seen[step, :, 2 * size :] + past).clamp(-clip, clip)
            )
            new = [(1 - update) * fresh + update * hidden]
        else:
            cell = states[1]
            total = seen[step] + torch.nn.functional.linear(hidden, recurrence, other)
            take, give, keep, fresh = total.chunk(4, 1)
            take = activations[0]((take + look[0] * cell).clamp(-clip, clip))
            keep = (
                1 - take
                if coupled
                else activations[0]((keep + look[2] * cell).clamp(-clip, clip))
            )
            cell = keep * cell + take * activations[1](fresh.clamp(-clip, clip))
            give = activations[0]((give + look[1] * cell).clamp(-clip, clip))
            new = [give * activations[2](cell), cell]
        outputs[step] = new[0]
        if lengths is not None:
            running = (step < lengths)[:, None]
            outputs[step] = torch.where(running, new[0], 0)
            new = [torch.where(running, now, old) for now, old in zip(new, states)]
        states = new
    return torch.stack(outputs), *states
'''

RECURRENT: Final = {"recurrent": _RECURRENT}
"""Source by name. Each uses nothing but torch."""
