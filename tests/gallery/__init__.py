"""The networks of docs/gallery.md: real architectures, small, and the proof of their conversions.

The package is imported from a clone's root, too (``graphkit convert tests.gallery.vision:ssd``), so it puts the folder
of what it builds on into the path.
"""

from __future__ import annotations

import sys
from pathlib import Path

_TESTS = str(Path(__file__).resolve().parent.parent)
if _TESTS not in sys.path:
    sys.path.append(_TESTS)
