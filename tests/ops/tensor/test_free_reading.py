"""MXNet's tensor operators, read with the first axis of the first input free, still compute what MXNet does."""

from __future__ import annotations

import numpy as np
import pytest
from opcases import Use, mx_model, mx_uses

from graphkit.errors import GraphkitError
from graphkit.frameworks.base import InputSpec, ReadOptions, runtimes
from graphkit.frameworks.mxnet.read import from_symbol
from graphkit.ir.canonical import canonical
from graphkit.ir.origin import Source, set_source
from graphkit.ops.index import index

ROOMS = {id(op) for module, op in index().ops if module.startswith("graphkit.ops.tensor.")}
GUESSED = {"squeeze>Squeeze-all", "squeeze>Squeeze-last axis left"}
"""Uses whose first axis happens to have size 1, which reading cannot know and warns of."""
USES = [
    use
    for use in mx_uses()
    if id(use.op) in ROOMS and use.case.inputs and use.case.inputs[0] and use.case.inputs[0].shape
    if use.id not in GUESSED
]


@pytest.mark.parametrize("use", USES, ids=[use.id for use in USES])
def test_a_free_first_axis_changes_nothing(use: Use) -> None:
    mx, feeds = mx_model(use)
    specs = tuple(
        InputSpec(name, (None, *array.shape[1:]) if name == "x0" else array.shape, array.dtype.name)
        for name, array in feeds.items()
    )
    options = ReadOptions(inputs=specs, dynamic_batch=False)
    if use.op.mx[0].op == "diag" and use.case.name != "of given axes":
        with pytest.raises(GraphkitError, match=r"can only be converted|size of the matrix"):
            from_symbol(mx, options, use.id)
        return
    model = canonical(from_symbol(mx, options, use.id))
    names = {v.name or "": f"node_output{number or ''}" for number, v in enumerate(model.graph.outputs)}
    set_source(model, Source("mxnet", "case", mx, names))
    with runtimes()["mxnet"].open(model) as session:
        expected = session.forward(feeds)
    kept = {value.name for value in model.graph.inputs}
    with runtimes()["reference"].open(model) as session:
        found = session.forward({name: array for name, array in feeds.items() if name in kept})
    for name, array in expected.items():
        assert found[name].shape == array.shape
        assert found[name].dtype == array.dtype
        np.testing.assert_allclose(found[name], array, rtol=1e-5, atol=1e-6)
