"""Canonical models to a folder of torch source and weights."""

from __future__ import annotations

import json
import textwrap
from typing import TYPE_CHECKING, Any

from graphkit import stamps
from graphkit._version import __version__
from graphkit.errors import InputError
from graphkit.files import whole
from graphkit.frameworks.base import frameworks
from graphkit.frameworks.torch.folder import INPUTS, MAIN, MODEL, NAMES
from graphkit.frameworks.torch.shards import INDEX, WEIGHTS, index_text, names_of, older, split
from graphkit.frameworks.torch.source.identifiers import camel
from graphkit.frameworks.torch.source.program import to_program
from graphkit.frameworks.torch.source.write import to_source
from graphkit.frameworks.torch.weights import check_weights, size_of, write_metadata, write_weights
from graphkit.ir.dims import dims_of, shown
from graphkit.ir.dtypes import dtype_of
from graphkit.ir.origin import source_of
from graphkit.ops.torchprogram import Stored
from graphkit.provenance import KEY
from graphkit.text import clean

if TYPE_CHECKING:
    from pathlib import Path

    import onnx_ir as ir

    from graphkit.frameworks.base import WriteOptions
    from graphkit.frameworks.torch.source.flat import Source

__all__ = ["check", "formatted", "write"]

_WIDTH = 88
_OF_SHARDS = frozenset({"format", "graphkit"})
"""Keys of the metadata that stand in each of several files, too; the others stand in the index."""
_LOADING = f'    net.load_state_dict(safetensors.torch.load_file("{WEIGHTS}"))'
_LOADING_SHARDS = f"""\
    import json, pathlib

    index = json.loads(pathlib.Path("{INDEX}").read_text())
    for file in sorted(set(index["weight_map"].values())):
        net.load_state_dict(safetensors.torch.load_file(file), strict=False)"""


def write(model: ir.Model, folder: Path, options: WriteOptions) -> list[Path]:
    """Write ``model.py`` and ``model.safetensors`` into a folder, which is made if it is not there.

    With ``options.shard_size`` weights that are more go into several files with an index
    (:mod:`graphkit.frameworks.torch.shards`). Weights that graphkit has written there before are removed.

    Args:
        model: A canonical model.
        folder: The folder.
        options: How to write it.

    Returns:
        The files written.

    Raises:
        UnsupportedError: Nodes that torch cannot express, all of them.
        InputError: The files cannot be written.
    """
    program = to_program(model, options.warn)
    name = _name(model, folder)
    source = to_source(program, name, _header(model, camel(name)))
    check_weights(source.tensors)
    sizes = {key: size_of(tensor) for key, tensor in source.tensors.items()}
    shards = split(source.tensors, sizes, options.shard_size)
    parts = dict(zip(names_of(len(shards)), shards, strict=True))
    text = formatted(source.text if len(parts) == 1 else source.text.replace(_LOADING, _LOADING_SHARDS, 1))
    metadata, total = _metadata(model, source), sum(sizes.values())
    if folder.exists() and not folder.is_dir():
        raise InputError(
            f"{folder} cannot be written because it is a file; the torch source goes into a folder. Give another name."
        )
    index = [INDEX] if len(parts) > 1 else []
    targets = [folder / file for file in (MODEL, *index, *parts)]
    with whole(*targets, size=total, stale=lambda: older(folder), make=True) as (source_draft, *drafts):
        index_draft = drafts.pop(0) if index else None
        shared = {key: value for key, value in metadata.items() if index_draft is None or key in _OF_SHARDS}
        expected = {} if options.record is None else {KEY: options.record.expected().text()}
        for draft, part in zip(drafts, parts.values(), strict=True):
            write_weights(draft, part, shared | expected)
        if options.record is not None:
            record = {KEY: options.record.record().text()}
            for draft, part in zip(drafts, parts.values(), strict=True):
                write_metadata(draft, part, shared | record)
            metadata, text = metadata | record, text + stamps.in_source(record[KEY])
        source_draft.write_text(text, encoding="utf-8")
        if index_draft is not None:
            index_draft.write_text(index_text(parts, total, metadata), encoding="utf-8")
    return targets


def check(model: ir.Model, options: WriteOptions) -> None:
    """Refuse what :func:`write` would.

    Raises:
        UnsupportedError: Nodes that torch cannot express, all of them, or tensors that safetensors files do not hold.
    """
    check_weights(to_source(to_program(model, options.warn), "model").tensors)


def formatted(text: str) -> str:
    """Source as black formats it."""
    import black

    return black.format_str(text, mode=black.Mode(line_length=_WIDTH))


def _name(model: ir.Model, folder: Path) -> str:
    """What the source calls the model; where that says nothing, what the folder is called."""
    source = source_of(model)
    label = source.label if source is not None else model.graph.name or "model"
    stem = label.rpartition("/")[2].rpartition(":")[2]
    for ending in (".json", ".onnx", ".pt2", ".pt", "-symbol"):
        stem = stem.removesuffix(ending)
    return folder.name or "model" if stem.lower() in ("", "main", "model", "symbol") else stem


def _header(model: ir.Model, name: str) -> str:
    source = source_of(model)
    origin = "a model" if source is None else f"{clean(source.label)} ({frameworks()[source.framework].label})"
    lines = [
        f"{name}, converted from {origin} by graphkit {__version__}.",
        "",
        "    import safetensors.torch",
        f"    from model import {name}",
        "",
        f"    net = {name}()",
        _LOADING,
        "",
        "It trains as it is; net.eval() puts it into inference mode.",
        "",
    ]
    inputs = [value for value in model.graph.inputs if not value.is_initializer()]
    for kind, values in (("Inputs", inputs), ("Outputs", model.graph.outputs)):
        text = clean(", ".join(map(_described, values)))
        lines += textwrap.wrap(f"{kind}: {text}", _WIDTH, subsequent_indent="    ", break_long_words=False)
    return "\n".join(lines).replace("\\", "\\\\").replace('"""', "'''") + "\n"


def _described(value: ir.Value) -> str:
    dims = dims_of(value)
    dtype = "" if value.dtype is None else f" {dtype_of(value.dtype).name}"
    return f"{value.name}{dtype} {'of unknown shape' if dims is None else shown(dims)}"


def _metadata(model: ir.Model, source: Source) -> dict[str, str]:
    origin = source_of(model)
    native = origin.names if origin is not None else {}
    names: dict[str, dict[str, Any]] = {}
    for key, tensor in source.tensors.items():
        if isinstance(tensor, Stored):
            own = tensor.value.name or ""
            names[key] = {"name": native.get(own, own)}
            if tensor.layout:
                names[key]["layout"] = [[step, list(numbers)] for step, numbers in tensor.layout]
    inputs = [
        (value.name, [d if isinstance(d, int) else None for d in dims_of(value) or ()], dtype_of(value.dtype).name)
        for value in model.graph.inputs
        if not value.is_initializer() and value.dtype is not None
    ]
    known = {"format": "pt", "graphkit": __version__, MAIN: source.name}
    return {**known, INPUTS: json.dumps(inputs), NAMES: json.dumps(names)}
