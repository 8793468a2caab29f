"""Changes that make files hostile: of bytes, of numbers in them, and of what JSON says."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from random import Random

__all__ = ["EDGES", "TEXTS", "mutate_bytes", "mutate_json"]

EDGES: Final = (
    *(0, 1, 2, 3, 4, 7, 8, 12, 16, 31, 32, 33, 64, 127, 128, 255, 256, 1000, 65535, 65536, 10**6, 10**9, 10**12),
    *(2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**40, 2**53, 2**61, 2**62, 2**63 - 1, 2**63, 2**64 - 1),
    *(-1, -2, -128, -(2**31), -(2**63)),
)
"""Numbers at which readers go wrong."""
_MOST: Final = 1 << 17
"""Bytes that a changed file may have."""
_MOST_PLACES: Final = 20_000
_WIDTHS: Final = (1, 2, 4, 8)


def mutate_bytes(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """A file with one to four changes of its bytes.

    Args:
        rng: What draws.
        data: The file.
        others: Files of the same kind, parts of which may be put in.
    """
    for _ in range(rng.choice((1, 1, 1, 2, 3, 4))):
        data = rng.choice(_OF_BYTES)(rng, data, others)[:_MOST]
    return data


def _at(rng: Random, data: bytes) -> int:
    """A position, as often near the start, where headers are, as anywhere."""
    return rng.randrange(min(len(data), rng.choice((16, 64, 256, len(data)))) + 1) if data else 0


def _edge(rng: Random, data: bytes, _others: Sequence[bytes]) -> bytes:
    at, width = _at(rng, data) // rng.choice((1, 4)) * 4, rng.choice(_WIDTHS)
    at = min(at, len(data)) if rng.random() < 0.5 else _at(rng, data)
    number = (rng.choice(EDGES) % (1 << 8 * width)).to_bytes(width, rng.choice(("little", "little", "big")))
    return data[:at] + number + data[at + width :]


def _nudge(rng: Random, data: bytes, _others: Sequence[bytes]) -> bytes:
    """Add to a number, or multiply it: lengths that are off by one, or by much."""
    at, width = _at(rng, data), rng.choice(_WIDTHS)
    old = int.from_bytes(data[at : at + width], "little")
    new = rng.choice((old + 1, old - 1, old + rng.randrange(-16, 17), old * 2, old * 256, -old)) % (1 << 8 * width)
    return data[:at] + new.to_bytes(width, "little") + data[at + width :]


def _flip(rng: Random, data: bytes, _others: Sequence[bytes]) -> bytes:
    at = _at(rng, data)
    return data[:at] + bytes(byte ^ 1 << rng.randrange(8) for byte in data[at : at + 1]) + data[at + 1 :]


def _cut(rng: Random, data: bytes, _others: Sequence[bytes]) -> bytes:
    at = _at(rng, data)
    return data[:at] + data[at + rng.choice((1, 4, 8, rng.randrange(64) + 1)) :]


def _truncate(rng: Random, data: bytes, _others: Sequence[bytes]) -> bytes:
    return data[: _at(rng, data)]


def _double(rng: Random, data: bytes, _others: Sequence[bytes]) -> bytes:
    at, length = _at(rng, data), rng.choice((4, 8, 32, rng.randrange(256) + 1))
    return data[: at + length] + data[at : at + length] * rng.choice((1, 1, 2, 64)) + data[at + length :]


def _insert(rng: Random, data: bytes, _others: Sequence[bytes]) -> bytes:
    at = _at(rng, data)
    return data[:at] + rng.randbytes(rng.choice((1, 4, 8, 32))) + data[at:]


def _splice(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    other = rng.choice(others) if others else data
    at, start = _at(rng, data), _at(rng, other)
    part = other[start : start + rng.choice((8, 64, 1024, len(other)))]
    return data[:at] + part + data[at + (len(part) if rng.random() < 0.5 else 0) :]


_OF_BYTES: Final[Sequence[Callable[[Random, bytes, Sequence[bytes]], bytes]]] = (
    *(_edge, _edge, _edge, _nudge, _nudge, _flip, _cut, _truncate, _double, _insert, _splice),
)

_RAW: Final = "graphkit raw "
_LITERALS: Final = (
    *("1e999999", "-1e999999", "1e-999999", "NaN", "Infinity", "-0", "-1", "1.5", "true", "null", "9" * 5000, "[]"),
    *("{}", '""', "[[]]", "0x10", "01", '"\\ud800"', '"\\u0000"', "[" * 3000, '{"a":' * 3000, "2147483648", "1e30"),
)
"""What JSON may have in place of anything; some of it is none."""
TEXTS: Final = (
    *("", " ", "None", "True", "False", "nan", "inf", "-inf", "1e400", "-1", "0", "1", "2", "3", "10", "0.5", "1e9"),
    *("()", "(0,)", "(1,)", "(1,1)", "(2,2)", "(0,0)", "(-1,)", "(-2, -3)", "(1, 2, 3, 4)", "[1, 2]", "(1,)*10**9"),
    *("1000000000", "2147483647", "2147483648", "9223372036854775807", "18446744073709551616", "-9223372036854775808"),
    *("(1000000, 1000000)", "(1000000,1000000,1000000,1000000)", "(4294967296, 4294967296)", "(0, 1000000000000)"),
    *(
        "9" * 5000,
        "(" * 3000,
        "(" + "1," * 3000 + ")",
        "9**9**9",
        "__import__('os')",
        "\x00",
        "\ud800",
        "é",
        "١٢",
        "1_0",
    ),
    *("float16", "float64", "int8", "int64", "bool", "bfloat16", "uint64", "string", "0x7fffffff", "1e308", "4.9e-324"),
    *("null", "mean", "full", "valid", "sum", "max", "avg", "lstm", "gru", "same", "clip", "wrap", "edge", "reflect"),
)
"""What texts in JSON are replaced by: attributes of symbols are texts."""


def mutate_json(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """JSON with one to four changes of what it says; bytes are changed now and then, and where it is none."""
    if rng.random() < 0.1:
        return mutate_bytes(rng, data, others)
    try:
        root = [json.loads(data, strict=False)]
    except (ValueError, RecursionError):
        return mutate_bytes(rng, data, others)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 4))):
        places = _places(root)
        parent, key = places[rng.randrange(len(places))]
        before = list(parent) if isinstance(parent, list) else dict(parent)
        rng.choice(_OF_JSON)(rng, parent, key, places, others)
        if len(_places(root)) > _MOST_PLACES:
            parent.clear()
            parent.extend(before) if isinstance(parent, list) else parent.update(before)
            break
    try:
        text = json.dumps(root[0])
    except (ValueError, RecursionError):  # it holds itself, or is too deep
        return mutate_bytes(rng, data, others)
    text = re.sub(f'"{_RAW}(\\d+)"', lambda match: _LITERALS[int(match[1]) % len(_LITERALS)], text)
    return text.encode()[:_MOST]


def _places(root: list[Any]) -> list[tuple[Any, Any]]:
    """Every list or object with each of its keys, those of the first ones only where it is too large."""
    found: list[tuple[Any, Any]] = []
    stack: list[Any] = [root]
    while stack and len(found) <= _MOST_PLACES:
        item = stack.pop()
        for key in range(len(item)) if isinstance(item, list) else list(item):
            found.append((item, key))
            if isinstance(item[key], list | dict):
                stack.append(item[key])
    return found


def _literal(rng: Random, parent: Any, key: Any, _places: Any, _others: Any) -> None:
    parent[key] = _RAW + str(rng.randrange(len(_LITERALS)))


def _number(rng: Random, parent: Any, key: Any, _places: Any, _others: Any) -> None:
    old = parent[key]
    if isinstance(old, str):
        parent[key] = re.sub(r"\d+", lambda match: str(rng.choice((*EDGES, int(match[0][:9]) + 1))), old, count=1)
    elif type(old) is int:
        parent[key] = rng.choice((old + 1, old - 1, -old, *EDGES))
    else:
        parent[key] = rng.choice(EDGES)


def _text(rng: Random, parent: Any, key: Any, _places: Any, _others: Any) -> None:
    parent[key] = rng.choice(TEXTS)


def _delete(_rng: Random, parent: Any, key: Any, _places: Any, _others: Any) -> None:
    if isinstance(parent, dict) or len(parent) > 1:
        del parent[key]


def _double_item(rng: Random, parent: Any, key: Any, _places: Any, _others: Any) -> None:
    if isinstance(parent, list):
        parent[key:key] = [parent[key]] * rng.choice((1, 1, 2, 30))
    else:
        parent[f"{key}_"] = parent[key]


def _swap(rng: Random, parent: Any, key: Any, places: list[tuple[Any, Any]], _others: Any) -> None:
    other, place = places[rng.randrange(len(places))]
    try:
        value = json.loads(json.dumps(other[place]))
        if rng.random() < 0.5:
            other[place] = parent[key]
        parent[key] = value
    except (LookupError, ValueError, RecursionError):
        return


def _nest(rng: Random, parent: Any, key: Any, _places: Any, _others: Any) -> None:
    for _ in range(rng.choice((1, 1, 2, 60))):
        parent[key] = [parent[key]] if rng.random() < 0.5 else {"nodes": [parent[key]], "heads": [[0, 0, 0]]}


def _rename(rng: Random, parent: Any, key: Any, places: list[tuple[Any, Any]], _others: Any) -> None:
    if isinstance(parent, dict):
        names = [name for _, name in places if isinstance(name, str)]
        parent[rng.choice(names)] = parent.pop(key)
    else:
        rng.shuffle(parent)


def _from_other(rng: Random, parent: Any, key: Any, _own: Any, others: Sequence[bytes]) -> None:
    """The value of the same key in another file, or whatever is there."""
    try:
        other = _places([json.loads(rng.choice(others), strict=False)])
    except (ValueError, IndexError, RecursionError):
        return
    same = [item for item in other if item[1] == key] or other
    there, place = rng.choice(same)
    parent[key] = there[place]


_OF_JSON: Final[Sequence[Callable[[Random, Any, Any, list[tuple[Any, Any]], Sequence[bytes]], None]]] = (
    *(_literal, _number, _number, _text, _text, _delete, _double_item, _swap, _nest, _rename, _from_other, _from_other),
)
