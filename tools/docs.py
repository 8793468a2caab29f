"""The documentation: its pages run, and what they show is what their commands and code print.

    tools/docs run [PAGE …]       run pages (all, if none is named) and write into them what is printed now
    tools/docs record PAGE …      the same, with the blocks that are recorded on an idle machine
    tools/docs check [PAGE …]     run them and tell what is not as they show

How a page is written says tests/pages/blocks.py.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from pages.blocks import PageError, parse
from pages.listing import ROOT, pages
from pages.running import keep, run


def shown(path: Path) -> Path:
    return path.relative_to(ROOT) if path.is_relative_to(ROOT) else path


def main(words: list[str]) -> int:
    if not words or words[0] not in ("run", "record", "check"):
        print(__doc__, file=sys.stderr)
        return 2
    what, *named = words
    wrong = 0
    for path in [Path(name).resolve() for name in named] or pages():
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
