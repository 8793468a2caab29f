"""Pages and pictures of the documentation that code writes: ``tools/docs generate`` writes all of them.

Each module here has ``FILES``: by the place of a file in the repository, the function that gives its text. They are
committed, so that GitHub shows them, and tests/test_pages.py holds each to what its function gives now.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Callable

__all__ = ["Files", "files", "same"]

Files = dict[str, Callable[[], str]]
"""Functions that give the text of a file, by its place in the repository."""


def files() -> Files:
    """Every file that is generated.

    Raises:
        ValueError: Two modules write the same file.
    """
    found: Files = {}
    for module in sorted(info.name for info in pkgutil.iter_modules(__path__)):
        for name, text in importlib.import_module(f"{__name__}.{module}").FILES.items():
            if name in found:
                raise ValueError(f"{__name__}.{module} writes {name}, and so does another module")
            found[name] = text
    return found


def same(name: str, one: str, two: str) -> bool:
    """Whether two texts of a file say the same: of a picture the words, whose places depend on a machine's fonts."""
    return one == two or (name.endswith(".svg") and _words(one) == _words(two))


def _words(svg: str) -> list[str]:
    return re.findall(r"<(?:title|text)\b[^>]*>([^<]*)<", svg)
