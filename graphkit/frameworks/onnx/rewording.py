"""Operators that ONNX Runtime computes otherwise than ONNX says, in operators on which both agree."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphkit.ir.edit import Editor, nodes_of

if TYPE_CHECKING:
    from collections.abc import Callable

    import onnx_ir as ir

__all__ = ["reword"]


def reword(model: ir.Model) -> None:
    """Say nodes of a canonical model that is to be written in operators that run alike everywhere, in place."""
    for node in nodes_of(model):
        if not node.domain and node.op_type in _REWORDED:
            _REWORDED[node.op_type](Editor(model, node))


def _bernoulli(edit: Editor) -> None:
    """ONNX's function body of Bernoulli, which ONNX Runtime runs, compares the wrong way round: 1 comes with 1 - p."""
    node = edit.node
    (chances,) = node.inputs
    assert chances is not None
    seed = node.attributes.get("seed")
    drawn = edit.op("RandomUniformLike", chances, seed=None if seed is None else seed.as_float())
    kind = node.outputs[0].dtype
    assert kind is not None
    edit.replace(edit.op("Cast", edit.op("Less", drawn, chances), to=int(kind)))


_REWORDED: dict[str, Callable[[Editor], None]] = {"Bernoulli": _bernoulli}
