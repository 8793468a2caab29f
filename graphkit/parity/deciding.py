"""From the checks of many samples to one for each tensor.

A float32 gradient beyond its bound in one sample may lie at a kink of the model there (:mod:`graphkit.parity.floor`);
other samples decide by majority. Of several samples that were asked for, the worst stands for all.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from graphkit.parity.samples import Sample
    from graphkit.report.report import Check

__all__ = ["TRIALS", "Tally", "decided"]

TRIALS: Final = 5
"""Samples that decide, by majority, over a float32 gradient that is beyond its bound in the first."""


def decided(
    checks_of: Callable[[Sample, int], list[Check]], sample: Sample, known: Callable[[Sample], bool] | None = None
) -> list[Check]:
    """The checks of a sample, where gradients that may lie at a kink there are decided by more samples.

    Args:
        checks_of: Gives the checks of a sample, or of one that stands in for it and which of these it is.
        sample: The sample.
        known: Whether a sample can be compared; None if all can.
    """
    first = checks_of(sample, 0)
    trials = {_key(check): [check] for check in first if _doubtful(check)}
    for index in range(1, TRIALS):
        if all(_is_decided(seen) for seen in trials.values()):
            break
        stand_in = sample.stand_in(index)
        if known is not None and not known(stand_in):
            break
        for check in checks_of(stand_in, index):
            if _key(check) in trials and check.peak:
                trials[_key(check)].append(check)
    return [_majority(trials.get(_key(check), [check])) for check in first]


class Tally:
    """The worst check of each tensor over the samples."""

    def __init__(self) -> None:
        self._worst: dict[tuple[str, ...], Check] = {}
        self._samples: list[str] = []

    def add(self, checks: Sequence[Check], sample: Sample) -> None:
        """Take the checks of a sample in."""
        self._samples.append(sample.label)
        for check in checks:
            failed = check.verdict == "fail"
            told = replace(check, sample=sample.label, failures=int(failed))
            known = self._worst.get(_key(check))
            if known is None:
                self._worst[_key(check)] = told
                continue
            worst = told if _badness(told) > _badness(known) else known
            self._worst[_key(check)] = replace(
                worst, samples=known.samples + 1, failures=known.failures + told.failures
            )

    @property
    def checks(self) -> list[Check]:
        """One check for each tensor, in the order of the first sample."""
        if len(self._samples) > 1:
            return list(self._worst.values())
        return [replace(check, sample="") for check in self._worst.values()]


def _badness(check: Check) -> tuple[bool, bool, float]:
    closeness = check.error / check.tol if check.tol else (math.inf if check.error else 0.0)
    return (check.verdict == "fail", check.verdict == "pass", closeness)


def _is_decided(trials: list[Check]) -> bool:
    failures = sum(trial.verdict == "fail" for trial in trials)
    return max(failures, len(trials) - failures) > TRIALS // 2


def _majority(trials: list[Check]) -> Check:
    """The first check that passed, with a note on those that did not, if most passed; else the first of all."""
    passed = [trial for trial in trials if trial.verdict == "pass"]
    failures = len(trials) - len(passed)
    if not failures or failures >= len(passed):
        return trials[0]
    told = f"beyond its bound, by {trials[0].error:.1e}, in {failures} of {len(trials)} samples"
    return replace(passed[0], note="; ".join(filter(None, (passed[0].note, told))))


def _doubtful(check: Check) -> bool:
    """Whether a kink may have failed a check: of a gradient, or after a step of training, in float32."""
    return check.verdict == "fail" and (check.kind.endswith("gradient") or check.step > 0) and check.floor > 0


def _key(check: Check) -> tuple[str, ...]:
    return (check.kind, check.name, check.left, check.right, str(check.step))
