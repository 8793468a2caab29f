"""The words on pictures."""

from __future__ import annotations

import pytest

from graphkit.ir.describe import Parameter, Tensor
from graphkit.render import labels


@pytest.mark.parametrize(
    ("shape", "shown"),
    [
        (("N", 64, 56, 56), "N×64×56×56"),
        ((), "scalar"),
        (None, ""),
        ((None, 3), "?×3"),
        (("2*batch + 1", 3), "(2*batch + 1)×3"),
        (("a_very_long_name_of_a_dimension",), "a_very…dimension"),
        (tuple(range(12)), "0×1×2×3×4×5×…"),
    ],
)
def test_shapes(shape, shown):
    assert labels.dims(shape) == shown


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (0, "0"),
        (999, "999"),
        (1000, "1.00 k"),
        (25_557_032, "25.6 M"),
        (999_999, "1.00 M"),
        (7_240_000_000, "7.24 G"),
        (3 * 10**15, "3000 T"),
    ],
)
def test_counts(number, shown):
    assert labels.count(number) == shown


@pytest.mark.parametrize(
    ("name", "scope", "node", "shown"),
    [
        ("layer1.0.conv1.weight", "layer1.0.conv1", "", "weight"),
        ("layer1.0.conv1.weight", "layer1.1.conv1", "", "layer1.0.conv1.weight"),
        ("conv0_weight", "", "conv0", "weight"),
        ("resnet_conv0_weight", "", "resnet_conv0_fwd", "weight"),
        ("net0_conv0_weight", "net0", "net0_conv0_fwd", "weight"),
        ("weight", "", "weight", "weight"),
        ("weightless", "weight", "", "weightless"),
    ],
)
def test_parameters_are_named_relative_to_their_node(name, scope, node, shown):
    assert labels.relative(name, scope, node) == shown


@pytest.mark.parametrize(
    ("op", "attributes", "lines"),
    [
        (
            "Conv",
            {"kernel_shape": (7, 7), "strides": (2, 2), "pads": (3, 3, 3, 3), "dilations": (1, 1), "group": 1},
            ["7×7, stride 2, pad 3"],
        ),
        ("Conv", {"kernel_shape": (3, 1), "pads": (1, 0, 1, 0), "group": 32}, ["3×1, pad 1×0", "groups 32"]),
        ("Conv", {"kernel_shape": (3,), "pads": (0, 2)}, ["kernel 3, pad 0 / 2"]),
        ("Conv", {"kernel_shape": (3, 3), "strides": (1, 1), "pads": (0, 0, 0, 0)}, ["3×3"]),
        ("Concat", {"axis": 1}, ["axis 1"]),
        ("Softmax", {"axis": -1}, []),
        ("BatchNormalization", {"epsilon": 1e-05, "momentum": 0.9}, []),
        ("BatchNormalization", {"epsilon": 0.001}, ["epsilon 0.001"]),
        ("Cast", {"to": 7}, ["to int64"]),
        ("Cast", {"to": 9999}, ["to 9999"]),
        ("Transpose", {"perm": tuple(range(9))}, ["perm [0, 1, 2, 3, 4, 5, … (9)]"]),
        (
            "Magic",
            {"mode": "x" * 99, "table": Tensor("t", "float32", (9, 9))},
            ["mode xxxxxxxxxx…xxxxxxxxxxxxx", "table float32 9×9"],
        ),
    ],
)
def test_attributes_say_what_differs_from_the_defaults(op, attributes, lines):
    assert labels.attribute_lines(op, "", attributes) == lines


def parameter(name, kind="parameter", shape=(64,), dtype="float32", role="", values=None, index=0):
    return Parameter(name, kind, dtype, shape, None, role, index, values)


def test_parameters_of_one_shape_share_a_line():
    names = [("weight", "parameter"), ("bias", "parameter"), ("running_mean", "buffer"), ("running_var", "buffer")]
    found = labels.parameter_lines([parameter(f"bn.{name}", kind) for name, kind in names], "bn", "node")
    assert found == [("parameter", "weight, bias 64"), ("buffer", "running_mean, running_var 64")]


def test_small_constants_show_their_numbers_by_role():
    found = labels.parameter_lines(
        [
            parameter("val_3", "constant", (2,), "int64", "shape", (0, -1), 1),
            parameter("two", "constant", (), "float32", "B", (2.5,), 2),
            parameter("bn.eps", "constant", (1, 1), "float32", "C", (0.1,), 3),
            parameter("bn.view_1.axes", "constant", (1,), "int64", "axes", (2,), 4),
        ],
        "bn",
        "",
    )
    assert found == [
        ("constant", "shape = [0, -1]"),
        ("constant", "B = 2.5"),
        ("constant", "eps = [0.1]"),
        ("constant", "axes = [2]"),
    ]


def test_a_dtype_other_than_float32_is_told():
    (line,) = labels.parameter_lines([parameter("table", dtype="int8", shape=(4, 4))], "", "")
    assert line == ("parameter", "table int8 4×4")
