"""A real browser without a window, for tests of pages."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page

__all__ = ["browser", "chromium", "opened"]

_NAMES = ("chromium", "chromium-browser", "google-chrome")


def chromium() -> str | None:
    """Path of a Chromium: that of ``GRAPHKIT_CHROMIUM``, else the first one on the path, else None."""
    return os.environ.get("GRAPHKIT_CHROMIUM") or next(filter(None, map(shutil.which, _NAMES)), None)


@pytest.fixture(scope="module")  # not longer: while it runs, nothing else can use asyncio
def browser() -> Iterator[Browser]:
    """A browser for the tests of a module, which are skipped where none is installed."""
    api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    path = chromium()
    if path is None:
        pytest.skip("no Chromium is installed, and GRAPHKIT_CHROMIUM names none")
    alone = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    with api.sync_playwright() as player:
        found = player.chromium.launch(executable_path=path, args=alone)
        yield found
        found.close()


@contextmanager
def opened(
    browser: Browser, path: Path, *, width: int = 1500, height: int = 1000, dark: bool = False, scripts: bool = True
) -> Iterator[Page]:
    """A page that must neither fail, nor complain on its console, nor ask for anything besides its own file."""
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if dark else "light",
        java_script_enabled=scripts,
    )
    page = context.new_page()
    page.set_default_timeout(30_000)
    troubles: list[str] = []
    page.on("console", lambda message: troubles.append(f"console: {message.text}"))
    page.on("pageerror", lambda error: troubles.append(f"error: {error}"))
    page.on("dialog", lambda dialog: (troubles.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    page.on("request", lambda request: troubles.append(f"request: {request.url}"))
    page.goto(path.as_uri())
    yield page
    context.close()
    asked = f"request: {path.as_uri()}"
    left = [trouble for trouble in troubles if trouble not in (asked, "request: data:,")]
    assert not left, left
