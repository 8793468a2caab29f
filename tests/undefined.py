"""Uses of MXNet operators that it does not check and whose results are undefined: it reads beyond its arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphkit.ops.spec import Arr, Case

    Rule = Callable[[Case], bool]

__all__ = ["reads_beyond"]


def reads_beyond(operator: str, case: Case) -> bool:
    """Whether a use gives lengths, labels or indices that its arrays do not have."""
    rule = _RULES.get(operator)
    return rule is not None and rule(case)


def _shape(case: Case, place: int = 0) -> tuple[int, ...]:
    given = case.inputs[place]
    assert given is not None
    return given.shape


def _stored(given: Arr | None) -> np.ndarray:
    """Given values; none where they are drawn, and so lie between −1 and 1."""
    values = None if given is None else given.values
    return np.zeros(0) if values is None else np.asarray(values, np.float64)


def _lengths(case: Case) -> bool:
    """Softmax over the first elements of each row: no row has fewer elements than its length says."""
    least = min(_shape(case), default=0)
    return any(bool((_stored(given) > least).any()) for given in case.inputs)


def _steps(case: Case) -> bool:
    """Lengths of sequences: the steps are along ``axis``, or along the first one."""
    axis = int(str(case.attrs.get("axis", 0)))
    shape = _shape(case)
    lengths = _stored(case.inputs[-1])
    return axis < len(shape) and bool(((lengths < 1) | (lengths > shape[axis])).any())


def _classes(case: Case) -> bool:
    return bool((_stored(case.inputs[1]) >= _shape(case)[-1]).any())


def _regions(case: Case) -> bool:
    """Regions begin with the number of their image."""
    regions = _stored(case.inputs[1])
    return regions.ndim == 2 and bool((regions[:, 0] >= _shape(case)[0]).any())


def _rows(case: Case) -> bool:
    return bool((_stored(case.inputs[1]) >= _shape(case)[0]).any())


def _places(case: Case) -> bool:
    """Places along an axis, or in the flattened array."""
    axis = case.attrs.get("axis", "None")
    shape = _shape(case)
    size = int(np.prod(shape)) if str(axis) == "None" else shape[int(str(axis))]
    return bool((np.abs(_stored(case.inputs[-1])) > size).any())


def _labels(case: Case) -> bool:
    """CTC labels, as far as they count: each has to be a class, and not the one that stands for none."""
    labels = _stored(case.inputs[1])
    classes = _shape(case)[2]
    last = str(case.attrs.get("blank_label", "first")) == "last"
    blank, padding = (classes - 1, -1) if last else (0, 0)
    counted = str(case.attrs.get("use_label_lengths", False)) in ("True", "true", "1")
    counts = _stored(case.inputs[-1]) if counted else np.zeros(0)
    for row, label in enumerate(labels):
        ends = np.flatnonzero(label == padding)
        count = int(counts[row]) if row < counts.size else int(ends[0]) if ends.size else len(label)
        used = label[:count]
        if count > len(label) or ((used < 0) | (used >= classes) | (used == blank)).any():
            return True
    return False


_RULES: Final[dict[str, Rule]] = {
    "CTCLoss": _labels,
    "ROIPooling": _regions,
    "SequenceLast": _steps,
    "SequenceMask": _steps,
    "SequenceReverse": _steps,
    "_contrib_PSROIPooling": _regions,
    "_contrib_ROIAlign": _regions,
    "_contrib_RROIAlign": _regions,
    "_contrib_index_copy": _rows,
    "_npi_insert_tensor": _places,
    "log_softmax": _lengths,
    "softmax": _lengths,
    "softmax_cross_entropy": _classes,
    "softmin": _lengths,
}
