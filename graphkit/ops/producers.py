"""What makes a value, for rooms that write several nodes as the one call that their author wrote."""

from __future__ import annotations

from graphkit.ir.producers import made_by

__all__ = ["made_by"]
