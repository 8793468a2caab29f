#!/usr/bin/env python
"""How graphkit reads PyTorch's operators, found by running torch's own samples of each (its OpInfo database).

Each sample is exported, converted to ONNX, run on ONNX Runtime and compared with eager torch; see ``tests/opinfo.py``.
The result is ``graphkit/frameworks/torch/aten/samples.json``, which ``graphkit ops`` shows:

    tools/opinfo.py                    # all operators, half an hour; writes the file
    tools/opinfo.py conv softmax       # those with these words in their names; writes nothing
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from collections import Counter
from pathlib import Path
from typing import Any, Final

import graphkit

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
import opinfo

TABLE: Final = Path(graphkit.__file__).parent / "frameworks" / "torch" / "aten" / "samples.json"
LONGEST: Final = 240


def row(name: str) -> dict[str, Any] | None:
    """What became of an operator's samples; None where it has none that can be compared."""
    found: Counter[str] = Counter()
    for use in opinfo.uses(opinfo.operators()[name]):
        verdict = opinfo.verdict(use)
        if verdict is not None:
            found[verdict if len(verdict) <= LONGEST else verdict[:LONGEST].rsplit(" ", 1)[0] + " …"] += 1
    if not found:
        return None
    why = sorted(verdict for verdict in found if verdict != opinfo.SAME)
    counts = {"samples": found.total(), "converted": found[opinfo.SAME]}
    return {**counts, "why": why} if why else counts


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("word", nargs="*", help="part of the names of the operators to run")
    words = parser.parse_args().word
    warnings.simplefilter("ignore")
    table: dict[str, Any] = {}
    for name in sorted(opinfo.operators()):
        if words and not any(word in name for word in words):
            continue
        if (found := row(name)) is not None:
            table[name] = found
            print(name, json.dumps(found, ensure_ascii=False), flush=True)
    if not words:
        lines = [f"{json.dumps(name)}: {json.dumps(found, ensure_ascii=False)}" for name, found in table.items()]
        TABLE.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
