"""What layers look like in torch source, and what they do in training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from torchtext import agree, lines_of, model_of

from graphkit.frameworks.base import InputSpec, ReadOptions, runtimes
from graphkit.frameworks.mxnet.read import from_symbol
from graphkit.frameworks.torch.source.program import to_program
from graphkit.ir.canonical import canonical
from graphkit.ops.mxgraph import VARIABLE, MxGraph, MxModel, MxNode, MxRef

if TYPE_CHECKING:
    import numpy.typing as npt
    import onnx_ir as ir

    from graphkit.frameworks.base import Mode

FOUR = "float[4] g = {1, 2, 3, 4}, float[4] c = {4, 3, 2, 1}"
NATURAL: list[tuple[str, str, list[str]]] = [
    ("MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (x)", "", ["v1 = F.max_pool2d(v0, 2)"]),
    (
        "MaxPool <kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 1, 1], ceil_mode = 1> (x)",
        "",
        ["v1 = F.max_pool2d(v0, 3, stride=2, padding=1, ceil_mode=True)"],
    ),
    ("AveragePool <kernel_shape = [3, 3]> (x)", "", ["v1 = F.avg_pool2d(v0, 3, stride=1)"]),
    (
        "AveragePool <kernel_shape = [3, 2], strides = [3, 2], pads = [1, 1, 1, 1]> (x)",
        "",
        ["v1 = F.avg_pool2d(v0, (3, 2), padding=1, count_include_pad=False)"],
    ),
    ("GlobalAveragePool (x)", "", ["v1 = F.adaptive_avg_pool2d(v0, 1)"]),
    ("GlobalMaxPool (x)", "", ["v1 = F.adaptive_max_pool2d(v0, 1)"]),
    ("LRN <size = 5> (x)", "", ["v1 = F.local_response_norm(v0, 5)"]),
    ("Dropout (x, p)", "float p = {0.2}", ["self.layer0 = nn.Dropout(0.2)", "v1 = self.layer0(v0)"]),
    (
        'Resize <mode = "linear", axes = [2, 3]> (x, "", "", s)',
        "int64[2] s = {5, 6}",
        ["v1 = F.interpolate(v0, size=(5, 6), mode='bilinear')"],
    ),
    (
        "LayerNormalization <axis = 3, epsilon = 0.001> (x, g, c)",
        FOUR,
        ["self.layer0 = nn.LayerNorm(4, eps=0.001)", "v1 = self.layer0(v0)"],
    ),
    (
        "GroupNormalization <num_groups = 2> (x, g, c)",
        FOUR,
        ["self.layer0 = nn.GroupNorm(2, 4)", "v1 = self.layer0(v0)"],
    ),
    (
        "InstanceNormalization (x, g, c)",
        FOUR,
        ["self.layer0 = nn.InstanceNorm2d(4, affine=True)", "v1 = self.layer0(v0)"],
    ),
    (
        "BatchNormalization <momentum = 0.99> (x, g, c, c, g)",
        FOUR,
        ["self.layer0 = nn.BatchNorm2d(4, momentum=0.01)", "v1 = self.layer0(v0)"],
    ),
    ('DepthToSpace <blocksize = 2, mode = "CRD"> (x)', "", ["v1 = F.pixel_shuffle(v0, 2)"]),
    ("Attention (x, x, x)", "", ["v1 = F.scaled_dot_product_attention(v0, v0, v0)"]),
]
IMAGE = np.random.default_rng(3).standard_normal((2, 4, 4, 4)).astype(np.float32)


@pytest.mark.parametrize("row", NATURAL, ids=lambda row: row[0])
def test_what_is_written_is_what_a_person_writes(row: tuple[str, str, list[str]]) -> None:
    expression, held, expected = row
    model = model_of("float[n, 4, 4, 4] x", "float[n, c, h, w] y", f"y = {expression}", held)
    assert [line for line in lines_of(model) if "tensor" not in line.split(" = ")[0]] == expected
    agree(model, IMAGE)


@pytest.mark.parametrize(("scales", "factor"), [("2.0, 2.0", "2"), ("0.5, 1.5", "(0.5, 1.5)")])
def test_scales_are_written_as_they_are(scales: str, factor: str) -> None:
    body = f's = Constant <value_floats = [1.0, 1.0, {scales}]> () y = Resize <mode = "linear"> (x, "", s)'
    model = model_of("float[n, 4, 4, 4] x", "float[n, c, h, w] y", body)
    assert lines_of(model) == [f"v1 = F.interpolate(v0, scale_factor={factor}, mode='bilinear')"]
    agree(model, IMAGE)


def test_dropout_of_nothing_is_not_written() -> None:
    model = model_of("float[n, 3] x", "float[n, 3] y", "d = Dropout (x, p) y = Relu (d)", "float p = {0.0}")
    assert lines_of(model) == ["v1 = F.relu(v0)"]


def test_each_dropout_is_a_layer_of_its_own() -> None:
    model = model_of("float[n, 3] x", "float[n, 3] y", "d = Dropout (x) y = Dropout (d)")
    assert lines_of(model)[:2] == ["self.layer0 = nn.Dropout()", "self.layer1 = nn.Dropout()"]


def test_normalisation_without_scale_and_shift_is_a_function() -> None:
    held = "float[1] g = {1.0}"
    model = model_of("float[n, 2, 1] x", "float[n, 2, 1] y", "y = LayerNormalization (x, g)", held)
    assert lines_of(model) == ["v1 = F.layer_norm(v0, (1,))"]
    agree(model, np.ones((1, 2, 1), np.float32))


def read(op: str, attrs: dict[str, str], shape: tuple[int, ...], *stored: str) -> ir.Model:
    """The model of one MXNet node over an input and vectors of the size of its second axis."""
    rng = np.random.default_rng(5)
    arrays = {name: rng.uniform(0.5, 2, shape[1]).astype(np.float32) for name in stored}
    variables = [MxNode(VARIABLE, name) for name in ("x", *stored)]
    node = MxNode(op, "node", attrs, [MxRef(variable) for variable in variables])
    states = {name: arrays.pop(name) for name in ("mean", "var") if name in arrays}
    mx = MxModel(MxGraph([*variables, node], [MxRef(node)]), arrays, states)
    return canonical(from_symbol(mx, ReadOptions(inputs=(InputSpec("x", shape),), dynamic_batch=False), "model"))


def computed(model: ir.Model, mode: Mode, x: npt.NDArray[np.float32]) -> npt.NDArray[Any]:
    with runtimes()["torch"].open(model, mode=mode, native=False) as session:
        (found,) = session.forward({"x": x}).values()
    return found


@pytest.mark.parametrize("size", [(3, 5), (4, 3), (3, 4), (7, 9)])
def test_pooling_over_bins_that_differ_is_torchs_adaptive_pooling(size: tuple[int, int]) -> None:
    model = read("_contrib_AdaptiveAvgPooling2D", {"output_size": str(size)}, IMAGE.shape)
    assert lines_of(model) == [f"v1 = F.adaptive_avg_pool2d(v0, {size})"]
    agree(model, IMAGE)


STATISTICS = ("gamma", "beta", "mean", "var")


def test_a_fixed_gamma_is_a_weight_that_is_not_trained() -> None:
    program = to_program(read("BatchNorm", {"momentum": "0.99"}, (2, 4, 3, 3), *STATISTICS))
    (layer,) = [stmt.layer for stmt in program.stmts if stmt.layer is not None]
    assert (layer.type, layer.args, layer.kwargs) == ("nn.BatchNorm2d", (4,), {"eps": 0.001, "momentum": 0.01})
    assert layer.frozen == ("weight",)


@pytest.mark.parametrize("kept", [False, True])
def test_stored_statistics_serve_in_training_where_the_symbol_says_so(kept: bool) -> None:
    model = read("BatchNorm", {"use_global_stats": str(kept), "fix_gamma": "False"}, IMAGE.shape, *STATISTICS)
    same = np.allclose(computed(model, "train", IMAGE), computed(model, "eval", IMAGE), atol=1e-6)
    assert same == kept


def test_statistics_follow_the_mode_where_the_scale_is_computed() -> None:
    held = "float[4] m = {1, 2, 3, 4}, float[4] v = {4, 3, 2, 1}"
    signature = "float[n, 4, 4, 4] x, float[4] g, float[4] c"
    model = model_of(signature, "float[n, 4, 4, 4] y", "y = BatchNormalization <momentum = 0.8> (x, g, c, m, v)", held)
    call = "F.batch_norm(v0, self.tensor0, self.tensor1, v1, v2, training=self.training, momentum=0.2)"
    assert lines_of(model)[-1] == f"v3 = {call}"
    feeds = {"x": IMAGE, "g": np.ones(4, np.float32), "c": np.zeros(4, np.float32)}
    with runtimes()["torch"].open(model, mode="train", native=False) as session:
        found = session.forward(feeds)["y"]
    np.testing.assert_allclose(found.mean((0, 2, 3)), 0, atol=1e-6)
    np.testing.assert_allclose(found.var((0, 2, 3)), 1, rtol=1e-4)
    agree(model, *feeds.values())


@pytest.mark.parametrize(("axes", "layer"), [((2, 3), "Dropout2d"), ((1,), "Dropout"), ((0, 3), "Dropout")])
def test_axes_of_a_dropout_share_what_is_dropped(axes: tuple[int, ...], layer: str) -> None:
    model = read("Dropout", {"p": "0.4", "axes": str(axes)}, IMAGE.shape)
    assert lines_of(model)[0] == f"self.layer0 = nn.{layer}(0.4)"
    kept = computed(model, "train", IMAGE) != 0
    assert 0 < kept.mean() < 1
    first = tuple(slice(1) if axis in axes else slice(None) for axis in range(4))
    np.testing.assert_array_equal(kept, np.broadcast_to(kept[first], kept.shape))
    np.testing.assert_array_equal(computed(model, "eval", IMAGE), IMAGE)
