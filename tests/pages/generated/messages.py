"""Every message of an error that the code can give, by class and part of the package."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

from pages.messages import messages

if TYPE_CHECKING:
    from pages.messages import Message

_HEAD: Final = """\
# Messages

Every message that graphkit's code can give, found in the code itself: {count} of them. Search this page for some words
of the message that you have; `{{name}}` stands for what graphkit puts there, a name, a number or a list. What the
classes mean, and what helps against each, is in [errors.md](errors.md).

Written by `tools/docs generate`.
"""
_KINDS: Final = {
    "InputError": "What you gave is not what it has to be: an option, an argument, a name, a place to write to.",
    "FormatError": (
        "A file is damaged or not what it claims to be. Parts of sentences stand after the file's name and the place "
        "in it. Get the file again, or write it anew with the framework that it is from."
    ),
    "LimitError": "A file is larger or deeper than a limit. Raise the limit with `--limit` if you trust the file.",
    "ParameterError": (
        "Parameters and graph do not belong together. Parts of sentences stand after the names of both files. Give the "
        "parameters that were saved with this graph."
    ),
    "FeedError": "An array that is fed does not fit the model: its name, shape, element type or numbers.",
    "ShapeNeededError": "A shape is needed that nothing tells. Give it with `--input NAME:SHAPE`.",
    "UnsupportedError": (
        "The target cannot express nodes of the model. Each of these is the reason of a node, which the error names "
        "with its operator; what helps is behind the semicolon, where something does. "
        "[Operators](../operators.md) has them by operator."
    ),
    "MissingError": "Something is not installed, or does not work here. `graphkit doctor` says how to get it.",
    "ExecutionError": "A runtime refused the model, crashed, hung or answered nonsense. Most of the text is its own.",
    "": (
        "Reasons that stand in messages of several classes: why a value of an attribute, a term of sizes, an array of "
        "a file or an answer of a process is none."
    ),
}
_AREAS: Final = {
    "bench": "Benchmarks",
    "cli": "The command line",
    "files": "Files and disks",
    "frameworks/mxnet": "MXNet",
    "frameworks/onnx": "ONNX and ONNX Runtime",
    "frameworks/torch": "PyTorch",
    "frameworks": "What frameworks share",
    "inspecting": "Inspecting and comparing files",
    "ir/canonical/contrib": "Operators of ONNX Runtime's own domain",
    "ir": "Models",
    "ops": "Operators",
    "parity": "Verifying",
    "passes": "Changes of models: gradients, sizes, opsets",
    "render": "Pictures and the viewer",
    "report": "Reports",
    "running": "Running",
}


def page() -> str:
    """The page."""
    found: dict[str, dict[str, list[Message]]] = {kind: defaultdict(list) for kind in _KINDS}
    for one in messages():
        found[one.kind][_area(one.module)].append(one)
    count = sum(len(rows) for areas in found.values() for rows in areas.values())
    lines = [_HEAD.format(count=count)]
    for kind, areas in found.items():
        lines += [f"## {kind or 'Reasons within messages'}", "", _KINDS[kind], ""]
        for area in sorted(areas, key=lambda name: (name == "", name)):
            lines += [f"### {area or 'The package'}", ""]
            lines += [_row(one) for one in areas[area]] + [""]
    return "\n".join(lines).rstrip("\n") + "\n"


def _area(module: str) -> str:
    inside = module.removeprefix("graphkit/")
    fitting = [prefix for prefix in _AREAS if inside.startswith(prefix + "/")]
    return _AREAS[max(fitting, key=len)] if fitting else ""


def _row(one: Message) -> str:
    fence = "``" if "`" in one.text else "`"
    text = " ".join(one.text.split())
    text = f" {text} " if "`" in text else text
    return f"- {fence}{text}{fence} ({one.module.removeprefix('graphkit/').removesuffix('.py').replace('/', '.')})"


FILES = {"docs/reference/messages.md": page}
