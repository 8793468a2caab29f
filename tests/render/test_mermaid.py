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
    text, folded = to_mermaid(Sketch(nx_view(chain(400))))
    assert not folded
    assert "%%" not in text
    assert text.count("-->") == 401


def test_a_graph_beyond_them_is_folded_by_scope_and_says_so():
    text = flowchart(chain(900, "net.a.b"), title="big")
    lines = body(text)
    assert text.count("-->") <= MAX_EDGES
    assert len(text) <= MAX_TEXT
    assert lines[0].strip().startswith("%% Modules nested deeper than 2 are folded")
    assert "900 operators" in text


def test_a_given_depth_is_kept_where_it_suffices():
    text = flowchart(chain(900, "net.a.b"), depth=0)
    assert "%%" not in text
    assert text.count("-->") == 2


def test_a_flat_graph_is_folded_by_stretches_of_operators():
    text = flowchart(chain(3000))
    lines = body(text)
    assert len(text) <= MAX_TEXT
    assert text.count("-->") == 376
    assert lines[0].strip().startswith("%% Every 8 consecutive operators are folded, because the whole graph")
    assert "<b>operators 1#8211;8</b><br/>Relu × 8" in text


def test_a_model_that_is_too_large_is_told_with_what_helps():
    with pytest.warns(UserWarning, match=r"larger than what GitHub draws.*every 2 consecutive.*graphkit view"):
        picture(chain(600), "mmd")


def test_numbers_colour_by_classes_under_a_legend():
    view = nx_view(block())
    keys = [key for key in view if key.startswith("op:")]
    marks = {keys[0]: Mark(0.2, verdict="pass"), keys[1]: Mark(7.0, verdict="fail")}
    text = picture(view, "mmd", overlays=[Overlay("Parity", marks, "bound", note="2 checks elsewhere")]).decode()
    lines = [line.strip() for line in body(text)]
    start = lines.index('subgraph legend["Parity, error as a share of its bound"]')
    legend = lines[start + 1 : lines.index("end")]
    assert legend[-3:] == [
        'legend_fails["fails"]:::fails',
        'legend_unmarked["not compared"]:::unmarked',
        'legend_note["2 checks elsewhere"]:::note',
    ]
    (conv,) = [line for line in lines if line.startswith("n1[")]
    assert conv.endswith('<b>20 #37; of its bound</b>"]:::shade2')
    (norm,) = [line for line in lines if line.startswith("n2[")]
    assert norm.endswith(":::fails")
    declared = {line.split()[1] for line in lines if line.startswith("classDef")}
    assert {found for line in lines for found in re.findall(r":::(\w+)", line)} <= declared


def test_what_is_not_translated_has_a_dashed_outline_and_an_entry():
    model = block()
    set_untranslated(model.graph[0], "nobody knows it")
    lines = [line.strip() for line in body(picture(model, "mmd").decode())]
    assert 'lost["not translated"]:::lost' in lines
    assert "class lost,n1 untranslated" in lines


def test_many_inputs_of_a_graph_that_is_too_large_are_one_box():
    names = [f"x{number}" for number in range(600)]
    inputs = ", ".join(f"float[2] {name}" for name in names)
    header = f'<ir_version: 10, opset_import: ["": 23]> g ({inputs}) => (float[2] y)'
    text = flowchart(ir.from_onnx_text(f"{header} {{ s = Sum ({', '.join(names)}) y = Relu (s) }}"))
    assert "<b>600 inputs</b>" in text
    assert text.count("-->") <= MAX_EDGES
