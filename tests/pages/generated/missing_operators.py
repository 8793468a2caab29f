"""The operators that no target is reached from, with the reason: the ledger, grouped by reason."""

from __future__ import annotations

from collections import defaultdict
from typing import Final

from graphkit.frameworks.support import support

_HEAD: Final = """\
# Operators without a counterpart

These operators are refused wherever a model has them, alone or for some targets. Each has its reason, which the error
quotes; [Operators](../operators.md) has all the others, and what of them has gaps. Written by `tools/docs generate`
from the table that the errors quote; `graphkit ops --missing` prints it with the operators of the installed PyTorch.

What happens when a model has one is an [UnsupportedError](../reference/errors.md#unsupportederror) that names the node.
Where the reason says no way around it, cut the model before the operator, convert both parts, and do the rest in code.
"""


def page() -> str:
    """The page."""
    lines = [_HEAD]
    for framework, title in (("mxnet", "MXNet"), ("onnx", "ONNX")):
        grouped: dict[tuple[str, str], list[str]] = defaultdict(list)
        for row in support(framework):
            if row.reason:
                grouped[row.reason, ", ".join(sorted(row.becomes)) or "nothing"].append(row.operator)
        lines += [f"## {title}", "", "| why | converted to | operators |", "|---|---|---|"]
        for (reason, to), names in sorted(grouped.items(), key=lambda item: (-len(item[1]), item[0])):
            lines.append(f"| {reason} | {to} | {', '.join(f'`{name}`' for name in sorted(names))} |")
        lines.append("")
    return "\n".join(lines).rstrip("\n") + "\n"


FILES = {"docs/does-not/missing-operators.md": page}
