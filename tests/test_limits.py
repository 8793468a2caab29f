"""Limits of what is read: they hold where they are set, refuse with a remedy, and can be raised."""

from __future__ import annotations

import json

import pytest

import graphkit
from graphkit import limits
from graphkit.errors import InputError, LimitError


def test_limits_hold_within_their_block_only() -> None:
    before = limits.current()
    with graphkit.limited(nodes=3):
        assert limits.current().nodes == 3
        with graphkit.limited(nesting=7):
            assert (limits.current().nodes, limits.current().nesting) == (3, 7)
        with pytest.raises(LimitError):
            limits.check("nodes", 4, "x.onnx")
        limits.check("nodes", 3, "x.onnx")
    assert limits.current() == before


def test_a_refusal_says_how_to_raise_the_limit() -> None:
    with graphkit.limited(attribute=1000), pytest.raises(LimitError) as caught:
        limits.check("attribute", 5000, "x.onnx: node 'n' (Constant)")
    assert str(caught.value) == (
        "x.onnx: node 'n' (Constant) has 5.0 kB in one attribute, more than the limit of 1.0 kB, which keeps hostile "
        "files from taking the machine. If you trust the file, raise it: --limit attribute=5000, or "
        "graphkit.limited(attribute=5000)."
    )


def test_json_is_weighed_before_it_is_parsed() -> None:
    bomb = "[" + "{}," * 100_000 + "{}]"
    with graphkit.limited(document=10_000_000):
        limits.check_json(json.dumps(list(range(100))), "x")
        for text in (bomb, bomb.encode()):
            with pytest.raises(LimitError, match="to describe its graph"):
                limits.check_json(text, "x")


def test_limits_are_spelled_on_the_command_line() -> None:
    assert limits.parse(("nodes=20", "attribute=2 GB")) == limits.Limits(nodes=20, attribute=2_000_000_000)
    for text, told in (("size=3", "names no limit"), ("nodes", "gives no number"), ("nodes=0", "above 0")):
        with pytest.raises(InputError, match=told):
            limits.parse((text,))
