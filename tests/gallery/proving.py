"""Conversions of the gallery's networks, each written to files, read again and run by the framework it is for."""

from __future__ import annotations

import tempfile
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import graphkit

if TYPE_CHECKING:
    import onnx_ir as ir

    from gallery.entries import Entry
    from graphkit.report.report import Check

__all__ = ["Proof", "load", "prove"]

BATCHES = (1, 3)
RUN_BY = {"torch": ("torch",), "mxnet": ("mxnet",), "onnx": ("reference", "ort")}
"""Who runs a model. ONNX's reference evaluator knows float64 throughout, ONNX Runtime what it has kernels for."""

ROUNDED = 1e-6
"""Bound of an error in float64, where a file holds a number in float32."""
_SINGLE = "in float32, as"


@dataclass(frozen=True)
class Proof:
    """What came of a conversion.

    Attributes:
        checks: All tensors that were compared; none where it was refused.
        told: Why it was refused, or what else there is to say, in graphkit's words.
    """

    checks: tuple[Check, ...]
    told: str = ""

    @property
    def passed(self) -> bool:
        """Whether outputs and gradients were compared, and all agree."""
        kinds = {check.kind for check in self.checks}
        compared = "output" in kinds and any(kind.endswith("gradient") for kind in kinds)
        return compared and all(check.verdict == "pass" for check in self.checks)

    @property
    def precision(self) -> str:
        """What was compared in: float64, unless a framework refused it."""
        return "float32" if any(_SINGLE in check.note for check in self._proving()) else "float64"

    def worst(self, *kinds: str) -> float | None:
        """The largest error of such checks, ONNX Runtime's apart; None where there are none.

        Args:
            kinds: Endings of kinds: output, gradient, loss, parameter.
        """
        return max((check.error for check in self._proving() if check.kind.endswith(kinds)), default=None)

    def served(self) -> float | None:
        """The largest error of ONNX Runtime's outputs, which are float32 where it has no other kernels."""
        return max((check.error for check in self.checks if check.kind == "output" and _serves(check)), default=None)

    def _proving(self) -> list[Check]:
        return [check for check in self.checks if not _serves(check)]


def _serves(check: Check) -> bool:
    return any(side.endswith("on ort") or side == "ort" for side in (check.left, check.right))


def load(entry: Entry, folder: Path) -> ir.Model:
    """The network as graphkit reads it from its own framework, sizes free that are ``?``."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model: ir.Model = graphkit.load(entry.source(folder), inputs=list(entry.shapes), dynamic_batch=not entry.states)
    return model


def prove(entry: Entry, model: ir.Model, to: str, batches: tuple[int, ...] = BATCHES) -> Proof:
    """Convert a network, read the files that were written, and compare: outputs, gradients, steps of training.

    ONNX files are run by ONNX's own runtimes, also where they are what is converted. The model is read and written
    once, its batch free, and compared at each of the batch sizes.
    """
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(folder) / (f"{entry.name}.onnx" if to == "onnx" else entry.name)
        told = ""
        sides: tuple[ir.Model, ir.Model | None]
        try:
            graphkit.save(model, path, to=to)
            try:
                again = graphkit.load(f"{path}-symbol.json" if to == "mxnet" else path, dynamic_batch=not entry.states)
                sides = (again, model) if entry.framework == "onnx" else (model, again)
                on = RUN_BY["onnx" if entry.framework == "onnx" else to]
                if entry.frozen and to == "torch":
                    sides, on = (model, None), (entry.framework, to)
            except graphkit.GraphkitError as error:  # source that computes, but that torch.export cannot capture
                if (entry.framework, to) != ("mxnet", "torch"):
                    raise
                told, sides, on = str(error), (model, None), (entry.framework, to)
            at = [(batch,) for batch in batches] if entry.states else [batches]
            return Proof(tuple(check for sizes in at for check in _compared(entry, sides, on, to, sizes)), told)
        except graphkit.GraphkitError as error:
            return Proof((), str(error))


def _compared(
    entry: Entry, sides: tuple[ir.Model, ir.Model | None], on: tuple[str, ...], to: str, batches: tuple[int, ...]
) -> list[Check]:
    report = graphkit.verify(
        *sides,
        on=on,
        backward=True,
        train_steps=entry.train or None,
        dtype="float64",
        batches=() if entry.states else batches,
        inputs=[shape.replace("?", str(batches[0])) for shape in entry.shapes] if entry.states else (),
    )
    return [_judged(check) if to in entry.rounded else check for check in report.checks if check.size]


def _judged(check: Check) -> Check:
    """The check by the bound for numbers that are float32 on one side, where it was not by that of float32 anyway."""
    within = _SINGLE not in check.note and check.tol < check.error <= ROUNDED
    return replace(check, verdict="pass", tol=ROUNDED) if check.verdict == "fail" and within else check
