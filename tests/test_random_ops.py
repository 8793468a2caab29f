"""Claims about operators that draw random numbers: every side draws from the same distribution.

Each row of an output's first axis is a sample of one distribution, or each column where rows are short. Bounds are such
that right operators fail about once in a billion comparisons; a distribution that is off by a few percent of its mass
fails.

The names of the claims, for ``Limit.where``: ``onnxruntime``, ``schema``, ``mxnet``, ``torch``, ``round-trip``,
``read``, ``read-torch``, ``read-backward``, ``read-round-trip``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from opcases import Use, mx_uses, onnx_model, onnx_uses
from test_ops import as_held, converted, input_names, over, run, specs

from graphkit.frameworks.base import ReadOptions, runtimes
from graphkit.frameworks.mxnet import schema
from graphkit.frameworks.mxnet.read import from_symbol
from graphkit.frameworks.mxnet.write import to_symbol
from graphkit.ir.canonical import canonical

if TYPE_CHECKING:
    from collections.abc import Mapping

    import onnx_ir as ir

Rows = npt.NDArray[np.float64]

ONNX_USES = onnx_uses(random=True)
MX_USES = mx_uses(random=True)
_FEW = 5000
_SIGMAS = 7.0
_OUTSIDE = 40
"""Numbers beyond the extremes of another sample of the same size: two are expected, and 40 come once in 10¹²."""
_ROUNDING = 4 * np.finfo(np.float32).eps
"""Share of the largest number by which float32 logarithms of one probability differ: libraries round them otherwise."""


def rows_of(array: npt.NDArray[Any]) -> Rows:
    rows = array.reshape(array.shape[0], -1) if array.ndim > 1 else array.reshape(1, -1)
    rows = rows.T if len(rows) >= _FEW else rows
    assert rows.shape[1] >= _FEW, f"{rows.shape[1]} numbers are too few to tell distributions apart"
    return rows.astype(np.float64)


def share(sample: Rows, places: Rows) -> Rows:
    found: Rows = np.searchsorted(np.sort(sample), places, side="right") / sample.size
    return found


def distance(one: Rows, other: Rows, step: float) -> float:
    """Kolmogorov's and Smirnov's: the largest difference of two samples' distribution functions.

    Numbers that differ by no more than a step count as the same one.
    """
    places = np.concatenate([one, other])
    pairs = ((one, other), (other, one))
    return max(float((share(left, places - step) - share(right, places)).max()) for left, right in pairs)


def assert_one_distribution(name: str, one: Rows, other: Rows) -> None:
    count = min(one.size, other.size)
    bound = np.sqrt(-np.log(0.5e-9) / 2) * np.sqrt(2 / count)
    step = _ROUNDING * max(np.abs(one).max(), np.abs(other).max())
    apart = distance(one, other, step)
    assert apart <= bound, f"{name}: the distributions differ by {apart:.3g}"
    deviation = np.sqrt((one.var() + other.var()) / count)
    assert abs(one.mean() - other.mean()) <= _SIGMAS * deviation + 1e-9, f"{name}: means {one.mean()}, {other.mean()}"
    beyond = max(((a < b.min() - step) | (a > b.max() + step)).sum() for a, b in ((one, other), (other, one)))
    assert beyond <= _OUTSIDE, f"{name}: {beyond} numbers are beyond the other's extremes"


def assert_independent(name: str, sample: Rows, *, across: bool) -> None:
    pairs = [(row[1:], row[:-1]) for row in sample]
    pairs += [(sample[0], row) for row in sample[1:]] if across else []
    for one, other in pairs:
        if one.std() and other.std():
            correlation = float(np.corrcoef(one, other)[0, 1])
            assert abs(correlation) <= _SIGMAS / np.sqrt(one.size), f"{name}: numbers correlate by {correlation:.3g}"


def assert_alike(found: Mapping[str, npt.NDArray[Any]], expected: Mapping[str, npt.NDArray[Any]]) -> None:
    assert list(found) == list(expected)
    for name, right in expected.items():
        left = found[name]
        assert left.shape == right.shape, f"{name}: {left.shape} is not {right.shape}"
        assert left.dtype == right.dtype, f"{name}: {left.dtype} is not {right.dtype}"
        for one, other in zip(rows_of(left), rows_of(right), strict=True):
            assert np.isfinite(one).all()
            assert_one_distribution(name, one, other)
        assert_independent(name, rows_of(left), across=left.shape[0] < _FEW)


def has_many_parameters(use: Use) -> bool:
    """Whether gradients are samples, too: every input has enough numbers for that."""
    given = [each for each in use.case.inputs if each is not None]
    return bool(given) and all(each.dtype != "int64" and each.shape[-1] >= _FEW for each in given)


def reference(model: ir.Model, feeds: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
    return run("reference", model, {name: array for name, array in feeds.items() if name in input_names(model)})


@over(ONNX_USES, "onnxruntime")
def test_onnx_runtime_draws_as_the_reference_does(use: Use) -> None:
    model, feeds = onnx_model(use)
    canonical(model)
    assert_alike(run("ort", model, feeds), reference(model, feeds))


@over(ONNX_USES, "schema")
def test_what_is_written_fits_mxnets_schema(use: Use) -> None:
    model, _ = onnx_model(use)
    assert [p for node in to_symbol(canonical(model)).graph.nodes for p in schema.validate(node)] == []


@over(ONNX_USES, "mxnet")
def test_mxnet_draws_as_onnx_says(use: Use) -> None:
    model, feeds = onnx_model(use)
    canonical(model)
    assert_alike(run("mxnet", model, feeds), reference(model, feeds))


@over(ONNX_USES, "torch")
def test_torch_source_draws_as_onnx_says(use: Use) -> None:
    model, feeds = onnx_model(use)
    canonical(model)
    assert_alike(run("torch", model, feeds), reference(model, feeds))


@over(ONNX_USES, "round-trip")
def test_onnx_to_mxnet_and_back_keeps_the_distribution(use: Use) -> None:
    model, feeds = onnx_model(use)
    expected = reference(canonical(model), feeds)
    mx = to_symbol(model)
    kept = {variable.name for variable in mx.graph.variables()}
    given = {name: as_held(array) for name, array in feeds.items() if name in kept}
    back = canonical(from_symbol(mx, ReadOptions(inputs=specs(model, given), dynamic_batch=False), use.id))
    found = reference(back, given)
    held = [left.astype(right.dtype) for left, right in zip(found.values(), expected.values(), strict=True)]
    assert_alike(dict(zip(expected, held, strict=True)), expected)


@over(MX_USES, "read")
def test_what_is_read_draws_as_mxnet_does(use: Use) -> None:
    model, _, feeds = converted(use)
    assert_alike(reference(model, feeds), run("mxnet", model, feeds, native=True))


@over(MX_USES, "read-torch")
def test_what_is_read_from_mxnet_draws_the_same_as_torch_source(use: Use) -> None:
    model, _, feeds = converted(use)
    feeds = {name: array for name, array in feeds.items() if name in input_names(model)}
    assert_alike(run("torch", model, feeds), reference(model, feeds))


@over([use for use in MX_USES if has_many_parameters(use)], "read-backward", gradients=True)
def test_gradients_of_what_is_read_are_distributed_as_mxnets(use: Use) -> None:
    model, _, feeds = converted(use)
    with runtimes()["mxnet"].open(model) as native, runtimes()["torch"].open(model) as written:
        seeds = {name: np.ones_like(array) for name, array in native.forward(feeds).items() if array.dtype.kind == "f"}
        if seeds:
            expected = native.backward(feeds, seeds)
            found = written.backward({name: feeds[name] for name in feeds if name in input_names(model)}, seeds)
            assert_alike(found, {name: expected[name] for name in found})


@over(MX_USES, "read-round-trip")
def test_mxnet_to_onnx_and_back_keeps_the_distribution(use: Use) -> None:
    model, _, feeds = converted(use)
    feeds = {name: array for name, array in feeds.items() if name in input_names(model)}
    assert_alike(run("mxnet", model, feeds, native=False), reference(model, feeds))
