"""Uses of operators whose results are undefined: MXNet reads beyond its arrays, or ONNX leaves them open."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

import numpy as np
import onnx

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphkit.ops.spec import Arr, Case

    Rule = Callable[[Case], bool]

__all__ = ["is_left_open", "reads_beyond"]


def reads_beyond(operator: str, case: Case) -> bool:
    """Whether a use of an MXNet operator gives lengths, labels or indices that its arrays do not have."""
    return _holds(_MXNET.get(operator), case)


def is_left_open(operator: str, case: Case) -> bool:
    """Whether ONNX does not say what a use of its operator gives; ONNX Runtime gives something all the same."""
    return _holds(_ONNX.get(operator), case)


def _holds(rule: Rule | None, case: Case) -> bool:
    """Whether a rule speaks of a case; of one that lacks axes or inputs it does not, and the framework refuses it."""
    with contextlib.suppress(IndexError):
        return rule is not None and rule(case)
    return False


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
    if counts.ndim != 1:
        return False  # there are none, and MXNet refuses it
    for row, label in enumerate(labels):
        ends = np.flatnonzero(label == padding)
        count = int(counts[row]) if row < counts.size else int(ends[0]) if ends.size else len(label)
        used = label[:count]
        if count > len(label) or ((used < 0) | (used >= classes) | (used == blank)).any():
            return True
    return False


def _unit_line(case: Case) -> bool:
    """Coordinates from -1 to 1 over an axis of one pixel, both ends being on pixels."""
    return bool(case.attrs.get("align_corners", 0)) and bool((_stored(case.inputs[1])[2:] == 1).any())


def _no_class(case: Case) -> bool:
    """Labels that are no class, and not the one that is ignored."""
    labels = _stored(case.inputs[1])
    counted = labels[labels != case.attrs.get("ignore_index", np.inf)]
    return bool(((counted < 0) | (counted >= _shape(case)[1])).any())


def _single(case: Case) -> bool:
    """A mean of one number, whose deviation ONNX Runtime takes from a difference of squares."""
    shape = _shape(case)
    axes = case.attrs.get("axes", [0, 2, 3])
    return all(-len(shape) <= axis < len(shape) and shape[axis] == 1 for axis in axes)


def _padded_alike(case: Case) -> bool:
    """Pooling padded automatically, for which ONNX Runtime does not heed dilations."""
    dilations = np.asarray(case.attrs.get("dilations", [1]))
    return str(case.attrs.get("auto_pad", "")).startswith("SAME") and bool((dilations != 1).any())


def _variances(case: Case) -> bool:
    """Roots of negative numbers, of which integers are made."""
    drawn = case.inputs[4]
    return drawn is not None and drawn.values is None and drawn.low < 0


def _singular(case: Case) -> bool:
    """A matrix of smaller rank whose last singular values, which rounding makes, are not taken for zero."""
    given = str(case.attrs.get("rcond", "None"))
    cut = _stored(case.inputs[1]) if len(case.inputs) > 1 else np.asarray(0.0 if given == "None" else float(given))
    return bool(_stored(case.inputs[0]).size) and bool((cut < 1e-7).any())


def _gaps(case: Case) -> bool:
    """A last window beyond the image, of whose elements −∞ ONNX Runtime gives the lowest float as maximum."""
    return str(case.attrs.get("pooling_convention", "")) == "full"


def _cropped(case: Case) -> bool:
    """Sizes that stay, for which ONNX Runtime does not heed what is cropped."""
    sizes, mode = case.inputs[3], case.attrs.get("coordinate_transformation_mode")
    return mode == "tf_crop_and_resize" and sizes is not None and bool((_stored(sizes) == _shape(case)).any())


def _no_axes(case: Case) -> bool:
    """A list of no axes, which ONNX Runtime takes for none being given."""
    return len(case.inputs) > 1 and case.inputs[1] is not None and case.inputs[1].shape == (0,)


def _repeated(case: Case) -> bool:
    """Places along an axis that are written twice, neither being the last."""
    places = _stored(case.inputs[1])
    axis = case.attrs.get("axis", 0)
    if case.attrs.get("reduction", "none") != "none" or not -places.ndim <= axis < places.ndim:
        return False
    ordered = np.sort(np.where(places < 0, places + _shape(case)[axis], places), axis)
    return bool((np.diff(ordered, axis=axis) == 0).any())


def _repeated_tuples(case: Case) -> bool:
    """The same for places in several axes."""
    places = _stored(case.inputs[1])
    if case.attrs.get("reduction", "none") != "none" or not places.ndim:
        return False
    sizes = np.asarray(_shape(case)[: places.shape[-1]])
    found = np.where(places < 0, places + sizes, places).reshape(-1, places.shape[-1])
    return len(np.unique(found, axis=0)) < len(found)


def _shared_columns(case: Case) -> bool:
    """Sequences that are counted in one column, of which each has a weight."""
    columns = list(case.attrs.get("ngram_indexes", ()))
    return len(set(columns)) < len(columns)


def _other_batch(case: Case) -> bool:
    """Batches of data and places that have different sizes."""
    count = case.attrs.get("batch_dims", 0)
    return count > 0 and _shape(case)[:count] != _shape(case, 1)[:count]


def _not_numbers(case: Case) -> bool:
    """Integers made of what is no number, or of infinity."""
    kinds = onnx.TensorProto
    to_others = case.attrs.get("to") in (kinds.FLOAT, kinds.DOUBLE, kinds.FLOAT16, kinds.BFLOAT16, kinds.BOOL)
    return not to_others and not bool(np.isfinite(_stored(case.inputs[0])).all())


def _long_condition(case: Case) -> bool:
    """A condition for more elements than there are."""
    shape, axis = _shape(case), case.attrs.get("axis")
    return _shape(case, 1)[0] > (int(np.prod(shape)) if axis is None else shape[axis])


def _gaps_between(case: Case) -> bool:
    """Automatic padding that would be negative, which ONNX Runtime leaves out."""
    strides, kernel = case.attrs.get("strides", [1]), _shape(case, 1)[2:]
    return str(case.attrs.get("auto_pad", "")).startswith("SAME") and max(strides) > min(kernel)


_ONNX: Final[dict[str, Rule]] = {
    "AffineGrid": _unit_line,
    "AveragePool": _padded_alike,
    "Cast": _not_numbers,
    "CastLike": _not_numbers,
    "Compress": _long_condition,
    "ConvTranspose": _gaps_between,
    "GatherND": _other_batch,
    "LpPool": _padded_alike,
    "MaxPool": _padded_alike,
    "MeanVarianceNormalization": _single,
    "NegativeLogLikelihoodLoss": _no_class,
    "Resize": _cropped,
    "ScatterElements": _repeated,
    "ScatterND": _repeated_tuples,
    "SoftmaxCrossEntropyLoss": _no_class,
    "Squeeze": _no_axes,
    "TfIdfVectorizer": _shared_columns,
}
_MXNET: Final[dict[str, Rule]] = {
    "CTCLoss": _labels,
    "ROIPooling": _regions,
    "Pooling_v1": _gaps,
    "SequenceLast": _steps,
    "SequenceMask": _steps,
    "SequenceReverse": _steps,
    "_contrib_PSROIPooling": _regions,
    "_contrib_ROIAlign": _regions,
    "_contrib_RROIAlign": _regions,
    "_contrib_index_copy": _rows,
    "_contrib_quantized_batch_norm": _variances,
    "_npi_insert_tensor": _places,
    "_npi_pinv": _singular,
    "_npi_pinv_scalar_rcond": _singular,
    "log_softmax": _lengths,
    "softmax": _lengths,
    "softmax_cross_entropy": _classes,
    "softmin": _lengths,
}
