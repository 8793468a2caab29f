"""Who is compared with whom: the sides that run a model, or two, and what is not there."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from graphkit.errors import MissingError
from graphkit.frameworks.base import frameworks, runtime_named, runtimes
from graphkit.ir.origin import source_of
from graphkit.ir.training import losses
from graphkit.parity.match import match
from graphkit.parity.sides import Side
from graphkit.report.report import Check

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from collections.abc import Set as AbstractSet

    import onnx_ir as ir

    from graphkit.frameworks.base import Ability, Mode, Runtime
    from graphkit.parity.match import Matching
    from graphkit.parity.sides import Pool, Precision

__all__ = ["DEFAULT", "Lineup", "label_of", "lineup"]

DEFAULT: Final = ("torch", "mxnet", "ort")
"""Runtimes compared where none are named."""


@dataclass(slots=True)
class Lineup:
    """The sides of a comparison.

    Attributes:
        sides: The sides, the reference first.
        absent: A check for each runtime that is not there.
        versions: Version of each runtime by its name.
        matching: Where two models are compared, what of the one meets what of the other; None for one model.
    """

    sides: list[Side] = field(default_factory=list)
    absent: list[Check] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)
    matching: Matching | None = None


def lineup(
    model: ir.Model,
    other: ir.Model | None,
    on: Sequence[str | Runtime],
    pools: tuple[Pool, Pool],
    dtype: Precision,
    mode: Mode,
    *,
    taps: bool = False,
    needs: AbstractSet[Ability] = frozenset(),
) -> Lineup:
    """The sides that compare a model on several runtimes, or with another model.

    Args:
        model: The model.
        other: Another one that is to compute the same.
        on: Runtimes, by name or as objects; those of ``other`` where it is given.
        pools: Where the two models are opened.
        dtype: Precision.
        mode: How BatchNorm and Dropout behave.
        taps: Whether values between nodes are compared.
        needs: What sides have to be able to do besides running forward.

    Raises:
        InputError: No runtime has that name, or the models have other inputs or outputs.
        MissingError: A named runtime is not installed.
    """
    found = _sides(model, on, pools[0], dtype) if other is None else _two(model, other, on, pools, dtype, taps, needs)
    for side in found.sides:
        side.mode = mode
    return found


def label_of(model: ir.Model) -> str:
    """How reports call a model."""
    source = source_of(model)
    return source.label if source is not None else model.graph.name or "model"


def _sides(model: ir.Model, on: Sequence[str | Runtime], pool: Pool, dtype: Precision) -> Lineup:
    """Those of the source's own framework first."""
    source = source_of(model)
    found = Lineup()
    at_home = 0
    for runtime in _resolved(on or DEFAULT):
        if (problem := runtime.missing()) is not None:
            if on:
                raise MissingError(f"{runtime.label} is not available: {problem}.")
            found.absent.append(Check("forward", "", "", runtime.name, "unavailable", note=problem))
            continue
        found.versions[runtime.name] = runtime.version()
        home = source is not None and runtime in frameworks()[source.framework].runtimes
        native = source is not None and runtime.native == source.framework
        side = Side(runtime.name, runtime, native, pool, dtype)
        found.sides.insert(at_home if home else len(found.sides), side)
        at_home += home
        if native and frameworks()[runtime.native].write is not None:
            found.sides.append(Side(f"{runtime.name} (rewritten)", runtime, False, pool, dtype, implied=True))
    return found


def _two(
    model: ir.Model,
    other: ir.Model,
    on: Sequence[str | Runtime],
    pools: tuple[Pool, Pool],
    dtype: Precision,
    taps: bool,
    needs: AbstractSet[Ability],
) -> Lineup:
    """The first model at home, the second there or where it is asked for."""
    matching = match(model, other, taps=taps)
    with _advised("; or give the other model first, and name what else is to run this one, as with --on ort"):
        first = _sides(model, _home(model, needs, dtype), pools[0], dtype)
    with _advised("" if on else "; or name what else is to run the other model, as with --on ort"):
        second = _sides(other, on or _home(other, needs, dtype), pools[1], dtype)
    for side in second.sides:
        side.name = f"{label_of(other)} on {side.runtime.name}"
        side.names, side.boxed, side.orders = matching.names, matching.boxed, matching.orders
        side.levels = pools[0].float_types != pools[1].float_types
    # An output layer gives no loss itself, its rewritten form does.
    kept = [side for side in first.sides if not side.implied or losses(model)]
    return Lineup(
        [*kept, *(side for side in second.sides if not side.implied)],
        first.absent + second.absent,
        first.versions | second.versions,
        matching,
    )


@contextmanager
def _advised(advice: str) -> Iterator[None]:
    """What else to do where a runtime is missing."""
    try:
        yield
    except MissingError as error:
        raise MissingError(f"{str(error).removesuffix('.')}{advice}.") from error


def _home(model: ir.Model, needs: AbstractSet[Ability], dtype: Precision) -> list[Runtime]:
    """The first runtime of the framework that a model comes from; another one with it where that does not do.

    ONNX Runtime lacks most kernels of float64.
    """
    source = source_of(model)
    home = frameworks()["onnx" if source is None else source.framework].runtimes[0]
    if needs <= home.can and (dtype != "float64" or home.native != "onnx"):
        return [home]
    known = runtimes()
    able = (known[name] for name in DEFAULT if name in known and needs <= known[name].can)
    return [home, *[runtime for runtime in able if runtime is not home and runtime.missing() is None][:1]]


def _resolved(on: Sequence[str | Runtime]) -> list[Runtime]:
    found: dict[str, Runtime] = {}
    for choice in on:
        runtime = runtime_named(choice) if isinstance(choice, str) else choice
        found[runtime.name] = runtime
    return list(found.values())
