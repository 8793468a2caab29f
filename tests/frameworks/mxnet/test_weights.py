"""Parameters that a symbol lacks, or that do not fit it, are named when it is read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from mxsymbols import graph, op, var

from graphkit.errors import ParameterError
from graphkit.frameworks.base import InputSpec, ReadOptions
from graphkit.frameworks.mxnet.read import from_symbol
from graphkit.ops.mxgraph import MxModel, MxRef

if TYPE_CHECKING:
    import onnx_ir as ir

X = var("x")
STATES = ("gamma", "beta", "moving_mean", "moving_var")

NODES = {
    "Convolution": op(
        "Convolution", "n", X, var("weight"), var("bias"), kernel="(3, 2)", num_filter=6, num_group=2, pad="(1, 1)"
    ),
    "Deconvolution": op(
        "Deconvolution", "n", X, var("weight"), var("bias"), kernel="(2, 2)", num_filter=6, num_group=2, no_bias=False
    ),
    "FullyConnected": op("FullyConnected", "n", X, var("weight"), var("bias"), num_hidden=5),
    "last axis": op("FullyConnected", "n", X, var("weight"), var("bias"), num_hidden=5, flatten=False),
    "BatchNorm": op("BatchNorm", "n", X, *map(var, STATES), fix_gamma=False),
    "last channels": op("BatchNorm", "n", X, *map(var, STATES), axis=-1),
    "InstanceNorm": op("InstanceNorm", "n", X, var("gamma"), var("beta")),
    "LayerNorm": op("LayerNorm", "n", X, var("gamma"), var("beta")),
    "GroupNorm": op("GroupNorm", "n", X, var("gamma"), var("beta"), num_groups=2),
    "Embedding": op("Embedding", "n", X, var("weight"), input_dim=7, output_dim=5),
    "LeakyReLU": op("LeakyReLU", "n", X, var("gamma"), act_type="prelu"),
}
"""Nodes that read an input of shape 2×4×6×5."""
RIGHT = {
    "Convolution": {"weight": (6, 2, 3, 2), "bias": (6,)},
    "Deconvolution": {"weight": (4, 3, 2, 2), "bias": (6,)},
    "FullyConnected": {"weight": (5, 120), "bias": (5,)},
    "last axis": {"weight": (5, 5), "bias": (5,)},
    "BatchNorm": dict.fromkeys(STATES, (4,)),
    "last channels": dict.fromkeys(STATES, (5,)),
    "InstanceNorm": {"gamma": (4,), "beta": (4,)},
    "LayerNorm": {"gamma": (5,), "beta": (5,)},
    "GroupNorm": {"gamma": (2,), "beta": (2,)},
    "Embedding": {"weight": (7, 5)},
    "LeakyReLU": {"gamma": (4,)},
}
WRONG = [
    ("Convolution", "weight", (7, 2, 3, 2), "6×?×3×2"),
    ("Convolution", "weight", (6, 4, 3, 2), "6×2×3×2"),
    ("Convolution", "weight", (6, 2, 2, 3), "6×?×3×2"),
    ("Convolution", "weight", (6, 2, 3), "6×?×3×2"),
    ("Convolution", "bias", (5,), "6"),
    ("Convolution", "bias", (1, 6), "6"),
    ("Deconvolution", "weight", (6, 3, 2, 2), "4×3×2×2"),
    ("Deconvolution", "weight", (4, 6, 2, 2), "?×3×2×2"),
    ("Deconvolution", "bias", (4,), "6"),
    ("FullyConnected", "weight", (5, 119), "5×120"),
    ("FullyConnected", "weight", (120, 5), "5×?"),
    ("FullyConnected", "bias", (1,), "5"),
    ("last axis", "weight", (5, 120), "5×5"),
    ("BatchNorm", "gamma", (3,), "4"),
    ("BatchNorm", "moving_var", (4, 1), "4"),
    ("last channels", "beta", (4,), "5"),
    ("InstanceNorm", "beta", (1,), "4"),
    ("LayerNorm", "gamma", (4,), "5"),
    ("GroupNorm", "gamma", (4,), "2"),
    ("Embedding", "weight", (5, 7), "7×5"),
    ("LeakyReLU", "gamma", (3,), "4"),
]


def read(node: MxRef, shapes: dict[str, tuple[int, ...]], given: str = "x") -> ir.Model:
    arrays = {name: np.ones(shape, np.float32) for name, shape in shapes.items()}
    aux = {name: arrays.pop(name) for name in ("moving_mean", "moving_var") if name in arrays}
    return from_symbol(MxModel(graph(node), arrays, aux), ReadOptions((InputSpec(given, (2, 4, 6, 5)),)), "net")


@pytest.mark.parametrize("kind", NODES)
def test_parameters_that_fit_are_accepted(kind: str) -> None:
    assert len(read(NODES[kind], RIGHT[kind]).graph.outputs) == 1


@pytest.mark.parametrize(("kind", "name", "shape", "wanted"), WRONG)
def test_a_parameter_that_does_not_fit_is_named_with_both_shapes(
    kind: str, name: str, shape: tuple[int, ...], wanted: str
) -> None:
    with pytest.raises(ParameterError) as refused:
        read(NODES[kind], {**RIGHT[kind], name: shape})
    told = str(refused.value)
    assert f"'{name}' is {'×'.join(map(str, shape))}, and node 'n' ({NODES[kind].node.op})" in told
    assert f" asks for {wanted}. " in told


def test_a_shape_that_was_given_may_be_the_wrong_one() -> None:
    with pytest.raises(ParameterError, match=r"reads batch×4×6×5, asks for 5×120[.] Either --input gives another size"):
        read(NODES["FullyConnected"], {"weight": (5, 90), "bias": (5,)})
    with pytest.raises(ParameterError, match=r"asks for 5[.] Give the parameter file"):
        read(NODES["FullyConnected"], {"weight": (5, 120), "bias": (6,)})


@pytest.mark.parametrize(
    ("kind", "slot"), [(kind, slot) for kind, shapes in RIGHT.items() for slot in shapes if kind != "last channels"]
)
def test_a_parameter_that_is_lacking_is_named(kind: str, slot: str) -> None:
    shapes = {name: shape for name, shape in RIGHT[kind].items() if name != slot}
    with pytest.raises(ParameterError, match=rf"needs a value for 1 parameter more: {slot}\."):
        read(NODES[kind], shapes)


def test_a_fixed_gamma_may_be_lacking() -> None:
    read(NODES["last channels"], {name: shape for name, shape in RIGHT["last channels"].items() if name != "gamma"})


def test_a_symbol_without_a_parameter_file_says_so() -> None:
    with pytest.raises(ParameterError, match=r"2 parameters more: weight, bias\. There is no net-NNNN.params"):
        read(NODES["Convolution"], {})


def test_a_parameter_file_with_other_names_is_told_by_what_it_has() -> None:
    with pytest.raises(ParameterError, match=r"it has conv0_weight, conv0_bias\. Give the parameter file"):
        read(NODES["Convolution"], {"conv0_weight": (6, 2, 3, 2), "conv0_bias": (6,)})
