"""The constructor of a block's class: in which numbers its uses differ, and how these follow from few arguments."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from graphkit.frameworks.torch.source.blocks import Shortcut, Use
from graphkit.frameworks.torch.source.rewrite import rewrite_layer, rewrite_stmt
from graphkit.frameworks.torch.source.signature import DEFAULTS
from graphkit.frameworks.torch.source.uses import stored_by, stored_shape
from graphkit.ops.torchprogram import Code, Stmt

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from graphkit.frameworks.torch.source.blocks import Block, Item
    from graphkit.frameworks.torch.source.rewrite import Key, Visit
    from graphkit.ops.torchprogram import Arg, Layer

__all__ = ["Parameter", "Plan", "owns", "plan"]

_INS = ("in_channels", "in_features", "input_size")
_OUTS = ("out_channels", "out_features")
_WIDTHS = frozenset({*_INS, *_OUTS, "num_features", "channels", "mid_channels", "num_channels"})
_FLAGS = ("downsample", "residual")


@dataclass(eq=False, slots=True)
class Parameter:
    """An argument of a class's constructor.

    Attributes:
        values: What each use passes.
        name: Its name.
        default: What it is where it is not passed; None where it must be.
        roles: What the numbers are called that it stands for.
    """

    values: list[Any]
    name: str = ""
    default: Any = None
    roles: list[str] = field(default_factory=list)


@dataclass(eq=False, slots=True)
class Plan:
    """How a block is written.

    Attributes:
        block: The block.
        name: Name of its class or function.
        parameters: Arguments of its constructor; of the function itself where it is one.
        is_class: Whether it owns anything.
        optional: Positions of the shortcuts that some uses have and some have not.
        plans: Plans of the blocks inside.
    """

    block: Block
    name: str
    parameters: list[Parameter]
    is_class: bool
    optional: frozenset[int]
    plans: Mapping[Block, Plan]
    _expressions: dict[Key, tuple[Parameter, str]]

    def arguments(self, use: Use) -> dict[str, Any]:
        """What a use passes, defaults left out."""
        position = self.block.uses.index(use)
        given = {parameter.name: parameter.values[position] for parameter in self.parameters}
        defaults = {parameter.name: parameter.default for parameter in self.parameters}
        return {name: value for name, value in given.items() if defaults[name] is None or value != defaults[name]}

    def body(self, *, forward: bool) -> list[Item]:
        """The items of the first use with the constructor's arguments in place of numbers.

        Args:
            forward: Whether numbers of statements are spelled as attributes of the module, as in ``forward``.
        """

        def code(key: Key, number: Any, *, attribute: bool) -> Arg:
            if key not in self._expressions:
                return number  # type: ignore[no-any-return]  # a literal
            parameter, pattern = self._expressions[key]
            own = f"self.{parameter.name}" if attribute and self.is_class else parameter.name
            return Code(pattern.format(own))

        items: list[Item] = []
        keys = _given_keys(self.block)
        for k, item in enumerate(self.block.uses[0].items):
            if isinstance(item, Stmt):
                items.append(_rewritten(item, k, keys.get((k, 0), ()), code, forward))
            elif isinstance(item, Shortcut):
                source = next((u.items[k] for u in self.block.uses if u.items[k].items), item)  # type: ignore[union-attr]  # aligned with a shortcut
                assert isinstance(source, Shortcut)
                inner = [
                    _rewritten(stmt, k, keys.get((k, n), ()), code, forward, n) for n, stmt in enumerate(source.items)
                ]
                items.append(replace(item, items=inner))
            else:
                items.append(item)
        return items

    def inner_arguments(self, position: int) -> dict[str, Arg]:
        """What the use at a position of this block passes, in terms of this block's own arguments."""
        use = self.block.uses[0].items[position]
        assert isinstance(use, Use)
        inner = self.plans[use.block]
        place = "self." if self.is_class and not inner.is_class else ""
        found: dict[str, Arg] = {}
        for parameter in inner.parameters:
            key: Key = (position, 0, "param", parameter.name)
            value = parameter.values[inner.block.uses.index(use)]
            if key in self._expressions:
                own, pattern = self._expressions[key]
                found[parameter.name] = Code(pattern.format(f"{place}{own.name}"))
            elif parameter.default is None or value != parameter.default:
                found[parameter.name] = value
        return found

    def stored_sizes(self, position: int, inner: int, number: int, shape: Sequence[int]) -> list[Arg]:
        """The shape of a tensor that a statement uses, in terms of the constructor's arguments."""
        found: list[Arg] = []
        for axis, size in enumerate(shape):
            own = self._expressions.get((position, inner, "tensor", number, axis))
            found.append(size if own is None else Code(own[1].format(own[0].name)))
        return found

    def attributes(self) -> list[str]:
        """Arguments of the constructor that ``forward`` needs."""
        items = self.block.uses[0].items

        def in_forward(key: Key) -> bool:
            item = items[key[0]] if isinstance(key[0], int) else None
            return key[2] == "stmt" or (isinstance(item, Use) and not self.plans[item.block].is_class)

        return list(
            dict.fromkeys(parameter.name for key, (parameter, _) in self._expressions.items() if in_forward(key))
        )


def owns(item: Item, plans: Mapping[Block, Plan]) -> bool:
    """Whether an item needs something of its own in the module that holds it."""
    if isinstance(item, Use):
        return plans[item.block].is_class
    if isinstance(item, Shortcut):
        return bool(item.items)
    return item.layer is not None or any(True for _ in stored_by(item))


def _rewritten(stmt: Stmt, k: int, keys: Sequence[str], code: Any, forward: bool, n: int = 0) -> Stmt:
    new = rewrite_stmt(stmt, lambda key, _, number: code((k, n, "stmt", *key), number, attribute=forward))
    if stmt.layer is None:
        return new
    layer = rewrite_layer(stmt.layer, lambda key, _, number: code((k, n, "layer", *key), number, attribute=False), keys)
    return replace(new, layer=layer)


def _given_keys(block: Block) -> dict[tuple[int, int], list[str]]:
    """Keyword arguments with defaults that some use gives, by position of the layer."""
    found: dict[tuple[int, int], dict[str, None]] = {}
    for use in block.uses:
        for k, item in enumerate(use.items):
            for n, layer in enumerate(_layers(item)):
                keys = found.setdefault((k, n), {})
                keys.update((key, None) for key in layer.kwargs if key in DEFAULTS)
    return {place: list(keys) for place, keys in found.items()}


def _layers(item: Item) -> list[Layer]:
    stmts = [item] if isinstance(item, Stmt) else item.items if isinstance(item, Shortcut) else []
    return [stmt.layer for stmt in stmts if stmt.layer is not None]


def plan(block: Block, plans: Mapping[Block, Plan], name: str) -> Plan:
    """Plan the class of a block.

    Args:
        block: The block.
        plans: Plans of the blocks inside it.
        name: Name of its class.
    """
    keys = _given_keys(block)
    columns: dict[Key, list[Any]] = {}
    roles: dict[Key, str] = {}
    for position, use in enumerate(block.uses):
        for key, role, number in _numbers(use, plans, keys):
            columns.setdefault(key, [None] * len(block.uses))[position] = number
            roles[key] = role
    parameters: list[Parameter] = []
    expressions: dict[Key, tuple[Parameter, str]] = {}
    for key in sorted(columns, key=lambda key: _is_shortcut(block, key)):
        column = columns[key]
        if len({number for number in column if number is not None}) < 2:
            continue
        expressions[key] = _expressed(column, parameters)
        expressions[key][0].roles.append(roles[key])
    body = [key for key in columns if not _is_shortcut(block, key)]
    ins = [key for key in body if roles[key] in _INS]
    outs = [key for key in body if roles[key] in _OUTS]
    first = expressions[ins[0]] if ins and ins[0] in expressions else None
    last = [expressions[key] for key in outs if key in expressions][-1:]
    _name(parameters, _own(first), _own(last[0]) if last else None)
    for key, column in columns.items():
        end = ins[:1] if roles[key] in _INS else outs[-1:] if roles[key] in (*_OUTS, "num_features") else []
        if (
            key not in expressions
            and None in column
            and end
            and end[0] in expressions
            and _fits(column, columns[end[0]])
        ):
            expressions[key] = expressions[end[0]]
    optional = frozenset(k for k in range(len(block.uses[0].items)) if _is_optional(block, k))
    if optional:
        flags = [any(_has(use.items[k]) for k in optional) for use in block.uses]
        parameters.append(Parameter(list(flags), "downsample", False))
    if block.tail:
        parameters.append(Parameter([use.added for use in block.uses], "residual", False))
    is_class = any(owns(item, plans) for use in block.uses for item in use.items)
    return Plan(block, name, parameters, is_class, optional, plans, expressions)


def _fits(column: Sequence[Any], other: Sequence[Any]) -> bool:
    """Whether numbers that only some uses have are the same as others that all have."""
    return all(number is None or number == known for number, known in zip(column, other, strict=True))


def _own(found: tuple[Parameter, str] | None) -> Parameter | None:
    """The parameter, where a number is the parameter itself rather than derived from it."""
    return found[0] if found is not None and found[1] == "{}" else None


def _has(item: Item) -> bool:
    return isinstance(item, Shortcut) and bool(item.items)


def _is_optional(block: Block, k: int) -> bool:
    return isinstance(block.uses[0].items[k], Shortcut) and len({_has(use.items[k]) for use in block.uses}) > 1


def _is_shortcut(block: Block, key: Key) -> bool:
    return isinstance(key[0], int) and isinstance(block.uses[0].items[key[0]], Shortcut)


def _numbers(
    use: Use, plans: Mapping[Block, Plan], keys: Mapping[tuple[int, int], Sequence[str]]
) -> Iterator[tuple[Key, str, Any]]:
    found: list[tuple[Key, str, Any]] = []
    for k, item in enumerate(use.items):
        if isinstance(item, Use):
            inner = plans[item.block]
            position = inner.block.uses.index(item)
            for parameter in inner.parameters:
                role = parameter.name
                found.append(((k, 0, "param", parameter.name), role, parameter.values[position]))
            continue
        for n, stmt in enumerate([item] if isinstance(item, Stmt) else item.items):
            rewrite_stmt(stmt, _recorder(found, (k, n, "stmt")))
            for number, tensor in enumerate(stored_by(stmt)):
                shape = stored_shape(tensor)
                found += [((k, n, "tensor", number, axis), "size", size) for axis, size in enumerate(shape)]
            if stmt.layer is not None:
                rewrite_layer(stmt.layer, _recorder(found, (k, n, "layer")), keys.get((k, n), ()))
    yield from found


def _recorder(found: list[tuple[Key, str, Any]], start: Key) -> Visit:
    def record(key: Key, role: str, number: Any) -> Any:
        found.append(((*start, *key), role, number))
        return number

    return record


def _expressed(column: Sequence[Any], parameters: list[Parameter]) -> tuple[Parameter, str]:
    """The parameter that a column of numbers is or follows from, a new one where there is none."""
    for parameter in parameters:
        if all(
            number is None or value is None or number == value
            for number, value in zip(column, parameter.values, strict=True)
        ):
            parameter.values = [v if v is not None else n for v, n in zip(parameter.values, column, strict=True)]
            return parameter, "{}"
    for parameter in parameters:
        pairs = {
            (value, number)
            for value, number in zip(parameter.values, column, strict=True)
            if number is not None and value is not None
        }
        if (pattern := _relation(pairs)) is not None:
            return parameter, pattern
    parameters.append(Parameter(list(column)))
    return parameters[-1], "{}"


def _relation(pairs: set[tuple[Any, Any]]) -> str | None:
    """A formula for the second number of all pairs, e.g. ``4 * {}``."""
    if len(pairs) < 2 or not all(type(a) is int and type(b) is int and a > 0 for a, b in pairs):
        return None
    a, b = next(iter(pairs))
    if b > a and b % a == 0 and all(y == b // a * x for x, y in pairs):
        return f"{b // a} * {{}}"
    if b and a > b and a % b == 0 and all(x == a // b * y for x, y in pairs):
        return f"{{}} // {a // b}"
    if all(x % 2 == 1 and y == x // 2 for x, y in pairs):
        return "{} // 2"
    if len(pairs) > 2 and all(y - x == b - a for x, y in pairs):
        return f"{{}} + {b - a}" if b > a else f"{{}} - {a - b}"
    return None


def _name(parameters: list[Parameter], first: Parameter | None, last: Parameter | None) -> None:
    """Name the parameters, and order them: widths, other sizes, then those with a default."""
    taken: Counter[str] = Counter()
    for parameter in parameters:
        role = parameter.roles[0]
        if role in _FLAGS:
            parameter.default = False
        elif role in _WIDTHS and role not in ("in_features", "out_features"):
            if parameter is first and parameter is last:
                role = "channels"
            else:
                role = "in_channels" if parameter is first else "out_channels" if parameter is last else "channels"
        elif role in ("in_features", "out_features"):
            role = "in_features" if parameter is first else "out_features" if parameter is last else "features"
        elif role in DEFAULTS and DEFAULTS[role] in parameter.values:
            parameter.default = DEFAULTS[role]
        parameter.values = [
            next(v for v in parameter.values if v is not None) if value is None else value for value in parameter.values
        ]
        taken[role] += 1
        parameter.name = role if taken[role] == 1 else f"{role}{taken[role]}"
    order = ["in_channels", "in_features", "channels", "features", "out_channels", "out_features"]
    parameters.sort(key=lambda p: (p.default is not None, order.index(p.name) if p.name in order else len(order)))
