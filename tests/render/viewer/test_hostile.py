"""Graphs that mean harm to the viewer, or have nothing to show."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from browser import opened
from drawn import HOSTILE, block, chain, hostile
from viewing import chosen, shown

from graphkit.ir.origin import Origin, set_origin
from graphkit.ir.untranslated import set_untranslated
from graphkit.ir.view import nx_view
from graphkit.render.overlay import Mark, Overlay
from graphkit.render.viewer.page import to_html
from graphkit.render.viewer.payload import Comparison, Counterpart, subject

EVIL = (
    "<img src=x onerror=alert(1)></script><script>alert(2)</script>\"'`${alert(3)}\n&lt;b&gt;javascript:alert(4) 🦊"
    "\u202e" + HOSTILE
)


def wicked() -> ir.Model:
    """A model of which every text is markup, a script, or long."""
    model = hostile()
    first = model.graph[0]
    weight = ir.Value(name=EVIL + "w", const_value=ir.tensor(np.ones((2, 64), np.float32), name=EVIL + "w"))
    model.graph.register_initializer(weight)
    extra = ir.Node("", "Add", [model.graph.inputs[0], weight], name=EVIL, attributes=[ir.AttrString(EVIL, EVIL)])
    model.graph.insert_before(first, extra)
    extra.outputs[0].name = EVIL + "o"
    for index, node in enumerate(model.graph):
        scope = f"{EVIL.replace('.', '')}.{index % 2}"
        set_origin(node, Origin(EVIL, EVIL, EVIL, scope, EVIL, EVIL))
        set_untranslated(node, EVIL)
    return model


def test_no_text_of_a_model_is_more_than_text(browser, tmp_path):
    model = wicked()
    view = nx_view(model)
    long = EVIL + "L" * 10_000
    overlay = Overlay(long, {key: Mark(1.0, (long,), "fail") for key in view}, "linear", long, long)
    one = subject(model, title=long, overlays=[overlay], facts=[(long, long)])
    pairs = [Counterpart(key, key, "changed", (long,)) for key in view]
    for name, text in {
        "one": to_html([one], title=long),
        "two": to_html([one, one], title=long, comparison=Comparison(pairs, [(long, long)])),
    }.items():
        path = tmp_path / f"{name}.html"
        path.write_text(text, encoding="utf-8")
        with shown(browser, path) as page:
            page.click("#expand")
            for node in range(page.evaluate("graphkitViewer.graphs[0].nodes.length")):
                page.evaluate("(id) => graphkitViewer.viewer.choose(0, { kind: 'node', id })", node)
            for group in range(1, page.evaluate("graphkitViewer.graphs[0].groups.length")):
                page.evaluate("(id) => graphkitViewer.viewer.choose(0, { kind: 'group', id })", group)
            page.evaluate("() => graphkitViewer.viewer.choose(0, { kind: 'edge', id: 0 })")
            page.select_option("#heat", index=1)
            page.click("#paths")
            page.keyboard.press("Escape")
            page.keyboard.press("w")
            page.fill("#search", "alert")
            page.keyboard.press("Enter")
            for link in page.locator("#panel button.link:has-text('characters')").all()[:3]:
                link.click()
            page.mouse.move(600, 500)
            page.mouse.move(620, 505)
            assert page.locator("img, iframe, a").count() == 0
            assert page.locator("script").count() == 3
            assert "\u202e" not in page.inner_text("body")
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
            assert "<img src=x" in page.inner_text("h1")


def test_an_empty_graph_says_so(browser, tmp_path):
    empty = ir.Model(ir.Graph([], [], nodes=[], opset_imports={"": 23}, name="nothing"), ir_version=10)
    path = tmp_path / "empty.html"
    path.write_text(to_html([subject(empty)]), encoding="utf-8")
    with opened(browser, path) as page:
        page.wait_for_selector("html[data-viewer=ready]", state="attached")
        assert "The graph is empty: nothing has no operators" in page.inner_text("#message")
        assert page.locator("#main").is_hidden()
    beside = tmp_path / "beside.html"
    beside.write_text(
        to_html([subject(empty), subject(chain(2))], comparison=Comparison([Counterpart(None, "op:n0", "added")])),
        encoding="utf-8",
    )
    with shown(browser, beside) as page:
        page.keyboard.press("n")
        assert chosen(page, 1) == "n0"


def test_the_page_says_what_it_needs_where_it_cannot_run(browser, tmp_path):
    file = tmp_path / "net.html"
    file.write_text(to_html([subject(block(), title="the net")]), encoding="utf-8")
    with opened(browser, file, scripts=False) as page:
        assert page.inner_text("h1") == "the net"
        assert "operators: 8" in page.inner_text(".facts")
        assert "does not run" in page.inner_text("noscript")
    context = browser.new_context()
    old = context.new_page()
    old.add_init_script("delete globalThis.DecompressionStream")
    old.goto(file.as_uri())
    old.wait_for_selector("html[data-viewer=failed]", state="attached")
    assert "it has no DecompressionStream" in old.inner_text("#message")
    context.close()
