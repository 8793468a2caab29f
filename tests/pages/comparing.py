"""Whether what is printed is what a page shows.

Words have to be the same. Numbers have to be the same if they are counts; to a thousandth if they are decimals; and of
the same kind only, if they are measured: an error such as 1.2e-16, a duration, a ratio. Versions of three parts or more
(torch 2.13.0+cpu) are those of a machine, and any will do. Runs of blanks and of lines of tables count once, as columns
are as wide as what stands in them. Rows of a table of parity may stand in any order, as the largest error comes first;
where lines are left out, the rows that are shown have to be among those found.
"""

from __future__ import annotations

import math
import re
from typing import Final

__all__ = ["ELISION", "differences", "same"]

ELISION: Final = "…"
_NUMBER: Final = re.compile(r"(?<![\w.])[-+−]?(?:\d[\d,]*\.?\d*|\.\d+)(?:e[-+]?\d+)?(?:(?!\w)|(?=s\b))")
_MEASURED: Final = re.compile(r"\s*(?:ms|µs|s|seconds|minutes|ns|MB|GB|KB|kB|GFLOP/s|samples/s|%|×|x)(?!\w)")
_UNITS: Final = re.compile(r"\b(?:[kKMG]?B|[mµn]?s|bytes|seconds|minutes)\b")
_CLOSE: Final = 1e-3
_HASHES: Final = re.compile(r"\b[0-9a-f]{12,64}\b")
_BYTES: Final = re.compile(r"\bbytes(?:\"|&quot;):\s?\d+")
"""The size of a file in a record of where another comes from."""
_VERSIONS: Final = re.compile(r"\b\d+\.\d+\.\d+(?:[.+\w-]*\w)?")
_RULES: Final = re.compile(r"[─━═\-_]{3,}|[▁▂▃▄▅▆▇█▏▎▍▌▋▊▉]+")


_ROW: Final = re.compile(r"  \S.* (?:pass|FAIL)$")
"""A tensor in a table of parity."""


def same(shown: str, found: str, *, varies: bool = False) -> bool:
    """Whether a page may show this of what was printed; lines ``…`` stand for any lines."""
    expected, lines = shown.rstrip().splitlines(), found.rstrip().splitlines()
    whole = all(line.strip() != ELISION for line in expected)
    if not _same_rows(list(filter(_ROW.match, expected)), list(filter(_ROW.match, lines)), whole=whole, varies=varies):
        return False
    parts = _split([line for line in expected if not _ROW.match(line)])
    lines = [line for line in lines if not _ROW.match(line)]
    if len(parts) == 1:
        return _same_lines(parts[0], lines, varies=varies)
    first, *middle, last = parts
    if len(lines) < sum(map(len, parts)) or not _same_lines(first, lines[: len(first)], varies=varies):
        return False
    if last and not _same_lines(last, lines[len(lines) - len(last) :], varies=varies):
        return False
    at, end = len(first), len(lines) - len(last)
    for part in middle:
        starts = range(at, end - len(part) + 1)
        at = next((s for s in starts if _same_lines(part, lines[s : s + len(part)], varies=varies)), -1)
        if at < 0:
            return False
        at += len(part)
    return True


def differences(shown: str, found: str) -> str:
    """Both, for someone who has to see why they are not the same."""
    import difflib

    return "\n".join(
        difflib.unified_diff(shown.splitlines(), found.splitlines(), "the page shows", "what is printed", lineterm="")
    )


def _same_rows(shown: list[str], found: list[str], *, whole: bool, varies: bool) -> bool:
    """Whether rows meet rows, each another one; all of them, if the whole is shown."""
    left = list(found)
    for row in shown:
        at = next((i for i, other in enumerate(left) if _same_line(row, other, varies=varies)), None)
        if at is None:
            return False
        del left[at]
    return not (whole and left)


def _split(shown: list[str]) -> list[list[str]]:
    parts: list[list[str]] = [[]]
    for line in shown:
        if line.strip() == ELISION:
            parts.append([])
        else:
            parts[-1].append(line)
    return parts


def _same_lines(shown: list[str], found: list[str], *, varies: bool) -> bool:
    return len(shown) == len(found) and all(_same_line(a, b, varies=varies) for a, b in zip(shown, found, strict=True))


def _same_line(shown: str, found: str, *, varies: bool) -> bool:
    if shown == found:
        return True
    if _words(shown) != _words(found):
        return False
    pairs = zip(_NUMBER.finditer(_plain(shown)), _NUMBER.finditer(_plain(found)), strict=True)
    return varies or all(_same_number(a, b) for a, b in pairs)


def _plain(line: str) -> str:
    return _HASHES.sub("HASH", _BYTES.sub("SIZE", _VERSIONS.sub("VERSION", _RULES.sub(" ", line))))


def _words(line: str) -> str:
    text = _NUMBER.sub("#", _plain(line))
    return re.sub(r"\s+", " ", _UNITS.sub("UNIT", text)).strip()


def _same_number(shown: re.Match[str], found: re.Match[str]) -> bool:
    a, b = shown[0].replace("−", "-"), found[0].replace("−", "-")
    if a == b or "e" in a or "e" in b:
        return True
    if any(_MEASURED.match(one.string, one.end()) for one in (shown, found)):
        return True
    if "." not in a and "." not in b:
        return False
    return math.isclose(float(a.replace(",", "")), float(b.replace(",", "")), rel_tol=_CLOSE, abs_tol=_CLOSE)
