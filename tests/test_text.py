"""Names made fit to be read."""

from __future__ import annotations

import json

import pytest

from graphkit.text import NAME_LIMIT, clean, json_text, short


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


def test_json_is_valid_and_hides_nothing():
    given = {"a\x1b\x9b\u202e\u200b": ["\ud800", "é😀", "\n", 1.5, None], "\x7f\u2028\ufeff": "</script>"}
    text = json_text(given)
    assert json.loads(text) == given
    assert "é😀" in text
    assert all(char.isprintable() or char == "\n" for char in text)
    with pytest.raises(ValueError, match="not JSON compliant"):
        json_text([float("nan")])
