"""ONNX's own suite of single nodes."""

from __future__ import annotations

import re
import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import onnx
import onnx_ir as ir
from onnx.backend.test.loader import load_model_tests

from graphkit.ir.canonical import OPSET

if TYPE_CHECKING:
    from collections.abc import Iterator

    Arrays = dict[str, np.ndarray[Any, Any]]

RANDOM = re.compile("bernoulli|training_dropout")
"""Cases whose output is random, or follows training mode, which a canonical model leaves to the session."""


class NodeCase(NamedTuple):
    """A model of one node with what it is fed and what the suite expects of it.

    Attributes:
        name: Name of the case.
        model: The model.
        opset: Its opset.
        feeds: Inputs by name.
        expected: Outputs in order.
        tensors: Whether all of these are tensors; sequences and optional values are left out otherwise.
    """

    name: str
    model: onnx.ModelProto
    opset: int
    feeds: Arrays
    expected: list[np.ndarray[Any, Any]]
    tensors: bool = True

    @property
    def outputs(self) -> list[str]:
        return [value.name for value in self.model.graph.output]


def every_case() -> Iterator[NodeCase]:
    """All cases."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # divisions by zero inside the suite's own reference
        cases = load_model_tests(kind="node")
    for case in cases:
        inputs, outputs = case.data_sets[0] if case.data_sets else ((), ())
        opset = next((entry.version for entry in case.model.opset_import if not entry.domain), OPSET)
        arrays = [[_array(given) for given in side] for side in (inputs, outputs)]
        tensors = all(array is not None for side in arrays for array in side)
        named = zip(case.model.graph.input, arrays[0], strict=False)
        feeds = {value.name: array for value, array in named if array is not None}
        expected = [array for array in arrays[1] if array is not None]
        whole = tensors and len(inputs) == len(case.model.graph.input)
        yield NodeCase(case.name, case.model, opset, feeds, expected, whole)


def node_cases() -> Iterator[NodeCase]:
    """The cases of tensors of numpy's own types that are not random."""
    for case in every_case():
        native = all(
            array.dtype.isbuiltin or array.dtype.kind in "OU" for array in (*case.feeds.values(), *case.expected)
        )
        if case.tensors and native and not RANDOM.search(case.name):
            yield case


def _array(given: Any) -> np.ndarray[Any, Any] | None:
    if isinstance(given, onnx.TensorProto):
        return ir.serde.deserialize_tensor(given).numpy()
    return np.asarray(given) if isinstance(given, np.ndarray) or np.isscalar(given) else None


def agree(left: np.ndarray[Any, Any], right: np.ndarray[Any, Any]) -> bool:
    """Whether what was computed is what the suite expects, which it rounds for RoiAlign and some pools."""
    if left.shape != right.shape or left.dtype != right.dtype:
        return False
    if left.dtype.kind not in "fcV":
        return np.array_equal(left, right)
    within = 1e-2 if left.dtype.itemsize < 4 else 1e-4
    if left.dtype.kind != "c":
        left, right = left.astype(np.float64), right.astype(np.float64)
    return np.allclose(left, right, rtol=within, atol=within, equal_nan=True)
