"""What tensor operators look like in torch source, at every size of the free dimensions."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
import torch
from torch._subclasses import FakeTensorMode

from graphkit.errors import ExecutionError
from graphkit.frameworks.base import runtimes
from graphkit.frameworks.torch.source.flat import flat
from graphkit.frameworks.torch.source.program import to_program
from graphkit.frameworks.torch.source.write import to_source
from graphkit.ir import params
from graphkit.ir.canonical import canonical


def model_of(signature: str, result: str, body: str, held: str = "") -> ir.Model:
    """A model whose stored matrices of floats are trained, and whose other arrays are constants."""
    stored = f"<{held}>" if held else ""
    text = f'<ir_version: 10, opset_import: ["": 23]> g ({signature}) => ({result}) {stored} {{ {body} }}'
    model = ir.from_onnx_text(text)
    for value in model.graph.initializers.values():
        held_tensor = value.const_value
        assert held_tensor is not None
        trained = held_tensor.dtype == ir.DataType.FLOAT and len(held_tensor.shape) > 1
        params.set_kind(value, "parameter" if trained else "constant")
    return canonical(model)


def lines_of(model: ir.Model) -> list[str]:
    """The layers and statements of a model, in order."""
    lines = [line.strip() for line in flat(to_program(model), ()).text.splitlines()]
    return [line for line in lines if " = " in line]


def agree(model: ir.Model, *shapes: tuple[int, ...]) -> None:
    """Torch computes what the reference does; ``int64`` inputs are drawn below 3."""
    rng = np.random.default_rng(3)
    feeds = {}
    for value, shape in zip(model.graph.inputs, shapes, strict=True):
        assert value.dtype is not None
        kind = value.dtype.numpy()
        drawn = rng.integers(0, 3, shape) if kind.kind in "ib" else rng.standard_normal(shape)
        feeds[value.name or ""] = np.asarray(drawn).astype(kind)
    same(model, feeds)


def same(model: ir.Model, feeds: dict[str, np.ndarray]) -> None:
    with runtimes()["torch"].open(model, native=False) as session:
        found = session.forward(feeds)
    with runtimes()["reference"].open(model) as session:
        expected = session.forward(feeds)
    for name, array in expected.items():
        assert found[name].shape == array.shape
        assert found[name].dtype == array.dtype
        np.testing.assert_allclose(found[name], array, rtol=1e-6, atol=1e-6)


ONE_AXIS = "int64[1] a = {1}"
NATURAL = [
    ("Reshape (x, s)", "int64[2] s = {0, -1}", "v1 = v0.flatten(1)"),
    ("Reshape (x, s)", "int64[3] s = {-1, 4, 5}", "v1 = v0.flatten(0, 1)"),
    ("Reshape (x, s)", "int64[5] s = {0, 0, 2, 2, 5}", "v1 = v0.unflatten(2, (2, 2))"),
    ("Reshape (x, s)", "int64[3] s = {-1, 6, 10}", "v1 = v0.reshape(-1, 6, 10)"),
    ("Reshape (x, s)", "int64[4] s = {0, 6, -1, 2}", "v1 = v0.reshape(-1, 6, 5, 2)"),
    ("Reshape (x, s)", "int64[3] s = {4, 0, -1}", "v1 = v0.reshape(4, 3, -1)"),
    ("Reshape (x, s)", "int64[5] s = {0, 3, 1, 4, 5}", "v1 = v0.unsqueeze(2)"),
    ("Reshape (x, s)", "int64[6] s = {0, 3, 4, 5, 1, 1}", "v1 = v0[..., None, None]"),
    ("Flatten (x)", "", "v1 = v0.flatten(1)"),
    ("Transpose <perm = [0, 2, 1, 3]> (x)", "", "v1 = v0.transpose(1, 2)"),
    ("Transpose <perm = [0, 2, 3, 1]> (x)", "", "v1 = v0.permute(0, 2, 3, 1)"),
    ("Concat <axis = 1> (x, x)", "", "v1 = torch.cat([v0, v0], 1)"),
    ("Concat <axis = 0> (x, x)", "", "v1 = torch.cat([v0, v0])"),
    ("Concat <axis = 1> (u, u)", ONE_AXIS, "v1 = torch.stack([v0, v0], 1)"),
    ("Slice (x, a, b, a)", f"{ONE_AXIS}, int64[1] b = {{2}}", "v1 = v0[:, 1:2]"),
    ("Slice (x, a, b, c)", f"{ONE_AXIS}, int64[1] b = {{9223372036854775807}}, int64[1] c = {{3}}", "v1 = v0[..., 1:]"),
    ("Slice (x, a, b, c)", "int64[1] a = {-2}, int64[1] b = {99}, int64[1] c = {2}", "v1 = v0[:, :, -2:]"),
    (
        "Slice (x, a, b, c, a)",
        "int64[1] a = {-1}, int64[1] b = {-99}, int64[1] c = {2}",
        "v1 = v0.flip(2)",
    ),
    ("Unsqueeze (x, a)", "int64[2] a = {1, 2}", "v1 = v0[:, None, None]"),
    ("Gather <axis = 1> (x, k)", "int64 k = {2}", "v1 = v0[:, 2]"),
    ("Gather <axis = 3> (x, k)", "int64[2] k = {2, 0}", "v1 = v0[..., [2, 0]]"),
    ("Pad (x, p)", "int64[8] p = {0, 0, 1, 2, 0, 0, 3, 0}", "v1 = F.pad(v0, (2, 0, 1, 3))"),
    ("Pad <mode = 'reflect'> (x, p)", "int64[8] p = {0,0,1,1,0,0,1,1}", "v1 = F.pad(v0, (1, 1, 1, 1), 'reflect')"),
    ("Tile (x, t)", "int64[4] t = {1, 1, 2, 2}", "v1 = v0.repeat(1, 1, 2, 2)"),
    ("ArgMax <axis = 1, keepdims = 0> (x)", "", "v1 = v0.argmax(1)"),
    ("CumSum (x, k)", "int64 k = {2}", "v1 = v0.cumsum(2)"),
    ("Trilu <upper = 0> (x)", "", "v1 = v0.tril()"),
    ("Identity (x)", "", None),
    ("Tile (x, t)", "int64[4] t = {1, 1, 1, 1}", None),
    ("Cast <to = 1> (x)", "", None),
]


@pytest.mark.parametrize(("call", "held", "line"), NATURAL)
def test_an_operator_becomes_the_call_that_a_person_would_write(call: str, held: str, line: str | None) -> None:
    call = call.replace("'", '"')
    body = f"u = Unsqueeze (x, a) y = {call}" if "u," in call else f"y = {call}"
    kind, rank = ("int64", 3) if call.startswith("Arg") else ("float", 4)
    rank = {"Flatten (x)": 2}.get(call, rank)
    model = model_of("float[N, 3, 4, 5] x", f"{kind} y", body, held)
    assert lines_of(model) == ([] if line is None else [line])
    agree(model, (2, 3, 4, 5))


ONE_HOT = "int64 d = {3}, float[2] v = {0, 1}"


def test_casts_are_methods_and_other_types_are_named() -> None:
    model = model_of("float[N] x", "int64[a] y, uint8[b] z", "y = Cast <to = 7> (x) z = Cast <to = 2> (x)")
    assert lines_of(model) == ["v1 = v0.long()", "v2 = v0.to(torch.uint8)"]


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
    assert lines_of(model) == [
        "v1 = v0.unflatten(2, (3, 4))",
        "v2 = v1.transpose(1, 2)",
        "v3 = v2.flatten(0, 1)",
        "v4 = v3.unflatten(0, (-1, 3))",
    ]
    agree(model, (2, 5, 12))
    agree(model, (3, 1, 12))


def test_two_free_sizes_are_taken_from_what_has_them() -> None:
    model = model_of(
        "float[N, T, 3, 4] x, float[N, T] l",
        "float[a, b, c] y",
        """
        s = Shape (l)
        rest = Concat <axis = 0> (s, twelve)
        lines = Reshape (x, line)
        positive = Relu (lines)
        y = Reshape (positive, rest)
        """,
        "int64[2] line = {-1, 12}, int64[1] twelve = {12}",
    )
    assert lines_of(model)[-1] == "v4 = v3.reshape(v1.shape[0], v1.shape[1], 12)"
    agree(model, (2, 5, 3, 4), (2, 5))


def test_reshapings_in_a_row_are_one() -> None:
    model = model_of(
        "float[N, 3, 4] x",
        "float[a, b, c] y",
        "f = Flatten (x) u = Unsqueeze (f, front) s = Squeeze (u, front) y = Reshape (s, back)",
        "int64[1] front = {0}, int64[3] back = {-1, 3, 4}",
    )
    assert lines_of(model) == []
    agree(model, (2, 3, 4))


def test_what_is_stretched_and_merged_is_repeated() -> None:
    model = model_of(
        "float[N, 4] x",
        "float[a, b] y, float[c, d] z",
        """
        u = Unsqueeze (x, one)
        e = Expand (u, heads)
        y = Reshape (e, flat)
        v = Unsqueeze (x, two)
        f = Expand (v, times)
        z = Reshape (f, wide)
        """,
        "int64[1] one = {1}, int64[1] two = {2}, int64[3] heads = {1, 3, 1}, int64[2] flat = {-1, 4}, "
        "int64[3] times = {1, 1, 5}, int64[2] wide = {0, 20}",
    )
    assert lines_of(model) == ["v1 = v0.repeat_interleave(3, 0)", "v2 = v0.repeat_interleave(5, 1)"]
    agree(model, (2, 4))


def test_what_is_cut_out_step_by_step_is_one_index() -> None:
    model = model_of(
        "float[N, 6, 5, 4] x",
        "float[a, b] y",
        """
        s = Slice (x, one, three, one)
        g = Gather <axis = 2> (s, last)
        t = Slice (g, two, three, two)
        u = Slice (t, one, two, one)
        y = Squeeze (u, both)
        """,
        "int64[1] one = {1}, int64[1] two = {2}, int64[1] three = {3}, int64 last = {-1}, int64[2] both = {1, -1}",
    )
    assert lines_of(model) == ["v1 = v0[:, 2, -1, 2]"]
    agree(model, (2, 6, 5, 4))


def test_what_is_used_by_others_is_cut_out_on_its_own() -> None:
    model = model_of(
        "float[N, 6, 5] x",
        "float[a, b, c] y, float[d, e] z",
        "s = Slice (x, one, three, one) y = Relu (s) z = Gather <axis = 2> (s, last)",
        "int64[1] one = {1}, int64[1] three = {3}, int64 last = {-1}",
    )
    assert lines_of(model) == ["v1 = v0[:, 1:3]", "v2 = F.relu(v1)", "v3 = v1[..., -1]"]
    agree(model, (2, 6, 5))


def test_steps_of_a_sequence_are_indexed() -> None:
    model = model_of(
        "float[N, 2, 4] x",
        "float[a, b] y, float[c, d] z",
        "p, q = Split <axis = 1, num_outputs = 2> (x) y = Squeeze (p, one) z = Squeeze (q, one)",
        "int64[1] one = {1}",
    )
    assert lines_of(model) == ["v1 = v0[:, 0]", "v2 = v0[:, 1]"]
    agree(model, (3, 2, 4))


def test_pieces_that_are_used_as_such_stay_pieces() -> None:
    model = model_of(
        "float[N, 2, 4] x",
        "float[a, b] y, float[c, d, e] z",
        "p, q = Split <axis = 1, num_outputs = 2> (x) y = Squeeze (p, one) z = Relu (q)",
        "int64[1] one = {1}",
    )
    assert lines_of(model) == ["v1, v2 = torch.chunk(v0, 2, 1)", "v3 = v1.squeeze(1)", "v4 = F.relu(v2)"]
    agree(model, (3, 2, 4))


def test_pads_that_are_cut_off_again_are_not_made() -> None:
    model = model_of(
        "float[N, 4] x",
        "float[a, b] y, float[c, d] z",
        """
        p = Pad (x, behind, , one)
        y = Slice (p, zero, three, one)
        q = Pad (x, pads)
        r = Mul (q, two)
        z = Slice (r, zero, five, one)
        """,
        "int64[4] pads = {0, 0, 0, 9}, int64[2] behind = {0, 9}, int64[1] zero = {0}, int64[1] one = {1}, "
        "int64[1] three = {3}, int64[1] five = {5}, float two = {2}",
    )
    assert lines_of(model) == [
        "v1 = v0[:, :3]",
        "v2 = F.pad(v0, (0, 9))",
        "v3 = v2 * 2",
        "v4 = v3[:, :5]",
    ]
    agree(model, (2, 4))


def test_pads_of_which_some_is_left_are_made() -> None:
    model = model_of(
        "float[N, 4] x",
        "float[a, b] y",
        "p = Pad (x, pads) y = Slice (p, zero, five, one)",
        "int64[4] pads = {0, 0, 0, 9}, int64[1] zero = {0}, int64[1] one = {1}, int64[1] five = {5}",
    )
    assert lines_of(model) == ["v1 = F.pad(v0, (0, 9))", "v2 = v1[:, :5]"]
    agree(model, (2, 4))


def test_arrays_of_one_number_each_that_are_joined_are_a_stretched_constant() -> None:
    model = model_of(
        "float[N, 4] x",
        "float[a, b] y",
        """
        c = Slice (x, zero, one, one)
        s = Shape (c)
        o = ConstantOfShape (s)
        p = Add (o, two)
        y = Concat <axis = 1> (o, p, p)
        """,
        "int64[1] zero = {0}, int64[1] one = {1}, float two = {2}",
    )
    assert lines_of(model)[-1] == "v1 = self.tensor0.expand(v0.shape[0], -1)"
    agree(model, (3, 4))


def test_points_of_each_example_are_looked_up_by_rows_and_places() -> None:
    model = model_of(
        "float[N, 5, 2] x, int64[N, 3] k",
        "float[a, b, c] y",
        "u = Unsqueeze (k, last) y = GatherND <batch_dims = 1> (x, u)",
        "int64[1] last = {-1}",
    )
    assert lines_of(model)[-1] == "v4 = v0[v3, v1]"
    agree(model, (2, 5, 2), (2, 3))


def test_coordinates_are_taken_apart_where_they_are() -> None:
    model = model_of(
        "float[N, 5] x, int64[2, 3] k, int64[M] r",
        "float[a] y, float[b, c] z",
        "t = Transpose <perm = [1, 0]> (k) y = GatherND (x, t) u = Unsqueeze (r, last) z = GatherND (x, u)",
        "int64[1] last = {-1}",
    )
    assert lines_of(model)[-3:] == ["v3 = v1.unbind()", "v4 = v0[v3]", "v5 = v0[v2]"]
    agree(model, (3, 5), (2, 3), (4,))


def test_truths_that_were_numbers_for_a_while_are_the_same_truths() -> None:
    model = model_of(
        "bool[N] x", "float[a] y, bool[b] z", "f = Cast <to = 1> (x) g = Cast <to = 9> (f) y = Neg (f) z = Not (g)"
    )
    assert lines_of(model) == ["v1 = v0.float()", "v2 = -v1", "v3 = ~v0"]
    agree(model, (3,))


def test_rows_in_a_row_are_cut_out() -> None:
    model = model_of("float[5, N] x", "float[a, b] y", "y = Gather <axis = 0> (x, k)", "int64[3] k = {1, 2, 3}")
    assert lines_of(model) == ["v1 = v0[1:4]"]
    agree(model, (5, 2))


def test_positions_are_counted_on_the_device_of_what_they_are_counted_for() -> None:
    model = model_of(
        "int64[N, T] x",
        "float[c, d] y",
        "s = Shape (x) t = Gather <axis = 0> (s, one) r = Range (zero, t, one) y = Gather <axis = 0> (w, r)",
        "int64 one = {1}, int64 zero = {0}, float[4, 2] w = {1, 2, 3, 4, 5, 6, 7, 8}",
    )
    assert lines_of(model)[-2:] == ["v1 = torch.arange(v0.shape[1], device=v0.device)", "v2 = self.layer0(v1)"]
    agree(model, (2, 3))


def test_positions_for_what_was_computed_twice_are_counted_where_it_is_kept() -> None:
    model = model_of(
        "int64[N, T] x",
        "int64[a] y, int64[b] z",
        """
        c = Add (x, x)
        d = Add (x, x)
        s = NonZero (d)
        t = Shape <start = 1, end = 2> (s)
        n = Squeeze (t)
        y = Range (zero, n, one)
        u = NonZero (c)
        v = Shape <start = 1, end = 2> (u)
        m = Squeeze (v)
        z = Range (zero, m, one)
        """,
        "int64 one = {1}, int64 zero = {0}",
    )
    agree(model, (2, 3))


def test_arrays_of_one_value_are_made_like_others_or_by_their_sizes() -> None:
    model = model_of(
        "float[N, 4] x",
        "float[a, b] y, int64[c, d] z, float[e, f] v, bool[g, h] w",
        """
        s = Shape (x)
        y = ConstantOfShape (s)
        z = ConstantOfShape <value = int64[1] {7}> (s)
        n = Shape <start = 0, end = 1> (x)
        m = Concat <axis = 0> (n, three)
        v = ConstantOfShape <value = float[1] {0.1}> (m)
        w = ConstantOfShape <value = bool[1] {1}> (m)
        """,
        "int64[1] three = {3}",
    )
    assert lines_of(model) == [
        "v1 = torch.zeros_like(v0)",
        "v2 = torch.full_like(v0, 7, dtype=torch.int64)",
        "v3 = torch.full((v0.shape[0], 3), 0.1, device=v0.device)",
        "v4 = torch.ones(v0.shape[0], 3, dtype=torch.bool, device=v0.device)",
    ]
    agree(model, (2, 4))


ELSEWHERE = [
    ("float[a] y", "s = Shape (x) f = Cast <to = 1> (s) y = Mul (f, r)", "float[2] r = {1, 2}"),
    ("float[a] y", "n = Size (x) f = Cast <to = 1> (n) r = ReduceSum <keepdims = 0> (x) y = Add (f, r)", ""),
    ("float[a, b] y", "s = Shape (x) c = ConstantOfShape (s) y = Concat <axis = 0> (x, c)", ""),
    (
        "float[a, b] y",
        "n = Shape <start = 0, end = 1> (x) s = Concat <axis = 0> (n, k) c = ConstantOfShape (s) y = Add (x, c)",
        "int64[1] k = {1}",
    ),
    (
        "float[a, b] y",
        "s = Shape <end = 1> (x) n = Squeeze (s) r = Range (o, n, i) f = Cast <to = 1> (r) y = Add (x, f)",
        "int64 o = {0}, int64 i = {1}",
    ),
    ("float[a, b] y", "e = EyeLike <k = 1> (x) y = Add (x, e)", ""),
    ("float[a, b] y", "k = ArgMax <axis = 1, keepdims = 0> (x) h = OneHot (k, d, v) y = Add (x, h)", ONE_HOT),
    ("float[a, b] y", "k = ArgMax <axis = 1, keepdims = 0> (x) y = ReverseSequence (x, k)", ""),
    (
        "float[a] y",
        "k = ArgMax <axis = 1> (x) g = GatherND <batch_dims = 1> (x, k) y = Exp (g)",
        "",
    ),
]


@pytest.mark.parametrize(("result", "body", "held"), ELSEWHERE)
def test_what_is_made_from_nothing_is_made_where_the_inputs_are(result: str, body: str, held: str) -> None:
    """Tensors without data stand for those of another device; torch refuses to compute with two devices."""
    text = to_source(to_program(model_of("float[N, 3] x", result, body, held)), "net").text
    space: dict[str, type[torch.nn.Module]] = {}
    exec(text, space)
    with FakeTensorMode(allow_non_fake_inputs=True):
        with torch.device("meta"):
            module, x = space["Net"](), torch.empty(3, 3)
        assert module(x).device == x.device


def test_terms_of_free_sizes_are_written_out() -> None:
    model = model_of(
        "float[N, 6, T] x",
        "float[a, b, c] y, float[d, e, f] z",
        """
        t = Shape <start = 2, end = 3> (x)
        h = Div (t, two)
        y = Slice (x, zero, h, two)
        d = Mul (t, two)
        less = Sub (d, one)
        z = Slice (x, one, less, two)
        """,
        "int64[1] zero = {0}, int64[1] one = {1}, int64[1] two = {2}",
    )
    assert lines_of(model) == [
        "v1 = v0.shape[2] // 2",
        "v2 = v0[..., :v1]",
        "v3 = v0.shape[2] * 2",
        "v4 = v3 - 1",
        "v5 = v0[..., 1:v4]",
    ]
    agree(model, (2, 6, 5))
    agree(model, (1, 6, 4))


def test_pieces_of_free_sizes_are_cut_by_them() -> None:
    model = model_of(
        "float[N, 2] x, float[M, 2] u",
        "float[a, b] y, float[c, d] z",
        """
        n = Shape <start = 0, end = 1> (x)
        m = Shape <start = 0, end = 1> (u)
        sizes = Concat <axis = 0> (n, m)
        both = Concat <axis = 0> (x, u)
        y, z = Split <axis = 0> (both, sizes)
        """,
    )
    assert lines_of(model)[-1] == "v3, v4 = torch.split(v2, [v0.shape[0], v1.shape[0]])"
    agree(model, (3, 2), (1, 2))


def test_a_shape_that_is_fed_is_used_as_it_comes() -> None:
    model = model_of(
        "float[N, T] x, int64[2] s, int64[3] t",
        "float[a, b] y, float[c, d, e] z, float[f, g] w, float[h, i, j] v",
        "y = Reshape (x, s) z = Expand (x, t) w = Tile (x, s) v = ConstantOfShape <value = float[1] {2}> (t)",
    )
    feeds = {"x": np.ones((1, 6), np.float32), "s": np.array([3, 2]), "t": np.array([2, 4, 1])}
    same(model, feeds)


def test_bounds_that_are_fed_cut_slices() -> None:
    model = model_of(
        "float[N, T] x, int64[1] a, int64[1] b",
        "float[c, d] y, float[e, f] z",
        "y = Slice (x, a, b, one) z = Slice (x, b, a, one, back)",
        "int64[1] one = {1}, int64[1] back = {-1}",
    )
    x = np.arange(12, dtype=np.float32).reshape(2, 6)
    same(model, {"x": x, "a": np.array([1]), "b": np.array([4])})
    same(model, {"x": x, "a": np.array([-5]), "b": np.array([-1])})


def test_ranges_of_fed_numbers_keep_their_dtype() -> None:
    model = model_of(
        "float a, float b, int32 c",
        "float[n] y, int32[m] z",
        "y = Range (a, b, half) z = Range (zero, c, one)",
        "float half = {0.5}, int32 zero = {0}, int32 one = {1}",
    )
    same(model, {"a": np.asarray(1, np.float32), "b": np.asarray(3, np.float32), "c": np.asarray(4, np.int32)})


def test_a_trained_table_looked_up_by_fed_numbers_is_an_embedding() -> None:
    model = model_of(
        "int64[N, T] x", "float[a, b, c] y", "y = Gather <axis = 0> (w, x)", "float[3, 2] w = {1, 2, 3, 4, 5, 6}"
    )
    assert lines_of(model) == ["self.layer0 = nn.Embedding(3, 2)", "v1 = self.layer0(v0)"]
    agree(model, (2, 4))
    with pytest.raises(ExecutionError, match="index out of range"):
        same(model, {"x": np.array([[-1]])})


def test_a_table_looked_up_by_differences_is_indexed() -> None:
    """Differences may be negative, which ONNX counts from the end and an embedding refuses."""
    model = model_of(
        "int64[N] x, int64[N] u",
        "float[a, b] y",
        "d = Sub (x, u) y = Gather <axis = 0> (w, d)",
        "float[3, 2] w = {1, 2, 3, 4, 5, 6}",
    )
    assert lines_of(model)[-1].endswith("[v2]")
    agree(model, (4,), (4,))


def test_masks_fill_in_numbers() -> None:
    model = model_of(
        "bool[N, 3] m, float[N, 3] x",
        "float[a, b] y, float[c, d] z",
        "y = Where (m, low, x) z = Where (m, x, low)",
        "float low = {-10000.0}",
    )
    assert lines_of(model) == ["v2 = v1.masked_fill(v0, -10000.0)", "v3 = torch.where(v0, v1, -10000.0)"]
    agree(model, (2, 3), (2, 3))


def test_masks_fill_in_arrays_of_one_number() -> None:
    model = model_of(
        "bool[N, 3] m, float[N, 3] x",
        "float[a, b] y",
        "s = Shape (x) o = ConstantOfShape <value = float[1] {1}> (s) l = Mul (o, low) y = Where (m, x, l)",
        "float low = {-1e18}",
    )
    assert lines_of(model) == ["v2 = torch.where(v0, v1, -1e+18)"]
    agree(model, (2, 3), (2, 3))


def test_the_largest_are_sorted_stably_where_their_places_are_asked_for() -> None:
    signature, held = "float[N, 5] x", "int64[1] k = {2}"
    both = model_of(signature, "float[a, b] y, int64[c, d] i", "y, i = TopK (x, k)", held)
    values = model_of(signature, "float[a, b] y", "y, i = TopK (x, k)", held)
    assert lines_of(both)[0] == "v1, v2 = torch.sort(v0, descending=True, stable=True)"
    assert lines_of(values) == ["v1, v2 = torch.topk(v0, 2)"]
    same(both, {"x": np.array([[1, 2, 2, 1, 2]], np.float32)})


def test_padding_by_a_computed_number_keeps_its_gradient() -> None:
    model = model_of("float[N, 3] x, float v", "float[a, b] y", "y = Pad (x, p, v)", "int64[4] p = {0, 1, 0, 2}")
    agree(model, (2, 3), ())
    with runtimes()["torch"].open(model, native=False) as session:
        feeds = {"x": np.ones((2, 3), np.float32), "v": np.asarray(0.5, np.float32)}
        gradients = session.backward(feeds, {"y": np.ones((2, 6), np.float32)})
    assert gradients["v"] == 6


def test_a_condition_shorter_than_its_axis_selects_from_the_front() -> None:
    model = model_of("float[N, 4] x", "float[a, b] y", "y = Compress <axis = 1> (x, c)", "bool[3] c = {1, 0, 1}")
    agree(model, (2, 4))
