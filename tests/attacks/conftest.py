"""What tests of attacks share."""

from browser import browser

__all__ = ["browser"]
