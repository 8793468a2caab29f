"""MXNet's projected LSTM as one without projection, which MXNet 1.9.1 on the CPU can differentiate.

The recurrent weight is multiplied by the projection, and so is what the layer gives. The initial state, which is given
projected, comes in as further features of the first step.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphkit.ops.codec import BOOL, ints, show
from graphkit.ops.mxgraph import MxRef

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Add = Callable[..., MxRef]

__all__ = ["is_projected", "unprojected"]


def is_projected(attrs: Mapping[str, str]) -> bool:
    """Whether parameters of an ``RNN`` node name a projection."""
    return attrs.get("projection_size", "None") != "None"


def unprojected(
    op: Add, attrs: Mapping[str, str], data: MxRef, flat: MxRef, hidden: MxRef, cell: MxRef, rest: Sequence[MxRef]
) -> list[MxRef]:
    """What one projected layer gives: its output and, if it is to give them, its last states.

    Args:
        op: Makes a node of an operator, a label, parameters and inputs.
        attrs: Parameters of the layer.
        data: What it reads.
        flat: Its packed weights.
        hidden: Its initial hidden state.
        cell: Its initial cell.
        rest: Lengths, where it has any.
    """
    size, projection = int(attrs["state_size"]), int(attrs["projection_size"])
    directions = 2 if BOOL.parse(attrs.get("bidirectional", "False")) else 1
    rows, last = 4 * size, projection * size
    recurrent = rows * projection

    def cut(of: MxRef, label: str, axis: int, begin: int, end: int | None) -> MxRef:
        return op("slice_axis", label, {"axis": str(axis), "begin": str(begin), "end": str(end)}, of)

    def shaped(of: MxRef, label: str, *shape: int) -> MxRef:
        return op("Reshape", label, {"shape": show(shape)}, of)

    def joined(label: str, axis: int, *parts: MxRef) -> MxRef:
        if len(parts) == 1:
            return parts[0]
        return op("Concat", label, {"num_args": str(len(parts)), "dim": str(axis)}, *parts)

    biases = cut(flat, "biases", 0, -8 * size * directions, None)
    blocks = shaped(cut(flat, "weights", 0, 0, -8 * size * directions), "blocks", directions, -1)
    inputs, states, projections = [], [], []
    for n in range(directions):
        block = shaped(cut(blocks, f"block{n}", 0, n, n + 1), f"flat{n}", -1)
        inputs.append(cut(block, f"i2h{n}", 0, 0, -recurrent - last))
        states.append(shaped(cut(block, f"h2h{n}", 0, -recurrent - last, -last), f"h2h_matrix{n}", rows, projection))
        projections.append(shaped(cut(block, f"h2r{n}", 0, -last, None), f"h2r_matrix{n}", projection, size))
    maker = hidden.node
    if maker.op == "_zeros":
        shape = (directions, *ints(maker.attrs["shape"])[1:-1], size)
        start = op("_zeros", "start", {**maker.attrs, "shape": show(shape)})
    else:
        start = op("zeros_like", "start", {}, cell)
        none = op("zeros_like", "none", {}, cut(data, "feature", 2, 0, 1))
        wide = op("repeat", "wide", {"axis": "2", "repeats": str(projection)}, none)
        more = []
        for n in range(directions):
            own = cut(hidden, f"first{n}", 0, n, n + 1)
            pair = (wide, own) if n else (own, wide)
            more.append(cut(joined(f"longer{n}", 0, *pair), f"extra{n}", 0, n, None if n else -1))
            others = [states[n] if m == n else op("zeros_like", f"off{n}", {}, states[n]) for m in range(directions)]
            wider = joined(f"wider{n}", 1, shaped(inputs[n], f"i2h_matrix{n}", rows, -1), *others)
            inputs[n] = shaped(wider, f"i2h_flat{n}", -1)
        data = joined("data", 2, data, *more)
    packed = []
    for n in range(directions):
        product = op("dot", f"product{n}", {}, states[n], projections[n])
        packed += [inputs[n], shaped(product, f"product_flat{n}", -1)]
    kept = {key: value for key, value in attrs.items() if key != "projection_size"}
    layer = op("RNN", "layer", kept, data, joined("parameters", 0, *packed, biases), start, cell, *rest)

    def projected(of: MxRef, label: str, axis: int) -> MxRef:
        dense = {"num_hidden": str(projection), "no_bias": "True", "flatten": "False"}
        width = size if axis == 2 else 1
        parts = [
            of if directions == 1 else cut(of, f"{label}_part{n}", axis, n * width, (n + 1) * width)
            for n in range(directions)
        ]
        found = [op("FullyConnected", f"{label}{n}", dense, part, projections[n]) for n, part in enumerate(parts)]
        return joined(label, axis, *found)

    outputs = [projected(layer, "steps", 2)]
    if BOOL.parse(attrs.get("state_outputs", "False")):
        outputs += [projected(MxRef(layer.node, 1), "last", 0), MxRef(layer.node, 2)]
    return outputs
