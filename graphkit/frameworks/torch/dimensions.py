"""Names of free dimensions, and which of them are one."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, Final

from graphkit.frameworks.torch.quiet import quiet

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    import torch

__all__ = ["bounded_dimensions", "name_of_dimension", "same_dimensions"]

_TOKENS: Final = re.compile(r"(?P<part>\w+_)?(input_ids|inputs_embeds|attention_mask|token_type_ids|position_ids)")
_CACHE: Final = re.compile(r".+[._]\d+[._](?P<part>encoder[._])?(decoder[._])?(key|value)")
_LEAST: Final = 2
"""The size from which on torch leaves dimensions free."""
_LARGEST: Final = 1 << 30
"""Numbers in the weights of a model above which it is not run to see which dimensions are one."""


def name_of_dimension(owner: str, axis: int, taken: Collection[str]) -> str:
    """What to call a free dimension.

    ``batch`` is the first dimension of the first input, ``NAME_dim2`` any other; those of token ids and caches are
    ``sequence_length``, ``decoder_sequence_length``, ``past_sequence_length`` and ``encoder_sequence_length``.

    Args:
        owner: Name of the first input that has it.
        axis: Its place there.
        taken: The names of others.
    """
    if axis == 0:
        return f"{owner}_batch" if "batch" in taken else "batch"
    name = f"{owner}_dim{axis}"
    if axis == 1 and (match := _TOKENS.fullmatch(owner)):
        name = f"{match['part'] or ''}sequence_length"
    elif axis == 2 and (match := _CACHE.fullmatch(owner)):
        name = "encoder_sequence_length" if match["part"] else "past_sequence_length"
    return name if name not in taken else f"{owner}_dim{axis}"


def same_dimensions(program: torch.export.ExportedProgram) -> dict[str, str]:
    """Free dimensions that torch takes for several and that must have one size, by the one that each is.

    torch finds dimensions to be the same where it needs that to trace, and not where a mask is sliced or looked up in.
    Such a dimension is of no output; the program is run with it shorter and longer than another input's of the same
    axis and size, and is the same as that one where either fails.

    Args:
        program: The program, with its example arguments.

    Returns:
        Symbols of torch's, such as ``{"s18": "s77"}``.
    """
    import torch
    from torch.utils import _pytree

    count = sum(math.prod(tensor.shape) for tensor in program.state_dict.values())
    if program.example_inputs is None or count > _LARGEST:
        return {}
    seen = {str(symbol) for value in _outputs(program) for size in value.shape for symbol in _symbols(size)}
    first: dict[tuple[int, int], str] = {}
    pairs: list[tuple[int, int, str, str]] = []
    leaves, tree = _pytree.tree_flatten(program.example_inputs)
    for place, value in enumerate(_inputs(program)):
        if place >= len(leaves) or not isinstance(value, torch.Tensor) or not isinstance(leaves[place], torch.Tensor):
            continue
        for axis, size in enumerate(value.shape):
            symbol = str(size)
            if not symbol.isidentifier() or symbol in (pair[2] for pair in pairs):
                continue
            other = first.setdefault((axis, leaves[place].shape[axis]), symbol)
            if other != symbol and symbol not in seen:
                pairs.append((place, axis, symbol, other))
    if not pairs:
        return {}
    module: Any = program.module(check_guards=False)

    def runs(place: int | None = None, axis: int = 0, change: int = 0) -> bool:
        given = list(leaves)
        if place is not None:
            size = given[place].shape[axis] + change
            given[place] = given[place].index_select(axis, torch.arange(size).clamp(max=size - change - 1))
        args, kwargs = _pytree.tree_unflatten(given, tree)
        try:
            module(*args, **kwargs)
        except Exception:
            return False
        return True

    with quiet(), torch.no_grad():
        if not runs():
            return {}
        return {
            symbol: other
            for place, axis, symbol, other in pairs
            if not (runs(place, axis, -1) and runs(place, axis, 1))
        }


def bounded_dimensions(program: torch.export.ExportedProgram) -> dict[str, dict[int, tuple[int, int | None]]]:
    """The least and the largest size of free axes that torch takes no others of, by its names of the inputs.

    Where there is no largest, it is None.
    """
    ranges: dict[str, tuple[int, int | None]] = {}
    for symbol, allowed in program.range_constraints.items():
        most = int(allowed.upper) if getattr(allowed.upper, "is_Integer", True) else None
        if allowed.lower > _LEAST or most is not None:
            ranges[str(symbol)] = (int(allowed.lower), most)
    inputs = set(program.graph_signature.user_inputs)
    found: dict[str, dict[int, tuple[int, int | None]]] = {}
    for node in program.graph.nodes:
        if node.op == "placeholder" and node.name in inputs:
            shape = getattr(node.meta.get("val"), "shape", ())
            found[node.name] = {axis: ranges[str(size)] for axis, size in enumerate(shape) if str(size) in ranges}
    return found


def _inputs(program: torch.export.ExportedProgram) -> Iterator[Any]:
    metas = {node.name: node.meta.get("val") for node in program.graph.nodes if node.op == "placeholder"}
    kinds: Any = type(program.graph_signature.input_specs[0].kind)
    for spec in program.graph_signature.input_specs:
        if spec.kind is kinds.USER_INPUT:
            yield metas.get(spec.arg.name)


def _outputs(program: torch.export.ExportedProgram) -> Iterator[torch.Tensor]:
    import torch

    for node in program.graph.output_node().all_input_nodes:
        if isinstance(value := node.meta.get("val"), torch.Tensor):
            yield value


def _symbols(size: Any) -> Collection[Any]:
    expression = getattr(getattr(size, "node", None), "expr", None)
    return expression.free_symbols if expression is not None else ()
