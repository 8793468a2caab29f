"""What computes its axes, pads, bounds or sizes gives what it gives when they are constants, gradients included."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from opsetcases import Case, proto_of

from graphkit.frameworks.base import runtimes
from graphkit.ir.canonical import canonical

pytest.importorskip("torch")

IMAGE = "float[2,3,6,8] x"
COLUMNS = "float[2,12,20] x"
CROP = 'coordinate_transformation_mode="tf_crop_and_resize"'
PADS = "int64[8]{0,1,2,0,1,0,-1,3}"
FOUR = "int64[2]{2,2}"
CASES = {
    "sums": (IMAGE, "y = CumSum<reverse={r}, exclusive={e}>(x, {axis})", {"axis": "int64{2}"}),
    "spans": (
        IMAGE,
        "y = Slice(x, {starts}, {ends}, {axes}, {steps})",
        {"starts": "int64[2]{5,-9}", "ends": "int64[2]{0,7}", "axes": "int64[2]{2,-1}", "steps": "int64[2]{-2,3}"},
    ),
    "first spans": (IMAGE, "y = Slice(x, {starts}, {ends})", {"starts": "int64[3]{0,1,2}", "ends": "int64[3]{1,9,-1}"}),
    "pads": (IMAGE, "y = Pad(x, {pads}, @float{{0.5}})", {"pads": PADS}),
    "pads by a value": (
        IMAGE,
        "y = Pad(x, {pads}, {value})",
        {"pads": PADS, "value": "float{2}"},
    ),
    "pads of axes": (IMAGE, "y = Pad(x, {pads}, , {axes})", {"pads": "int64[4]{2,0,1,3}", "axes": "int64[2]{-1,2}"}),
    "edges": (IMAGE, 'y = Pad<mode="edge">(x, {pads})', {"pads": "int64[8]{0,1,2,0,1,0,1,3}"}),
    "reflections": (IMAGE, 'y = Pad<mode="reflect">(x, {pads})', {"pads": "int64[8]{0,0,2,0,0,0,1,3}"}),
    "repetitions": (IMAGE, 'y = Pad<mode="wrap">(x, {pads})', {"pads": "int64[8]{0,0,2,0,0,0,1,3}"}),
    "products": (IMAGE, "y = ReduceProd<keepdims={e}>(x, {axes})", {"axes": "int64[2]{1,-1}"}),
    "sums of axes": (IMAGE, "y = ReduceSum<noop_with_empty_axes=1>(x, {axes})", {"axes": "int64[2]{1,-1}"}),
    "blocks": (
        COLUMNS,
        "y = Col2Im<strides=[1,1]>(x, {size}, {block})",
        {"size": "int64[2]{5,6}", "block": FOUR},
    ),
    "uneven blocks": (
        COLUMNS,
        "y = Col2Im<pads=[1,0,0,1], dilations=[1,2]>(x, {size}, {block})",
        {"size": "int64[2]{4,6}", "block": FOUR},
    ),
    **{
        f"{mode}, {coordinates}, {how}": (
            IMAGE,
            f'y = Resize<mode="{mode}", coordinate_transformation_mode="{coordinates}"{more}>(x, , {given})',
            {name: numbers},
        )
        for mode, more in (("nearest", ""), ("linear", ""), ("cubic", ", cubic_coeff_a=-0.5, exclude_outside=1"))
        for coordinates in ("half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel", "half_pixel_symmetric")
        for how, given, name, numbers in (
            ("scales", "{scales}", "scales", "float[4]{1,1,0.75,1.625}"),
            ("sizes", ", {sizes}", "sizes", "int64[4]{2,3,4,13}"),
        )
    },
    "smooth": (IMAGE, 'y = Resize<mode="linear", antialias=1>(x, , {scales})', {"scales": "float[4]{1,1,0.5,0.625}"}),
    "not larger": (
        IMAGE,
        'y = Resize<mode="linear", axes=[2,3], keep_aspect_ratio_policy="not_larger">(x, , , {sizes})',
        {"sizes": "int64[2]{9,20}"},
    ),
    "a region": (
        IMAGE,
        f'y = Resize<mode="linear", {CROP}, extrapolation_value=3.0>(x, {{region}}, , {{sizes}})',
        {"region": "float[8]{0,0,-0.25,0.125,1,1,0.75,1.25}", "sizes": "int64[4]{2,3,5,6}"},
    ),
}
ROUNDED = ("round_prefer_ceil", "floor", "ceil")
for rounding in ROUNDED:
    CASES[rounding] = (
        IMAGE,
        f'y = Resize<nearest_mode="{rounding}">(x, , {{scales}})',
        {"scales": "float[4]{1,1,0.75,1.625}"},
    )


def _run(inputs: str, body: str, feeds: dict[str, np.ndarray]):
    proto = proto_of(Case("", range(0), inputs, body), 23)
    proto.graph.output[0].type.tensor_type.ClearField("shape")
    model = canonical(ir.serde.deserialize_model(proto))
    with runtimes()["torch"].open(model, native=False) as session:
        found = session.forward(feeds)["y"]
        seed = np.random.default_rng(1).standard_normal(found.shape).astype(np.float32)
        gradients = session.backward(feeds, {"y": seed})
    return found, gradients["x"]


def _array(text: str) -> np.ndarray:
    kind, numbers = text.rstrip("}").split("{")
    shape = kind.partition("[")[2].rstrip("]")
    dtype = np.int64 if kind.startswith("int64") else np.float32
    return (
        np.array([float(number) for number in numbers.split(",")]).astype(dtype).reshape([int(shape)] if shape else [])
    )


SETTINGS = [(name, r, e) for name, case in CASES.items() for r, e in ((0, 0), (1, 1)) if not e or "{e}" in case[1]]


@pytest.mark.parametrize(("name", "r", "e"), SETTINGS)
def test_computed_operands_do_what_constants_do(name, r, e):
    inputs, body, operands = CASES[name]
    body = body.replace("{r}", str(r)).replace("{e}", str(e))
    shape = [int(size) for size in inputs.partition("[")[2].partition("]")[0].split(",")]
    x = np.random.default_rng(0).uniform(0.5, 1.5, shape).astype(np.float32)
    constant = {key: f"@{text}" for key, text in operands.items()}
    expected = _run(inputs, body.format(**constant), {"x": x})
    fed = ", ".join(f"{text.partition('{')[0]} {key}" for key, text in operands.items())
    feeds = {"x": x, **{key: _array(text) for key, text in operands.items()}}
    found = _run(f"{inputs}, {fed}", body.format(**{key: key for key in operands}), feeds)
    for left, right in zip(found, expected, strict=True):
        assert left.shape == right.shape
        np.testing.assert_allclose(left, right, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("op", "number"), [("ReduceMax", -np.inf), ("ReduceMin", np.inf)])
def test_extremes_of_nothing_are_the_neutral_numbers(op, number):
    body, feeds = f"y = {op}<keepdims=0>(x, axes)", {"x": np.zeros((2, 0, 4), np.float32), "axes": np.array([1])}
    found, _ = _run("float[2,0,4] x, int64[1] axes", body, feeds)
    np.testing.assert_array_equal(found, np.full((2, 4), number, np.float32))


@pytest.mark.parametrize("ratio", ["@float{0.3}", "ratio"])
def test_a_mask_of_dropout_says_what_was_kept(ratio):
    inputs = "float[50,60] x" + (", float ratio" if ratio == "ratio" else "")
    case = Case("", range(0), inputs, f"y, m = Dropout(x, {ratio})", "float y, bool m")
    model = canonical(ir.serde.deserialize_model(proto_of(case, 23)))
    feeds = {"x": np.ones((50, 60), np.float32)} | ({"ratio": np.float32(0.3)} if ratio == "ratio" else {})
    with runtimes()["torch"].open(model, native=False) as session:
        found = session.forward(feeds)
    assert found["m"].all()
    np.testing.assert_array_equal(found["y"], feeds["x"])
    with runtimes()["torch"].open(model, native=False, mode="train") as session:
        found = session.forward(feeds)
    assert 0.65 < found["m"].mean() < 0.75
    np.testing.assert_allclose(found["y"], found["m"] / np.float32(0.7), rtol=1e-6)


def test_a_zero_in_a_computed_shape_stands_for_the_size_there():
    case = Case("", range(0), 'float[2,"n",4] x, int64["k"] codes', "y = Reshape(x, codes)")
    proto = proto_of(case, 23)
    proto.graph.output[0].type.tensor_type.ClearField("shape")
    model = canonical(ir.serde.deserialize_model(proto))
    x = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    with runtimes()["torch"].open(model, native=False) as session:
        found = session.forward({"x": x, "codes": np.array([0, -1])})["y"]
    np.testing.assert_array_equal(found, x.reshape(2, 12))
