"""What kinds of faults are made with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import numpy.typing as npt

    Rng = np.random.Generator
    Plant = Callable[[ir.Model, Rng], list[str] | None]


@dataclass(frozen=True)
class Fault:
    """A kind of fault.

    Attributes:
        plant: Spoils a model.
        shows: In what it shows: ``"outputs"``, or only in ``"gradients"`` or in running ``"statistics"``.
    """

    plant: Plant
    shows: str = "outputs"


FAULTS: dict[str, Fault] = {}
"""All kinds by name."""


def fault(name: str, shows: str = "outputs") -> Callable[[Plant], Plant]:
    def add(plant: Plant) -> Plant:
        FAULTS[name] = Fault(plant, shows)
        return plant

    return add


def pick(rng: Rng, nodes: Iterable[ir.Node]) -> ir.Node | None:
    found = list(nodes)
    return found[int(rng.integers(len(found)))] if found else None


def nodes_of(model: ir.Model, *ops: str) -> list[ir.Node]:
    return [node for node in model.graph if node.op_type in ops and not node.domain]


def inner_nodes(model: ir.Model, *ops: str) -> list[ir.Node]:
    return [node for node in nodes_of(model, *ops) if not node.outputs[0].is_graph_output()]


def array_of(value: ir.Value | None) -> npt.NDArray[Any] | None:
    return None if value is None or value.const_value is None else value.const_value.numpy()


def set_array(value: ir.Value, array: npt.NDArray[Any]) -> None:
    value.const_value = ir.tensor(np.ascontiguousarray(array), name=value.name)
    value.shape = ir.Shape(array.shape)


def names_of(nodes: Iterable[ir.Node]) -> list[str]:
    return [node.name or "" for node in nodes]


def readers_of(value: ir.Value) -> list[str]:
    return names_of(dict.fromkeys(node for node, _ in value.uses()))


def change_attribute(
    model: ir.Model, rng: Rng, ops: tuple[str, ...], name: str, change: Callable[[ir.Node], Any]
) -> Any:
    """Change an attribute of a node for which ``change`` tells another value."""
    changes = [(node, change(node)) for node in nodes_of(model, *ops)]
    able = [(node, value) for node, value in changes if value is not None]
    if not able:
        return None
    node, value = able[int(rng.integers(len(able)))]
    kind = {int: ir.AttrInt64, float: ir.AttrFloat32, str: ir.AttrString, tuple: ir.AttrInt64s}[type(value)]
    node.attributes[name] = kind(name, value)
    return names_of([node])


def size_of(value: ir.Value | None) -> tuple[Any, ...]:
    return () if value is None or value.shape is None else tuple(value.shape)
