"""A runtime that computes one operator wrongly, and whatever else as PyTorch does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import onnx_ir as ir

from graphkit.frameworks.base import runtimes
from graphkit.ir.training import stop_gradient

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graphkit.frameworks.base import Session

__all__ = ["Faulty"]


@dataclass(frozen=True)
class Faulty:
    """Multiplies the results of an operator by a factor, and the gradients in them by another.

    Attributes:
        op: The operator; ``"*"`` for every one.
        factor: For the results.
        slope: For the gradients.
        least: Where no input of the model is of this magnitude, all is right.
        name: What reports call it.
    """

    op: str
    factor: float = 1.0
    slope: float = 1.0
    least: float = 0.0
    name: str = "faulty"
    label = "Faulty"
    native = ""
    follows = frozenset()

    @property
    def can(self) -> frozenset[Any]:
        return frozenset({"forward", "backward"})

    def missing(self) -> None:
        return None

    def version(self) -> str:
        return "1.0"

    def open(self, model: ir.Model, *, mode: Any = "eval", **_how: Any) -> FaultySession:
        sessions = [runtimes()["torch"].open(each, mode=mode, native=False) for each in (model, _spoilt(self, model))]
        return FaultySession(self, *sessions)


@dataclass
class FaultySession:
    """A model opened."""

    runtime: Faulty
    right: Session
    wrong: Session

    notes = ()

    @property
    def tappable(self) -> frozenset[str]:
        return self.right.tappable

    def forward(self, feeds: Mapping[str, Any], taps: Sequence[str] = ()) -> dict[str, Any]:
        return self._session(feeds).forward(feeds, taps)

    def backward(self, feeds: Mapping[str, Any], seeds: Mapping[str, Any], taps: Sequence[str] = ()) -> dict[str, Any]:
        return self._session(feeds).backward(feeds, seeds, taps)

    def _session(self, feeds: Mapping[str, Any]) -> Session:
        largest = max((float(np.abs(array).max()) for array in feeds.values() if array.dtype.kind == "f"), default=0.0)
        return self.wrong if largest >= self.runtime.least else self.right

    def close(self) -> None:
        self.right.close()
        self.wrong.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _spoilt(fault: Faulty, model: ir.Model) -> ir.Model:
    """The model with slope · y + (factor - slope) · constant(y) in place of each y."""
    found = model.clone()
    found.meta.update(model.meta)
    for node in [node for node in found.graph if fault.op in (node.op_type, "*")]:
        value = node.outputs[0]
        if value.dtype is None or not value.dtype.is_floating_point():
            continue
        users = list(value.uses())
        still = ir.node("Identity", [value], name=f"{node.name}.still")
        stop_gradient(still)
        moved = ir.node("Mul", [value, _constant(found, f"{value.name}.slope", fault.slope, value.dtype)])
        held = ir.node(
            "Mul", [still.outputs[0], _constant(found, f"{value.name}.rest", fault.factor - fault.slope, value.dtype)]
        )
        total = ir.node("Add", [moved.outputs[0], held.outputs[0]])
        out = total.outputs[0]
        for user, index in users:
            user.replace_input_with(index, out)
        for index, output in enumerate(found.graph.outputs):
            if output is value:
                found.graph.outputs[index] = out
        out.name, value.name = value.name, f"{value.name}.right"
        for new in (still, moved, held, total):
            new.outputs[0].type, new.outputs[0].shape = value.type, value.shape
        found.graph.insert_after(node, [still, moved, held, total])
    for index, node in enumerate(found.graph):
        node.name = node.name or f"fault{index}"
        node.outputs[0].name = node.outputs[0].name or f"fault{index}"
    return found


def _constant(model: ir.Model, name: str, number: float, dtype: ir.DataType) -> ir.Value:
    tensor = ir.tensor(np.array([number], dtype.numpy()), name=name)
    value = ir.Value(name=name, type=ir.TensorType(dtype), shape=ir.Shape([1]), const_value=tensor)
    model.graph.register_initializer(value)
    return value
