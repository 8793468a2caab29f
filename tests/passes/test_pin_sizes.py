"""Free sizes of inputs get numbers, and with them all that is made of these sizes."""

from __future__ import annotations

import onnx_ir as ir
import pytest

from graphkit.errors import InputError
from graphkit.ir.canonical import canonical
from graphkit.ir.dims import dims_of
from graphkit.passes.pin_sizes import pin_sizes


def doubled() -> ir.Model:
    text = (
        '<ir_version: 10, opset_import: ["": 23]> g (float[N, T] x, float[N, "2*T + 1"] y) => (float[a, b] z) '
        "{ z = Concat <axis = 1> (x, y) }"
    ).replace('"2*T + 1"', "U")
    model = canonical(ir.from_onnx_text(text))
    model.graph.inputs[1].shape = ir.Shape(["N", "2*T + 1"])
    return model


@pytest.mark.parametrize("shapes", [{"x": (None, 4)}, {"y": (None, 9)}, {"x": (7, 4), "y": (7, 9)}])
def test_a_number_is_given_to_all_that_shares_the_size(shapes: dict[str, tuple[int | None, ...]]) -> None:
    model = doubled()
    assert pin_sizes(model, shapes, keep_batch=True)
    canonical(model)
    assert [dims_of(value) for value in model.graph.inputs] == [("N", 4), ("N", 9)]
    assert dims_of(model.graph.outputs[0]) == ("N", 13)


def test_the_batch_gets_one_where_it_is_not_kept() -> None:
    model = doubled()
    assert pin_sizes(model, {"x": (7, None)}, keep_batch=False)
    assert [dims_of(value) for value in model.graph.inputs] == [(7, "T"), (7, "2*T + 1")]


def test_nothing_changes_where_nothing_free_is_given() -> None:
    assert not pin_sizes(doubled(), {"x": (None, None)}, keep_batch=False)


@pytest.mark.parametrize("shapes", [{"y": (None, 8)}, {"x": (None, 4), "y": (None, 11)}])
def test_sizes_that_do_not_go_together_are_refused(shapes: dict[str, tuple[int | None, ...]]) -> None:
    with pytest.raises(InputError, match="Axis 1 of input 'y'"):
        pin_sizes(doubled(), shapes, keep_batch=True)
