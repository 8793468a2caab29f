"""The blocks of a page of documentation: what runs, what is shown, and what is said of both.

A page is Markdown. A fenced block says by its language what becomes of it:

| language | what it is |
|---|---|
| `console` | a terminal: lines that begin with `$ ` are commands, what follows them is what they print |
| `sh` | commands, one a line; what they print is in a `text` block after it, or not shown |
| `python` | code; all of a page's runs in one interpreter, in order; what it prints is in a `text` block after it |
| `text` | what the `python` or `sh` block before it prints |
| any other | data or a picture, shown as it is |

A `python`, `toml`, `yaml`, `ini`, `json` or `sh` block whose first line is a comment with the name of a file
(`# net.py`) is that file: it is written for what comes after. A line `…` in output stands for any lines. Commands of
a clone (`tools/…`, `python tools/…`) run in the repository, all others in a folder of the page's own, where `$CLONE`
is the repository.

A comment before a block says more, one thing each line:

| comment | meaning |
|---|---|
| `<!-- not run: WHY -->` | it does not run; with the reason |
| `<!-- exit: 1 -->` | each of its commands ends with this status instead of 0 |
| `<!-- file: NAME -->` | it is what a file holds that was written before |
| `<!-- write: NAME -->` | it is a file, as by a comment in its first line |
| `<!-- recorded -->` | it runs for `tools/docs record`, not in tests: it takes long, or is of a machine |
| `<!-- varies -->` | its numbers differ from run to run |
| `<!-- pictured: NAME.svg -->` | the terminal with its colours becomes a picture, which the page shows |
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from markdown_it import MarkdownIt

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Block", "Command", "Page", "PageError", "parse"]

_DIRECTIVES: Final = {"not run", "exit", "file", "write", "recorded", "varies", "pictured"}
_FILES: Final = {"python", "toml", "yaml", "ini", "json", "sh", "dockerfile"}
_NAMED: Final = re.compile(r"# ([\w./-]+\.\w+|Dockerfile)$")


class PageError(AssertionError):
    """A page says what is not so, or what cannot be understood."""


@dataclass(frozen=True, slots=True)
class Command:
    """A command of a terminal and what the page says that it prints."""

    text: str
    shown: str


@dataclass(slots=True)
class Block:
    """A fenced block.

    Attributes:
        language: First word of the fence.
        content: What it holds, with a line feed at the end.
        line: Number of the line that opens it, from 1.
        said: What the comment before it says.
    """

    language: str
    content: str
    line: int
    said: dict[str, str] = field(default_factory=dict)

    @property
    def writes(self) -> str | None:
        """The name of the file that it is, if it is one."""
        if "write" in self.said:
            return self.said["write"]
        named = _NAMED.match(self.content.split("\n", 1)[0]) if self.language in _FILES else None
        return named[1] if named else None

    def commands(self) -> list[Command]:
        """What a terminal shows, command by command.

        Raises:
            PageError: It begins with something else than a command.
        """
        found: list[Command] = []
        lines = iter(self.content.splitlines())
        for line in lines:
            if line.startswith("$ "):
                text = line[2:]
                while text.endswith("\\"):
                    text += "\n" + next(lines, "")
                found.append(Command(text, ""))
            elif found:
                found[-1] = Command(found[-1].text, found[-1].shown + line + "\n")
            else:
                raise PageError(f"line {self.line}: a console block begins with a command, '$ …'")
        return found

    def lines(self) -> list[str]:
        """The commands of a `sh` block, lines that go on joined."""
        joined = re.sub(r"\\\n", "\\\\\0", self.content)
        found = [line.replace("\0", "\n").strip() for line in joined.split("\n")]
        return [line for line in found if line and not line.startswith("#")]


@dataclass(slots=True)
class Page:
    """A page and its blocks, in order."""

    path: Path
    text: str
    blocks: list[Block]

    def replaced(self, contents: dict[int, str]) -> str:
        """The page's text with other contents of blocks, by the lines that open them."""
        lines = self.text.splitlines(keepends=True)
        for block in sorted(self.blocks, key=lambda one: one.line, reverse=True):
            if block.line in contents:
                start = block.line
                indent = lines[start - 1][: len(lines[start - 1]) - len(lines[start - 1].lstrip())]
                stop = start + len(block.content.splitlines())
                lines[start:stop] = [
                    indent + line if line.strip() else line for line in contents[block.line].splitlines(keepends=True)
                ]
        return "".join(lines)


def parse(path: Path) -> Page:
    """Read a page.

    Raises:
        PageError: A block has no language, or a comment before it is none that there is.
    """
    text = path.read_text(encoding="utf-8")
    page = Page(path, text, [])
    said: dict[str, str] = {}
    for token in MarkdownIt("commonmark").parse(text):
        if token.type == "html_block":
            said |= _said(token.content, path)
        elif token.type == "fence":
            words = token.info.split()
            line = (token.map or [0])[0] + 1
            if not words:
                raise PageError(f"{path.name}, line {line}: a block says by its language what it is; see {__name__}")
            page.blocks.append(Block(words[0], token.content, line, said))
            said = {}
        elif said and not token.type.endswith("_close") and token.type != "list_item_open":
            raise PageError(f"{path.name}: <!-- {next(iter(said))} --> stands before no block")
    return page


def _said(comment: str, path: Path) -> dict[str, str]:
    found = {}
    for name, value in re.findall(r"<!-- ([\w ]+?)(?:: (.*?))? -->", comment, re.DOTALL):
        if name in _DIRECTIVES:
            if name == "not run" and not value:
                raise PageError(f"{path.name}: <!-- not run --> says why")
            found[name] = value
    return found
