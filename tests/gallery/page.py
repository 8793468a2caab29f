"""What docs/gallery.md shows of the networks: a table of all cells, a block for each domain, and pictures."""

from __future__ import annotations

import datetime as dt
import re
import tempfile
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

from pages.blocks import parse
from pages.listing import ROOT

import graphkit
from gallery.entries import DOMAINS, ENTRIES, FRAMEWORKS, Entry
from gallery.proving import Proof, load, prove
from graphkit.frameworks.base import runtimes

if TYPE_CHECKING:
    from collections.abc import Mapping

    import onnx_ir as ir

__all__ = ["DIRECTIONS", "LARGEST", "PAGE", "PICTURES", "command", "record", "shown", "verdict"]

PAGE = ROOT / "docs" / "gallery.md"
PICTURES = ROOT / "docs" / "pictures"
DIRECTIONS = [(source, to) for source in FRAMEWORKS for to in FRAMEWORKS if source != to]
LARGEST = 60_000
"""Bytes of a picture."""
_HEAD = ("", "from", "to", "outputs", "gradients", "training", "in", "ONNX Runtime", "")

Proofs = dict[tuple[Entry, str], Proof]


def command(domain: str) -> str:
    """What writes the block of a domain."""
    return f"tools/zoo gallery {domain}"


def record(domain: str) -> bool:
    """Prove and draw all networks of a domain, print what comes and write it into the page; whether all pass."""
    proofs: Proofs = {}
    for entry in ENTRIES.values():
        if entry.domain != domain:
            continue
        with tempfile.TemporaryDirectory() as folder:
            model = load(entry, Path(folder))
            draw(entry, model, Path(folder))
            for to in FRAMEWORKS:
                if to != entry.framework:
                    proofs[entry, to] = prove(entry, model, to)
    text = block(proofs)
    print(f"$ {command(domain)}\n{text}", flush=True)
    page = parse(PAGE)
    (place,) = [b.line for b in page.blocks if b.content.startswith(f"$ {command(domain)}\n")]
    written = page.replaced({place: f"$ {command(domain)}\n{text}"})
    row = re.compile(rf"^\| \[{re.escape(DOMAINS[domain])}\].*$", re.MULTILINE)
    PAGE.write_text(row.sub(lambda _: line(domain, proofs), written), encoding="utf-8")
    return all(proof.passed for proof in proofs.values())


def draw(entry: Entry, model: ir.Model, folder: Path) -> None:
    """A network's picture: the operators that MXNet's file spells, or modules, folded; large ones without shapes."""
    if entry.framework == "mxnet":
        (symbol,) = folder.glob("*-symbol.json")
        model = graphkit.look(symbol, inputs=list(entry.shapes), dynamic_batch=not entry.states, raw=True)
    path = PICTURES / f"gallery-{entry.name}.svg"
    for shapes in (True, False):
        graphkit.render(
            model,
            path,
            title=entry.title,
            depth=entry.depth,
            shapes=shapes,
            parameters=False,
            attributes=entry.framework == "mxnet" and shapes,
        )
        if path.stat().st_size <= LARGEST:
            break


def verdict(proof: Proof) -> str:
    """One word for what came of a conversion."""
    return "pass" if proof.passed else "differs" if proof.checks else "refused"


def shown(error: float | None) -> str:
    """An error as the page spells it."""
    return "" if error is None else f"{error:.1e}" if error else "0"


def block(proofs: Mapping[tuple[Entry, str], Proof]) -> str:
    """The table of a domain, a line for each conversion, with what there is to say of it below."""
    lines = [_HEAD]
    for (entry, to), proof in proofs.items():
        figures = (proof.worst("output"), proof.worst("gradient"), proof.worst("loss", "parameter"))
        lines.append(
            (
                entry.title,
                FRAMEWORKS[entry.framework],
                FRAMEWORKS[to],
                *map(shown, figures),
                proof.precision if proof.checks else "",
                shown(proof.served()),
                verdict(proof),
            )
        )
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    printed = ["  ".join(cell.ljust(width) for cell, width in zip(one, widths, strict=True)).rstrip() for one in lines]
    told = [textwrap.indent(textwrap.fill(proof.told, 112), "    ") if proof.told else "" for proof in proofs.values()]
    rows = [row for pair in zip(printed[1:], told, strict=True) for row in pair if row]
    passed = sum(proof.passed for proof in proofs.values())
    versions = ", ".join(runtimes()[name].version().partition(" (")[0] for name in ("torch", "mxnet", "ort"))
    today = dt.datetime.now(tz=dt.UTC).date()
    return "\n".join([printed[0], *rows, f"{passed} of {len(proofs)} pass. {today}, {versions}", ""])


def line(domain: str, proofs: Mapping[tuple[Entry, str], Proof]) -> str:
    """The row of a domain in the table of all cells: in each cell networks, and the larger of their two errors."""
    cells = []
    for source, to in DIRECTIONS:
        found = []
        for (entry, target), proof in proofs.items():
            if (entry.framework, target) == (source, to):
                errors = [e for e in (proof.worst("output"), proof.worst("gradient")) if e is not None]
                told = shown(max(errors)) if proof.passed else verdict(proof)
                found.append(f"[{entry.title}](pictures/gallery-{entry.name}.svg) {told}")
        cells.append("<br>".join(found))
    anchor = DOMAINS[domain].lower().replace(" ", "-")
    return f"| [{DOMAINS[domain]}](#{anchor}) | {' | '.join(cells)} |"
