"""How many multiply-adds a node makes: the matrix products and convolutions that it is made of.

Counted is what PyTorch counts (``torch.utils.flop_counter``): the multiply-adds of matrix products and convolutions,
whose two operands may both depend on what is trained. Padding counts like data, and neither biases, scales nor masks
count. ``docs/cost.md`` tells the whole convention.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from graphkit.ir.symbols import Size, broadcast, product, shape_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import onnx_ir as ir

__all__ = [
    "Macs",
    "Product",
    "attention",
    "contracted",
    "convolved",
    "deformed",
    "dense",
    "either",
    "matmul_macs",
    "multiplied",
    "projected",
    "recurrent",
    "transposed_convolution",
]


@dataclass(frozen=True, slots=True)
class Product:
    """One bilinear step of a node: a matrix product or a convolution.

    The gradient of either operand takes as many multiply-adds as the product itself.

    Attributes:
        macs: Multiply-adds, an int or a sympy polynomial in the names of dimensions; None where a size is unknown.
        left: Positions of the node's inputs that the left operand depends on.
        right: Positions of those that the right operand depends on.
        groups: Groups of a convolution. PyTorch counts the gradient of its weight, the right operand, as if there were
            one group, which is so many times the multiply-adds that there are.
    """

    macs: Size
    left: tuple[int, ...]
    right: tuple[int, ...]
    groups: int = 1


Macs: TypeAlias = "Callable[[ir.Node], Sequence[Product]]"
"""The products that a node makes."""


def _shape(value: ir.Value | None) -> tuple[Size, ...] | None:
    return None if value is None else shape_of(value)


def _input(node: ir.Node, index: int) -> ir.Value | None:
    return node.inputs[index] if index < len(node.inputs) else None


def either(*sizes: Size) -> Size:
    """The first of some spellings of one size that is known, a number if one of them is."""
    known = [size for size in sizes if size is not None]
    return next((size for size in known if isinstance(size, int)), known[0] if known else None)


def convolved(data: int = 0, weight: int = 1) -> Macs:
    """A convolution of one input with another: each number of the output takes one filter's."""

    def macs(node: ir.Node) -> Sequence[Product]:
        made, filters = _shape(node.outputs[0]), _shape(_input(node, weight))
        count = None if made is None or filters is None or not made else product((made[0], *made[2:], *filters))
        return (Product(count, (data,), (weight,), node.attributes.get_int("group", 1)),)

    return macs


def transposed_convolution(node: ir.Node) -> Sequence[Product]:
    """A transposed convolution: each number of the data takes a row of filters."""
    data, filters = _shape(_input(node, 0)), _shape(_input(node, 1))
    count = None if data is None or filters is None or not data else product((data[0], *data[2:], *filters))
    return (Product(count, (0,), (1,), node.attributes.get_int("group", 1)),)


def deformed(node: ir.Node) -> Sequence[Product]:
    """A convolution with data sampled at offsets, which are weighed; the samples' own interpolation does not count."""
    (found,) = convolved()(node)
    return (Product(found.macs, (0, 2, 4), (1,), found.groups),)


def dense(left: int = 0, right: int = 1) -> Macs:
    """A product of two matrices, either of which ``transA`` and ``transB`` may turn."""

    def macs(node: ir.Node) -> Sequence[Product]:
        a, b = _shape(_input(node, left)), _shape(_input(node, right))
        count = None
        if a is not None and b is not None and len(a) == len(b) == 2:
            rows, inner = a[::-1] if node.attributes.get_int("transA", 0) else a
            facing, columns = b[::-1] if node.attributes.get_int("transB", 0) else b
            count = product((rows, either(inner, facing), columns))
        return (Product(count, (left,), (right,)),)

    return macs


def multiplied(left: int = 0, right: int = 1) -> Macs:
    """A product of stacks of matrices as numpy's ``matmul``; a vector is a matrix of one row or column."""

    def macs(node: ir.Node) -> Sequence[Product]:
        a, b = _shape(_input(node, left)), _shape(_input(node, right))
        return (Product(matmul_macs(a, b, _shape(node.outputs[0])), (left,), (right,)),)

    return macs


def matmul_macs(a: tuple[Size, ...] | None, b: tuple[Size, ...] | None, made: tuple[Size, ...] | None = None) -> Size:
    """Multiply-adds of numpy's ``matmul`` of two shapes; ``made`` is the result's where it is known."""
    if not a or not b:
        return None
    inner = either(a[-1], b[-2] if len(b) > 1 else b[0])
    if made is None or None in made:
        rows, columns = (a[-2:-1], b[-1:] if len(b) > 1 else ())
        made = (*broadcast((a[:-2], b[:-2])), *rows, *columns)
    return product((*made, inner))


def attention(node: ir.Node) -> Sequence[Product]:
    """Scores of all queries and keys, and the values weighed by them; what masks hide counts, as PyTorch counts it."""
    query, key, value = (_shape(_input(node, index)) for index in range(3))
    past = _shape(_input(node, 4))
    queries, keys = node.attributes.get_int("q_num_heads", 0), node.attributes.get_int("kv_num_heads", 0)
    pairs = depth = width = None
    if query and key and value:
        length = key[-2]
        if past is not None:
            length = None if past[-2] is None or length is None else length + past[-2]
        if len(query) == len(key) == len(value) == 4:
            pairs = product((query[0], query[1], query[2], length))
            depth, width = either(query[3], key[3]), value[3]
        elif len(query) == len(key) == len(value) == 3:
            pairs = product((query[0], queries or None, query[1], length))
            depth, width = _share(query[2], queries), _share(value[2], keys)
    scores, weighed = product((pairs, depth)), product((pairs, width))
    return (Product(scores, (0,), (1, 4)), Product(weighed, (0, 1, 3, 4), (2, 5)))


def _share(size: Size, parts: int) -> Size:
    return size // parts if isinstance(size, int) and parts else None


def recurrent(gates: int) -> Macs:
    """All gates of a recurrent layer at all steps, in all directions: of the data, and of the state of the step before.

    The state before the first step is an input, so its product stands alone. Sequences count as long as the longest.
    """

    def macs(node: ir.Node) -> Sequence[Product]:
        data, weight, again = (_shape(_input(node, index)) for index in range(3))
        if data is None or len(data) != 3:
            of_data = first = others = None
        else:
            steps, batch, width = data
            if node.attributes.get_int("layout", 0):
                steps, batch = batch, steps
            hidden = node.attributes.get_int("hidden_size", 0) or (again[-1] if again else None)
            twice = node.attributes.get_string("direction", "forward") == "bidirectional"
            made = product((2 if twice else 1, batch, gates, hidden))
            of_data = product((made, steps, either(width, weight[-1] if weight else None)))
            first = product((made, hidden))
            others = None if first is None or steps is None else product((first, steps - 1))
        return (
            Product(of_data, (0,), (1,)),
            Product(first, (5,), (2,)),
            Product(others, (0, 1, 2, 3, 5, 6, 7), (2,)),
        )

    return macs


def projected(node: ir.Node) -> Sequence[Product]:
    """Like :func:`recurrent`, of an LSTM whose state is a projection, which is a product at each step."""
    data, weight, again, projection = (_shape(_input(node, index)) for index in range(4))
    if data is None or weight is None or again is None or projection is None:
        return tuple(Product(None, (0,), (place,)) for place in (1, 2, 3))
    steps, batch, width = data
    made = product((weight[0], batch, weight[1]))
    first = product((made, again[-1]))
    others = None if first is None or steps is None else product((first, steps - 1))
    down = product((weight[0], batch, steps, projection[1], projection[2]))
    state = (0, 1, 2, 3, 4, 6, 7)
    return (
        Product(product((made, steps, width)), (0,), (1,)),
        Product(first, (6,), (2,)),
        Product(others, state, (2,)),
        Product(down, state, (3,)),
    )


def contracted(node: ir.Node) -> Sequence[Product]:
    """An Einsum as PyTorch contracts it: from the left, two operands at a time.

    An axis that only one of the two has and nothing needs later is summed before, which takes no product. Where no axis
    is summed over, the numbers are multiplied one by one; that is no matrix product, and PyTorch counts none.
    """
    terms = _terms(node)
    if terms is None:
        return (Product(None, (0,), tuple(range(1, len(node.inputs)))),) if len(node.inputs) > 1 else ()
    operands, result, sizes = terms
    found = []
    current = operands[0]
    for index, other in enumerate(operands[1:], 1):
        later = set(result).union(*operands[index + 1 :])
        alone = {name for name in current ^ other if name not in later}
        summed = (current & other) - later
        kept = (current | other) - alone
        if summed:
            found.append(Product(product(sizes.get(name) for name in sorted(kept)), tuple(range(index)), (index,)))
        current = kept - summed
    return found


def _terms(node: ir.Node) -> tuple[list[set[str]], set[str], dict[str, Size]] | None:
    """The names of the axes of an Einsum's operands and of its result, and their sizes; an ellipsis's are numbers.

    An operand has no axis of size 1: such an axis only broadcasts.
    """
    equation = node.attributes.get_string("equation", "").replace(" ", "")
    left, arrow, right = equation.partition("->")
    shapes = [_shape(value) for value in node.inputs]
    operands: list[set[str]] = []
    every: list[str] = []
    sizes: dict[str, Size] = {}
    for text, shape in zip(left.split(","), shapes, strict=False):
        if shape is None:
            return None
        head, dots, tail = text.partition("...")
        between = [str(axis) for axis in range(len(shape) - len(head) - len(tail), 0, -1)] if dots else []
        names = [*head, *between, *tail]
        if len(names) != len(shape):
            return None
        every += names
        operands.append({name for name, size in zip(names, shape, strict=True) if size != 1})
        for name, size in zip(names, shape, strict=True):
            if size != 1:
                sizes[name] = either(sizes.get(name), size)
    if len(operands) != len(shapes):
        return None
    if arrow:
        dotted = {name for name in every if name.isdigit()} if "..." in right else set()
        result = set(right.replace("...", "")) | dotted
    else:
        result = {name for name in every if name.isdigit() or every.count(name) == 1}
    return operands, result, sizes
