"""Mermaid source."""

from __future__ import annotations

import json
import re

import onnx_ir as ir
import pytest
from drawn import block, branches, chain, hostile
from golden import GOLDEN
from golden import draw as draw_golden

from graphkit.ir.untranslated import set_untranslated
from graphkit.ir.view import nx_view
from graphkit.passes.gradient.model import gradient_model
from graphkit.render import picture
from graphkit.render.folding import Sketch
from graphkit.render.mermaid import MAX_EDGES, MAX_TEXT, to_mermaid
from graphkit.render.overlay import Mark, Overlay
from graphkit.render.style import KEPT

TEXT = r'[^"#`$%\\{}|<>&\n]|\#\d+;|<br/>|</?b>'
LINE = re.compile(
    rf"""\ *(?:
        (?:n\d+|legend_\w+|lost)(?:\["(?:{TEXT})+"\]|\(\["(?:{TEXT})+"\]\)|\[\["(?:{TEXT})+"\]\]):::\w+
      | subgraph\ (?:c\d+|legend)\["(?:{TEXT})+"\] | end
      | n\d+\ (?:-->|-\.->)(?:\|"(?:{TEXT})+"\|)?\ n\d+
      | (?:classDef\ \w+|style\ legend)\ fill:\#\w{{6}},stroke:\#\w{{6}},color:\#\w{{6}}(?:,stroke-dasharray:4)?
      | classDef\ untranslated\ stroke:\#\w{{6}},stroke-width:2px,stroke-dasharray:4
      | class\ lost(?:,n\d+)+\ untranslated
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


def flowchart(model, **options) -> str:
    return to_mermaid(Sketch(nx_view(model), **options))[0]


def test_the_block_is_drawn_as_it_was(tmp_path):
    """``python tests/golden.py`` draws it anew after an intended change."""
    assert draw_golden("mmd", tmp_path).read_text() == (GOLDEN / "block.mmd").read_text()


def test_passes_are_coloured_apart():
    lines = [line.strip() for line in body(flowchart(gradient_model(block())))]
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
