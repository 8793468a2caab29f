"""Weights in safetensors files with their index, read as those of a folder that graphkit wrote, for fuzzing.

Such a file is the JSON of an index and, after :data:`MARK`, the bytes of the file that it names; without the mark it is
a file of weights alone.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import ml_dtypes
import numpy as np
import torch  # noqa: F401  # which the library imports late
from hostile.budget import written
from hostile.mutating import mutate_bytes, mutate_json

from graphkit.frameworks.torch.folder import read_weights
from graphkit.frameworks.torch.shards import INDEX, WEIGHTS, index_text, names_of
from graphkit.frameworks.torch.weights import write_weights

if TYPE_CHECKING:
    from random import Random

__all__ = ["MARK", "mutated", "read", "seeds"]

MARK = b"\n--- weights ---\n"
_FIRST = names_of(2)[0]


def seeds() -> list[bytes]:
    """Files of every element type, with and without an index."""
    kinds = ["f4", "f8", "f2", "u1", "i4", "i1", "i8", "?", "i2", ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn]
    sets = [
        {"fc.weight": np.arange(6, dtype=np.float32).reshape(2, 3), "fc.bias": np.zeros(2, np.float32)},
        {f"t{place}": np.zeros((2, 2), kind) for place, kind in enumerate(kinds)},
        {"scalar": np.float32(3).reshape(()), "empty": np.zeros((0, 4), np.float32)},
        {},
    ]
    found = []
    for tensors in sets:
        path = written(b"", "made.safetensors")
        write_weights(path, tensors, {"graphkit.main": "Net"})
        weights = path.read_bytes()
        index = index_text({_FIRST: dict.fromkeys(tensors, 0)}, len(weights), {"graphkit.main": "Net"})
        found += [weights, index.encode() + MARK + weights]
    return found


def mutated(rng: Random, data: bytes, others: list[bytes]) -> bytes:
    """The index changed, the header, or any bytes."""
    index, mark, weights = data.rpartition(MARK)
    donors = [other.rpartition(MARK) for other in others]
    if mark and rng.random() < 0.5:
        return mutate_json(rng, index, [first for first, found, _ in donors if found]) + mark + weights
    length = int.from_bytes(weights[:8], "little")
    if length <= len(weights) and rng.random() < 0.7:
        header = mutate_json(rng, weights[8 : 8 + length], [])
        header += b" " * (-len(header) % 8)
        said = len(header) if rng.random() < 0.9 else length
        return index + mark + said.to_bytes(8, "little") + header + weights[8 + length :]
    return index + mark + mutate_bytes(rng, weights, [last for _, _, last in donors])


def read(data: bytes) -> object:
    """Read the weights of a folder."""
    index, mark, weights = data.rpartition(MARK)
    path = written(weights, _FIRST if mark else WEIGHTS)
    place = path.parent / INDEX
    place.unlink(missing_ok=True)
    (path.parent / (WEIGHTS if mark else _FIRST)).unlink(missing_ok=True)
    if mark:
        place.write_bytes(index)
    return json.dumps(sorted(read_weights(path.parent)[2]))
