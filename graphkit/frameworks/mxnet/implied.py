"""What a symbol implies of the shape of an input that does not state it: its rank, and sizes that weights fix.

MXNet is given the shapes of the inputs when it binds a symbol, so most files do not hold them. Yet a convolution has as
many axes as its kernel, and reads as many channels as its weight.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Final, NamedTuple

from graphkit.errors import FormatError
from graphkit.frameworks.mxnet import schema
from graphkit.frameworks.mxnet.weights import WEIGHTS
from graphkit.ops.codec import BOOL, ints

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from graphkit.ops.mxgraph import MxGraph, MxNode

    Shapes = Mapping[str, tuple[int, ...]]

__all__ = ["SAME", "Implied", "implied"]

_NUMPY: Final = """
    absolute arccos arccosh arcsin arcsinh arctan arctanh around cbrt ceil cos cosh degrees exp expm1 fix floor log
    log10 log1p log2 logical_not nan_to_num negative radians reciprocal rint sign sin sinh sqrt square tan tanh trunc
"""
"""Functions of one number in MXNet's NumPy interface, without ``_npi_``."""
SAME: Final = frozenset(
    {
        *(f"_npi_{name}" for name in _NUMPY.split()),
        "Activation",
        "BatchNorm",
        "BatchNorm_v1",
        "BlockGrad",
        "Cast",
        "Dropout",
        "InstanceNorm",
        "L2Normalization",
        "LRN",
        "LayerNorm",
        "LeakyReLU",
        "SoftmaxActivation",
        "_contrib_BatchNormWithReLU",
        "_contrib_SyncBatchNorm",
        "_copy",
        "_np_copy",
        "_npx_relu",
        "_npx_sigmoid",
        "abs",
        "amp_cast",
        "clip",
        "elemwise_add",
        "elemwise_div",
        "elemwise_mul",
        "elemwise_sub",
        "exp",
        "log",
        "log_softmax",
        "negative",
        "relu",
        "reverse",
        "sigmoid",
        "softmax",
        "sqrt",
        "square",
        "tanh",
    }
)
"""Operators whose first output has the shape of each of its data inputs, beside those with a scalar."""
_LEADING: Final = frozenset({"Pooling", "Pooling_v1"})
"""Operators that keep the rank and the first two axes."""
_RANK: Final = frozenset(
    {
        "Concat",
        "Crop",
        "Pad",
        "UpSampling",
        "_contrib_AdaptiveAvgPooling2D",
        "_contrib_BilinearResize2D",
        "broadcast_axis",
        "broadcast_to",
        "depth_to_space",
        "slice",
        "slice_axis",
        "slice_like",
        "space_to_depth",
    }
)
"""Operators that keep the rank of each of their data inputs."""
_REDUCING: Final = frozenset(
    {"_np_max", "_np_min", "_np_prod", "_np_sum", "_npi_mean", "max", "mean", "min", "norm", "prod", "sum"}
)
_BROADCASTING: Final = ("broadcast_", "_npi_add", "_npi_multiply", "_npi_subtract", "_npi_true_divide")
"""How names of operators begin of which two arrays are stretched to each other's size."""
_IMAGES: Final = frozenset(
    {
        "Crop",
        "LRN",
        "ROIPooling",
        "UpSampling",
        "_contrib_AdaptiveAvgPooling2D",
        "_contrib_BilinearResize2D",
        "depth_to_space",
        "space_to_depth",
    }
)
"""Operators that take 4-D data only."""
_CHANNELS_LAST: Final = ("NWC", "NHWC", "NDHWC")


class Implied(NamedTuple):
    """What is known of an input's shape.

    Attributes:
        shape: Its dimensions, None for a free one; None where not even the rank is known.
        assumed: Name of the node that fixes how many numbers a sample has, where nothing says how these are arranged
            and ``shape`` has them in one row; else empty.
    """

    shape: tuple[int | None, ...] | None
    assumed: str = ""


class _Trace(NamedTuple):
    """How an array relates to the input that is asked about.

    Attributes:
        keeps: ``"all"``: it has the input's shape; ``"leading"``: its rank and first two axes; ``"rank"``: its rank;
            ``"sample"``: the batch comes first, and there are ``factor`` times as many numbers per sample.
        order: The input's axis that each of its axes is, where they were transposed.
        factor: See ``keeps``.
    """

    keeps: str = "all"
    order: tuple[int, ...] | None = None
    factor: int = 1

    def weaker(self, keeps: str) -> _Trace:
        levels = ("all", "leading", "rank")
        return self._replace(keeps=levels[max(levels.index(self.keeps), levels.index(keeps))])


class _Facts:
    """Collects what is found out about one input; the first of contradicting facts counts."""

    def __init__(self) -> None:
        self.rank: int | None = None
        self.sizes: dict[int, int] = {}
        self.features: tuple[int, str] | None = None

    def learn_sample(self, numbers: int, trace: _Trace, name: str) -> None:
        """Note how many numbers a sample has, as a node asks for them."""
        if self.features is None and trace.order is None and numbers > 0 and numbers % trace.factor == 0:
            self.features = numbers // trace.factor, name

    def found(self) -> Implied:
        if self.rank is not None:
            sizes = {axis % self.rank: size for axis, size in reversed(self.sizes.items()) if axis < self.rank}
            return Implied(tuple(sizes.get(axis) for axis in range(self.rank)))
        if self.features is not None:
            return Implied((None, self.features[0]), self.features[1])
        return Implied(None)


def implied(graph: MxGraph, variable: MxNode, stored: Shapes) -> Implied:
    """What is implied of the shape of a variable.

    Args:
        graph: The symbol.
        variable: One of its variables.
        stored: Shape of each stored argument and auxiliary state.
    """
    facts = _Facts()
    traces: dict[int, _Trace] = {id(variable): _Trace()}
    for node in graph.nodes:
        for position, ref in enumerate(node.inputs):
            trace = traces.get(id(ref.node)) if ref.output == 0 or ref.node.op == "SliceChannel" else None
            if trace is None:
                continue
            try:
                _learn(node, position, trace, stored, facts)
                after = _after(node, position, trace, traces)
            except (FormatError, IndexError, KeyError, ValueError):
                continue  # said where the node is read
            if after is not None:
                traces.setdefault(id(node), after)
    return facts.found()


def _after(node: MxNode, position: int, trace: _Trace, traces: Mapping[int, _Trace]) -> _Trace | None:
    """How the first output of a node relates to the input, if it reads what relates to it as ``trace`` says."""
    names = schema.arguments(node.op, node.attrs)
    if position < len(names) and names[position] in WEIGHTS:
        return None
    if node.op in SAME or (node.op.endswith("_scalar") and node.op != "_npi_insert_scalar"):
        return trace
    if node.op == "Flatten" and trace.order is None and trace.keeps in ("all", "sample"):
        return trace._replace(keeps="sample")
    if node.op == "Embedding" and position == 0 and trace == _Trace():
        return _Trace("sample", factor=int(node.attrs["output_dim"]))
    if trace.keeps == "sample":
        return None
    if node.op in _LEADING:
        return trace.weaker("leading")
    if node.op in _RANK or (node.op == "SliceChannel" and not BOOL.parse(node.attrs.get("squeeze_axis", "False"))):
        return trace.weaker("rank")
    if node.op in _REDUCING and BOOL.parse(node.attrs.get("keepdims", "False")):
        return trace.weaker("rank")
    if node.op == "transpose" and trace == _Trace() and (axes := ints(node.attrs.get("axes", "()"))):
        return _Trace("all", axes)
    if node.op.startswith(_BROADCASTING) and len(node.inputs) == 2:
        other = node.inputs[1 - position].node
        if other.is_variable or id(other) in traces:  # a scale or a shift: what has a batch has the rank of the result
            return trace.weaker("rank")
    return None


def _learn(node: MxNode, position: int, trace: _Trace, stored: Shapes, facts: _Facts) -> None:
    """Note what a node that reads the input, or what it became, asks of its shape."""
    if trace.keeps in ("all", "sample") and position == 0:
        _learn_sample(node, trace, stored, facts)
    if trace.keeps == "sample":
        return
    rank = _rank(node, position)
    if rank is not None and facts.rank is None:
        facts.rank = rank
    if position != 0 or trace.keeps == "rank":
        return
    for axis, size in _sizes(node, stored):
        if trace.keeps == "leading" and axis not in (0, 1):
            continue
        if trace.order is None:
            facts.sizes.setdefault(axis, size)
        elif -len(trace.order) <= axis < len(trace.order):
            facts.sizes.setdefault(trace.order[axis], size)


def _learn_sample(node: MxNode, trace: _Trace, stored: Shapes, facts: _Facts) -> None:
    if node.op == "FullyConnected" and BOOL.parse(node.attrs.get("flatten", "True")):
        weight = stored.get(node.inputs[1].node.name, ())
        facts.learn_sample(weight[1] if len(weight) == 2 else 0, trace, node.name)
    elif node.op == "Reshape" and not BOOL.parse(node.attrs.get("reverse", "False")):
        first, *rest = ints(node.attrs.get("shape", "()")) or (1,)
        if first in (0, -1) and rest and min(rest) > 0:
            facts.learn_sample(prod(rest), trace, node.name)


def _rank(node: MxNode, position: int) -> int | None:
    """The rank that a node asks of its input."""
    if node.op in ("Convolution", "Convolution_v1", "Deconvolution"):
        return len(ints(node.attrs["kernel"])) + 2 if position == 0 else None
    if node.op in _LEADING:
        kernel = ints(node.attrs.get("kernel", "()"))
        return len(kernel) + 2 if kernel and not BOOL.parse(node.attrs.get("global_pool", "False")) else None
    if node.op == "Pad":
        return len(ints(node.attrs["pad_width"])) // 2
    if node.op == "transpose":
        return len(ints(node.attrs.get("axes", "()"))) or None
    if node.op == "RNN" and position == 0:
        return 3
    return 4 if node.op in _IMAGES and (position == 0 or node.op in ("Crop", "UpSampling")) else None


def _sizes(node: MxNode, stored: Shapes) -> Iterator[tuple[int, int]]:
    """Axes of a node's first input, counted as MXNet's parameters count them, with the sizes that its weights fix."""
    rule = _FIXED.get(node.op)
    weight = stored.get(node.inputs[1].node.name) if len(node.inputs) > 1 else None
    if rule is not None and weight:
        yield from rule(node, weight)


def _of_convolution(node: MxNode, weight: Sequence[int]) -> Iterator[tuple[int, int]]:
    if node.attrs.get("layout", "None") in _CHANNELS_LAST:
        yield -1, weight[-1] * int(node.attrs.get("num_group", "1"))
    else:
        yield 1, weight[1] * int(node.attrs.get("num_group", "1"))


def _of_deconvolution(_node: MxNode, weight: Sequence[int]) -> Iterator[tuple[int, int]]:
    yield 1, weight[0]


def _of_dense(node: MxNode, weight: Sequence[int]) -> Iterator[tuple[int, int]]:
    if not BOOL.parse(node.attrs.get("flatten", "True")):
        yield -1, weight[1]


def _of_norm(default: int) -> Callable[[MxNode, Sequence[int]], Iterator[tuple[int, int]]]:
    def rule(node: MxNode, weight: Sequence[int]) -> Iterator[tuple[int, int]]:
        yield int(node.attrs.get("axis", str(default))), weight[0]

    return rule


def _of_slope(node: MxNode, weight: Sequence[int]) -> Iterator[tuple[int, int]]:
    if node.attrs.get("act_type") == "prelu" and len(weight) == 1 and weight[0] > 1:
        yield 1, weight[0]


_FIXED: Final[Mapping[str, Callable[[MxNode, Sequence[int]], Iterator[tuple[int, int]]]]] = {
    "BatchNorm": _of_norm(1),
    "BatchNorm_v1": _of_norm(1),
    "Convolution": _of_convolution,
    "Convolution_v1": _of_convolution,
    "Deconvolution": _of_deconvolution,
    "FullyConnected": _of_dense,
    "InstanceNorm": _of_norm(1),
    "LayerNorm": _of_norm(-1),
    "LeakyReLU": _of_slope,
    "_contrib_BatchNormWithReLU": _of_norm(1),
    "_contrib_SyncBatchNorm": _of_norm(1),
}
