"""Gradients on runtimes that execute ONNX: by a graph that computes them, in ONNX's own operators."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphkit.frameworks.feeds import check_feeds, check_gradient_taps, check_seeds, inner_tensors
from graphkit.ir.canonical.aliases import drop_unused
from graphkit.ir.training import cotangents_of, gradients_of
from graphkit.passes.gradient.model import gradient_model, trained_values

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    import numpy.typing as npt
    import onnx_ir as ir

    from graphkit.frameworks.base import Arrays, Session

__all__ = ["Gradients"]


class Gradients:
    """The gradients of a model, computed by sessions of gradient models; one of them is kept.

    Args:
        model: A canonical model.
        open_: Opens a session of a model.
    """

    def __init__(self, model: ir.Model, open_: Callable[[ir.Model], Session]) -> None:
        self._model = model
        self._open = open_
        self._held: tuple[tuple[str, ...], Session, dict[str, str], dict[str, str]] | None = None

    @property
    def notes(self) -> tuple[str, ...]:
        """Those of the session of a gradient model, where one is open."""
        return () if self._held is None else tuple(f"In the backward pass: {note}" for note in self._held[1].notes)

    def run(self, feeds: Arrays, seeds: Arrays, taps: Sequence[str]) -> dict[str, npt.NDArray[np.generic]]:
        """What :meth:`graphkit.frameworks.base.Session.backward` gives."""
        checked = check_feeds(self._model, feeds)
        given = check_seeds(self._model, seeds)
        inner = check_gradient_taps(self._model, taps, frozenset(inner_tensors(self._model)))
        session, ends, gradients = self._session(tuple(value.name or "" for value in inner))
        found = session.forward({**checked, **{ends[name]: seed for name, seed in given.items()}})
        return {name: found[gradient] for name, gradient in gradients.items()}

    def close(self) -> None:
        """Free the session."""
        if self._held is not None:
            self._held[1].close()
            self._held = None

    def _session(self, taps: tuple[str, ...]) -> tuple[Session, dict[str, str], dict[str, str]]:
        """A session, its cotangents by the names of the outputs, and its gradients by what they are the gradient in."""
        if self._held is None or self._held[0] != taps:
            self.close()
            wanted = [value.name or "" for value in trained_values(self._model)]
            backward = gradient_model(self._model, [*wanted, *taps])
            names = gradients_of(backward)
            kept = set(names.values())
            for value in [value for value in backward.graph.outputs if value.name not in kept]:
                backward.graph.outputs.remove(value)
            drop_unused(backward)
            self._held = taps, self._open(backward), cotangents_of(backward), names
        return self._held[1:]
