"""Multiply-adds of operators of other domains, which stay in models that are only looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graphkit.ops.work import Macs

__all__ = ["FOREIGN"]

FOREIGN: Final[Mapping[tuple[str, str], Macs]] = {}
