"""Why an operator of a program is shown as PyTorch's own, and whether graphkit converts it."""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

from graphkit.frameworks.torch.aten import rows

if TYPE_CHECKING:
    from graphkit.ir.untranslated import Conversion

__all__ = ["CONVERTED", "reason"]

CONVERTED: Final = "in ONNX it is several operators, which conversion makes with PyTorch; it is shown as PyTorch's own"
"""The reason of an operator that graphkit converts, but does not take apart where it only reads."""
_MOSTLY: Final = (
    "in ONNX it is several operators, which conversion makes with PyTorch in most of its forms; it is shown as "
    "PyTorch's own"
)
_UNKNOWN: Final = "whether it has an ONNX form is known only where it is converted, with PyTorch"
_PREFIXES: Final = ("", "nn_functional_", "linalg_", "special_", "fft_")
"""What torch's table of samples puts before the names of ATen's operators."""


@cache
def reason(namespace: str, packet: str) -> tuple[str, Conversion]:
    """Why an operator has no canonical form here, as a clause, and what becomes of it in conversion."""
    if namespace == "aten":
        if any(name.startswith(f"aten.{packet}.") for name in rows()):
            return CONVERTED, "made"
        plain = packet.strip("_")
        for prefix in _PREFIXES:
            row = _samples().get(f"{prefix}{plain}")
            if row is not None:
                return _told(row)
    return _UNKNOWN, "unknown"


def _told(row: dict[str, Any]) -> tuple[str, Conversion]:
    if not row["converted"]:
        why = (row.get("why") or ["torch.onnx has no translation of it"])[0]
        return f"it is not converted: {why.partition(': ')[2] or why}", "refused"
    return (CONVERTED, "made") if row["converted"] == row["samples"] else (_MOSTLY, "unknown")


@cache
def _samples() -> dict[str, Any]:
    """What ``tools/opinfo.py`` found by running torch's own samples of its operators."""
    text = resources.files("graphkit.frameworks.torch.aten").joinpath("samples.json").read_text("utf-8")
    found: dict[str, Any] = json.loads(text)
    return found
