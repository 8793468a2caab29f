"""Names: of classes by what they do, of members and variables by the model's own names."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Final

from graphkit.frameworks.torch.source.blocks import Shortcut, Use, stmts_of
from graphkit.frameworks.torch.source.identifiers import camel
from graphkit.ir.origin import origin_of
from graphkit.ir.scope import place_of
from graphkit.ops.torchprogram import Stmt, Stored

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from graphkit.frameworks.torch.source.blocks import Block, Item
    from graphkit.frameworks.torch.source.plan import Plan

__all__ = [
    "Modules",
    "class_name",
    "common_label",
    "kinds_of",
    "label_of",
    "scope_of",
    "shared_prefix",
    "shared_scope",
    "stem_of",
    "tensor_label",
]

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
_SHAPING: Final = frozenset(
    {"part", "reshape", "flatten", "unflatten", "transpose", "permute", "squeeze", "unsqueeze", "expand", "chunk"}
)
"""Statements that say nothing of what a class does."""
_LONG: Final = 24
"""Characters that words which are joined to the name of a class have less than."""


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
    return tuple(part for part in shared_scope(paths) if part)


def shared_scope(paths: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """Path of the innermost module that holds others."""
    return tuple(_common(paths))


def label_of(item: Item, inside: tuple[str, ...] = (), kinds: Mapping[tuple[str, ...], set[str]] | None = None) -> str:
    """What the source calls an item; empty where it only numbers it.

    Args:
        item: The item.
        inside: Path of the module that all of the class is in.
        kinds: Which kinds of layers the source numbers within one module, by its path; of several kinds, each is
            called by its kind.
    """
    number: tuple[str, ...] = ()
    if isinstance(item, Stmt) and item.node is not None:
        if own := _recurrent_name(item):
            return own
        scope, name = place_of(item.node)
        origin = origin_of(item.node)
        if origin.framework == "mxnet" and scope and _owner(item) == scope.replace(".", "_"):
            return scope.rpartition(".")[2]
        if origin.framework != "torch" and name != item.node.op_type and "/" not in (item.node.name or ""):
            if not name.isdigit():
                return name
            number = (name,)  # a layer that torch numbered, in a file of another framework
    path = (*scope_of(item), *number)
    named = _named(path[len(inside) :])
    if not named or len(named) + len(inside) == len(path):
        return named[-1] if named else "" if path else stem_of(item)
    if isinstance(item, Stmt) and len((kinds or {}).get((*inside, *named), ())) > 1:
        return f"{named[-1]}_{stem_of(item)}"
    return "".join((named[-1], "_".join(path[len(inside) + len(named) :])))


def kinds_of(items: Iterable[Item], inside: tuple[str, ...] = ()) -> dict[tuple[str, ...], set[str]]:
    """Kinds of the layers that the source numbers within one module, by its path."""
    found: dict[tuple[str, ...], set[str]] = {}
    for item in items:
        path = scope_of(item)
        found.setdefault((*inside, *_named(path[len(inside) :])), set()).add(stem_of(item))
    return found


def common_label(use: Use) -> str:
    """The words with which the names of all layers of a block begin in the source."""
    labels = [label_of(stmt, scope_of(use)).split("_") for stmt in stmts_of(use) if stmt.layer is not None]
    return "_".join(_common(labels))


def shared_prefix(items: Iterable[Item]) -> str:
    """The words, each with what joins it to the next one, with which the names of all layers begin."""
    labels = [label_of(item).split("_") for item in items if isinstance(item, Stmt) and item.layer is not None]
    start = _common(labels) if len(labels) > 1 else []
    rest = [label[len(start) :] for label in labels]
    return "".join(f"{word}_" for word in start) if all(words and words[0][:1].isalpha() for words in rest) else ""


def tensor_label(names: Sequence[str]) -> str:
    """What several uses of a block call one of their tensors, without what tells the uses apart."""
    parts = [re.split(r"[./]" if "." in name else r"[_/]", name)[::-1] for name in names]
    while parts[0] and all(own and own[0].isdigit() for own in parts):
        parts = [own[1:] for own in parts]
    shared = _common([own[:1] if "." in name else own for own, name in zip(parts, names, strict=True)])
    return "_".join(word for word in shared[::-1] if not word.isdigit()) or "tensor"


def _common(parts: Sequence[Sequence[str]]) -> list[str]:
    """What all sequences begin with."""
    found: list[str] = []
    for column in zip(*parts, strict=False):
        if len(set(column)) > 1:
            break
        found.append(column[0])
    return found


def _named(path: tuple[str, ...]) -> tuple[str, ...]:
    """A path up to the last part that is a name rather than a number."""
    length = len(path)
    while length and not path[length - 1].strip("0123456789_"):
        length -= 1
    return path[:length]


def _owner(stmt: Stmt) -> str:
    """What the names of a layer's tensors begin with."""
    tensors = [] if stmt.layer is None else stmt.layer.tensors.values()
    names = [(t.value.name or "").split("_") for t in tensors if isinstance(t, Stored)]
    return "_".join(_common(names)) if len(names) > 1 else ""


def _recurrent_name(stmt: Stmt) -> str:
    """What torch calls a recurrent layer whose tensors have torch's own names; empty for any other."""
    layer = stmt.layer
    if layer is None or layer.type not in ("nn.LSTM", "nn.GRU", "nn.RNN"):
        return ""
    owners = {
        (tensor.value.name or "").removesuffix(f".{key}") if isinstance(tensor, Stored) else ""
        for key, tensor in layer.tensors.items()
    }
    owner = owners.pop()
    if owners or not re.fullmatch(r"[A-Za-z_]\w*(\.\w+)*", owner):
        return ""
    named = re.search(r"[^.]+(\.\d+)*$", owner)
    return "" if named is None else named[0].replace(".", "")


class Modules:
    """The modules of the source, as far as the statements of a program tell of them."""

    def __init__(self, items: Iterable[Item]) -> None:
        self._sizes: Counter[tuple[str, ...]] = Counter()
        self._classes: dict[tuple[str, ...], str] = {}
        for item in items:
            for stmt in stmts_of(item):
                path = scope_of(stmt)
                self._sizes.update(path[:length] for length in range(1, len(path) + 1))
                module = "" if stmt.node is None else origin_of(stmt.node).module
                if module and not module.startswith("torch."):
                    self._classes[path] = re.sub(r"\W.*", "", module.rpartition(".")[2])

    def class_of(self, block: Block) -> str:
        """What the source calls every use of a block, each of which is a module; empty where it does not tell."""
        paths = [scope_of(use) for use in block.uses]
        if len(set(paths)) < len(paths) or not all(paths):
            return ""
        if any(
            self._sizes[path] > sum(1 for _ in stmts_of(use)) + 2 for path, use in zip(paths, block.uses, strict=True)
        ):
            return ""
        classes = {self._classes.get(path, "") for path in paths}
        if len(classes) == 1 and (name := classes.pop()).lower() not in _GENERIC:
            return camel(name)
        stems = {re.sub(r"[\d_]+$", "", path[-1]) for path in paths}
        stem = stems.pop()
        return camel(stem) if not stems and stem.lower() not in _GENERIC else ""


def class_name(block: Block, plans: Mapping[Block, Plan], modules: Modules, *, is_class: bool) -> str:
    """What a block is called by what it does."""
    if is_class and (own := modules.class_of(block)):
        return own
    items = block.uses[0].items
    stems = [stem_of(item) for item in items]
    if not is_class:
        return _function_name(stems, items)
    flat = [stem_of(stmt) for item in items for stmt in stmts_of(item)]
    convolutions = [
        stmt.layer
        for item in items
        if not isinstance(item, Shortcut)
        for stmt in stmts_of(item)
        if stmt.layer is not None and stem_of(stmt) in ("conv", "deconv")
    ]
    depthwise = [layer for layer in convolutions if layer.kwargs.get("groups") == layer.args[0]]
    if any(stem in ("scaled_dot_product_attention", "softmax") for stem in flat) and "fc" in flat:
        return "TransformerLayer" if any("norm" in stem for stem in flat) else "Attention"
    if any(isinstance(item, Shortcut) for item in items) or block.tail:
        if depthwise and len(convolutions) == 3:
            return "InvertedResidual"
        return {3: "Bottleneck", 2: "BasicBlock"}.get(len(convolutions), "ResidualBlock")
    last = items[-1]
    if isinstance(last, Stmt) and last.head == "torch.cat":
        parts = last.args[0]
        count = len(parts) if isinstance(parts, list | tuple) else 0
        direct = isinstance(parts, list | tuple) and any(part in block.uses[0].inputs for part in parts)
        return "DenseLayer" if direct else "Inception" if convolutions and count > 2 else "ConcatBlock"
    if len(convolutions) == 2 and depthwise == convolutions[:1] and len(flat) <= 6 and convolutions[1].args[2] == 1:
        return "SeparableConv"
    words = [plans[item.block].name if isinstance(item, Use) else _word(stem_of(item)) for item in items]
    words = [word for item, word in zip(items, words, strict=True) if stem_of(item) not in _SHAPING]
    if 1 < len(words) <= 4 and sum(map(len, words)) < _LONG:
        return "".join(words)
    return f"{words[0]}Block" if len(words) == 1 else "ConvBlock" if convolutions else "Block"


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
