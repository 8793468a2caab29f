"""Gradients of sampling and of pooled regions at free sizes, against torch's."""

from __future__ import annotations

import numpy as np
import pytest
from opcases import Use, onnx_model
from torchgradients import assert_torch_gradients, drawn
from torchtext import model_of

from graphkit.ir.canonical import canonical
from graphkit.ir.own import DOMAIN
from graphkit.ops.index import index
from graphkit.ops.spec import Case, arr, given

IMAGES = "float[N, 3, H, W] x, float[N, A, B, 2] g"
SHAPES = {"x": (2, 3, 5, 6), "g": (2, 3, 4, 2)}


@pytest.mark.parametrize(
    ("mode", "padding", "aligned"),
    [
        ("linear", "zeros", 0),
        ("linear", "border", 0),
        ("linear", "zeros", 1),
        ("linear", "border", 1),
        ("linear", "reflection", 1),
        ("nearest", "zeros", 0),
        ("nearest", "reflection", 0),
        ("cubic", "zeros", 1),
        ("cubic", "border", 1),
        ("cubic", "reflection", 1),
    ],
)
def test_gradients_of_samples_are_torchs(mode: str, padding: str, aligned: int) -> None:
    """At random places, beyond the image, at its edges and at its middle."""
    attributes = f'mode = "{mode}", padding_mode = "{padding}", align_corners = {aligned}'
    model = model_of(IMAGES, "float[N, 3, A, B] y", f"y = GridSample <{attributes}> (x, g)")
    feeds = drawn(model, SHAPES)
    feeds["g"][0, 0] = [[-1, -1], [1, 1], [0, 0], [1, -1]]
    assert_torch_gradients(model, feeds)


def test_gradients_of_a_spatial_transformer_are_torchs() -> None:
    model = model_of(
        "float[N, 3, H, W] x, float[N, 2, 3] t",
        "float[N, 3, H, W] y",
        """
        s = Shape (x)
        g = AffineGrid (t, s)
        y = GridSample (x, g)
        """,
    )
    assert_torch_gradients(model, drawn(model, {"x": (2, 3, 5, 6), "t": (2, 2, 3)}))


def test_volumes_are_sampled() -> None:
    model = model_of(
        "float[N, 2, D, H, W] x, float[N, A, B, C, 3] g", "float[N, 2, A, B, C] y", "y = GridSample (x, g)"
    )
    assert_torch_gradients(model, drawn(model, {"x": (2, 2, 3, 4, 5), "g": (2, 2, 1, 3, 3)}))


REGIONS = [[0.3, 0.4, 5.2, 4.1], [2.3, 1.2, 7.9, 6.8], [-3.0, -2.1, 3.5, 3.2], [4.0, 4.0, 4.0, 4.0]]


@pytest.mark.parametrize(
    "attributes",
    [
        "",
        'coordinate_transformation_mode = "output_half_pixel", spatial_scale = 0.5',
        "sampling_ratio = 2, spatial_scale = 1.25",
        'mode = "max", sampling_ratio = 2',
        'mode = "max", coordinate_transformation_mode = "output_half_pixel"',
    ],
)
def test_gradients_of_regions_are_torchs(attributes: str) -> None:
    """Of free number, in images of free size; there are none in the regions themselves."""
    bins = "output_height = 2, output_width = 3" + (f", {attributes}" if attributes else "")
    model = model_of(
        "float[N, 3, H, W] x, float[R, 4] r, int64[R] n", "float[R, 3, 2, 3] y", f"y = RoiAlign <{bins}> (x, r, n)"
    )
    feeds = {**drawn(model, {"x": (2, 3, 8, 9), "r": (4, 4), "n": (4,)}), "r": np.array(REGIONS)}
    feeds["n"] = np.array([0, 1, 1, 0])
    gradients = assert_torch_gradients(model, feeds)
    assert not gradients["r"].any()
    assert gradients["x"].any()


def test_equal_pixels_share_the_gradient_of_a_regions_maximum() -> None:
    model = model_of(
        "float[N, 2, H, W] x, float[R, 5] r",
        "float[R, 2, 2, 3] y",
        "y = MaxRoiPool <pooled_shape = [2, 3], spatial_scale = 0.5> (x, r)",
    )
    regions = np.array([[0, 0, 0, 11, 9], [1, 3, 2, 17, 30], [1, 4, 6, 5, 3]], np.float64)
    feeds = drawn(model, {"x": (2, 2, 6, 7), "r": (3, 5)})
    feeds["x"] = np.maximum(feeds["x"], 0)
    assert_torch_gradients(model, {**feeds, "r": regions})


@pytest.mark.parametrize("mode", ["avg", "max"])
def test_no_regions_give_no_gradient(mode: str) -> None:
    model = model_of(
        "float[N, 3, H, W] x, float[R, 4] r, int64[R] n",
        "float[R, 3, 2, 2] y",
        f'y = RoiAlign <output_height = 2, output_width = 2, mode = "{mode}"> (x, r, n)',
    )
    gradients = assert_torch_gradients(model, drawn(model, {"x": (2, 3, 8, 9), "r": (0, 4), "n": (0,)}))
    assert not gradients["x"].any()


@pytest.mark.parametrize("samples", [0, 2])
def test_gradients_of_rotated_regions_are_torchs(samples: int) -> None:
    """Through what the operator is in ONNX's."""
    regions = [[0, 3, 3, 4, 2.6, 30], [1, 4, 2.5, 5, 3.2, -20], [1, 1, 1, 0.2, 0.3, 0], [0, 7, 5, 6, 9, 100]]
    case = Case(
        "", (arr(2, 3, 6, 8), given(regions, "float32")), {"height": 2, "width": 3, "samples": samples}, dynamic=(0,)
    )
    model, feeds = onnx_model(Use(index().by_onnx[DOMAIN, "RotatedRoiAlign"], case))
    gradients = assert_torch_gradients(
        canonical(model), {name: array.astype(np.float64) for name, array in feeds.items()}
    )
    assert gradients["x0"].any()
