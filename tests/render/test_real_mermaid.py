"""Mermaid's own parser and layout, which GitHub runs, in a real browser.

``npm install mermaid`` anywhere, and ``GRAPHKIT_MERMAID=…/node_modules/mermaid/dist/mermaid.min.js``.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from browser import browser  # noqa: F401  # a fixture
from drawn import HOSTILE, block, branches, chain, hostile

from graphkit.ir.untranslated import set_untranslated
from graphkit.ir.view import nx_view
from graphkit.passes.gradient.model import gradient_model
from graphkit.render import picture
from graphkit.render.overlay import Mark, Overlay

SCRIPT = os.environ.get("GRAPHKIT_MERMAID", "")
pytestmark = pytest.mark.skipif(not SCRIPT, reason="GRAPHKIT_MERMAID names no mermaid.min.js")

_SETTINGS = {"startOnLoad": False, "maxTextSize": 50_000, "maxEdges": 500, "securityLevel": "strict"}
"""Those of GitHub."""
_DRAW = """async (text) => {
    const {svg} = await mermaid.render("graph", text);
    document.body.innerHTML = svg;
    return [...document.querySelectorAll(".nodeLabel")].map((label) => label.textContent);
}"""


@pytest.fixture(scope="module")
def page(browser):  # noqa: F811  # the fixture
    found = browser.new_page()
    found.set_content("<body></body>")
    found.add_script_tag(path=Path(SCRIPT))
    found.evaluate("(settings) => mermaid.initialize(settings)", _SETTINGS)
    yield found
    found.close()


WORDS = ("end", "graph", "subgraph", "class", "click", "style", "o--x", "%%a```b")


def words():
    model = chain(len(WORDS))
    for node, word in zip(model.graph, WORDS, strict=True):
        node.name = node.outputs[0].name = word
    return model


def marked():
    model = block()
    set_untranslated(model.graph[0], "nobody")
    return model


OVERLAY = Overlay("Errors", {"op:bn": Mark(3.0, verdict="fail")}, "bound", note='"<b>x</b>"; %% {y}')


@pytest.mark.parametrize(
    ("make", "options"),
    [
        (block, {}),
        (branches, {"direction": "LR"}),
        (hostile, {"title": HOSTILE}),
        (words, {"title": "end"}),
        (marked, {"overlays": [OVERLAY]}),
        (block, {"around": ["add"], "hops": 1}),
        (lambda: gradient_model(block()), {}),
        (lambda: chain(2000), {"warn": lambda _: None}),
    ],
    ids=["block", "branches", "hostile", "words", "marked", "part", "gradients", "large"],
)
def test_mermaid_draws_every_box(page, make, options):
    text = picture(make(), "mmd", **options).decode()
    labels = page.evaluate(_DRAW, text)
    assert len(labels) >= text.count(":::") > 0
    assert not page.evaluate("document.querySelectorAll('body script, body td, .error-icon').length")


def test_names_are_shown_as_they_are(page):
    labels = page.evaluate(_DRAW, picture(words(), "mmd").decode())
    for word in WORDS:
        assert f"Relu {word}" in labels
    assert any("Foo<b>" in label for label in page.evaluate(_DRAW, picture(hostile(), "mmd").decode()))


def test_a_flat_graph_of_thousands_is_within_the_limits(page):
    view = nx_view(chain(3000))
    assert len(page.evaluate(_DRAW, picture(view, "mmd", warn=lambda _: None).decode())) > 300
