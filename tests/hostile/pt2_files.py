"""Exported programs of every age, looked at, for fuzzing.

The seeds are small programs that PyTorch 2.13 exported, brought into the forms of older versions
(``tests/frameworks/torch/ages.py``) and packed.
"""

from __future__ import annotations

import io
import warnings
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hostile.budget import written
from hostile.mutating import mutate_bytes, mutate_json

from graphkit.frameworks.torch.program.read import read_program

if TYPE_CHECKING:
    from random import Random

    Entries = list[tuple[str, bytes]]

__all__ = ["mutated", "read", "seeds"]

_SEEDS: Final = Path(__file__).parent / "seeds" / "pt2"
_MOST: Final = 1 << 17


def seeds() -> list[bytes]:
    """The programs, their entries not compressed, as PyTorch writes them."""
    return [_packed(_entries(path.read_bytes())) for path in sorted(_SEEDS.glob("*.pt2"))]


def _entries(data: bytes) -> Entries:
    """The entries of an archive; none of what is no archive."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return [(entry.filename, archive.read(entry)) for entry in archive.infolist()]
    except Exception:  # zipfile raises all sorts of things on damaged archives
        return []


def _packed(entries: Entries, compressed: str = "") -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w") as archive:
        warnings.simplefilter("ignore")  # of names that stand twice
        for name, data in entries:
            how = zipfile.ZIP_DEFLATED if name == compressed else zipfile.ZIP_STORED
            archive.writestr(zipfile.ZipInfo(name or "_"), data, how)
    return buffer.getvalue()


def mutated(rng: Random, data: bytes, others: list[bytes]) -> bytes:
    """A program with changes of one of its entries, of what entries there are, or of the archive's bytes."""
    entries = _entries(data)
    if not entries or rng.random() < 0.15:
        return mutate_bytes(rng, data, others)
    place = rng.randrange(len(entries))
    documents = [number for number, (name, _) in enumerate(entries) if name.endswith(".json")]
    if documents and rng.random() < 0.6:
        place = rng.choice(documents)
    name, content = entries[place]
    donors = [held for key, held in _entries(rng.choice(others)) if key.endswith(name[-8:])] if others else []
    compressed = ""
    if rng.random() < 0.12:
        other = rng.choice(entries)
        entries = rng.choice(
            (
                [*entries[:place], *entries[place + 1 :]],
                [*entries, (name, other[1])],
                [*entries[:place], (other[0] + "x", content), *entries[place + 1 :]],
                [*entries, (rng.choice(("../x", "/etc/x", "models/model.json", "data.pkl", "byteorder")), other[1])],
            )
        )
        compressed = name
    elif content[:2] == b"PK":
        entries[place] = (name, mutated(rng, content, donors))
    elif content[:1] in (b"{", b"["):
        entries[place] = (name, mutate_json(rng, content, donors))
    else:
        entries[place] = (name, mutate_bytes(rng, content, donors))
    changed = _packed(entries, compressed)
    return changed if len(changed) <= _MOST else mutate_bytes(rng, data, others)


def read(data: bytes) -> object:
    """Look at a program in canonical form, or as it is spelled: which one its bytes decide."""
    path = written(data, "x.pt2")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return read_program(path, raw=zlib.crc32(data) % 3 == 0, warn=lambda _: None)
