"""``ai.onnx.ml``'s ensembles of trees: every example goes down all trees at once, a level at a time.

Leaves point to themselves, so that after as many steps as the deepest tree has levels each example has arrived. Sets of
values become chains of equalities.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from graphkit.ir.canonical.contrib.features import as_float, labelled, numbers_only, transformed
from graphkit.ir.canonical.contrib.parts import (
    UnsuitableError,
    dtype_of,
    floats,
    integer,
    ints,
    needed,
    scalar,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from graphkit.ir.canonical.contrib.parts import Expansion
    from graphkit.ir.edit import Editor

__all__ = ["EXPANSIONS"]

_COMPARISONS = {
    "BRANCH_LEQ": "LessOrEqual",
    "BRANCH_LT": "Less",
    "BRANCH_GTE": "GreaterOrEqual",
    "BRANCH_GT": "Greater",
    "BRANCH_EQ": "Equal",
    "BRANCH_NEQ": "NotEqual",
}
_MODES = ("BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ", "BRANCH_MEMBER")
"""By their codes in TreeEnsemble."""
_MANY = 4096
"""Levels beyond which a tree is taken to be a circle."""


@dataclass(slots=True)
class _Forest:
    """Trees as columns of numbers, one row for each node.

    Attributes:
        roots: Row of each tree's first node.
        modes: Comparison of each node; empty for leaves.
        features: Which feature a node compares.
        values: With what.
        yes: Row that follows where it is true; a leaf's own.
        no: Row that follows where it is not.
        missing: Whether NaN counts as true.
        weights: (rows, targets) what a leaf adds.
    """

    roots: list[int] = field(default_factory=list)
    modes: list[str] = field(default_factory=list)
    features: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    yes: list[int] = field(default_factory=list)
    no: list[int] = field(default_factory=list)
    missing: list[bool] = field(default_factory=list)
    weights: npt.NDArray[Any] = field(default_factory=lambda: np.zeros((0, 0)))

    def add(self, mode: str, feature: int, value: float, yes: int, no: int, missing: bool) -> int:
        """Append a node and return its row; -1 as what follows is itself."""
        row = len(self.modes)
        self.modes.append(mode)
        self.features.append(feature)
        self.values.append(value)
        self.yes.append(row if yes < 0 else yes)
        self.no.append(row if no < 0 else no)
        self.missing.append(missing)
        return row

    def depth(self) -> int:
        """Steps from the roots to the deepest leaf."""
        level, steps = set(self.roots), 0
        while any(self.modes[row] for row in level):
            level = {after for row in level for after in (self.yes[row], self.no[row])}
            steps += 1
            if steps > _MANY:
                raise UnsuitableError("its trees have circles; the model is damaged")
        return steps


def _tensor(edit: Editor, name: str) -> npt.NDArray[Any] | None:
    attribute = edit.node.attributes.get(name)
    return None if attribute is None else np.asarray(attribute.as_tensor().numpy())


def _table(edit: Editor, name: str) -> npt.NDArray[Any]:
    """Floats, of whichever of the two spellings is there."""
    given = _tensor(edit, f"{name}_as_tensor")
    return np.asarray(floats(edit, name), np.float32) if given is None else given


def _by_nodes(edit: Editor, kind: str, targets: int) -> _Forest:
    """The trees of TreeEnsembleRegressor and TreeEnsembleClassifier, whose nodes have numbers."""
    trees, nodes = ints(edit, "nodes_treeids"), ints(edit, "nodes_nodeids")
    rows = {key: row for row, key in enumerate(zip(trees, nodes, strict=True))}
    values, modes = _table(edit, "nodes_values"), edit.node.attributes["nodes_modes"].as_strings()
    yes, no = ints(edit, "nodes_truenodeids"), ints(edit, "nodes_falsenodeids")
    missing = ints(edit, "nodes_missing_value_tracks_true") or (0,) * len(rows)
    forest = _Forest()
    children: set[int] = set()
    for row, (tree, mode) in enumerate(zip(trees, modes, strict=True)):
        leaf = mode == "LEAF"
        if not leaf and mode not in _COMPARISONS:
            raise UnsuitableError(f"its nodes_modes has {mode!r}, which graphkit does not know")
        after = (-1, -1) if leaf else (rows[tree, yes[row]], rows[tree, no[row]])
        children.update(place for place in after if place >= 0)
        feature = 0 if leaf else ints(edit, "nodes_featureids")[row]
        forest.add("" if leaf else mode, feature, float(values[row]), *after, bool(missing[row]))
    forest.roots = [row for row in range(len(rows)) if row not in children]
    weights = _table(edit, f"{kind}_weights")
    forest.weights = np.zeros((len(rows), targets), weights.dtype)
    places = zip(ints(edit, f"{kind}_treeids"), ints(edit, f"{kind}_nodeids"), ints(edit, f"{kind}_ids"), strict=True)
    for (tree, node, target), weight in zip(places, weights, strict=True):
        forest.weights[rows[tree, node], target] += weight
    return forest


def _by_leaves(edit: Editor) -> _Forest:
    """The trees of TreeEnsemble, whose nodes and leaves are numbered apart."""
    splits, codes = _tensor(edit, "nodes_splits"), _tensor(edit, "nodes_modes")
    weights, members = _tensor(edit, "leaf_weights"), _tensor(edit, "membership_values")
    if splits is None or codes is None or weights is None:
        raise UnsuitableError("it lacks its nodes or leaves; the model is damaged")
    names = ("nodes_featureids", "nodes_truenodeids", "nodes_falsenodeids", "nodes_trueleafs", "nodes_falseleafs")
    features, yes, no, true_leafs, false_leafs = (ints(edit, name) for name in names)
    missing = ints(edit, "nodes_missing_value_tracks_true") or (0,) * len(features)
    forest = _Forest()
    leaves = [forest.add("", 0, 0.0, -1, -1, False) for _ in weights]
    first = [forest.add("", 0, 0.0, -1, -1, False) for _ in features]
    sets = iter(_sets(members))
    for node, row in enumerate(first):
        mode = _MODES[int(codes[node])]
        after = leaves[yes[node]] if true_leafs[node] else first[yes[node]]
        other = leaves[no[node]] if false_leafs[node] else first[no[node]]
        values = next(sets, []) if mode == "BRANCH_MEMBER" else [float(splits[node])]
        mode = "BRANCH_EQ" if mode == "BRANCH_MEMBER" else mode
        for value in reversed(values[1:]):
            other = forest.add(mode, features[node], value, after, other, False)
        forest.modes[row], forest.features[row], forest.values[row] = mode, features[node], values[0]
        forest.yes[row], forest.no[row], forest.missing[row] = after, other, bool(missing[node])
    forest.roots = [first[root] for root in ints(edit, "tree_roots")]
    forest.weights = np.zeros((len(forest.modes), integer(edit, "n_targets", 1)), weights.dtype)
    for leaf, (target, weight) in enumerate(zip(ints(edit, "leaf_targetids"), weights, strict=True)):
        forest.weights[leaves[leaf], target] = weight
    return forest


def _sets(members: npt.NDArray[Any] | None) -> list[list[float]]:
    """Sets of values, with NaN between one and the next."""
    found: list[list[float]] = [[]]
    for value in [] if members is None else members:
        if np.isnan(value):
            found.append([])
        else:
            found[-1].append(float(value))
    return found


def _compared(edit: Editor, forest: _Forest, x: ir.Value, state: ir.Value) -> ir.Value:
    """Whether each example goes to the true side at each tree's node, (examples, trees)."""
    dtype = dtype_of(x)
    values = edit.const("values", np.asarray(forest.values, dtype), dtype)
    taken = edit.op("GatherElements", x, edit.op("Gather", edit.const("features", forest.features), state), axis=1)
    limit = edit.op("Gather", values, state)
    modes = [mode for mode in _COMPARISONS if mode in forest.modes]
    truth: ir.Value | None = None
    for mode in modes:
        name = _COMPARISONS[mode]
        made = edit.op("Not", edit.op("Equal", taken, limit)) if name == "NotEqual" else edit.op(name, taken, limit)
        if truth is None:
            truth = made
        else:
            here = np.asarray([own == mode for own in forest.modes])
            chosen = edit.op("Gather", edit.const("here", here, bool), state)
            truth = edit.op("Or", edit.op("And", chosen, made), edit.op("And", edit.op("Not", chosen), truth))
    assert truth is not None
    if any(forest.missing):
        tracks = edit.op("Gather", edit.const("missing", forest.missing, bool), state)
        truth = edit.op("Or", truth, edit.op("And", edit.op("IsNaN", taken), tracks))
    return truth


def _scores(edit: Editor, forest: _Forest, x: ir.Value, aggregate: str) -> ir.Value:
    """(examples, targets): what the leaves of all trees add up to, or their mean, smallest or largest."""
    rows = edit.op("Shape", x, start=0, end=1)
    state = edit.op(
        "Expand",
        edit.const("roots", [forest.roots]),
        edit.op("Concat", rows, edit.const("trees", [len(forest.roots)]), axis=0),
    )
    for _ in range(forest.depth()):
        sides = (
            edit.op("Gather", edit.const(role, after), state)
            for role, after in (("yes", forest.yes), ("no", forest.no))
        )
        state = edit.op("Where", _compared(edit, forest, x, state), *sides)
    leaves = edit.op("Gather", edit.const("weights", forest.weights, forest.weights.dtype), state)
    op = {"SUM": "ReduceSum", "AVERAGE": "ReduceMean", "MIN": "ReduceMin", "MAX": "ReduceMax"}.get(aggregate)
    if op is None:
        raise UnsuitableError(f"its aggregate_function {aggregate!r} is none of SUM, AVERAGE, MIN and MAX")
    return edit.op(op, leaves, edit.const("axis", [1]), keepdims=0)


def _data(edit: Editor) -> ir.Value:
    x = needed(edit, 0)
    return x if dtype_of(x) == np.float64 else as_float(edit, x)


def _based(edit: Editor, scores: ir.Value, base: npt.NDArray[Any]) -> ir.Value:
    dtype = dtype_of(scores)
    return edit.op("Add", scores, edit.const("base", np.asarray(base, dtype), dtype)) if np.any(base) else scores


def _regressor(edit: Editor) -> None:
    targets = integer(edit, "n_targets", 1)
    forest = _by_nodes(edit, "target", targets)
    name = edit.node.attributes.get_string("aggregate_function", "SUM") or "SUM"
    scores = _based(edit, _scores(edit, forest, _data(edit), name), _table(edit, "base_values"))
    edit.replace(transformed(edit, as_float(edit, scores)))


def _classifier(edit: Editor) -> None:
    """Scores of each class; the weights of two classes may all be of one, the other's score is then its contrary."""
    numbers_only(edit)
    labels, used = ints(edit, "classlabels_int64s"), set(ints(edit, "class_ids"))
    base = _table(edit, "base_values")
    if len(labels) == 2 and len(used) == 1:
        _binary(edit, labels, next(iter(used)), base)
        return
    forest = _by_nodes(edit, "class", len(labels))
    scores = as_float(edit, _based(edit, _scores(edit, forest, _data(edit), "SUM"), base))
    places = edit.op("ArgMax", scores, axis=1, keepdims=0)
    edit.replace(labelled(edit, places, labels), transformed(edit, scores))


def _binary(edit: Editor, labels: tuple[int, ...], used: int, base: npt.NDArray[Any]) -> None:
    """Two classes by one score: a probability where no weight is negative, else a number on either side of 0."""
    forest = _by_nodes(edit, "class", 2)
    forest.weights = forest.weights[:, used : used + 1]
    if base.size > 1:
        raise UnsuitableError("it has two base values for one score")
    score = as_float(edit, _based(edit, _scores(edit, forest, _data(edit), "SUM"), base))
    positive = bool((forest.weights >= 0).all())
    name = edit.node.attributes.get_string("post_transform", "NONE")
    if name not in ("NONE", "LOGISTIC"):
        raise UnsuitableError(f"post_transform={name} of one score for two classes differs between runtimes")
    middle = scalar(edit, "middle", 0.5 if positive else 0.0, score)
    above = edit.op("Greater", score, middle)
    places = edit.op("Cast", edit.op("Squeeze", above, edit.const("column", [1])), to=ir.DataType.INT64)
    if name == "LOGISTIC":
        both = edit.op("Sigmoid", edit.op("Concat", edit.op("Neg", score), score, axis=1))
    elif positive:
        both = edit.op("Concat", edit.op("Sub", scalar(edit, "whole", 1.0, score), score), score, axis=1)
    else:
        both = edit.op("Concat", edit.op("Neg", score), score, axis=1)
    edit.replace(labelled(edit, places, labels), both)


def _ensemble(edit: Editor) -> None:
    if integer(edit, "post_transform") not in (0, 1, 2):
        raise UnsuitableError("its post_transform is none of none, softmax and logistic")
    name = ("AVERAGE", "SUM", "MIN", "MAX")[integer(edit, "aggregate_function", 1)]
    forest = _by_leaves(edit)
    scores = _scores(edit, forest, needed(edit, 0), name)
    kind = integer(edit, "post_transform")
    edit.replace(
        scores if kind == 0 else edit.op("Softmax", scores, axis=-1) if kind == 1 else edit.op("Sigmoid", scores)
    )


EXPANSIONS: Mapping[tuple[str, str], Expansion] = {
    ("ai.onnx.ml", "TreeEnsemble"): _ensemble,
    ("ai.onnx.ml", "TreeEnsembleClassifier"): _classifier,
    ("ai.onnx.ml", "TreeEnsembleRegressor"): _regressor,
}
