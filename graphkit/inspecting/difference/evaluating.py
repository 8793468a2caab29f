"""Evaluating both sides of a region on the same drawn inputs."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import onnx_ir as ir

from graphkit.errors import GraphkitError
from graphkit.inspecting.difference.pairs import is_stored, read_by
from graphkit.ir.anchors import AFFINE
from graphkit.ir.dims import dims_of
from graphkit.ir.opset import OPSET
from graphkit.ir.outline import LINEAR
from graphkit.ir.own import DOMAIN, VERSION

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy.typing as npt

    from graphkit.inspecting.difference.arrays import Arrays
    from graphkit.inspecting.difference.pairs import Paired

    Array = npt.NDArray[Any]

__all__ = ["BOUND", "MOST", "Region", "evaluate"]

BOUND: Final = 2e-5
"""Largest error, max|old - new| / max|old|, at which two results are taken for the same in float32."""
MOST: Final = 600
"""Nodes of a region; larger ones are not evaluated."""
_ELEMENTS: Final = 1 << 21
"""Elements of a region's inputs."""
_SIZES: Final = (3, 5, 7, 11, 13, 17)
"""Sizes that free dimensions are given, so that none is mistaken for another."""
_WHOLE: Final = (2, 7, 50)
"""Bounds of whole numbers, draw by draw."""
_SPACE: Final = 9
"""Size that spatial axes are cut down to where operators look at neighbours only."""
_LOCAL: Final = frozenset(("Add", "BatchNormalization", "Conv", "Div", "Mul", "Relu", "Sub"))


@dataclass(slots=True, eq=False)
class Region:
    """What two models compute between the same values in other ways.

    Attributes:
        left: Nodes of the left model.
        right: Nodes of the right model.
        results: Values of the two that have to be the same.
        error: Error of the worst result; None where it was not found out.
        apart: Whether the two sides read different values.
        stored: Whether both sides are computed from stored arrays alone.
        arrays: Results of the two sides, where stored.
    """

    left: dict[ir.Node, None] = field(default_factory=dict)
    right: dict[ir.Node, None] = field(default_factory=dict)
    results: list[tuple[ir.Value, ir.Value]] = field(default_factory=list)
    error: float | None = None
    apart: bool = False
    stored: bool = False
    arrays: list[tuple[Array, Array]] = field(default_factory=list)

    @property
    def proven(self) -> bool:
        """Whether both sides give the same."""
        return self.error is not None and self.error <= (0 if self.stored else BOUND)

    @property
    def folds(self) -> bool:
        """Whether one side has a scaling or shift besides a linear operator that the other holds in its weights."""
        ops = [[node.op_type for node in side] for side in (self.left, self.right)]
        linear = [sum(op in LINEAR for op in each) for each in ops]
        affine = [sum(op in AFFINE for op in each) for each in ops]
        plain = all(op in LINEAR | AFFINE for each in ops for op in each)
        return plain and linear[0] == linear[1] > 0 and affine[0] != affine[1]


def evaluate(region: Region, paired: Paired, arrays: Arrays) -> None:
    """Find out how far the two sides are from each other."""
    cuts = [_cuts(side) for side in (region.left, region.right)]
    ends = [[pair[side] for pair in region.results] for side in (0, 1)]
    for side, inside in enumerate((region.left, region.right)):
        cuts[side] |= {v: None for v in ends[side] if v.producer() not in inside and not is_stored(v)}
    fed = _fed(list(cuts[0]), list(cuts[1]), paired)
    if fed is None:
        region.apart = True
        return
    region.stored = not fed
    draws = 1 if region.stored else 3
    rng = np.random.default_rng(0)
    local = all(node.op_type in _LOCAL for node in (*region.left, *region.right))
    sizes: dict[tuple[int, str], int] = {}
    worst = 0.0
    for draw in range(draws):
        feeds: tuple[dict[ir.Value, Array], dict[ir.Value, Array]] = ({}, {})
        for one, two in fed:
            array = _drawn(one, two, rng, draw, sizes, local)
            if array is None:
                return
            for mapping, value in zip(feeds, (one, two), strict=True):
                if value is not None:
                    mapping[value] = array
        if sum(array.size for array in feeds[0].values()) > _ELEMENTS:
            return
        whole = any(array.dtype.kind in "iu" for array in feeds[0].values())
        found = [_run(*each, arrays) for each in zip((region.left, region.right), feeds, ends, strict=True)]
        if found[0] is None or found[1] is None:
            if draw and found[0] is found[1] and whole:
                continue  # numbers that large are no indices of either
            return
        if region.stored:
            region.arrays = list(zip(*found, strict=True))
        worst = max([worst, *(_error(*pair) for pair in zip(*found, strict=True))])
    region.error = worst


def _cuts(inside: dict[ir.Node, None]) -> dict[ir.Value, None]:
    """What the nodes of one side read from elsewhere and is not stored."""
    return {
        value: None
        for node in inside
        for value in node.inputs
        if value is not None and value.producer() not in inside and not is_stored(value)
    }


def _fed(
    left: list[ir.Value], right: list[ir.Value], paired: Paired
) -> list[tuple[ir.Value | None, ir.Value | None]] | None:
    """What is fed to both sides; None where they read different values."""
    found: list[tuple[ir.Value | None, ir.Value | None]] = []
    rest = list(right)
    for value in left:
        other = paired.values.get(value)
        if other is None:
            return None
        found.append((value, other))
        rest = [each for each in rest if each is not other]
    back = {two: one for one, two in paired.values.items()} if rest else {}
    for value in rest:
        if value not in back:
            return None
        found.append((back[value], value))
    return found


def _drawn(
    one: ir.Value | None,
    two: ir.Value | None,
    rng: np.random.Generator,
    draw: int,
    sizes: dict[tuple[int, str], int],
    local: bool,
) -> Array | None:
    """An array for a value that both sides read; None where nobody knows its shape or type."""
    dims = [None if value is None else dims_of(value) for value in (one, two)]
    dtype = next((value.dtype for value in (one, two) if value is not None and value.dtype is not None), None)
    known = [each for each in dims if each is not None]
    if dtype is None or not known or len({len(each) for each in known}) > 1:
        return None
    shape = []
    for axis in range(len(known[0])):
        options = [(side, each[axis]) for side, each in enumerate(dims) if each is not None]
        size = next((dim for _, dim in options if isinstance(dim, int)), None)
        names = [(side, dim) for side, dim in options if isinstance(dim, str)]
        if size is None:
            size = next((sizes[name] for name in names if name in sizes), None)
        if size is None:
            size = _SIZES[len(set(sizes.values())) % len(_SIZES)]
        for name in names:
            sizes.setdefault(name, size)
        if any(isinstance(dim, int) and dim != size for _, dim in options):
            return None
        shape.append(min(size, _SPACE) if local and axis >= 2 else size)
    if math.prod(shape) > _ELEMENTS:
        return None
    if not dtype.is_floating_point():
        return rng.integers(0, 2 if dtype == ir.DataType.BOOL else _WHOLE[draw], shape).astype(dtype.numpy())
    array = rng.standard_normal(shape)
    if draw == 1:
        array *= 1e-3
    elif draw == 2:
        array *= 10 ** rng.uniform(-2, 3, shape)
    return array.astype(dtype.numpy())


def _run(
    inside: dict[ir.Node, None], feeds: dict[ir.Value, Array], ends: Sequence[ir.Value], arrays: Arrays
) -> list[Array] | None:
    """What one side gives; None where it cannot be evaluated."""
    from graphkit.frameworks.base import runtimes

    copies: dict[ir.Value, ir.Value] = {}
    inputs: list[ir.Value] = []
    held: list[ir.Value] = []
    fed: dict[str, Array] = {}
    for index, (read, array) in enumerate(feeds.items()):
        inputs.append(ir.val(f"x{index}", read.dtype or ir.DataType.from_numpy(array.dtype), array.shape))
        copies[read] = inputs[-1]
        fed[f"x{index}"] = array
    made: list[ir.Node] = []
    for node in _sorted(inside):
        for value in read_by(node):
            if value is not None and value not in copies:
                if not is_stored(value) or arrays.array(value) is None:
                    return None
                copies[value] = _copied(value, f"w{len(held)}")
                held.append(copies[value])
        copy_of = [None if value is None else copies[value] for value in read_by(node)]
        new = ir.Node(node.domain, node.op_type, copy_of, list(node.attributes.values()), num_outputs=len(node.outputs))
        new.name = f"n{len(made)}"
        for index, (old, result) in enumerate(zip(node.outputs, new.outputs, strict=True)):
            result.name = f"v{len(made)}_{index}" if old.uses() or old.is_graph_output() or not index else ""
            result.type = old.type
            copies[old] = result
        made.append(new)
    wanted: list[tuple[str, Array | None]] = []
    outputs: dict[str, ir.Value] = {}
    for value in ends:
        if is_stored(value):
            wanted.append(("", arrays.array(value)))
        elif value in feeds:
            wanted.append(("", feeds[value]))
        elif value in copies:
            outputs[copies[value].name or ""] = copies[value]
            wanted.append((copies[value].name or "", None))
        else:
            return None
    found: dict[str, Array] = {}
    if outputs:
        graph = ir.Graph(
            inputs,
            list(outputs.values()),
            nodes=made,
            initializers=held,
            name="region",
            opset_imports={"": OPSET, DOMAIN: VERSION},
        )
        try:
            with runtimes()["reference"].open(ir.Model(graph, ir_version=10)) as session:
                found = dict(session.forward(fed))
        except (GraphkitError, ValueError, TypeError, KeyError, MemoryError):
            return None
    results = [found[name] if array is None else array for name, array in wanted]
    return results if all(each is not None for each in results) else None


def _copied(value: ir.Value, name: str) -> ir.Value:
    copy = ir.val(name, value.dtype or ir.DataType.FLOAT, dims_of(value) or (), const_value=value.const_value)
    copy.metadata_props.update(value.metadata_props)
    return copy


def _sorted(inside: dict[ir.Node, None]) -> Iterable[ir.Node]:
    """Nodes after what they read."""
    makers = {node: [value.producer() for value in node.inputs if value is not None] for node in inside}
    above = {node: [maker for maker in found if maker in inside] for node, found in makers.items()}
    return TopologicalSorter(above).static_order()


def _error(one: Array, two: Array) -> float:
    """max|old - new| / max|old|; infinite for another shape or type, or other places of what is not finite."""
    if one.shape != two.shape or one.dtype != two.dtype:
        return math.inf
    if one.dtype.kind not in "fV":
        return 0.0 if np.array_equal(one, two) else math.inf
    old, new = one.astype(np.float64), two.astype(np.float64)
    finite = np.isfinite(old)
    if not np.array_equal(finite, np.isfinite(new)) or (old.size and not finite.any()):
        return math.inf
    if not np.array_equal(old[~finite], new[~finite], equal_nan=True):
        return math.inf
    gap = float(np.abs(old[finite] - new[finite]).max(initial=0))
    scale = float(np.abs(old[finite]).max(initial=0))
    return gap / scale if scale else (math.inf if gap else 0.0)
