"""Parity of the test networks as a table: ``python tools/zoo.py [NETWORK …]``.

Each is read from PyTorch and run on PyTorch, on its conversion in the real MXNet, and in ONNX Runtime, at batch 1 and 3
(the export's batch is 2). Errors are max|difference| / max|reference|, the worst of all outputs or gradients.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from networks import NETWORKS

import graphkit

if TYPE_CHECKING:
    from graphkit.report.report import Report


def worst(report: Report, right: str, kind: str) -> float:
    return max((c.max_rel for c in report.checks if c.right == right and c.kind.endswith(kind) and c.size), default=0.0)


def closest(report: Report) -> float:
    """The largest share of its bound that any check used up."""
    return max((c.max_rel / c.tol for c in report.checks if c.tol), default=0.0)


def main(names: list[str]) -> int:
    head = f"{'network':14} {'batch':>5}  {'float64: outputs':>16} {'gradients':>9}   {'float32: MXNet':>14} "
    print(head + f"{'gradients':>9} {'ONNX Rt.':>8} {'of bound':>8}  verdict")
    failed = 0
    for name in names:
        network = NETWORKS[name]
        model = graphkit.load(network.module(), inputs=[network.shape])
        for batch in (1, 3):
            double = graphkit.verify(model, on=("torch", "mxnet"), backward=True, dtype="float64", batch=batch)
            single = graphkit.verify(model, on=("torch", "mxnet", "ort"), backward=True, batch=batch)
            passed = double.passed and single.passed
            failed += not passed
            figures = (
                f"{worst(double, 'mxnet', 'output'):16.1e} {worst(double, 'mxnet', 'gradient'):9.1e}",
                (
                    f"{worst(single, 'mxnet', 'output'):14.1e} {worst(single, 'mxnet', 'gradient'):9.1e} "
                    f"{worst(single, 'ort', 'output'):8.1e} {closest(single):8.0%}"
                ),
                "pass" if passed else "FAIL",
            )
            print(f"{name:14} {batch:5}  {figures[0]}   {figures[1]}  {figures[2]}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    chosen = sys.argv[1:] or list(NETWORKS)
    if unknown := [name for name in chosen if name not in NETWORKS]:
        sys.exit(f"no network {unknown[0]}; there are: {', '.join(NETWORKS)}")
    sys.exit(main(chosen))
