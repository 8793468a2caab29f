"""What the noise floor is measured against."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from graphkit.errors import ExecutionError
from graphkit.frameworks.base import runtimes
from graphkit.parity.floor import measured_floors, spread, sway

SINGLE = np.array([1.0, 2.0, 3.0], np.float32)
DOUBLE = np.array([1.0, 2.0, 3.25])


class Session:
    """Gives the same output and gradient whatever it is fed."""

    tappable: frozenset[str] = frozenset()

    def __init__(self, array: np.ndarray) -> None:
        self.array = array

    def forward(self, feeds: Any, taps: Any) -> dict[str, np.ndarray]:  # noqa: ARG002 -- that of a session
        return {"y": self.array}

    def backward(self, feeds: Any, seeds: Any, taps: Any) -> dict[str, np.ndarray]:  # noqa: ARG002 -- likewise
        return {"w": 2 * self.array}


def floors_on(doubles: dict[str, np.ndarray]) -> tuple[tuple[dict[str, float], dict[str, float]], str]:
    """Floors of a model of which ONNX Runtime, the reference, and PyTorch give these numbers in float64."""

    def session(runtime: Any, _native: bool, dtype: str, _mode: str) -> Session:
        if runtime.name not in doubles:
            raise ExecutionError("it cannot run this")
        return Session(doubles[runtime.name] if dtype == "float64" else SINGLE)

    pool = SimpleNamespace(session=session)
    side: Any = SimpleNamespace(runtime=runtimes()["ort"], pool=pool, mode="eval", native=True, name="ort")
    return measured_floors(side, {}, {})


def test_a_runtime_that_has_no_numbers_in_float64_is_no_measure() -> None:
    """A floor of zero would let a residue of rounding pass for a gradient."""
    lost = np.array([1.0, np.nan, np.inf])
    floors, warning = floors_on({"ort": lost, "torch": DOUBLE})
    assert floors == ({"y": 0.25}, {"w": 0.5})
    assert warning == ""
    floors, warning = floors_on({"ort": lost, "torch": lost})
    assert floors == ({"y": 0.0}, {"w": 0.0})
    assert "gives the model's numbers in float64" in warning
    with pytest.raises(ExecutionError, match="'w' has NaN"):
        spread([{"w": lost}], lambda _index: [{"w": SINGLE}])


def test_what_overflows_in_float32_alone_does_not_count() -> None:
    short = np.array([1.0, np.inf, 3.0], np.float32)
    assert spread([{"y": DOUBLE}], lambda _index: [{"y": short}]) == [{"y": 0.25}]


def test_a_gradient_sways_by_as_much_as_inputs_that_hardly_move_move_it() -> None:
    class Cancels(Session):
        def backward(self, feeds: Any, seeds: Any, taps: Any = ()) -> dict[str, np.ndarray]:  # noqa: ARG002 -- likewise
            return {"w": feeds["x"].sum(keepdims=True) - 6.5, "b": np.ones(2)}

    found = sway(Cancels(DOUBLE), {"x": DOUBLE + 0.125}, {})
    assert 1e-12 < found["w"] < 7e-11
    assert found["b"] == 0
