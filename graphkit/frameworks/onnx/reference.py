"""The ONNX reference evaluator as a runtime, its known mistakes corrected: slow, and a second opinion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from graphkit.errors import ExecutionError
from graphkit.frameworks.base import EXECUTION
from graphkit.frameworks.feeds import check_feeds, check_taps, inner_tensors

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import numpy.typing as npt
    import onnx_ir as ir

    from graphkit.frameworks.base import Ability, Arrays, Batch, Execution, Mode, Rule, Setting, Step

__all__ = ["ReferenceRuntime", "ReferenceSession"]


@dataclass(frozen=True, slots=True)
class ReferenceRuntime:
    """``onnx.reference``: ONNX's operators in plain numpy."""

    name: str = "reference"
    label: str = "ONNX reference evaluator"

    @property
    def can(self) -> frozenset[Ability]:
        """All that there is."""
        return frozenset({"forward", "taps", "backward", "train"})

    @property
    def native(self) -> str:
        """No framework's sources run on it as they are."""
        return ""

    def missing(self) -> str | None:
        """None: it comes with onnx, which graphkit needs anyway."""
        return None

    def version(self) -> str:
        """Version of onnx."""
        import onnx

        return f"onnx {onnx.__version__}"

    @property
    def follows(self) -> frozenset[Setting]:
        """None: numpy computes as it does."""
        return frozenset()

    def open(
        self,
        model: ir.Model,
        *,
        mode: Mode = "eval",
        native: bool = True,  # noqa: ARG002  # no sources are native to it
        execution: Execution = EXECUTION,  # noqa: ARG002  # it follows no setting
    ) -> ReferenceSession:
        """Open a canonical model.

        Raises:
            UnsupportedError: The session is to follow training mode, and nodes have no training form.
        """
        return ReferenceSession(model, mode)


class ReferenceSession:
    """A model opened in the reference evaluator."""

    def __init__(self, model: ir.Model, mode: Mode = "eval") -> None:
        import onnx_ir
        from onnx.reference import ReferenceEvaluator

        from graphkit.frameworks.onnx.corrections import CORRECTIONS
        from graphkit.frameworks.onnx.gradients import Gradients
        from graphkit.frameworks.onnx.mode import in_mode
        from graphkit.frameworks.onnx.proto import self_contained

        class Corrected(ReferenceEvaluator):
            """An evaluator that heeds the corrections within functions of a model, too."""

            def __init__(self, proto: Any, **options: Any) -> None:
                super().__init__(proto, **{**options, "new_ops": CORRECTIONS})

        self._neutral, self._mode = model, mode
        self._model = model = in_mode(model, mode)
        self._gradients = Gradients(model, ReferenceSession)
        try:
            self._evaluator: Any = Corrected(onnx_ir.to_proto(self_contained(model)))
        except Exception as error:
            raise ExecutionError(
                f"The ONNX reference evaluator refuses the model: {' '.join(str(error).split())}"
            ) from error

    @property
    def tappable(self) -> frozenset[str]:
        """Names of all tensors that nodes compute."""
        return frozenset(inner_tensors(self._neutral)) & frozenset(inner_tensors(self._model))

    @property
    def notes(self) -> tuple[str, ...]:
        """None."""
        return ()

    def forward(self, feeds: Arrays, taps: Sequence[str] = ()) -> dict[str, npt.NDArray[np.generic]]:
        """Outputs of the graph, and the values named in ``taps``.

        Raises:
            FeedError: A feed is missing, unknown, or of the wrong shape or dtype; a tap names no value.
            ExecutionError: An operator failed.
        """
        checked = check_feeds(self._model, feeds)
        check_taps(self._model, taps)
        try:
            with np.errstate(all="ignore"):
                found = self._evaluator.run(None, checked, intermediate=True)
        except Exception as error:
            raise ExecutionError(f"The ONNX reference evaluator failed: {' '.join(str(error).split())}") from error
        names = [value.name or "" for value in self._model.graph.outputs]
        return {name: np.asarray(found[name]) for name in dict.fromkeys([*names, *taps])}

    def backward(self, feeds: Arrays, seeds: Arrays, taps: Sequence[str] = ()) -> dict[str, npt.NDArray[np.generic]]:
        """Gradients of Σ⟨seed, output⟩ in every float input and every parameter, by a graph of ONNX operators.

        Raises:
            FeedError: A feed or a seed is missing, unknown, or of the wrong shape or dtype; a tap is no float.
            UnsupportedError: Nodes through which no gradient can be expressed.
            ExecutionError: An operator failed.
        """
        return self._gradients.run(feeds, seeds, taps)

    def train(self, batches: Iterable[Batch], rule: Rule) -> Iterator[Step]:
        """Train by a graph that makes a step, from the model's weights; the session does not change.

        Raises:
            FeedError: A feed or a target is missing, unknown, or of the wrong shape or dtype.
            UnsupportedError: Nodes through which no gradient can be expressed.
            ExecutionError: An operator failed.
        """
        from graphkit.frameworks.onnx.training import steps

        return steps(self._neutral, self._mode, ReferenceSession, batches, rule)

    def close(self) -> None:
        """Free the evaluator."""
        self._evaluator = None
        self._gradients.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
