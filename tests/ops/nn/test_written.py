"""What the operators of neural networks look like in MXNet, and that free sizes stay free."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir
import pytest

from graphkit.errors import UnsupportedError
from graphkit.frameworks.base import runtimes
from graphkit.frameworks.mxnet.write import to_symbol
from graphkit.ir import params
from graphkit.ir.canonical import canonical

if TYPE_CHECKING:
    from graphkit.ops.mxgraph import MxNode


def model_of(signature: str, result: str, body: str, held: str = "") -> ir.Model:
    stored = f"<{held}>" if held else ""
    text = f'<ir_version: 10, opset_import: ["": 23]> g ({signature}) => ({result}) {stored} {{ {body} }}'
    return canonical(ir.from_onnx_text(text))


def nodes_of(model: ir.Model) -> list[MxNode]:
    return [node for node in to_symbol(model).graph.nodes if not node.is_variable]


def ops_of(model: ir.Model) -> list[str]:
    return [node.op for node in nodes_of(model)]


def agree(model: ir.Model, *shape: int) -> None:
    """MXNet computes of one input what the reference does."""
    feeds = {model.graph.inputs[0].name or "": np.random.default_rng(3).standard_normal(shape).astype(np.float32)}
    with runtimes()["mxnet"].open(model, native=False) as session:
        (found,) = session.forward(feeds).values()
    with runtimes()["reference"].open(model) as session:
        (expected,) = session.forward(feeds).values()
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


NATURAL = [
    ("GlobalAveragePool (x)", "", ["Pooling"]),
    ("MaxPool <kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 1, 1]> (x)", "", ["Pooling"]),
    ("MaxPool <kernel_shape = [3, 3], strides = [2, 2], ceil_mode = 1> (x)", "", ["Pooling"]),
    ("AveragePool <kernel_shape = [2, 2], strides = [2, 2]> (x)", "", ["Pooling"]),
    ("LpPool <kernel_shape = [2, 2]> (x)", "", ["Pooling"]),
    ("LRN <size = 3> (x)", "", ["LRN"]),
    ('DepthToSpace <blocksize = 2, mode = "DCR"> (x)', "", ["depth_to_space"]),
    ("Dropout (x)", "", ["Dropout"]),
    (
        'Resize <mode = "nearest", coordinate_transformation_mode = "asymmetric", nearest_mode = "floor"> (x, , s)',
        "float[4] s = {1, 1, 2, 2}",
        ["UpSampling"],
    ),
    ('Resize <mode = "linear"> (x, , s)', "float[4] s = {1, 1, 2, 2}", ["_contrib_BilinearResize2D"]),
    ("InstanceNormalization (x, w, b)", "float[4] w = {1, 2, 3, 4}, float[4] b = {1, 2, 3, 4}", ["InstanceNorm"]),
    ("LayerNormalization (x, w, b)", "float[6] w = {1, 2, 3, 4, 5, 6}, float[6] b = {1, 2, 3, 4, 5, 6}", ["LayerNorm"]),
]


@pytest.mark.parametrize(
    ("body", "held", "ops"), NATURAL, ids=[case[0].split(" ")[0] + case[1][:8] for case in NATURAL]
)
def test_mxnets_own_operator_is_written_alone(body: str, held: str, ops: list[str]) -> None:
    assert ops_of(model_of("float[N, 4, 6, 6] x", "float[a, b, c, d] y", f"y = {body}", held)) == ops


FREE = [
    "MaxPool <kernel_shape = [2, 3], strides = [2, 2], pads = [1, 0, 1, 0], ceil_mode = 1> (x)",
    "MaxPool <kernel_shape = [1, 2], strides = [3, 2], ceil_mode = 1> (x)",
    "MaxPool <kernel_shape = [3, 2], dilations = [2, 1], pads = [0, 1, 1, 0]> (x)",
    "AveragePool <kernel_shape = [2, 3], strides = [2, 2], pads = [1, 0, 1, 0], ceil_mode = 1> (x)",
    "AveragePool <kernel_shape = [3, 2], pads = [0, 1, 2, 0], count_include_pad = 1> (x)",
    'Resize <mode = "nearest", coordinate_transformation_mode = "asymmetric", nearest_mode = "floor"> (x, , s)',
    'Resize <mode = "linear"> (x, , s)',
    'Resize <mode = "linear", coordinate_transformation_mode = "align_corners"> (x, , s)',
    "LRN <size = 3> (x)",
    "MeanVarianceNormalization (x)",
    "ConvTranspose <strides = [2, 2], dilations = [2, 2], pads = [1, 0, 0, 1]> (x, w)",
    'ConvTranspose <strides = [2, 2], auto_pad = "SAME_UPPER"> (x, w)',
    'Conv <auto_pad = "SAME_LOWER"> (x, v)',
    'DepthToSpace <blocksize = 2, mode = "CRD"> (x)',
]


@pytest.mark.parametrize("body", FREE)
def test_every_size_may_be_free(body: str) -> None:
    numbers = ", ".join(str((k * 7 % 16 - 8) / 8) for k in range(16))
    held = f"float[4] s = {{1, 1, 2, 2}}, float[4, 1, 2, 2] w = {{{numbers}}}, float[1, 4, 2, 2] v = {{{numbers}}}"
    model = model_of("float[N, 4, H, W] x", "float[a, b, c, d] y", f"y = {body}", held)
    for shape in (1, 4, 5, 6), (2, 4, 8, 7), (1, 4, 7, 9):
        agree(model, *shape)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ('y = MaxPool <kernel_shape = [3, 3], strides = [2, 2], auto_pad = "SAME_UPPER"> (x)', "known image size"),
        ('y = Resize <mode = "linear"> (x, , s)', "not known"),
        ('y = Resize <mode = "cubic", antialias = 1> (x, , d)', "not known"),
        ("y, z = MaxPool <kernel_shape = [3, 3]> (x)", "sizes of what it reads are not known"),
        ("y = Dropout (x, r)", "ratio is computed"),
        ("y = Resize (x, , t)", "computed while it runs"),
        ("y = ConvTranspose <output_shape = [9, 9]> (x, w)", "known image size"),
    ],
)
def test_what_cannot_be_said_is_refused_with_a_remedy(body: str, why: str) -> None:
    held = (
        "float[4] s = {1, 1, 1.5, 1.5}, float[4] d = {1, 1, 2, 2}, "
        "float[4, 1, 2, 2] w = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}"
    )
    second = ", int64[a, b, c, d] z" if "z =" in body else ""
    signature = "float[N, 4, H, W] x, float r, float[4] t"
    with pytest.raises(UnsupportedError, match=why):
        to_symbol(model_of(signature, f"float[a, b, c, d] y{second}", body, held))


@pytest.mark.parametrize(("scale", "fixed"), [("1, 1", "True"), ("1, 2", "False")])
def test_a_constant_scale_of_ones_is_a_fixed_gamma(scale: str, fixed: str) -> None:
    held = f"float[2] s = {{{scale}}}, float[2] b = {{0, 1}}, float[2] m = {{0, 1}}, float[2] v = {{1, 2}}"
    model = model_of("float[N, 2] x", "float[N, 2] y", "y = BatchNormalization (x, s, b, m, v)", held)
    params.set_kind(model.graph.initializers["s"], "constant")
    assert nodes_of(model)[0].attrs["fix_gamma"] == fixed
    agree(model, 3, 2)


def test_constants_that_do_nothing_are_not_written() -> None:
    held = "float[4] s = {1, 1, 1, 1}, float[4] b = {0, 0, 0, 0}"
    body = "y = GroupNormalization <num_groups = 2> (x, s, b)"
    model = model_of("float[N, 4, H] x", "float[N, 4, H] y", body, held)
    for name in ("s", "b"):
        params.set_kind(model.graph.initializers[name], "constant")
    assert ops_of(model) == ["GroupNorm"]
    agree(model, 2, 4, 3)


def test_a_trained_scale_of_ones_is_not_fixed() -> None:
    held = "float[2] s = {1, 1}, float[2] b = {0, 1}, float[2] m = {0, 1}, float[2] v = {1, 2}"
    model = model_of("float[N, 2] x", "float[N, 2] y", "y = BatchNormalization (x, s, b, m, v)", held)
    params.set_kind(model.graph.initializers["s"], "parameter")
    assert nodes_of(model)[0].attrs["fix_gamma"] == "False"


def test_statistics_shared_with_an_argument_become_states_of_their_own() -> None:
    held = "float[2] s = {1, 2}, float[2] b = {0, 1}, float[2] v = {1, 2}"
    model = model_of("float[N, 2] x", "float[N, 2] y", "y = BatchNormalization (x, s, b, b, v)", held)
    mx = to_symbol(model)
    assert set(mx.args) == {"s", "b"}
    assert set(mx.aux) == {"b_state", "v"}
    agree(model, 3, 2)


def test_a_scale_over_two_axes_is_stored_flat() -> None:
    held = "float[2, 2] s = {1, 2, 3, 4}, float[2, 2] b = {0, 1, 2, 3}"
    body = "y = LayerNormalization <axis = 1> (x, s, b)"
    model = model_of("float[N, 2, 2] x", "float[N, 2, 2] y", body, held)
    mx = to_symbol(model)
    assert ops_of(model) == ["Reshape", "LayerNorm", "Reshape"]
    assert mx.args["s"].shape == (4,)
    assert mx.derived["s"] == (("reshape", (4,)),)
    agree(model, 3, 2, 2)


@pytest.mark.parametrize(
    ("signature", "attrs"),
    [
        ("double[N, 1, 50, 70] x", ', coordinate_transformation_mode = "align_corners"'),
        ("double[N, 1, H, W] x", ""),
    ],
    ids=["corners", "free size"],
)
def test_float64_images_are_interpolated_in_float64(signature: str, attrs: str) -> None:
    """BilinearResize2D computes its coordinates in float32, up to 5e-5 off in large images."""
    body = f'y = Resize <mode = "linear"{attrs}> (x, , s)'
    model = model_of(signature, "double[a, b, c, d] y", body, "float[4] s = {1, 1, 2, 2}")
    x = np.random.default_rng(0).standard_normal((1, 1, 50, 70))
    with runtimes()["mxnet"].open(model, native=False) as session:
        (found,) = session.forward({"x": x}).values()
    with runtimes()["reference"].open(model) as session:
        (expected,) = session.forward({"x": x}).values()
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)
