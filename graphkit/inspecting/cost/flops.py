"""Multiply-adds of nodes, of the pass that computes outputs and of the one that computes gradients.

What counts is what PyTorch's ``FlopCounterMode`` counts: matrix products and convolutions, two FLOPs per multiply-add.
Rooms say which of them a node makes (:attr:`graphkit.ops.spec.Op.macs`), :mod:`~graphkit.inspecting.cost.foreign` does
for operators of other domains. An operator is counted, or known to make none (:func:`makes_none`), or unknown.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

from graphkit.inspecting.cost import aten, mxnet
from graphkit.inspecting.cost.count import times, total
from graphkit.ir.family import family_of
from graphkit.ir.keeping import KEPT, STUMBLES
from graphkit.ir.symbols import equal, shape_of, sizes_of, tidy
from graphkit.ir.training import is_backward
from graphkit.ir.untranslated import untranslated
from graphkit.ir.view import bodies_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import onnx_ir as ir

    from graphkit.inspecting.cost.count import Count
    from graphkit.inspecting.cost.trained import Trained
    from graphkit.ops.work import Macs, Product

__all__ = ["NONE_MADE", "Work", "larger", "makes_none", "runs_of", "work_of"]

_LIGHT: Final = frozenset({"normalisation", "activation", "pooling", "shape", "arithmetic", "reduction"})
"""Families whose operators make no matrix product."""

_WITHOUT: Final = """
    Bernoulli BlackmanWindow DFT DequantizeLinear Det Dropout DynamicQuantizeLinear HammingWindow HannWindow
    ImageDecoder MelWeightMatrix Multinomial NonMaxSuppression QuantizeLinear RandomNormal RandomNormalLike
    RandomUniform RandomUniformLike RegexFullMatch STFT StringConcat StringNormalizer StringSplit TfIdfVectorizer
    ConcatFromSequence Optional OptionalGetElement OptionalHasElement SequenceAt SequenceConstruct SequenceEmpty
    SequenceErase SequenceInsert SequenceLength SplitToSequence
    ai.onnx.ml:CastMap ai.onnx.ml:CategoryMapper ai.onnx.ml:DictVectorizer ai.onnx.ml:Imputer ai.onnx.ml:LabelEncoder
    ai.onnx.ml:OneHotEncoder ai.onnx.ml:TreeEnsemble ai.onnx.ml:TreeEnsembleClassifier
    ai.onnx.ml:TreeEnsembleRegressor ai.onnx.ml:ZipMap
    ai.onnx.preview.training:Adagrad ai.onnx.preview.training:Adam ai.onnx.preview.training:Momentum
    graphkit:BipartiteMatching graphkit:Cholesky graphkit:Eig graphkit:Eigh graphkit:Inverse graphkit:MultiBoxTarget
    graphkit:NmsMask graphkit:Qr graphkit:RandomGamma graphkit:RandomPoisson graphkit:SlogDet graphkit:Solve
    graphkit:Svd graphkit:TriangularSolve
"""

NONE_MADE: Final = frozenset(_WITHOUT.split())
"""Operators of other families that make none, those of other domains as ``domain:name``. Factorisations and Fourier
transforms are work, but no matrix products: PyTorch does not count them either."""


@dataclass(frozen=True, slots=True)
class Work:
    """What one node does, in multiply-adds.

    Attributes:
        macs: In the forward pass; None where it is not known.
        backward: In a backward pass for the gradients of all parameters, as PyTorch counts it; None likewise.
        exact: The same as it is: unlike ``backward`` where PyTorch's formula has another number.
        why: Why something is not known, a clause; empty where all is.
    """

    macs: Count | None
    backward: Count | None
    exact: Count | None
    why: str = ""


_NOTHING: Final = Work(0, 0, 0)


def _common(domain: str) -> bool:
    return domain in ("", "ai.onnx")


def makes_none(op_type: str, domain: str = "") -> bool:
    """Whether an operator is known to make no matrix product and no convolution."""
    if domain == KEPT:  # an operator of ONNX's whose attributes or inputs do not fit it
        domain = ""
    if domain == aten.DOMAIN or domain in aten.PYTHON:
        return domain != aten.DOMAIN or aten.packet_of(op_type) in aten.WITHOUT
    if domain == mxnet.DOMAIN:
        own = mxnet.canonical_name(op_type)
        others = mxnet.reads_as(own)
        return own in mxnet.WITHOUT or (bool(others) and all(makes_none(each) for each in others))
    name = op_type if _common(domain) else f"{domain}:{op_type}"
    return name in NONE_MADE or family_of(op_type, domain) in _LIGHT


@cache
def _macs_of(op_type: str, domain: str) -> Macs | None:
    """What tells an operator's products, in its room or beside."""
    from graphkit.inspecting.cost.foreign import FOREIGN
    from graphkit.ops.index import index

    if domain == aten.DOMAIN:
        return aten.ATEN.get(aten.packet_of(op_type))
    if domain == mxnet.DOMAIN:
        return mxnet.MXNET.get(mxnet.canonical_name(op_type))
    room = index().by_onnx.get(("" if _common(domain) else domain, op_type))
    return FOREIGN.get((domain, op_type)) if room is None or room.macs is None else room.macs


def work_of(node: ir.Node, trained: Trained | None = None) -> Work:
    """What a node does in one run.

    Args:
        node: Any node, of any domain.
        trained: Which values have gradients; None for no backward pass.
    """
    bodies = [body for _, body in bodies_of(node)]
    if bodies:
        return _of_bodies(node, bodies, trained)
    if makes_none(node.op_type, node.domain):
        return _NOTHING
    macs = _macs_of(node.op_type, node.domain)
    if macs is None:
        why = untranslated(node) or f"graphkit does not know what {_named(node)} computes"
        return Work(None, None, None, why)
    try:
        products = macs(node)
    except STUMBLES:
        return Work(None, None, None, "its attributes and inputs do not fit together")
    forward = _sum(product.macs for product in products)
    backward, exact = _gradients(node, products, trained)
    return Work(forward, backward, exact, "" if forward is not None else "a size that it depends on is not known")


def _named(node: ir.Node) -> str:
    return f"{node.domain}:{node.op_type}" if node.domain else node.op_type


def _sum(counts: Iterable[Count | None]) -> Count | None:
    found = list(counts)
    return None if None in found else total(found)


def _gradients(
    node: ir.Node, products: Sequence[Product], trained: Trained | None
) -> tuple[Count | None, Count | None]:
    """Multiply-adds of a node's gradients, as PyTorch counts them and as they are."""
    if trained is None or is_backward(node) or not trained.reaches(node):
        return 0, 0
    counted: list[Count | None] = []
    exact: list[Count | None] = []
    for product in products:
        for positions, groups in ((product.left, 1), (product.right, product.groups)):
            if any(index < len(node.inputs) and trained.has_gradient(node.inputs[index]) for index in positions):
                counted.append(times(product.macs, groups))
                exact.append(product.macs)
    return _sum(counted), _sum(exact)


def _of_bodies(node: ir.Node, bodies: Sequence[ir.Graph], trained: Trained | None) -> Work:
    """What a control-flow operator does: the larger of its branches, or its body as often as it runs."""
    inner = [[work_of(each, trained) for each in body] for body in bodies]
    sums = [[_sum(getattr(work, name) for work in works) for name in ("macs", "backward", "exact")] for works in inner]
    why = next((work.why for works in inner for work in works if work.why), "")
    if node.op_type == "If" and _common(node.domain):
        macs, backward, exact = (larger(*column) for column in zip(*sums, strict=True))
        why = why or "which of its branches does more depends on sizes that are free"
    else:
        runs = runs_of(node)
        macs, backward, exact = (times(_sum(column), runs) for column in zip(*sums, strict=True))
        why = why or "how often its body runs depends on the data"
    return Work(macs, backward, exact, why if macs is None else "")


def larger(*counts: Count | None) -> Count | None:
    """The largest count; None where one is unknown, or where it depends on free sizes which it is."""
    best = counts[0]
    for count in counts[1:]:
        if equal(best, count):
            continue
        difference = None if best is None or count is None else tidy(best - count)
        if difference is None:
            return None
        if isinstance(difference, int):
            best = best if difference > 0 else count
        elif difference.is_nonpositive:
            best = count
        elif not difference.is_nonnegative:
            return None
    return best


def runs_of(node: ir.Node) -> Count | None:
    """How often a node's bodies run in one run of it, 1 for branches; None where that depends on data."""
    try:
        return _runs_of(node)
    except STUMBLES:
        return None


def _runs_of(node: ir.Node) -> Count | None:
    if not _common(node.domain):
        return None
    if node.op_type == "If":
        return 1
    if node.op_type == "Loop":
        return _trips(node)
    if node.op_type == "Scan":
        scanned = node.attributes.get_int("num_scan_inputs", 0)
        first = node.inputs[len(node.inputs) - scanned] if 0 < scanned <= len(node.inputs) else None
        shape = None if first is None else shape_of(first)
        axis = (node.attributes.get_ints("scan_input_axes", None) or [0])[0]
        return shape[axis] if shape and -len(shape) <= axis < len(shape) else None
    return None


def _trips(node: ir.Node) -> Count | None:
    """Iterations of a Loop that no condition ends: its trip count, if its condition is always true."""
    body = node.attributes["body"].as_graph()
    count = sizes_of(node.inputs[0]) if node.inputs else None
    start = node.inputs[1] if len(node.inputs) > 1 else None
    going, handed_on = body.outputs[0], body.inputs[1]
    if going is handed_on or _copies(going, handed_on):
        if start is not None and not _is_true(start):
            return None
    elif not (_is_true(going) and (start is None or _is_true(start))):
        return None
    return None if count is None or count.size != 1 else count.flat[0]


def _copies(value: ir.Value, source: ir.Value) -> bool:
    producer = value.producer()
    return producer is not None and producer.op_type == "Identity" and producer.inputs[0] is source


def _is_true(value: ir.Value) -> bool:
    """Whether a truth is a constant that holds."""
    from graphkit.ir.describe import constant_of

    tensor = constant_of(value)
    if tensor is not None:
        return bool(tensor.numpy().all())
    producer = value.producer()
    if producer is not None and producer.op_type in ("Identity", "Cast", "Reshape") and producer.inputs[0] is not None:
        return _is_true(producer.inputs[0])
    sizes = sizes_of(value)
    return sizes is not None and all(size is True or size == 1 for size in sizes.flat)
