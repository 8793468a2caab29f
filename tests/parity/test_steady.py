"""Sides that give other numbers each time they are run on the same inputs are no proof of anything."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx_ir as ir
import pytest
from fakes import Fake, model

from graphkit.errors import ExecutionError, InputError
from graphkit.ir.shapes import infer_shapes
from graphkit.parity.sides import Pool, Side
from graphkit.parity.steady import unsteady
from graphkit.parity.verify import verify

RIGHT = Fake("right")


def named() -> ir.Model:
    found = model()
    for node in found.graph:
        node.name = node.op_type.lower()
    return found


def drawing(*names, size=0.1):
    """A runtime that adds other numbers each time to what is called so, and to all that follows."""
    rng = np.random.default_rng(0)

    def spoil(found):
        return {
            name: array + (size * rng.standard_normal(array.shape)).astype(array.dtype) if name in names else array
            for name, array in found.items()
        }

    return Fake("drawing", outputs=spoil)


def test_a_side_that_draws_is_not_compared_and_the_node_is_named():
    with pytest.raises(InputError) as caught:
        verify(named(), on=[RIGHT, drawing("sum", "y")])
    assert "drawing gives other numbers each time" in str(caught.value)
    assert "first in 'sum', which Add node 'add' gives" in str(caught.value)


def test_other_sides_are_compared_all_the_same():
    report = verify(named(), on=[RIGHT, drawing("sum", "y"), Fake("other")])
    assert {check.right: check.verdict for check in report.checks} == {"drawing": "unavailable", "other": "pass"}
    assert report.passed


def test_a_reference_that_draws_leaves_nothing_to_compare():
    with pytest.raises(InputError, match="drawing gives other numbers each time"):
        verify(named(), on=[drawing("y"), RIGHT, Fake("other")])


def test_a_side_that_is_wrong_the_same_way_each_time_fails():
    wrong = Fake("wrong", outputs=lambda found: {name: array * 2 for name, array in found.items()})
    report = verify(named(), on=[RIGHT, wrong])
    assert [check.verdict for check in report.checks] == ["fail"]


def test_rounding_that_varies_is_no_drawing():
    wrong = drawing("y", size=1e-8)
    spoil = wrong.outputs
    wrong = replace(wrong, outputs=lambda found: {name: array * 2 for name, array in spoil(found).items()})
    assert [check.verdict for check in verify(named(), on=[RIGHT, wrong]).checks] == ["fail"]


def side(fake, of):
    found = Side(fake.name, fake, False, Pool(of), "float32")
    found.forward({"x": np.ones((2, 5), np.float32)})
    return found


def test_what_a_side_held_is_kept():
    tested = side(drawing("y"), named())
    held = tested.outputs
    assert unsteady(tested, named(), {"x": np.ones((2, 5), np.float32)})
    assert tested.outputs is held


def test_a_side_that_cannot_be_run_again_is_not_called_drawing():
    calls = []

    def crash(found):
        calls.append(1)
        if len(calls) > 1:
            raise ExecutionError("out of memory")
        return found

    assert unsteady(side(Fake("f", outputs=crash), named()), named(), {"x": np.ones((2, 5), np.float32)}) == ""


RANDOM = """
<ir_version: 10, opset_import: ["": 23]>
g (float[2, 3] x) => (float[2, 3] y%s)
{
    noise = RandomNormalLike(x)
    y = Add(x, noise)
    %s
}
"""


def read(text):
    found = ir.from_onnx_text(text)
    for node in found.graph:
        node.name = node.op_type.lower()
    infer_shapes(found)
    return found


def test_a_model_of_random_numbers_alone_is_never_in_parity():
    with pytest.raises(InputError, match=r"nothing to compare: it depends on random numbers.*'randomnormallike'"):
        verify(read(RANDOM % ("", "")), on=["reference", "ort"])


def test_outputs_that_do_not_depend_on_chance_are_compared():
    report = verify(read(RANDOM % (", float[2, 3] z", "z = Neg(x)")), on=["reference", "ort"])
    assert {check.name: check.verdict for check in report.checks} == {"y": "unavailable", "z": "pass"}
    assert report.passed
