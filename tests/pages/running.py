"""Running a page: its commands and code in a folder of their own, and what they print beside what the page shows."""

from __future__ import annotations

import importlib
import re
import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

from pages.blocks import Block, Page, PageError
from pages.comparing import differences, same
from pages.listing import ROOT
from pages.picturing import COLUMNS, Terminal
from pages.shells import Interpreter, command

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Run", "keep", "needs", "run"]

_RUN: Final = {"console", "sh", "python"}
_CLONE: Final = re.compile(r"(?:\w+=\S+ )*(?:python )?tools/")
"""Commands of a clone of the repository, which run in it."""
_PICTURE: Final = re.compile(r"!\[[^\]]*\]\(([^)\s]+)\)")


@dataclass(slots=True)
class Run:
    """What came of a page.

    Attributes:
        contents: New contents of blocks whose output is another, by the lines that open them.
        problems: What is wrong, a paragraph each.
        pictures: Files that the page shows and that its run made, by their places in the documentation.
    """

    contents: dict[int, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    pictures: dict[Path, Path] = field(default_factory=dict)


def needs(page: Page) -> set[str]:
    """What a page needs beside graphkit's own dependencies: what its ``graphkit doctor`` names, and its scene."""
    found = {"torch"}
    for name in re.findall(r"^\$? ?graphkit doctor ([\w -]+)$", page.text, re.MULTILINE):
        found |= set(name.split())
    return found | set(getattr(_scene(page), "NEEDS", ()))


def _scene(page: Page) -> object | None:
    name = page.path.stem.lower().replace("-", "_")
    try:
        return importlib.import_module(f"pages.scenes.{name}")
    except ModuleNotFoundError as error:
        if error.name != f"pages.scenes.{name}":
            raise
        return None


def run(page: Page, folder: Path, *, record: bool = False) -> Run:
    """Run a page.

    Args:
        page: The page.
        folder: An empty folder to run in. A module ``pages.scenes.NAME`` puts the files there that the page speaks of,
            by its function ``prepare``.
        record: Run what is only recorded, too.

    Raises:
        PageError: The page cannot be run: output of nothing, a file that is not there.
    """
    done = Run()
    if (scene := _scene(page)) is not None:
        scene.prepare(folder)  # type: ignore[attr-defined]  # what makes it a scene
    with _Reader(page, folder, done, record=record) as reader:
        for block in page.blocks:
            reader.read(block)
    docs = page.path.parent
    for link in _PICTURE.findall(page.text):
        if link.startswith("http"):
            continue
        place, made = docs / link, folder / link.rsplit("/", 1)[-1]
        if made.is_file():
            done.pictures[place] = made
        if not place.is_file():
            done.problems.append(f"the picture {link} is not there; tools/docs run {page.path.name} makes it")
    return done


class _Reader:
    def __init__(self, page: Page, folder: Path, done: Run, *, record: bool) -> None:
        self.page, self.folder, self.done, self.record = page, folder, done, record
        self.python = Interpreter(folder)
        self.printed: str | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.python.close()

    def read(self, block: Block) -> None:
        """Do what a block asks for."""
        if "not run" in block.said:
            return
        if "recorded" in block.said and not self.record:
            self.printed = None
            return
        if "file" in block.said:
            self._compare(block, self._held(block))
        elif (name := block.writes) is not None:
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.content, encoding="utf-8")
        elif block.language == "text":
            if self.printed is None:
                raise PageError(f"{self._at(block)}: output of nothing; before it stands no code that ran")
            self._compare(block, self.printed)
            self.printed = None
        elif block.language in _RUN:
            self.printed = getattr(self, f"_{block.language}")(block)

    def _console(self, block: Block) -> None:
        new, terminal = "", Terminal() if "pictured" in block.said else None
        for one in block.commands():
            found = self._run(one.text, block, terminal)
            agrees = same(one.shown, found, varies="varies" in block.said)
            new += f"$ {one.text}\n" + (one.shown if agrees and "recorded" not in block.said else found)
            if not agrees and "recorded" not in block.said:
                self._tell(block, f"$ {one.text}\n{differences(one.shown, found)}")
        if new.rstrip() != block.content.rstrip():
            self.done.contents[block.line] = new
        if terminal is not None:
            terminal.save(self.folder / block.said["pictured"])

    def _sh(self, block: Block) -> str:
        return "".join(self._run(line, block) for line in block.lines())

    def _run(self, text: str, block: Block, terminal: Terminal | None = None) -> str:
        folder = ROOT if _CLONE.match(text) else self.folder
        found, status = command(text, folder, columns=COLUMNS if terminal else None)
        if terminal is not None:
            found = terminal.show(text, found)
        found = re.sub(r"[ \t]+$", "", found, flags=re.MULTILINE).replace(f"{self.folder}/", "")
        if status != int(block.said.get("exit", "0")):
            self._tell(block, f"$ {text}\nended with status {status}:\n{found}")
        return found

    def _python(self, block: Block) -> str:
        # Tracebacks tell the page's lines: as many lines before the code as there are before it in the page.
        printed, problem = self.python.run("\n" * block.line + block.content, str(self.page.path))
        if problem is not None:
            self._tell(block, problem)
        return printed

    def _held(self, block: Block) -> str:
        path = self.folder / block.said["file"]
        if not path.is_file():
            raise PageError(f"{self._at(block)}: nothing wrote {path.name}")
        return path.read_text(encoding="utf-8")

    def _compare(self, block: Block, found: str) -> None:
        agrees = same(block.content, found, varies="varies" in block.said)
        if not agrees or "recorded" in block.said:
            self.done.contents[block.line] = found.rstrip("\n") + "\n"
        if not agrees and "recorded" not in block.said:
            self._tell(block, differences(block.content, found))

    def _tell(self, block: Block, problem: str) -> None:
        self.done.problems.append(f"{self._at(block)}:\n{problem}")

    def _at(self, block: Block) -> str:
        return f"{self.page.path.name}, line {block.line}"


def keep(done: Run) -> None:
    """Put the pictures that a run made where the page shows them, but for those that tell of other hashes alone."""
    for place, made in done.pictures.items():
        place.parent.mkdir(parents=True, exist_ok=True)
        if place.suffix != ".svg" or not place.is_file() or not same(place.read_text("utf-8"), made.read_text("utf-8")):
            shutil.copyfile(made, place)
