"""The samples of a comparison: what every side is fed, drawn from seeds or given."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from graphkit.parity.inputs import draw_inputs

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import numpy.typing as npt
    import onnx_ir as ir

    from graphkit.frameworks.base import InputSpec
    from graphkit.parity.data import Given

    Arrays = Mapping[str, npt.NDArray[np.generic]]

__all__ = ["Sample", "drawn", "given"]

_APART: Final = 7919
"""Seeds between a sample and one that stands in for it."""
_NEAR: Final = 2.0**-6
"""How far, relative to each number, an input is moved that stands in for a given one."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What every side is fed once.

    Attributes:
        label: What reports call it, e.g. ``"seed 3, batch 8"`` or ``"images.npz"``.
        seed: Seed of the cotangents, and of the inputs where these are drawn.
        batch: Size of a free batch dimension; None for the usual one.
        given: Inputs by name, in float32 where they are floats; None where they are drawn.
    """

    label: str
    seed: int
    batch: int | None = None
    given: Arrays | None = None

    def feeds(self, model: ir.Model, inputs: Sequence[InputSpec] = ()) -> dict[str, npt.NDArray[np.generic]]:
        """The inputs, floats in float32.

        Args:
            model: The model in float32.
            inputs: Given shapes.

        Raises:
            InputError: As :func:`graphkit.parity.inputs.draw_inputs`.
        """
        return dict(self.given) if self.given is not None else draw_inputs(model, self.seed, self.batch, inputs)

    def stand_in(self, index: int) -> Sample:
        """Another sample of the same kind: of another seed, or with given floats moved by about a hundredth.

        Args:
            index: Which of many; 0 is the sample itself.
        """
        if not index:
            return self
        other = replace(self, seed=self.seed + index * _APART)
        if self.given is None:
            return other
        return replace(other, given={name: _moved(name, array, other.seed) for name, array in self.given.items()})


def drawn(seeds: Sequence[int], batches: Sequence[int]) -> list[Sample]:
    """A sample for each seed and batch size; without batch sizes the model's own or the usual one."""
    found = []
    for batch in batches or (None,):
        for seed in seeds:
            told = [f"seed {seed}"] if len(seeds) > 1 or not batches else []
            told += [f"batch {batch}"] if len(batches) > 1 else []
            found.append(Sample(", ".join(told) or f"seed {seed}", seed, batch))
    return found


def given(data: Iterable[Given], seed: int) -> Iterator[Sample]:
    """A sample for each that is given, read when its turn comes."""
    for number, one in enumerate(data):
        yield Sample(one.label, seed + number, None, one.feeds)


def _moved(name: str, array: npt.NDArray[np.generic], seed: int) -> npt.NDArray[np.generic]:
    if array.dtype.kind not in "fV" or bool(np.all(array == np.round(array.astype(np.float64)))):
        return array
    rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
    return (array.astype(np.float64) * (1 + rng.uniform(-_NEAR, _NEAR, array.shape))).astype(array.dtype)
