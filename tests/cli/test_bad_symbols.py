"""Symbols that MXNet refuses, parameters that are not theirs and shapes that nothing tells, from the command line."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from mxsymbols import graph, op, var

from graphkit.cli import main
from graphkit.frameworks.mxnet import checkpoint, params
from graphkit.ops.mxgraph import MxModel

X, Y, W, B = var("data"), var("other"), var("w"), var("b")
WEIGHTS = {"w": (4, 3, 3, 3), "b": (4,)}


def conv(*inputs, **attrs):
    return op("Convolution", "conv", *(inputs or (X, W, B)), **{"kernel": "(3, 3)", "num_filter": 4, **attrs})


@pytest.fixture
def convert(tmp_path, refused):
    """Convert a symbol with parameters of some shapes; what the command line complains of."""

    def run(head, shapes, *inputs) -> str:
        random = np.random.default_rng(0)
        arrays = {name: random.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
        path, _ = checkpoint.write(MxModel(graph(head), arrays), tmp_path / "net")
        return refused("convert", path, "--to", "onnx", *(part for given in inputs for part in ("--input", given)))

    return run


@pytest.mark.parametrize(
    ("head", "told"),
    [
        (op("Frobnicate", "odd", X), "MXNet 1.9.1 has no operator 'Frobnicate'"),
        (conv(kernel="abc"), "parameter kernel is 'abc', not a tuple of integers"),
        (conv(frob=3), "it has no parameter 'frob'"),
        (op("Convolution", "conv", X, W, B, num_filter=4), "the required parameter kernel is absent"),
        (conv(X, W), "it has 2 inputs where it needs 3 (data, weight, bias)"),
        (conv(num_filter=-4), "MXNet refuses it: num_filter=-4"),
        (conv(stride="(0, 0)"), "MXNet refuses it: stride=(0, 0) is not positive"),
        (conv(num_group=3), "MXNet refuses it: num_group=3 does not divide num_filter=4"),
        (op("Pooling", "pool", X, kernel="(9, 9)"), "its window of 9 is larger than the 8 elements along axis 2"),
        (op("SliceChannel", "cut", X, num_outputs=2), "3 elements along axis 1 cannot be cut into 2 equal pieces"),
        (op("slice_axis", "cut", X, axis=1, begin=1, end=7), "begin=1 and end=7 do not cut a part out of the 3"),
        (op("broadcast_to", "wide", X, shape="(2, 3)"), "has not one size for each axis of what it reads"),
    ],
)
def test_an_operator_that_mxnet_rejects(convert, head, told):
    complaint = convert(head, WEIGHTS, "data:2x3x8x8")
    assert "1 node cannot be converted to ONNX" in complaint
    assert told in complaint


@pytest.mark.parametrize(
    ("head", "told"),
    [
        (op("elemwise_add", "sum", X, Y), "node 'sum' (elemwise_add) does not fit its inputs, which are batch×3 and"),
        (op("Concat", "join", X, Y, num_args=2, dim=0), "node 'join' (Concat) does not fit its inputs, which are"),
        (op("expand_dims", "more", op("elemwise_add", "sum", X, X), axis=7), "node 'more' (expand_dims) does not fit"),
    ],
)
def test_inputs_that_do_not_fit_together(convert, head, told):
    complaint = convert(head, {}, "data:2x3", *(["other:2x4"] if "more" not in told else []))
    assert told in complaint
    assert "--input" in complaint


@pytest.mark.parametrize(
    ("shapes", "size", "told"),
    [
        ({"w": (4, 3, 3, 3)}, "2x3x8x8", "needs a value for 1 parameter more: b. Give the parameter file"),
        ({"v": (4, 3, 3, 3), "c": (4,)}, "2x3x8x8", "None of the arrays of the file is named as one of the symbol's"),
        ({"w": (5, 3, 3, 3), "b": (4,)}, "2x3x8x8", "'w' is 5×3×3×3, and node 'conv' (Convolution) asks for 4×?×3×3"),
        (WEIGHTS, "2x5x8x8", "reads batch×5×8×8, asks for 4×5×3×3. Either --input gives another size"),
    ],
)
def test_parameters_of_another_symbol(convert, shapes, size, told):
    assert told in convert(conv(), shapes, f"data:{size}")


@pytest.mark.parametrize(
    ("shapes", "told"),
    [
        ({"0.weight": (4, 3, 3, 3), "0.bias": (5,)}, "'0.bias' (5) fits none of its variables"),
        ({"0.weight": (4, 3, 3, 3)}, "nothing fits its variable 'conv_bias'"),
        (
            {"0.weight": (4, 3, 3, 3), "1.weight": (4, 3, 3, 3), "0.bias": (4,)},
            "it has 2 arrays like '0.weight' (4×3×3×3) and 1 variables for them",
        ),
    ],
)
def test_a_file_of_save_parameters_of_another_network(convert, shapes, told):
    complaint = convert(conv(X, var("conv_weight"), var("conv_bias")), shapes, "data:2x3x8x8")
    assert "has names of save_parameters ('0.weight', …), which cannot be matched with the symbol" in complaint
    assert told in complaint


@pytest.mark.parametrize(
    ("head", "names"),
    [
        (op("SwapAxis", "swap", X, dim1=0, dim2=1), "data"),
        (op("Reshape", "merge", op("relu", "relu", X), shape="(-3, -2)"), "data"),
        (op("dot", "product", X, Y), "data:SHAPE --input other"),
        (op("_contrib_AdaptiveAvgPooling2D", "pool", X, output_size="(2, 3)"), "data"),
        (
            op("SwapAxis", "swap", op("broadcast_add", "sum", Y, var("third")), dim1=0, dim2=1),
            "other:SHAPE --input third",
        ),
    ],
)
def test_a_shape_that_nothing_tells_is_asked_for(convert, head, names):
    complaint = convert(head, {})
    assert "can only be converted when the shape of what it reads is known, and the file does not tell" in complaint
    assert f"Give --input {names}:SHAPE, SHAPE being sizes such as 1x3x224x224" in complaint


def test_a_size_that_stays_free_is_asked_for(convert):
    head = op("_contrib_AdaptiveAvgPooling2D", "pool", X, output_size="(2, 3)")
    assert "Give --input data:SHAPE" in convert(head, {}, "data:2x3x?x9")


def test_too_many_inputs(convert):
    assert "the inputs of net are data; give one for each" in convert(op("relu", "r", X), {}, "2x3", "2x4")


def test_what_order_decides_is_warned_of(tmp_path, monkeypatch, capfd):
    first = op("FullyConnected", "d0", X, var("d0_weight"), var("d0_bias"), num_hidden=3)
    second = op("FullyConnected", "d1", first, var("d1_weight"), var("d1_bias"), num_hidden=3)
    path, written = checkpoint.write(MxModel(graph(second)), tmp_path / "net")
    written.unlink()
    shapes = {"0.weight": (3, 3), "0.bias": (3,), "1.weight": (3, 3), "1.bias": (3,)}
    arrays = {name: np.full(shape, i, np.float32) for i, (name, shape) in enumerate(shapes.items())}
    params.write(tmp_path / "saved.params", arrays)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as left:
        main(["convert", str(path), "--to", "mxnet", "-o", "out", "--params", "saved.params"])
    logging.disable(logging.NOTSET)
    assert left.value.code == 0
    assert "4 of 4 have the kind and shape of others, and are told apart by their order" in " ".join(
        capfd.readouterr().err.split()
    )
    found = dict(params.read(tmp_path / "out-0000.params").items())
    for name, array in arrays.items():
        np.testing.assert_array_equal(np.asarray(found[f"arg:d{name.replace('.', '_')}"]), array)
