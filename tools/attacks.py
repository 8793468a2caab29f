"""The attacks that tests try, as the page docs/attacks.md."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent.parent / folder) for folder in ("tests", "")]
from attacks.catalogue import page

sys.stdout.write(page())
