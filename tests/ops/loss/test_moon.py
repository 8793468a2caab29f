"""MoonOutput, of a fork of MXNet, passes on its data; what it trains is not in the symbol."""

from __future__ import annotations

import pytest

from graphkit.errors import UnsupportedError
from graphkit.frameworks.base import InputSpec, ReadOptions
from graphkit.frameworks.mxnet.read import from_symbol
from graphkit.ops.mxgraph import MxGraph, MxModel, MxNode, MxRef


def test_its_loss_is_refused() -> None:
    variables = [MxNode("null", "data"), MxNode("null", "label")]
    node = MxNode("MoonOutput", "moon", {"src_dist_path": "weights.txt"}, [MxRef(variable) for variable in variables])
    model = MxModel(MxGraph([*variables, node], [MxRef(node)]))
    inputs = (InputSpec("data", (2, 5), "float32"),)
    assert [value.name for value in from_symbol(model, ReadOptions(inputs=inputs), "net").graph.inputs] == ["data"]
    with pytest.raises(UnsupportedError, match="numbers in weights"):
        from_symbol(model, ReadOptions(inputs=inputs, train=True), "net")
