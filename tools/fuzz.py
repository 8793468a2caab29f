"""Random uses of operators, compared with the frameworks themselves.

    tools/fuzz onnx [WORD …]     ONNX operators with these words in their names, against ONNX Runtime
    tools/fuzz mxnet [WORD …]    MXNet operators, against the real MXNet

Each use is a case of a room with sizes, attributes or element types changed (``tests/fuzzing.py``). A use counts as
``refused by its framework`` where that does not compute it, dies of it, or gives what happens to lie in memory or is
left open by its definition (``tests/undefined.py``), ``fine`` where graphkit computes the same or says why not, and is
told as a case otherwise. The exit status is 1 when something was found.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import traceback
import warnings
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, Phase, given, seed, settings

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
import fuzzing

if TYPE_CHECKING:
    from opcases import Use

_NUMBER = re.compile(r"[\d.e+-]+")
_LONGEST = 400


class Findings:
    """What came of the uses of one operator; findings that differ in numbers only count as one."""

    def __init__(self, side: str) -> None:
        self._problem = fuzzing.onnx_problem if side == "onnx" else fuzzing.mxnet_problem
        self.counts: Counter[str] = Counter()
        self.found: dict[str, tuple[str, Use]] = {}

    def look(self, use: Use) -> None:
        try:
            problem = self._problem(use)
        except Exception as error:  # a defect, and what is looked for
            where = traceback.extract_tb(error.__traceback__)[-1]
            problem = f"{type(error).__name__} in {Path(where.filename).name}:{where.lineno}: {error}"
        if not problem:
            self.counts["refused by its framework" if problem is None else "fine"] += 1
            return
        self.counts["WRONG"] += 1
        self.found.setdefault(_NUMBER.sub("0", problem)[:80], (problem, use))


def fuzz(side: str, operator: str, examples: int, start: int) -> Findings:
    uses = fuzzing.onnx_uses_of(operator) if side == "onnx" else fuzzing.mxnet_uses(operator)
    findings = Findings(side)

    @seed(start)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    @given(uses)
    def run(use: Use) -> None:
        findings.look(use)

    run()
    return findings


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("side", choices=["onnx", "mxnet"])
    parser.add_argument("word", nargs="*")
    parser.add_argument("--examples", type=int, default=60, help="uses of each operator")
    parser.add_argument("--seed", type=int, default=0, help="another seed finds other uses")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    os.environ.setdefault("GRAPHKIT_MXNET_TIMEOUT", "20")  # MXNet hangs over some uses
    total: Counter[str] = Counter()
    for operator in fuzzing.operators(arguments.side):
        if arguments.word and not any(word in operator for word in arguments.word):
            continue
        findings = fuzz(arguments.side, operator, arguments.examples, arguments.seed)
        total.update(findings.counts)
        print(operator, dict(findings.counts), flush=True)
        for problem, use in findings.found.values():
            print(f"    {problem[:_LONGEST]}\n        {use.case}", flush=True)
    print(dict(total))
    return int(total["WRONG"] > 0)


if __name__ == "__main__":
    raise SystemExit(main())
