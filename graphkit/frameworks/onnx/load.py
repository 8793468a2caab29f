"""ONNX files as models that are whole: parsed, checked, their weights mapped into memory."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import onnx
import onnx_ir as ir
from google.protobuf.message import DecodeError
from onnx_ir.passes import InvariantError

from graphkit.errors import FormatError, InputError
from graphkit.frameworks.onnx.external import map_weights
from graphkit.frameworks.onnx.stripped import parse_stripped
from graphkit.frameworks.onnx.validate import check_complete, check_proto
from graphkit.ir.edit import nodes_of
from graphkit.ir.keeping import STUMBLES
from graphkit.ir.origin import Origin, origin_of, set_origin
from graphkit.provenance import KEY, note_record

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from graphkit.frameworks.onnx.validate import Findings

__all__ = ["TRAINING", "load", "named"]

TRAINING: Final = "graphkit.training_info"
"""Key of a model's meta: that its file says how to train it, which is left out."""

_NATIVE: Final = (
    onnx.shape_inference.InferenceError,
    onnx.checker.ValidationError,
    onnx.defs.SchemaError,
    InvariantError,
)
"""What onnx and onnx_ir raise of their own."""
_TOLD: Final = 300
"""Characters of what a library says of damage that are kept."""


def load(path: Path, findings: Findings | None = None) -> ir.Model:
    """Parse an ``.onnx`` file and check that it is whole.

    Large weights are mapped into memory, not loaded; those in external files must lie in the model's own folder. Every
    node notes its origin.

    Args:
        path: The file.
        findings: Notes what a model that is only looked at may lack, and such weights are without data. None refuses
            such models.

    Returns:
        The model.

    Raises:
        FormatError: The file is damaged, truncated, or contradicts itself.
        InputError: It cannot be read.
        LimitError: It is beyond :mod:`graphkit.limits`.
    """
    proto = _parse(path, findings)
    check_proto(path, proto, findings)
    try:
        with _quiet():
            model = ir.serde.deserialize_model(proto)
        ir.external_data.set_base_dir(model.graph, path.resolve().parent)
    except Exception as error:
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        raise FormatError(f"{path} is damaged: {_clause(cause)}.") from error
    if proto.training_info:
        model.meta[TRAINING] = True
    note_record(model.metadata_props.pop(KEY, None))
    with named(path):
        check_complete(model)
        map_weights(model, findings.absent if findings is not None else ())
    for node in nodes_of(model):
        if origin_of(node) == Origin():
            set_origin(node, Origin(framework="onnx", op=node.op_type, name=node.name or ""))
    return model


@contextmanager
def named(path: Path) -> Iterator[None]:
    """Name the file in errors of its content, and tell what libraries stumble over as such.

    Raises:
        FormatError: The content contradicts itself.
    """
    try:
        yield
    except FormatError as error:
        raise FormatError(f"{path}: {error}") from error
    except RecursionError as error:
        raise FormatError(
            f"{path} has graphs deeper within each other than can be gone through; export it without such nesting."
        ) from error
    except (*STUMBLES, *_NATIVE) as error:
        raise FormatError(
            f"{path} cannot be read: a part of it contradicts another, or is not what ONNX says ({_clause(error)}). "
            f"See what onnx.checker says of it; if that finds nothing, report it to graphkit with the file."
        ) from error


def _clause(error: BaseException) -> str:
    told = " ".join(str(error).split()).rstrip(".")[:_TOLD]
    return told if isinstance(error, RuntimeError) and told else f"{type(error).__name__}: {told}"


def _parse(path: Path, findings: Findings | None) -> onnx.ModelProto:
    try:
        proto = parse_stripped(path)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from error
    except DecodeError as error:
        raise FormatError(
            f"{path} is not an ONNX file, or is damaged or truncated: {error}. Copy it again from where it came."
        ) from error
    if findings is not None and proto.HasField("graph") and not proto.opset_import:
        findings.notes.append(f"{path} does not say of which opset it is; it is taken for 1, as the oldest files are.")
        proto.opset_import.add(version=1)
    if not proto.HasField("graph") or not proto.opset_import:
        raise FormatError(
            f"{path} is not an ONNX file: it holds no graph, or does not say of which opset it is. Export the model "
            "again."
        )
    return proto


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what onnx_ir logs about damaged graphs, which are refused afterwards."""
    logger = logging.getLogger("onnx_ir.serde")
    before = logger.disabled
    logger.disabled = True
    try:
        yield
    finally:
        logger.disabled = before
