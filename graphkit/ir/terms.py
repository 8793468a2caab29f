"""Terms of sizes as torch.onnx spells them."""

from __future__ import annotations

import re

__all__ = ["check_term", "plain_term"]

_CALL = re.compile(r"\b(CeilToInt|FloatTrueDiv|IntTrueDiv)\(")
_REMAINDER = re.compile(r"\bMod\(")
_DECIMAL = re.compile(r"(?<![\w.])(\d+)\.(\d{1,3})(?![\w.])")

_TOKEN = re.compile(r"\s*(?:(\d+(?:\.\d+)?)|([^\W\d][\w.]*)|(\*\*|//|[-+*/%(),]))")
_LONGEST = 2000
"""Characters of a term that is computed with; those of models have a few dozen."""
_DEEPEST = 40
"""Brackets within each other up to which the same."""
_TERMS = 256
"""Terms that it may have once it is multiplied out."""
_DIGITS = 19
"""Digits of its numbers."""
_POWER = 16
"""The largest power in it."""
_REMAINDERS = ("Mod", "mod", "PythonMod")
"""Functions whose operands stand twice in what becomes of them."""
_EXTREMES = ("Max", "max", "Min", "min")
"""Functions whose operands are compared with each other."""


def check_term(text: str) -> None:
    """Refuse a term that would take time or memory to compute with: powers of powers, products of many sums.

    Raises:
        ValueError: It would, or it is none.
    """
    if text.isidentifier():
        return
    if len(text) > _LONGEST:
        raise ValueError("the term is too long")
    tokens: list[str] = []
    place = 0
    while place < len(text.rstrip()):
        match = _TOKEN.match(text, place)
        if match is None or (match[1] and len(match[1]) > _DIGITS):
            raise ValueError(f"{text[place:]!r} is no part of a term")
        tokens.append(match[0].strip())
        place = match.end()
    _Cost(tokens).sum(0)


class _Cost:
    """Counts the terms of a sum that something is once it is multiplied out, by recursive descent.

    Args:
        tokens: Its parts; the last one first is taken.
    """

    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens[::-1]

    def _take(self, *wanted: str) -> str:
        return self._tokens.pop() if self._tokens and self._tokens[-1] in wanted else ""

    def sum(self, depth: int) -> int:
        """Terms of a sum."""
        if depth > _DEEPEST:
            raise ValueError("the term is too deep")
        found = self._product(depth)
        while self._take("+", "-"):
            found += self._product(depth)
        return _checked(found)

    def _product(self, depth: int) -> int:
        found = self._power(depth)
        while sign := self._take("*", "/", "//", "%"):
            found *= self._power(depth) * (2 if sign == "%" else 1)
        return _checked(found)

    def _power(self, depth: int) -> int:
        while self._take("-", "+"):
            pass
        found = self._part(depth)
        if not self._take("**"):
            return found
        power = self._tokens.pop() if self._tokens else ""
        if not power.isdigit() or int(power) > _POWER or self._tokens[-1:] == ["**"]:
            raise ValueError("the term has a power that is no small number")
        return _checked(found ** int(power))

    def _part(self, depth: int) -> int:
        name = "" if self._tokens[-1:] == ["("] else (self._tokens.pop() if self._tokens else "")
        if not self._take("("):
            return 1
        found = self.sum(depth + 1)
        while self._take(","):
            found += self.sum(depth + 1)
        if not self._take(")"):
            raise ValueError("the term has brackets that are not closed")
        if name in _EXTREMES:
            found **= 2
        return _checked(found * 2 if name in _REMAINDERS else found)


def _checked(terms: int) -> int:
    if terms > _TERMS:
        raise ValueError("the term has too many parts")
    return terms


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
