"""Terms of sizes as torch.onnx spells them."""

from __future__ import annotations

import re

__all__ = ["plain_term"]

_CALL = re.compile(r"\b(CeilToInt|FloatTrueDiv|IntTrueDiv)\(")
_REMAINDER = re.compile(r"\bMod\(")
_DECIMAL = re.compile(r"(?<![\w.])(\d+)\.(\d{1,3})(?![\w.])")


def plain_term(text: str) -> str:
    """A term with common functions in place of those that torch computes sizes by; none of them is negative.

    Raises:
        ValueError: Its brackets are not closed.
    """
    text = _unnested(text.replace("PythonMod(", "Mod("))
    if "To" not in text and "TrueDiv(" not in text:
        return text
    text = _DECIMAL.sub(_fraction, text)
    text = re.sub(r"\bToFloat\(", "(", re.sub(r"\b(Floor|Trunc)ToInt\(", "floor(", text))
    while (match := _CALL.search(text)) is not None:
        parts, end = _operands(text, match.end())
        made = f"-floor(-({parts[0]}))" if match[1] == "CeilToInt" else f"(({parts[0]})/({parts[-1]}))"
        text = f"{text[: match.start()]}({made}){text[end:]}"
    return text


def _unnested(text: str) -> str:
    """A term without remainders in remainders: sympy (1.14) takes ``Mod(2*Mod(n, 6), 5)`` for that of a square."""
    while True:
        found = [(match.start(), *_operands(text, match.end())) for match in _REMAINDER.finditer(text)]
        inner = next((each for each in reversed(found) if any(first < each[0] < end for first, _, end in found)), None)
        if inner is None:
            return text
        start, (whole, by), stop = inner
        text = f"{text[:start]}(({whole}) - ({by})*floor(({whole})/({by}))){text[stop:]}"


def _fraction(match: re.Match[str]) -> str:
    return match[1] if not match[2].strip("0") else f"({match[1]}{match[2]}/{10 ** len(match[2])})"


def _operands(text: str, start: int) -> tuple[list[str], int]:
    """What stands between commas up to the bracket that closes one before ``start``, and where that ends."""
    parts, depth, first = [], 0, start
    for place in range(start, len(text)):
        if text[place] == "(":
            depth += 1
        elif text[place] == "," and not depth:
            parts.append(text[first:place])
            first = place + 1
        elif text[place] == ")":
            depth -= 1
            if depth < 0:
                return [*parts, text[first:place]], place + 1
    raise ValueError(f"{text!r} has brackets that are not closed")
