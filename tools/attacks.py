"""The attacks that tests try, as the page docs/attacks.md."""

from __future__ import annotations

import sys
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(_ROOT / "tests"), str(_ROOT)]
from attacks.catalogue import page

sys.stdout.write(page())
