"""The attacks that tests try, as the page docs/attacks.md."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from attacks.catalogue import page

sys.stdout.write(page())
