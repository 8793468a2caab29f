"""Every node of a side on its own: fed what the reference has before it, it is to give what the reference has there.

One pass of the isolated model (:mod:`graphkit.passes.isolate`) tests all nodes at once, forward and backward.
"""

from __future__ import annotations

from collections import defaultdict
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Self

import numpy as np

from graphkit.ir.params import of_kind
from graphkit.parity.floor import RUNS, measured_floors
from graphkit.parity.judge import Pass, judge
from graphkit.parity.sides import Pool, Side
from graphkit.parity.single import single_values
from graphkit.passes.isolate import isolated

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt
    import onnx_ir as ir

    from graphkit.frameworks.base import Runtime
    from graphkit.parity.tolerances import Override
    from graphkit.report.report import Check, Kind

    Arrays = Mapping[str, npt.NDArray[np.generic]]

__all__ = ["Alone", "Truth"]


@dataclass(slots=True)
class Truth:
    """What the reference has at the values of a model, under the model's names.

    Attributes:
        side: Side of the reference.
        values: Inputs, values between nodes and outputs.
        slopes: Gradients in them, and in parameters; empty where gradients are not looked at.
        seeds: Cotangents of the outputs.
    """

    side: Side
    values: dict[str, npt.NDArray[np.generic]]
    slopes: dict[str, npt.NDArray[np.generic]] = field(default_factory=dict)
    seeds: dict[str, npt.NDArray[np.generic]] = field(default_factory=dict)

    @property
    def sloped(self) -> Truth:
        """What is known without the floats between nodes whose gradients are not."""
        known = self.slopes.keys() | self.seeds.keys()
        values = {name: array for name, array in self.values.items() if name in known or array.dtype.kind not in "fV"}
        return replace(self, values=values if self.slopes else self.values)


class Alone:
    """The nodes of a side's model, each on its own; a context manager that frees the sessions.

    Args:
        side: The side under test.
        model: What it runs.
        truth: What the reference has.
        overrides: Bounds that the user gives.

    Attributes:
        truth: What the reference has.
        found: The isolated model.
        order: The nodes that give a value, by its name, in the order of the model.
    """

    def __init__(self, side: Side, model: ir.Model, truth: Truth, overrides: Sequence[Override] = ()) -> None:
        self.truth, self._overrides, self._side = truth, overrides, side
        parameters = [value.name or "" for value in of_kind(model, "parameter")] if truth.slopes else []
        self.found = isolated(model, {name: array.shape for name, array in truth.values.items()}, parameters)
        self.order = {value.name or "": node for node in self.found.model.graph for value in node.outputs}
        self._shares: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for own, (value, node) in {**self.found.reads, **self.found.copies}.items():
            self._shares[value].append((own, node))
        self._stack = ExitStack()
        self._pool = self._stack.enter_context(Pool(self.found.model))
        self._tested = self.on(side.runtime, side.name)
        reference = truth.side
        self._expected = Side(reference.name, reference.runtime, False, self._pool, reference.dtype, mode=side.mode)
        self._expected.note = reference.note
        self._feeds = {name: truth.values[value] for name, (value, _) in self.found.reads.items()}
        self._cotangents: dict[str, npt.NDArray[np.generic]] = {}
        self._parts: dict[str, npt.NDArray[np.generic]] = {}
        self._floors: tuple[dict[str, float], dict[str, float]] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()

    def on(self, runtime: Runtime, name: str = "") -> Side:
        """The isolated model on a runtime, in the precision and mode of the side under test."""
        return Side(name or runtime.name, runtime, False, self._pool, self._side.dtype, mode=self._side.mode)

    @property
    def dtype(self) -> str:
        """Precision that the side under test computes in."""
        return self._tested.dtype

    def forward(self) -> list[Check]:
        """A check of what each node gives, in the order of the model.

        Raises:
            GraphkitError: The side cannot run the isolated model.
        """
        self._tested.forward(self._feeds)
        known = [name for name in self.order if name in self._tested.outputs and name in self.truth.values]
        self._expected.outputs = {name: self.truth.values[name] for name in known}
        self._tested.outputs = {name: self._tested.outputs[name] for name in known}
        kinds: dict[str, Kind] = dict.fromkeys(known, "value")
        wanted = Pass(kinds, lambda side: side.outputs, False, self._single(), "value")
        return judge(wanted, self._expected, self._tested, lambda: self._measured(False)[0], self._overrides)

    def backward(self) -> list[Check]:
        """A check of the gradient in each value and parameter that the nodes which read it make together.

        Raises:
            GraphkitError: The side cannot differentiate the isolated model.
        """
        self._cotangents = self._seeds()
        self._tested.backward(self._feeds, self._cotangents)
        self._parts = dict(self._tested.gradients or {})
        sums = self._summed(self._tested)
        known = [name for name in sums if name in self.truth.slopes]
        self._expected.gradients = {name: self._passed_back(name) for name in known}
        self._tested.gradients = {name: sums[name] for name in known}
        kinds: dict[str, Kind] = dict.fromkeys(known, "value gradient")
        concerned = {name: frozenset(known) for name, found in self._single().items() if found}
        wanted = Pass(kinds, lambda side: side.gradients or {}, True, concerned, "value gradient")
        return judge(wanted, self._expected, self._tested, lambda: self._measured(True)[1], self._overrides)

    def readers(self, name: str) -> list[str]:
        """Names of the nodes whose gradients make up that in a value or parameter."""
        return [node for _, node in self._contributions(name)]

    def passing(self, readers: Sequence[str]) -> list[ir.Node]:
        """Nodes, and those after them that are not cut off, which pass gradients back to them; in order."""
        graph = self.found.model.graph
        stack = [node for node in graph if node.name in readers]
        seen: set[ir.Node] = set()
        while stack:
            node = stack.pop()
            if node not in seen:
                seen.add(node)
                stack.extend(user for value in node.outputs if _is_float(value) for user, _ in value.uses())
        return [node for node in graph if node in seen]

    def parts(self, side: Side, name: str) -> dict[str, npt.NDArray[np.generic]]:
        """What each node that reads a value adds to the gradient in it on a side, by the node's name."""
        assert side.gradients is not None
        return {node: side.gradients[own] for own, node in self._contributions(name)}

    def tested_parts(self, name: str) -> dict[str, npt.NDArray[np.generic]]:
        """As :meth:`parts`, of the side under test."""
        return {node: self._parts[own] for own, node in self._contributions(name)}

    def differentiate(self, side: Side) -> None:
        """Compute what :meth:`parts` tells of another side."""
        side.backward(self._feeds, self._cotangents)

    def given_by(self, name: str) -> str:
        """Name of the first float value that a node gives."""
        nodes = (node for node in self.found.model.graph if node.name == name)
        return next(value.name or "" for node in nodes for value in node.outputs if _is_float(value))

    def region(self, name: str) -> list[ir.Node]:
        """The nodes that an output depends on in the isolated model, its own last.

        Helpers of integers are left out, and what gives values that are compared themselves.
        """
        nodes = self.found.behind(name)
        return [
            node
            for node in nodes
            if node is nodes[-1]
            or any(_is_float(value) and value.name not in self.truth.values for value in node.outputs)
        ]

    def _contributions(self, name: str) -> list[tuple[str, str]]:
        return self._shares[name]

    def _summed(self, side: Side) -> dict[str, npt.NDArray[np.generic]]:
        assert side.gradients is not None
        gradients = side.gradients
        parts = {
            name: [gradients[own] for own, _ in shares if own in gradients] for name, shares in self._shares.items()
        }
        return {name: np.sum(arrays, axis=0, dtype=arrays[0].dtype) for name, arrays in parts.items() if arrays}

    def _seeds(self) -> dict[str, npt.NDArray[np.generic]]:
        truth = self.truth
        found: dict[str, npt.NDArray[np.generic]] = {}
        for value in self.found.model.graph.outputs:
            name = value.name or ""
            if _is_float(value):
                nothing = np.zeros_like(truth.values[name])
                found[name] = truth.slopes.get(name, truth.seeds.get(name, nothing))
        return found

    def _passed_back(self, name: str) -> npt.NDArray[np.generic]:
        """The gradient in a value without what comes of its being an output."""
        slope = self.truth.slopes[name]
        seed = self.truth.seeds.get(name)
        return slope if seed is None else np.subtract(slope, seed.astype(slope.dtype))

    def _single(self) -> dict[str, frozenset[str]]:
        if "float32" in (self._expected.dtype, self._tested.dtype):
            return {}
        names = {self._expected.runtime.name, self._tested.runtime.name}
        return {name: single_values(self._pool.model("float64"), name) for name in names}

    def _measured(self, gradients: bool) -> tuple[dict[str, float], dict[str, float]]:
        if self._floors is None or (gradients and not self._floors[1]):
            feeds = {
                name: array.astype(np.float32) if array.dtype.kind == "f" else array
                for name, array in self._feeds.items()
            }
            seeds = {name: array.astype(np.float32) for name, array in self._cotangents.items()} if gradients else None
            single = "float32" in (self._expected.dtype, self._tested.dtype)
            (outputs, slopes), _ = measured_floors(self._expected, feeds, seeds, runs=RUNS if single else 1)
            summed = {name: sum(slopes.get(own, 0.0) for own, _ in shares) for name, shares in self._shares.items()}
            self._floors = outputs, summed if gradients else {}
        return self._floors


def _is_float(value: ir.Value) -> bool:
    return value.dtype is not None and value.dtype.is_floating_point()
