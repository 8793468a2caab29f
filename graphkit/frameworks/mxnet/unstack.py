"""MXNet's recurrent operator of several layers as one operator per layer, and a projected one without projection.

All compute the same, but MXNet 1.9.1 on the CPU without oneDNN does not differentiate the former rightly: gradients of
GRUs and plain RNNs of several layers are wrong, those of LSTMs are where the gradient of the data is not asked for, and
when anything is recorded for a backward pass, dropout between layers drops in inference mode, too. Those of projected
LSTMs it refuses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphkit.frameworks.mxnet.unproject import is_projected, unprojected
from graphkit.ops.codec import BOOL, FLOAT, ints, show
from graphkit.ops.mxgraph import MxNode, MxRef
from graphkit.ops.recurrent.gates import KINDS, pieces

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["is_stacked", "unstacked"]


def is_stacked(node: MxNode) -> bool:
    """Whether the node has several recurrent layers, or a projected one."""
    return node.op == "RNN" and (int(node.attrs["num_layers"]) > 1 or is_projected(node.attrs))


def unstacked(node: MxNode, inputs: Sequence[MxRef], name: str) -> tuple[list[MxNode], list[MxRef]]:
    """The same with one node per layer.

    Args:
        node: An ``RNN`` node that MXNet accepts.
        inputs: What it reads.
        name: Beginning of the names of the new nodes.

    Returns:
        The new nodes, each after those that it reads, and what computes each output of the old one.
    """
    made: list[MxNode] = []

    def op(kind: str, label: str, attrs: dict[str, str], *operands: MxRef) -> MxRef:
        made.append(MxNode(kind, f"{name}_{label}", attrs, list(operands)))
        return MxRef(made[-1])

    def part(of: MxRef, label: str, begin: int, end: int) -> MxRef:
        bounds = {"axis": "0", "begin": str(begin), "end": str(end or None)}
        return op("slice_axis", label, bounds, of)

    def of_layer(state: MxRef, label: str, layer: int) -> MxRef:
        """The part of an initial state that is one layer's; MXNet infers no batch size through a slice."""
        maker = state.node
        sizes = ints(maker.attrs.get("shape", "()")) if maker.op in ("_ones", "_zeros") else ()
        if 0 in sizes:
            return op(maker.op, label, {**maker.attrs, "shape": show((directions, *sizes[1:]))})
        return part(state, label, layer * directions, (layer + 1) * directions)

    kind = KINDS[node.attrs["mode"]]
    layers, hidden = int(node.attrs["num_layers"]), int(node.attrs["state_size"])
    directions = 2 if BOOL.parse(node.attrs.get("bidirectional", "False")) else 1
    projection = node.attrs.get("projection_size", "None")
    packed = pieces(kind.gates, layers, directions, 1, hidden, 0 if projection == "None" else int(projection))
    length = packed[-1].stop  # counted from the end, places do not depend on the size of the input
    data, flat, *initial = inputs
    lengths = [initial.pop()] if BOOL.parse(node.attrs.get("use_sequence_length", "False")) else []
    dropout = node.attrs.get("p", "0")
    states: list[list[MxRef]] = []
    for layer in range(layers):
        if layer and FLOAT.parse(dropout):
            data = op("Dropout", f"dropout{layer}", {"p": dropout}, data)
        own = []
        for what in ("weight", "bias"):
            places = [piece for piece in packed if piece.layer == layer and piece.part.endswith(what)]
            begin = 0 if layer == 0 and what == "weight" else places[0].start - length
            own.append(part(flat, f"{what}{layer}", begin, places[-1].stop - length))
        before = [of_layer(state, f"state{layer}_{n}", layer) for n, state in enumerate(initial)]
        packed_layer = op("Concat", f"parameters{layer}", {"num_args": "2", "dim": "0"}, *own)
        attrs = {**node.attrs, "num_layers": "1", "p": "0"}
        if is_projected(attrs):

            def labelled(kind: str, label: str, attrs: dict[str, str], *operands: MxRef, layer: int = layer) -> MxRef:
                return op(kind, f"layer{layer}_{label}", attrs, *operands)

            data, *last = unprojected(labelled, attrs, data, packed_layer, before[0], before[1], lengths)
            states.append(last)
        else:
            data = op("RNN", f"layer{layer}", attrs, data, packed_layer, *before, *lengths)
            states.append([MxRef(data.node, 1 + n) for n in range(len(initial))])
    outputs = [data]
    if BOOL.parse(node.attrs.get("state_outputs", "False")):
        joined = {"num_args": str(layers), "dim": "0"}
        outputs += [op("Concat", f"last{n}", joined, *parts) for n, parts in enumerate(zip(*states, strict=True))]
    return made, outputs
