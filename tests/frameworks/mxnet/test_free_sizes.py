"""Sizes that are free, and those that follow from them, stay free in a symbol; others tell a remedy."""

from __future__ import annotations

import json
import re
import shlex
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir
import pytest

import graphkit
from graphkit.errors import InputError, UnsupportedError
from graphkit.frameworks.base import runtimes
from graphkit.frameworks.mxnet.write import to_symbol
from graphkit.ir.canonical import canonical
from graphkit.ir.dims import dims_of

if TYPE_CHECKING:
    from pathlib import Path


def model_of(signature: str, result: str, body: str, held: str = "") -> ir.Model:
    stored = f"<{held}>" if held else ""
    text = f'<ir_version: 10, opset_import: ["": 23]> g ({signature}) => ({result}) {stored} {{ {body} }}'
    return canonical(ir.from_onnx_text(text))


def agree(model: ir.Model, *sizes: dict[str, tuple[int, ...]]) -> None:
    """One symbol computes in MXNet what the reference does, at every size."""
    rng = np.random.default_rng(3)
    with runtimes()["mxnet"].open(model, native=False) as session, runtimes()["reference"].open(model) as reference:
        for shapes in sizes:
            feeds = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
            found, expected = session.forward(feeds), reference.forward(feeds)
            assert found.keys() == expected.keys()
            for name, array in expected.items():
                assert found[name].shape == array.shape, name
                np.testing.assert_allclose(found[name], array, rtol=1e-5, atol=1e-5, err_msg=name)


HALVES = """
    t = Shape <start = 1, end = 2> (x)
    half = Div (t, two)
    rest = Sub (t, half)
    later = Add (half, one)
    front = Slice (x, zero, half, one)
    back = Slice (x, half, end, one)
    minus = Neg (rest)
    last = Slice (x, minus, end, one)
    inner = Slice (x, half, later, one)
"""


def test_axes_are_cut_padded_and_repeated_by_computed_sizes() -> None:
    model = model_of(
        "float[N, T, 2] x",
        "float[a, b, c] front, float[d, e, f] back, float[g, h, i] last, float[j, k, l] inner, float[m, o, p] first, "
        "float[q, r, s] second, float[u, v, w] even, float[a0, a1, a2] times, float[b0, b1, b2] best, "
        "float[c0, c1, c2] before",
        HALVES
        + """
        sizes = Concat <axis = 0> (half, rest)
        first, second = Split <axis = 1> (x, sizes)
        left = Neg (t)
        lacking = Mod (left, four)
        to_four = Concat <axis = 0> (zero, lacking)
        even = Pad (x, to_four, seven, one)
        turns = Concat <axis = 0> (one, half, one)
        times = Tile (x, turns)
        best, where = TopK <axis = 1> (x, half)
        to_front = Concat <axis = 0> (half, zero)
        before = Pad (x, to_front, seven, one)
        """,
        "int64[1] two = {2}, int64[1] four = {4}, int64[1] zero = {0}, int64[1] one = {1}, "
        "int64[1] end = {9223372036854775807}, float seven = {7}",
    )
    agree(model, *({"x": (n, t, 2)} for n, t in [(2, 5), (1, 4), (3, 2)]))


def test_axes_are_split_and_merged_into_computed_sizes() -> None:
    """Tokens as one axis and back, windows of an image, and steps put together in threes."""
    model = model_of(
        "float[N, T, 6] x, float[N, H, W, 2] y",
        "float[a, b, c, d] heads, float[e, f, g] windows, float[h, i] threes, float[j, k, l] swapped",
        """
        n = Shape <start = 0, end = 1> (x)
        t = Shape <start = 1, end = 2> (x)
        tokens = Reshape (x, as_rows)
        doubled = Add (tokens, tokens)
        apart = Concat <axis = 0> (n, t, three, two)
        heads = Reshape (doubled, apart)
        h = Shape <start = 1, end = 2> (y)
        w = Shape <start = 2, end = 3> (y)
        rows = Div (h, two)
        columns = Div (w, two)
        blocks = Concat <axis = 0> (n, rows, two, columns, two, two)
        cut = Reshape (y, blocks)
        turned = Transpose <perm = [0, 1, 3, 2, 4, 5]> (cut)
        windows = Reshape (turned, as_windows)
        thirds = Div (t, three)
        kept = Mul (thirds, three)
        whole = Slice (x, zero, kept, one)
        many = Mul (n, thirds)
        as_threes = Concat <axis = 0> (many, eighteen)
        threes = Reshape (whole, as_threes)
        back = Transpose <perm = [1, 0, 2]> (x)
        flat = Reshape (back, as_rows)
        as_swapped = Concat <axis = 0> (t, n, six)
        swapped = Reshape (flat, as_swapped)
        """,
        "int64[1] two = {2}, int64[1] three = {3}, int64[1] zero = {0}, int64[1] one = {1}, int64[1] six = {6}, "
        "int64[1] eighteen = {18}, int64[2] as_rows = {-1, 6}, int64[3] as_windows = {-1, 4, 2}",
    )
    agree(model, *({"x": (n, t, 6), "y": (n, h, w, 2)} for n, t, h, w in [(2, 7, 4, 6), (1, 3, 2, 2), (3, 4, 6, 2)]))


def test_progressions_and_blanks_are_as_long_as_computed_sizes() -> None:
    model = model_of(
        "float[N, T] x",
        "float[a, b] shifted, float[c] down, float[d] steps, float[e, f] blank, float[g, h] mask",
        """
        t = Shape <start = 1, end = 2> (x)
        n = Shape <start = 0, end = 1> (x)
        count = Squeeze (t)
        later = Add (count, two)
        places = Range (count, later, one)
        number = Cast <to = 1> (places)
        beside = Expand (number, as_pairs)
        shifted = Identity (beside)
        highest = Sub (count, one)
        falling = Range (highest, minus, minus)
        down = Cast <to = 1> (falling)
        odd = Range (zero, count, two)
        steps = Cast <to = 1> (odd)
        longer = Mul (t, n)
        table = Concat <axis = 0> (longer, t)
        blank = ConstantOfShape <value = float[1] {3}> (table)
        rows = Range (zero, count, one)
        column = Unsqueeze (rows, last)
        seen = LessOrEqual (rows, column)
        mask = Cast <to = 1> (seen)
        """,
        "int64 zero = {0}, int64 one = {1}, int64 two = {2}, int64 minus = {-1}, int64[1] last = {1}, "
        "int64[2] as_pairs = {2, 2}",
    )
    agree(model, {"x": (2, 5)}, {"x": (1, 1)}, {"x": (3, 4)})


@pytest.mark.parametrize(
    ("mode", "attributes"),
    [
        ("linear", 'coordinate_transformation_mode = "half_pixel"'),
        ("linear", 'coordinate_transformation_mode = "align_corners"'),
        ("nearest", 'coordinate_transformation_mode = "asymmetric", nearest_mode = "floor"'),
    ],
)
def test_images_are_resized_to_the_free_size_of_another(mode: str, attributes: str) -> None:
    model = model_of(
        "float[N, 2, H, W] x, float[N, 1, A, B] like",
        "float[a, b, c, d] y",
        f"""
        front = Shape <end = 2> (x)
        size = Shape <start = 2> (like)
        sizes = Concat <axis = 0> (front, size)
        y = Resize <mode = "{mode}", {attributes}> (x, , , sizes)
        """,
    )
    agree(
        model,
        {"x": (2, 2, 3, 4), "like": (2, 1, 7, 6)},
        {"x": (1, 2, 5, 5), "like": (1, 1, 2, 1)},
    )


def test_gradients_flow_through_what_is_cut_and_padded_by_computed_sizes() -> None:
    model = model_of(
        "float[N, T, 4] x",
        "float[a, b, c] y",
        """
        n = Shape <start = 0, end = 1> (x)
        t = Shape <start = 1, end = 2> (x)
        tokens = Reshape (x, as_rows)
        mixed = MatMul (tokens, weight)
        apart = Concat <axis = 0> (n, t, four)
        z = Reshape (mixed, apart)
        half = Div (t, two)
        back = Slice (z, half, end, one)
        lacking = Sub (t, half)
        widths = Concat <axis = 0> (zero, lacking)
        y = Pad (back, widths, , one)
        """,
        "int64[1] two = {2}, int64[1] four = {4}, int64[1] zero = {0}, int64[1] one = {1}, int64[2] as_rows = {-1, 4}, "
        "int64[1] end = {9223372036854775807}, float[4, 4] weight = {1, 2, 3, 4, 5, 6, 7, 8, 9, 8, 7, 6, 5, 4, 3, 2}",
    )
    report = graphkit.verify(
        model, on=("torch", "mxnet"), backward=True, dtype="float64", inputs=["x:3x5x4"], seeds=[1]
    )
    assert report.passed
    assert {check.kind for check in report.checks} >= {"output", "input gradient"}


REFLECTED = """
    t = Shape <start = 1, end = 2> (ids)
    half = Div (t, two)
    widths = Concat <axis = 0> (half, zero)
    wide = Cast <to = 1> (ids)
    y = Pad <mode = "reflect"> (wide, widths, , one)
"""


def reflected(batch: str = "N") -> ir.Model:
    return model_of(
        f"int64[{batch}, T] ids, float[{batch}, 3] other",
        "float[a, b] y, float[c, d] z",
        f"{REFLECTED} z = Relu (other)",
        "int64[1] two = {2}, int64[1] zero = {0}, int64[1] one = {1}",
    )


def refusal_of(model: ir.Model) -> UnsupportedError:
    with pytest.raises(UnsupportedError) as caught:
        to_symbol(model)
    return caught.value


def options_in(message: str) -> dict[str, Any]:
    """What a message tells to type, as arguments of ``load``."""
    told = re.search(r"as with ((?:--\S+(?: (?!--)\S+)? ?)+)", message)
    assert told is not None
    words = shlex.split(told[1].rstrip(" ;.,"))
    inputs = [word.rstrip(";,") for option, word in pairwise(words) if option == "--input"]
    return {"inputs": inputs, "dynamic_batch": "--no-dynamic-batch" not in told[1]}


@pytest.mark.parametrize("kind", ["onnx", "mxnet"])
def test_a_refused_size_is_named_with_a_remedy_that_works(tmp_path: Path, kind: str) -> None:
    model = reflected()
    error = refusal_of(model)
    (node,) = error.nodes
    assert node.op == "Pad"
    assert node.sizes == (("ids", 1),)
    assert "give axis 1 of input 'ids' a size, as with --input ids:?x16:int64" in str(error)
    assert "--fix" not in str(error)
    graphkit.save(model, tmp_path / "m.onnx", to="onnx")
    again = graphkit.load(tmp_path / "m.onnx", **options_in(str(error)))
    assert [dims_of(value) for value in again.graph.inputs] == [("N", 16), ("N", 3)]
    graphkit.save(again, tmp_path / "m", to=kind) if kind == "mxnet" else to_symbol(again)


def test_a_batch_that_has_to_be_fixed_asks_for_that(tmp_path: Path) -> None:
    model = model_of(
        "float[N, 3] x",
        "float[a, b] y",
        """
        n = Shape <start = 0, end = 1> (x)
        widths = Concat <axis = 0> (n, zero)
        axes = Identity (one)
        y = Pad <mode = "wrap"> (x, widths, , axes)
        """,
        "int64[1] zero = {0}, int64[1] one = {1}",
    )
    error = refusal_of(model)
    assert "--input x:2x3 --no-dynamic-batch" in str(error)
    graphkit.save(model, tmp_path / "m.onnx", to="onnx")
    to_symbol(graphkit.load(tmp_path / "m.onnx", **options_in(str(error))))


def test_names_of_free_sizes_come_back_from_a_symbol(tmp_path: Path) -> None:
    body = "z = Mul (x, y) t = Shape <start = 1, end = 2> (z) twice = Add (t, t) w = ConstantOfShape (twice)"
    model = model_of("float[batch, words] x, float[batch, words] y", "float[a, b] z, float[c] w", body)
    (symbol, _) = graphkit.save(model, tmp_path / "m", to="mxnet")
    variables = [node for node in json.loads(symbol.read_text())["nodes"] if node["op"] == "null"]
    assert json.loads(variables[0]["attrs"]["__axis_names__"]) == ["batch", "words"]
    back = graphkit.load(symbol)
    assert [dims_of(value) for value in back.graph.inputs] == [("batch", "words")] * 2
    assert [dims_of(value) for value in back.graph.outputs] == [("batch", "words"), ("2*words",)]
    pinned = graphkit.load(symbol, inputs=["x:2x7"])
    assert [dims_of(value) for value in pinned.graph.inputs] == [("batch", 7)] * 2


@pytest.mark.parametrize("names", ["[", "7", '["a"]', '[3, "-"]'])
def test_names_that_are_none_are_passed_over(tmp_path: Path, names: str) -> None:
    model = model_of("float[batch, words] x", "float[a, b] y", "y = Relu (x)")
    (symbol, _) = graphkit.save(model, tmp_path / "m", to="mxnet")
    text = symbol.read_text()
    spelled = json.dumps(json.dumps(["batch", "words"]))
    assert spelled in text
    symbol.write_text(text.replace(spelled, json.dumps(names)))
    assert dims_of(graphkit.load(symbol).graph.inputs[0]) == ("batch", "x_d1")


def test_lengths_are_made_once_and_named_after_the_node() -> None:
    body = (
        "t = Shape <start = 1, end = 2> (x) half = Div (t, two) "
        "front = Slice (x, zero, half, one) again = Slice (x, zero, half, one) y = Add (front, again)"
    )
    model = model_of(
        "float[N, T, 2] x", "float[a, b, c] y", body, "int64[1] two = {2}, int64[1] zero = {0}, int64[1] one = {1}"
    )
    names = [node.name for node in to_symbol(model).graph.nodes]
    assert len([name for name in names if name.endswith("_part")]) == 1
    assert all(names)


def test_a_size_that_an_input_cannot_have_is_refused(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from torch.export import Dim

    class Pairs(torch.nn.Module):
        def forward(self, x: Any, y: Any) -> Any:
            return x * y

    example = (torch.ones(2, 6), torch.ones(2, 6))
    free = {0: Dim.DYNAMIC, 1: Dim.DYNAMIC}
    torch.export.save(torch.export.export(Pairs(), example, dynamic_shapes=(free, free)), tmp_path / "m.pt2")
    model = graphkit.load(tmp_path / "m.pt2", inputs=["x:?x16"])
    assert [dims_of(value) for value in model.graph.inputs] == [("batch", 16)] * 2
    with pytest.raises(InputError, match=r"Axis 1 of input 'y', whose shape is .*, cannot be 17 where .* is 16"):
        graphkit.load(tmp_path / "m.pt2", inputs=["x:?x16", "y:?x17"])


def test_only_the_sizes_that_are_resized_are_asked_for() -> None:
    model = model_of(
        "float[N, 2, H, W] x",
        "float[a, b, c, d] y",
        """
        shape = Shape (x)
        twice = Mul (shape, factors)
        y = Resize <mode = "cubic", antialias = 1> (x, , , twice)
        """,
        "int64[4] factors = {1, 1, 2, 1}",
    )
    (node,) = refusal_of(model).nodes
    assert node.sizes == (("x", 2),)
    assert node.reason.endswith("--input x:?x2x16x?")


def test_pieces_heads_and_filters_of_free_sizes() -> None:
    """Spectra of a signal, attention in blocks, padding at the front by what may be nothing, and cubic resizing."""
    model = model_of(
        "float[N, T] s, float[N, C, H, 4] y",
        "float[a, b, c, d] spectra, float[e, f, g, h] mixed, float[i, j, k, l] even, float[m, n, o, p] cubic, "
        "float[q, r, s0, t] smooth, float[u, v, w, x] moved",
        """
        signal = Unsqueeze (s, end)
        spectra = STFT (signal, step, window)
        mixed = Attention (y, y, y)
        h = Shape <start = 2, end = 3> (y)
        less = Neg (h)
        lacking = Mod (less, four)
        front = Div (lacking, two)
        back = Sub (lacking, front)
        widths = Concat <axis = 0> (zero, zero, front, zero, zero, zero, back, zero)
        even = Pad (y, widths)
        n1 = Shape <start = 0, end = 2> (y)
        half = Div (h, two)
        more = Add (half, four)
        size = Concat <axis = 0> (n1, more, four)
        cubic = Resize <mode = "cubic"> (y, , , size)
        smooth = Resize <mode = "cubic", antialias = 1, exclude_outside = 1, cubic_coeff_a = -0.5> (y, , , size)
        places = Transpose <perm = [0, 2, 3, 1]> (y)
        pairs = Slice (places, zero, two, last)
        moved = GridSample (y, pairs)
        """,
        "int64 step = {3}, float[6] window = {0.1, 0.6, 1, 0.9, 0.5, 0.2}, int64[1] end = {2}, int64[1] four = {4}, "
        "int64[1] two = {2}, int64[1] zero = {0}, int64[1] last = {3}",
    )
    agree(model, *({"s": (n, t), "y": (n, c, h, 4)} for n, t, c, h in [(2, 17, 3, 6), (1, 9, 2, 8), (3, 12, 2, 5)]))
