"""Errors say what is wrong and what to do, and the index of them has them all."""

from __future__ import annotations

import re
from typing import Final

import pytest
from pages.listing import ROOT
from pages.messages import CLASSES, messages

_TOLD: Final = {"InputError", "FeedError", "LimitError", "MissingError", "ParameterError"}
"""Classes whose messages someone reads who can do something: those of files, runtimes and targets quote others."""
_VERBS: Final = (
    "ask|bind|call|cast|choose|compare|convert|copy|correct|create|derive|draw|end|exchange|export|feed|fill|fit|fold|get|give|hold|keep|load|"
    "install|leave|look|make|mend|move|name|pick|put|raise|read|record|remove|render|repeat|resize|round|run|save|say|"
    "scale|set|show|take|tap|train|turn|use|wait|write"
)
_REMEDY: Final = re.compile(
    rf"(?:[.;:,—(]|\band|\bor)\s+(?:to [^.;]*, |otherwise |if [^.;]*, )?(?:{_VERBS})\b"  # "; give one of its shape"
    r"|--[a-z]|`|pip install|GRAPHKIT_"  # what to type
    r"|\bthere (?:are|is)\b|\bis (?:\{\w+\}|.*) meant\b|; .* (?:are|is|can)\b|, not (?:as )?\{"
    r"|\b(?:must|has to|have to|needs?|takes|goes|graphkit (?:writes|reads))\b"
    r"|\b(?:inputs|outputs|parameters|options|layers) are\b|it has \{|that is \{|asks for \{",
    re.IGNORECASE,
)
_QUOTED: Final = re.compile(
    r"\{(?:error|problem|problems|told|why|hint|parts|reason|reasons|complaint|lists|has|_baseline|renewal)\}|\{…\}"
)
"""Messages that hand on what another says, which is where cause and remedy are."""

_SHOWN: Final = re.compile(r"^graphkit: error: (.*?)(?=^```|^\$ |\n\n)", re.MULTILINE | re.DOTALL)


def test_every_class_has_messages() -> None:
    found = {one.kind for one in messages()}
    assert found >= set(CLASSES) - {"GraphkitError"}
    assert len(messages()) > 1000


def test_messages_are_found_whatever_they_are_made_of() -> None:
    texts = {one.text for one in messages()}
    for known in (
        "Steps of training are compared in float32 or float64; say which with --dtype.",  # a constant
        "Axis {axis} of input {value}, whose shape is {value}, cannot be {wanted}; give sizes that fit it.",  # choices
        "{count} arrays are announced, more than fit into the file",  # handed to a method that makes the error
        "{path} holds several arrays; save the one to fix the input to with numpy.save.",
    ):
        assert known in texts


@pytest.mark.parametrize("kind", sorted(_TOLD))
def test_a_message_says_what_to_do(kind: str) -> None:
    lacking = [
        f"{one.module}:{one.line}: {one.text}"
        for one in messages()
        if one.kind == kind
        and one.whole
        and one.text[-1] in ".})"
        and not _REMEDY.search(one.text)
        and not _QUOTED.search(one.text)
    ]
    assert not lacking, "these say what is wrong, and not what to do:\n" + "\n".join(lacking)


def test_messages_that_pages_show_are_in_the_index() -> None:
    """A template of the index fits each error that a page shows."""
    index = [
        re.compile(r".*?".join(re.escape(part) for part in re.split(r"\{[^{}]*\}", one.text.rstrip("."))), re.DOTALL)
        for one in messages()
    ]
    pages = [ROOT / "docs/reference/errors.md", *sorted((ROOT / "docs/does-not").glob("*.md"))]
    shown = [" ".join(error.split()) for page in pages for error in _SHOWN.findall(page.read_text(encoding="utf-8"))]
    assert len(shown) > 10
    for error in shown:
        assert any(template.search(error) for template in index), error
