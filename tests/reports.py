"""Reports for tests of the forms that they are shown in."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

from drawn import HOSTILE

from graphkit.report.report import Check, Report

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["BAD", "EMPTY", "GOOD", "HOSTILE_NAMES", "REPORT", "hostile", "real"]

GOOD = Check(
    "output",
    "y",
    "torch",
    "mxnet",
    "pass",
    error=1e-7,
    max_abs=2e-7,
    max_rel=1e-5,
    ulps=3.0,
    peak=2.0,
    l2=1e-8,
    size=6,
    histogram=(2, *[0] * 9, 1, 3, *[0] * 11),
    shape=(2, 3),
    dtype="float32",
    tol=1e-5,
    floor=1e-6,
)
BAD = replace(
    GOOD,
    kind="parameter gradient",
    name="fc.weight",
    verdict="fail",
    error=0.25,
    bad=4,
    nonfinite=(0, 1),
    first=(0, 2),
    values=(1.5, 2.0),
    note="größer",
    sample="seed 3, batch 8",
    samples=50,
    failures=3,
)
REPORT = Report(
    "net in float32",
    (
        GOOD,
        BAD,
        replace(GOOD, kind="parameter", name="fc.weight", right="ort", step=2),
        Check("parameter", "fc.bias", "torch", "mxnet", "unavailable", note="mxnet has no such parameter"),
        Check("backward", "", "", "ort", "unavailable", note="no gradients"),
    ),
    {"numpy": "1.23.5", "platform": "Linux x86_64"},
    ("Dropout is off.",),
    ("inputs by order: x is data",),
    {"torch": (1.0, 0.5), "mxnet": (1.0, 0.5000001)},
)
EMPTY = Report("nothing", ())
HOSTILE_NAMES = (
    HOSTILE,
    "</script><img src=x onerror=alert(1)>",
    "]]>&amp;<![CDATA[",
    "| a | `b` ``c`` *d* _e_ [f](http://g) @someone #12 $h$",
    "::error::x%0A,y:z",
    "\x00\x08\x0b\x1b[31m\x7f\ud800\ufffe\r\n\t ",
    "# heading",
    "<b onclick=alert(2)>\u202e",
    " ",
    "'\"; alert(3); //",
    "😀 層 é",
    "__proto__",
)
"""Whatever the syntax of a page, XML, Markdown, a terminal or a workflow command could trip over."""


def hostile() -> Report:
    """A report in which everything that comes from outside is hostile, and numbers are not finite."""
    checks = []
    for index, name in enumerate(HOSTILE_NAMES):
        odd = (math.nan, math.inf, -math.inf, 1e300)[index % 4]
        checks += [
            replace(BAD, name=name, left=name, right=name, note=name, sample=name, error=odd, values=(odd, -odd)),
            replace(GOOD, name=name, left="torch", right="mxnet", cosine=odd, l2=odd, dtype=name),
            Check("backward", "", "", name, "unavailable", note=name),
        ]
    names = {name: name for name in HOSTILE_NAMES}
    return Report(HOSTILE, tuple(checks), names, HOSTILE_NAMES, HOSTILE_NAMES, dict.fromkeys(names, (1.0, math.nan)))


@cache
def real() -> tuple[Report, ir.Model]:
    """What verifying a small module finds, and the module."""
    import torch

    import graphkit
    from graphkit.frameworks.base import InputSpec

    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
    model = graphkit.load(module, inputs=[InputSpec("", (2, 4))])
    return graphkit.verify(model, on=("torch", "ort")), model
