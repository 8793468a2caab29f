"""What arithmetic looks like in torch source, and that dtypes stay as ONNX has them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from torchtext import agree, lines_of, model_of

from graphkit.errors import FeedError, UnsupportedError
from graphkit.frameworks.base import runtimes
from graphkit.frameworks.torch.source.program import to_program

if TYPE_CHECKING:
    import numpy.typing as npt


NATURAL = [
    ("Relu (x)", "", ["v1 = F.relu(v0)"]),
    ("Clip (x, low, high)", "float low = {0.0}, float high = {6.0}", ["v1 = F.relu6(v0)"]),
    ("Clip (x, low, high)", "float low = {-1.0}, float high = {1.0}", ["v1 = v0.clamp(-1, 1)"]),
    ("Mul (x, half)", "float half = {0.5}", ["v1 = v0 * 0.5"]),
    ("Div (two, x)", "float two = {2.0}", ["v1 = 2 / v0"]),
    ("Greater (x, low)", "float low = {-0.0}", ["v1 = v0 > -0.0"]),
    ("Add (x, much)", "float much = {1e20}", ["v1 = v0 + 1e+20"]),
    ("Pow (x, two)", "int64 two = {2}", ["v1 = v0 ** 2"]),
    ("Max (x, low)", "float low = {0.1}", ["v1 = v0.clamp(min=0.1)"]),
    ("Min (h, six)", "float low = {0.0}, float six = {6.0}", ["v1 = F.relu6(v0)"], "h = Max (x, low)"),
    ("Max (low, h)", "float low = {-1.5}, float six = {0.6}", ["v1 = v0.clamp(-1.5, 0.6)"], "h = Min (x, six)"),
    (
        "Max (h, low)",
        "float low = {0.9}, float six = {0.6}",
        ["v1 = v0.clamp(max=0.6)", "v2 = v1.clamp(min=0.9)"],
        "h = Min (x, six)",
    ),
    ("HardSigmoid <alpha = 0.16666667> (x)", "", ["v1 = F.hardsigmoid(v0)"]),
    ("Shrink <bias = 0.3, lambd = 0.3> (x)", "", ["v1 = F.softshrink(v0, 0.3)"]),
    ("PRelu (x, slope)", "float[3] slope = {0.1, 0.2, 0.3}", ["self.layer0 = nn.PReLU(3)", "v1 = self.layer0(v0)"]),
    ("Mul (x, s)", "", ["v1 = F.silu(v0)"], "s = Sigmoid (x)"),
    ("Mul (s, x)", "", ["v1 = F.silu(v0)"], "s = Sigmoid (x)"),
    ("Reciprocal (r)", "", ["v1 = torch.rsqrt(v0)"], "r = Sqrt (x)"),
    ("Neg (p)", "", ["v1 = F.logsigmoid(v0)"], "n = Neg (x) p = Softplus (n)"),
    ("ReduceMean (x, axes)", "int64[1] axes = {1}", ["v1 = v0.mean(1, keepdim=True)"]),
    (
        "MatMul (x, w)",
        "float[3, 1] w = {1, 2, 3}",
        ["self.layer0 = nn.Linear(3, 1, bias=False)", "v1 = self.layer0(v0)"],
    ),
]


_ERF = "float half = {0.5}, float one = {1.0}, float root = {1.41421356237}, float back = {0.70710678}"
_TANH = "float half = {0.5}, float one = {1.0}, float a = {0.7978845608}, float b = {0.044715}, float three = {3.0}"
_END = "e = Tanh (t) p = Add (one, e) h = Mul (p, x) y = Mul (half, h)"
GELUS = [
    ("h = Mul (x, half) d = Div (x, root) e = Erf (d) p = Add (e, one) y = Mul (h, p)", _ERF, ""),
    ("d = Div (x, root) e = Erf (d) p = Add (one, e) h = Mul (x, p) y = Mul (h, half)", _ERF, ""),
    ("d = Mul (back, x) e = Erf (d) p = Add (e, one) h = Mul (half, p) y = Mul (h, x)", _ERF, ""),
    (f"c = Pow (x, three) d = Mul (b, c) s = Add (x, d) t = Mul (s, a) {_END}", _TANH, ", approximate='tanh'"),
    (
        f"q = Mul (x, x) c = Mul (q, x) d = Mul (c, b) s = Add (d, x) t = Mul (a, s) {_END}",
        _TANH,
        ", approximate='tanh'",
    ),
]


@pytest.mark.parametrize(("body", "held", "option"), GELUS)
def test_gelu_is_found_in_its_formulas(body: str, held: str, option: str) -> None:
    model = model_of("float[3] x", "float[3] y", body, held)
    assert lines_of(model) == [f"v1 = F.gelu(v0{option})"]
    agree(model, np.asarray([-1.3, 0.5, 2.0], np.float32))


@pytest.mark.parametrize(("old", "new"), [("0.5}", "0.6}"), ("1.0}", "1.5}"), ("1.41421356237", "1.42")])
def test_other_products_are_no_gelu(old: str, new: str) -> None:
    body, held, _ = GELUS[0]
    model = model_of("float[3] x", "float[3] y", body, held.replace(old, new))
    assert "F.gelu" not in " ".join(lines_of(model))
    agree(model, np.asarray([-1.3, 0.5, 2.0], np.float32))


_HARD = "float three = {3}, float zero = {0}, float six = {6}"


@pytest.mark.parametrize(
    ("end", "call"),
    [
        ("y = Div (c, six)", "F.hardsigmoid(v0)"),
        ("g = Div (c, six) y = Mul (x, g)", "F.hardswish(v0)"),
        ("g = Mul (c, x) y = Div (g, six)", "F.hardswish(v0)"),
    ],
)
def test_hard_sigmoid_and_hard_swish_are_found_in_their_formulas(end: str, call: str) -> None:
    model = model_of("float[4] x", "float[4] y", f"s = Add (x, three) c = Clip (s, zero, six) {end}", _HARD)
    assert lines_of(model) == [f"v1 = {call}"]
    agree(model, np.asarray([-3.5, -1.3, 0.5, 4.0], np.float32))


@pytest.mark.parametrize(("old", "new"), [("{3}", "{2}"), ("{6}", "{5}"), ("{0}", "{1}")])
def test_other_quotients_are_no_hard_sigmoid(old: str, new: str) -> None:
    body = "s = Add (x, three) c = Clip (s, zero, six) y = Div (c, six)"
    model = model_of("float[4] x", "float[4] y", body, _HARD.replace(old, new))
    assert "F.hardsigmoid" not in " ".join(lines_of(model))
    agree(model, np.asarray([-3.5, -1.3, 0.5, 4.0], np.float32))


def test_in_double_precision_a_rounded_gelu_stays_what_it_is() -> None:
    body, held, _ = GELUS[0]
    double = held.replace("float ", "double ").replace("1.41421356237", "1.41421353816986")
    model = model_of("double[3] x", "double[3] y", body, double)
    assert "v3 = torch.erf(v2)" in lines_of(model)
    agree(model, np.asarray([-1.3, 0.5, 2.0]))


@pytest.mark.parametrize("row", NATURAL, ids=lambda row: row[0])
def test_what_is_written_is_what_a_person_writes(row: tuple[Any, ...]) -> None:
    expression, held, expected, *before = row
    body = " ".join([*before, f"y = {expression}"])
    model = model_of("float[n, 3] x", "float[n, k] y", body, held)
    assert lines_of(model) == expected
    agree(model, np.asarray([[0.3, 0.5, 2.0], [1.1, 0.7, 9.0]], np.float32))


def test_a_gate_that_is_used_twice_is_computed_once() -> None:
    model = model_of("float[3] x", "float[3] y", "s = Sigmoid (x) p = Mul (x, s) y = Add (p, s)")
    assert lines_of(model) == ["v1 = torch.sigmoid(v0)", "v2 = v0 * v1", "v3 = v2 + v1"]


_STORED = "float[3, 2] w = {1, 2, 3, 4, 5, 6}, float[2] c = {7, 8}"


@pytest.mark.parametrize("total", ["Add (p, c)", "Add (c, p)"])
def test_a_product_with_a_stored_matrix_plus_a_stored_vector_is_one_layer(total: str) -> None:
    model = model_of("float[n, 4, 3] x", "float[n, 4, 2] y", f"p = MatMul (x, w) y = {total}", _STORED)
    assert lines_of(model) == ["self.layer0 = nn.Linear(3, 2)", "v1 = self.layer0(v0)"]
    agree(model, np.arange(12, dtype=np.float32).reshape(1, 4, 3))


def test_a_value_within_a_layer_cannot_be_tapped() -> None:
    model = model_of("float[n, 4, 3] x", "float[n, 4, 2] y", "p = MatMul (x, w) y = Add (p, c)", _STORED)
    with (
        runtimes()["torch"].open(model, native=False) as session,
        pytest.raises(FeedError, match="does not compute 'p', so it cannot be tapped there"),
    ):
        session.forward({"x": np.ones((1, 4, 3), np.float32)}, taps=["p"])


def test_a_product_that_is_used_twice_keeps_its_bias_apart() -> None:
    body = "p = MatMul (x, w) q = Add (p, c) y = Mul (p, q)"
    model = model_of("float[n, 4, 3] x", "float[n, 4, 2] y", body, _STORED)
    assert lines_of(model)[0] == "self.layer0 = nn.Linear(3, 2, bias=False)"
    agree(model, np.arange(12, dtype=np.float32).reshape(1, 4, 3))


def test_a_layer_is_found_behind_a_transposition_of_its_matrix() -> None:
    held = "float[2, 3] w = {1, 2, 3, 4, 5, 6}"
    body = "t = Transpose <perm = [1, 0]> (w) y = MatMul (x, t)"
    model = model_of("float[n, 3] x", "float[n, 2] y", body, held)
    assert lines_of(model) == ["self.layer0 = nn.Linear(3, 2, bias=False)", "v1 = self.layer0(v0)"]
    agree(model, np.arange(6, dtype=np.float32).reshape(2, 3))


def test_a_matrix_that_two_statements_share_is_one_tensor() -> None:
    held = "float[3, 3] w = {1, 2, 3, 4, 5, 6, 7, 8, 9}"
    body = "a = Gemm <transB = 1> (x, w) y = Mul (a, w)"
    model = model_of("float[3, 3] x", "float[3, 3] y", body, held)
    assert "v1 = F.linear(v0, self.tensor0)" in lines_of(model)
    agree(model, np.arange(9, dtype=np.float32).reshape(3, 3))


def test_a_stored_slope_is_found_behind_a_reshaping() -> None:
    held = "float[3] slope = {0.1, 0.2, 0.3}, int64[3] shape = {3, 1, 1}"
    body = "s = Reshape (slope, shape) y = PRelu (x, s)"
    model = model_of("float[n, 3, 2, 2] x", "float[n, 3, 2, 2] y", body, held)
    assert lines_of(model) == ["self.layer0 = nn.PReLU(3)", "v1 = self.layer0(v0)"]


def test_a_matrix_of_one_number_stays_a_matrix() -> None:
    model = model_of("float[n, 1] x", "float[n, 1] y", "y = MatMul (x, w)", "float[1, 1] w = {2.0}")
    assert lines_of(model)[-1] == "v1 = v0 @ self.tensor0"
    agree(model, np.ones((2, 1), np.float32))


def _floats(numbers: npt.ArrayLike) -> npt.NDArray[np.float32]:
    return np.asarray(numbers, np.float32)


def _ints(numbers: npt.ArrayLike) -> npt.NDArray[np.int32]:
    return np.asarray(numbers, np.int32)


def _wide(numbers: npt.ArrayLike) -> npt.NDArray[np.uint64]:
    return np.asarray(numbers, np.uint64)


PROMOTED = [
    ("float[3] x, int64[3] k", "float[3] y", "Pow (x, k)", (_floats([1.5, 2, 3]), [2, 0, 3])),
    ("int32[3] x, float[3] k", "int32[3] y", "Pow (x, k)", (_ints([2, 3, 4]), _floats([2, 0, 1]))),
    ("int32[3] x, int64[3] k", "int32[3] y", "Pow (x, k)", (_ints([2, 3, 4]), [2, 0, 1])),
    ("float[3] x, double[3] k", "float[3] y", "Pow (x, k)", (_floats([1.5, 2, 3]), [2.0, 0.5, 3.0])),
    ("uint64[2] x, uint64[2] k", "bool[2] y", "Equal (x, k)", (_wide([1, 2**63]), _wide([1, 2]))),
    ("int32[3] x, int32[3] k", "int32[3] y", "Div (x, k)", (_ints([-7, 7, 9]), _ints([2, -2, 3]))),
    ("int32[2, 3] x", "int32 y", "ReduceSum <keepdims = 0> (x)", (_ints([[1, 2, 3], [4, 5, 6]]),)),
    ("int32[2, 3] x", "int32 y", "ReduceProd <keepdims = 0> (x)", (_ints([[1, 2, 3], [4, 5, 6]]),)),
    ("int32[2, 3] x", "int32[2, 1] y", "ReduceL1 (x, one)", (_ints([[1, -2, 3], [4, 5, -6]]),)),
    ("bool[2, 3] x", "bool[2, 1] y", "ReduceMax (x, one)", ([[True, False, False], [False] * 3],)),
]


@pytest.mark.parametrize(("signature", "result", "expression", "feeds"), PROMOTED)
def test_the_result_has_the_dtype_that_onnx_gives_it(
    signature: str, result: str, expression: str, feeds: tuple[npt.ArrayLike, ...]
) -> None:
    held = "int64[1] one = {1}" if "one" in expression else ""
    agree(model_of(signature, result, f"y = {expression}", held), *feeds)


def test_axes_that_are_computed_are_reduced() -> None:
    model = model_of("float[2, 3] x, int64[k] axes", "float[a, b] y", "y = ReduceSum (x, axes)")
    agree(model, np.arange(6, dtype=np.float32).reshape(2, 3), np.array([-1]))


def test_bfloat16_is_divided_like_any_floating_point_number() -> None:
    model = model_of("bfloat16[3] x, bfloat16[3] k", "bfloat16[3] y", "y = Div (x, k)")
    assert lines_of(model) == ["v2 = v0 / v1"]


REFUSED = [
    ("string[3] x", "bool[3] y", "Equal (x, x)", "torch has no strings"),
    ("int32[3] x", "int32 y", "ReduceMean <keepdims = 0> (x)", "ONNX does not say how to round it"),
    ("int32[3, 3] x", "int32[3, 3] y", "Gemm <alpha = 0.5> (x, x)", "scales integers by floating-point numbers"),
    ("int32[3] x", "int32[3] y", "Shrink (x)", "torch shrinks floating-point numbers only"),
]


@pytest.mark.parametrize(("signature", "result", "expression", "reason"), REFUSED)
def test_what_torch_cannot_compute_is_refused(signature: str, result: str, expression: str, reason: str) -> None:
    with pytest.raises(UnsupportedError, match=reason):
        to_program(model_of(signature, result, f"y = {expression}"))
