"""Random uses of operators: the cases of the rooms with sizes, attributes and element types changed.

A change may give a use that the operator's own framework refuses; then graphkit has to refuse it or at least not to
fall over. Where the framework computes it, graphkit has to compute the same or to say why not.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import onnx
import onnx_ir as ir
import refruns
from hypothesis import strategies as st
from opcases import Use, mx_model, mx_uses, onnx_model, onnx_uses
from undefined import is_left_open, reads_beyond

from graphkit.errors import ExecutionError, FormatError, GraphkitError
from graphkit.frameworks.base import InputSpec, ReadOptions, runtimes
from graphkit.frameworks.mxnet import schema
from graphkit.frameworks.mxnet.read import from_symbol
from graphkit.frameworks.mxnet.write import to_symbol
from graphkit.ir.canonical import canonical
from graphkit.ops.codec import show

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graphkit.ops.spec import Case

    Arrays = dict[str, np.ndarray]

__all__ = ["mxnet_problem", "mxnet_uses", "onnx_problem", "onnx_uses_of", "operators"]

_DTYPES: Final = ("float32", "float64", "float16", "int32", "int64", "int8", "uint8", "bool")
_TOLERANCE: Final = {"bfloat16": 2e-2, "float16": 2e-2, "float32": 1e-4, "float64": 1e-4}
"""Of the largest magnitude. Values that cancel are off by more than a case's are; a wrong formula by much more."""
_RUNTIMES_OWN: Final = (
    "It has no float64 kernel",
    "Could not find an implementation for",  # … an operator with these element types, in ONNX Runtime
    "not implemented for 'Half'",  # in PyTorch on CPUs
    "Integer division by zero",  # ONNX leaves its result open, and MXNet gives what it likes
    "ZeroDivisionError",  # the same in PyTorch
    "eps must be non-negative",  # for PyTorch's batch_norm
    "alpha_ > 0.0f",  # of its LRN
    "beta_ > 0.0f",
    "does not support double yet",
    "pads[dim] < kernel_shape[dim]",  # ONNX Runtime takes auto_pad that comes to such pads, and no such pads
    "Unsupported model IR version",  # of the opset that first has an operator with bfloat16
    "No corresponding Numpy type",
    "Expected more than 1 value per channel",
)
"""Of messages of runtimes that lack something which no conversion can give them."""


_CHANGES: Final = ("sizes", "size", "attribute", "attribute", "dtype", "range")
"""Ways to change a case. Graphs inside an operator say sizes and types of their own, to which no others would fit."""


def _pool(uses: Sequence[Use]) -> dict[str, list[Any]]:
    """Values of each attribute in an operator's cases."""
    found: dict[str, list[Any]] = {}
    for use in uses:
        for name, value in use.case.attrs.items():
            if value not in found.setdefault(name, []):
                found[name].append(value)
    return found


def _near(draw: st.DrawFn, value: Any) -> Any:
    """A value like another."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return draw(st.integers(value - 2, value + 3))
    if isinstance(value, float):
        return draw(st.sampled_from([0.0, 1.0, -value, value / 2, value * 3, 0.3]))
    if isinstance(value, tuple | list) and value and all(type(one) is int for one in value):
        changed = [draw(st.integers(one - 1, one + 2)) for one in value]
        return type(value)(draw(st.sampled_from([changed, changed[:-1], [*changed, changed[-1]], changed[::-1]])))
    return value


def _of_dtype(case: Case, dtype: str) -> Case:
    if dtype.startswith("float"):
        return replace(case, dtype=dtype)
    inputs = [
        replace(arr, low=0 if dtype == "uint8" else -5, high=6) if arr is not None and arr.dtype is None else arr
        for arr in case.inputs
    ]
    return replace(case, dtype=dtype, inputs=tuple(inputs))


def _with_input(case: Case, place: int, **changes: Any) -> Case:
    inputs = list(case.inputs)
    given = inputs[place]
    assert given is not None
    inputs[place] = replace(given, **changes)
    return replace(case, inputs=tuple(inputs))


def _size(draw: st.DrawFn, case: Case, place: int) -> Case:
    """One size of one input is another."""
    given = case.inputs[place]
    shape = list(given.shape if given is not None else ())
    if shape:
        shape[draw(st.integers(0, len(shape) - 1))] = draw(st.integers(1, 6))
    return _with_input(case, place, shape=tuple(shape))


def _sizes(draw: st.DrawFn, case: Case) -> Case:
    """Every size is another, equal ones alike."""
    free = [arr for arr in case.inputs if arr is not None and arr.values is None]
    sizes = sorted({size for arr in free for size in arr.shape})
    others = {size: draw(st.integers(0 if size == 0 else 1, 7)) for size in sizes}
    for place, arr in enumerate(case.inputs):
        if arr in free and arr is not None:
            case = _with_input(case, place, shape=tuple(others[size] for size in arr.shape))
    return case


def _attribute(draw: st.DrawFn, case: Case, choices: Mapping[str, Sequence[Any]]) -> Case:
    """One attribute is absent, as in another case, or near to what it was."""
    name = draw(st.sampled_from(sorted(choices)))
    value = draw(st.sampled_from(list(choices[name])))
    if draw(st.booleans()):
        value = _near(draw, case.attrs.get(name, value))
    attrs = {**case.attrs, name: value}
    if draw(st.integers(0, 5)) == 0:
        del attrs[name]
    return replace(case, attrs=attrs)


@st.composite
def changed(draw: st.DrawFn, uses: Sequence[Use], choices: Mapping[str, Sequence[Any]]) -> Use:
    """One of an operator's cases, changed in one to three ways."""
    use = draw(st.sampled_from(uses))
    case = use.case
    for _ in range(draw(st.integers(1, 3))):
        what = draw(st.sampled_from(_CHANGES if not case.graphs else ["attribute"]))
        free = [place for place, arr in enumerate(case.inputs) if arr is not None and arr.values is None]
        if what == "sizes":
            case = _sizes(draw, case)
        elif what == "size" and free:
            case = _size(draw, case, draw(st.sampled_from(free)))
        elif what == "attribute" and choices:
            case = _attribute(draw, case, choices)
        elif what == "dtype":
            case = _of_dtype(case, draw(st.sampled_from(_DTYPES)))
        elif what == "range" and free and case.dtype.startswith("float"):
            low, high = draw(st.sampled_from([(-3.0, 3.0), (0.1, 2.0), (-40.0, 40.0), (0.0, 1.0)]))
            case = _with_input(case, draw(st.sampled_from(free)), low=low, high=high)
    return replace(use, case=case)


def operators(side: str) -> list[str]:
    """Operators that have cases, of ``"onnx"`` or ``"mxnet"``, apart from those whose results are random."""
    uses = onnx_uses() if side == "onnx" else mx_uses()
    claim = "onnxruntime" if side == "onnx" else "read"
    return sorted({use.op.onnx if use.form is None else use.form.op for use in uses if not use.limit(claim)})


def onnx_uses_of(op: str) -> st.SearchStrategy[Use]:
    """Changed cases of an ONNX operator, those left out that ONNX Runtime is known to compute in another way."""
    uses = [use for use in onnx_uses() if use.op.onnx == op and not use.limit("onnxruntime")]
    return changed(uses, _pool(uses))


def mxnet_uses(op: str) -> st.SearchStrategy[Use]:
    """Changed cases of an MXNet operator; attributes also take what MXNet's schema lists.

    Cases that MXNet is known to compute in another way are left out.
    """
    uses = [use for use in mx_uses() if use.form is not None and use.form.op == op and not use.limit("read")]
    choices: dict[str, list[Any]] = _pool(uses)
    known = schema.operator(op)
    for name, parameter in (known.parameters if known is not None else {}).items():
        listed = [*parameter.choices, *(["True", "False"] if parameter.kind == "bool" else [])]
        listed += ["None"] if parameter.nullable else []
        choices.setdefault(name, []).extend(value for value in listed if value not in choices.get(name, ()))
    return changed(uses, {name: values for name, values in choices.items() if values})


def _differs(found: Arrays, expected: Sequence[np.ndarray], bounds: Mapping[str, float]) -> str:
    if len(found) != len(expected):
        return f"{len(found)} outputs instead of {len(expected)}"
    for (name, left), right in zip(found.items(), expected, strict=True):
        if left.shape != right.shape and not (left.size == right.size == 1):
            return f"{name} is {left.shape} instead of {right.shape}"
        if left.dtype != right.dtype:
            return f"{name} is {left.dtype} instead of {right.dtype}"
        a, b = left.reshape(right.shape).astype(np.float64), right.astype(np.float64)
        finite = np.isfinite(a) & np.isfinite(b)
        if not np.array_equal(a[~finite], b[~finite], equal_nan=True):
            return f"{name} is not finite elsewhere"
        if right.dtype in (np.int32, np.int64):  # what C++ makes of infinity, and what it likes
            finite &= b != np.iinfo(right.dtype).min
        scale = max(float(np.abs(b[finite]).max(initial=0)), 1e-3) if right.dtype.kind not in "biu" else 1.0
        error = float(np.abs(a[finite] - b[finite]).max(initial=0)) / scale
        if error > bounds.get(right.dtype.name, 0.0):
            return f"{name} differs by {error:.2g}{' of its largest magnitude' if scale != 1 else ''}"
    return ""


def _compared(
    model: ir.Model, feeds: Arrays, expected: Sequence[np.ndarray], names: Sequence[str], *, quantized: bool = False
) -> str:
    """What the runtimes make of a canonical model that should give certain arrays; refusals are fine."""
    halves = any(array.dtype == np.float16 for array in feeds.values())  # float32 made of these is not exact, either
    bounds = dict.fromkeys(_TOLERANCE, _TOLERANCE["float16"]) if halves else _TOLERANCE
    if quantized:  # what lies between two steps may go to either
        bounds = {**bounds, "int8": 1.0, "uint8": 1.0}
    for name in names:
        try:
            with runtimes()[name].open(model, native=False) as session:
                found = session.forward({key: feeds[key] for key in _inputs(model)})
        except GraphkitError as error:
            lacks = any(known in str(error) for known in _RUNTIMES_OWN) or not all(right.size for right in expected)
            if isinstance(error, ExecutionError) and not lacks and not (name == "mxnet" and _is_warned_of(model)):
                return f"{name} fails: {error}"
            continue
        problem = _differs(found, expected, bounds)
        if problem and not (name == "mxnet" and _is_warned_of(model)):
            return f"{name}: {problem}"
    return ""


def _without_limits(use: Use, claims: Mapping[str, str]) -> list[str]:
    """Runtimes of which no limit is known for the case that a use was made of, given the claim about each."""
    return [name for name, claim in claims.items() if not use.limit(claim)]


def _is_warned_of(model: ir.Model) -> bool:
    """Whether graphkit warns that MXNet computes something else with a model."""
    deviations: list[str] = []
    to_symbol(model, deviations.append)
    return bool(deviations)


def _inputs(model: ir.Model) -> list[str]:
    return [value.name or "" for value in model.graph.inputs]


def onnx_problem(use: Use) -> str | None:
    """What graphkit gets wrong of an ONNX use, "" if nothing; None where ONNX Runtime does not compute it."""
    if is_left_open(use.op.onnx, use.case):
        return None
    with np.errstate(all="ignore"):
        model, feeds = onnx_model(use)
    expected = refruns.of_onnx_runtime(onnx.ModelProto.SerializeToString(ir.to_proto(model)), feeds)
    try:
        model = canonical(model)
    except GraphkitError:
        return None if expected is None else ""
    if expected is None:
        for name in ("torch", "mxnet"):
            _opened(name, model)
        return None
    return _compared(model, feeds, expected, _without_limits(use, {"ort": "", "torch": "torch", "mxnet": "mxnet"}))


def _opened(name: str, model: ir.Model) -> None:
    """Open a model that need not be right: graphkit may refuse it, and must not fall over."""
    with contextlib.suppress(GraphkitError):
        runtimes()[name].open(model, native=False).close()


def mxnet_problem(use: Use) -> str | None:
    """What graphkit gets wrong of an MXNet use, "" if nothing; None where MXNet does not compute it.

    A deviation that graphkit warns of is nothing wrong.
    """
    assert use.form is not None
    if reads_beyond(use.form.op, use.case):
        return None
    with np.errstate(all="ignore"):
        use = replace(use, case=replace(use.case, attrs={k: show(v) for k, v in use.case.attrs.items()}))
        try:
            mx, feeds = mx_model(use)
        except FormatError:  # an attribute that MXNet's own schema does not allow
            return None
    expected = refruns.of_mxnet(mx, feeds)
    inputs = tuple(InputSpec(name, array.shape, array.dtype.name) for name, array in feeds.items())
    deviations: list[str] = []
    options = ReadOptions(inputs=inputs, dynamic_batch=False, warn=deviations.append)
    try:
        model = canonical(from_symbol(mx, options, use.id))
    except GraphkitError:
        return None if expected is None else ""
    if expected is None:
        return None
    if deviations:
        return ""
    quantized = use.form.op.startswith("_contrib_quantized")
    names = _without_limits(use, {"ort": "", "torch": "read-torch", "mxnet": "read-round-trip"})
    problem = _compared(model, feeds, expected, names, quantized=quantized)
    return problem if not problem or refruns.mxnet_always_agrees(mx, feeds, expected) else None
