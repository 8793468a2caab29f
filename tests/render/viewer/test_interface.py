"""The viewer's page, in a real browser."""

from __future__ import annotations

import re

import onnx_ir as ir
import pytest
from drawn import chain
from viewing import BYTES, FLOPS, PARITY, boxes, choose, chosen, click_on, highlighted, net, shown

from graphkit.render.viewer.page import to_html
from graphkit.render.viewer.payload import subject


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("pages") / "net.html"
    given = subject(net(), title="the net", overlays=[PARITY, FLOPS, BYTES], facts=[("depth", "7")])
    path.write_text(to_html([given], colours="Parity"), encoding="utf-8")
    return path


@pytest.fixture
def page(browser, file):
    with shown(browser, file) as page:
        page.select_option("#heat", label="Operator families")
        yield page


def test_the_page_opens_with_its_graph_and_what_is_known_of_it(page):
    assert page.inner_text("h1") == "the net"
    assert "operators: 8" in page.inner_text(".facts")
    panel = page.inner_text("#panel")
    assert "depth\n7" in panel
    assert "float32 N × 4 × 8 × 8" in panel
    assert re.search(r"Conv\s+2\b", panel)
    assert {"image", "body", "last", "out"} <= boxes(page)
    assert page.locator("#legend").inner_text().split("\n")[:2] == ["convolution", "normalisation"]


def test_groups_open_and_close_by_button_key_and_outline(page):
    page.click("#collapse")
    assert "conv1" not in boxes(page)
    page.click("#expand")
    assert {"conv1", "proj", "body.down"} <= boxes(page)
    page.click("#collapse")
    page.click("#outline .row:has-text('body')")
    assert chosen(page) == "body"
    assert re.search(r"OPERATORS\n7\b", page.inner_text("#panel").upper())
    page.click("#panel button:has-text('Expand')")
    assert "conv1" in boxes(page)
    page.focus("#stage-0")
    page.keyboard.press("Enter")
    assert "conv1" not in boxes(page)


def test_the_outline_is_a_tree_that_keys_open(page):
    page.click("#outline .row:has-text('body') .twist")
    page.keyboard.press("ArrowDown")
    row = page.locator("#outline .row[aria-selected=true]")
    assert "Conv" in row.inner_text()
    assert row.get_attribute("aria-level") == "2"
    page.keyboard.press("ArrowLeft")
    assert page.locator("#outline .row[aria-selected=true]").get_attribute("aria-expanded") == "true"
    page.keyboard.press("ArrowLeft")
    assert page.locator("#outline .row[aria-selected=true]").get_attribute("aria-expanded") == "false"
    choose(page, "proj")
    row = page.locator("#outline .row[aria-selected=true]")
    assert row.get_attribute("aria-level") == "3"
    assert row.locator("[title=proj]").count() == 1
    assert page.locator("#outline").get_attribute("aria-activedescendant")


QUERIES = {
    "op:conv": {"conv1", "proj"},
    "conv": {"conv1", "proj"},
    "attr:kernel_shape=3": {"conv1"},
    "attr:kernel_shape=1x1": {"proj"},
    "attr:kernel_shape=13": set(),
    "op:relu from:body": {"relu_a", "relu_b"},
    "shape:4x3x3": {"conv1"},
    "shape:8x8 op:mul": {"scale"},
    "param:running_mean": {"bn"},
    "from:nets.Scale": {"scale"},
    "is:untranslated": {"last"},
    "name:body.down is:group": {"body.down"},
    "is:input": {"image"},
    "dtype:float16": set(),
    '"no body"': set(),
    "op:": set(),
}


def test_a_search_finds_what_all_its_words_hold_for(page):
    find = """(query) => graphkitViewer.search.indexOf(0).find(query).map(({ kind, id }) =>
        graphkitViewer.graphs[0][`${kind}s`][id].name)"""
    assert {query: set(page.evaluate(find, query)) for query in QUERIES} == QUERIES


def test_a_search_lists_marks_and_goes_to_what_it_finds(page):
    page.click("#collapse")
    page.keyboard.press("/")
    page.keyboard.type("op:conv")
    assert page.locator("#found .row").count() == 2
    assert "2 found" in page.inner_text("#found")
    assert sorted(highlighted(page)) == ["conv1", "proj"]
    page.keyboard.press("ArrowDown")
    first = page.locator("#found .row[aria-selected=true]")
    assert page.get_attribute("#search", "aria-activedescendant") == first.get_attribute("id")
    page.keyboard.press("Enter")
    assert chosen(page) == "proj"
    assert "proj" in boxes(page)
    assert highlighted(page) is None
    assert page.locator("#found").is_hidden()
    page.keyboard.press("/")
    page.keyboard.type("add")
    page.click("#found .row:has-text('Add')")
    assert chosen(page) == "add"
    page.keyboard.press("/")
    page.keyboard.type("nothing of the kind")
    assert page.locator("#found .row").count() == 0
    page.keyboard.press("Escape")
    assert page.input_value("#search") == ""


def test_a_click_shows_a_node_with_its_values_parameters_and_origin(page):
    choose(page, "bn")
    click_on(page, "conv1")
    assert chosen(page) == "conv1"
    panel = page.inner_text("#panel")
    for text in (
        "kernel_shape\n3, 3",
        "float32 N × 4 × 8 × 8",
        "4 × 4 × 3 × 3",
        "144 elements, 576 B",
        "mean 0",
        "aten.conv",
        "nets.py:7",
        "torch.nn.modules.conv.Conv2d",
        "0.01 of the bound",
        "output: 1e-8 of 1e-6 allowed",
        "1,000",
    ):
        assert text in panel
    histogram = page.locator("#panel .histogram")
    assert histogram.first.locator("rect").count() == 32
    assert "body.conv1.weight" in histogram.first.get_attribute("aria-label")
    page.click("#panel .jump:has-text('BatchNormalization')")
    assert chosen(page) == "bn"
    page.click("#panel .crumbs button:has-text('body')")
    assert chosen(page) == "body"


def test_the_panel_says_why_a_node_is_not_translated(page):
    choose(page, "last")
    assert "nobody has written it" in page.inner_text("#panel .notice")


def test_a_value_is_shown_with_who_makes_and_who_reads_it(page):
    choose(page, "add")
    page.click("#panel .port .link >> nth=0")
    panel = page.inner_text("#panel").upper()
    assert re.search(r"MADE BY\s+RELU RELU_A\s+READ BY\s+ADD ADD", panel.replace("RELU RELU\n", "RELU RELU_A\n"))
    assert page.evaluate("graphkitViewer.scenes[0].selection.kind") == "edge"


def test_of_many_inputs_and_readers_a_few_are_shown_until_more_are_asked_for(browser, tmp_path):
    lines = "".join(f"v{at} = Relu(x)" for at in range(150))
    names = ", ".join(f"v{at}" for at in range(150))
    model = ir.from_onnx_text(
        f'<ir_version: 10, opset_import: ["": 23]> net (float[4] x) => (float[4] y) {{ {lines} y = Sum({names}) }}'
    )
    path = tmp_path / "wide.html"
    path.write_text(to_html([subject(model)]), encoding="utf-8")
    with shown(browser, path) as page:
        page.evaluate("graphkitViewer.viewer.choose(0, { kind: 'node', id: 0 })")
        assert page.locator("#panel .jump").count() == 8
        page.click("#panel button:has-text('142 more')")
        page.click("#panel button:has-text('42 more')")
        assert page.locator("#panel .jump").count() == 150
        page.evaluate("graphkitViewer.viewer.choose(0, { kind: 'node', id: 151 })")
        assert page.locator("#panel section:has-text('Inputs') .port").count() == 20
        page.click("#panel button:has-text('130 more')")
        assert page.locator("#panel section:has-text('Inputs') .port").count() == 120


def test_arrows_walk_along_the_graph_and_are_told(page):
    page.click("#expand")
    choose(page, "conv1")
    page.focus("#stage-0")
    page.keyboard.press("ArrowDown")
    assert chosen(page) == "bn"
    assert "BatchNormalization" in page.inner_text("#said")
    page.keyboard.press("ArrowUp")
    assert chosen(page) == "conv1"
    page.focus("#fit")
    page.keyboard.press("ArrowDown")
    assert chosen(page) == "bn"
    page.focus("#panel .jump >> nth=0")
    page.keyboard.press("Enter")
    assert chosen(page) == "conv1"
    assert page.evaluate("document.activeElement.id") == "panel"
    page.keyboard.press("x")
    assert "conv1" not in boxes(page)
    page.keyboard.press("Escape")
    assert chosen(page) == ""


def test_keys_zoom_turn_and_move_the_graph(page):
    page.focus("#stage-0")
    scale = "graphkitViewer.scenes[0].transform.k"
    page.keyboard.press("f")
    before = page.evaluate(scale)
    page.keyboard.press("+")
    assert page.evaluate(scale) > before
    page.keyboard.press("-")
    assert page.evaluate(scale) == pytest.approx(before)
    left = page.evaluate("graphkitViewer.scenes[0].transform.x")
    page.keyboard.press("Shift+ArrowLeft")
    assert page.evaluate("graphkitViewer.scenes[0].transform.x") == pytest.approx(left + 120)
    page.keyboard.press("r")
    assert page.evaluate("graphkitViewer.scenes[0].directionName") == "LR"
    page.keyboard.press("o")
    assert page.locator("#left").is_hidden()
    assert page.get_attribute("#show-left", "aria-pressed") == "false"


def test_the_help_tells_every_key_that_works(page):
    page.keyboard.press("?")
    assert page.locator("dialog").is_visible()
    told = set(page.locator("dialog kbd").all_inner_texts())
    assert told >= {"/", "?", "f", "e", "c", "d", "a", "s", "t", "w", "n", "p", "h", "o", "i", "r", "x", "Esc", "Enter"}
    page.keyboard.press("d")
    assert page.get_attribute("html", "data-theme") == "light"
    page.keyboard.press("Escape")
    assert page.locator("dialog").is_hidden()


def test_paths_are_shown_and_stepped_through(page):
    choose(page, "bn")
    page.focus("#stage-0")
    page.keyboard.press("a")
    assert set(highlighted(page)) == {"image", "conv1", "bn"}
    assert "Ancestors of bn: 2 nodes" in page.inner_text("#chip")
    page.keyboard.press("n")
    assert chosen(page) == "image"
    choose(page, "bn")
    page.keyboard.press("s")
    assert set(highlighted(page)) == {"bn", "relu_a", "add", "relu_b", "last", "out"}
    page.keyboard.press("Escape")
    assert highlighted(page) is None
    page.keyboard.press("t")
    assert "choose its other end" in page.inner_text("#chip")
    page.click("#expand")
    click_on(page, "add")
    assert highlighted(page) == ["bn", "relu_a", "add"]
    page.click("#paths")
    page.click("#paths-menu button:has-text('Clear')")
    assert page.locator("#chip").is_hidden()


def test_the_critical_path_follows_the_chosen_number(page):
    page.select_option("#heat", label="FLOPs")
    page.focus("#stage-0")
    page.keyboard.press("w")
    assert {"proj", "scale", "last"} <= set(highlighted(page))
    assert "Critical path" in page.inner_text("#chip")
    page.select_option("#heat", label="Operator families")
    page.focus("#stage-0")
    page.keyboard.press("w")
    assert {"conv1", "bn", "relu_a"} <= set(highlighted(page))
    assert "Longest path: 8 nodes, 6 operators" in page.inner_text("#chip")


def test_a_heat_map_colours_ranks_and_explains(page):
    page.select_option("#heat", label="Parity")
    assert page.evaluate("graphkitViewer.scenes[0].looks.overlay.title") == "Parity"
    assert "the bound" in page.inner_text("#legend")
    assert "One check is about the whole pass." in page.inner_text("#legend")
    rows = page.locator("#ranked-list .row").all_inner_texts()
    assert [row.split()[1] for row in rows] == ["add", "conv1"]
    assert "12.5 ×" in rows[0]
    assert "fail" in rows[0]
    page.keyboard.press("n")
    assert chosen(page) == "add"
    page.keyboard.press("n")
    assert chosen(page) == "conv1"
    page.keyboard.press("h")
    assert "1,000" in page.inner_text("#legend")
    assert "unknown (1 node)" in page.inner_text("#legend")
    page.select_option("#heat", label="Memory")
    assert "3.15 MB" in page.inner_text("#ranked-list")
    page.click("#tab-outline")
    page.click("#outline .row:has-text('body')")
    assert "Memory" in page.inner_text("#panel")


def test_dark_can_be_switched_and_is_remembered(page):
    colour = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(colour)
    page.click("#theme")
    dark = page.evaluate(colour)
    assert dark != light
    assert page.evaluate("graphkitViewer.scenes[0].themeName") == "dark"
    page.reload()
    page.wait_for_selector("html[data-viewer=ready]", state="attached")
    assert page.evaluate(colour) == dark
    page.keyboard.press("d")
    assert page.evaluate(colour) == light


def test_dark_is_the_systems(browser, file):
    with shown(browser, file, dark=True) as page:
        assert page.evaluate("graphkitViewer.scenes[0].themeName") == "dark"
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(16, 19, 23)"


@pytest.mark.parametrize(("kind", "begins"), [("SVG", b"<svg"), ("PNG", b"\x89PNG")])
def test_what_is_shown_can_be_saved(browser, file, kind, begins):
    context = browser.new_context(accept_downloads=True)
    page = context.new_page()
    page.goto(file.as_uri())
    page.wait_for_selector("html[data-viewer=ready]", state="attached")
    page.click("#export")
    with page.expect_download() as saved:
        page.click(f"#export-menu button:has-text('{kind}')")
    path = saved.value.path()
    assert saved.value.suggested_filename == f"the-net.{kind.lower()}"
    assert path.read_bytes().startswith(begins)
    context.close()


def test_the_address_leads_to_a_node(browser, file):
    context = browser.new_context()
    page = context.new_page()
    page.goto(file.as_uri() + "#node=proj")
    page.wait_for_selector("html[data-viewer=ready]", state="attached")
    assert chosen(page) == "proj"
    choose(page, "add")
    page.wait_for_url("**#heat=Parity&node=add")
    page.evaluate("location.hash = '#group=body.down&heat=FLOPs'")
    page.wait_for_selector("#legend:has-text('FLOPs')")
    assert chosen(page) == "body.down"
    page.evaluate("location.hash = '#node=nobody'")
    page.wait_for_selector("#said:has-text('This graph has no node nobody')", state="attached")
    context.close()


def test_errors_are_shown_when_the_page_opens(browser, file):
    with shown(browser, file) as page:
        assert page.locator("#heat option:checked").inner_text() == "Parity"
        assert "add" in page.locator("#ranked-list .row").first.inner_text()


def test_everything_is_reached_by_tab(page):
    seen = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        seen.add(page.evaluate("document.activeElement.id || document.activeElement.className"))
    assert {"search", "show-left", "fit", "expand", "heat", "paths", "export", "theme", "help"} <= seen
    assert {"outline", "stage-0", "left-grip", "right-grip"} <= seen
    page.focus("#left-grip")
    before = page.evaluate("document.getElementById('left').offsetWidth")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.getElementById('left').offsetWidth") > before


@pytest.mark.parametrize(("width", "height"), [(1500, 1000), (900, 600)])
def test_nothing_sticks_out_of_the_window(browser, file, width, height):
    with shown(browser, file, width=width, height=height) as page:
        choose(page, "conv1")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert page.evaluate("document.documentElement.scrollHeight <= innerHeight")
        for name in ("#show-right", "#export", "#theme", "#search"):
            box = page.locator(name).bounding_box()
            assert box["x"] + box["width"] <= width
        assert page.evaluate("document.getElementById('stage-0').clientWidth") > 300


def test_a_list_of_many_nodes_makes_only_the_rows_in_sight(browser, tmp_path):
    path = tmp_path / "many.html"
    path.write_text(to_html([subject(chain(1500))]), encoding="utf-8")
    with shown(browser, path) as page:
        page.fill("#search", "op:relu")
        assert "1,500 found" in page.inner_text("#found")
        assert page.locator("#found .row").count() < 60
        page.focus("#search")
        for _ in range(20):
            page.keyboard.press("PageDown")
        assert page.locator("#found .row[aria-selected=true]").get_attribute("aria-posinset") == "161"
        page.keyboard.press("Enter")
        assert chosen(page) == "n160"
        assert page.locator("#outline .row").count() < 120
