"""The operators of every framework."""

from __future__ import annotations

from graphkit.frameworks.support import support
from graphkit.frameworks.support_page import markdown

FILES = {"docs/operators.md": lambda: markdown(support())}
