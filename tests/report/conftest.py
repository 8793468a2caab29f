"""What tests of reports share."""

from browser import browser

__all__ = ["browser"]
