"""Two graphs side by side in the viewer."""

from __future__ import annotations

import pytest
from viewing import boxes, choose, chosen, compared, shown


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("pages") / "compared.html"
    path.write_text(compared(), encoding="utf-8")
    return path


@pytest.fixture
def diff(browser, file):
    with shown(browser, file) as page:
        yield page


def test_a_comparison_lists_differences_and_links_both_sides(diff):
    assert "1 node changed" in diff.inner_text(".facts")
    rows = diff.locator("#differences-list .row").all_inner_texts()
    assert len(rows) == 4
    assert "dilations: (1, 1) → (2, 2)" in rows[0]
    diff.keyboard.press("n")
    assert (chosen(diff, 0), chosen(diff, 1)) == ("conv1", "conv1")
    panel = diff.inner_text("#panel")
    assert "changed" in panel
    assert "dilations: (1, 1) → (2, 2)" in panel
    assert diff.locator("#panel .differs th").all_inner_texts() == ["dilations"]
    choose(diff, "shortcut", side=1)
    assert (chosen(diff, 0), chosen(diff, 1)) == ("proj", "shortcut")
    assert "renamed" in diff.inner_text("#panel .verdict")
    diff.keyboard.press("n")
    assert chosen(diff, 0) == "last"
    assert chosen(diff, 1) == ""
    diff.keyboard.press("n")
    assert chosen(diff, 1) == "last"
    assert chosen(diff, 0) == ""
    diff.keyboard.press("p")
    assert chosen(diff, 0) == "last"


def test_differences_are_filtered_and_coloured(diff):
    diff.click(".filter[data-status=changed]")
    assert diff.locator("#differences-list .row").count() == 3
    diff.click(".filter[data-status=same]")
    diff.fill("#list-differences input", "conv shortcut")
    rows = diff.locator("#differences-list .row").all_inner_texts()
    assert len(rows) == 1
    assert "proj → shortcut" in rows[0]
    colours = diff.evaluate(
        """() => ["conv1", "proj", "add"].map((name) => {
            const { scenes, graphs } = graphkitViewer;
            return scenes[0].looks.colourOf(graphs[0].nodes.findIndex((node) => node.name === name));
        })"""
    )
    assert len(set(colours)) == 3
    assert "renamed" in diff.inner_text("#legend")


def test_views_of_a_comparison_move_and_open_together(diff):
    diff.click("#collapse")
    assert "conv1" not in boxes(diff, 1)
    diff.focus("#stage-0")
    before = diff.evaluate("graphkitViewer.scenes[1].transform.x")
    diff.keyboard.press("Shift+ArrowLeft")
    assert diff.evaluate("graphkitViewer.scenes[1].transform.x") == pytest.approx(before + 120)
    diff.evaluate(
        "graphkitViewer.scenes[0].expand(graphkitViewer.graphs[0].groups.findIndex((one) => one.name === 'body'))"
    )
    assert "conv1" in boxes(diff, 1)
    diff.keyboard.press("l")
    assert diff.get_attribute("#link", "aria-pressed") == "false"
    before = diff.evaluate("graphkitViewer.scenes[1].transform.x")
    diff.keyboard.press("Shift+ArrowLeft")
    choose(diff, "add")
    assert diff.evaluate("graphkitViewer.scenes[1].transform.x") == before
    assert chosen(diff, 1) == ""
