"""Models from text, and the torch source of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from graphkit.frameworks.base import runtimes
from graphkit.frameworks.torch.source.flat import flat
from graphkit.frameworks.torch.source.program import to_program
from graphkit.ir import params
from graphkit.ir.canonical import canonical
from graphkit.passes.cast_floats import cast_floats

if TYPE_CHECKING:
    import numpy.typing as npt


def model_of(signature: str, result: str, body: str, held: str = "") -> ir.Model:
    """A model whose stored matrices and vectors of floats are trained, and whose numbers are constants."""
    stored = f"<{held}>" if held else ""
    text = f'<ir_version: 10, opset_import: ["": 23]> g ({signature}) => ({result}) {stored} {{ {body} }}'
    model = ir.from_onnx_text(text)
    for value in model.graph.initializers.values():
        assert value.const_value is not None
        params.set_kind(value, "parameter" if value.const_value.size > 1 else "constant")
    return canonical(model)


def lines_of(model: ir.Model) -> list[str]:
    """The layers and statements of a model, in order."""
    lines = [line.strip() for line in flat(to_program(model), ()).text.splitlines()]
    return [line for line in lines if " = " in line]


def agree(model: ir.Model, *feeds: npt.ArrayLike) -> None:
    """Torch computes what the reference does, in the same dtype."""
    named = {value.name or "": np.asarray(array) for value, array in zip(model.graph.inputs, feeds, strict=True)}
    with runtimes()["torch"].open(model, native=False) as session:
        (found,) = session.forward(named).values()
    with runtimes()["reference"].open(model) as session:
        (expected,) = session.forward(named).values()
    assert found.dtype == expected.dtype
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6 * np.abs(expected).max())


def assert_as_native(model: ir.Model) -> None:
    """The source computes what the module did: outputs and gradients in float64, by the names of the model."""
    model = cast_floats(model, "float64")
    rng = np.random.default_rng(5)
    feeds = {
        value.name or "": rng.standard_normal([dim if isinstance(dim, int) else 2 for dim in value.shape or ()])
        for value in model.graph.inputs
    }
    with runtimes()["torch"].open(model) as native, runtimes()["torch"].open(model, native=False) as converted:
        expected = native.forward(feeds)
        seeds = {key: rng.standard_normal(array.shape) for key, array in expected.items()}
        for left, right in (
            (converted.forward(feeds), expected),
            (converted.backward(feeds, seeds), native.backward(feeds, seeds)),
        ):
            assert list(left) == list(right)
            for key, array in right.items():
                np.testing.assert_allclose(left[key], array, rtol=0, atol=1e-12 * max(np.abs(array).max(), 1e-3))
