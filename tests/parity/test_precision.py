"""Models of 16 bits are compared as they are, against bounds that their own rounding sets."""

from __future__ import annotations

from functools import cache

import ml_dtypes
import numpy as np
import onnx.parser
import onnx_ir as ir
import pytest
import torch
from torch import nn

import graphkit
from graphkit.errors import InputError
from graphkit.frameworks.base import runtimes
from graphkit.ir.canonical import canonical
from graphkit.ir.origin import drop_source
from graphkit.parity.precision import least_bound, roundoff, usual_precision
from graphkit.parity.sides import Pool, Side

KINDS = (torch.float16, torch.bfloat16)


class Mixed(nn.Module):
    """A layer of half precision between a normalisation and an embedding of float32."""

    def __init__(self, kind: torch.dtype) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.table = nn.Embedding(30, 24)
        self.norm = nn.LayerNorm(24, eps=1e-2)
        self.first = nn.Linear(24, 16, dtype=kind)
        self.second = nn.Linear(16, 8, dtype=kind)
        nn.init.normal_(self.table.weight, std=0.05)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        hidden = self.norm(self.table(ids)).to(self.first.weight.dtype)
        out: torch.Tensor = torch.softmax(self.second(torch.tanh(self.first(hidden))).float(), -1)
        return out


@cache
def loaded(kind: torch.dtype) -> ir.Model:
    """It is read once and must not be changed."""
    return graphkit.load(Mixed(kind).eval(), inputs=["2x5:int64"])


def spoiled(model: ir.Model, name: str) -> ir.Model:
    """A copy in which the rows of a weight are in another order, or an epsilon is another."""
    copy = model.clone()
    drop_source(copy)  # what would be run in its place
    if name == "epsilon":
        (node,) = (node for node in copy.graph if node.op_type == "LayerNormalization")
        node.attributes["epsilon"] = ir.AttrFloat32("epsilon", 1e-1)
        return copy
    value = copy.graph.initializers[name]
    value.const_value = ir.tensor(value.const_value.numpy()[::-1].copy(), name=name)
    return copy


def parsed(text: str) -> ir.Model:
    header = '<ir_version: 10, opset_import: ["" : 23]>'
    return canonical(ir.from_proto(onnx.parser.parse_model(header + text)))


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_model_of_mixed_precision_is_compared_as_it_is(kind):
    model = loaded(kind)
    assert usual_precision(model) == "own"
    report = graphkit.verify(model, backward=True)
    assert report.passed, [check for check in report.checks if check.verdict == "fail"]
    assert "its own precision" in report.title
    unit = roundoff(np.float16 if kind == torch.float16 else ml_dtypes.bfloat16)
    for check in report.checks:
        assert 0 < check.tol < 40 * unit, check


def test_a_runtime_without_kernels_of_bfloat16_says_so():
    report = graphkit.verify(loaded(torch.bfloat16), on=["torch", "ort"])
    notes = {check.note for check in report.checks if check.right == "ort"}
    assert len(notes) == 1
    assert "in float32, as bfloat16 is refused: ONNX Runtime (CPU) refuses the model" in notes.pop()


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_mistakes_are_found_in_half_precision(kind):
    model = loaded(kind)
    for name in ("first.weight", "second.weight", "epsilon"):
        assert not graphkit.verify(model, spoiled(model, name), on=["torch"]).passed, name


class Normalized(nn.Module):
    """Data of half precision, normalized by parameters of float32: what is left where all but the norms is cast."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.norms = nn.Sequential(nn.BatchNorm2d(4), nn.GroupNorm(2, 4), nn.LayerNorm(3))
        for norm in self.norms:
            nn.init.uniform_(norm.weight)
            nn.init.uniform_(norm.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.norms(x)
        return out


@pytest.mark.parametrize("name", ["bfloat16"])
def test_norms_of_float32_take_data_of_half_precision(name):
    model = graphkit.load(Normalized().eval(), inputs=[f"2x4x3x3:{name}"])
    (output,) = model.graph.outputs
    assert output.dtype == getattr(ir.DataType, name.upper())
    report = graphkit.verify(model, on=["torch", "reference"])
    assert report.passed, report.checks


def test_what_half_precision_does_not_see_is_told_and_found_in_float64():
    model = loaded(torch.float16)
    slightly = spoiled(model, "epsilon")
    (node,) = (node for node in slightly.graph if node.op_type == "LayerNormalization")
    node.attributes["epsilon"] = ir.AttrFloat32("epsilon", 1e-2 * 1.001)
    report = graphkit.verify(model, slightly, on=["torch"])
    assert report.passed
    (warning,) = report.warnings
    assert "pass unseen" in warning
    assert "--dtype float64" in warning
    assert not graphkit.verify(model, slightly, on=["torch"], dtype="float64").passed


def test_half_precision_is_compared_with_the_float32_it_was_made_of():
    report = graphkit.verify(loaded(torch.float32), loaded(torch.float16), on=["torch"], backward=True)
    assert report.passed, report.checks
    assert max(check.error for check in report.checks) > 1e-5


def test_double_precision_is_the_usual_one_of_models_of_float64():
    model = parsed("g (double[2,3] x) => (double[2,3] y) { y = Tanh(x) }")
    assert usual_precision(model) == "float64"
    assert "in float64" in graphkit.verify(model, on=["torch", "reference"]).title


def test_steps_of_training_are_not_compared_in_half_precision():
    model = loaded(torch.float16)
    with pytest.raises(InputError, match="float32 or float64"):
        graphkit.verify(model, dtype="own", train_steps=1)
    assert "in float32" in graphkit.verify(model, on=["torch", "reference"], backward=True, train_steps=1).title


def test_outputs_are_computed_anew_where_gradients_are_refused_in_half_precision():
    model = parsed("g (float16[1,1,4,4] x) => (float16[1,1,3,3] y) { y = MaxPool<kernel_shape = [2, 2]>(x) }")
    feeds = {"x": np.arange(16, dtype=np.float16).reshape(1, 1, 4, 4)}
    with Pool(model) as pool:
        side = Side("ort", runtimes()["ort"], False, pool, "own")
        side.forward(feeds)
        assert (side.dtype, side.outputs["y"].dtype) == ("own", np.float16)
        side.backward(feeds, {"y": np.ones((1, 1, 3, 3), np.float16)})
        assert (side.dtype, side.outputs["y"].dtype) == ("float32", np.float32)
        assert "in float32, as float16 is refused" in side.note


def test_wide_bounds_are_warned_of():
    head = "g (bfloat16[2,30] x) => (bfloat16[2,30] y) <float f = {64.0}>"
    model = parsed(head + "{ c = Cast<to=16>(f) z = Add(x, c) y = Sub(z, c) }")
    (warning,) = graphkit.verify(model, on=["torch", "reference"]).warnings
    assert "--dtype float64" in warning


@pytest.mark.parametrize(("dtype", "bound"), [(np.float16, 2**-9), (ml_dtypes.bfloat16, 2**-6), (np.float32, 1e-5)])
def test_no_bound_is_below_four_units_of_roundoff(dtype, bound):
    assert least_bound(dtype, gradients=False) == bound
