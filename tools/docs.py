"""The documentation: its pages run, and what they show is what their commands and code print.

    tools/docs run [PAGE …]       run pages (all, if none is named) and write into them what is printed now
    tools/docs record PAGE …      the same, with the blocks that are recorded on an idle machine
    tools/docs check [PAGE …]     run them and tell what is not as they show
    tools/docs generate [FILE …]  write what code writes: tables, pages of commands, pictures of the package
    tools/docs build [FOLDER]     make the site (in site/), strictly: every link and anchor leads somewhere
    tools/docs serve              make the site, show it at http://127.0.0.1:8000 and follow changes

How a page is written says tests/pages/blocks.py, where generated ones come from tests/pages/generated/, and what the
site is mkdocs.yml; it is made from what is committed, without running or importing anything of it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from pages.listing import ROOT, pages


def shown(path: Path) -> Path:
    return path.relative_to(ROOT) if path.is_relative_to(ROOT) else path


def main(words: list[str]) -> int:
    what, named = words[0] if words else "", words[1:]
    if what in ("run", "record", "check"):
        return run_pages(what, named)
    if what == "generate":
        return generate(named)
    if what == "build":
        return site("build", *(["--site-dir", str(Path(named[0]).resolve())] if named else []))
    if what == "serve":
        return site("serve")
    print(__doc__, file=sys.stderr)
    return 2


def site(*words: str) -> int:
    quiet = {"NO_MKDOCS_2_WARNING": "1"}  # an advertisement of the theme's
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", *words], cwd=ROOT, env=os.environ | quiet, check=False
    ).returncode


def generate(named: list[str]) -> int:
    from pages.generated import files, same

    wanted = {str(shown(Path(name).resolve())) for name in named}
    if unknown := wanted - set(files()):
        print(f"nothing in tests/pages/generated/ writes {', '.join(sorted(unknown))}", file=sys.stderr)
        return 2
    for name, text in files().items():
        if not wanted or name in wanted:
            path = ROOT / name
            path.parent.mkdir(parents=True, exist_ok=True)
            before = path.read_text(encoding="utf-8") if path.is_file() else ""
            if not same(name, before, after := text()):
                path.write_text(after, encoding="utf-8")
                print(f"{name}: written")
    return 0


def run_pages(what: str, named: list[str]) -> int:
    from pages.blocks import PageError, parse
    from pages.generated import files
    from pages.running import keep, run

    wrong = 0
    written = set(files())
    for path in [Path(name).resolve() for name in named] or pages():
        if str(shown(path)) in written:
            continue
        page = parse(path)
        with tempfile.TemporaryDirectory(prefix="page-") as folder:
            try:
                done = run(page, Path(folder), record=what == "record")
            except PageError as error:
                print(f"{shown(path)}: {error}")
                wrong += 1
                continue
            if what != "check":
                keep(done)
                if done.contents:
                    path.write_text(page.replaced(done.contents), encoding="utf-8")
            print(f"{shown(path)}: {len(page.blocks)} blocks, {len(done.problems)} problems")
            for problem in done.problems:
                print(problem)
            wrong += bool(done.problems)
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
