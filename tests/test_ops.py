"""Each test is a claim about operators, run over every case of every room.

The names of the claims, for ``Limit.where``:
``onnxruntime``, ``schema``, ``mxnet``, ``mxnet-float64``, ``mxnet-backward``, ``round-trip``,
``read``, ``read-float64``, ``read-backward``, ``read-round-trip``,
``torch``, ``torch-float64``, ``torch-backward``, ``read-torch``,
``gradient``, ``gradient-onnxruntime``.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from opcases import Use, mx_model, mx_uses, onnx_model, onnx_uses

from graphkit.frameworks.base import InputSpec, ReadOptions, runtimes
from graphkit.frameworks.mxnet import schema
from graphkit.frameworks.mxnet.read import from_symbol
from graphkit.frameworks.mxnet.write import to_symbol
from graphkit.ir.canonical import canonical
from graphkit.ir.origin import Source, set_source
from graphkit.passes.cast_floats import cast_floats

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import onnx_ir as ir

    from graphkit.ops.mxgraph import MxModel

Arrays = dict[str, np.ndarray]


def over(uses: list[Use], claim: str, *, gradients: bool = False) -> Any:
    """Parametrise a claim over uses; a Limit makes a case a strict expected failure."""
    rows = []
    for use in uses:
        if gradients and not (use.case.grad and use.has_float64):
            continue
        reason = use.limit(claim)
        rows.append(pytest.param(use, id=use.id, marks=pytest.mark.xfail(reason=reason, strict=True) if reason else ()))
    return pytest.mark.parametrize("use", rows)


def in_float64(uses: list[Use]) -> list[Use]:
    return [use for use in uses if use.has_float64]


def run(name: str, model: ir.Model, feeds: Arrays, *, native: bool = False) -> Arrays:
    with runtimes()[name].open(model, native=native) as session:
        return session.forward(feeds)


_REFERENCES: dict[tuple[str, str], Arrays] = {}
"""What the reference evaluator computes, by use and dtype: several claims compare with the same numbers."""


def reference(use: Use, model: ir.Model, feeds: Arrays, dtype: str = "float32") -> Arrays:
    """What the reference evaluator computes for an ONNX case's model with the case's own feeds."""
    key = (use.id, dtype)
    if key not in _REFERENCES:
        _REFERENCES[key] = run("reference", model, feeds)
    return _REFERENCES[key]


def seeds_for(outputs: Arrays) -> Arrays:
    rng = np.random.default_rng(7)
    return {
        name: rng.standard_normal(array.shape).astype(array.dtype)
        for name, array in outputs.items()
        if array.dtype.kind == "f"
    }


def assert_same(found: Arrays, expected: Arrays, tol: float) -> None:
    assert list(found) == list(expected)
    for name, right in expected.items():
        left = found[name]
        assert left.shape == right.shape, f"{name}: {left.shape} is not {right.shape}"
        assert left.dtype == right.dtype, f"{name}: {left.dtype} is not {right.dtype}"
        if right.size == 0:
            continue
        if right.dtype.kind != "f":
            np.testing.assert_array_equal(left, right)
            continue
        np.testing.assert_array_equal(np.isfinite(left), np.isfinite(right))
        finite = np.isfinite(right)
        np.testing.assert_array_equal(left[~finite], right[~finite])
        scale = max(float(np.abs(right[finite]).max(initial=0.0)), 1e-30)
        worst = float(np.abs(left[finite].astype(np.float64) - right[finite]).max(initial=0.0)) / scale
        assert worst <= tol, f"{name}: differs by {worst:.3g} of its largest magnitude, more than {tol:.3g}"


def native(mx: MxModel, model: ir.Model) -> ir.Model:
    """The model with the symbol as its source, so that MXNet runs the symbol itself."""
    set_source(model, Source("mxnet", "case", mx))
    return model


def converted(use: Use, dtype: str | None = None) -> tuple[ir.Model, MxModel, Arrays]:
    """A symbol of the case's one node, read into canonical form, and cast to ``dtype`` where it is given."""
    mx, feeds = mx_model(use)
    inputs = tuple(InputSpec(name, array.shape, array.dtype.name) for name, array in feeds.items())
    model = native(mx, canonical(from_symbol(mx, ReadOptions(inputs=inputs, dynamic_batch=False), use.id)))
    if dtype is not None:
        model = cast_floats(model, dtype)
        feeds = {name: array.astype(dtype) if array.dtype.kind == "f" else array for name, array in feeds.items()}
    return model, mx, feeds


def directional(model: ir.Model, feeds: Arrays, seeds: Arrays, name: str, directions: list[np.ndarray]) -> list[float]:
    """Derivatives of Σ⟨seed, output⟩ along directions of one input or parameter, by five-point differences."""
    step = 1e-4
    weights = {-2: 1, -1: -8, 1: 8, 2: -1}

    def loss(outputs: Arrays) -> float:
        return float(sum(np.vdot(seeds[key], outputs[key]) for key in seeds))

    def along(direction: np.ndarray, forward: Callable[[np.ndarray], Arrays]) -> float:
        losses = (weight * loss(forward(place * step * direction)) for place, weight in weights.items())
        return sum(losses) / (12 * step)

    if name not in feeds:
        return [
            along(d, lambda shift: run("reference", with_initializer(model, name, shift), feeds)) for d in directions
        ]
    with runtimes()["reference"].open(model) as session:
        return [along(d, lambda shift: session.forward({**feeds, name: feeds[name] + shift})) for d in directions]


def with_initializer(model: ir.Model, name: str, shift: np.ndarray) -> ir.Model:
    import onnx_ir

    probe = copy.copy(model).clone() if hasattr(model, "clone") else copy.deepcopy(model)
    value = probe.graph.initializers[name]
    assert value.const_value is not None
    value.const_value = onnx_ir.tensor(value.const_value.numpy() + shift, name=name)
    return probe


_DERIVATIVES: dict[tuple[str, ...], list[float]] = {}
"""What :func:`directional` found, by use and inputs up to the one: several claims are about the same derivatives."""


def assert_gradients(
    use: Use, model: ir.Model, feeds: Arrays, gradients: Mapping[str, np.ndarray], seeds: Arrays
) -> None:
    """Every gradient agrees with finite differences of the reference along two random directions."""
    rng = np.random.default_rng(11)
    assert gradients
    key: tuple[str, ...] = (use.id,)
    for name, gradient in gradients.items():
        directions = [rng.standard_normal(gradient.shape) for _ in range(2)]
        key = (*key, name)
        if key not in _DERIVATIVES:
            _DERIVATIVES[key] = directional(model, feeds, seeds, name, directions)
        for direction, expected in zip(directions, _DERIVATIVES[key], strict=True):
            found = float(np.vdot(gradient, direction))
            scale = max(float(np.linalg.norm(gradient) * np.linalg.norm(direction)), 1e-3)
            assert abs(found - expected) <= 1e-7 * scale, f"gradient of {name}: {found} is not {expected}"


@over(onnx_uses(), "onnxruntime")
def test_onnx_runtime_agrees_with_the_reference(use: Use) -> None:
    model, feeds = onnx_model(use)
    canonical(model)
    assert_same(run("ort", model, feeds), reference(use, model, feeds), use.tol.float32)


@over(onnx_uses(), "schema")
def test_what_is_written_fits_mxnets_schema(use: Use) -> None:
    model, _ = onnx_model(use)
    problems = [p for node in to_symbol(canonical(model)).graph.nodes for p in schema.validate(node)]
    assert problems == []


@over(onnx_uses(), "mxnet")
def test_mxnet_computes_what_onnx_says(use: Use) -> None:
    model, feeds = onnx_model(use)
    canonical(model)
    assert_same(run("mxnet", model, feeds), reference(use, model, feeds), use.tol.float32)


@over(in_float64(onnx_uses()), "mxnet-float64")
def test_mxnet_computes_in_float64_what_onnx_says(use: Use) -> None:
    model, feeds = onnx_model(use, "float64")
    canonical(model)
    assert_same(run("mxnet", model, feeds), reference(use, model, feeds, "float64"), use.tol.float64)


@over(onnx_uses(), "mxnet-backward", gradients=True)
def test_mxnets_gradients_are_the_derivatives(use: Use) -> None:
    model, feeds = onnx_model(use, "float64")
    canonical(model)
    seeds = seeds_for(reference(use, model, feeds, "float64"))
    with runtimes()["mxnet"].open(model, native=False) as session:
        gradients = session.backward(feeds, seeds)
    assert_gradients(use, model, feeds, gradients, seeds)


@over(onnx_uses(), "torch")
def test_torch_source_computes_what_onnx_says(use: Use) -> None:
    model, feeds = onnx_model(use)
    canonical(model)
    assert_same(run("torch", model, feeds), reference(use, model, feeds), use.tol.float32)


@over(in_float64(onnx_uses()), "torch-float64")
def test_torch_source_computes_in_float64_what_onnx_says(use: Use) -> None:
    model, feeds = onnx_model(use, "float64")
    canonical(model)
    # The reference computes with attributes rounded to float32, torch with the numbers that were meant.
    tol = 1e-7 if use.has_rounded_attribute else 1e-9
    assert_same(run("torch", model, feeds), reference(use, model, feeds, "float64"), tol)


@over(onnx_uses(), "torch-backward", gradients=True)
def test_torch_sources_gradients_are_the_derivatives(use: Use) -> None:
    model, feeds = onnx_model(use, "float64")
    canonical(model)
    seeds = seeds_for(reference(use, model, feeds, "float64"))
    with runtimes()["torch"].open(model, native=False) as session:
        gradients = session.backward(feeds, seeds)
    assert_gradients(use, model, feeds, gradients, seeds)


@over(onnx_uses(), "gradient", gradients=True)
def test_gradient_graphs_compute_the_derivatives(use: Use) -> None:
    model, feeds = onnx_model(use, "float64")
    canonical(model)
    seeds = seeds_for(reference(use, model, feeds, "float64"))
    with runtimes()["reference"].open(model) as session:
        gradients = session.backward(feeds, seeds)
    assert_gradients(use, model, feeds, gradients, seeds)


@over(onnx_uses(), "gradient-onnxruntime", gradients=True)
def test_gradient_graphs_run_on_onnx_runtime(use: Use) -> None:
    found: list[Arrays] = []
    for runtime, dtype in (("ort", "float32"), ("reference", "float64")):
        model, feeds = onnx_model(use, dtype)
        canonical(model)
        seeds = seeds_for(reference(use, model, feeds, dtype))
        with runtimes()[runtime].open(model) as session:
            gradients = session.backward(feeds, seeds)
        found.append({name: array.astype(np.float32) for name, array in gradients.items()})
    assert_same(*found, max(use.tol.float32, 1e-5))


@over(mx_uses(), "read-torch")
def test_what_is_read_from_mxnet_computes_the_same_as_torch_source(use: Use) -> None:
    model, _, feeds = converted(use)
    feeds = {name: array for name, array in feeds.items() if name in input_names(model)}
    assert_same(run("torch", model, feeds), run("reference", model, feeds), use.tol.float32)


@over(onnx_uses(), "round-trip")
def test_onnx_to_mxnet_and_back_keeps_the_numbers(use: Use) -> None:
    model, feeds = onnx_model(use)
    expected = reference(use, canonical(model), feeds)
    mx = to_symbol(model)
    kept = {variable.name for variable in mx.graph.variables()}
    given = {name: as_held(array) for name, array in feeds.items() if name in kept}
    back = canonical(from_symbol(mx, ReadOptions(inputs=specs(model, given), dynamic_batch=False), use.id))
    found = run("reference", back, {name: array for name, array in given.items() if name in input_names(back)})
    held = [as_declared(left, right) for left, right in zip(found.values(), expected.values(), strict=True)]
    assert_same(dict(zip(expected, held, strict=True)), expected, use.tol.float32)


def as_held(array: np.ndarray) -> np.ndarray:
    """What MXNet, which has neither 0-d arrays nor truth values other than the numbers 0 and 1, is fed for an array.

    Integers that it has no arrays of it holds in wider ones.
    """
    held = array.reshape(1) if array.ndim == 0 else array
    return held.astype(np.float32) if held.dtype == bool else held


def as_declared(found: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """What came back from MXNet, as it was before :func:`as_held`."""
    if expected.shape == () and found.shape == (1,):
        found = found.reshape(())
    if expected.dtype == bool and found.dtype != bool:
        assert np.isin(found, (0, 1)).all()
        found = found.astype(bool)
    if expected.dtype.name in ("int16", "uint16", "uint32", "uint64") and found.dtype.name in ("int32", "int64"):
        found = found.astype(expected.dtype)
    return found


@over(mx_uses(), "read")
def test_what_is_read_computes_what_mxnet_does(use: Use) -> None:
    assert_read(use, None, use.tol.float32)


@over(in_float64(mx_uses()), "read-float64")
def test_what_is_read_computes_in_float64_what_mxnet_does(use: Use) -> None:
    assert_read(use, "float64", use.tol.float64)


def assert_read(use: Use, dtype: str | None, tol: float) -> None:
    model, _, feeds = converted(use, dtype)
    expected = run("mxnet", model, feeds, native=True)
    found = run("reference", model, {name: array for name, array in feeds.items() if name in input_names(model)})
    assert_same(found, expected, tol)


@over(mx_uses(), "read-backward", gradients=True)
def test_mxnets_own_gradients_are_those_of_what_is_read(use: Use) -> None:
    model, _, feeds = converted(use, "float64")
    with runtimes()["mxnet"].open(model) as session:
        seeds = seeds_for(session.forward(feeds))
        gradients = session.backward(feeds, seeds)
    kept = {name: array for name, array in feeds.items() if name in input_names(model)}
    known = {*kept, *model.graph.initializers}
    assert_gradients(use, model, kept, {name: g for name, g in gradients.items() if name in known}, seeds)


@over(mx_uses(), "read-round-trip")
def test_mxnet_to_onnx_and_back_keeps_the_numbers(use: Use) -> None:
    model, _, feeds = converted(use)
    feeds = {name: array for name, array in feeds.items() if name in input_names(model)}
    assert_same(run("mxnet", model, feeds, native=False), run("reference", model, feeds), use.tol.float32)


def as_mxnet_carries(found: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """MXNet holds truth values as numbers and 0-d arrays as 1-d ones, and so does what is read back from it."""
    if expected.dtype.kind == "b":
        found = found.astype(bool)
    return found.reshape(()) if expected.ndim == 0 and found.shape == (1,) else found


def input_names(model: ir.Model) -> list[str]:
    return [value.name or "" for value in model.graph.inputs]


def specs(model: ir.Model, feeds: Arrays) -> tuple[InputSpec, ...]:
    """The shapes of what is fed, as free as the model has them."""
    found = []
    for name, array in feeds.items():
        dims = next(tuple(value.shape or ()) for value in model.graph.inputs if value.name == name)
        shape = tuple(dim if isinstance(dim, int) else None for dim in dims) or array.shape
        found.append(InputSpec(name, shape, array.dtype.name))
    return tuple(found)
