"""What graphkit makes of PyTorch's operators, as ``tools/opinfo.py`` found by running torch's own samples of them."""

from __future__ import annotations

import json
from importlib import resources

from graphkit.frameworks.support import Support

__all__ = ["operators"]


def operators() -> list[Support]:
    """Every operator that torch has samples of and a model may hold, sorted by name."""
    text = resources.files("graphkit.frameworks.torch.aten").joinpath("samples.json").read_text("utf-8")
    return [_support(name, row) for name, row in json.loads(text).items()]


def _support(name: str, row: dict[str, object]) -> Support:
    """One operator; a row has the number of ``samples``, of those ``converted``, and ``why`` others are not."""
    samples, converted, why = row["samples"], row["converted"], row.get("why", [])
    assert isinstance(why, list)
    told = "yes" if samples == converted else f"{converted} of {samples} samples"
    return Support("torch", name, becomes={"onnx": (told,)} if converted else {}, reason="; ".join(why))
