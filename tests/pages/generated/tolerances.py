"""Every bound that graphkit applies, read from the code that applies it."""

from __future__ import annotations

import ast
import importlib
import inspect
from collections import defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import ml_dtypes
import numpy as np

from graphkit.ops.index import index
from graphkit.ops.spec import Tol
from graphkit.parity import precision, tolerance

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from graphkit.ops.spec import Case, Op

_MODULES: Final = ("tolerance", "floor", "precision", "deciding", "comparison", "steady", "samples", "training")
"""Modules of graphkit.parity whose numbers decide over verdicts."""
_HEAD: Final = """\
# Tolerances

Every bound that graphkit applies, written from the code that applies it by `tools/docs generate`. An error is
max|difference| / max|reference|, over all elements of a tensor. How these numbers were found is in
[numerics.md](numerics.md), what is run and compared in [verify.md](../verify.md).

Integers, booleans and strings have to be equal. NaN and infinities have to stand in the same places. Shapes and element
types have to be those of the reference. None of that can be loosened.

## Bounds

The *noise floor* of a tensor is how far the model, in the precision that is compared, is from itself in float64 on one
runtime. Where a bound says "at least", it is {margin} times the noise floor and never less than that.

| compared | float64 | float32 | float16 | bfloat16 |
|---|---|---|---|---|
"""
_BETWEEN: Final = """
"Behind float32" are tensors that depend on an operator inside which MXNet or ONNX Runtime computes with float32 numbers
though it is given float64: those [below](#operators-that-compute-in-float32-inside-float64), and in ONNX Runtime float
attributes (an epsilon, the scale of Attention) and factors of fused matrix products that float32 does not have exactly.
A gradient there that would fail may be as far off as in float32, {margin} times its noise floor, up to {summed}.

A tensor of parameters has the bound of gradients. Steps of training are not compared in float16 and bfloat16.

## What widens a bound

Each of these is told in the report, as the note of the tensor that it concerns.

| what | applies to | widens to |
|---|---|---|
"""
_OWN: Final = """
A bound of your own takes the place of all these: `--tol`, or `[tool.graphkit.verify]` in `pyproject.toml`; see
[ci.md](../ci.md#what-a-project-sets).

## Constants

| constant | value | why |
|---|---|---|
"""
_CASES: Final = """
## Operators that compute in float32 inside float64

Every operator is tested by cases of its own against the real MXNet, ONNX Runtime, torch and the ONNX reference
evaluator: {count} cases, within {single} in float32 and {double} in float64. These {other} have other bounds. An
operator with a wider bound in float64 is one of those that "behind float32" means.

| operator | cases | float32 | float64 | why |
|---|---|---|---|---|
"""


def page() -> str:
    """The page."""
    halves = [np.dtype(getattr(ml_dtypes, name, name)) for name in ("float16", "bfloat16")]

    def least(*, gradients: bool) -> list[str]:
        bounds = tolerance.single_bounds({"x": 1.0}, {"x": 0.0}, gradients=gradients)
        return [f"at least {_n(bounds['x'].tol)}"] + [
            f"at least {_n(precision.least_bound(half, gradients=gradients))}" for half in halves
        ]

    behind = tolerance.double_bounds({"x": 1.0}, single={"x": "MXNet"})["x"].tol
    usual = tolerance.double_bounds({"x": 1.0})["x"].tol
    rows = [
        ("outputs, values between nodes", _n(usual), *least(gradients=False)),
        ("gradients", _n(usual), *least(gradients=True)),
        ("the same, behind float32", _n(behind), "as above", "as above", "as above"),
        ("losses and outputs of steps of training", _n(tolerance.TRAINED), least(gradients=False)[0], "–", "–"),
        ("parameters and statistics after steps", _n(tolerance.TRAINED), least(gradients=True)[0], "–", "–"),
    ]
    sixteen = "float16 and bfloat16"
    limits = " and ".join(_n(precision.summed([name])) for name in ("float16", "bfloat16"))
    margin, summed = f"{tolerance.MARGIN:g}", _n(tolerance.SUMMED)
    widening = [
        (
            "the median of all outputs' noise floors",
            "outputs in float32 and fewer bits, whose own floor is smaller",
            f"{margin} times that",
        ),
        (
            "the largest of all gradients' noise floors",
            "gradients in float32 and fewer bits, whose own floor is smaller",
            f"{margin} times that",
        ),
        (
            "the noise floor of the runtime under test",
            "gradients in float32 that would fail",
            f"{margin} times that, up to {summed}",
        ),
        ("the same", f"tensors in {sixteen} that would fail", f"{margin} times that, up to {limits}"),
        (
            f"how much inputs that move by {_n(importlib.import_module('graphkit.parity.floor').NUDGE)} move it",
            "gradients in float64 that would fail, as they cancel",
            f"{margin} times that, up to {_n(tolerance.SINGLE_INSIDE)}",
        ),
        (
            "its peers' magnitude, the median of their largest",
            "gradients that are zero, or residue of a cancellation",
            "the same bound, of that magnitude",
        ),
        (
            "what rounding alone moves it by",
            "residue that is residue on the side under test as well",
            f"{margin} times that, up to {summed} (in float64 {_n(tolerance.DOUBLE)}) of the largest of all gradients",
        ),
    ]
    cases = list(_cases())
    other = [(name, case) for name, case in cases if case.tol != Tol()]
    text = _HEAD.format(margin=margin) + _table(rows)
    text += _BETWEEN.format(margin=margin, summed=summed) + _table(widening)
    text += _OWN + _table(_constants())
    text += _CASES.format(count=len(cases), single=_n(Tol().float32), double=_n(Tol().float64), other=len(other))
    return text + _table(_grouped(other))


def _table(rows: Sequence[Sequence[str]]) -> str:
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |\n" for row in rows)


def _n(number: float) -> str:
    return f"{number:.2g}" if 0.001 <= number < 1e4 else f"{number:.1e}".replace(".0e", "e").replace("e-0", "e-")


def _constants() -> list[tuple[str, str, str]]:
    """Numbers of the modules with the text that stands under each; distances of seeds bound nothing."""
    found = []
    for name in _MODULES:
        module = importlib.import_module(f"graphkit.parity.{name}")
        body = ast.parse(inspect.getsource(module)).body
        for statement, after in pairwise(body):
            if not isinstance(statement, ast.AnnAssign) or not isinstance(statement.target, ast.Name):
                continue
            constant = statement.target.id
            value = getattr(module, constant)
            if isinstance(value, bool) or not isinstance(value, int | float) or constant.endswith("APART"):
                continue
            if not isinstance(after, ast.Expr) or not isinstance(after.value, ast.Constant):
                raise ValueError(f"{module.__name__}.{constant} does not say why it is {value}")
            why = " ".join(str(after.value.value).split())
            plain = statement.value is None or isinstance(statement.value, ast.Constant | ast.Name)
            shown = _n(value) if plain else f"`{ast.unparse(statement)[len(constant) + 10 :]}`, {_n(value)}"
            found.append((f"`{name}.{constant.lstrip('_')}`", shown, why))
    return found


def _cases() -> Iterator[tuple[str, Case]]:
    for _, op in index().ops:
        yield from ((_title(op), case) for case in op.cases)
        yield from ((form.op, case) for form in op.mx for case in form.cases)


def _title(op: Op) -> str:
    return f"{op.domain}:{op.onnx}" if op.domain and op.domain != "graphkit" else op.onnx or op.mx[0].op


def _grouped(cases: list[tuple[str, Case]]) -> list[tuple[str, ...]]:
    found: dict[tuple[str, Tol], list[str]] = defaultdict(list)
    for name, case in cases:
        found[name, case.tol].append(case.name)
    return [
        (f"`{name}`", str(len(names)), _n(tol.float32), _n(tol.float64), tol.reason)
        for (name, tol), names in sorted(found.items(), key=lambda item: (item[0][0], item[0][1].float64))
    ]


FILES = {"docs/reference/tolerances.md": page}
