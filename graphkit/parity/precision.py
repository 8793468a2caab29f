"""The precision that a model is held in, and how coarse that is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import ml_dtypes
import numpy as np

from graphkit.ir.edit import graphs_of
from graphkit.ir.params import of_kind
from graphkit.parity.tolerance import OUTPUT, ULPS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import numpy.typing as npt
    import onnx_ir as ir

    from graphkit.parity.sides import Precision

    Arrays = Mapping[str, npt.NDArray[np.generic]]

__all__ = [
    "HALVES",
    "ROUNDINGS",
    "SUMMED_ROUNDINGS",
    "as_declared",
    "float_types",
    "least_bound",
    "roundoff",
    "summed",
    "usual_precision",
]

HALVES: Final = frozenset({"float16", "bfloat16"})
"""Names of the float types of 16 bits."""
ROUNDINGS: Final = 4
"""In 16 bits, units of roundoff that a bound is at least: an operator's result is one of two neighbours, two units
apart, and what it rounds may differ by as much."""
SUMMED_ROUNDINGS: Final = 64
"""In 16 bits, units of roundoff up to where the noise floor of the runtime under test counts: √4096, as of sums of 4096
terms."""


def float_types(model: ir.Model) -> frozenset[str]:
    """Names of the float types of 16 bits and more that a model's tensors have.

    Args:
        model: A canonical model.
    """
    found = set()
    for graph in graphs_of(model.graph):
        for value in (*graph.inputs, *graph.initializers.values(), *(each for node in graph for each in node.outputs)):
            found.add(value.dtype if value.const_value is None else value.const_value.dtype)
    return frozenset(
        kind.numpy().name for kind in found if kind is not None and kind.is_floating_point() and kind.bitwidth >= 16
    )


def usual_precision(*models: ir.Model) -> Precision:
    """What models are compared in where nobody says: their own precision if some tensor has 16 bits.

    Returns:
        ``"own"`` where a model holds floats of 16 bits, ``"float64"`` where all parameters (all inputs, where there
        are none) are of it, else ``"float32"``.
    """
    if frozenset[str]().union(*map(float_types, models)) & HALVES:
        return "own"
    parameters = {value.dtype for model in models for value in of_kind(model, "parameter")}
    fed = {value.dtype for model in models for value in model.graph.inputs}
    held = [kind.name for kind in parameters or fed if kind is not None and kind.is_floating_point()]
    return "float64" if held and set(held) == {"DOUBLE"} else "float32"


def roundoff(dtype: npt.DTypeLike) -> float:
    """The unit of roundoff: what rounding to the nearest changes a number by at most, relative to it."""
    name = np.dtype(dtype).name
    return 2.0**-8 if name == "bfloat16" else float(np.finfo(name).eps) / 2


def least_bound(dtype: npt.DTypeLike, *, gradients: bool) -> float:
    """The bound below which no measured one is taken, for a tensor of a float type.

    A number of 16 bits is rounded at the end of every operator, to one of two neighbours that are two units of
    roundoff apart: right implementations differ by these two where the number lies near the middle, and by as much
    again where what they round differs. In float32 it is what elementary functions may take.

    Args:
        dtype: The type.
        gradients: Whether the tensor is a gradient.
    """
    if np.dtype(dtype).name in HALVES:
        return ROUNDINGS * roundoff(dtype)
    return ULPS if gradients else OUTPUT


def summed(kinds: Iterable[str]) -> float:
    """The bound up to which a runtime's own floor counts: what sums of 4096 terms lose in the coarsest type.

    Their error grows with √n units of roundoff (Higham and Mary, 2019, A new approach to probabilistic rounding error
    analysis).

    Args:
        kinds: Names of float types.
    """
    return SUMMED_ROUNDINGS * max((roundoff(getattr(ml_dtypes, kind, kind)) for kind in kinds), default=0.0)


def as_declared(arrays: Arrays, model: ir.Model) -> dict[str, npt.NDArray[np.generic]]:
    """Arrays with their floats in the types that the inputs and outputs of their names have.

    Args:
        arrays: Arrays by name.
        model: The model whose inputs or outputs they are for.
    """
    kinds = {value.name: value.dtype for value in (*model.graph.inputs, *model.graph.outputs)}
    found: dict[str, npt.NDArray[np.generic]] = {}
    for name, array in arrays.items():
        kind = kinds.get(name)
        cast = array.dtype.kind in "fV" and kind is not None and kind.is_floating_point()
        found[name] = array.astype(kind.numpy()) if cast and kind is not None else array
    return found
