"""Writing baselines while a comparison runs."""

from __future__ import annotations

import json
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np

from graphkit.errors import InputError
from graphkit.files import whole
from graphkit.parity.baseline import ABOUT, FORMAT, VERSION, digests
from graphkit.parity.conditions import plain_rule
from graphkit.parity.npz import Writer, called
from graphkit.parity.signature import signature_of
from graphkit.provenance import KEY, recording

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    import onnx_ir as ir

    from graphkit.frameworks.base import Batch, Rule, Step
    from graphkit.parity.conditions import Conditions
    from graphkit.parity.samples import Sample
    from graphkit.parity.sides import Arrays, Side

__all__ = ["SMALL", "Recorder"]

SMALL: Final = 1 << 20
"""Bytes up to which the drawn inputs of a sample are kept."""
_GROUPS: Final = ("outputs", "values", "gradients", "slopes")
"""What a side holds after a sample; see :class:`graphkit.parity.sides.Side`."""


class Recorder:
    """Writes a baseline while a comparison runs; a context manager that leaves no file behind without :meth:`save`.

    Args:
        path: File to write.
        model: The model compared, as it was read.
        conditions: How it is compared.
        title: What was compared, in words.
        environment: Versions and settings by name, as reports have them.

    Raises:
        InputError: The file cannot be written.
    """

    def __init__(
        self,
        path: Path,
        model: ir.Model,
        conditions: Conditions,
        *,
        title: str = "",
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._path = path
        self._stack = ExitStack()
        (self._draft,) = self._stack.enter_context(whole(path))
        self._record = self._stack.enter_context(recording(model))
        with self._writing():
            self._writer = Writer(self._draft)
        self._sides: dict[str, Side] = {}
        self._samples: list[dict[str, Any]] = []
        self._trainings: list[dict[str, Any]] = []
        self._about: dict[str, Any] = {
            "format": FORMAT,
            "version": VERSION,
            "title": title,
            "environment": dict(environment or {}),
            "settings": conditions.plain(),
            "model": asdict(signature_of(model)),
        }

    def add(
        self,
        sample: Sample,
        feeds: Arrays,
        sides: Sequence[Side],
        seeds: Arrays | None = None,
        floors: tuple[Mapping[str, float], Mapping[str, float]] = ({}, {}),
        stand_in: int = 0,
    ) -> None:
        """Record what sides gave for a sample.

        Args:
            sample: The sample.
            feeds: Its inputs, floats in float32.
            sides: The sides to keep: the reference of outputs, and that of gradients where it is another.
            seeds: Its cotangents in float32; None where no gradients were computed.
            floors: Noise floors of outputs and of gradients, absolute, as far as they were measured.
            stand_in: Which of the samples that stand in for another one it is; 0 for one of its own.

        Raises:
            InputError: The disk is full, or an output is no array of numbers or strings.
        """
        number = len(self._samples)
        keep = sample.given is not None or sum(array.nbytes for array in feeds.values()) <= SMALL
        with self._writing():
            told: dict[str, Any] = {
                "label": sample.label,
                "seed": sample.seed,
                "batch": sample.batch,
                "stand_in": stand_in,
                "given": sample.given is not None,
                "feeds": digests(feeds),
                "shapes": {name: list(array.shape) for name, array in feeds.items()},
                "kept": self._arrays(f"samples/{number}/feeds", feeds) if keep else None,
                "seeds": None if seeds is None else digests(seeds),
                "floors": [dict(sorted(each.items())) for each in floors],
                "sides": {},
            }
            for side in sides:
                self._sides[side.name] = side
                folder = f"samples/{number}/{called(side.name)}"
                held = {group: getattr(side, group) for group in _GROUPS}
                told["sides"][side.name] = {
                    group: self._arrays(f"{folder}/{group}", arrays)
                    for group, arrays in held.items()
                    if arrays is not None
                }
        self._samples.append(told)

    def train(self, sample: Sample, side: Side, batches: Sequence[Batch], rule: Rule) -> None:
        """Begin to record steps of training of the side that is the reference of these.

        Args:
            sample: The sample that they begin with.
            side: The side.
            batches: What each step is made on, floats in float32.
            rule: The optimizer.

        Raises:
            InputError: The disk is full.
        """
        self._sides[side.name] = side
        folder = f"training/{len(self._trainings)}"
        with self._writing():
            told = {
                "label": sample.label,
                "side": side.name,
                "rule": plain_rule(rule),
                "batches": [
                    {
                        "feeds": digests(batch.feeds),
                        "targets": self._arrays(f"{folder}/targets/{number}", batch.targets),
                        "scales": dict(batch.scales),
                        "weight": batch.weight,
                        "loss": batch.loss,
                    }
                    for number, batch in enumerate(batches)
                ],
                "steps": [],
                "floors": [],
            }
        self._trainings.append(told)

    def step(self, step: Step) -> None:
        """Record the next step of the training begun last.

        Raises:
            InputError: The disk is full.
        """
        steps = self._trainings[-1]["steps"]
        folder = f"training/{len(self._trainings) - 1}/{len(steps)}"
        groups: dict[str, Arrays] = {
            "outputs": step.outputs,
            "loss": {} if step.loss is None else {"loss": step.loss},
            "parameters": step.parameters,
            "buffers": step.buffers,
        }
        with self._writing():
            told: dict[str, Any] = {group: self._arrays(f"{folder}/{group}", each) for group, each in groups.items()}
        steps.append(told | {"unbiased": step.unbiased})

    def trained(self, floors: Sequence[Mapping[str, float]]) -> None:
        """Record the noise floors of the training begun last, in the order in which they were measured."""
        self._trainings[-1]["floors"] = [dict(sorted(each.items())) for each in floors]

    def save(self) -> None:
        """Complete the file and move it into place.

        Raises:
            InputError: It cannot be written, or nothing was recorded.
        """
        if not self._samples:
            raise InputError(f"There is nothing to record in {self._path}: no sample was compared.")
        sides = {
            name: {
                "runtime": side.runtime.name,
                "label": side.runtime.label,
                "version": side.runtime.version(),
                "dtype": side.dtype,
                "note": side.note,
            }
            for name, side in self._sides.items()
        }
        about = self._about | {"sides": sides, "samples": self._samples, "trainings": self._trainings}
        about[KEY] = json.loads(self._record.record().text())
        with self._writing():
            self._writer.text(ABOUT, json.dumps(about, indent=1, ensure_ascii=False) + "\n")
            self._writer.close()
        self._stack.close()

    def _arrays(self, folder: str, arrays: Arrays) -> dict[str, Any]:
        for name, array in arrays.items():
            if not isinstance(array, np.ndarray):
                raise InputError(
                    f"{name!r} is no tensor but a {type(array).__name__}, which baselines do not hold; end the "
                    "model before it."
                )
        return {name: self._writer.array(f"{folder}/{called(name)}", arrays[name]) for name in sorted(arrays)}

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise InputError(f"{self._path} cannot be written: {error.strerror or error}.") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        with suppress(OSError, ValueError):  # of a disk that is full
            self._writer.close()
        self._draft.unlink(missing_ok=True)
        self._stack.close()
