"""What MXNet refuses of shapes and parameters, graphkit refuses; what it takes, graphkit takes."""

from __future__ import annotations

from typing import Any

import pytest
from realmxnet import mxnet

from graphkit.frameworks.mxnet.refused import refused
from graphkit.ops.mxgraph import MxNode

IMAGE = (2, 3, 4, 4)

CASES: list[tuple[str, dict[str, Any], tuple[int, ...]]] = [
    ("Convolution", {"kernel": (3, 3), "num_filter": 4}, IMAGE),
    ("Convolution", {"kernel": (3, 3), "num_filter": 4}, (2, 3, 2, 2)),
    ("Convolution", {"kernel": (3, 3), "num_filter": 4, "pad": (1, 1)}, (2, 3, 2, 2)),
    ("Convolution", {"kernel": (3, 3), "num_filter": 4, "dilate": (2, 2)}, IMAGE),
    ("Convolution", {"kernel": (3, 3), "num_filter": 4, "dilate": (2, 2), "pad": (1, 1)}, IMAGE),
    ("Convolution", {"kernel": (3,), "num_filter": 4}, IMAGE),
    ("Convolution", {"kernel": (1, 1, 1, 1), "num_filter": 4}, (2, 3, 4, 4, 4, 4)),
    ("Convolution", {"kernel": (1, 1), "num_filter": 4, "num_group": 3}, IMAGE),
    ("Convolution", {"kernel": (1, 1), "num_filter": 4, "num_group": 2}, IMAGE),
    ("Convolution", {"kernel": (1, 1), "num_filter": 6, "num_group": 3}, IMAGE),
    ("Deconvolution", {"kernel": (3, 3), "num_filter": 4}, (2, 3, 2, 2)),
    ("Deconvolution", {"kernel": (3,), "num_filter": 4}, IMAGE),
    ("Deconvolution", {"kernel": (3, 3), "num_filter": 4, "num_group": 3}, IMAGE),
    ("Pooling", {"kernel": (4, 4), "pool_type": "max"}, IMAGE),
    ("Pooling", {"kernel": (5, 4), "pool_type": "max"}, IMAGE),
    ("Pooling", {"kernel": (5, 4), "pool_type": "avg", "pooling_convention": "full"}, IMAGE),
    ("Pooling", {"kernel": (5, 4), "pool_type": "sum", "pad": (1, 1)}, IMAGE),
    ("Pooling", {"kernel": (9, 9), "pool_type": "max", "global_pool": True}, IMAGE),
    ("Pooling", {"kernel": (2, 2), "pool_type": "max"}, (2, 3, 4)),
    ("SliceChannel", {"num_outputs": 3}, IMAGE),
    ("SliceChannel", {"num_outputs": 2}, IMAGE),
    ("SliceChannel", {"num_outputs": 2, "axis": -1}, IMAGE),
    ("slice_axis", {"axis": 1, "begin": 0, "end": None}, IMAGE),
    ("slice_axis", {"axis": 1, "begin": -2, "end": None}, IMAGE),
    ("slice_axis", {"axis": 1, "begin": 1, "end": -1}, IMAGE),
    ("slice_axis", {"axis": 1, "begin": 1, "end": 4}, IMAGE),
    ("slice_axis", {"axis": 1, "begin": 2, "end": 2}, IMAGE),
    ("slice_axis", {"axis": 1, "begin": 3, "end": None}, IMAGE),
    ("slice_axis", {"axis": 1, "begin": -5, "end": 2}, IMAGE),
    ("LRN", {"nsize": 3}, IMAGE),
    ("LRN", {"nsize": 2}, IMAGE),
    ("LRN", {"nsize": 5}, IMAGE),
    ("Pad", {"mode": "reflect", "pad_width": (0, 0, 0, 0, 3, 3, 0, 0)}, IMAGE),
    ("Pad", {"mode": "reflect", "pad_width": (0, 0, 0, 0, 3, 4, 0, 0)}, IMAGE),
    ("Pad", {"mode": "edge", "pad_width": (0, 0, 0, 0, 9, 9, 0, 0)}, IMAGE),
    ("Pad", {"mode": "constant", "pad_width": (0, 0, 1, 0, 1, 1, 0, 0)}, IMAGE),
    ("Pad", {"mode": "constant", "pad_width": (0, 0, 0, 0, 1, 1)}, (2, 3, 4)),
    ("Pad", {"mode": "constant", "pad_width": (0, 0, 0, 0, 1, 1, 0, 0)}, (2, 3, 4, 4, 4)),
    ("depth_to_space", {"block_size": 2}, (2, 4, 3, 3)),
    ("depth_to_space", {"block_size": 2}, IMAGE),
    ("space_to_depth", {"block_size": 2}, IMAGE),
    ("space_to_depth", {"block_size": 3}, IMAGE),
    ("BatchNorm", {"axis": -1}, IMAGE),
    ("BatchNorm", {"axis": 4}, IMAGE),
    ("Reshape", {"shape": (6, 16)}, IMAGE),
    ("Reshape", {"shape": (5, 7)}, IMAGE),
    ("Reshape", {"shape": (0, -1)}, IMAGE),
    ("tile", {"reps": (1, 2)}, (2, 3)),
    ("tile", {"reps": (0, 2)}, (2, 3)),
    ("_contrib_AdaptiveAvgPooling2D", {"output_size": 2}, IMAGE),
    ("_contrib_AdaptiveAvgPooling2D", {"output_size": 2}, (2, 3)),
]


def runs(op: str, attrs: dict[str, Any], shape: tuple[int, ...]) -> bool:
    """Whether MXNet computes an operator."""
    mx = mxnet()
    home, name = (mx.sym.contrib, op.removeprefix("_contrib_")) if op.startswith("_contrib_") else (mx.sym, op)
    try:
        bound = getattr(home, name)(mx.sym.var("data"), **attrs).simple_bind(mx.cpu(), grad_req="null", data=shape)
        bound.forward()
        for output in bound.outputs:
            output.wait_to_read()
    except (RuntimeError, ValueError):
        return False
    return True


@pytest.mark.parametrize(("op", "attrs", "shape"), CASES)
def test_what_mxnet_refuses_is_refused_and_nothing_else(op: str, attrs: dict[str, Any], shape: tuple[int, ...]) -> None:
    node = MxNode(op, "n", {name: str(value) for name, value in attrs.items()})
    assert (refused(node, shape) is None) is runs(op, attrs, shape)


@pytest.mark.parametrize(
    ("op", "attrs", "shape"),
    [
        ("Convolution", {"kernel": "(3, 3)", "num_filter": "4"}, ("batch", 3, None, "width")),
        ("Pooling", {"kernel": "(9, 9)"}, None),
        ("SliceChannel", {"num_outputs": "2"}, ("batch", None)),
        ("slice_axis", {"axis": "0", "begin": "7", "end": "9"}, ("batch", 3)),
        ("Reshape", {"shape": "(2, 3)"}, ("batch", 3)),
        ("Reshape", {"shape": "(5, 7)"}, None),
        ("relu", {}, ()),
    ],
)
def test_what_is_not_known_is_not_refused(op: str, attrs: dict[str, str], shape: tuple[Any, ...] | None) -> None:
    assert refused(MxNode(op, "n", attrs), shape) is None


def test_a_batch_that_no_size_makes_fit_is_refused() -> None:
    assert refused(MxNode("Reshape", "n", {"shape": "(5, 7)"}), ("batch", 3)) is not None
