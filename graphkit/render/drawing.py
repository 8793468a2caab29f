"""What a picture shows, before any format: boxes, frames and arrows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from graphkit.render.shading import Shading

__all__ = ["Arrow", "Box", "Drawing", "Frame", "Show"]

BoxKind: TypeAlias = Literal["operator", "input", "output", "initializer", "module"]


@dataclass(frozen=True, slots=True)
class Show:
    """What of a model's details a picture writes out. Tooltips have all of it either way.

    Attributes:
        shapes: Shapes and element types of values, beside the arrows and on inputs and outputs.
        parameters: What operators read from the model.
        attributes: Attributes of operators.
    """

    shapes: bool = True
    parameters: bool = True
    attributes: bool = True


@dataclass(frozen=True, slots=True)
class Box:
    """One box.

    Attributes:
        id: Short and unique: ``n0``, ``n1``, ….
        kind: What it stands for; a ``"module"`` stands for a folded scope.
        family: The operator's family; empty for other kinds.
        title: Operator type, or name of an input, output or module.
        name: The node's name relative to its frame; may be empty.
        details: Lines about attributes, or dtype and shape.
        parameters: (kind, text) for each line about parameters.
        tooltip: Lines that need no space.
        untranslated: Whether it has no canonical form, or shows something that has none.
        cut: Whether it stands for what is beyond the part of a graph that is shown.
    """

    id: str
    kind: BoxKind
    family: str
    title: str
    name: str = ""
    details: tuple[str, ...] = ()
    parameters: tuple[tuple[str, str], ...] = ()
    tooltip: tuple[str, ...] = ()
    untranslated: bool = False
    cut: bool = False


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame around boxes and other frames.

    Attributes:
        id: Short and unique: ``c0``, ``c1``, ….
        kind: A module ``"scope"``, a control-flow ``"operator"`` with its bodies, or one ``"body"``.
        title: Name relative to the frame around it.
        note: Class of the module; may be empty.
        children: What is inside, in the model's order.
        tooltip: The whole name.
        backward: Whether what is inside computes gradients.
    """

    id: str
    kind: Literal["scope", "operator", "body"]
    title: str
    note: str
    children: tuple[Box | Frame, ...]
    tooltip: str = ""
    backward: bool = False


@dataclass(frozen=True, slots=True)
class Arrow:
    """A value on its way from one box to another.

    Attributes:
        tail: Id of the box that computes it.
        head: Id of the box that reads it.
        value: What tells it from other values: the node of the view that computes it, and which output it is.
        label: Its shape, with the dtype unless it is float32.
        body: Whether it connects a control-flow operator with its body.
        tooltip: The value's name and shape.
        kept: Whether it is a value of the forward pass that the backward pass reads.
    """

    tail: str
    head: str
    value: tuple[str, int]
    label: str
    body: bool
    tooltip: str
    kept: bool = False


@dataclass(frozen=True, slots=True)
class Drawing:
    """All of a picture.

    Attributes:
        title: What it is a picture of.
        subtitle: Its size.
        children: Boxes and frames outside every frame.
        arrows: In the order of their heads.
        families: Operator families that occur, in their usual order.
        shown: Id of the box that shows each node of the view, by the node's key.
        shading: What colours the boxes instead of their families; None where nothing does.
    """

    title: str
    subtitle: str
    children: tuple[Box | Frame, ...]
    arrows: tuple[Arrow, ...]
    families: tuple[str, ...]
    shown: Mapping[str, str] = field(default_factory=dict)
    shading: Shading | None = None

    def boxes(self) -> Iterator[Box]:
        """Every box, inside frames too."""
        return (item for item in self._all() if isinstance(item, Box))

    def frames(self) -> Iterator[Frame]:
        """Every frame, each before those inside it."""
        return (item for item in self._all() if isinstance(item, Frame))

    def _all(self) -> Iterator[Box | Frame]:
        stack: list[Box | Frame] = list(reversed(self.children))
        while stack:
            item = stack.pop()
            yield item
            if isinstance(item, Frame):
                stack.extend(reversed(item.children))
