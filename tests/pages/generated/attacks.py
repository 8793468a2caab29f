"""The attacks that tests try."""

from __future__ import annotations

from attacks.catalogue import page

FILES = {"docs/attacks.md": page}
