"""Every family of operators reads as what torch computes, in float32 and float64, at another batch than exported."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from onnx_ir.passes.common import RemoveUnusedNodesPass

import graphkit
from graphkit.errors import GraphkitError
from graphkit.frameworks.base import runtimes
from graphkit.passes.cast_floats import cast_floats

torch = pytest.importorskip("torch")
from torchops import FAMILIES  # noqa: E402 -- it imports torch

if TYPE_CHECKING:
    from collections.abc import Callable

    import onnx_ir as ir

Arrays = dict[str, np.ndarray]

SINGLE = {"rrelu", "celu", "selu", "hardswish", "hardsigmoid", "rounded_down", "sampled"}
"""Outputs behind which ONNX keeps a number in float32 (an attribute, a scale), or its evaluator computes so."""
UNCOMPUTED = {"indices"}
"""Outputs that the reference evaluator cannot compute."""


@cache
def model(family: str) -> ir.Model:
    module = FAMILIES[family].eval()
    told: list[str] = []
    shapes = ["x".join(map(str, shape)) for shape in module.shapes]
    found = graphkit.load(module, inputs=shapes, warn=told.append)
    assert all("trained further" in message for message in told)
    return found


def feeds(family: str, dtype: str = "float32") -> Arrays:
    rng = np.random.default_rng(3)
    shapes = [(3, *shape[1:]) for shape in FAMILIES[family].shapes]
    return {name: rng.normal(size=shape).astype(dtype) for name, shape in zip("xy", shapes, strict=True)}


def run(model: ir.Model, given: Arrays, on: str) -> Arrays:
    with runtimes()[on].open(model) as session:
        return session.forward({value.name or "": given[value.name or ""] for value in model.graph.inputs})


def differences(wanted: Arrays, found: Arrays) -> dict[str, float]:
    assert wanted.keys() == found.keys()
    errors = {}
    for name, left in wanted.items():
        right = found[name]
        assert (left.shape, left.dtype) == (right.shape, right.dtype), name
        scale = max(float(np.abs(left.astype(np.float64)).max()), 1e-6)
        errors[name] = float(np.abs(left.astype(np.float64) - right.astype(np.float64)).max()) / scale
    return errors


@pytest.mark.parametrize("family", FAMILIES)
def test_onnxruntime_computes_what_torch_does(family: str) -> None:
    pytest.importorskip("onnxruntime")
    given = feeds(family)
    errors = differences(run(model(family), given, "torch"), run(model(family), given, "ort"))
    assert {name: error for name, error in errors.items() if error > 1e-5} == {}


@pytest.mark.parametrize("family", FAMILIES)
def test_the_model_in_float64_is_the_program_in_float64(family: str) -> None:
    """So no number of the program was rounded to float32 on the way."""
    wide = cast_floats(model(family), "float64")
    for output in list(wide.graph.outputs):
        if (output.name or "").rpartition("_")[0] in UNCOMPUTED:
            wide.graph.outputs.remove(output)
    RemoveUnusedNodesPass()(wide)
    given = feeds(family, "float64")
    wanted = run(cast_floats(model(family), "float64"), given, "torch")
    found = run(wide, given, "reference")
    errors = differences({name: wanted[name] for name in found}, found)
    assert {name: error for name, error in errors.items() if error > (1e-6 if name in SINGLE else 1e-9)} == {}


@pytest.mark.parametrize("family", FAMILIES)
def test_single_operators_become_single_nodes(family: str) -> None:
    graph = model(family).graph
    producers = {value.name: value.producer() for value in graph.outputs}
    wrong = {}
    for use in FAMILIES[family].uses:
        name, _, wanted = use.partition("=")
        if wanted:
            node = producers.get(name) or producers[f"{name}_0"]
            assert node is not None
            inputs = [value for value in node.inputs if value is not None and value.const_value is None]
            if node.op_type != wanted or any(value not in graph.inputs for value in inputs):
                wrong[name] = node.op_type
    assert wrong == {}


@pytest.mark.parametrize(
    ("module", "says"),
    [
        (torch.nn.FractionalMaxPool2d(2, output_size=3), "fractional_max_pool2d"),
        (torch.nn.AdaptiveMaxPool2d(3, return_indices=True), "indices of adaptive max pooling"),
        (torch.nn.AvgPool2d(3, 2, 1, ceil_mode=True, divisor_override=5), "ceil_mode and divisor_override"),
    ],
)
def test_what_has_no_translation_is_refused(module: torch.nn.Module, says: str) -> None:
    with pytest.raises(GraphkitError, match=says):
        graphkit.load(module, inputs=["2x4x9x8"])


def test_an_adaptive_pooling_of_a_free_size_is_refused_unless_it_is_global() -> None:
    graphkit.load(torch.nn.AdaptiveAvgPool2d(1), inputs=["1x3x?x?"])
    with pytest.raises(GraphkitError, match="free size"):
        graphkit.load(torch.nn.AdaptiveAvgPool2d(3), inputs=["1x3x?x?"])


@pytest.mark.filterwarnings("ignore:`isinstance.treespec, LeafSpec.:FutureWarning")  # torch's own export does that
@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")  # once in a process
def test_a_decomposed_program_reads_as_the_whole_one() -> None:
    """Programs may have been decomposed before they were saved."""
    for family in ("nearest", "bilinear", "convolutions-2d"):
        module = FAMILIES[family].eval()
        args = tuple(torch.from_numpy(array) for array in feeds(family).values())
        dims = torch.export.Dim.DYNAMIC
        whole = torch.export.export(module, args, dynamic_shapes=({0: dims}, {0: dims}))
        decomposed = graphkit.load(whole.run_decompositions())
        given = feeds(family)
        errors = differences(run(model(family), given, "torch"), run(decomposed, given, "ort"))
        assert {name: error for name, error in errors.items() if error > 1e-5} == {}


@pytest.mark.parametrize("backend", ["torch", "ort", "mxnet"])
@pytest.mark.parametrize(
    "length",
    [
        lambda x: x.std(1),
        lambda x: x.norm(dim=1),
        lambda x: torch.cdist(x, x),
        lambda x: torch.nn.functional.normalize(x),
    ],
    ids=["std", "norm", "cdist", "normalize"],
)
def test_lengths_of_nothing_have_no_gradient(length: Callable[[Any], Any], backend: str) -> None:
    """The roots in them would have an infinite one."""
    if runtimes()[backend].missing() is not None:
        pytest.skip(f"{backend} is not installed")

    class Lengths(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            return length(x)

    x = torch.tensor([[0.0, 0.0, 0.0], [1.0, -2.0, 3.0], [0.0, 0.0, 0.0]], requires_grad=True)
    y = Lengths()(x)
    y.backward(torch.ones_like(y))
    graph = graphkit.load(Lengths(), inputs=["3x3"])
    with runtimes()[backend].open(graph, native=False) as session:
        seeds = {value.name or "": np.ones(tuple(y.shape), np.float32) for value in graph.graph.outputs}
        (found,) = session.backward({"x": x.detach().numpy()}, seeds).values()
    assert x.grad is not None
    np.testing.assert_allclose(found, x.grad.numpy(), atol=1e-6)
