"""Seeded inputs."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from graphkit.errors import InputError
from graphkit.frameworks.base import InputSpec
from graphkit.parity.inputs import draw_inputs, draw_seeds, guessed, in_dtype, input_shapes, nudged


def graph(signature: str, body: str = "y = Identity(x)", out: str = "float[n] y", constants: str = "") -> ir.Model:
    held = f"<{constants}>" if constants else ""
    return ir.from_onnx_text(f'<ir_version: 10, opset_import: ["": 23]> g ({signature}) => ({out}) {held} {{ {body} }}')


def test_the_same_seed_gives_the_same_inputs_and_another_seed_others():
    model = graph("float[batch, 4] x")
    assert np.array_equal(draw_inputs(model, 3)["x"], draw_inputs(model, 3)["x"])
    assert not np.array_equal(draw_inputs(model, 3)["x"], draw_inputs(model, 4)["x"])


def test_an_input_does_not_change_when_another_is_added():
    one, two = graph("float[2] x"), graph("float[2] a, float[2] x")
    assert np.array_equal(draw_inputs(one)["x"], draw_inputs(two)["x"])


def test_floats_are_standard_normal_numbers_that_float32_holds():
    array = draw_inputs(graph("double[10000] x"))["x"]
    assert array.dtype == np.float64
    assert np.array_equal(array, array.astype(np.float32))
    assert abs(array.mean()) < 0.05
    assert abs(array.std() - 1) < 0.05


def test_the_batch_dimension_is_two_or_as_asked_and_other_free_ones_are_larger():
    model = graph("float[batch, 3, height] x")
    assert input_shapes(model)[0] == {"x": (2, 3, 32)}
    assert input_shapes(model, 5)[0] == {"x": (5, 3, 32)}


def test_a_symbol_called_batch_is_the_batch_wherever_it_stands():
    model = graph("float[steps, batch, 4] x, float[1, batch, 8] state")
    shapes, sizes = input_shapes(model, 3)
    assert shapes == {"x": (32, 3, 4), "state": (1, 3, 8)}
    assert sizes == {"steps": 32, "batch": 3}


def test_sizes_that_were_guessed_are_told_with_the_option_that_gives_them():
    model = graph("float[batch, 3, height] x")
    assert "--input x:2x3x32" in guessed(model)
    assert guessed(model, [InputSpec("x", (2, 3, 7))]) == ""
    assert guessed(graph("float[batch, 3] x")) == ""


def test_given_shapes_set_free_dimensions_everywhere():
    model = graph("float[n, 3, h] x, float[n, h] z")
    shapes, _ = input_shapes(model, None, [InputSpec("x", (4, 3, 7))])
    assert shapes == {"x": (4, 3, 7), "z": (4, 7)}


def test_shapes_without_a_name_go_to_the_inputs_in_order():
    model = graph("float[n, 3] x, float[m, 2] z")
    shapes, _ = input_shapes(model, None, [InputSpec("z", (5, None)), InputSpec("", (9, 3))])
    assert shapes == {"x": (9, 3), "z": (5, 2)}


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        (InputSpec("q", (1, 3)), "no input 'q'; its inputs are 'x'"),
        (InputSpec("x", (1, 4)), "fixed at 3"),
        (InputSpec("x", (1, 3, 1)), "has 2 dimensions"),
    ],
)
def test_a_shape_that_does_not_fit_is_refused(spec, told):
    with pytest.raises(InputError, match=told):
        input_shapes(graph("float[n, 3] x"), None, [spec])


def test_more_shapes_than_inputs_are_refused():
    with pytest.raises(InputError, match="More inputs"):
        input_shapes(graph("float[n] x"), None, [InputSpec("", (1,)), InputSpec("", (1,))])


def test_a_batch_size_is_refused_where_the_batch_is_fixed_at_another():
    with pytest.raises(InputError, match="fixed at 1"):
        input_shapes(graph("float[1, 3] x"), 4)
    assert input_shapes(graph("float[4, 3] x"), 4)[0] == {"x": (4, 3)}


def test_two_inputs_that_share_a_dimension_must_be_given_the_same_size():
    with pytest.raises(InputError, match="another input sets"):
        input_shapes(graph("float[n] x, float[n] z"), None, [InputSpec("x", (2,)), InputSpec("z", (3,))])


TABLE = "float[3, 2] table = {1, 2, 3, 4, 5, 6}"


@pytest.mark.parametrize(
    ("constants", "body", "stop"),
    [
        (TABLE, "y = Gather(table, x)", 3),
        (TABLE, "y = Gather<axis = 1>(table, x)", 2),
        (TABLE + ", int64[1] axes = {0}", "a = Unsqueeze(x, axes) b = Cast<to = 6>(a) y = Gather(table, b)", 3),
        ("int64 depth = {4}, float[2] values = {0, 1}", "y = OneHot(x, depth, values)", 4),
        (TABLE, "y = SoftmaxCrossEntropyLoss(table, x)", 2),
        (TABLE + ", int64 one = {1}", "a = Add(x, one) y = Gather(table, a)", 2),
        (TABLE + ", int64[3] picked = {4, 1, 0}", "a = Gather(x, picked) y = Gather(table, a)", 3),
        ("", "y = Cast<to = 9>(x)", 2),
        ("", "y = Cast<to = 1>(x)", 2),
        ("", "y = Neg(x)", 10),
    ],
)
def test_integers_stay_within_what_their_consumers_allow(constants, body, stop):
    array = draw_inputs(graph("int64[5000] x", body, "float y", constants))["x"]
    assert (array.min(), array.max()) == (0, stop - 1)


def test_a_table_as_long_as_the_batch_limits_its_indices():
    model = graph("float[batch, 2] table, int64[5000] x", "y = Gather(table, x)", "float y")
    assert draw_inputs(model, batch=7)["x"].max() == 6


def test_floats_that_are_cast_to_indices_are_whole_and_in_range():
    model = graph("float[500] x", "index = Cast<to = 7>(x) y = Gather(table, index)", "float y", TABLE)
    array = draw_inputs(model)["x"]
    assert array.dtype == np.float32
    assert set(array.tolist()) == {0.0, 1.0, 2.0}


def test_booleans_are_both_and_bytes_use_their_range():
    assert set(draw_inputs(graph("bool[50] x"))["x"].tolist()) == {True, False}
    assert draw_inputs(graph("uint8[5000] x", "y = Cast<to = 1>(x)"))["x"].max() == 255


def test_text_is_refused():
    with pytest.raises(InputError, match="'x' holds string"):
        draw_inputs(graph("string[2] x"))


def test_cotangents_are_drawn_for_float_outputs_alone():
    seeds = draw_seeds({"y": np.zeros((2, 3), np.float64), "index": np.zeros(2, np.int64)})
    assert list(seeds) == ["y"]
    assert seeds["y"].shape == (2, 3)
    assert seeds["y"].dtype == np.float64


def test_casting_leaves_integers_alone():
    cast = in_dtype({"x": np.ones(2, np.float32), "i": np.ones(2, np.int64)}, np.float64)
    assert (cast["x"].dtype, cast["i"].dtype) == (np.float64, np.int64)


def test_a_nudge_is_at_most_one_unit_in_the_last_place_and_spares_whole_numbers():
    array = np.random.default_rng(0).standard_normal(1000).astype(np.float32)
    moved = nudged({"x": array, "i": np.arange(3), "whole": np.float32([1, 2])}, 0, 1)
    steps = np.abs(moved["x"] - array) / np.spacing(np.abs(array))
    assert np.count_nonzero(steps) > 0
    assert steps.max() <= 2
    assert np.array_equal(moved["i"], np.arange(3))
    assert np.array_equal(moved["whole"], np.float32([1, 2]))
