"""Shapes of inputs that a symbol does not state but implies."""

from __future__ import annotations

import numpy as np
import pytest
from mxsymbols import graph, op, var

from graphkit.frameworks.base import ReadOptions
from graphkit.frameworks.mxnet.implied import implied
from graphkit.frameworks.mxnet.read import from_symbol
from graphkit.ops.mxgraph import MxModel, MxRef

SHAPES = {
    "w": (4, 3, 3, 3),
    "thin": (4, 3, 3),
    "up": (3, 4, 2, 2),
    "dense": (5, 12),
    "vector": (3,),
    "slope": (1,),
    "scale": (1, 3, 1, 1),
}
X = var("x")


def conv(data: MxRef, weight: str = "w", **attrs: object) -> MxRef:
    kernel = "(3, 3)" if weight == "w" else "(3,)"
    return op("Convolution", "conv", data, var(weight), kernel=kernel, num_filter=4, no_bias=True, **attrs)


def dense(data: MxRef, **attrs: object) -> MxRef:
    return op("FullyConnected", "fc", data, var("dense"), num_hidden=5, no_bias=True, **attrs)


def norm(data: MxRef, **attrs: object) -> MxRef:
    return op("BatchNorm", "bn", data, *[var("vector")] * 4, **attrs)


def embed(data: MxRef, size: int) -> MxRef:
    return op("Embedding", "embed", data, var("table"), input_dim=9, output_dim=size)


def shape_of(*heads: MxRef) -> tuple[int | None, ...] | None:
    return implied(graph(*heads), X.node, SHAPES).shape


@pytest.mark.parametrize(
    ("head", "shape"),
    [
        (conv(X), (None, 3, None, None)),
        (conv(X, "thin"), (None, 3, None)),
        (conv(X, num_group=2), (None, 6, None, None)),
        (conv(X, "unknown"), (None, None, None)),
        (conv(X, layout="NHWC"), (None, None, None, 3)),
        (conv(op("_minus_scalar", "mean", X, scalar=127.5)), (None, 3, None, None)),
        (conv(op("Pooling", "pool", X, kernel="(2, 2)")), (None, 3, None, None)),
        (conv(op("_npi_exp", "exp", op("_npi_subtract_scalar", "mean", X, scalar=127.5))), (None, 3, None, None)),
        (conv(op("_npi_multiply", "scaled", X, var("scale"))), (None, None, None, None)),
        (conv(op("Concat", "both", X, var("y"), dim=1, num_args=2)), (None, None, None, None)),
        (conv(op("Pad", "pad", X, mode="edge", pad_width="(0, 0, 0, 0, 1, 1, 1, 1)")), (None, None, None, None)),
        (conv(op("transpose", "first", X, axes="(0, 3, 1, 2)")), (None, None, None, 3)),
        (conv(op("broadcast_mul", "scaled", X, var("scale"))), (None, None, None, None)),
        (conv(op("elemwise_add", "sum", var("y"), X)), (None, 3, None, None)),
        (op("Deconvolution", "up", X, var("up"), kernel="(2, 2)", num_filter=4), (None, 3, None, None)),
        (op("Pooling", "pool", X, kernel="(2,)"), (None, None, None)),
        (op("LRN", "lrn", X, nsize=5), (None, None, None, None)),
        (op("Crop", "crop", var("y"), X, num_args=2), (None, None, None, None)),
        (conv(norm(X)), (None, 3, None, None)),
        (dense(X), (None, 12)),
        (dense(op("Flatten", "flat", X)), (None, 12)),
        (dense(op("Reshape", "rows", X, shape="(-1, 3, 4)")), (None, 12)),
        (dense(op("Flatten", "flat", embed(X, 4))), (None, 3)),
        (op("Reshape", "rows", embed(X, 4), shape="(0, 1, 6, 4)"), (None, 6)),
        (
            conv(op("broadcast_sub", "centred", X, op("mean", "mean", X, axis="(2, 3)", keepdims=True))),
            (None, None, None, None),
        ),
        (dense(op("Activation", "act", op("_mul_scalar", "half", X, scalar=0.5), act_type="relu")), (None, 12)),
    ],
)
def test_rank_and_sizes_follow_from_kernels_and_weights(head: MxRef, shape: tuple[int | None, ...]) -> None:
    assert shape_of(head) == shape


@pytest.mark.parametrize(
    "head",
    [
        norm(X),
        dense(X, flatten=False),
        op("Pooling", "pool", X, global_pool=True, kernel="(7, 7)"),
        embed(X, 3),
        dense(op("Pooling", "pool", X, global_pool=True)),
        dense(op("Reshape", "rows", X, shape="(-1, 0)")),
        dense(embed(X, 5)),
        dense(op("SwapAxis", "swap", X, dim1=0, dim2=1)),
        op("LeakyReLU", "act", X, var("slope"), act_type="prelu"),
        op("softmax", "soft", X),
    ],
)
def test_nothing_is_guessed(head: MxRef) -> None:
    assert shape_of(head) is None


def test_what_several_readers_imply_is_put_together() -> None:
    assert shape_of(norm(X, axis=3), op("Pooling", "pool", X, kernel="(2, 2)")) == (None, None, None, 3)


def test_an_arrangement_that_is_assumed_is_told_of() -> None:
    mx = MxModel(graph(dense(X)), {"dense": np.zeros(SHAPES["dense"], np.float32)})
    told: list[str] = []
    model = from_symbol(mx, ReadOptions(warn=told.append), "net")
    assert model.graph.inputs[0].shape == ["batch", 12]
    assert len(told) == 1
    assert "--input x:SHAPE" in told[0]


def test_an_arrangement_that_a_kernel_tells_is_not_assumed() -> None:
    assert implied(graph(dense(X), conv(X)), X.node, SHAPES) == ((None, 3, None, None), "")
