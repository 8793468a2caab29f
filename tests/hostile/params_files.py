"""MXNet's parameter files of every age, for fuzzing."""

from __future__ import annotations

import io
import struct
from typing import TYPE_CHECKING

import ml_dtypes
import numpy as np
from hostile.budget import written
from hostile.mutating import EDGES, mutate_bytes
from paths import REAL_MODELS

from graphkit.frameworks.mxnet import params
from graphkit.frameworks.mxnet.arrays import Csr, ParamsFile, Record, RowSparse

if TYPE_CHECKING:
    from pathlib import Path
    from random import Random

__all__ = ["mutated", "read", "seeds"]

_LARGEST = 8192


def seeds() -> list[bytes]:
    """Small published files, and one of every version, storage and element type."""
    real = [] if REAL_MODELS is None else sorted(REAL_MODELS.rglob("*.params"))
    return [path.read_bytes() for path in real if path.stat().st_size <= _LARGEST] + _made()


def _made() -> list[bytes]:
    small = np.arange(6, dtype=np.float32).reshape(2, 3)
    kinds = [np.float32, np.float64, np.float16, np.uint8, np.int32, np.int8, np.int64, np.bool_, np.int16]
    rows = RowSparse((5, 3), np.array([1, 4], np.int64), small)
    csr = Csr((3, 4), np.array([0, 1, 2, 3], np.int64), np.array([0, 3, 1], np.int64), small[0])
    files = [
        ParamsFile([Record(small, version), Record(small[0], version)], ["arg:w", "aux:b"]) for version in (0, 1, 2, 3)
    ]
    files += [
        ParamsFile([Record(np.zeros((2, 2), kind)) for kind in kinds], [f"arg:a{n}" for n in range(len(kinds))]),
        ParamsFile([Record(rows), Record(csr)], ["arg:rows", "arg:csr"]),
        ParamsFile([Record(np.float32(3).reshape(()), 3), Record(np.zeros((0, 4)), 3)], ["scalar", "empty"]),
        ParamsFile([Record(small)], None),
        ParamsFile([], []),
        ParamsFile([Record(small.astype(ml_dtypes.bfloat16), 2)], ["arg:bf"]),
    ]
    made = [_dumped(file) for file in files]
    for save in (np.savez, np.savez_compressed):
        out = io.BytesIO()
        save(out, **{"arg:w": small, "scalar": np.float32(3), "f": np.asfortranarray(small), "e": np.zeros((0, 3))})
        made.append(out.getvalue())
    out = io.BytesIO()
    np.save(out, small)
    return [*made, out.getvalue()]


def _dumped(file: ParamsFile) -> bytes:
    out = io.BytesIO()
    params.dump(file, out)
    return out.getvalue()


_FIELDS = (
    *(struct.pack("<I", magic) for magic in (0xF993FAC8, 0xF993FAC9, 0xF993FACA)),
    struct.pack("<iiq", 0, 1, 6),
    struct.pack("<i", 32) + struct.pack("<32q", *[1] * 32),
    struct.pack("<iqqq", 3, 0, 2**62, 2**62),
    struct.pack("<iqq", 2, 2**32, 2**32),
    struct.pack("<iqq", 2, 10**6, 10**6),
)
"""Starts of arrays, and shapes."""


def mutated(rng: Random, data: bytes, others: list[bytes]) -> bytes:
    """Bytes changed, and fields: starts, ranks, dimensions, storage, element types, counts and lengths of names."""
    choice = rng.random()
    if choice < 0.4:
        return mutate_bytes(rng, data, others)
    starts = [at for magic in _FIELDS[:3] for at in _all(data, magic)]
    at = rng.choice(starts) + 4 * rng.randrange(16) if starts and choice < 0.8 else rng.choice((16, 16, len(data) - 8))
    at = max(min(at, len(data)), 0)
    if choice < 0.5:
        field = rng.choice(_FIELDS)
        return data[:at] + field + data[at + len(field) :]
    form = rng.choice("iiqqIQ")
    width = struct.calcsize(form)
    number = rng.choice(EDGES) % (1 << 8 * width)
    changed = data[:at] + number.to_bytes(width, "little") + data[at + width :]
    return changed if rng.random() < 0.7 else mutate_bytes(rng, changed, others)


def _all(data: bytes, part: bytes) -> list[int]:
    found, at = [], data.find(part)
    while at >= 0 and len(found) < 64:
        found.append(at)
        at = data.find(part, at + 1)
    return found


def read(data: bytes) -> object:
    """Read a file as a checkpoint, after which all that it holds is used once."""
    path: Path = written(data, "x.params")
    params.read(path)
    args, states = params.load_checkpoint_params(path)
    return sum(
        array.nbytes + array[..., :1].tobytes().count(0) for array in (*args.values(), *states.values()) if array.ndim
    )
