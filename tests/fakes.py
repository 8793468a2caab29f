"""A small model and runtimes that run it in numpy, rightly or wrongly in a chosen way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import onnx_ir as ir

from graphkit.errors import UnsupportedError, UnsupportedNode
from graphkit.ir.params import set_kind
from graphkit.ir.shapes import infer_shapes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Arrays = dict[str, np.ndarray[Any, np.dtype[Any]]]
    Spoil = Callable[[Arrays], Arrays]

__all__ = ["Fake", "model"]

TEXT = """
<ir_version: 10, opset_import: ["": 23]>
layer (float[batch, 5] x) => (float[batch, 3] y)
    <float[5, 3] w = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, float[3] b = {0, 0, 0}>
{
    product = MatMul(x, w)
    sum = Add(product, b)
    y = Relu(sum)
}
"""


def model(seed: int = 0) -> ir.Model:
    """relu(x @ w + b) with a free batch dimension and two parameters, ``w`` and ``b``."""
    rng = np.random.default_rng(seed)
    found = ir.from_onnx_text(TEXT)
    for value in found.graph.initializers.values():
        value.const_value = ir.tensor(rng.standard_normal(tuple(value.shape)).astype(np.float32), name=value.name)
    for value in found.graph.initializers.values():
        set_kind(value, "parameter")
    infer_shapes(found)
    return found


def _same(arrays: Arrays) -> Arrays:
    return arrays


@dataclass(frozen=True)
class Fake:
    """Runs :func:`model` in numpy; every hook spoils what a right runtime would give.

    Attributes:
        name: What reports call it.
        outputs: Spoils the outputs.
        gradients: Spoils the gradients.
        can: What its sessions are able to do.
        absent: What is missing, if it is not installed.
        doubles: Whether it has float64 kernels.
        fails: Raised on opening.
    """

    name: str = "fake"
    outputs: Spoil = _same
    gradients: Spoil = _same
    can: frozenset[Any] = frozenset({"forward", "backward"})
    absent: str = ""
    doubles: bool = True
    fails: Exception | None = None
    native: str = ""

    @property
    def label(self) -> str:
        return f"Fake {self.name}"

    def missing(self) -> str | None:
        return self.absent or None

    def version(self) -> str:
        return "1.0"

    follows: frozenset[Any] = frozenset()

    def open(self, model: ir.Model, **_how: Any) -> FakeSession:
        if self.fails is not None:
            raise self.fails
        dtype = model.graph.inputs[0].dtype
        if dtype == ir.DataType.DOUBLE and not self.doubles:
            raise UnsupportedError(self.label, [UnsupportedNode("MatMul", "node", "it has no float64 kernel")])
        return FakeSession(self, {name: value.const_value.numpy() for name, value in model.graph.initializers.items()})


@dataclass
class FakeSession:
    """The model opened."""

    runtime: Fake
    weights: Mapping[str, Any]

    tappable = frozenset({"product", "sum", "y"})
    notes = ()

    def forward(self, feeds: Mapping[str, Any], taps: Sequence[str] = ()) -> Arrays:
        sums = self._sum(feeds)
        found = {"product": sums - self.weights["b"], "sum": sums, "y": np.maximum(sums, 0)}
        return self.runtime.outputs({name: found[name] for name in dict.fromkeys(["y", *taps])})

    def backward(self, feeds: Mapping[str, Any], seeds: Mapping[str, Any], taps: Sequence[str] = ()) -> Arrays:
        inner = seeds["y"] * (self._sum(feeds) > 0)
        found = {"x": inner @ self.weights["w"].T, "w": feeds["x"].T @ inner, "b": inner.sum(0)}
        tapped = {"product": inner, "sum": inner, "y": seeds["y"]}
        return self.runtime.gradients(found | {name: tapped[name] for name in taps})

    def _sum(self, feeds: Mapping[str, Any]) -> Any:
        assert feeds["x"].dtype == self.weights["w"].dtype
        return feeds["x"] @ self.weights["w"] + self.weights["b"]

    def close(self) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
