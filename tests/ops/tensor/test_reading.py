"""MXNet's tensor operators where reading them needs more than a case can say."""

from __future__ import annotations

import numpy as np
import pytest

from graphkit.errors import UnsupportedError
from graphkit.frameworks.base import InputSpec, ReadOptions, runtimes
from graphkit.frameworks.mxnet.read import from_symbol
from graphkit.frameworks.mxnet.write import to_symbol
from graphkit.ir.canonical import canonical
from graphkit.ops.mxgraph import VARIABLE, MxGraph, MxModel, MxNode, MxRef


def symbol_of(op: str, inputs: list[str], attrs: dict[str, str], **stored: np.ndarray) -> MxModel:
    variables = [MxNode(VARIABLE, name) for name in inputs]
    node = MxNode(op, "node", attrs, [MxRef(variable) for variable in variables])
    return MxModel(MxGraph([*variables, node], [MxRef(node)]), dict(stored))


def read(mx: MxModel, *specs: InputSpec, warnings: list[str] | None = None, dynamic: bool = True):  # type: ignore[no-untyped-def]
    heard = [] if warnings is None else warnings
    return canonical(from_symbol(mx, ReadOptions(inputs=specs, dynamic_batch=dynamic, warn=heard.append), "model"))


@pytest.mark.parametrize(
    ("attrs", "shape"),
    [
        ({"target_shape": "(0, 12)"}, (2, 12)),
        ({"target_shape": "(4, 0)"}, (4, 6)),
        ({"target_shape": "(7, 0)", "keep_highest": "True"}, (2, 12)),
        ({"target_shape": "(0, 3, 4)", "keep_highest": "1"}, (2, 3, 4)),
    ],
)
def test_the_target_shape_of_old_symbols_is_understood(attrs: dict[str, str], shape: tuple[int, ...]) -> None:
    """MXNet 1.9.1 itself corrupts its memory over them, so there is nothing to compare with."""
    model = read(symbol_of("Reshape", ["x"], attrs), InputSpec("x", (2, 3, 4)))
    x = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    with runtimes()["reference"].open(model) as session:
        (found,) = session.forward({"x": x}).values()
    np.testing.assert_array_equal(found, x.reshape(shape))


@pytest.mark.parametrize("codes", ["(0, -1)", "(-3, 0)", "(-4, -1, 1, -2)", "(0, 0, -4, 2, -1)", "(-2, 1)", "(-1, 4)"])
@pytest.mark.parametrize("batch", [2, 5])
def test_a_reshape_keeps_the_batch_free(codes: str, batch: int) -> None:
    model = read(symbol_of("Reshape", ["x"], {"shape": codes}), InputSpec("x", (None, 3, 4)))
    x = np.arange(batch * 12, dtype=np.float32).reshape(batch, 3, 4)
    with runtimes()["mxnet"].open(model, native=False) as session:
        (found,) = session.forward({"x": x}).values()
    with runtimes()["reference"].open(model) as session:
        (expected,) = session.forward({"x": x}).values()
    assert found.shape == expected.shape
    np.testing.assert_array_equal(found, expected)


def test_an_embedding_comes_back_as_one_embedding() -> None:
    """Its clipping and truncation of indices, which ONNX spells out, are found again."""
    mx = symbol_of(
        "Embedding", ["x", "table"], {"input_dim": "5", "output_dim": "2"}, table=np.ones((5, 2), np.float32)
    )
    model = read(mx, InputSpec("x", (2, 3)))
    assert [node.op_type for node in model.graph] == ["Cast", "Clip", "Gather"]
    assert [node.op for node in to_symbol(model).graph.nodes if not node.is_variable] == ["Embedding"]


def test_what_is_lost_is_told() -> None:
    warnings: list[str] = []
    model = read(symbol_of("squeeze", ["x"], {}), InputSpec("x", (4, 1, 3, 1)), warnings=warnings)
    assert "free size" in warnings[0]
    assert "'node' (squeeze)" in warnings[0]
    assert len(model.graph.outputs[0].shape) == 2


@pytest.mark.parametrize(
    ("op", "attrs", "why"),
    [
        ("Reshape", {}, "no shape"),
        ("Reshape", {"shape": "(-4, -1)"}, "fewer than two"),
        ("_split_v2", {"indices": "(1, 2)"}, "rise from 0"),
        ("SequenceReverse", {"axis": "1"}, "axis 0 only"),
        ("pick", {"axis": "None"}, "no axis"),
    ],
)
def test_what_mxnet_rejects_is_refused_with_the_reason(op: str, attrs: dict[str, str], why: str) -> None:
    mx = symbol_of(op, ["x", "y"] if op == "pick" else ["x"], attrs)
    specs = [InputSpec(name, (2, 3)) for name in (["x", "y"] if op == "pick" else ["x"])]
    with pytest.raises(UnsupportedError, match=why):
        read(mx, *specs)
