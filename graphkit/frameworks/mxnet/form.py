"""What MXNet is given to run for a canonical model: the symbol it was read from, or the one it converts to."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from graphkit.errors import InputError
from graphkit.frameworks.mxnet import schema, symbol
from graphkit.frameworks.mxnet.derivatives import with_derivative
from graphkit.frameworks.mxnet.heads import HEADS, PENALTY, PLAIN, label_names
from graphkit.frameworks.mxnet.loops import mended, with_bodies
from graphkit.frameworks.mxnet.marks import with_marks
from graphkit.frameworks.mxnet.unproject import is_projected
from graphkit.frameworks.mxnet.unstack import is_stacked, unstacked
from graphkit.frameworks.mxnet.write import to_symbol
from graphkit.ir.origin import Source, origin_of, source_of
from graphkit.ir.training import losses
from graphkit.ops.codec import BOOL, show
from graphkit.ops.mxgraph import MxGraph, MxModel, MxNode, MxRef

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    import numpy.typing as npt
    import onnx_ir as ir

    from graphkit.ops.layout import Layout

__all__ = ["Form", "form_of"]

_FLOATS: Final = frozenset({"float16", "bfloat16", "float32", "float64"})
_DRAWING = ("_random_", "_sample_")
_ONEDNN = ("_sg_mkldnn", "_contrib_quantize", "_contrib_dequantize", "_contrib_requantize")
"""How operators begin that exist, or compute in the same way, with oneDNN only."""
_RRELU: Final = (("lower_bound", "0.125"), ("upper_bound", "0.334"))
"""Bounds of randomised ReLU's slopes, with MXNet's defaults."""
_INDICES: Final = {
    "Embedding": 0,
    "SequenceLast": 1,
    "SequenceMask": 1,
    "SequenceReverse": 1,
    "_contrib_SparseEmbedding": 0,
    "_contrib_boolean_mask": 1,
    "_contrib_index_copy": 1,
}
"""Inputs that only choose elements. MXNet refuses to differentiate in them, or leaves their gradient uninitialised."""


@dataclass(frozen=True, slots=True)
class Form:
    """A symbol with its arrays, and how the names of the canonical model map to it.

    Attributes:
        nodes: All nodes, each after those that it reads.
        heads: What computes each of the model's outputs, except ``lacking`` ones.
        slopes: The same for the backward pass, changed so that it gives the derivative: output layers that carry a
            loss, which ignore their cotangents, are replaced by what they compute (not in the model's training form,
            where their gradient is what is wanted), operators with a wrong backward pass by others that compute the
            same, and nothing flows back into indices and labels.
        arrays: Values of arguments and auxiliary states, by variable.
        variables: Variable by IR name, where the names differ.
        values: What computes each IR value, as far as the symbol does.
        inner: What computes each of ``values`` in the backward pass.
        derived: Layouts of the parameters that are stored in another one than the IR's, by variable.
        lacking: Outputs that MXNet does not compute: the losses of output layers, of which it has the gradient only.
        injecting: Which of ``slopes`` are output layers that inject the gradients of these losses.
        labels: Variables without a value that the model has no input for: labels of output layers.
        np_shape: Whether it is run in MXNet's NumPy mode, which knows 0-d and empty arrays.
        numbers_for_truths: Whether truth values are fed as numbers (see :mod:`graphkit.ops.booleans`).
    """

    nodes: Sequence[MxNode]
    heads: Sequence[MxRef]
    slopes: Sequence[MxRef]
    arrays: Mapping[str, npt.NDArray[np.generic]]
    variables: Mapping[str, str]
    values: Mapping[str, MxRef]
    inner: Mapping[str, MxRef]
    derived: Mapping[str, Layout]
    lacking: Sequence[str] = ()
    injecting: Sequence[int] = ()
    labels: Sequence[str] = ()
    np_shape: bool = False
    numbers_for_truths: bool = False

    @property
    def written(self) -> list[str]:
        """Arguments that MXNet writes to: with ``fix_gamma`` its BatchNorm sets the gamma that it is given to 1."""
        norms = [node for node in self.nodes if "BatchNorm" in node.op and len(node.inputs) > 1]
        return [node.inputs[1].node.name for node in norms]

    def symbol(self, heads: Sequence[MxRef]) -> str:
        """The symbol of some outputs, hidden ones allowed, as JSON. Where a variable is asked for, it is copied."""
        return self._dumped(self.nodes, heads)

    def marked(self, names: Sequence[str]) -> tuple[str, dict[str, str]]:
        """The symbol of ``slopes`` in which a variable is added to each of some values before anything reads it.

        The gradient in the variable, which is to be given zeros, is that in the value.

        Returns:
            The symbol as JSON, and the variable for each value.
        """
        nodes, heads, variables = with_marks(self.nodes, self.slopes, {name: self.inner[name] for name in names})
        return self._dumped(nodes, heads), variables

    def _dumped(self, nodes: Sequence[MxNode], heads: Sequence[MxRef]) -> str:
        copies = [MxNode("_copy", f"{ref.node.name}_head", {}, [ref]) for ref in heads if ref.node.is_variable]
        waiting = iter(copies)
        graph = MxGraph(
            [*nodes, *copies],
            [MxRef(next(waiting)) if ref.node.is_variable else ref for ref in heads],
            np_shape=self.np_shape,
        )
        graph.prune()
        return symbol.dumps(graph)

    @property
    def quantized(self) -> bool:
        """Whether it holds operators that exist with oneDNN only."""
        return any(node.op.startswith(_ONEDNN) for node in self.nodes)

    def running(self, taps: Sequence[str], *, train: bool) -> list[MxRef]:
        """What computes the outputs, and the values named in ``taps``, in a forward pass.

        In training mode that is as in the backward pass where a recurrent layer is projected, which MXNet refuses then.
        """
        apart = train and any(node.op == "RNN" and is_projected(node.attrs) for node in self.nodes)
        inner = {**self.values, **self.inner} if apart else self.values
        return [*(self.slopes if apart else self.heads), *(inner[name] for name in taps)]


def form_of(model: ir.Model, native: bool, *, dropout: bool = True) -> Form:
    """What MXNet runs for a model.

    Args:
        model: A canonical model.
        native: Whether a model that was read from an MXNet symbol is run as that symbol.
        dropout: Whether operators that draw at random in training do so.

    Raises:
        UnsupportedError: Nodes that MXNet cannot express.
        InputError: The model is no longer the one that its symbol was read as.
    """
    source = source_of(model)
    if native and source is not None and source.framework == "mxnet":
        return _source_form(model, source, dropout=dropout)
    mx = to_symbol(model)
    if not dropout:
        _calm(mx.graph.nodes)
    here = {id(node) for node in mx.graph.nodes}
    values = {name: ref for name, ref in mx.values.items() if id(ref.node) in here}
    twins = _differentiable(mx.graph.nodes)
    return Form(
        nodes=[*mx.graph.nodes, *_flat(twins)],
        heads=mx.graph.heads,
        slopes=_slopes(mx.graph.heads, twins),
        arrays={**mx.args, **mx.aux},
        variables={},
        values=values,
        inner=_inner(values, twins),
        derived=mx.derived,
        numbers_for_truths=True,
    )


def _source_form(model: ir.Model, source: Source, *, dropout: bool) -> Form:
    mx: MxModel = source.handle
    lacking = losses(model)
    if len(mx.graph.heads) != len(model.graph.outputs) - len(lacking):
        raise InputError(
            f"{source.label} has {len(mx.graph.heads)} outputs and the model read from it {len(model.graph.outputs)}; "
            f"run the converted form instead."
        )
    fed = {source.names.get(value.name or "", value.name or "") for value in model.graph.inputs}
    spare = fed | (label_names(mx.graph) - set(model.graph.initializers))  # stored, of the batch size it was saved at
    arrays = {name: array for name, array in {**mx.args, **mx.aux}.items() if name not in spare}
    if source.dtype:
        arrays = {name: array.astype(source.dtype) if _is_float(array) else array for name, array in arrays.items()}
    copies = _copies(mx.graph, source.dtype or None)
    heads = [MxRef(copies[id(ref.node)], ref.output) for ref in mx.graph.heads]
    known = _values(model, list(copies.values()))
    running = MxGraph(list(copies.values()), heads)
    instead = mended(running)
    nodes, heads = running.nodes, running.heads
    if not dropout:
        _calm(nodes)
    twins = _differentiable(nodes, train=bool(lacking))
    plain = {new: old for old, new in instead.items()}  # MXNet knows no shape to mask in a backward pass
    return Form(
        nodes=[*nodes, *_flat(twins)],
        heads=heads,
        slopes=_slopes([plain.get(ref, ref) for ref in heads], twins),
        arrays=arrays,
        variables=source.names,
        values={name: instead.get(ref, ref) for name, ref in known.items()},
        inner=_inner({name: plain.get(ref, ref) for name, ref in known.items()}, twins),
        derived=mx.derived,
        lacking=lacking,
        injecting=[number for number, ref in enumerate(mx.graph.heads) if ref.node.op in HEADS] if lacking else [],
        labels=[node.name for node in nodes if node.is_variable and node.name not in arrays and node.name not in fed],
        np_shape=mx.graph.np_shape,
    )


def _is_float(array: npt.NDArray[np.generic]) -> bool:
    return array.dtype.name in _FLOATS


def _copies(graph: MxGraph, dtype: str | None) -> dict[int, MxNode]:
    """Copy of each node by the identity of the original, computing in another float dtype if one is given.

    What variables say of their shape, dtype and storage is left out: all of them are given values, and a declared
    batch size or dtype would stand against these. Gradients are dense.
    """
    copies: dict[int, MxNode] = {}
    for node in graph.nodes:
        copies[id(node)] = MxNode(
            node.op,
            node.name,
            {} if node.is_variable else _retyped(node, dtype),
            [MxRef(copies[id(ref.node)], ref.output) for ref in node.inputs],
            [_copied(body, dtype) for body in node.subgraphs],
            {} if node.is_variable else dict(node.hidden),
        )
    return copies


def _copied(graph: MxGraph, dtype: str | None) -> MxGraph:
    copies = _copies(graph, dtype)
    heads = [MxRef(copies[id(ref.node)], ref.output) for ref in graph.heads]
    return MxGraph(list(copies.values()), heads, graph.version)


def _retyped(node: MxNode, dtype: str | None) -> dict[str, str]:
    operator = schema.operator(node.op)
    attrs = {name: value for name, value in node.attrs.items() if name != "sparse_grad"}
    if dtype is None or operator is None:
        return attrs
    for name, parameter in operator.parameters.items():
        if _FLOATS.isdisjoint(parameter.choices):
            continue
        value = attrs.get(name, parameter.default)
        if value in _FLOATS or (node.op.startswith(_DRAWING) and value in (None, "None")):
            attrs[name] = dtype
    return attrs


class _Twin(NamedTuple):
    """What replaces a node: new nodes, and what computes each of its outputs."""

    nodes: Sequence[MxNode]
    outputs: Sequence[MxRef] = ()

    def output(self, number: int) -> MxRef:
        return self.outputs[number] if self.outputs else MxRef(self.nodes[-1], number)


def _calm(nodes: Sequence[MxNode]) -> None:
    """Take out what draws at random in training, in place: dropouts, and the slopes of randomised ReLUs."""
    for node in nodes:
        if node.op == "Dropout":
            node.op, node.attrs = "_copy", {}
        elif node.op == "RNN":
            node.attrs = {**node.attrs, "p": "0.0"}
        elif node.op == "LeakyReLU" and node.attrs.get("act_type") == "rrelu":
            bounds = [float(node.attrs.get(name, default)) for name, default in _RRELU]
            node.attrs = {"act_type": "leaky", "slope": show(sum(bounds) / 2)}
        for body in node.subgraphs:
            _calm(body.nodes)


def _differentiable(nodes: Sequence[MxNode], *, train: bool = False) -> dict[int, _Twin]:
    """Replacements of nodes whose backward pass is not the derivative, and of all that depends on them.

    Args:
        nodes: The nodes.
        train: Whether output layers inject the gradients of their losses.

    Returns:
        The replacement, by the identity of the replaced node.
    """
    twins: dict[int, _Twin] = {}
    for node in nodes:
        name = f"{node.name}_plain"
        inputs = [twins[id(ref.node)].output(ref.output) if id(ref.node) in twins else ref for ref in node.inputs]
        if train and node.op in HEADS:
            twins[id(node)] = _Twin(_unlabelled(node, name, inputs))
        elif node.op == "SoftmaxOutput":
            twins[id(node)] = _Twin(_plain_softmax(node, inputs[0]))
        elif node.op in PLAIN:
            twins[id(node)] = _Twin([MxNode(PLAIN[node.op], name, {}, inputs[:1])])
        elif node.op == PENALTY:
            twins[id(node)] = _Twin([MxNode("_copy", name, {}, inputs[:1])])
        elif node.op in _INDICES and _INDICES[node.op] < len(inputs):
            stop = MxNode("BlockGrad", f"{name}_indices", {}, [inputs[_INDICES[node.op]]])
            inputs[_INDICES[node.op]] = MxRef(stop)
            twins[id(node)] = _Twin([stop, MxNode(node.op, name, node.attrs, inputs)])
        elif node.op == "LeakyReLU" and node.attrs.get("act_type") == "prelu":
            twins[id(node)] = _Twin(_plain_prelu(node, inputs))
        elif made := with_derivative(node, name, inputs):
            twins[id(node)] = _Twin(made)
        elif is_stacked(node):
            twins[id(node)] = _Twin(*unstacked(node, inputs, name))
        elif inputs != node.inputs or node.subgraphs:
            bodies = [_differentiable_body(body) for body in node.subgraphs]
            if inputs != node.inputs or bodies != node.subgraphs:
                twins[id(node)] = _Twin([with_bodies(node, name, inputs, bodies)])
    return twins


def _differentiable_body(body: MxGraph) -> MxGraph:
    """A body with replacements as :func:`_differentiable` makes them; itself where there are none."""
    twins = _differentiable(body.nodes)
    if not twins:
        return body
    graph = MxGraph([*body.nodes, *_flat(twins)], _slopes(body.heads, twins), body.version, body.np_shape)
    graph.arrange()
    return graph if set(graph.variables()) == set(body.variables()) else body


def _unlabelled(node: MxNode, name: str, inputs: Sequence[MxRef]) -> list[MxNode]:
    """An output layer that writes no gradient for its label; MXNet's leave there what was in memory."""
    stops = [MxNode("BlockGrad", f"{name}_label", {}, [ref]) for ref in inputs[1:]]
    return [*stops, MxNode(node.op, name, node.attrs, [*inputs[:1], *map(MxRef, stops)])]


def _flat(twins: Mapping[int, _Twin]) -> list[MxNode]:
    return [made for twin in twins.values() for made in twin.nodes]


def _slopes(heads: Sequence[MxRef], twins: Mapping[int, _Twin]) -> list[MxRef]:
    return [twins[id(ref.node)].output(ref.output) if id(ref.node) in twins else ref for ref in heads]


def _inner(values: Mapping[str, MxRef], twins: Mapping[int, _Twin]) -> dict[str, MxRef]:
    """What computes values in the backward pass, each by an output of an operator of its own.

    Where several values are one and the same there, it is that of the first: what reads the others reads it, too.
    """
    found = dict(zip(values, _slopes([*values.values()], twins), strict=True))
    first: dict[MxRef, str] = {}
    for name, ref in found.items():
        first.setdefault(ref, name)
    return {name: ref for name, ref in found.items() if not ref.node.is_variable and first[ref] == name}


def _plain_softmax(node: MxNode, data: MxRef) -> list[MxNode]:
    name = f"{node.name}_plain"
    if BOOL.parse(node.attrs.get("multi_output", "False")):
        return [MxNode("softmax", name, {"axis": "1"}, [data])]
    if BOOL.parse(node.attrs.get("preserve_shape", "False")):
        return [MxNode("softmax", name, {"axis": "-1"}, [data])]
    flat = MxNode("Flatten", f"{name}_flat", {}, [data])
    soft = MxNode("softmax", f"{name}_softmax", {"axis": "-1"}, [MxRef(flat)])
    return [flat, soft, MxNode("reshape_like", name, {}, [MxRef(soft), data])]


def _plain_prelu(node: MxNode, inputs: Sequence[MxRef]) -> list[MxNode]:
    """One prelu for the gradient of the data, and one for that of the slope, which adds zero.

    MXNet's backward pass may write the gradient of the data over the cotangent before it computes that of the slope
    from it; where only one of the two is needed both are right.
    """
    name = f"{node.name}_plain"
    slope = MxNode("BlockGrad", f"{name}_slope", {}, [inputs[1]])
    by_data = MxNode(node.op, f"{name}_by_data", node.attrs, [inputs[0], MxRef(slope)])
    data = MxNode("BlockGrad", f"{name}_data", {}, [inputs[0]])
    by_slope = MxNode(node.op, f"{name}_by_slope", node.attrs, [MxRef(data), inputs[1]])
    same = MxNode("BlockGrad", f"{name}_same", {}, [MxRef(by_slope)])
    zero = MxNode("elemwise_sub", f"{name}_zero", {}, [MxRef(by_slope), MxRef(same)])
    total = MxNode("elemwise_add", name, {}, [MxRef(by_data), MxRef(zero)])
    return [slope, by_data, data, by_slope, same, zero, total]


def _values(model: ir.Model, nodes: Sequence[MxNode]) -> dict[str, MxRef]:
    """The output that computes each IR value whose name and origin say which MXNet output it is."""
    count = Counter(node.name for node in nodes)
    known = {node.name: node for node in nodes if not node.is_variable and count[node.name] == 1}
    found: dict[str, MxRef] = {}
    for node in model.graph:
        source = known.get(origin_of(node).name)
        if source is None:
            continue
        for value in node.outputs:
            _, _, number = (value.name or "").partition(f"{source.name}_output")
            if value.name == f"{source.name}_output{number}" and (not number or number.isdigit()):
                found[value.name] = MxRef(source, int(number or 0))
    return found
