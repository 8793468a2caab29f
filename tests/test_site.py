"""The site is made from what is committed alone: strictly, without any framework and without graphkit itself."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from html.parser import HTMLParser
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import pytest
from markdown_it import MarkdownIt
from pages.listing import ROOT, pages

import graphkit

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.long

BUILD = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"graphkit", "torch", "mxnet", "onnx", "onnx_ir", "onnxruntime", "numpy"}:
            raise ImportError(f"{name} is not installed")

sys.meta_path.insert(0, Blocker())
from mkdocs.__main__ import cli
cli(["build", "--strict", "--site-dir", sys.argv[1]])
"""


class Links(HTMLParser):
    """What a page links to, what it is given to load, and what can be linked to in it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.anchors: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        if "src" in given:
            self.loads.append(given["src"])
        if "href" in given:
            (self.loads if tag == "link" and given.get("rel") != "canonical" else self.links).append(given["href"])


def placed(path: Path) -> Path:
    """Where the site has a page of the repository."""
    place = path.relative_to(ROOT / "docs" if path.is_relative_to(ROOT / "docs") else ROOT)
    return place.with_name("index.html") if place.name == "README.md" else place.with_suffix(".html")


def structure(html: str) -> Counter[str]:
    """How many there are of each element that shows whether two renderers understood a page alike."""
    return Counter(re.findall(r"<(h[1-6]|li|ol|ul|pre|table|tr|img|blockquote|em|strong)[ >]", html))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the site was made."""
    made = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-c", BUILD, str(made)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return made


@pytest.fixture(scope="module")
def site(folder: Path) -> dict[Path, Links]:
    """Every page of the site, by its path."""
    return {path: Links(path) for path in folder.rglob("*.html") if path.name != "404.html"}


def test_every_page_is_on_the_site(folder: Path, site: dict[Path, Links]) -> None:
    for path in pages():
        assert folder / placed(path) in site, f"{path.name} is not on the site"


def test_pages_are_structured_as_on_github(folder: Path) -> None:
    github = MarkdownIt("commonmark").enable("table")
    for path in pages():
        html = (folder / placed(path)).read_text(encoding="utf-8")
        article = re.search(r"<article.*?>(.*)</article>", html, re.DOTALL)
        assert article is not None
        text = path.read_text(encoding="utf-8")
        if "\n::: " not in text:  # which are docstrings, on the site alone
            assert structure(article[1]) == structure(github.render(text)), path.name


def test_every_link_leads_somewhere(site: dict[Path, Links]) -> None:
    dead = []
    for path, page in site.items():
        for link in (*page.links, *page.loads):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            anchors = site[target].anchors if target in site else set()
            if not target.exists() or (parts.fragment and unquote(parts.fragment) not in anchors):
                dead.append(f"{path.name}: {link}")
    assert dead == []


def test_no_page_loads_anything_from_another_host(site: dict[Path, Links]) -> None:
    assert {link for page in site.values() for link in page.loads if urlsplit(link).netloc} == set()


def test_the_reference_has_every_public_name(site: dict[Path, Links]) -> None:
    told = {anchor for path, page in site.items() if path.parent.name == "api" for anchor in page.anchors}
    homes = {name: f"graphkit.errors.{name}" for name in graphkit.errors.__all__} | {"render": "graphkit.render.render"}
    public = {homes.get(name, f"graphkit.{name}") for name in graphkit.__all__ if name != "__version__"}
    assert public - told == set()
