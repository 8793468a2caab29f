"""Changing the colours of images, by numbers that are given or drawn.

MXNet computes in float32 whatever the image holds, and keeps bytes between 0 and 255, without their fraction. Its
backward passes hand on the gradient as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from graphkit.ops.codec import FLOAT
from graphkit.ops.image.arrange import floats
from graphkit.ops.image.hue import turned
from graphkit.ops.spec import Case, MxForm, Op, Refusal, Tol, arr, is_float
from graphkit.ops.tensor.sizes import some

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from graphkit.ops.builders import OnnxBuilder
    from graphkit.ops.mxgraph import MxNode
    from graphkit.ops.spec import Read

    Change = Callable[[OnnxBuilder, ir.Value, ir.Value], ir.Value]
    """What a factor makes of pixels, all of them floats."""

_BASIS = np.asarray(
    [
        [55.46 * -0.5675, 4.794 * 0.7192, 1.148 * 0.4009],
        [55.46 * -0.5808, 4.794 * -0.0045, 1.148 * -0.8140],
        [55.46 * -0.5836, 4.794 * -0.6948, 1.148 * 0.4203],
    ],
    np.float32,
)
"""Principal components of the colours of photographs, times their standard deviations: AlexNet's."""
_GREY = np.asarray([0.299, 0.587, 0.114], np.float32)
"""How bright red, green and blue are."""
_UNSET = Refusal("MXNet leaves its result unset where the image has one channel; leave it out")


def _unfit(b: OnnxBuilder, image: ir.Value) -> Refusal | None:
    """Why MXNet changes no such image's colours."""
    if b.rank(image) != 3:
        return Refusal(f"it reads images of 3 axes, not of {b.rank(image)}")
    if b.shape(image)[-1] not in (1, 3):
        return Refusal("it reads images of 1 or 3 channels; give the size of the inputs with --input")
    return None


def _changed(b: OnnxBuilder, image: ir.Value, factor: ir.Value, change: Change) -> ir.Value:
    """The image with its pixels changed, in its own dtype."""
    dtype = b.dtype(image)
    if is_float(dtype):
        if b.dtype(factor) != dtype:
            factor = b.op("Cast", factor, to=ir.DataType.from_numpy(dtype))
        return change(b, image, factor)
    result = change(b, b.op("Cast", image, to=ir.DataType.FLOAT), factor)
    if dtype == np.uint8:
        result = b.op("Clip", result, b.scalar(0.0, result), b.scalar(255.0, result))
    return b.op("Cast", result, to=ir.DataType.from_numpy(dtype))


def _brightened(b: OnnxBuilder, pixels: ir.Value, factor: ir.Value) -> ir.Value:
    return b.op("Mul", pixels, factor)


def _contrasted(b: OnnxBuilder, pixels: ir.Value, factor: ir.Value) -> ir.Value:
    """Pixels moved away from how bright the image is in the mean."""
    grey = b.op("Mul", pixels, _GREY.astype(b.dtype(pixels))) if b.shape(pixels)[-1] == 3 else pixels
    mean = b.op("ReduceMean", b.op("ReduceSum", grey, [2], keepdims=0), keepdims=0)
    shift = b.op("Mul", b.op("Sub", b.scalar(1.0, factor), factor), mean)
    return b.op("Add", b.op("Mul", pixels, factor), shift)


def _saturated(b: OnnxBuilder, pixels: ir.Value, factor: ir.Value) -> ir.Value:
    """Pixels moved away from what MXNet takes for their brightness, which is that of their blue alone."""
    if b.shape(pixels)[-1] == 1:
        return b.op("Identity", pixels)
    blue = b.op("Slice", pixels, [2], [3], [2])
    grey = b.op("Mul", blue, b.scalar(float(_GREY[2]), pixels))
    rest = b.op("Mul", grey, b.op("Sub", b.scalar(1.0, factor), factor))
    return b.op("Add", rest, b.op("Mul", pixels, factor))


def _lit(b: OnnxBuilder, pixels: ir.Value, shift: ir.Value) -> ir.Value:
    return b.op("Add", pixels, shift)


def _uniform(b: OnnxBuilder, low: float, high: float) -> ir.Value:
    """One number drawn between two."""
    return b.op("RandomUniform", shape=(1,), low=low, high=high)


def _reads_drawn(change: Change) -> Read:
    """A change by a factor that is drawn between two."""

    def read(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
        image = some(x[0])
        low, high = (FLOAT.parse(node.attrs[name]) for name in ("min_factor", "max_factor"))
        if not 0 <= low <= high:
            return Refusal(f"min_factor={low} and max_factor={high} are not two factors in order, from 0")
        if (problem := _unfit(b, image)) is not None:
            return problem
        if change is turned and b.shape(image)[-1] == 1:
            return _UNSET
        return _changed(b, image, _uniform(b, low, high), change)

    return read


def _read_jitter(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    """All changes by factors that are drawn, in an order that is drawn, too."""
    image = some(x[0])
    if (problem := _unfit(b, image)) is not None:
        return problem
    changes = {"brightness": _brightened, "contrast": _contrasted, "saturation": _saturated, "hue": turned}
    amounts = {name: FLOAT.parse(node.attrs[name]) for name in changes}
    wanted = [name for name, amount in amounts.items() if amount > 0]
    if not wanted or ("hue" in wanted and b.shape(image)[-1] == 1):
        return _UNSET if wanted else Refusal("none of its amounts is positive, and MXNet leaves its result unset")
    factors = {
        name: _uniform(b, -amounts[name], amounts[name])
        if name == "hue"
        else _uniform(b, 1 - amounts[name], 1 + amounts[name])
        for name in wanted
    }
    if len(wanted) == 1:
        return _changed(b, image, factors[wanted[0]], changes[wanted[0]])
    _, order = b.ops("TopK", 2, b.op("RandomUniform", shape=(len(wanted),)), [len(wanted)])
    for step in range(len(wanted)):
        now = b.op("Gather", order, np.asarray(step))
        choices = [_changed(b, image, factors[name], changes[name]) for name in wanted]
        image = choices[-1]
        for number, choice in enumerate(choices[:-1]):
            image = b.op("Where", b.op("Equal", now, np.asarray(number)), choice, image)
    return image


def _read_lighting(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    image = some(x[0])
    alpha = floats(node.attrs["alpha"])
    if len(alpha) != 3:
        return Refusal(f"alpha has {len(alpha)} elements; MXNet takes one for each of the channels red, green and blue")
    if (problem := _unfit(b, image)) is not None or b.shape(image)[-1] == 1:
        return problem or _UNSET
    red, green, blue = (_BASIS[:, channel] * alpha[channel] for channel in range(3))
    return _changed(b, image, b.const((red + green) + blue), _lit)


def _read_random_lighting(b: OnnxBuilder, node: MxNode, x: Sequence[ir.Value | None]) -> ir.Value | Refusal:
    image = some(x[0])
    if (problem := _unfit(b, image)) is not None or b.shape(image)[-1] == 1:
        return problem or _UNSET
    deviation = FLOAT.parse(node.attrs.get("alpha_std", "0.05"))
    if deviation < 0:
        return Refusal(f"alpha_std={deviation} is negative")
    alpha = b.op("RandomNormal", shape=(3,), scale=deviation)
    return _changed(b, image, b.op("MatMul", b.const(_BASIS), alpha), _lit)


_BYTES, _PIXELS = arr(4, 6, 3, low=0, high=256, dtype="uint8"), arr(4, 5, 3, low=5.0, high=250.0)
_SINGLE = Tol(float64=1e-6, reason="MXNet computes with pixels in float32")


def _form(op: str, read: Read, reads: tuple[str, ...], *cases: Case) -> MxForm:
    return MxForm(op, read=read, reads=reads, direction="read", cases=cases)


def _drawn(op: str, change: Change) -> MxForm:
    """Cases draw between equal numbers, which is exact."""
    grey = (
        ()
        if change is turned
        else (Case("grey", (arr(3, 4, 1, low=5.0, high=200.0),), _between(0.75), grad=False, tol=_SINGLE),)
    )
    return _form(
        op,
        _reads_drawn(change),
        ("min_factor", "max_factor"),
        Case("bytes", (arr(4, 6, 3, low=0, high=256),), _between(1.3), dtype="uint8", grad=False),
        Case("less", (_PIXELS,), _between(0.25), grad=False, tol=_SINGLE),
        Case("more", (_PIXELS,), _between(1.75), grad=False, tol=_SINGLE),
        Case("as it is", (_PIXELS,), _between(1.0), grad=False, tol=_SINGLE),
        *grey,
    )


def _between(factor: float) -> dict[str, float]:
    return {"min_factor": factor, "max_factor": factor}


_NEXT_TO_NOTHING = {"brightness": 1e-7, "contrast": 1e-7, "saturation": 1e-7, "hue": 1e-8}
_FORMS = (
    _form(
        "_image_adjust_lighting",
        _read_lighting,
        ("alpha",),
        Case("bytes", (_BYTES,), {"alpha": (0.5, -0.25, 0.1)}, grad=False),
        Case("floats", (_PIXELS,), {"alpha": "(0.05, 0.1, -0.2)"}, tol=_SINGLE),
    ),
    _form(
        "_image_random_lighting",
        _read_random_lighting,
        ("alpha_std",),
        Case("hardly", (_PIXELS,), {"alpha_std": 1e-8}, grad=False, tol=_SINGLE),
    ),
    _drawn("_image_random_brightness", _brightened),
    _drawn("_image_random_contrast", _contrasted),
    _drawn("_image_random_saturation", _saturated),
    _drawn("_image_random_hue", turned),
    _form(
        "_image_random_color_jitter",
        _read_jitter,
        ("brightness", "contrast", "saturation", "hue"),
        Case("hardly", (_PIXELS,), _NEXT_TO_NOTHING, grad=False, tol=_SINGLE),
        Case(
            "hardly brighter",
            (_PIXELS,),
            {**_NEXT_TO_NOTHING, "contrast": 0, "saturation": 0, "hue": 0},
            grad=False,
            tol=_SINGLE,
        ),
    ),
)

OPS = tuple(Op("", mx=(form,)) for form in _FORMS)
