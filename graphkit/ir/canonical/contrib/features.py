"""``ai.onnx.ml``: features of numbers, and models that are linear in them.

Strings and maps are not expressed; such nodes stay. Results are float32 whatever the data are, as ONNX says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from graphkit.ir.canonical.contrib.parts import (
    UnsuitableError,
    dtype_of,
    floats,
    integer,
    ints,
    needed,
    number,
    rank_of,
    reshaped,
    scalar,
    shape_known,
    sliced,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from graphkit.ir.canonical.contrib.parts import Expansion
    from graphkit.ir.edit import Editor

__all__ = ["EXPANSIONS", "as_float", "labelled", "numbers_only", "transformed"]

_STRINGS = "it holds strings, which neither torch nor MXNet has; encode them before the model"


def numbers_only(edit: Editor) -> None:
    """Refuse a node that has strings among its attributes' lists or what it reads."""
    for name, attribute in edit.node.attributes.items():
        if attribute.type == ir.AttributeType.STRINGS and name != "nodes_modes" and attribute.as_strings():
            raise UnsuitableError(_STRINGS)
    if any(value is not None and value.dtype == ir.DataType.STRING for value in edit.node.inputs):
        raise UnsuitableError(_STRINGS)


def as_float(edit: Editor, value: ir.Value) -> ir.Value:
    """A value as float32."""
    return value if dtype_of(value) == np.float32 else edit.op("Cast", value, to=ir.DataType.FLOAT)


def transformed(edit: Editor, scores: ir.Value) -> ir.Value:
    """Scores (examples, targets) after ``post_transform``."""
    name = edit.node.attributes.get_string("post_transform", "NONE")
    if name == "NONE":
        return scores
    if name == "LOGISTIC":
        return edit.op("Sigmoid", scores)
    if name == "SOFTMAX":
        return edit.op("Softmax", scores, axis=-1)
    if name == "SOFTMAX_ZERO":
        zero = scalar(edit, "zero", 0.0, scores)
        hidden = edit.op("Equal", scores, zero)
        lowest = scalar(edit, "lowest", float("-inf"), scores)
        return edit.op("Where", hidden, zero, edit.op("Softmax", edit.op("Where", hidden, lowest, scores), axis=-1))
    raise UnsuitableError(f"post_transform={name} has no equal among ONNX's own operators")


def labelled(edit: Editor, places: ir.Value, labels: tuple[int, ...]) -> ir.Value:
    """The label at each place."""
    if labels == tuple(range(len(labels))):
        return places
    return edit.op("Gather", edit.const("labels", labels), places)


def _row(edit: Editor, role: str, values: tuple[np.float32, ...]) -> ir.Value:
    numbers = np.asarray(values, np.float32)
    return edit.const(role, numbers.reshape(()) if numbers.size == 1 else numbers, np.float32)


def _scaler(edit: Editor) -> None:
    made = as_float(edit, needed(edit, 0))
    offset, scale = floats(edit, "offset"), floats(edit, "scale")
    if any(offset):
        made = edit.op("Sub", made, _row(edit, "offset", offset))
    if any(factor != 1 for factor in scale):
        made = edit.op("Mul", made, _row(edit, "scale", scale))
    edit.replace(made if made is not needed(edit, 0) else edit.op("Identity", made))


def _normalizer(edit: Editor) -> None:
    """Rows divided by their norm; ONNX Runtime leaves rows of zeros as they are."""
    x = as_float(edit, needed(edit, 0))
    name, axes = edit.node.attributes.get_string("norm", "MAX"), edit.const("axes", [-1])
    if name == "MAX":
        norm = edit.op("ReduceMax", x, axes, keepdims=1)
    elif name in ("L1", "L2"):
        norm = edit.op(f"Reduce{name}", x, axes, keepdims=1)
    else:
        raise UnsuitableError(f"norm={name} is none of MAX, L1 and L2")
    zero = edit.op("Equal", norm, scalar(edit, "zero", 0.0, x))
    edit.replace(edit.op("Div", x, edit.op("Where", zero, scalar(edit, "one", 1.0, x), norm)))


def _binarizer(edit: Editor) -> None:
    x = needed(edit, 0)
    above = edit.op("Greater", x, scalar(edit, "threshold", number(edit, "threshold", 0.0), x))
    edit.replace(edit.op("Cast", above, to=ir.DataType.from_numpy(dtype_of(x))))


def _extractor(edit: Editor) -> None:
    """Elements of the last axis; of a vector as a row."""
    x = needed(edit, 0)
    if x.dtype == ir.DataType.STRING:
        raise UnsuitableError(_STRINGS)
    places = reshaped(edit, needed(edit, 1), [-1], "places")
    made = edit.op("Gather", x, places, axis=rank_of(x) - 1)
    edit.replace(made if rank_of(x) > 1 else edit.op("Unsqueeze", made, edit.const("row", [0])))


def _imputer(edit: Editor) -> None:
    x = needed(edit, 0)
    if dtype_of(x).kind == "f":
        wanted, numbers = number(edit, "replaced_value_float", 0.0), np.asarray(floats(edit, "imputed_value_floats"))
    else:
        wanted = np.float32(0)
        numbers = np.asarray(ints(edit, "imputed_value_int64s"))
    missing = (
        edit.op("IsNaN", x)
        if np.isnan(wanted)
        else edit.op("Equal", x, scalar(edit, "missing", wanted, x))
        if dtype_of(x).kind == "f"
        else edit.op("Equal", x, edit.const("missing", integer(edit, "replaced_value_int64"), dtype_of(x)))
    )
    if numbers.size == 0:
        raise UnsuitableError("it has no values of its input's kind to put in")
    filled = edit.const("imputed", numbers.reshape(()) if numbers.size == 1 else numbers, dtype_of(x))
    edit.replace(edit.op("Where", missing, filled, x))


def _vectorizer(edit: Editor) -> None:
    """Inputs side by side, each with so many features."""
    parts = []
    for place, size in enumerate(ints(edit, "inputdimensions")):
        value = needed(edit, place)
        own = shape_known(value)[-1] if rank_of(value) > 1 else 1
        flat = (
            reshaped(edit, as_float(edit, value), [-1, 1], "column") if rank_of(value) == 1 else as_float(edit, value)
        )
        if own != size:
            if not isinstance(own, int) or own < size:
                raise UnsuitableError(f"its input {place} has {own} features, and inputdimensions says {size}")
            flat = sliced(edit, flat, 1, 0, size)
        parts.append(flat)
    edit.replace(edit.op("Concat", *parts, axis=1))


def _one_hot(edit: Editor) -> None:
    numbers_only(edit)
    x, categories = needed(edit, 0), ints(edit, "cats_int64s")
    apart = edit.op("Unsqueeze", edit.op("Cast", x, to=ir.DataType.INT64), edit.const("last", [-1]))
    edit.replace(edit.op("Cast", edit.op("Equal", apart, edit.const("categories", categories)), to=ir.DataType.FLOAT))


def _table(edit: Editor, side: str) -> npt.NDArray[np.generic] | None:
    """The numbers of a LabelEncoder's keys or values."""
    attributes = edit.node.attributes
    if f"{side}_tensor" in attributes:
        return attributes[f"{side}_tensor"].as_tensor().numpy()
    if f"{side}_int64s" in attributes:
        return np.asarray(ints(edit, f"{side}_int64s"), np.int64)
    if f"{side}_floats" in attributes:
        return np.asarray(floats(edit, f"{side}_floats"), np.float32)
    return None


def _label_encoder(edit: Editor) -> None:
    numbers_only(edit)
    keys, values = _table(edit, "keys"), _table(edit, "values")
    if keys is None or values is None or keys.dtype.kind not in "fi" or values.dtype.kind not in "fi":
        raise UnsuitableError(_STRINGS)
    attributes = edit.node.attributes
    if "default_tensor" in attributes:
        default = attributes["default_tensor"].as_tensor().numpy().reshape(())
    elif values.dtype.kind == "i":
        default = np.asarray(integer(edit, "default_int64", -1), values.dtype)
    else:
        default = np.asarray(number(edit, "default_float", -0.0), values.dtype)
    last = edit.const("last", [-1])
    x = edit.op("Unsqueeze", needed(edit, 0), last)
    same = edit.op("Equal", x, edit.const("keys", keys, keys.dtype))
    if keys.dtype.kind == "f" and np.isnan(keys).any():
        both = edit.op("And", edit.op("IsNaN", x), edit.const("nan_keys", np.isnan(keys), bool))
        same = edit.op("Or", same, both)
    hits = edit.op("Cast", same, to=ir.DataType.INT32)
    place = edit.op("ArgMax", hits, axis=-1, keepdims=0)
    found = edit.op("Cast", edit.op("ReduceMax", hits, last, keepdims=0), to=ir.DataType.BOOL)
    given = edit.op("Gather", edit.const("values", values, values.dtype), place)
    edit.replace(edit.op("Where", found, given, edit.const("default", default, values.dtype)))


def _linear(edit: Editor, targets: int) -> ir.Value:
    """X · coefficientsᵀ + intercepts, (examples, targets)."""
    x = as_float(edit, needed(edit, 0))
    if rank_of(x) == 1:
        x = reshaped(edit, x, [1, -1], "row")
    weights = np.asarray(floats(edit, "coefficients"), np.float32).reshape(targets, -1)
    shift = floats(edit, "intercepts")
    bias = edit.const("intercepts", shift, np.float32) if any(shift) else None
    return edit.op("Gemm", x, edit.const("coefficients", weights, np.float32), bias, transB=1)


def _linear_regressor(edit: Editor) -> None:
    edit.replace(transformed(edit, _linear(edit, integer(edit, "targets", 1))))


def _linear_classifier(edit: Editor) -> None:
    numbers_only(edit)
    labels = ints(edit, "classlabels_ints")
    rows = len(floats(edit, "intercepts")) or len(labels)
    if rows == 1 or len(labels) != rows:
        raise UnsuitableError("it tells two classes apart by one score; give each class a row of coefficients")
    scores = _linear(edit, rows)
    places = edit.op("ArgMax", scores, axis=1, keepdims=0)
    edit.replace(labelled(edit, places, labels), transformed(edit, scores))


def _svm_regressor(edit: Editor) -> None:
    """Σ coefficient · kernel(x, support vector) + rho; of one class its sign."""
    x = as_float(edit, needed(edit, 0))
    count, kind = integer(edit, "n_supports"), edit.node.attributes.get_string("kernel_type", "LINEAR")
    parameters = (*map(float, floats(edit, "kernel_params")), 0.0, 0.0, 0.0)[:3]
    gamma, shift, degree = parameters
    coefficients = np.asarray(floats(edit, "coefficients"), np.float32)
    if count:
        vectors = np.asarray(floats(edit, "support_vectors"), np.float32).reshape(count, -1)
        products = edit.op("Gemm", x, edit.const("support_vectors", vectors, np.float32), transB=1)
        if kind == "RBF":
            left = edit.op("Unsqueeze", x, edit.const("vectors", [1]))
            apart = edit.op("Sub", left, edit.const("support_vectors", vectors, np.float32))
            squares = edit.op("ReduceSumSquare", apart, edit.const("features", [2]), keepdims=0)
            products = edit.op("Exp", edit.op("Mul", squares, scalar(edit, "gamma", np.float32(-gamma), x)))
        elif kind in ("POLY", "SIGMOID"):
            inner = edit.op("Mul", products, scalar(edit, "gamma", np.float32(gamma), x))
            inner = edit.op("Add", inner, scalar(edit, "shift", np.float32(shift), x))
            power = scalar(edit, "degree", np.float32(degree), x)
            products = edit.op("Tanh", inner) if kind == "SIGMOID" else edit.op("Pow", inner, power)
    else:
        products = x
    column = edit.const("coefficients", coefficients.reshape(-1, 1), np.float32)
    rho = floats(edit, "rho")
    made = edit.op("Gemm", products, column, edit.const("rho", rho[:1], np.float32) if rho else None)
    if integer(edit, "one_class"):
        above = edit.op("Greater", made, scalar(edit, "zero", 0.0, made))
        made = edit.op("Where", above, scalar(edit, "one", 1.0, made), scalar(edit, "other", -1.0, made))
    edit.replace(transformed(edit, made))


EXPANSIONS: Mapping[tuple[str, str], Expansion] = {
    ("ai.onnx.ml", name): expansion
    for name, expansion in {
        "ArrayFeatureExtractor": _extractor,
        "Binarizer": _binarizer,
        "FeatureVectorizer": _vectorizer,
        "Imputer": _imputer,
        "LabelEncoder": _label_encoder,
        "LinearClassifier": _linear_classifier,
        "LinearRegressor": _linear_regressor,
        "Normalizer": _normalizer,
        "OneHotEncoder": _one_hot,
        "SVMRegressor": _svm_regressor,
        "Scaler": _scaler,
    }.items()
}
