"""What tests of the viewer share."""

from browser import browser

__all__ = ["browser"]
