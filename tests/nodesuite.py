"""ONNX's own suite of single nodes."""

from __future__ import annotations

import re
import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from onnx.backend.test.loader import load_model_tests

from graphkit.ir.canonical import OPSET

if TYPE_CHECKING:
    from collections.abc import Iterator

    import onnx

    Arrays = dict[str, np.ndarray[Any, Any]]

RANDOM = re.compile("bernoulli|training_dropout")
"""Cases whose output is random, or follows training mode, which a canonical model leaves to the session."""


class NodeCase(NamedTuple):
    """A model of one node with what it is fed and what the suite expects of it."""

    name: str
    model: onnx.ModelProto
    opset: int
    feeds: Arrays
    expected: list[np.ndarray[Any, Any]]

    @property
    def outputs(self) -> list[str]:
        return [value.name for value in self.model.graph.output]


def node_cases() -> Iterator[NodeCase]:
    """The cases of tensors that are not random ."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # divisions by zero inside the suite's own reference
        cases = load_model_tests(kind="node")
    for case in cases:
        inputs, outputs = case.data_sets[0] if case.data_sets else ((), ())
        opset = next((entry.version for entry in case.model.opset_import if not entry.domain), OPSET)
        tensors = all(isinstance(array, np.ndarray) or np.isscalar(array) for array in (*inputs, *outputs))
        if not tensors or len(inputs) != len(case.model.graph.input) or RANDOM.search(case.name):
            continue
        feeds = {value.name: np.asarray(array) for value, array in zip(case.model.graph.input, inputs, strict=True)}
        yield NodeCase(case.name, case.model, opset, feeds, [np.asarray(array) for array in outputs])
