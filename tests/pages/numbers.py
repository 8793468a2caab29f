"""Numbers in the words of a page: each is one that a command prints, or that code holds.

Measured numbers are those with a unit of time, memory or proportion, with a power of ten, with a decimal point, and
counts with a thousands separator. In words and tables such a number has to stand in a block of the same page, where it
is what a command prints, or in a comment that says where it is from:

    <!-- number 1e-9: graphkit.parity.noise.RELATIVE -->
    <!-- number 90 MB: what two of three such models take, of the file's own header -->

A dotted name is looked up and has to have that value; anything else is a reason to be read. Versions, and what stands
in `code`, are no measured numbers.
"""

from __future__ import annotations

import importlib
import math
import re
from typing import TYPE_CHECKING, Final

from markdown_it import MarkdownIt

if TYPE_CHECKING:
    from pages.blocks import Page

__all__ = ["unfounded"]

_UNIT: Final = r"ns|µs|ms|s|seconds?|minutes?|hours?|kB|KB|MB|GB|TB|%|×|times"
_MEASURED: Final = re.compile(
    r"(?<![\w.,-])(?P<number>\d[\d,]*(?:\.\d+)?(?:e[-+−]?\d+)?)(?![\d.]*\.\d)(?:[ \u00a0]?(?P<unit>"
    + _UNIT
    + r")(?![\w]))?"
)
_VERSION: Final = re.compile(
    r"(?:torch|PyTorch|MXNet|ONNX(?: Runtime| IR)?|Python|numpy|NumPy|opset|CUDA|Debian|Linux|g\+\+|"
    r"version|of|since|to|and|before|≥|Gluon|releases?|below)\s*$"
)
_SAID: Final = re.compile(r"<!-- number ([^:]+): (.*?) -->", re.DOTALL)
_DOTTED: Final = re.compile(r"graphkit(?:\.\w+)+")


def unfounded(page: Page) -> list[str]:
    """What is wrong with a page's numbers, a line each."""
    said = {name.strip(): reason.strip() for name, reason in _SAID.findall(page.text)}
    problems = [f"{name}: {problem}" for name, reason in said.items() if (problem := _wrong(name, reason))]
    printed = " ".join(block.content for block in page.blocks).replace(",", "").replace("−", "-")
    for line, text in _words(page.text):
        for found in _MEASURED.finditer(text):
            number, whole = found["number"], found[0].replace("\u00a0", " ")
            if not _measured(number, found["unit"], text[: found.start()]) or whole in said or number in said:
                continue
            plain = re.escape(number.replace(",", "").replace("−", "-"))
            if not re.search(rf"(?<![\d.]){plain}(?![\d]|\.\d)", printed):
                problems.append(f"line {line}: no command of the page prints {whole}")
    return problems


def _measured(number: str, unit: str | None, before: str) -> bool:
    if unit or "e" in number:
        return True
    if "." in number:
        return not _VERSION.search(before)
    return bool(re.fullmatch(r"\d{1,3}(?:,\d{3})+", number))


def _words(text: str) -> list[tuple[int, str]]:
    found = []
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        if token.type == "inline":
            words = "".join(child.content if child.type == "text" else " \0 " for child in token.children or ())
            found.append(((token.map or [0])[0] + 1, words))
    return found


def _wrong(name: str, reason: str) -> str:
    if not _DOTTED.fullmatch(reason):
        return "" if len(reason.split()) > 2 else "says neither where in the code it is nor why it stands there"
    module, _, attribute = reason.rpartition(".")
    try:
        value = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError):
        return f"there is no {reason}"
    spelled = float(name.split()[0].rstrip("%").replace(",", ""))
    held = any(
        math.isclose(spelled * factor, float(value), rel_tol=1e-9) for factor in (1, 1e-2, 1e6, 1e9, 2**20, 2**30)
    )
    return "" if held else f"{reason} is {value}"
