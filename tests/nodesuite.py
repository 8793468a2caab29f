"""ONNX's own suite of single nodes."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import onnx
import onnx_ir as ir
from onnx.backend.test.loader import load_model_tests

from graphkit.ir.canonical import OPSET

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

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
        given: Inputs by name, sequences as lists and absent values as None.
        wanted: Outputs in order, likewise.
    """

    name: str
    model: onnx.ModelProto
    opset: int
    feeds: Arrays
    expected: list[np.ndarray[Any, Any]]
    tensors: bool = True
    given: Mapping[str, Any] = MappingProxyType({})
    wanted: Sequence[Any] = ()

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
        given = {value.name: _value(part) for value, part in zip(case.model.graph.input, inputs, strict=False)}
        wanted = [_value(part) for part in outputs]
        model = onnx.ModelProto()
        model.CopyFrom(case.model)  # the suite's own is shared, and tensors read from a proto are renamed in it
        yield NodeCase(case.name, model, opset, feeds, expected, whole, given, wanted)


def stored_cases(kind: str) -> Iterator[NodeCase]:
    """The cases of whole models (``pytorch-converted``, ``pytorch-operator``, ``simple``), one for each set of data."""
    for case in load_model_tests(kind=kind):
        model = case.model if case.model is not None else onnx.load(f"{case.model_dir}/model.onnx")
        stored = {tensor.name for tensor in model.graph.initializer}
        inputs = [value for value in model.graph.input if value.name not in stored]
        opset = next((entry.version for entry in model.opset_import if not entry.domain), OPSET)
        sets = case.data_sets or [
            (_files(folder, "input", inputs), _files(folder, "output", model.graph.output))
            for folder in sorted(Path(case.model_dir).glob("test_data_set_*"))
        ]
        for given, wanted in sets:
            named = {value.name: _value(part) for value, part in zip(inputs, given, strict=True)}
            yield NodeCase(case.name, model, opset, {}, [], True, named, [_value(part) for part in wanted])


def _files(folder: Path, side: str, values: Sequence[onnx.ValueInfoProto]) -> list[Any]:
    found = []
    for number, value in enumerate(values):
        sequence = value.type.HasField("sequence_type")
        proto = onnx.SequenceProto() if sequence else onnx.TensorProto()
        proto.ParseFromString((folder / f"{side}_{number}.pb").read_bytes())
        found.append(proto)
    return found


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


def _value(given: Any) -> Any:
    if isinstance(given, onnx.SequenceProto):
        return [_value(part) for part in onnx.numpy_helper.to_list(given)]
    if isinstance(given, onnx.OptionalProto):
        return _value(onnx.numpy_helper.to_optional(given))
    return [_value(part) for part in given] if isinstance(given, list) else _array(given)


def alike(left: Any, right: Any) -> bool:
    """Whether two values agree, lists member by member."""
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(alike, left, right))
    if left is None or right is None or isinstance(left, list) or isinstance(right, list):
        return left is right
    return agree(left, right)


def agree(left: np.ndarray[Any, Any], right: np.ndarray[Any, Any]) -> bool:
    """Whether what was computed is what the suite expects, which it rounds for RoiAlign and some pools."""
    if left.shape != right.shape or left.dtype != right.dtype:
        return False
    if left.dtype.kind not in "fcV":
        return np.array_equal(left, right)
    within = 1e-2 if left.dtype.itemsize < 4 else 1e-4
    if left.dtype.kind != "c":
        with np.errstate(invalid="ignore"):  # numpy 2 tells of casts of NaN
            left, right = left.astype(np.float64), right.astype(np.float64)
    return np.allclose(left, right, rtol=within, atol=within, equal_nan=True)
