"""Reports as GitHub shows them."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from markdown_it import MarkdownIt
from reports import BAD, EMPTY, GOOD, HOSTILE_NAMES, REPORT, hostile

from graphkit.report.markdown import to_markdown
from graphkit.report.report import Check, Report
from graphkit.text import clean

OURS = re.compile(r"</?details>|</?summary>")


PAGE = Path(__file__).parents[2] / "fixtures" / "report" / "report.md"


def parsed(text: str) -> list:
    tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(text)
    return [inner for token in tokens for inner in (token, *(token.children or ()))]


def test_the_whole_page():
    assert to_markdown(REPORT) == PAGE.read_text(encoding="utf-8")


def test_the_rest_is_folded_away():
    report = Report("net", (*[replace(GOOD, name=f"t{i}", error=i * 1e-8) for i in range(30)], BAD))
    head, _, rest = to_markdown(report, worst=3).partition("<details>")
    assert re.findall(r"`([^`]*)`", head) == ["parameter gradient fc.weight", "output t29", "output t28"]
    assert len(re.findall("`t", rest)) == 30


def test_a_page_is_never_too_long_for_a_comment():
    many = tuple("x" * 300 + str(i) for i in range(5000))
    failed = tuple(replace(BAD, name=name, note=name, step=i % 50) for i, name in enumerate(many))
    passes = tuple(Check("train", "", "", "ort", "unavailable", note=name) for name in many)
    text = to_markdown(Report("net", failed + passes, dict(zip(many, many, strict=True)), many, many))
    assert len(text) < 65_536
    assert re.search(r"4,\d\d\d further checks; the report as HTML or JSON has them all", text)


def test_what_compared_nothing_says_so():
    assert "**Nothing was compared.**" in to_markdown(EMPTY)


def test_names_are_shown_as_they_are_and_mean_nothing():
    tokens = parsed(to_markdown(hostile(), worst=100))
    code = [token.content for token in tokens if token.type == "code_inline"]
    for name in HOSTILE_NAMES:
        if len(name) < 100:
            assert any(clean(name).strip() in text for text in code), name
    kinds = {token.type for token in tokens}
    assert not kinds & {
        "html_inline",
        "link_open",
        "image",
        "em_open",
        "s_open",
        "code_block",
        "fence",
        "blockquote_open",
    }
    assert all(OURS.search(token.content) for token in tokens if token.type == "html_block")
    assert not [t for t in tokens if t.type == "html_block" and re.search(r"<(?!/?(details|summary)>)", t.content)]


def test_every_row_has_the_same_columns():
    text = to_markdown(hostile(), worst=100)
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} <= {8, 9}
    cells = [token for token in parsed(text) if token.type in ("td_open", "tr_open")]
    assert len(cells) > 100


def test_nobody_is_mentioned():
    texts = [token.content for token in parsed(to_markdown(hostile(), worst=100)) if token.type == "text"]
    assert not re.search(r"[@#]\w", " ".join(texts))
