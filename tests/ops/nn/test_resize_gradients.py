"""Gradients of Resize at any size, against torch's."""

from __future__ import annotations

import pytest
from torchgradients import assert_torch_gradients, drawn
from torchtext import model_of

from graphkit.errors import UnsupportedError
from graphkit.passes.gradient.model import gradient_model

FREE = "float[N, 3, H, W] x"
SHAPE = {"x": (2, 3, 4, 5)}
TWICE = "float[4] k = {1, 1, 2, 2}"
LINEAR, CUBIC = 'mode = "linear"', 'mode = "cubic"'
REPEAT = 'coordinate_transformation_mode = "asymmetric", nearest_mode = "floor"'
ALIGNED = 'coordinate_transformation_mode = "align_corners"'

SCALED = [
    ("nearest, twice", REPEAT, TWICE, ["AveragePool", "Mul"]),
    ("nearest, thrice and twice", REPEAT, "float[4] k = {1, 1, 3, 2}", ["AveragePool", "Mul"]),
    ("nearest, fractional", REPEAT, "float[4] k = {1, 1, 1.5, 0.75}", None),
    ("linear, twice", LINEAR, TWICE, ["Pad", "Conv"]),
    ("linear, thrice", LINEAR, "float[4] k = {1, 1, 3, 3}", ["Pad", "Conv"]),
    ("linear, one axis", LINEAR, "float[4] k = {1, 1, 1, 2}", ["Pad", "Conv"]),
    ("linear, four times", LINEAR, "float[4] k = {1, 1, 4, 4}", None),
    ("linear, aligned", f"{LINEAR}, {ALIGNED}", TWICE, None),
    ("linear, halved", LINEAR, "float[4] k = {1, 1, 0.5, 0.5}", None),
    ("cubic", CUBIC, "float[4] k = {1, 1, 2, 1.5}", None),
]


@pytest.mark.parametrize(("attributes", "scales", "expected"), [c[1:] for c in SCALED], ids=[c[0] for c in SCALED])
def test_gradients_of_images_of_free_size_are_torchs(attributes: str, scales: str, expected: list[str] | None) -> None:
    model = model_of(FREE, "float[N, 3, h, w] y", f'y = Resize <{attributes}> (x, "", k)', scales)
    assert_torch_gradients(model, drawn(model, SHAPE))
    if expected is not None:
        assert [node.op_type for node in gradient_model(model, ["x"]).graph] == ["Resize", *expected]


SIZED = [
    ("nearest", REPEAT),
    ("linear", LINEAR),
    ("linear, aligned", f"{LINEAR}, {ALIGNED}"),
    ("cubic", CUBIC),
]


@pytest.mark.parametrize("attributes", [case[1] for case in SIZED], ids=[case[0] for case in SIZED])
def test_gradients_of_images_resized_to_others_are_torchs(attributes: str) -> None:
    model = model_of(
        FREE + ", float[N, 3, A, B] z",
        "float[N, 3, h, w] y",
        f"""
        s = Shape <start = 2> (z)
        y = Resize <{attributes}, axes = [2, 3]> (x, "", "", s)
        """,
    )
    assert_torch_gradients(model, drawn(model, {**SHAPE, "z": (2, 3, 7, 9)}))


def test_rows_of_volumes_are_resized_in_place() -> None:
    model = model_of(
        "float[N, 2, 3, 4, 5] x",
        "float[N, 2, 6, 2, 8] y",
        f'y = Resize <{LINEAR}, axes = [2, 3, 4]> (x, "", "", s)',
        "int64[3] s = {6, 2, 8}",
    )
    assert_torch_gradients(model, drawn(model, {"x": (2, 2, 3, 4, 5)}))


def test_an_aspect_ratio_of_unknown_sizes_is_refused() -> None:
    model = model_of(
        FREE,
        "float[N, 3, h, w] y",
        f'y = Resize <{LINEAR}, axes = [2, 3], keep_aspect_ratio_policy = "not_larger"> (x, "", "", s)',
        "int64[2] s = {6, 8}",
    )
    with pytest.raises(UnsupportedError, match="aspect ratio"):
        gradient_model(model)


def test_a_crop_of_an_image_of_free_size_is_put_back() -> None:
    model = model_of(
        FREE,
        "float[N, 3, 3, 4] y",
        f'y = Resize <{LINEAR}, axes = [2, 3], coordinate_transformation_mode = "tf_crop_and_resize"> (x, r, "", s)',
        "float[4] r = {0.25, 0.125, 0.75, 1.25}, int64[2] s = {3, 4}",
    )
    assert_torch_gradients(model, drawn(model, SHAPE))
