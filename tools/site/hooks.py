r"""What MkDocs does beyond its settings in mkdocs.yml, so that pages read the same on GitHub and on the site.

- Pages beside ``docs/`` (README.md is the home page) are pages of the site.
- A link to any other file of the repository leads to a page that shows the file.
- A pipe in code in a table is ``\|`` on GitHub, and ``|`` here.
- Diagrams in Mermaid are drawn by the script that ``GRAPHKIT_MERMAID`` names (``npm install mermaid`` anywhere, and
  ``…/node_modules/mermaid/dist/mermaid.min.js``), so that readers need no network; else the theme fetches one.
- A folder in the navigation, ``tutorials/``, is its README.md and then its pages, in the order that this names them in.
"""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from mkdocs.structure.files import File, InclusionLevel

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
BESIDE = {"README.md": "index.md", "CONTRIBUTING.md": "CONTRIBUTING.md", "SECURITY.md": "SECURITY.md"}
BESIDE |= {"CHANGELOG.md": "CHANGELOG.md"}
"""Pages beside ``docs/``, and what they are called on the site."""
MERMAID = os.environ.get("GRAPHKIT_MERMAID", "")
SHOWN = "source"
"""Folder of the site for pages that show a file of the repository."""
LANGUAGES = {".py": "python", ".toml": "toml", ".yml": "yaml", ".json": "json", ".sh": "bash", ".mjs": "javascript"}

LINK = re.compile(
    r"""(?P<before> \]\( | ^\[[^\]]+\]:\s+ | \b(?:src|href)=" ) (?P<target> [^\s)"#]+ ) (?P<anchor> \#[^\s)"]* )?""",
    re.VERBOSE,
)
CODE = re.compile(r"(`+)[^`]+\1")
FENCE = re.compile(r"\s*(`{3,}|~{3,})")


def on_config(config: MkDocsConfig) -> None:
    """Put the pages of folders into the navigation."""
    config.nav = list(_unfolded(config.nav))


def _unfolded(entries: list[Any]) -> Iterator[Any]:
    for entry in entries:
        if isinstance(entry, dict):
            ((title, value),) = entry.items()
            if isinstance(value, str) and value.endswith("/"):
                yield {title: list(_pages(value))}
            else:
                yield {title: list(_unfolded(value)) if isinstance(value, list) else value}
        elif entry.endswith("/"):
            yield from _pages(entry)
        else:
            yield entry


def _pages(folder: str) -> Iterator[str]:
    root = ROOT / "docs" / folder
    there = sorted(path.name for path in root.glob("*.md") if path.name != "README.md")
    index = root / "README.md"
    if index.is_file():
        yield f"{folder}README.md"
        named = [match["target"] for match in LINK.finditer(index.read_text(encoding="utf-8"))]
        there.sort(key=lambda name: named.index(name) if name in named else len(named))
    yield from (folder + name for name in there)


def on_files(files: Files, config: MkDocsConfig) -> None:
    """Add the pages beside ``docs/`` and those that show files which pages link to."""
    for name, uri in BESIDE.items():
        files.append(File.generated(config, uri, abs_src_path=str(ROOT / name)))
    wanted = {path for file in files.documentation_pages() for path in _linked(file)}
    for path in sorted(wanted):
        page = File.generated(config, f"{SHOWN}/{path}.md", content=_listing(path))
        page.inclusion = InclusionLevel.NOT_IN_NAV
        files.append(page)
    if MERMAID:
        files.append(File.generated(config, "assets/mermaid.min.js", abs_src_path=MERMAID))


def on_page_markdown(markdown: str, *, page: Page, **_: Any) -> str:
    """Lead links of a page to where the site has what they name."""
    origin = _origin(page.file.src_uri)
    if origin is None:
        return markdown
    if origin == "README.md":
        page.meta["hide"] = ["navigation"]
    lines = []
    for line, plain in _lines(markdown):
        if plain and line.lstrip().startswith("|"):
            line = CODE.sub(lambda found: found[0].replace("\\|", "|"), line)
        lines.append(LINK.sub(lambda found: _relinked(found, origin, page.file.src_uri), line) if plain else line)
    return "\n".join(lines)


def on_post_page(output: str, *, page: Page, **_: Any) -> str:
    """Give a page with diagrams what draws them."""
    if not MERMAID or 'class="mermaid"' not in output:
        return output
    place = os.path.relpath("assets/mermaid.min.js", PurePosixPath(page.file.dest_uri).parent)
    return output.replace("</head>", f'<script src="{place}"></script></head>', 1)


def _linked(file: File) -> Iterator[str]:
    """Files of the repository that a page links to and that are no pages."""
    origin = _origin(file.src_uri)
    if origin is None:
        return
    for line, plain in _lines(file.content_string):
        for found in LINK.finditer(line) if plain else ():
            path = _named(found["target"], origin)
            if path is not None and path not in BESIDE and not path.startswith("docs/"):
                yield path


def _relinked(found: re.Match[str], origin: str, uri: str) -> str:
    path = _named(found["target"], origin)
    if path is None:
        return found[0]
    if (ROOT / path).is_dir():
        path = f"{path}/README.md" if path.startswith("docs/") else path
    inside = BESIDE.get(path) or (path.removeprefix("docs/") if path.startswith("docs/") else f"{SHOWN}/{path}.md")
    return f"{found['before']}{os.path.relpath(inside, PurePosixPath(uri).parent)}{found['anchor'] or ''}"


def _named(target: str, origin: str) -> str | None:
    """The file or folder of the repository that a link of a page means, if it is one."""
    if re.match(r"[a-z]+:|/", target):
        return None
    path = os.path.normpath(PurePosixPath(origin).parent / target)
    return path if not path.startswith("..") and (ROOT / path).exists() else None


def _origin(uri: str) -> str | None:
    """The file of the repository that a page of the site is."""
    if uri.startswith(f"{SHOWN}/"):
        return None
    return next((name for name, there in BESIDE.items() if there == uri), f"docs/{uri}")


def _lines(markdown: str) -> Iterator[tuple[str, bool]]:
    """Lines, and whether they are outside blocks of code."""
    opened = ""
    for line in markdown.split("\n"):
        fence = FENCE.match(line)
        yield line, not opened and not fence
        if fence and not opened:
            opened = fence[1]
        elif fence and fence[1].startswith(opened) and not line.strip(" `~"):
            opened = ""


def _listing(name: str) -> str:
    path = ROOT / name
    head = f"---\nsearch: {{exclude: true}}\nhide: [navigation, toc]\n---\n# {name}\n\n"
    if path.is_dir():
        return head + "".join(f"- `{each.name}`\n" for each in sorted(path.iterdir()) if each.name[0] not in "._")
    text = path.read_text(encoding="utf-8").rstrip("\n")
    fence = "`" * max(3, 1 + max(map(len, re.findall(r"`+", text)), default=0))
    return f"{head}{fence}{LANGUAGES.get(path.suffix, 'text')}\n{text}\n{fence}\n"
