"""Names: of classes by what they do, of members and variables by the model's own names."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from graphkit.frameworks.torch.source.blocks import Shortcut, Use, stmts_of
from graphkit.frameworks.torch.source.identifiers import camel
from graphkit.ir.origin import origin_of
from graphkit.ir.scope import place_of
from graphkit.ops.torchprogram import Stmt

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graphkit.frameworks.torch.source.blocks import Block, Item
    from graphkit.frameworks.torch.source.plan import Plan

__all__ = ["class_name", "label_of", "scope_of", "stem_of"]

_SHORT: Final = {
    "Conv": "conv",
    "BatchNorm": "bn",
    "InstanceNorm": "norm",
    "LayerNorm": "norm",
    "GroupNorm": "norm",
    "ConvTranspose": "deconv",
    "Linear": "fc",
    "Embedding": "embedding",
    "Dropout": "dropout",
    "PReLU": "prelu",
}
"""How layers are called inside a class, by how their names begin."""
_GENERIC: Final = frozenset({"", "block", "blocks", "features", "layer", "layers", "net", "stage", "stages", "unit"})
"""Names of modules that do not say what a module does."""
_WORDS: Final = {"bn": "Norm", "fc": "Linear"}


def stem_of(item: Item) -> str:
    """What an item is called by its kind."""
    if isinstance(item, Use):
        return "block"
    if isinstance(item, Shortcut):
        return "shortcut"
    if item.layer is not None:
        kind = item.layer.type.removeprefix("nn.")
        return next(
            (_SHORT[key] for key in sorted(_SHORT, key=len, reverse=True) if kind.startswith(key)), kind.lower()
        )
    return {"+": "sum", "*": "product", "-": "difference", "/": "ratio", "": "part"}.get(
        item.head, item.head.rpartition(".")[2] if item.head[-1:].isalnum() else "value"
    )


def scope_of(item: Item) -> tuple[str, ...]:
    """Path of the module that holds all statements of an item."""
    paths = [tuple(place_of(stmt.node)[0].split(".")) for stmt in stmts_of(item) if stmt.node is not None]
    shared = paths[0] if paths else ()
    for path in paths[1:]:
        length = next((k for k, (a, b) in enumerate(zip(shared, path, strict=False)) if a != b), None)
        shared = shared[: min(len(shared), len(path)) if length is None else length]
    return tuple(part for part in shared if part)


def label_of(item: Item) -> str:
    """What the source calls an item."""
    if isinstance(item, Stmt) and item.node is not None:
        scope, name = place_of(item.node)
        origin = origin_of(item.node)
        if origin.framework == "torch" or name == item.node.op_type or "/" in (item.node.name or ""):
            return scope.rpartition(".")[2] or stem_of(item)
        return name
    path = scope_of(item)
    return path[-1] if path else stem_of(item)


def class_name(block: Block, plans: Mapping[Block, Plan], *, is_class: bool) -> str:
    """What a block is called by what it does."""
    if is_class and (own := _own_name(block)):
        return own
    items = block.uses[0].items
    stems = [stem_of(item) for item in items]
    if not is_class:
        return _function_name(stems, items)
    flat = [stem_of(stmt) for item in items for stmt in stmts_of(item)]
    convolutions = sum(stem in ("conv", "deconv") for stem in flat)
    if any(stem in ("scaled_dot_product_attention", "softmax") for stem in flat) and "fc" in flat:
        return "TransformerLayer" if any("norm" in stem for stem in flat) else "Attention"
    if any(isinstance(item, Shortcut) for item in items) or block.tail:
        body = sum(
            stem_of(stmt) in ("conv", "deconv")
            for item in items
            if not isinstance(item, Shortcut)
            for stmt in stmts_of(item)
        )
        return {3: "Bottleneck", 2: "BasicBlock"}.get(body, "ResidualBlock")
    last = items[-1]
    if isinstance(last, Stmt) and last.head == "torch.cat":
        parts = last.args[0]
        direct = isinstance(parts, list | tuple) and any(part in block.uses[0].inputs for part in parts)
        return "DenseLayer" if direct else "Inception" if convolutions > 2 else "Concat"
    if len(flat) <= 4:
        words = (plans[item.block].name if isinstance(item, Use) else _word(stem_of(item)) for item in items)
        return "".join(words)
    return "SeparableConv" if convolutions == 2 and len(flat) <= 6 else "ConvBlock" if convolutions else "Block"


def _own_name(block: Block) -> str:
    """What the source calls every use of a block, where each has a module of its own; empty where it does not tell."""
    paths = [scope_of(use) for use in block.uses]
    if len(set(paths)) < len(paths) or not all(paths):
        return ""
    stems = {re.sub(r"[\d_]+$", "", path[-1]) for path in paths}
    stem = stems.pop()
    return camel(stem) if not stems and stem.lower() not in _GENERIC else ""


def _word(stem: str) -> str:
    return _WORDS.get(stem, camel(stem))


def _function_name(stems: Sequence[str], items: Sequence[Item]) -> str:
    if "erf" in stems:
        return "gelu"
    if [stem for stem in stems if stem != "part"] in (
        ["reshape", "transpose", "reshape"],
        ["reshape", "transpose", "flatten"],
    ):
        return "channel_shuffle"
    words = [stem for stem in dict.fromkeys(stems) if stem != "part"]
    return "_".join(words[:3]) or stem_of(items[-1])
