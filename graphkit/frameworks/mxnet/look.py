"""MXNet symbols as models to be looked at."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphkit.errors import ParameterError
from graphkit.files import steady
from graphkit.frameworks.mxnet import checkpoint, objects, symbol
from graphkit.frameworks.mxnet.begin_states import with_known_begin_states
from graphkit.frameworks.mxnet.lenient import LenientReader
from graphkit.frameworks.mxnet.raw import as_spelled
from graphkit.frameworks.mxnet.read import POOLED_AS_IN_2015, old_pools
from graphkit.ir.canonical import canonical
from graphkit.ir.keeping import Keeping
from graphkit.ir.origin import Source, set_source
from graphkit.ops.mxgraph import MxModel

if TYPE_CHECKING:
    import onnx_ir as ir

    from graphkit.frameworks.base import ReadOptions
    from graphkit.ops.mxgraph import MxGraph

__all__ = ["look"]


def look(source: Any, options: ReadOptions, raw: bool) -> ir.Model:
    """Read a model of which no node is refused; see :class:`graphkit.frameworks.base.Framework`.

    A symbol needs no parameter file: its parameters then have shapes, as far as they follow, and no values.
    """
    if isinstance(source, str | Path):
        path = Path(source)
        name, label = checkpoint.prefix_of(path).name, path.name
        with steady(path, *filter(None, [options.params])):
            mx = _with_params(symbol.read(path), path, options)
            spelled = symbol.read(path, as_spelled=True) if raw else mx.graph
    else:
        mx, options, name = objects.read(source, options)
        label, spelled = name, mx.graph
    reader, told = _read(mx, options, name)
    if raw:
        model = as_spelled(replace(mx, graph=spelled), reader, options, name)
    else:
        model = reader.finish()
        keeping = Keeping()
        canonical(model, keeping)
        for message in [*dict.fromkeys(told), *keeping.messages(name)]:
            options.warn(message)
    read = {variable.name for variable in mx.graph.variables()}
    unused = tuple(name for name in (*mx.args, *mx.aux) if name not in read)
    set_source(model, Source("mxnet", label, mx, unused=unused))
    return model


def _with_params(graph: MxGraph, path: Path, options: ReadOptions) -> MxModel:
    found = checkpoint.params_of(path, options)
    if found is None:
        return MxModel(graph)
    try:
        return checkpoint.with_params(graph, found, options)
    except ParameterError as error:
        options.warn(f"{found} is left out, because its arrays cannot be matched with the symbol's variables: {error}")
        return MxModel(graph)


def _read(mx: MxModel, options: ReadOptions, name: str) -> tuple[LenientReader, list[str]]:
    """Read all nodes, with pooling as it was in 2015 where more of them fit together so.

    Returns:
        What has read them, and a list of what there is to tell, which grows as it finishes.
    """
    reader, told = _read_as_it_is(mx, options, name)
    pools = old_pools(mx) if reader.kept else []
    if not pools:
        return reader, told
    for node in pools:
        node.attrs["pooling_convention"] = "full"
    other, told_then = _read_as_it_is(mx, options, name)
    if other.kept < reader.kept:
        told_then.append(f"{name}: {POOLED_AS_IN_2015}")
        return other, told_then
    for node in pools:
        del node.attrs["pooling_convention"]
    return reader, told


def _read_as_it_is(mx: MxModel, options: ReadOptions, name: str) -> tuple[LenientReader, list[str]]:
    told: list[str] = []
    given = replace(mx, graph=with_known_begin_states(mx.graph))
    reader = LenientReader(given, name, replace(options, warn=told.append))
    for node in reader.graph.nodes:
        if not node.is_variable:
            reader.read(node)
    return reader, told
