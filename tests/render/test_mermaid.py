"""Mermaid source."""

from __future__ import annotations

import json
import re

import pytest
from drawn import block, branches, chain, hostile
from golden import GOLDEN
from golden import draw as draw_golden

from graphkit.ir.view import nx_view
from graphkit.passes.gradient.model import gradient_model
from graphkit.render import picture
from graphkit.render.mermaid import MAX_EDGES, MAX_TEXT, to_mermaid
from graphkit.render.style import KEPT

TEXT = r'[^"#`$%\\{}|<>&\n]|\#\d+;|<br/>|</?b>'
LINE = re.compile(
    rf"""\ *(?:
        n\d+(?:\["(?:{TEXT})+"\]|\(\["(?:{TEXT})+"\]\)|\[\["(?:{TEXT})+"\]\]):::\w+
      | subgraph\ c\d+\["(?:{TEXT})+"\] | end
      | n\d+\ (?:-->|-\.->)(?:\|"(?:{TEXT})+"\|)?\ n\d+
      | classDef\ \w+\ fill:\#\w{{6}},stroke:\#\w{{6}},color:\#\w{{6}}
      | class\ c\d+(?:,c\d+)*\ (?:scope|backward)
      | linkStyle\ \d+(?:,\d+)*\ stroke:\#\w{{6}}
      | %%\ [\w\ ,.();-]+
    )""",
    re.VERBOSE,
)
"""The part of Mermaid's grammar that is used; in text, everything that could be syntax is a character code."""


def body(text: str) -> list[str]:
    """The lines after the title, each checked against the grammar."""
    start, title, stop, kind, *lines = text.splitlines()
    assert (start, stop) == ("---", "---")
    assert isinstance(json.loads(title.removeprefix("title: ")), str)
    assert kind in ("flowchart TB", "flowchart LR")
    for line in lines:
        assert LINE.fullmatch(line), line
    depths = [1 if line.strip().startswith("subgraph") else -1 if line.strip() == "end" else 0 for line in lines]
    assert sum(depths) == 0
    return lines


def test_the_block_is_drawn_as_it_was(tmp_path):
    """``python tests/golden.py`` draws it anew after an intended change."""
    assert draw_golden("mmd", tmp_path).read_text() == (GOLDEN / "block.mmd").read_text()


def test_passes_are_coloured_apart():
    lines = [line.strip() for line in body(to_mermaid(nx_view(gradient_model(block()))))]
    titles = dict(found.groups() for line in lines if (found := re.fullmatch(r'subgraph (c\d+)\["(\w+)"\]', line)))
    painted = {
        titles.get(frame, frame): line.split()[2]
        for line in lines
        if line.startswith("class ")
        for frame in line.split()[1].split(",")
    }
    assert (painted["forward"], painted["backward"]) == ("scope", "backward")
    (kept,) = (line for line in lines if line.startswith("linkStyle"))
    assert kept.endswith(KEPT)


def test_the_documentation_shows_it():
    assert (GOLDEN / "block.mmd").read_text() in (GOLDEN.parents[1] / "docs" / "render.md").read_text()


@pytest.mark.parametrize("make", [block, branches, hostile, lambda: chain(3)])
@pytest.mark.parametrize("direction", ["TB", "LR"])
def test_every_line_is_of_the_grammar(make, direction):
    assert body(picture(make(), "mmd", direction=direction).decode())


def test_what_mermaid_or_markdown_would_interpret_is_written_as_codes():
    text = picture(hostile(), "mmd").decode()
    assert "a#34;b#60;c#62;#38;#92;" in text
    assert "1#46; list" in text
    assert "#45; item" in text


def test_a_graph_within_the_limits_is_drawn_whole():
    text = to_mermaid(nx_view(chain(400)))
    assert "folded" not in text
    assert text.count("-->") == 401


def test_a_graph_beyond_them_is_folded_by_scope_and_says_so():
    text = to_mermaid(nx_view(chain(900, "net.a.b")), title="big")
    lines = body(text)
    assert text.count("-->") <= MAX_EDGES
    assert len(text) <= MAX_TEXT
    assert lines[0].strip().startswith("%% Scopes nested deeper than 2 are folded")
    assert "900 operators" in text


def test_a_given_depth_is_kept_where_it_suffices():
    text = to_mermaid(nx_view(chain(900, "net.a.b")), depth=0)
    assert "%%" not in text
    assert text.count("-->") == 2


def test_a_graph_that_cannot_be_folded_is_drawn_with_a_warning():
    text = to_mermaid(nx_view(chain(600)))
    assert text.count("-->") == 601
    assert "%% This is more than GitHub draws" in text
