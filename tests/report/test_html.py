"""Reports as pages, in a real browser."""

from __future__ import annotations

import importlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from importlib.resources import files

import numpy as np
import onnx_ir as ir
import pytest
from browser import opened
from drawn import HOSTILE, block, branches, chain
from drawn import hostile as hostile_model
from reports import BAD, EMPTY, GOOD, HOSTILE_NAMES, REPORT, hostile, real
from vision import EYES, contrast, nearest

from graphkit.errors import MissingError
from graphkit.report.html import to_html
from graphkit.report.report import Report


def data_of(text: str) -> dict:
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text)[1])


class Tags(HTMLParser):
    """What an HTML parser finds in a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs


def of_block(kind: str, name: str, **more):
    return replace(GOOD, kind=kind, name=name, **more)


BLOCK = Report(
    "block",
    (
        of_block("value", "x1"),
        of_block("value", "x2", verdict="fail", error=5e-5, bad=2, first=(0, 1), values=(1.5, 2.25), note="look here"),
        of_block("value gradient", "x3", error=4e-6),
        of_block("parameter gradient", "body.conv1.weight", error=1e-3, verdict="fail", bad=1, step=0),
        of_block("running statistic", "body.bn.running_mean", step=1),
        of_block("input gradient", "image", error=9e-6),
        of_block("output", "out", error=1e-9),
        of_block("output", "out", right="ort", error=2e-9),
    ),
    {"numpy": "1.23.5"},
    ("Dropout is off.",),
    ("inputs by name",),
    {"torch": (1.0, 0.5, 0.25), "mxnet": (1.0, 0.5, 0.2500001)},
)


@pytest.fixture
def page(browser, tmp_path):
    file = tmp_path / "report.html"
    file.write_text(to_html(BLOCK, block()), encoding="utf-8")
    with opened(browser, file) as shown:
        yield shown


def rows(page) -> list[str]:
    return page.locator("tr.row .opener").all_inner_texts()


def test_the_page_opens_with_the_verdict_and_the_worst_row_first(page):
    assert page.inner_text("h1") == "block"
    assert page.inner_text("#verdict") == "Not in parity: 2 of 8 checks failed."
    assert rows(page)[:4] == ["body.conv1.weight", "x2", "image", "x3"]
    assert "numpy 1.23.5" in page.inner_text(".about")
    assert "inputs by name" in page.inner_text(".about")
    assert "Dropout is off." in page.inner_text(".about")


def test_a_search_leaves_the_rows_with_all_its_words(page):
    page.fill("#search", "GRADIENT body")
    assert rows(page) == ["body.conv1.weight"]
    assert page.inner_text("#count") == "1 of 8 checks"
    page.fill("#search", "look here")
    assert rows(page) == ["x2"]


def test_filters_and_cards_choose_kinds_sides_and_verdicts(page):
    page.select_option("#found", "fail")
    assert rows(page) == ["body.conv1.weight", "x2"]
    page.select_option("#found", "")
    page.click(".card[data-kind=output][data-sides='torch | ort']")
    assert rows(page) == ["out"]
    assert page.input_value("#sides") == "torch | ort"
    page.click(".card[data-kind=output][data-sides='torch | ort']")
    assert len(rows(page)) == 8


def test_a_click_on_a_heading_sorts(page):
    page.click("th[data-key=name] button")
    names = rows(page)
    assert names == sorted(names)
    assert page.get_attribute("th[data-key=name]", "aria-sort") == "ascending"
    page.click("th[data-key=name] button")
    assert rows(page) == sorted(names, reverse=True)
    page.click("th[data-key=error] button")
    assert rows(page)[0] == "body.conv1.weight"


def test_a_row_opens_its_numbers_and_its_histogram_and_shows_its_node(page):
    page.locator("tr.row", has_text="x2").click()
    detail = page.locator("tr.detail")
    assert "first at [0, 1]: 2.25 instead of 1.5" in detail.inner_text()
    told = dict(zip(detail.locator("dt").all_inner_texts(), detail.locator("dd").all_inner_texts(), strict=True))
    assert told["error = max |d| / scale"] == "5e-5"
    assert told["noise floor"] == "1e-6"
    assert told["ULPs"] == "3"
    assert told["reference there"] == "1.5"
    assert detail.locator("svg.chart rect").count() == 3
    assert "equal: 2; 1e-9 … 1e-8: 1; 1e-8 … 1e-7: 3" in detail.locator("svg.chart").get_attribute("aria-label")
    assert "BatchNormalization bn" in page.locator(".node.chosen title").text_content()
    page.locator("tr.row", has_text="x2").click()
    assert detail.count() == 0


def node(page, name: str):
    return page.locator(".node").filter(has=page.locator("title", has_text=name)).first


def test_each_node_has_the_colour_of_its_worst_check(page):
    levels = {
        name: re.search(r"\b(l\d|none)\b", node(page, name).get_attribute("class"))[1]
        for name in ("Conv conv1", "BatchNormalization bn", "Relu relu_a", "Conv proj", "input image", "output out")
    }
    assert levels == {
        "Conv conv1": "l5",
        "BatchNormalization bn": "l4",
        "Relu relu_a": "l2",
        "Conv proj": "none",
        "input image": "l3",
        "output out": "l0",
    }
    page.select_option("#kind", "running statistic")
    assert "l0" in node(page, "BatchNormalization bn").get_attribute("class")
    assert "none" in node(page, "Conv conv1").get_attribute("class")


def test_a_click_on_a_node_shows_its_numbers_and_leads_to_its_row(page):
    node(page, "Conv conv1").click()
    panel = page.locator("#node")
    assert panel.locator("h3").inner_text() == "Conv conv1"
    assert panel.locator(".opener").all_inner_texts() == ["parameter gradient body.conv1.weight", "value x1"]
    assert "1.0e−3 of 1.0e−5" in panel.inner_text()
    page.fill("#search", "nothing like it")
    panel.locator(".opener", has_text="value x1").click()
    assert page.locator("tr.row.open .opener").inner_text() == "x1"
    assert page.input_value("#search") == ""
    node(page, "Conv proj").click()
    assert "Nothing was compared here." in panel.inner_text()


def test_the_worst_node_is_a_button_away(page):
    page.click("#worst")
    assert page.inner_text("#node h3") == "Conv conv1"


def test_the_graph_is_moved_and_zoomed(page):
    def seen() -> list[float]:
        return [float(part) for part in page.get_attribute("#view svg", "viewBox").split()]

    before = seen()
    page.click("#closer")
    page.click("#closer")
    assert seen()[2] == pytest.approx(before[2] / 1.96)
    box = page.locator("#view").bounding_box()
    page.mouse.move(box["x"] + 30, box["y"] + 200)
    close = seen()
    page.mouse.down()
    page.mouse.move(box["x"] + 30, box["y"] + 150, steps=5)
    page.mouse.up()
    assert seen()[1] > close[1]
    moved = seen()
    page.mouse.wheel(0, -40)
    page.wait_for_function(
        "y => Number(document.querySelector('#view svg').getAttribute('viewBox').split(' ')[1]) < y", arg=moved[1]
    )
    page.click("#fit")
    assert seen() == pytest.approx(before)


def test_everything_is_reached_with_the_keyboard(page):
    page.focus("tr.row .opener")
    page.keyboard.press("Enter")
    assert page.locator("tr.detail").count() == 1
    page.focus("#view .node[tabindex='0']")
    assert "Conv conv1" in page.evaluate("document.activeElement.getAttribute('aria-label')")
    page.keyboard.press("ArrowDown")
    assert "BatchNormalization bn" in page.evaluate("document.activeElement.getAttribute('aria-label')")
    page.keyboard.press("Enter")
    assert page.inner_text("#node h3") == "BatchNormalization bn"
    assert page.locator("#view .node[tabindex='0']").count() == 1


def test_the_losses_of_training_are_curves(page):
    charts = page.locator("#training svg.chart")
    assert charts.count() == 2
    assert "torch 1, 0.5, 0.25; mxnet 1, 0.5, 0.25" in charts.first.get_attribute("aria-label")
    assert charts.first.locator("path.curve").count() == 2
    assert page.locator("#training .keys").first.locator("li").all_inner_texts() == ["torch", "mxnet"]


def test_it_is_dark_where_the_system_is_and_switches(browser, tmp_path):
    file = tmp_path / "report.html"
    file.write_text(to_html(BLOCK, block()), encoding="utf-8")

    def brightness() -> int:
        return max(map(int, re.findall(r"\d+", page.evaluate("getComputedStyle(document.body).backgroundColor"))))

    with opened(browser, file, dark=True) as page:
        assert brightness() < 60
        page.click("#theme")
        assert brightness() > 200
        page.click("#theme")
        assert brightness() < 60


def test_without_scripts_the_worst_rows_are_there(browser, tmp_path):
    file = tmp_path / "report.html"
    file.write_text(to_html(BLOCK, block()), encoding="utf-8")
    with opened(browser, file, scripts=False) as page:
        assert page.inner_text("#verdict") == "Not in parity: 2 of 8 checks failed."
        assert page.locator("noscript tbody tr").count() == 8


@pytest.mark.parametrize("width", [360, 900, 1500])
def test_nothing_is_wider_than_the_window(browser, tmp_path, width):
    file = tmp_path / "report.html"
    file.write_text(to_html(BLOCK, block()), encoding="utf-8")
    with opened(browser, file, width=width) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_hostile_names_do_nothing_and_are_shown_as_they_are(browser, tmp_path):
    file = tmp_path / "report.html"
    text = to_html(hostile(), hostile_model())
    file.write_text(text, encoding="utf-8")
    found = Tags(text)
    assert "img" not in found.tags
    assert found.tags.count("script") == 2
    assert not [name for name, _ in found.attributes if name.startswith("on") or name == "style"]
    with opened(browser, file) as page:
        assert page.locator("img, iframe, b").count() == 0
        assert page.locator("tr.row .opener", has_text="</script><img src=x onerror=alert(1)>").count() == 2
        for opener in page.locator("tr.row .opener").all():
            opener.click()
        assert page.locator("tr.detail").count() == 2 * len(HOSTILE_NAMES)
        page.locator(".node").first.click()
        assert page.locator("img, iframe, b").count() == 0


def test_a_script_that_gets_into_the_page_does_not_run(browser, tmp_path):
    file = tmp_path / "report.html"
    evil = "<p id=evil></p><script>evil.textContent = 'ran'</script></main>"
    file.write_text(to_html(Report("net", (GOOD,))).replace("</main>", evil), encoding="utf-8")
    page = browser.new_page()
    page.goto(file.as_uri())
    assert page.inner_text("#verdict").startswith("In parity")
    assert page.inner_text("#evil") == ""
    page.close()


def test_a_report_without_a_model_has_no_graph(browser, tmp_path):
    file = tmp_path / "report.html"
    file.write_text(to_html(REPORT), encoding="utf-8")
    with opened(browser, file) as page:
        assert not page.locator("#graph").is_visible()
        assert "backward on ort: not available, no gradients" in page.inner_text(".about")
        assert page.locator("tr.row.unavailable").count() == 1


def test_a_report_that_compared_nothing_says_so(browser, tmp_path):
    file = tmp_path / "report.html"
    file.write_text(to_html(EMPTY), encoding="utf-8")
    with opened(browser, file) as page:
        assert page.inner_text("#verdict") == "Nothing was compared."
        assert not page.locator("#work").is_visible()


def test_of_many_rows_a_part_is_shown_and_more_on_demand(browser, tmp_path):
    file = tmp_path / "report.html"
    checks = [replace(GOOD, kind="value", name=f"v{i}", error=i * 1e-9) for i in range(1000)]
    file.write_text(to_html(Report("chain", (*checks, BAD)), chain(1000)), encoding="utf-8")
    with opened(browser, file) as page:
        assert page.locator("tr.row").count() == 200
        page.click("#more")
        assert page.locator("tr.row").count() == 400
        page.evaluate("choose(document.querySelectorAll('.node')[5].dataset.box)")
        assert page.inner_text("#node h3") == "Relu n4"
        page.locator("#node .opener").click()
        assert page.locator("tr.row.open .opener").inner_text() == "v4"


def test_a_real_report_of_a_real_model(browser, tmp_path):
    report, model = real()
    file = tmp_path / "report.html"
    file.write_text(to_html(report, model), encoding="utf-8")
    with opened(browser, file) as page:
        assert page.inner_text("#verdict").startswith("In parity:")
        page.click("#worst")
        assert "Gemm" in page.inner_text("#node h3")
        assert "output output" in page.inner_text("#node")


def test_a_parameter_that_two_nodes_read_colours_neither():
    model = ir.from_onnx_text("""
        <ir_version: 10, opset_import: ["": 23]>
        tied (float[2, 2] x) => (float[2, 2] z) <float[2, 2] w = {1, 2, 3, 4}, float[2, 2] own = {1, 2, 3, 4}> {
            [one] y = MatMul (x, w)
            [two] v = MatMul (y, w)
            [three] z = MatMul (v, own)
        }
    """)
    checks = tuple(replace(GOOD, kind="parameter gradient", name=name) for name in ("w", "own"))
    boxes = data_of(to_html(Report("tied", checks), model))["boxes"]
    assert sorted(boxes.values()) == [[], [], [], [], [1]]


def test_nodes_inside_bodies_have_their_checks():
    checks = (replace(GOOD, kind="value", name="c"), replace(GOOD, kind="output", name="y"))
    boxes = data_of(to_html(Report("branches", checks), branches()))["boxes"]
    assert sorted(index for found in boxes.values() for index in found) == [0, 1, 1]


def test_a_drawing_that_cannot_be_made_is_explained(browser, monkeypatch, tmp_path):
    def fails(*_arguments):
        raise MissingError("Drawing svg needs <pygraphviz>.")

    monkeypatch.setattr(importlib.import_module("graphkit.render.inline"), "lay_out", fails)
    file = tmp_path / "report.html"
    file.write_text(to_html(BLOCK, block()), encoding="utf-8")
    with opened(browser, file) as page:
        assert page.inner_text("#graph p.problem") == "Drawing svg needs <pygraphviz>."
        assert len(rows(page)) == 8


@pytest.mark.parametrize("eyes", EYES)
def test_the_colours_of_errors_differ_for_all_eyes(eyes):
    style = (files("graphkit.report") / "page" / "page.css").read_text(encoding="utf-8")
    levels = dict(re.findall(r"--(l\d): (#\w{6})", style))
    light, dark = re.search(r"--none: light-dark\((#\w{6}), (#\w{6})\)", style).groups()
    assert len(levels) == 6
    for none in (light, dark):
        distance, *pair = nearest({**levels, "none": none}, eyes)
        assert distance > 10, pair
    inks = dict(re.findall(r"--(ink5?): (#\w{6})", style))
    assert all(contrast(colour, inks["ink5" if name == "l5" else "ink"]) >= 4.5 for name, colour in levels.items())


def test_the_same_report_gives_the_same_page():
    assert to_html(BLOCK, block()) == to_html(BLOCK, block())


def test_what_json_cannot_hold_is_held_all_the_same():
    odd = replace(BAD, error=np.inf, l2=np.nan, name=HOSTILE)
    entry = data_of(to_html(Report("net", (odd,))))["checks"][0]
    assert (entry["error"], entry["l2"], entry["share"]) == ("inf", "nan", "inf")
