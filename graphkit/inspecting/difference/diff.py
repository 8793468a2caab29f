"""What is different between two models."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnx_ir as ir

from graphkit.inspecting.difference.arrays import Arrays
from graphkit.inspecting.difference.difference import Difference, check_aspects
from graphkit.inspecting.difference.ends import inputs_compared, outputs_compared
from graphkit.inspecting.difference.entries import Entries
from graphkit.inspecting.difference.nodes import Nodes
from graphkit.inspecting.difference.pairs import pair
from graphkit.inspecting.difference.parameters import match_arrays
from graphkit.inspecting.difference.rewrites import regions
from graphkit.inspecting.difference.sides import metadata_changes, read_both, side_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from graphkit.inspecting.difference.sides import Reader, Reading

__all__ = ["Compared", "compare", "compare_read", "diff"]


def diff(
    left: Any,
    right: Any,
    *,
    raw: bool = False,
    ignore: Collection[str] = (),
    left_options: Mapping[str, Any] | None = None,
    right_options: Mapping[str, Any] | None = None,
    warn: Callable[[str], None] | None = None,
    **options: Any,
) -> Difference:
    """Find out what is different between two models, of one framework or of two.

    Nodes, values and stored arrays meet by what they compute and read, not by name alone, so that two models in which
    everything is called otherwise, and stands in another order, differ in names only. What is computed in another way
    (an operator that is composed of others there, weights that are kept transposed or packed) is held to the same
    numbers on drawn inputs, and is no difference then.

    Both are read in canonical form (:func:`graphkit.load`); where one has none, both are read to be looked at
    (:func:`graphkit.look`).

    Args:
        left: The first model: what :func:`graphkit.load` takes, or what it gave.
        right: The second.
        raw: Whether nodes are compared as the files spell them; what is written otherwise is a difference then.
        ignore: Aspects that do not count, of ``"names"``, ``"parameters"`` and ``"metadata"``; they are told
            nevertheless, but for metadata.
        left_options: Arguments of :func:`graphkit.load` for the first model only, e.g. ``{"params": "a-0001.params"}``.
        right_options: The same for the second.
        warn: Receives what the user must know of; None for Python's :mod:`warnings`.
        **options: Arguments of :func:`graphkit.load` for both.

    Returns:
        The difference; ``.same`` says whether there is none.

    Raises:
        InputError: A source is not there or is nothing that graphkit reads, or an aspect is unknown.
        FormatError: A file is damaged.
        MissingError: A package that reads such a source is not installed.
    """
    given = [{**options, "warn": warn or _warn, **(own or {})} for own in (left_options, right_options)]
    readers = [_reader(source, each) for source, each in zip((left, right), given, strict=True)]
    labels = _label(left), _label(right)
    return compare_read(readers[0], readers[1], labels, raw=raw, ignore=ignore, warn=warn or _warn).difference


@dataclass(frozen=True, slots=True)
class Compared:
    """A difference with the two models, for whoever draws them.

    Attributes:
        difference: What is different.
        left: The first model.
        right: The second.
    """

    difference: Difference
    left: ir.Model
    right: ir.Model


def compare_read(
    left: Reader,
    right: Reader,
    labels: tuple[str, str],
    *,
    raw: bool = False,
    ignore: Collection[str] = (),
    warn: Callable[[str], None],
) -> Compared:
    """Read two models in the same way and find out what is different between them.

    Args:
        left: Reads the first.
        right: Reads the second.
        labels: What to call them; what they were read from if empty.
        raw: Whether nodes are compared as the files spell them.
        ignore: Aspects that do not count.
        warn: Is told why models are only looked at.
    """
    aspects = check_aspects(ignore)
    told: list[str] = []

    def tell(message: str) -> None:
        told.append(message)
        warn(message)

    one, two, reading = read_both(left, right, raw=raw, warn=tell)
    return Compared(compare(one, two, labels=labels, reading=reading, ignore=aspects, told=told), one, two)


def compare(
    left: ir.Model,
    right: ir.Model,
    *,
    labels: tuple[str, str] = ("", ""),
    reading: Reading = "canonical",
    ignore: Collection[str] = (),
    told: Collection[str] = (),
) -> Difference:
    """Find out what is different between two models that have been read.

    Args:
        left: The first model.
        right: The second; neither is changed.
        labels: What to call them; what they were read from if empty.
        reading: How they were read.
        ignore: Aspects that do not count.
        told: Warnings of the reading.
    """
    paired = pair(left, right)
    arrays = Arrays()
    stored = match_arrays(left, right, paired, arrays)
    nodes = Nodes(paired, stored, arrays)
    found = [] if reading == "as spelled" else regions(paired, nodes, arrays, main=(left.graph, right.graph))
    entries = Entries(left, right, paired, stored, arrays, nodes, found)
    sides = [side_of(model, label, reading) for model, label in zip((left, right), labels, strict=True)]
    aspects = check_aspects(ignore)
    return Difference(
        left=sides[0],
        right=sides[1],
        inputs=inputs_compared(left.graph, right.graph, paired.inputs),
        outputs=outputs_compared(left.graph, right.graph, paired.outputs, nodes, entries.settled),
        nodes=tuple(entries.nodes),
        parameters=tuple(entries.parameters),
        rewrites=tuple(entries.rewrites),
        metadata=() if "metadata" in aspects else metadata_changes(sides[0], sides[1]),
        ignored=aspects,
        warnings=tuple(told),
    )


def _reader(source: Any, options: dict[str, Any]) -> Reader:
    from graphkit.frameworks.convert import load, look

    def read(way: str) -> ir.Model:
        if isinstance(source, ir.Model):
            return source
        return load(source, **options) if way == "canonical" else look(source, raw=way == "as spelled", **options)

    return read


def _label(source: Any) -> str:
    return Path(source).name if isinstance(source, str | Path) else ""


def _warn(message: str) -> None:
    warnings.warn(message, stacklevel=4)
