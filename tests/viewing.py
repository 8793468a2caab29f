"""Pages of the viewer for tests, and what they show."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir
from browser import opened
from drawn import block

from graphkit.ir.untranslated import set_untranslated
from graphkit.ir.view import nx_view
from graphkit.render.overlay import Mark, Overlay
from graphkit.render.viewer.page import to_html
from graphkit.render.viewer.payload import Comparison, Counterpart, subject

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page

__all__ = [
    "BYTES",
    "FLOPS",
    "PARITY",
    "boxes",
    "choose",
    "chosen",
    "click_on",
    "compared",
    "highlighted",
    "net",
    "shown",
]

NAMES = ("conv1", "bn", "relu_a", "proj", "scale", "add", "relu_b", "last")

PARITY = Overlay(
    "Parity",
    {"op:conv1": Mark(0.01, ("output: 1e-8 of 1e-6 allowed",), "pass"), "op:add": Mark(12.5, ("too far",), "fail")},
    "bound",
    note="One check is about the whole pass.",
)
FLOPS = Overlay(
    "FLOPs", {f"op:{name}": Mark(10.0**at) for at, name in enumerate(NAMES, 3)} | {"op:add": Mark(None)}, "log"
)
BYTES = Overlay("Memory", {"op:relu_b": Mark(1024.0), "op:last": Mark(3 * 2.0**20)}, unit="bytes")


def net() -> ir.Model:
    """A residual block with a parameter of many numbers and an operator that is not translated."""
    model = block()
    model.graph.initializers["body.conv1.weight"].const_value = ir.tensor(
        np.linspace(-1, 1, 144, dtype=np.float32).reshape(4, 4, 3, 3), name="body.conv1.weight"
    )
    set_untranslated(next(node for node in model.graph if node.name == "last"), "nobody has written it")
    return model


def compared() -> str:
    """A page of a model beside one of which an operator has other attributes, one another name, and one is new."""
    left, right = block(), block()
    for node in right.graph:
        if node.name == "conv1":
            node.attributes["dilations"] = ir.AttrInt64s("dilations", [2, 2])
        elif node.name == "proj":
            node.name = "shortcut"
    views = [nx_view(left), nx_view(right)]
    pairs = [Counterpart(key, key, "same") for key in views[0] if key in views[1]]
    pairs = [
        replace(pair, status="changed", told=("dilations: (1, 1) → (2, 2)",)) if pair.left == "op:conv1" else pair
        for pair in pairs
        if pair.left != "op:last"
    ]
    pairs += [
        Counterpart("op:proj", "op:shortcut", "renamed"),
        Counterpart("op:last", None, "removed"),
        Counterpart(None, "op:last", "added"),
    ]
    subjects = [subject(left, title="before"), subject(right, title="after")]
    return to_html(subjects, comparison=Comparison(pairs, [("1", "node changed")]))


@contextmanager
def shown(browser: Browser, path: Path, *, width: int = 1500, height: int = 1000, dark: bool = False) -> Iterator[Page]:
    """A page of the viewer that is ready, and must not complain."""
    with opened(browser, path, width=width, height=height, dark=dark) as page:
        page.wait_for_selector("html[data-viewer=ready]", state="attached")
        assert page.locator("#message").is_hidden()
        yield page


def chosen(page: Page, side: int = 0) -> str:
    """Name of what is selected in a scene."""
    return page.evaluate(
        """(side) => {
            const { scenes, graphs } = graphkitViewer;
            const item = scenes[side].selection;
            return item ? { node: graphs[side].nodes, group: graphs[side].groups }[item.kind][item.id].name : "";
        }""",
        side,
    )


def choose(page: Page, name: str, side: int = 0) -> None:
    """Select an operator."""
    page.evaluate(
        """([name, side]) => {
            const { viewer, graphs } = graphkitViewer;
            const id = graphs[side].nodes.findIndex((node) => node.name === name && node.kind === "operator");
            viewer.choose(side, { kind: "node", id });
        }""",
        [name, side],
    )


def highlighted(page: Page, side: int = 0) -> list[str] | None:
    """Names of the nodes that stand out, None where none does."""
    return page.evaluate(
        """(side) => {
            const { scenes, graphs } = graphkitViewer;
            const found = scenes[side].looks.highlight;
            return found && [...found.nodes].map((node) => graphs[side].nodes[node].name);
        }""",
        side,
    )


def boxes(page: Page, side: int = 0) -> set[str]:
    """Names of the nodes and groups that have a box."""
    return set(
        page.evaluate(
            """(side) => graphkitViewer.scenes[side].boxes.map(({ item }) =>
                graphkitViewer.graphs[side][`${item.kind}s`][item.id].name)""",
            side,
        )
    )


def click_on(page: Page, name: str, side: int = 0) -> None:
    """Click on the box of a node."""
    x, y = page.evaluate(
        """([name, side]) => {
            const { scenes, graphs } = graphkitViewer;
            const id = graphs[side].nodes.findIndex((node) => node.name === name && node.kind === "operator");
            const { x, y, w, h } = scenes[side].screen(scenes[side].box({ kind: "node", id }));
            const host = scenes[side].host.getBoundingClientRect();
            return [host.left + x + w / 2, host.top + y + h / 2];
        }""",
        [name, side],
    )
    page.mouse.click(x, y)
