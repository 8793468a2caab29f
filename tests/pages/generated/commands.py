"""The pages of the command line, from the commands themselves."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections import Counter
from functools import cache, partial
from typing import TYPE_CHECKING, Final

import click

from graphkit import cli
from pages.blocks import PageError, parse
from pages.listing import ROOT, pages

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from pages.generated import Files

_FOLDER: Final = "docs/reference/cli"
_ONE: Final = {
    "bench": "a contestant computes something else than the others, and so was not timed",
    "bisect": "something differs",
    "convert": "with `--verify`: what was written is not in parity with SOURCE",
    "diff": "something differs that counts",
    "doctor": "with names: one of them does not work",
    "grad": "with `--verify`: what was written is not in parity with SOURCE",
    "inspect": "with `--for`: a framework does not take the model; with `--source`: the file was made from another one",
    "ops": None,
    "render": None,
    "run": None,
    "verify": "something is not in parity",
    "view": None,
}
"""What exit status 1 means; None for commands that have none."""
_VARIABLES: Final = {
    "GRAPHKIT_MXNET_PYTHON": "The Python that MXNet runs in. Default: the one that runs graphkit. See "
    "[MXNet](../../mxnet-runtime.md).",
    "GRAPHKIT_MXNET_TIMEOUT": "How many seconds it may take to answer.",
    "GRAPHKIT_TIMEOUT": "What `--timeout` is where it is not given.",
    "GRAPHKIT_MAX_MEMORY": "What `--max-memory` is where it is not given. See [limits](../../limits.md).",
}
_INTERNAL: Final = {"GRAPHKIT_DETACHED", "GRAPHKIT_SUPERVISE"}
"""Variables that processes of graphkit set for each other."""
_COMMANDS_OF_EXAMPLES: Final = 8


@cache
def _commands() -> dict[str, click.Command]:
    names = sorted(module.name for module in pkgutil.iter_modules(cli.__path__))
    found = {name: getattr(importlib.import_module(f"graphkit.cli.{name}"), "COMMAND", None) for name in names}
    return {name: command for name, command in found.items() if command is not None}


@cache
def _shared() -> set[str]:
    """Options that most commands have."""
    counts = Counter(_spelled(option) for command in _commands().values() for option in _options(command))
    return {spelled for spelled, count in counts.items() if count > len(_commands()) / 2}


def _index() -> str:
    lines = [
        "# Commands",
        "",
        "What each command's `--help` says, with its exit status and examples from the guides.",
        "",
    ]
    lines += ["| command | what it does |", "|---|---|"]
    lines += [f"| [{name}]({name}.md) | {_text(_paragraphs(one)[0])} |" for name, one in _commands().items()]
    lines += ["", "## Exit status", "", "| status | meaning |", "|---|---|"]
    lines += ["| 0 | all is well |", "| 1 | what was asked does not hold; each command's page says what that is |"]
    lines += ["| 2 | the input or the usage is wrong, a runtime failed, or a bound of time or memory was exceeded |"]
    lines += ["| 129 | its terminal was closed |"]
    lines += ["| 130 | interrupted, by Ctrl-C |", "| 143 | terminated |", "", "## Environment", ""]
    lines += ["| variable | meaning |", "|---|---|"]
    lines += [f"| `{name}` | {_VARIABLES[name]} |" for name in _variables()]
    return "\n".join(lines) + "\n"


def _variables() -> list[str]:
    """Names of the variables of the environment that the code reads."""
    root = ROOT / "graphkit"
    found = {
        name for path in root.rglob("*.py") for name in re.findall(r"\"(GRAPHKIT_[A-Z_]+)\"", path.read_text("utf-8"))
    }
    return sorted(found - _INTERNAL)


def _page(name: str) -> str:
    command = _commands()[name]
    context = click.Context(command, info_name=f"graphkit {name}", max_content_width=80)
    usage = command.get_usage(context).removeprefix("Usage: ")
    lines = [f"# graphkit {name}", "", *("\n\n".join(map(_text, _paragraphs(command))), "")]
    lines += ["```text", usage, "```", "", "## Options", ""]
    options = _options(command)
    own = [option for option in options if _spelled(option) not in _shared()]
    common = [option for option in options if _spelled(option) in _shared()]
    lines += _table(own or common, context)
    if own and common:
        lines += ["", "Those of most commands:", "", *_table(common, context)]
    if name in cli._SET_BY_PROJECTS:
        lines += ["", f"`[tool.graphkit.{name}]` in `pyproject.toml` sets defaults of a project's own: see"]
        lines += ["[settings](../../ci.md#what-a-project-sets)."]
    lines += ["", "## Exit status", "", "| status | meaning |", "|---|---|", "| 0 | all is well |"]
    lines += [f"| 1 | {_ONE[name]} |"] if _ONE[name] else []
    lines += ["| 2, 129, 130, 143 | [as of every command](README.md#exit-status) |"]
    if examples := list(_examples(name)):
        lines += ["", "## Examples", "", "From pages that say what comes of them:", ""]
        lines += [f"- `{example}` ([{title}]({link}))" for example, (title, link) in examples]
    return "\n".join(lines) + "\n"


def _options(command: click.Command) -> list[click.Option]:
    return [option for option in command.params if isinstance(option, click.Option) and not option.hidden]


def _spelled(option: click.Option) -> str:
    return option.opts[-1]


def _paragraphs(command: click.Command) -> list[str]:
    return [text.replace("\n", " ") for text in inspect.cleandoc(command.help or "").split("\n\n")]


def _table(options: Iterable[click.Option], context: click.Context) -> Iterator[str]:
    yield "| option | what it says | default |"
    yield "|---|---|---|"
    for option in options:
        record = option.get_help_record(context)
        assert record is not None
        told, default = _parted(record[1])
        names = re.sub(r" \[(\S+\|\S+)\]$", "", record[0])
        if names != record[0]:
            told += " One of " + ", ".join(f"`{choice}`" for choice in record[0][len(names) + 2 : -1].split("|")) + "."
        yield f"| {' '.join(f'`{name}`' for name in names.split(', '))} | {_text(told)} | {_text(default)} |"


def _parted(told: str) -> tuple[str, str]:
    """What an option's help says besides its default, and the default."""
    brackets = [part for text in re.findall(r"\[([^\[\]]*)\]$|\[([^\[\]]*)\](?=\s*\[)", told) for part in text if part]
    told = re.sub(r"(\s*\[[^\[\]]*\])+$", "", told)
    defaults = []
    for part in (part.strip() for text in brackets for part in text.split("; ")):
        if part.startswith("default: "):
            defaults.append(part.removeprefix("default: "))
        elif part == "required":
            defaults.append("must be given")
        elif defaults and not re.match(r"x[<>=]|\d+<", part):
            defaults[-1] += f"; {part}"  # of the default itself
        else:
            told = f"{told.rstrip('.')}: {_range(part)}."
    if said := re.search(r"\s*Default: (.*?)\.?$", told):
        told, defaults = told[: said.start()], [said[1], *defaults]
    return told, ", ".join(defaults)


def _range(text: str) -> str:
    """A range of numbers as click spells it, in words."""
    if found := re.fullmatch(r"x(>=?)(\S+)", text):
        return f"{found[2]} or more" if found[1] == ">=" else f"more than {found[2]}"
    if found := re.fullmatch(r"(\S+?)<=x<=(\S+)", text):
        return f"{found[1]} to {found[2]}"
    return text


def _text(text: str) -> str:
    """Words of a help text as Markdown: what is in backquotes is code."""
    parts = text.split("`")
    return "`".join(part if i % 2 else re.sub(r"([*<>|\[\]])", r"\\\1", part) for i, part in enumerate(parts))


def _examples(name: str) -> Iterator[tuple[str, tuple[str, str]]]:
    """One command of each of the pages that have most of it, with the page's title and a link."""
    found = []
    for path in pages():
        shown = str(path.relative_to(ROOT))
        if not shown.startswith("docs/") or shown.startswith("docs/reference/"):
            continue
        lines = [line for line in _run_by(path) if line.startswith(f"graphkit {name} ")]
        if lines:
            title = next(line for line in path.read_text(encoding="utf-8").split("\n") if line.startswith("# "))
            link = "../../" + shown.removeprefix("docs/")
            found.append((len(lines), min(lines, key=len), (title[2:], link)))
    seen: set[str] = set()
    for _, example, page in sorted(found, key=lambda each: (-each[0], each[2])):
        if example not in seen and len(seen) < _COMMANDS_OF_EXAMPLES:
            seen.add(example)
            yield example, page


def _run_by(path: Path) -> Iterator[str]:
    try:
        blocks = parse(path).blocks
    except PageError:  # the page's own test says so
        return
    for block in blocks:
        if "not run" in block.said:
            continue
        if block.language == "console":
            yield from (command.text for command in block.commands() if "\n" not in command.text)
        elif block.language == "sh" and block.writes is None:
            yield from (line for line in block.lines() if "\n" not in line)


FILES: Files = {f"{_FOLDER}/README.md": _index} | {f"{_FOLDER}/{name}.md": partial(_page, name) for name in _commands()}
