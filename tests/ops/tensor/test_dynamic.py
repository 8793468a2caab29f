"""Tensor operators in graphs of more than one node, with the batch size free: MXNet agrees at every size."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from graphkit.frameworks.base import runtimes
from graphkit.frameworks.mxnet.write import to_symbol
from graphkit.ir.canonical import canonical


def model_of(signature: str, result: str, body: str, held: str = "") -> ir.Model:
    stored = f"<{held}>" if held else ""
    text = f'<ir_version: 10, opset_import: ["": 23]> g ({signature}) => ({result}) {stored} {{ {body} }}'
    return canonical(ir.from_onnx_text(text))


def ops_of(model: ir.Model) -> list[str]:
    return [node.op for node in to_symbol(model).graph.nodes if not node.is_variable]


def agree(model: ir.Model, **shapes: tuple[int, ...]) -> None:
    """MXNet computes what the reference does; ``int64`` inputs are drawn below 3."""
    rng = np.random.default_rng(3)
    feeds = {}
    for value in model.graph.inputs:
        assert value.dtype is not None
        shape = shapes[value.name or ""]
        kind = value.dtype.numpy()
        drawn = rng.integers(0, 3, shape) if kind == np.int64 else rng.standard_normal(shape)
        feeds[value.name or ""] = drawn.astype(kind)
    with runtimes()["mxnet"].open(model, native=False) as session:
        found = session.forward(feeds)
    with runtimes()["reference"].open(model) as session:
        expected = session.forward(feeds)
    for name, array in expected.items():
        assert found[name].shape == array.shape
        assert found[name].dtype == array.dtype
        np.testing.assert_allclose(found[name], array, rtol=1e-6, atol=1e-6)


def test_heads_are_split_and_merged_at_any_batch_and_length() -> None:
    """Reshapes computed from two free sizes, as attention has them."""
    model = model_of(
        "float[N, T, 12] x",
        "float[a, b, c] y, float[d, e, f, g] z",
        """
        n = Shape <start = 0, end = 1> (x)
        t = Shape <start = 1, end = 2> (x)
        apart = Concat <axis = 0> (n, t, three, four)
        split = Reshape (x, apart)
        heads = Transpose <perm = [0, 2, 1, 3]> (split)
        m = Mul (n, three)
        flat = Concat <axis = 0> (m, t, four)
        y = Reshape (heads, flat)
        back = Concat <axis = 0> (n, three, t, four)
        z = Reshape (y, back)
        """,
        "int64[1] three = {3}, int64[1] four = {4}",
    )
    assert not {"shape_array", "_copy"} & set(ops_of(model))
    agree(model, x=(2, 5, 12))
    agree(model, x=(1, 3, 12))


@pytest.mark.parametrize("size", [4, 7])
def test_all_axes_but_the_last_are_merged_at_any_size(size: int) -> None:
    model = model_of(
        "float[N, 6, H, W] x",
        "float[a, b] y",
        """
        w = Shape <start = 3, end = 4> (x)
        rows = Concat <axis = 0> (rest, w)
        y = Reshape (x, rows)
        """,
        "int64[1] rest = {-1}",
    )
    assert ops_of(model) == ["Reshape"]
    agree(model, x=(2, 6, 3, size))


@pytest.mark.parametrize("batch", [1, 3])
def test_a_token_is_expanded_to_the_batch(batch: int) -> None:
    model = model_of(
        "float[N, 3] x",
        "float[a, b] y",
        """
        n = Shape <start = 0, end = 1> (x)
        size = Concat <axis = 0> (n, three)
        tokens = Expand (token, size)
        y = Concat <axis = 0> (tokens, x)
        """,
        "int64[1] three = {3}, float[1, 3] token = {0.5, -1.0, 2.0}",
    )
    assert "broadcast_like" in ops_of(model)
    agree(model, x=(batch, 3))


@pytest.mark.parametrize("length", [1, 4])
def test_a_table_is_cut_to_the_length_of_the_input(length: int) -> None:
    model = model_of(
        "float[N, T] x",
        "float[a, b] y, float[c, d] z",
        """
        t = Shape <start = 1, end = 2> (x)
        rows = Slice (table, zero, t, zero)
        y = Add (rows, one)
        columns = Slice (wide, zero, t, one_axis)
        z = Add (columns, one)
        """,
        """int64[1] zero = {0}, int64[1] one_axis = {1}, float[1] one = {1.0},
        float[4, 2] table = {0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0}, float[1, 4] wide = {0.0, 1.0, 2.0, 3.0}""",
    )
    agree(model, x=(2, length))


@pytest.mark.parametrize("length", [1, 4])
def test_positions_count_a_free_axis(length: int) -> None:
    model = model_of(
        "float[N, T] x",
        "int64[a] y, float[b, c] z",
        """
        n = Shape <start = 1, end = 2> (x)
        t = Squeeze (n, zero)
        y = Range (start, t, step)
        sizes = Shape (x)
        z = ConstantOfShape <value = float[1] {2.5}> (sizes)
        """,
        "int64[1] zero = {0}, int64 start = {0}, int64 step = {1}",
    )
    agree(model, x=(2, length))


def test_a_mask_is_made_for_a_free_length() -> None:
    """A causal mask, whose lower triangle chooses between the scores and minus infinity."""
    model = model_of(
        "float[N, T, T] scores",
        "float[a, b, c] y",
        """
        t = Shape <start = 1, end = 2> (scores)
        square = Concat <axis = 0> (t, t)
        ones = ConstantOfShape <value = float[1] {1.0}> (square)
        lower = Trilu <upper = 0> (ones)
        kept = Cast <to = 9> (lower)
        masked = Where (kept, scores, never)
        y = Softmax <axis = -1> (masked)
        """,
        "float never = {-inf}",
    )
    agree(model, scores=(2, 4, 4))
    agree(model, scores=(1, 3, 3))


def test_only_the_outputs_of_topk_that_are_read_are_computed() -> None:
    model = model_of(
        "float[N, 5] x", "float[a, b] y", "v, i = TopK <axis = 1> (x, two) \n y = Neg (v)", "int64[1] two = {2}"
    )
    topk = next(node for node in to_symbol(model).graph.nodes if node.op == "topk")
    assert topk.attrs["ret_typ"] == "value"
    agree(model, x=(3, 5))
    model = model_of(
        "float[N, 5] x", "int64[a, b] y", "v, i = TopK <axis = 1> (x, two) \n y = Neg (i)", "int64[1] two = {2}"
    )
    topk = next(node for node in to_symbol(model).graph.nodes if node.op == "topk")
    assert topk.attrs["ret_typ"] == "indices"
    agree(model, x=(3, 5))


def test_no_gradient_passes_through_integers() -> None:
    """MXNet's own Cast hands gradients on, which would be those of the identity."""
    model = model_of("float[3] x", "float[3] y", "whole = Cast <to = 7> (x) \n y = Cast <to = 1> (whole)")
    feeds = {"x": np.array([0.5, 1.5, -2.5], np.float32)}
    with runtimes()["mxnet"].open(model, native=False) as session:
        gradients = session.backward(feeds, {"y": np.ones(3, np.float32)})
    np.testing.assert_array_equal(gradients["x"], np.zeros(3))
    assert ops_of(model) == ["BlockGrad", "Cast", "Cast"]


def test_flattening_an_image_is_one_flatten_node() -> None:
    model = model_of(
        "float[N, 2, 3, 4] x",
        "float[a, b] y",
        "n = Shape <start = 0, end = 1> (x) \n s = Concat <axis = 0> (n, rest) \n y = Reshape (x, s)",
        "int64[1] rest = {-1}",
    )
    assert ops_of(model) == ["Flatten"]
    agree(model, x=(2, 2, 3, 4))
