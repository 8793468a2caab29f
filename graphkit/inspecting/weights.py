"""What numbers the parameters of a model hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from graphkit.inspecting.parameters import stored_tensors
from graphkit.ir.dims import dims_of
from graphkit.ir.statistics import statistics

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

    import onnx_ir as ir

    from graphkit.ir.describe import Dims
    from graphkit.ir.params import Kind
    from graphkit.ir.statistics import Statistics

__all__ = ["Weights", "weights_of"]


@dataclass(frozen=True, slots=True)
class Weights:
    """What numbers a stored tensor holds.

    Attributes:
        name: Its name.
        kind: What it is.
        dtype: numpy's name of its element type; empty where not known.
        shape: Its dimensions; None where not known.
        bytes: Size of its data; None where not known.
        statistics: Its statistics; None where its data cannot be read.
        why: Why it cannot be, a clause; empty where it can.
    """

    name: str
    kind: Kind
    dtype: str
    shape: Dims | None
    bytes: int | None
    statistics: Statistics | None
    why: str = ""


def weights_of(model: ir.Model, *, bins: int = 32, limit: int | None = None) -> Iterator[Weights]:
    """Look at every stored tensor of a model, one at a time; what lies in a file is not held in memory.

    Args:
        model: The model.
        bins: Bins of the histograms.
        limit: Elements of a tensor to look at at most; None for all of them.
    """
    known: dict[Hashable, Statistics] = {}
    for found in stored_tensors(model):
        told: Statistics | None = None
        why = ""
        if found.tensor is None:
            why = "the model was read without its data"
        elif found.storage is not None and found.storage in known:
            told = known[found.storage]
        else:
            try:
                told = statistics(found.tensor, bins=bins, limit=limit)
            except (OSError, ValueError, TypeError) as error:
                why = f"its data cannot be read: {' '.join(str(error).split())}"
            else:
                if found.storage is not None:
                    known[found.storage] = told
        shape = dims_of(found.value) if found.tensor is None else tuple(map(int, found.tensor.shape.numpy()))
        yield Weights(found.value.name or "", found.kind, found.dtype, shape, found.bytes, told, why)
