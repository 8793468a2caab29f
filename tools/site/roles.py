"""References in docstrings, ``:func:`graphkit.load```, as links where the site has what they name, else as code."""

from __future__ import annotations

import re
from typing import Any

import griffe

_ROLE = re.compile(r":(?:attr|class|data|exc|func|meth|mod):`~?([\w.]+)`")


class Roles(griffe.Extension):
    """Rewrites the docstrings of all objects."""

    def on_object(self, *, obj: griffe.Object, loader: griffe.GriffeLoader, **_: Any) -> None:  # noqa: ARG002  # its names
        """Rewrite that of one."""
        if obj.docstring is not None:
            obj.docstring.value = _ROLE.sub(_linked, obj.docstring.value)


def _linked(found: re.Match[str]) -> str:
    return f'<autoref identifier="{found[1]}" optional><code>{found[1]}</code></autoref>'
