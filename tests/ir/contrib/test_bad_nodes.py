"""Nodes of other domains that contradict themselves stay, and say what is wrong; nothing is made of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from contribruns import contrib_model

from graphkit.errors import GraphkitError, UnsupportedError
from graphkit.frameworks.mxnet.write import to_symbol
from graphkit.frameworks.torch.source.program import to_program
from graphkit.ir.canonical import canonical
from graphkit.passes.cast_floats import cast_floats

X = np.ones((2, 3, 8), np.float32)
SQUARE = np.ones((8, 24), np.float32)
BYTES = np.ones((4, 2, 8), np.uint8)


@pytest.mark.parametrize(
    ("op", "inputs", "attrs", "said"),
    [
        ("Attention", [X, SQUARE], {}, "no num_heads"),
        ("Attention", [X, SQUARE], {"num_heads": 0}, "num_heads=0, which must be at least 1"),
        ("MatMulNBits", [X, BYTES, np.ones((4, 2), np.float32)], {"K": 32, "N": 4}, "no block_size"),
        ("MatMulNBits", [X, BYTES, np.ones((4, 2), np.float32)], {"K": 64, "N": 5, "block_size": 16}, "do not fit"),
        ("FusedConv", [X, SQUARE], {"activation": "Wiggle"}, None),
        ("SkipLayerNormalization", [X, X, None], {}, "input 2 is missing"),
        ("NoSuchOperator", [X], {}, "NoSuchOperator"),
    ],
)
def test_damaged_nodes(op: str, inputs: list[Any], attrs: dict[str, Any], said: str | None) -> None:
    model, _ = contrib_model(op, inputs, attrs, const=(1, 2))
    with pytest.raises(GraphkitError, match=said):
        to_program(canonical(model))


@pytest.mark.parametrize("write", [to_program, to_symbol])
def test_reasons_outlast_a_copy(write: Any) -> None:
    model, _ = contrib_model("Attention", [X, SQUARE], {"num_heads": 2, "do_rotary": 1}, const=(1,))
    with pytest.raises(UnsupportedError, match="do_rotary=1"):
        write(cast_floats(canonical(model), "float64"))


def test_trees_whose_lists_differ_in_length() -> None:
    attrs = {"nodes_treeids": [0], "nodes_nodeids": [0, 1], "nodes_modes": ["LEAF"], "n_targets": 1}
    model, _ = contrib_model("TreeEnsembleRegressor", [X[0]], attrs, domain="ai.onnx.ml")
    with pytest.raises(UnsupportedError, match="do not fit each other"):
        to_program(canonical(model))
