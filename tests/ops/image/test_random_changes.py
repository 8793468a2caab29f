"""Random changes of images draw from MXNet's distributions. Bounds are such that right ones fail once in a billion."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from realmxnet import mxnet

from graphkit.errors import UnsupportedError
from graphkit.frameworks.base import InputSpec, ReadOptions, runtimes
from graphkit.frameworks.mxnet.read import from_symbol
from graphkit.ir.canonical import canonical
from graphkit.ops.codec import show
from graphkit.ops.mxgraph import VARIABLE, MxGraph, MxModel, MxNode, MxRef

Images = npt.NDArray[np.float64]

RUNS = 300
BOUND = float(np.sqrt(-np.log(0.5e-9) / 2) * np.sqrt(2 / RUNS))
IMAGE = np.asarray(
    [[[40.0, 80.0, 160.0], [200.0, 30.0, 90.0]], [[70.0, 160.0, 20.0], [120.0, 110.0, 100.0]]], np.float32
)
CHANGES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("_image_random_brightness", {"min_factor": 0.5, "max_factor": 1.5}),
    ("_image_random_contrast", {"min_factor": 0.2, "max_factor": 1.0}),
    ("_image_random_saturation", {"min_factor": 0.2, "max_factor": 1.7}),
    ("_image_random_hue", {"min_factor": 0.0, "max_factor": 0.4}),
    ("_image_random_lighting", {"alpha_std": 0.3}),
    ("_image_random_color_jitter", {"brightness": 0.4, "contrast": 0.5, "saturation": 0.6, "hue": 0.1}),
    ("_image_random_color_jitter", {"brightness": 0, "contrast": 0.5, "saturation": 0.6, "hue": 0}),
    ("_image_random_flip_left_right", {}),
    ("_image_random_flip_top_bottom", {}),
)


def model_of(op: str, attrs: dict[str, Any], image: npt.NDArray[Any]) -> Any:
    variable = MxNode(VARIABLE, "image")
    node = MxNode(op, "node", {name: show(value) for name, value in attrs.items()}, [MxRef(variable)])
    mx = MxModel(MxGraph([variable, node], [MxRef(node)]))
    options = ReadOptions(inputs=(InputSpec("image", image.shape, image.dtype.name),), dynamic_batch=False)
    return canonical(from_symbol(mx, options, "symbol"))


def ours(runtime: str, op: str, attrs: dict[str, Any], image: npt.NDArray[Any] = IMAGE) -> Images:
    with runtimes()[runtime].open(model_of(op, attrs, image), native=False) as session:
        return np.stack([next(iter(session.forward({"image": image}).values())) for _ in range(RUNS)]).astype(
            np.float64
        )


def theirs(op: str, attrs: dict[str, Any], image: npt.NDArray[Any] = IMAGE) -> Images:
    mx = mxnet()
    mx.random.seed(3)
    call = getattr(mx.nd.image, op.removeprefix("_image_"))
    given = mx.nd.array(image, dtype=image.dtype)
    return np.stack([call(given, **attrs).asnumpy() for _ in range(RUNS)]).astype(np.float64)


def assert_alike(found: Images, expected: Images) -> None:
    """Every number of the image has one distribution, and so have the differences of neighbours."""
    for one, other in zip(samples(found), samples(expected), strict=True):
        places = np.round(np.concatenate([one, other]), 3)
        shares = [np.searchsorted(np.sort(np.round(s, 3)), places, side="right") / RUNS for s in (one, other)]
        assert np.abs(shares[0] - shares[1]).max() <= BOUND


def samples(images: Images) -> Images:
    flat = images.reshape(RUNS, -1)
    return np.concatenate([flat, flat[:, 1:] - flat[:, :-1]], axis=1).T


@pytest.mark.parametrize("runtime", ["ort", "torch"])
@pytest.mark.parametrize(("op", "attrs"), CHANGES)
def test_images_are_changed_as_often_and_as_much_as_mxnet_does(runtime: str, op: str, attrs: dict[str, Any]) -> None:
    assert_alike(ours(runtime, op, attrs), theirs(op, attrs))


def test_bytes_stay_between_their_bounds_as_in_mxnet() -> None:
    image, attrs = IMAGE.astype(np.uint8), {"min_factor": 0.5, "max_factor": 3.0}
    found = ours("ort", "_image_random_brightness", attrs, image)
    assert found.max() == 255
    assert_alike(found, theirs("_image_random_brightness", attrs, image))


@pytest.mark.parametrize(
    ("op", "attrs", "shape", "said"),
    [
        ("_image_random_hue", {"min_factor": 0.5, "max_factor": 0.25}, (2, 2, 3), "two factors in order"),
        ("_image_random_hue", {"min_factor": 0.5, "max_factor": 0.5}, (2, 2, 1), "one channel"),
        ("_image_random_contrast", {"min_factor": 0.5, "max_factor": 0.5}, (2, 2, 4), "1 or 3 channels"),
        ("_image_adjust_lighting", {"alpha": (1.0, 2.0)}, (2, 2, 3), "one for each of the channels"),
        ("_image_resize", {"size": (4, 4), "interp": 3}, (2, 2, 3), "interp=3"),
        ("_image_resize", {"size": (4, -4)}, (2, 2, 3), "neither one positive number"),
        ("_image_crop", {"x": 1, "y": 0, "width": 2, "height": 2}, (2, 2, 3), "the image has 2"),
        ("_image_normalize", {"mean": (1.0, 2.0)}, (3, 2, 2), "mean has 2 elements"),
        ("_image_to_tensor", {}, (2, 2), "not 2 axes"),
    ],
)
def test_refusals_say_what_mxnet_takes(op: str, attrs: dict[str, Any], shape: tuple[int, ...], said: str) -> None:
    with pytest.raises(UnsupportedError, match=said):
        model_of(op, attrs, np.zeros(shape, np.float32))
