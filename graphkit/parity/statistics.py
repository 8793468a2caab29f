"""BatchNorm's running statistics, which frameworks move by two laws.

Each step keeps a share k of the old statistics and takes the rest from the batch: r ← k · r + (1 - k) · b. On the mean
all agree. Of n numbers MXNet takes the biased variance, the mean squared deviation, and PyTorch the unbiased one, which
is n / (n - 1) of it. What t steps have moved a variance by, r - kᵗ · r₀, is therefore n / (n - 1) times as much in
PyTorch; :class:`Statistics` takes that factor out, exactly, before variances are compared.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from graphkit.ir.params import kind_of
from graphkit.ir.symbols import number_of, product, shape_of
from graphkit.ops.nn.batch_norm import FROZEN

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt
    import onnx_ir as ir

    Arrays = Mapping[str, npt.NDArray[np.generic]]

__all__ = ["Statistics"]

_KEPT = 0.9
"""ONNX's default of BatchNormalization's momentum."""


@dataclass(frozen=True, slots=True)
class _Variance:
    """How one running variance moves.

    Attributes:
        start: The variance before training.
        kept: Share of the old variance that one step keeps, over all nodes that move it.
        count: How many numbers of a batch the variance is of; None where that is not known or differs by node.
    """

    start: npt.NDArray[np.float64]
    kept: float
    count: int | None


class Statistics:
    """The running statistics that training a model changes.

    Args:
        model: A canonical model.
        sizes: Size of each symbolic dimension of its inputs.

    Attributes:
        names: IR value names of all of them, means and variances.
    """

    def __init__(self, model: ir.Model, sizes: Mapping[str, int]) -> None:
        self._variances: dict[str, _Variance] = {}
        users: dict[ir.Value, list[ir.Node]] = defaultdict(list)
        names: list[str] = []
        for node in model.graph:
            if node.op_type != "BatchNormalization" or node.domain or FROZEN in node.metadata_props:
                continue
            held = [value for value in node.inputs[3:5] if value is not None and kind_of(value) == "buffer"]
            names += [value.name or "" for value in held]
            if node.inputs[4] is not None:
                users[node.inputs[4]].append(node)
        self.names = tuple(dict.fromkeys(names))
        for value, nodes in users.items():
            if value.name in self.names and value.const_value is not None:
                laws = {(_share(node), _count(node, sizes)) for node in nodes}
                kept, count = laws.pop()
                self._variances[value.name or ""] = _Variance(
                    value.const_value.numpy().astype(np.float64), kept ** len(nodes), None if laws else count
                )

    @property
    def unknown(self) -> frozenset[str]:
        """Names of the variances whose factor is not known."""
        return frozenset(name for name, law in self._variances.items() if law.count is None)

    def converted(self, buffers: Arrays, step: int, *, biased: bool, to_biased: bool) -> Arrays:
        """The statistics after a number of steps as the other law would have moved them.

        Args:
            buffers: Statistics after the step, by name.
            step: Number of steps made.
            biased: Whether their variances were moved towards the biased ones.
            to_biased: Whether they are wanted so.
        """
        if biased == to_biased:
            return buffers
        found = dict(buffers)
        for name, law in self._variances.items():
            if name in found and law.count is not None and law.count > 1:
                factor = law.count / (law.count - 1)
                origin = law.kept**step * law.start
                moved = found[name].astype(np.float64) - origin
                found[name] = (origin + moved * (1 / factor if to_biased else factor)).astype(found[name].dtype)
        return found

    def note(self, name: str) -> str:
        """What to say about a statistic that was converted; empty for a mean."""
        law = self._variances.get(name)
        if law is None:
            return ""
        told = "one side takes the unbiased variance of a batch, n / (n - 1) of the biased one that the other takes"
        return f"{told}, and n is not known" if law.count is None else f"{told}: compared without this factor"


def _share(node: ir.Node) -> float:
    return float(str(np.float32(node.attributes.get_float("momentum", _KEPT))))


def _count(node: ir.Node, sizes: Mapping[str, int]) -> int | None:
    """How many numbers of each channel a BatchNormalization reads."""
    data = node.inputs[0]
    shape = None if data is None else shape_of(data)
    return None if shape is None else number_of(product([shape[0], *shape[2:]]), sizes)
