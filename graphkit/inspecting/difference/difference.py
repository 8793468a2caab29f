"""What is different between two models, as plain data; nothing in it refers to the models themselves."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, get_args

from graphkit.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from graphkit.ir.describe import Dims, Tensor
    from graphkit.ir.pairing import How
    from graphkit.ir.params import Kind

__all__ = [
    "ASPECTS",
    "Aspect",
    "Change",
    "Difference",
    "NodeDifference",
    "Numbers",
    "ParameterDifference",
    "Place",
    "Rewrite",
    "Side",
    "Status",
    "Stored",
    "ValueDifference",
    "check_aspects",
]

Status: TypeAlias = Literal[
    "same", "renamed", "moved", "changed", "replaced", "rewritten", "folded", "added", "removed"
]
"""How a thing of the first model is in the second: the same; only called otherwise; reading other values; with other
attributes, numbers, type or shape; another operator in its place; part of a computation that is written otherwise there
and gives the same; part of one that was folded into weights; only in the second; only in the first."""

Aspect: TypeAlias = Literal["names", "parameters", "metadata"]
"""What may be left out of a comparison: what things are called, the numbers of stored arrays, notes on the files."""
ASPECTS: Final[tuple[Aspect, ...]] = get_args(Aspect)


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that is otherwise.

    Attributes:
        what: ``"operator"``, ``"attribute"``, ``"input"``, ``"output"``, ``"constant"``, ``"dtype"``, ``"shape"``,
            ``"kind"``, ``"gradient"`` or ``"metadata"``.
        name: Which one, e.g. ``"kernel_shape"`` or ``"inputs[1]"``; empty where there is only one.
        old: It in the first model, for people; None for nothing.
        new: It in the second model.
    """

    what: str
    name: str
    old: str | None
    new: str | None

    def __str__(self) -> str:
        """The change in one line, e.g. ``kernel_shape: [3, 3] → [5, 5]``."""
        old, new = ("none" if each is None else each for each in (self.old, self.new))
        return f"{self.name or self.what}: {old} → {new}"


@dataclass(frozen=True, slots=True)
class Place:
    """A node of one model.

    Attributes:
        number: Which one it is of the operators in the model's order, from 0; those in bodies follow their owner. None
            for a node that only holds a constant, or is in a function.
        name: Its name; may be empty.
        op: Its operator.
        domain: The operator's domain.
        scope: Path of the module that holds it.
        body: Which body holds it, e.g. ``"loop1/body"``, or ``"function f"``; empty for the main graph.
    """

    number: int | None
    name: str
    op: str
    domain: str
    scope: str
    body: str


@dataclass(frozen=True, slots=True)
class NodeDifference:
    """A node of the first model and its counterpart, or one without.

    Attributes:
        status: How they differ.
        left: The node of the first model; None for an added one.
        right: That of the second; None for a removed one.
        how: How they were found, see :class:`graphkit.ir.alignment.Pair`.
        changes: What is otherwise, but for the name.
        parameters: Indices of the changed ones among :attr:`Difference.parameters` that it reads.
        rewrite: Index among :attr:`Difference.rewrites` of the one that it is part of; None for none.
    """

    status: Status
    left: Place | None
    right: Place | None
    how: How
    changes: tuple[Change, ...] = ()
    parameters: tuple[int, ...] = ()
    rewrite: int | None = None

    @property
    def renamed(self) -> bool:
        """Whether both have names, and others."""
        return self.left is not None and self.right is not None and self.left.name != self.right.name


@dataclass(frozen=True, slots=True)
class Stored:
    """A stored array of one model.

    Attributes:
        name: Name of its value.
        kind: ``"parameter"``, ``"buffer"`` or ``"constant"``.
        dtype: numpy's name of its element type; None where not known.
        shape: Its dimensions; None where not known.
        bytes: Its size; None where there is no data.
    """

    name: str
    kind: Kind
    dtype: str | None
    shape: Dims | None
    bytes: int | None


@dataclass(frozen=True, slots=True)
class Numbers:
    """How far two arrays of one shape are from each other, as float64.

    Attributes:
        max_abs: Largest |old - new| of finite elements, and of infinite ones infinity.
        relative: The same as a share of max|old|, of finite elements.
        l2: ‖old - new‖ / ‖old‖, of finite elements.
        differing: Elements that are not equal; NaN equals NaN.
        elements: Elements of each.
    """

    max_abs: float
    relative: float
    l2: float
    differing: int
    elements: int


@dataclass(frozen=True, slots=True)
class ParameterDifference:
    """Stored arrays that are each other, or one without a counterpart.

    Attributes:
        status: ``"same"``, ``"renamed"``, ``"changed"``, ``"rewritten"`` (the same numbers in another layout),
            ``"folded"``, ``"added"`` or ``"removed"``.
        left: The array of the first model; several where the second keeps them in one.
        right: That of the second model.
        changes: Other element type, shape or kind.
        numbers: How far the numbers are from each other, where they differ and can be compared.
        note: What is to be known: ``"transposed"``, ``"the data is not there"``.
        readers: Nodes of the first model that read it (of the second, for an added one), by name.
    """

    status: Status
    left: tuple[Stored, ...]
    right: tuple[Stored, ...]
    changes: tuple[Change, ...] = ()
    numbers: Numbers | None = None
    note: str = ""
    readers: tuple[str, ...] = ()

    @property
    def renamed(self) -> bool:
        """Whether one array meets one of another name."""
        return len(self.left) == len(self.right) == 1 and self.left[0].name != self.right[0].name


@dataclass(frozen=True, slots=True)
class ValueDifference:
    """A graph input or output of the first model and its counterpart, or one without.

    Attributes:
        kind: ``"input"`` or ``"output"``.
        status: How they differ; ``"moved"`` for an output that another value is given as, or another position.
        left: The value of the first model.
        right: That of the second.
        changes: What is otherwise, but for the name.
    """

    kind: Literal["input", "output"]
    status: Status
    left: Tensor | None
    right: Tensor | None
    changes: tuple[Change, ...] = ()

    @property
    def renamed(self) -> bool:
        """Whether both are there, under other names."""
        return self.left is not None and self.right is not None and self.left.name != self.right.name


@dataclass(frozen=True, slots=True)
class Rewrite:
    """A computation that the two models write otherwise, and that was found to give the same.

    Attributes:
        kind: ``"layout"`` for arrays that are stored otherwise, ``"folded"`` for a normalisation, scaling or shift that
            is part of other weights in one model, ``"otherwise"`` for any other.
        left: Indices of its nodes among :attr:`Difference.nodes` that the first model has.
        right: Of those that the second has.
        error: max|old - new| / max|old| of its results on drawn inputs, 0 where these are bit for bit equal; None where
            they could not be compared, or hold parameters that changed.
    """

    kind: Literal["layout", "folded", "otherwise"]
    left: tuple[int, ...]
    right: tuple[int, ...]
    error: float | None


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two models.

    Attributes:
        label: What it was read from.
        framework: ``"torch"``, ``"mxnet"`` or ``"onnx"``; empty where not known.
        reading: ``"canonical"``, ``"looked at"`` (canonical as far as it can be) or ``"as spelled"``.
        operators: Operators, those in bodies included.
        untranslated: Those of them that have no canonical form.
        parameters: Elements of its parameters.
        bytes: Bytes of its stored arrays.
        opsets: Version by domain.
        metadata: Further notes on the file by name.
    """

    label: str
    framework: str
    reading: Literal["canonical", "looked at", "as spelled"]
    operators: int
    untranslated: int
    parameters: int
    bytes: int
    opsets: Mapping[str, int]
    metadata: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Difference:
    """What is different between two models.

    Attributes:
        left: The first model.
        right: The second.
        inputs: Every input once, in the first model's order and then the second's; likewise all below.
        outputs: Every output.
        nodes: Every operator of both, those in bodies after their owners.
        parameters: Every stored array but small constants, which are told with the nodes that read them.
        rewrites: Computations that give the same and are written otherwise.
        metadata: Notes on the files that differ: opsets, the graph's name, …. They do not make models different.
        ignored: What was left out of :attr:`same`.
        warnings: What is to be known of the reading and the comparison.
    """

    left: Side
    right: Side
    inputs: tuple[ValueDifference, ...]
    outputs: tuple[ValueDifference, ...]
    nodes: tuple[NodeDifference, ...]
    parameters: tuple[ParameterDifference, ...]
    rewrites: tuple[Rewrite, ...] = ()
    metadata: tuple[Change, ...] = ()
    ignored: frozenset[Aspect] = frozenset()
    warnings: tuple[str, ...] = ()

    @property
    def same(self) -> bool:
        """Whether nothing differs that counts.

        Names count unless they are ignored. A computation that is written otherwise and gives the same does not count,
        nor do weights in another layout; what was folded into weights does, as it trains otherwise.
        """
        return not any(self.counts().values())

    @property
    def called(self) -> tuple[ValueDifference | NodeDifference | ParameterDifference, ...]:
        """Everything that has a name."""
        return (*self.inputs, *self.outputs, *self.nodes, *self.parameters)

    def counts(self) -> dict[str, int]:
        """Number of differences that count, by what they are; of what is ignored there is 0."""
        names = "names" not in self.ignored
        numbers = "parameters" not in self.ignored
        ends = Counter(each.status for each in (*self.inputs, *self.outputs))
        nodes = Counter(each.status for each in self.nodes)
        arrays = Counter(each.status for each in self.parameters if numbers or not each.numbers)
        found = {
            "inputs and outputs": sum(ends[status] for status in ("added", "removed", "changed", "moved")),
            "nodes removed": nodes["removed"],
            "nodes added": nodes["added"],
            "nodes replaced": nodes["replaced"],
            "nodes changed": nodes["changed"],
            "nodes rewired": nodes["moved"],
            "foldings": sum(each.kind == "folded" for each in self.rewrites),
            "parameters removed": arrays["removed"],
            "parameters added": arrays["added"],
            "parameters changed": arrays["changed"],
        }
        renamed = sum(each.renamed for each in self.called if each.status not in ("rewritten", "folded", "replaced"))
        return found | {"names": renamed if names else 0}


def check_aspects(names: Collection[str]) -> frozenset[Aspect]:
    """The aspects of these names.

    Raises:
        InputError: One is not there.
    """
    found = frozenset(aspect for aspect in ASPECTS if aspect in names)
    if unknown := sorted(set(names) - found):
        raise InputError(f"{unknown[0]!r} is nothing that a comparison can leave out; that is {', '.join(ASPECTS)}.")
    return found
