"""Inputs that are fixed become constants."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import graphkit
from graphkit.cli import main
from graphkit.errors import InputError, UnsupportedError
from graphkit.frameworks.convert import parse_fixed
from graphkit.frameworks.mxnet.write import to_symbol
from graphkit.ir.dims import dims_of

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def total(tmp_path: Path) -> Path:
    """A model that sums its input ``x`` over the axes that its input ``axes`` names."""
    graph = helper.make_graph(
        [helper.make_node("ReduceSum", ["x", "axes"], ["y"], keepdims=0)],
        "total",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 4]),
            helper.make_tensor_value_info("axes", TensorProto.INT64, [1]),
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
    )
    path = tmp_path / "total.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    return path


def test_a_fixed_input_is_none_and_what_depends_on_it_is_known(total: Path) -> None:
    model = graphkit.load(total, fixed={"axes": [1]})
    assert [value.name for value in model.graph.inputs] == ["x"]
    assert dims_of(model.graph.outputs[0]) == ("n", 4)


def test_a_refusal_names_the_inputs_to_fix(total: Path) -> None:
    with pytest.raises(UnsupportedError, match="--fix axes=VALUE") as caught:
        to_symbol(graphkit.load(total))
    assert caught.value.nodes[0].fix == ("axes",)
    to_symbol(graphkit.load(total, fixed={"axes": [2]}))


def test_the_command_line_fixes_inputs(total: Path) -> None:
    np.save(total.parent / "axes.npy", np.array([1]))
    for value in ("axes=1", f"axes=@{total.parent / 'axes.npy'}"):
        with pytest.raises(SystemExit) as left:
            main(["convert", str(total), "--to", "mxnet", "-o", str(total.parent / "out"), "--fix", value])
        assert not left.value.code
    assert (total.parent / "out-symbol.json").exists()


def test_a_model_of_another_framework_is_fixed_once_it_is_read() -> None:
    torch = pytest.importorskip("torch")

    class Shifted(torch.nn.Module):  # type: ignore[misc]  # torch is imported where it is there
        def forward(self, x: object, shift: object) -> object:
            return x + shift  # type: ignore[operator]  # tensors

    model = graphkit.load(Shifted(), inputs=[(2, 3), (3,)], fixed={"shift": np.ones(3, np.float32)})
    assert [value.name for value in model.graph.inputs] == ["x"]


@pytest.mark.parametrize(
    ("fixed", "said"),
    [
        ({"axis": [1]}, "no input 'axis'"),
        ({"axes": [[1]]}, "has shape 1, and the value .* 1×1"),
        ({"axes": [1, 2]}, "to 2"),
        ({"axes": [1.5]}, "int64, which does not hold"),
    ],
)
def test_values_that_do_not_fit_are_refused(total: Path, fixed: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        graphkit.load(total, fixed=fixed)  # type: ignore[arg-type]  # lists of numbers


def test_values_are_numbers_lists_truths_or_files(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.arange(6).reshape(2, 3))
    assert parse_fixed("k=3")[1].shape == ()
    assert parse_fixed("axes=1,2")[1].tolist() == [1, 2]
    assert parse_fixed("scale=0.5")[1] == 0.5
    assert parse_fixed("flag=true")[1].dtype == bool
    assert parse_fixed("axes=")[1].shape == (0,)
    assert parse_fixed(f"x=@{tmp_path / 'x.npy'}")[1].shape == (2, 3)


@pytest.mark.parametrize("text", ["axes", "=1", "axes=one", "x=@nowhere.npy"])
def test_what_is_no_value_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        parse_fixed(text)


def test_shapes_of_fixed_inputs_are_no_longer_asked_for(tmp_path: Path) -> None:
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "shift"], ["y"])],
        "shifted",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2, 3]) for name in ("x", "shift")],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 3])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, tmp_path / "shifted.onnx")
    np.save(tmp_path / "shift.npy", np.ones((2, 3), np.float32))
    graphkit.save(graphkit.load(tmp_path / "shifted.onnx"), tmp_path / "shifted", to="mxnet")
    shapes = ["--input", "x:2x3", "--input", "shift:2x3", "--fix", f"shift=@{tmp_path / 'shift.npy'}"]
    with pytest.raises(SystemExit) as left:
        main(["verify", str(tmp_path / "shifted-symbol.json"), "--on", "ort,reference", *shapes])
    assert not left.value.code
