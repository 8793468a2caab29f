"""The one check of what a session is fed, shared by all runtimes."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from graphkit.errors import FeedError
from graphkit.frameworks.lookups import check_lookups
from graphkit.ir.edit import graphs_of
from graphkit.ir.training import losses

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    import numpy.typing as npt

    from graphkit.frameworks.base import Loss

__all__ = [
    "check_classes",
    "check_feeds",
    "check_gradient_taps",
    "check_seeds",
    "check_taps",
    "check_targets",
    "inner_tensors",
]


def check_feeds(model: ir.Model, feeds: Mapping[str, npt.NDArray[np.generic]]) -> dict[str, npt.NDArray[np.generic]]:
    """The feeds in the order of the model's inputs, as contiguous arrays.

    Args:
        model: A canonical model.
        feeds: One array for each graph input, by name; a list of them for a sequence, None for an absent optional
            input.

    Raises:
        FeedError: A feed is missing, unknown, or of the wrong dtype or shape, two inputs disagree on the size of the
            symbolic dimension that they share, or a table of weights has no row that would be looked up.
    """
    inputs = [value for value in model.graph.inputs if not value.is_initializer()]
    wanted = [value.name or "" for value in inputs]
    _check_names("Input", wanted, list(feeds))
    sizes: dict[str, tuple[int, str]] = {}
    checked = {name: _checked(value, feeds[name], sizes, "Input") for name, value in zip(wanted, inputs, strict=True)}
    check_lookups(model, checked)
    return checked


def check_seeds(
    model: ir.Model,
    seeds: Mapping[str, npt.NDArray[np.generic]],
    outputs: Mapping[str, npt.NDArray[np.generic]] | None = None,
) -> dict[str, npt.NDArray[np.generic]]:
    """The cotangents in the order of the model's float outputs, as contiguous arrays.

    Args:
        model: A canonical model.
        seeds: One array for each float output, by name.
        outputs: The computed outputs, where they are at hand: each seed must have their exact shape.

    Raises:
        FeedError: A seed is missing, unknown, or of the wrong dtype or shape.
    """
    floats = [value for value in model.graph.outputs if value.dtype is None or value.dtype.is_floating_point()]
    wanted = [value.name or "" for value in floats]
    _check_names("Cotangent", wanted, list(seeds))
    sizes: dict[str, tuple[int, str]] = {}
    found = {name: _checked(value, seeds[name], sizes, "Cotangent") for name, value in zip(wanted, floats, strict=True)}
    for name, seed in found.items():
        if outputs is not None and name in outputs and outputs[name].shape != seed.shape:
            raise FeedError(
                f"Cotangent {name!r} has shape {seed.shape}, the output it belongs to {outputs[name].shape}; give one "
                f"of the output's shape."
            )
    return found


def check_targets(
    model: ir.Model, targets: Mapping[str, npt.NDArray[np.generic]], loss: Loss = "mse"
) -> dict[str, npt.NDArray[np.generic]]:
    """The targets of a step of training in the order of the model's float outputs, as contiguous arrays.

    Args:
        model: A canonical model.
        targets: One array for each float output, by name, as :class:`graphkit.frameworks.base.Batch` says; none for a
            model that has losses.
        loss: What the targets are for.

    Raises:
        FeedError: A target is missing, unknown, of the wrong dtype or shape, or no class of its output; or no output
            can have one.
    """
    if losses(model):
        _check_names("Target", [], list(targets))
        return {}
    wanted = [value for value in model.graph.outputs if value.dtype is None or value.dtype.is_floating_point()]
    if loss == "cross-entropy":
        wanted = [value for value in wanted if value.shape is None or len(value.shape) > 1]
    if not wanted:
        of = "of two axes or more " if loss == "cross-entropy" else ""
        raise FeedError(
            f"The model has no float output {of}to train, and no losses of its own; name another loss, or make no "
            "steps."
        )
    names = [value.name or "" for value in wanted]
    _check_names("Target", names, list(targets))
    sizes: dict[str, tuple[int, str]] = {}
    if loss == "mse":
        return {n: _checked(value, targets[n], sizes, "Target") for n, value in zip(names, wanted, strict=True)}
    found: dict[str, npt.NDArray[np.generic]] = {}
    for name, value in zip(names, wanted, strict=True):
        classes = None if value.shape is None else value.shape[1]
        places = None if value.shape is None else ir.Shape([value.shape[0], *value.shape[2:]])
        member = ir.Value(name=name, shape=places, type=ir.TensorType(ir.DataType.INT64))
        found[name] = _checked(member, targets[name], sizes, "Target")
        check_classes(name, found[name], classes if isinstance(classes, int) else None)
    return found


def check_classes(name: str, target: npt.NDArray[np.generic], classes: int | None) -> None:
    """Refuse a target that holds anything but classes, which are counted from 0; ``None`` for an unknown number.

    Raises:
        FeedError: A number is negative or too large.
    """
    numbers = target.astype(np.int64).reshape(-1)
    wrong = numbers[(numbers < 0) | (numbers >= (np.iinfo(np.int64).max if classes is None else classes))]
    if wrong.size:
        known = "which are counted from 0" if classes is None else f"of which the output has {classes}, from 0 on"
        raise FeedError(f"Target {name!r} holds {wrong[0]}, which is no class, {known}; correct the labels.")


def check_taps(model: ir.Model, taps: Sequence[str]) -> list[ir.Value]:
    """The values of the main graph that taps name, in order.

    Raises:
        FeedError: The model has no value of that name, or it is inside a loop or branch.
    """
    if not taps:
        return []
    known: dict[str, ir.Value] = {value.name or "": value for value in model.graph.inputs}
    known.update(model.graph.initializers)
    for node in model.graph:
        known.update({value.name or "": value for value in node.outputs})
    for tap in taps:
        if not tap or tap not in known:
            _check_inside(model, tap)
            near = difflib.get_close_matches(tap, known, 1)
            hint = f" Is it meant to be {near[0]!r}?" if near else ""
            raise FeedError(f"The model has no value {tap!r} to tap; values are named as in the converted graph.{hint}")
    return [known[tap] for tap in taps]


def check_gradient_taps(model: ir.Model, taps: Sequence[str], tappable: Collection[str]) -> list[ir.Value]:
    """The values between nodes in which gradients are asked for, each once, in order.

    Args:
        model: A canonical model.
        taps: Their names.
        tappable: What the session can tap.

    Raises:
        FeedError: The model has no value of that name, the session does not compute it, or it is no float.
    """
    found = check_taps(model, list(dict.fromkeys(taps)))
    for value in found:
        name = value.name or ""
        if name not in tappable:
            why = "the runtime's form of the model does not compute it between two nodes"
            raise FeedError(f"There is no gradient in {name!r} here: {why}; tap another value.")
        if value.dtype is None or not value.dtype.is_floating_point():
            kind = "unknown elements" if value.dtype is None else f"elements of {value.dtype.name.lower()}"
            raise FeedError(f"There is no gradient in {name!r}, which has {kind}; tap a float value.")
    return found


def inner_tensors(model: ir.Model) -> dict[str, ir.Value]:
    """The tensors that nodes of the main graph compute, by name and in order; strings are not among them."""
    return {
        value.name: value
        for node in model.graph
        for value in node.outputs
        if value.name and isinstance(value.type, ir.TensorType) and value.dtype != ir.DataType.STRING
    }


def _check_inside(model: ir.Model, tap: str) -> None:
    """Say so where a value is one of a body, which has any number of values in a run."""
    for node in model.graph:
        bodies = [attribute.as_graph() for attribute in node.attributes.values() if attribute.type.name == "GRAPH"]
        graphs = [graph for body in bodies for graph in graphs_of(body)]
        inside = {value.name for graph in graphs for value in graph.inputs}
        inside.update(value.name for graph in graphs for inner in graph for value in inner.outputs)
        if tap in inside:
            outputs = ", ".join(repr(value.name) for value in node.outputs)
            raise FeedError(
                f"Value {tap!r} is inside a body of {node.op_type} node {node.name!r}, where it may be computed "
                f"several times or never; tap what the node gives ({outputs})."
            )


def _check_names(what: str, wanted: list[str], given: list[str]) -> None:
    missing = [name for name in wanted if name not in given]
    unknown = [name for name in given if name not in wanted]
    if not missing and not unknown:
        return
    parts = []
    if missing:
        parts.append(f"{', '.join(map(repr, missing))} {'is' if len(missing) == 1 else 'are'} missing")
    if unknown:
        parts.append(f"{', '.join(map(repr, unknown))} {'is' if len(unknown) == 1 else 'are'} unknown")
    known = ", ".join(map(repr, wanted)) or "none"
    raise FeedError(f"{what} {' and '.join(parts)}; the model's are {known}.")


def _checked(value: ir.Value, given: Any, sizes: dict[str, tuple[int, str]], what: str) -> Any:
    name = value.name
    inner: Any = value.type
    if isinstance(inner, ir.OptionalType):
        if given is None:
            return None
        inner = inner.elem_type
    if isinstance(inner, ir.SequenceType):
        if not isinstance(given, list | tuple):
            raise FeedError(f"{what} {name!r} is a sequence: feed a list of arrays.")
        member = ir.Value(name=name, type=inner.elem_type)
        return [_checked(member, item, {}, what) for item in given]
    array = np.asarray(given)
    if value.dtype is not None:
        dtype = value.dtype.numpy()
        if array.dtype != dtype and not (dtype == np.object_ and array.dtype.kind in "UO"):
            raise FeedError(f"{what} {name!r} has dtype {array.dtype}, the model asks for {dtype}; cast it.")
    if value.shape is None:
        return np.ascontiguousarray(array).reshape(array.shape)
    shown = "×".join(str(dim) if isinstance(dim, int) else str(dim.value or "?") for dim in value.shape) or "scalar"
    complaint = f"{what} {name!r} has shape {'×'.join(map(str, array.shape)) or 'scalar'}, the model asks for {shown}"
    if array.ndim != len(value.shape):
        raise FeedError(f"{complaint}.")
    for size, dim in zip(array.shape, value.shape, strict=True):
        if isinstance(dim, int):
            if size != dim:
                raise FeedError(f"{complaint}.")
        elif dim.value is not None:
            bound, by = sizes.setdefault(dim.value, (size, name or ""))
            if bound != size:
                raise FeedError(f"{complaint}, where {dim.value} is {bound} by {by!r}.")
    return np.ascontiguousarray(array).reshape(array.shape)
