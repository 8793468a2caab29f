"""Where a model and its nodes came from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["NATIVE", "Origin", "Source", "disown", "drop_source", "origin_of", "set_origin", "set_source", "source_of"]

NATIVE = "graphkit.torch.native"
"""The node of a torch program whose value a node computes, while names are being given."""
_PREFIX = "graphkit.origin."
_SOURCE = "graphkit.source"


@dataclass(frozen=True, slots=True)
class Origin:
    """Which piece of the source a node came from; empty strings where it is not known.

    Attributes:
        framework: ``"torch"``, ``"mxnet"`` or ``"onnx"``.
        op: The operator in the source's spelling, e.g. ``"aten.conv2d.default"``.
        name: The node's name in the source.
        scope: Path of the module that holds it, joined by dots, e.g. ``"layer1.0.conv1"``.
        module: Class of that module, e.g. ``"torch.nn.modules.conv.Conv2d"``.
        line: Source line, e.g. ``"model.py:31, in forward"``.
    """

    framework: str = ""
    op: str = ""
    name: str = ""
    scope: str = ""
    module: str = ""
    line: str = ""


def set_origin(node: ir.Node, origin: Origin) -> None:
    """Note a node's origin in its ``metadata_props``, where it survives in ONNX files, in place of an earlier one."""
    for key in Origin.__slots__:
        if text := getattr(origin, key):
            node.metadata_props[_PREFIX + key] = text
        else:
            node.metadata_props.pop(_PREFIX + key, None)


def disown(node: ir.Node) -> None:
    """Forget whose value of the source a node computes, as it computes another by now; its origin stays."""
    node.metadata_props.pop(NATIVE, None)


def origin_of(node: ir.Node) -> Origin:
    """The origin that was noted on a node."""
    return Origin(**{key: node.metadata_props.get(_PREFIX + key, "") for key in Origin.__slots__})


@dataclass(slots=True)
class Source:
    """The thing a model was read from, so that its own framework can run it as it is.

    Attributes:
        framework: Name of the framework that reads and runs it.
        label: How to call it in messages and reports, e.g. the file's name.
        handle: The framework's own object (an ``ExportedProgram``, an :class:`~graphkit.ops.mxgraph.MxModel`, …).
        names: Native name by IR value name, for inputs, outputs and initializers whose names differ.
        unused: Names of stored arrays that nothing in the source reads, where that was looked for.
        dtype: Float type that the model was cast to after it was read, e.g. ``"float64"``; empty for none.
        recast: Whether that changed the precision of anything that the source computes.
    """

    framework: str
    label: str
    handle: Any
    names: dict[str, str] = field(default_factory=dict)
    unused: tuple[str, ...] = ()
    dtype: str = ""
    recast: bool = False


def set_source(model: ir.Model, source: Source) -> None:
    """Attach the source to a model in memory; it is not written to files."""
    model.meta[_SOURCE] = source


def drop_source(model: ir.Model) -> None:
    """Detach the source from a model that is no longer what was read."""
    model.meta.pop(_SOURCE, None)


def source_of(model: ir.Model) -> Source | None:
    """The source that a model was read from, if it is still at hand."""
    found: Any = model.meta.get(_SOURCE)
    return found if isinstance(found, Source) else None
