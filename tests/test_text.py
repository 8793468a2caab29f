"""Names made fit to be read."""

from __future__ import annotations

import pytest

from graphkit.text import NAME_LIMIT, clean, short


def test_long_names_keep_their_end():
    assert short("encoder." * 20 + "weight", 20) == "encoder.…oder.weight"
    assert len(short("x" * 10_000)) == NAME_LIMIT


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\nb\tc", "a␊b␉c"),
        ("a\x7fb", "a\ufffdb"),
        ("a\u202eb", "a\ufffdb"),
        ("a\u00a0b", "a b"),
        ("\ud800", "\ufffd"),
        ("é😀", "é😀"),
    ],
)
def test_text_becomes_printable(text, shown):
    assert clean(text) == shown
