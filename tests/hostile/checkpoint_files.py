"""Symbols with their parameters, read into canonical form, for fuzzing.

Such a file is the JSON of a symbol and, after :data:`MARK`, the bytes of a parameter file.
"""

from __future__ import annotations

import io
import json
import re
from typing import TYPE_CHECKING

from hostile import params_files, symbol_files
from hostile.budget import written
from hostile.mutating import EDGES, TEXTS
from opcases import mx_model, mx_uses

import graphkit
from graphkit.errors import GraphkitError
from graphkit.frameworks.mxnet import params, symbol
from graphkit.ir.dtypes import dtype_of
from graphkit.ops.codec import show

if TYPE_CHECKING:
    from random import Random

__all__ = ["MARK", "mutated", "read", "seeds"]

MARK = b"\n--- parameters ---\n"


def seeds() -> list[bytes]:
    """The cases of all operators as symbols of one node, and small published symbols."""
    found = []
    for use in mx_uses():
        mx, feeds = mx_model(use)
        for node in mx.graph.variables():
            if node.name in feeds:
                array = feeds[node.name]
                node.hidden = {"__shape__": show(array.shape), "__dtype__": str(dtype_of(array.dtype).mxnet)}
        arrays = {f"arg:{name}": array for name, array in mx.args.items()}
        arrays |= {f"aux:{name}": array for name, array in mx.aux.items()}
        try:
            out = io.BytesIO()
            params.dump(params.checked_file(arrays), out)
            found.append(symbol.dumps(mx.graph).encode() + (MARK + out.getvalue() if arrays else b""))
        except (GraphkitError, ValueError):  # of a type that no MXNet file has
            continue
    return found + symbol_files.seeds()


def mutated(rng: Random, data: bytes, others: list[bytes]) -> bytes:
    """The symbol changed, and now and then its parameters."""
    text, mark, arrays = data.partition(MARK)
    choice = rng.random()
    if mark and choice < 0.2:
        return text + mark + params_files.mutated(rng, arrays, [other.partition(MARK)[2] for other in others[:8]])
    if choice < 0.8:
        text = _with_other_attributes(rng, text)
    else:
        text = symbol_files.mutated(rng, text, [rng.choice(others).partition(MARK)[0]] if others else [])
    return text + mark + arrays


def _with_other_attributes(rng: Random, text: bytes) -> bytes:
    """A symbol of which one to three attributes have other values: sizes, counts and shapes most of all."""
    try:
        data = json.loads(text, strict=False)
        having = [node["attrs"] for node in data["nodes"] if node.get("attrs")]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return symbol_files.mutated(rng, text, [])
    for _ in range(rng.choice((1, 1, 2, 3))):
        attrs = rng.choice(having) if having else {}
        if not isinstance(attrs, dict) or not attrs:
            continue
        name = rng.choice(list(attrs))
        if rng.random() < 0.6:
            attrs[name] = re.sub(r"\d+", lambda match: _other(rng, match[0]), str(attrs[name]))
        else:
            attrs[name] = rng.choice(TEXTS)
    return json.dumps(data).encode()


def _other(rng: Random, number: str) -> str:
    return str(rng.choice(EDGES)) if rng.random() < 0.4 else number


def read(data: bytes) -> object:
    """Read a checkpoint to be converted, and to be looked at in canonical form and as it is spelled."""
    text, _, arrays = data.partition(MARK)
    path = written(text, "x-symbol.json")
    given = written(arrays, "x.params") if arrays else None
    if given is None:
        path.with_name("x.params").unlink(missing_ok=True)

    def quiet(_message: str) -> None:
        pass

    graphkit.look(path, params=given, warn=quiet)
    graphkit.look(path, params=given, raw=True, warn=quiet)
    return graphkit.load(path, params=given, warn=quiet)
