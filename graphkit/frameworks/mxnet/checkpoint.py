"""A symbol and its parameters as the two files that MXNet calls a checkpoint."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from graphkit.errors import InputError
from graphkit.files import whole
from graphkit.frameworks.mxnet import params, schema, structural, symbol
from graphkit.ops.mxgraph import MxModel
from graphkit.provenance import note

if TYPE_CHECKING:
    from pathlib import Path

    from graphkit.frameworks.base import ReadOptions
    from graphkit.ops.mxgraph import MxGraph
    from graphkit.provenance import Recording

__all__ = ["newest_params", "params_of", "prefix_of", "read", "with_params", "write"]

_SUFFIX = "-symbol.json"
_FILE = r"(-symbol)?\.json|(-\d{4})?\.params"
"""How names of the two files end after what they have in common."""


def prefix_of(path: Path) -> Path:
    """``x`` of ``x-symbol.json``, ``x.json``, ``x-0000.params`` and ``x``; ``net1.0`` is a prefix with a dot."""
    ending = re.search(rf"(?:{_FILE})$", path.name)
    return path if ending is None or not ending.start() else path.with_name(path.name[: ending.start()])


def newest_params(path: Path) -> Path | None:
    """The parameter file of the highest epoch beside a symbol: ``x-NNNN.params``, else ``x.params``."""
    prefix = prefix_of(path)
    epochs = {
        int(match[1]): entry
        for entry in path.parent.glob("*.params")
        if (match := re.fullmatch(re.escape(prefix.name) + r"-(\d+)\.params", entry.name))
    }
    if epochs:
        return epochs[max(epochs)]
    plain = prefix.with_name(f"{prefix.name}.params")
    return plain if plain.exists() else None


def read(path: Path, options: ReadOptions) -> MxModel:
    """Read a symbol, and its parameters from ``options.params`` or the newest file beside it.

    Raises:
        InputError: A file is absent.
        FormatError: A file is damaged.
    """
    graph = symbol.read(path)
    found = params_of(path, options)
    return MxModel(graph) if found is None else with_params(graph, found, options)


def params_of(path: Path, options: ReadOptions) -> Path | None:
    """The parameter file of a symbol: ``options.params``, else the newest file beside it, None where there is none.

    Raises:
        InputError: The file that the options name is absent.
    """
    found = options.params or newest_params(path)
    if found is not None and not found.exists():
        raise InputError(f"There is no parameter file {found}; --params has to name one that belongs to {path}.")
    return found


def with_params(graph: MxGraph, path: Path, options: ReadOptions) -> MxModel:
    """A symbol with the parameters of a file, those that ``save_parameters`` wrote, too.

    Raises:
        InputError: The file cannot be read.
        FormatError: It is damaged.
        ParameterError: It has the names of ``save_parameters``, which cannot be matched with the symbol's.
    """
    aux = schema.aux_names(graph)
    note(path)
    args, states = params.load_checkpoint_params(path, aux)
    if not structural.is_structural(graph, {*args, *states}):
        return MxModel(graph, args, states)
    fed = {spec.name for spec in options.inputs}
    matched = structural.match(graph, {**args, **states}, fed, path.name)
    if told := matched.warning(path.name):
        options.warn(told)
    arrays = matched.arrays.items()
    return MxModel(
        graph,
        {name: array for name, array in arrays if name not in aux},
        {name: array for name, array in arrays if name in aux},
    )


def write(mx: MxModel, prefix: Path, record: Recording | None = None) -> list[Path]:
    """Write ``PREFIX-symbol.json`` and ``PREFIX-0000.params``, both or neither.

    Args:
        mx: The symbol and its parameters.
        prefix: What the names of both files start with.
        record: How they were made, which the symbol tells: parameter files have no room for it.

    Returns:
        The files written.
    """
    target_params = prefix.with_name(f"{prefix.name}-0000.params")
    target_symbol = prefix.with_name(f"{prefix.name}{_SUFFIX}")
    arrays = {f"arg:{name}": array for name, array in mx.args.items()}
    arrays.update({f"aux:{name}": array for name, array in mx.aux.items()})
    checked = params.checked_file(arrays)
    symbol.dumps(mx.graph)  # refuses names that no file can hold, before gigabytes are written
    with whole(target_symbol, target_params, size=params.size_of(checked)) as (symbol_draft, params_draft):
        with params_draft.open("wb") as file:
            params.dump(checked, file)
        made = "" if record is None else record.record().text()
        symbol_draft.write_bytes(symbol.dumps(mx.graph, made).encode())
    return [target_symbol, target_params]
