"""Which operators of which framework are converted: the rooms and the ledger as one table."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from graphkit.ops.spec import Limit

__all__ = ["UNKNOWN", "Support", "support", "told"]

UNKNOWN: Final = "graphkit does not know it"
"""The reason of an operator that is in neither a room nor the ledger, which the tests let none be."""

_CLAIMS: Final = {
    "onnxruntime": "on ONNX Runtime",
    "schema": "as an MXNet symbol",
    "mxnet": "on MXNet",
    "mxnet-float64": "on MXNet in float64",
    "mxnet-backward": "gradients on MXNet",
    "round-trip": "to MXNet and back",
    "read": "against MXNet",
    "read-float64": "against MXNet in float64",
    "read-backward": "gradients against MXNet",
    "read-round-trip": "from MXNet and back",
    "torch": "in torch source",
    "torch-float64": "in torch source in float64",
    "torch-backward": "gradients in torch source",
    "read-torch": "from MXNet to torch source",
    "gradient": "gradients in ONNX operators",
    "gradient-onnxruntime": "gradients on ONNX Runtime",
}
"""Where a limit holds, for readers; the claims are those of ``tests/test_ops.py``."""


@dataclass(frozen=True, slots=True)
class Support:
    """One operator of one framework.

    Attributes:
        framework: Name of the framework whose operator it is.
        operator: Its name; ONNX operators of other domains as ``domain:Type``.
        becomes: What it is converted to, by the name of the other framework: names of operators, ``"several"`` for a
            composition. A framework that is not there is not reached.
        reason: Why a framework is not reached, empty where all are.
        limits: Known gaps of what is converted, as clauses.
        aliases: Other names of it.
        room: Where its translation lives, as a path within the package.
        differentiable: Whether gradients pass it in graphs of ONNX operators.
    """

    framework: str
    operator: str
    becomes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    reason: str = ""
    limits: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    room: str = ""
    differentiable: bool = False


def support(framework: str | None = None, pattern: str = "") -> list[Support]:
    """The operators of all frameworks, or of one.

    Args:
        framework: Name of the one.
        pattern: Part of the names or aliases to look for, in any case of letters.
    """
    from graphkit.frameworks.base import frameworks

    wanted = pattern.casefold()
    return [
        row
        for name, found in frameworks().items()
        if framework in (None, name)
        for row in found.operators()
        if any(wanted in one.casefold() for one in (row.operator, *row.aliases))
    ]


def told(limits: Iterable[Limit]) -> tuple[str, ...]:
    """Limits as clauses, each reason once with all the places where it holds."""
    where: dict[str, dict[str, None]] = {}
    for limit in limits:
        where.setdefault(limit.reason, {})[_CLAIMS[limit.where]] = None
    return tuple(f"{', '.join(places)}: {reason}" for reason, places in where.items())
