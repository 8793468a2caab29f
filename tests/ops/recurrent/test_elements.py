"""Where the elements of rearranged arrays come from, as layouts."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx.reference import ReferenceEvaluator
from opsetcases import text_of

from graphkit.ops.layout import arrange
from graphkit.ops.recurrent.elements import Elements, arrangement
from graphkit.ops.runs import Runs

if TYPE_CHECKING:
    from graphkit.ops.builders import TorchBuilder


@pytest.mark.parametrize(
    ("order", "shape"),
    [
        (np.arange(24), (4, 6)),
        (np.arange(24), (24,)),
        (np.arange(6, 18), (12,)),
        (np.arange(6, 18), (3, 4)),
        (np.arange(24).reshape(4, 6)[[2, 0, 3, 1]], (4, 6)),
        (np.arange(24).reshape(4, 6)[[2, 2]], (2, 6)),
        (np.arange(24).reshape(4, 6)[1:, 2:4], (3, 2)),
        (np.arange(24)[::-1], (24,)),
    ],
)
def test_an_arrangement_leads_to_the_elements_asked_for(order: np.ndarray, shape: tuple[int, ...]) -> None:
    array = np.arange(24).reshape(4, 6) * 10
    found = arrange(array, arrangement(Runs.of(order), array.shape, shape))
    np.testing.assert_array_equal(found, array.reshape(-1)[order.reshape(-1)].reshape(shape))


def test_whole_gates_are_moved_as_such() -> None:
    order = np.arange(2000).reshape(4, 500)[[0, 2, 3, 1]]
    assert arrangement(Runs.of(order), (40, 50), (40, 50))[1] == ("take", (0, 0, 2, 3, 1))


def test_the_steps_to_a_part_of_a_vector_begin_with_that_part() -> None:
    order = 7 + np.arange(2000).reshape(4, 500)[[0, 2, 3, 1]]
    layout = arrangement(Runs.of(order), (2008,), (40, 50))
    assert layout[:3] == (("slice", (0, 7, 2007)), ("reshape", (4, 500)), ("take", (0, 0, 2, 3, 1)))


@given(st.data())
def test_runs_are_cut_as_the_numbers_are_that_they_stand_for(data: st.DataObject) -> None:
    numbers = np.array(data.draw(st.lists(st.integers(0, 9), min_size=1, max_size=30)))
    runs = Runs.of(numbers)
    np.testing.assert_array_equal(runs.numbers(), numbers)
    places = st.integers(0, len(numbers))
    bounds = [sorted(pair) for pair in data.draw(st.lists(st.tuples(places, places), max_size=5))]
    found = runs.cut([low for low, _ in bounds], [high for _, high in bounds])
    wanted = [number for low, high in bounds for number in numbers[low:high]]
    np.testing.assert_array_equal(found.numbers(), wanted)
    assert list(found) == list(Runs.of(wanted))


class Known:
    """What rooms ask a builder for, of a graph whose shapes are known."""

    def shape(self, value: ir.Value) -> tuple[int, ...]:
        assert value.shape is not None
        return tuple(value.shape.numpy())

    def value(self, value: ir.Value) -> np.ndarray | None:
        node = value.producer()
        return node.attributes["value"].as_tensor().numpy() if node is not None and node.op_type == "Constant" else None


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        ("y = Concat <axis = 1> (a, b, a)", (2, 10, 3)),
        ("y = Concat <axis = -1> (v, w, v)", (15,)),
        ("i = Identity (v) y = Concat <axis = 0> (i, w)", (10,)),
        ("y = Slice (a, @int64[2]{1, -2}, @int64[2]{4, 99}, @int64[2]{1, 2})", (2, 3, 2)),
        ("y = Slice (v, @int64[1]{2}, @int64[1]{2})", (0,)),
        ("y = Gather <axis = -2> (a, @int64[3]{2, -1, 2})", (2, 3, 3)),
        ("y = Gather <axis = 0> (a, @int64{1})", (4, 3)),
        ("y = Gather <axis = 2> (a, @int64[1,2]{2, 0})", (2, 4, 1, 2)),
        ("x, y = Split <axis = 1> (a, @int64[2]{1, 3})", (2, 3, 3)),
        ("y = Reshape (a, @int64[2]{6, 4})", (6, 4)),
        ("y = Slice (v, @int64[1]{-1}, @int64[1]{-6}, @int64[1]{0}, @int64[1]{-1})", (5,)),
        ("y = Transpose (a)", (3, 4, 2)),
    ],
)
def test_where_the_elements_of_a_moved_array_come_from(text: str, shape: tuple[int, ...]) -> None:
    inputs = "int64[2,4,3] a, int64[2,2,3] b, int64[5] v, int64[5] w"
    proto = onnx.parser.parse_model(text_of(text, inputs, f"int64[{','.join(map(str, shape))}] y", 23))
    model = ir.from_proto(onnx.shape_inference.infer_shapes(proto))
    builder = Known()
    elements = Elements(cast("TorchBuilder", builder))
    (y,) = model.graph.outputs
    found = elements.of(y)
    feeds = {value.name: np.zeros(builder.shape(value), np.int64) for value in model.graph.inputs}
    for source in elements.sources:
        feeds[source.name] = np.arange(*elements.span(source)).reshape(builder.shape(source))
    wanted = feeds.pop("y", None)  # what is not moved in a known way is a source itself
    assert (wanted is None) == ("Transpose" not in text and "-6" not in text)
    (wanted,) = ReferenceEvaluator(proto).run(None, feeds) if wanted is None else (wanted,)
    np.testing.assert_array_equal(found.numbers(), wanted.reshape(-1))
