"""Whether a symbol's parameters are all there, and have the shapes that their operators ask for.

MXNet compares them when it binds a symbol. Comparing them here names the parameter and what is wrong with it before
rules of other formats stumble over it.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from graphkit.frameworks.mxnet import schema
from graphkit.ops.codec import BOOL, ints
from graphkit.ops.recurrent.gates import KINDS, span

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from graphkit.ops.mxgraph import MxGraph, MxNode

    Dim: TypeAlias = int | str | None
    Dims: TypeAlias = tuple[Dim, ...]
    Rule: TypeAlias = Callable[[Mapping[str, str], Dims | None, Mapping[str, tuple[int, ...]]], dict[str, Dims]]

__all__ = ["WEIGHTS", "Misfit", "misfits", "missing", "wanted"]

WEIGHTS: Final = frozenset({"weight", "bias", "gamma", "beta", "moving_mean", "moving_var", "parameters"})
"""What operators call those of their arguments that are trained or, as moving statistics, follow the training."""


class Misfit(NamedTuple):
    """A parameter of another shape than its operator asks for.

    Attributes:
        slot: Which argument of the operator it is, e.g. ``"weight"``.
        shape: The shape it has.
        wanted: The shape it has to have; what is not a number may be anything.
        data: Shape of the operator's input where that decides, None where the operator's own parameters do.
    """

    slot: str
    shape: tuple[int, ...]
    wanted: Dims
    data: Dims | None


def missing(graph: MxGraph, known: Collection[str]) -> list[str]:
    """Names of the variables that stand where operators have their weights and have no value.

    Args:
        graph: The symbol.
        known: Names of the variables that are stored or fed.
    """
    found: dict[str, None] = {}
    for node in graph.nodes:
        names = schema.arguments(node.op, node.attrs) if not node.is_variable else ()
        for slot, ref in zip(names, node.inputs, strict=False):
            ones = slot == "gamma" and "BatchNorm" in node.op and BOOL.parse(node.attrs.get("fix_gamma", "True"))
            if ref.node.is_variable and slot in WEIGHTS and ref.node.name not in known and not ones:
                found[ref.node.name] = None
    return list(found)


def misfits(node: MxNode, data: Dims | None, stored: Mapping[str, tuple[int, ...]]) -> list[Misfit]:
    """The parameters of a node that do not fit it.

    Args:
        node: The node; MXNet accepts its attributes.
        data: Shape of its first input as far as it is known.
        stored: Shape of each of its arguments that is stored, by the operator's name for it.

    Raises:
        ValueError: An attribute is not what MXNet writes.
    """
    rule = _RULES.get(node.op)
    if rule is None:
        return []
    found: list[Misfit] = []
    for known in (None, data):
        asked = rule(node.attrs, known, stored)
        for slot, shape in stored.items():
            if slot in asked and not _fits(shape, asked[slot]) and all(slot != other.slot for other in found):
                found.append(Misfit(slot, shape, asked[slot], known))
    return found


def wanted(node: MxNode, data: Dims | None) -> dict[str, Dims]:
    """The shapes that a node asks of its parameters, by the operator's names for them, as far as they follow.

    Args:
        node: The node; MXNet accepts its attributes.
        data: Shape of its first input as far as it is known.
    """
    if node.op == "LeakyReLU":
        return {"gamma": (_size(data, 1),)} if node.attrs.get("act_type") == "prelu" else {}
    rule = _RULES.get(node.op)
    return {} if rule is None else rule(node.attrs, data, {})


def _fits(shape: tuple[int, ...], wanted: Dims) -> bool:
    return len(shape) == len(wanted) and all(
        size == want or not isinstance(want, int) for size, want in zip(shape, wanted, strict=True)
    )


def _size(data: Dims | None, axis: int) -> int | None:
    size = data[axis] if data is not None and -len(data) <= axis < len(data) else None
    return size if isinstance(size, int) else None


def _convolution(
    attrs: Mapping[str, str], data: Dims | None, _stored: Mapping[str, tuple[int, ...]]
) -> dict[str, Dims]:
    if attrs.get("layout", "None") in ("NWC", "NHWC", "NDHWC"):
        return {}
    filters, channels = int(attrs["num_filter"]), _size(data, 1)
    own = None if channels is None else channels // int(attrs.get("num_group", "1"))
    return {"weight": (filters, own, *ints(attrs["kernel"])), "bias": (filters,)}


def _deconvolution(
    attrs: Mapping[str, str], data: Dims | None, _stored: Mapping[str, tuple[int, ...]]
) -> dict[str, Dims]:
    if attrs.get("layout", "None") in ("NWC", "NHWC", "NDHWC"):
        return {}
    filters = int(attrs["num_filter"])
    own = filters // int(attrs.get("num_group", "1"))
    return {"weight": (_size(data, 1), own, *ints(attrs["kernel"])), "bias": (filters,)}


def _dense(attrs: Mapping[str, str], data: Dims | None, _stored: Mapping[str, tuple[int, ...]]) -> dict[str, Dims]:
    hidden = int(attrs["num_hidden"])
    features = _size(data, -1)
    if data is not None and BOOL.parse(attrs.get("flatten", "True")):
        sizes = [size for size in data[1:] if isinstance(size, int)]
        features = prod(sizes) if len(sizes) == len(data) - 1 else None
    return {"weight": (hidden, features), "bias": (hidden,)}


def _embedding(attrs: Mapping[str, str], _data: Dims | None, _stored: Mapping[str, tuple[int, ...]]) -> dict[str, Dims]:
    return {"weight": (int(attrs["input_dim"]), int(attrs["output_dim"]))}


def _norm(axis: int) -> Rule:
    def rule(attrs: Mapping[str, str], data: Dims | None, stored: Mapping[str, tuple[int, ...]]) -> dict[str, Dims]:
        size = _size(data, int(attrs.get("axis", str(axis))))
        lengths = [shape[0] for shape in stored.values() if len(shape) == 1]
        if size is None and lengths:  # then at least they agree
            size = max(lengths, key=lengths.count)
        return dict.fromkeys(("gamma", "beta", "moving_mean", "moving_var"), (size,))

    return rule


def _group_norm(
    attrs: Mapping[str, str], _data: Dims | None, _stored: Mapping[str, tuple[int, ...]]
) -> dict[str, Dims]:
    return dict.fromkeys(("gamma", "beta"), (int(attrs.get("num_groups", "1")),))


def _recurrent(attrs: Mapping[str, str], data: Dims | None, _stored: Mapping[str, tuple[int, ...]]) -> dict[str, Dims]:
    features = _size(data, 2)
    if features is None:
        return {"parameters": (None,)}
    directions = 1 + BOOL.parse(attrs.get("bidirectional", "False"))
    projection = attrs.get("projection_size", "None")
    length = span(
        KINDS[attrs["mode"]].gates,
        int(attrs["num_layers"]),
        directions,
        features,
        int(attrs["state_size"]),
        0 if projection == "None" else int(projection),
    )
    return {"parameters": (length,)}


def _slope(attrs: Mapping[str, str], data: Dims | None, stored: Mapping[str, tuple[int, ...]]) -> dict[str, Dims]:
    shape = stored.get("gamma", ())
    return {"gamma": (_size(data, 1),)} if attrs.get("act_type") == "prelu" and len(shape) == 1 != shape[0] else {}


_RULES: Final[Mapping[str, Rule]] = {
    "BatchNorm": _norm(1),
    "BatchNorm_v1": _norm(1),
    "Convolution": _convolution,
    "Convolution_v1": _convolution,
    "Deconvolution": _deconvolution,
    "Embedding": _embedding,
    "FullyConnected": _dense,
    "GroupNorm": _group_norm,
    "InstanceNorm": _norm(1),
    "LayerNorm": _norm(-1),
    "LeakyReLU": _slope,
    "RNN": _recurrent,
    "_contrib_BatchNormWithReLU": _norm(1),
    "_contrib_SyncBatchNorm": _norm(1),
}
"""(attributes, shape of the first input, stored shapes) -> the shape that each argument must have, by its name."""
