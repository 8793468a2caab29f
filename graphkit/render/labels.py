"""The words on a picture: short, printable, and the same for every format."""

from __future__ import annotations

import math
import re
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import onnx_ir as ir

from graphkit.ir.describe import Parameter, Tensor, element_name
from graphkit.ir.opset import schema_of
from graphkit.text import short

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from graphkit.ir.describe import Dims

__all__ = ["amount", "attribute_lines", "count", "dims", "parameter_lines", "relative", "tensor"]

_LIST_LIMIT: Final = 6
"""Elements of a list that a label shows."""

_MADE_UP: Final = re.compile(r"[./]|^(const|constant|val|value)?[\W\d_]*$")
"""A constant's name that says nothing."""

_SEPARATORS: Final = "./_:-"


def dims(shape: Dims | None) -> str:
    """A shape as ``N×64×56×56``; ``scalar`` for no dimensions, ``?`` for an unknown one, empty for an unknown rank."""
    if shape is None:
        return ""
    if not shape:
        return "scalar"
    parts = [_dim(dim) for dim in shape]
    if len(parts) > _LIST_LIMIT + 2:
        parts[_LIST_LIMIT:] = ["…"]
    return "×".join(parts)


def _dim(dim: int | str | None) -> str:
    if dim is None or dim == "":
        return "?"
    if isinstance(dim, int):
        return str(dim)
    return short(dim, 16) if dim.isidentifier() else f"({short(dim, 16)})"


def tensor(dtype: str | None, shape: Dims | None, *, usual: str | None = None) -> str:
    """Element type and shape, e.g. ``int64 N×16``; the type is left out where it is the usual one."""
    parts = [dtype if dtype and dtype != usual else "", dims(shape)]
    return " ".join(filter(None, parts))


def count(number: int, unit: str = "") -> str:
    """A count in three digits: ``948``, ``25.6 k``, ``1.23 M``; with a unit ``948 B``, ``25.6 kB``."""
    if number < 1000:
        return f"{number} {unit}".rstrip()
    power = min(int(math.log10(number)) // 3, 4)
    scaled = number / 1000**power
    if round(scaled, 2 - int(math.log10(scaled))) >= 1000 and power < 4:
        power, scaled = power + 1, scaled / 1000
    digits = max(0, 2 - int(math.log10(scaled)))
    return f"{scaled:.{digits}f} {'kMGT'[power - 1]}{unit}"


def amount(number: float, unit: str = "") -> str:
    """An amount in three digits with its unit: ``25.6 MB`` for ``"bytes"``, ``4.1 GFLOP``, ``948``."""
    if not math.isfinite(number):
        return f"{number} {unit}".strip()
    if 0 < abs(number) < 1 or (number < 1000 and number != int(number)):
        return f"{number:.3g} {unit}".strip()
    text = count(int(number))
    digits, _, prefix = text.partition(" ")
    if unit in ("bytes", "B"):
        return f"{digits} {prefix}B"
    return f"{text} {unit}".strip() if not prefix else f"{digits} {prefix}{unit and ' '}{unit}"


def relative(name: str, scope: str, node: str = "") -> str:
    """A parameter's name without what its node already says.

    ``relative("layer1.0.conv1.weight", "layer1.0.conv1")`` and ``relative("conv0_weight", "", "conv0_fwd")`` are both
    ``"weight"``.
    """
    parent = node.rstrip("".join(set(node) - set(_SEPARATORS))).rstrip(_SEPARATORS)
    fits = [
        len(prefix)
        for prefix in (scope, node, parent)
        if prefix and len(name) > len(prefix) + 1 and name.startswith(prefix) and name[len(prefix)] in _SEPARATORS
    ]
    return name[max(fits) + 1 :] if fits else name


def _number(item: Any) -> str:
    if isinstance(item, float):
        return f"{item:.6g}"
    return short(str(item), 24)


def _value(value: Any) -> str:
    if isinstance(value, Tensor):
        return tensor(value.dtype, value.shape)
    if isinstance(value, str):
        return short(value, 24)
    if isinstance(value, tuple | list):
        items = [_number(item) for item in value[:_LIST_LIMIT]]
        more = f", … ({len(value)})" if len(value) > _LIST_LIMIT else ""
        return "[" + ", ".join(items) + more + "]"
    return _number(value)


def _window(name: str, values: Sequence[int]) -> str:
    """Spatial sizes: one number where they are equal, ``a×b`` otherwise."""
    if len(set(values)) == 1:
        return f"{name} {values[0]}"
    return f"{name} {'×'.join(map(str, values))}"


def _pads(values: Sequence[int]) -> str:
    half = len(values) // 2
    begin, end = values[:half], values[half:]
    if tuple(begin) == tuple(end):
        return _window("pad", begin)
    return f"pad {','.join(map(str, begin))} / {','.join(map(str, end))}"


_WINDOW: Final = {"kernel_shape": "kernel", "strides": "stride", "pads": "pad", "dilations": "dilation"}
_NEUTRAL: Final = {"strides": 1, "pads": 0, "dilations": 1, "output_padding": 0}


def attribute_lines(op: str, domain: str, attributes: Mapping[str, Any]) -> list[str]:
    """What an operator's attributes say beyond their defaults, e.g. ``["3×3, stride 2, pad 1", "groups 32"]``."""
    windows: list[str] = []
    rest: list[str] = []
    defaults = _defaults(op, domain)
    for name in (*_WINDOW, *(name for name in attributes if name not in _WINDOW)):
        if name not in attributes or attributes[name] == defaults.get(name):
            continue
        value = attributes[name]
        sizes = isinstance(value, tuple) and bool(value) and all(isinstance(item, int) for item in value)
        if sizes and name in _NEUTRAL and set(value) == {_NEUTRAL[name]}:
            continue
        if sizes and name == "kernel_shape":
            windows.append("×".join(map(str, value)) if len(value) > 1 else f"kernel {value[0]}")
        elif sizes and name == "pads" and len(value) % 2 == 0:
            windows.append(_pads(value))
        elif sizes and name in _WINDOW:
            windows.append(_window(_WINDOW[name], value))
        elif name == "group":
            rest.append(f"groups {_value(value)}")
        elif name in ("to", "dtype") and isinstance(value, int):
            rest.append(f"{name} {_element_type(value)}")
        else:
            rest.append(f"{short(name, 32)} {_value(value)}")
    return [", ".join(part) for part in (windows, *([item] for item in rest)) if part]


def _element_type(code: int) -> str:
    try:
        return element_name(ir.DataType(code))
    except ValueError:
        return str(code)


def _defaults(op: str, domain: str) -> dict[str, Any]:
    schema = schema_of(op, domain)
    if schema is None:
        return {}
    found: dict[str, Any] = {}
    for name, attribute in schema.attributes.items():
        proto = attribute.default_value
        if proto.type == proto.FLOAT:
            found[name] = float(str(np.float32(proto.f)))
        elif proto.type == proto.INT:
            found[name] = proto.i
        elif proto.type == proto.STRING:
            found[name] = proto.s.decode("utf-8", "replace")
        elif proto.type == proto.INTS:
            found[name] = tuple(proto.ints)
    return found


def parameter_lines(parameters: Iterable[Parameter], scope: str, node: str) -> list[tuple[str, str]]:
    """What a node reads from the model, as (kind, text): ``("parameter", "weight 64×3×7×7")``.

    Neighbours of one kind, type and shape share a line; a small constant shows its numbers.

    Args:
        parameters: A node's parameters.
        scope: The node's scope, which is left out of the parameters' names.
        node: The node's name, likewise.
    """
    lines: list[tuple[str, str]] = []

    def key(item: Parameter) -> tuple[Any, ...]:
        return item.kind, item.dtype, item.shape, item.values is None or item.input

    for _, group in groupby(parameters, key):
        items = list(group)
        first = items[0]
        names = ", ".join(short(_parameter_name(item, scope, node), 24) for item in items)
        if first.values is None:
            text = f"{names} {tensor(first.dtype, first.shape, usual='float32')}"
        else:
            values = first.values if first.shape else first.values[0]
            text = f"{names} = {_value(values)}"
        lines.append((first.kind, text.strip()))
    return lines


def _parameter_name(item: Parameter, scope: str, node: str) -> str:
    name = relative(item.name, scope, node)
    if item.kind == "constant" and item.role:
        telling = name != item.name and len(item.role) == 1 and not _MADE_UP.search(name)
        return name if telling else item.role
    return name or item.role or "?"
