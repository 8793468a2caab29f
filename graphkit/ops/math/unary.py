"""Element-wise functions of one argument on which ONNX and MXNet agree."""

from __future__ import annotations

from graphkit.ops.spec import Case, Row, arr

_ANY = (Case("any", (arr(2, 3, 4),)),)
_POSITIVE = (Case("positive", (arr(2, 3, low=0.1, high=3.0),)),)
_OPEN_UNIT = (Case("unit", (arr(2, 3, low=-0.9, high=0.9),)),)

ROWS = (
    Row("Abs", "abs", _ANY),
    Row("Acos", "arccos", _OPEN_UNIT),
    Row("Exp", "exp", _ANY),
    Row("Log", "log", _POSITIVE),
    Row("Neg", "negative", _ANY),
    Row("Sqrt", "sqrt", _POSITIVE),
)
