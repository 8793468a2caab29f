"""Gradient graphs of tensor operators at sizes that only running tells, with equal indices, ties and zeros."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from torchgradients import assert_torch_gradients

from graphkit.frameworks.base import runtimes
from graphkit.ir.canonical import canonical
from graphkit.passes.gradient.model import gradient_model

if TYPE_CHECKING:
    from collections.abc import Mapping

RNG = np.random.default_rng(3)


def floats(*shape: int) -> np.ndarray:
    """Random numbers that float32 holds, too."""
    return RNG.standard_normal(shape).astype(np.float32).astype(np.float64)


def ints(values: Any) -> np.ndarray:
    return np.array(values, np.int64)


def model(text: str, opset: int = 23) -> ir.Model:
    head = f'<ir_version: 10, opset_import: ["": {opset}]> g '
    return canonical(ir.serde.deserialize_model(onnx.parser.parse_model(head + text)))


def with_zeros(*places: tuple[int, int]) -> np.ndarray:
    array = floats(4, 6)
    for place in places:
        array[place] = 0
    return array


SPARSE = with_zeros((1, 2), (2, 1), (2, 4), (3, 0), (3, 1), (3, 5))
TIES = np.array([[1, 2, 2, 1, 2], [3, 3, 3, 3, 3]], np.float64)
TAKEN = ints([[0, 1], [-1, 2], [0, 1], [1, -1]])
WRITTEN = floats(5, 4)
WRITTEN[0], WRITTEN[3, 1], WRITTEN[1] = 0, 0, WRITTEN[4]

LIKE_TORCH: dict[str, tuple[str, Mapping[str, np.ndarray]]] = {
    "Concat along a free axis": (
        "(float[N,M] x, float[K,M] z) => (float[A,M] y) { y = Concat<axis=0>(x, z) }",
        {"x": floats(2, 3), "z": floats(4, 3)},
    ),
    "Concat of a value with itself": (
        "(float[N,M] x) => (float[A,M] y) { y = Concat<axis=0>(x, x) }",
        {"x": floats(2, 3)},
    ),
    "Split by computed sizes, one part unused": (
        "(float[N,M] x, int64[2] s) => (float[A,M] y) { y, rest = Split<axis=0>(x, s) }",
        {"x": floats(5, 3), "s": ints([2, 3])},
    ),
    "Expand to a computed shape": (
        "(float[N,1] x, int64[3] s) => (float[A,B,C] y) { y = Expand(x, s) }",
        {"x": floats(3, 1), "s": ints([2, 1, 4])},
    ),
    "Expand where the free axis is one": (
        "(float[N,3] x, int64[2] s) => (float[A,B] y) { y = Expand(x, s) }",
        {"x": floats(1, 3), "s": ints([4, 1])},
    ),
    "Reshape by a computed shape": (
        "(float[N,M,K] x, int64[2] s) => (float[A,B] y) { y = Reshape(x, s) }",
        {"x": floats(2, 3, 4), "s": ints([4, 6])},
    ),
    "Tile by computed numbers": (
        "(float[N,M] x, int64[2] r) => (float[A,B] y) { y = Tile(x, r) }",
        {"x": floats(2, 3), "r": ints([3, 2])},
    ),
    "Slice by computed starts": (
        "(float[N,M] x, int64[2] s, int64[2] e) => (float[A,B] y) { y = Slice(x, s, e) }",
        {"x": floats(4, 5), "s": ints([1, -3]), "e": ints([9, -1])},
    ),
    "Slice with steps of free axes": (
        (
            "(float[N,M] x) => (float[A,B] y) <int64[2] s = {-2, 1}, int64[2] e = {-99, 9}, int64[2] a = {1, 0}, "
            "int64[2] t = {-2, 3}> { y = Slice(x, s, e, a, t) }"
        ),
        {"x": floats(5, 6)},
    ),
    "Slice of nothing": (
        (
            "(float[N,M] x) => (float[A,B] y) <int64[1] s = {3}, int64[1] e = {2}, int64[1] a = {0}> "
            "{ c = Slice(x, s, e, a) y = Concat<axis=0>(c, x) }"
        ),
        {"x": floats(5, 2)},
    ),
    "Gather along the middle, equal indices": (
        "(float[N,M,K] x, int64[A,B] i) => (float[N,A,B,K] y) { y = Gather<axis=1>(x, i) }",
        {"x": floats(2, 3, 4), "i": ints([[0, -1, 2], [2, 2, 0]])},
    ),
    "Gather of the last": (
        "(float[N,M,K] x) => (float[N,K] y) <int64 i = {-1}> { y = Gather<axis=1>(x, i) }",
        {"x": floats(2, 3, 4)},
    ),
    "Gather of stored indices that differ": (
        "(float[N,3,K] x) => (float[N,2,K] y) <int64[2] i = {2, -3}> { y = Gather<axis=1>(x, i) }",
        {"x": floats(2, 3, 4)},
    ),
    "Gather of stored indices that are equal": (
        "(float[N,3,K] x) => (float[N,2,2,K] y) <int64[2,2] i = {2, 0, 0, -1}> { y = Gather<axis=1>(x, i) }",
        {"x": floats(2, 3, 4)},
    ),
    "GatherElements, equal indices": (
        "(float[N,M] x, int64[N,K] i) => (float[N,K] y) { y = GatherElements<axis=1>(x, i) }",
        {"x": floats(2, 4), "i": ints([[0, 0, -1], [3, 1, -1]])},
    ),
    "GatherND of rows": (
        "(float[N,M,K] x, int64[A,2] i) => (float[A,K] y) { y = GatherND(x, i) }",
        {"x": floats(2, 3, 4), "i": TAKEN},
    ),
    "GatherND in a batch": (
        "(float[N,M,K] x, int64[N,M,A,1] i) => (float[N,M,A] y) { y = GatherND<batch_dims=2>(x, i) }",
        {"x": floats(2, 3, 4), "i": RNG.integers(-4, 4, (2, 3, 5, 1))},
    ),
    "TopK of an axis without a size": (
        "(float[N,M] x, int64[1] k) => (float[A,M] y, int64[A,M] i) { y, i = TopK<axis=0, largest=0>(x, k) }",
        {"x": floats(5, 3), "k": ints([2])},
    ),
    "TopK with ties": (
        "(float[N,M] x) => (float[N,A] y, int64[N,A] i) <int64[1] k = {2}> { y, i = TopK(x, k) }",
        {"x": TIES},
    ),
    "CumSum along a computed axis": (
        "(float[N,M] x, int64 a) => (float[N,M] y) { y = CumSum<exclusive=1, reverse=1>(x, a) }",
        {"x": floats(4, 3), "a": ints(0)},
    ),
    "Compress": (
        "(float[N,M] x, bool[N] c) => (float[A,M] y) { y = Compress<axis=0>(x, c) }",
        {"x": floats(3, 2), "c": np.array([True, False, True])},
    ),
    "ReverseSequence": (
        "(float[N,M,K] x, int64[M] l) => (float[N,M,K] y) { y = ReverseSequence(x, l) }",
        {"x": floats(4, 3, 2), "l": ints([2, 4, 1])},
    ),
    "CenterCropPad to a computed shape": (
        "(float[N,M] x, int64[2] s) => (float[A,B] y) { y = CenterCropPad(x, s) }",
        {"x": floats(3, 6), "s": ints([6, 3])},
    ),
    "DepthToSpace": (
        '(float[N,C,H,W] x) => (float[N,D,E,F] y) { y = DepthToSpace<blocksize=2, mode="CRD">(x) }',
        {"x": floats(2, 8, 3, 2)},
    ),
    "OneHot of computed values": (
        "(int64[N] i, int64[1] d, float[2] v) => (float[N,A] y) { y = OneHot(i, d, v) }",
        {"i": ints([0, 2, 1, -1]), "d": ints([3]), "v": floats(2)},
    ),
    "TensorScatter": (
        (
            "(float[B,H,L,D] x, float[B,H,S,D] u, int64[B] w) => (float[B,H,L,D] y) "
            '{ y = TensorScatter<mode="circular">(x, u, w) }'
        ),
        {"x": floats(2, 3, 6, 2), "u": floats(2, 3, 2, 2), "w": ints([1, 5])},
    ),
    "SpaceToDepth": (
        "(float[N,C,H,W] x) => (float[N,D,E,F] y) { y = SpaceToDepth<blocksize=2>(x) }",
        {"x": floats(2, 2, 4, 6)},
    ),
    "Pad by a computed value": (
        "(float[N,M] x, int64[4] p, float v) => (float[A,B] y) { y = Pad(x, p, v) }",
        {"x": floats(3, 5), "p": ints([1, 0, 2, 3]), "v": floats()},
    ),
    "Trilu from a computed diagonal": (
        "(float[N,M] x, int64 k) => (float[N,M] y) { y = Trilu(x, k) }",
        {"x": floats(3, 4), "k": ints(1)},
    ),
    **{
        f"Pad by computed widths, {mode}": (
            f'(float[N,M] x, int64[4] p) => (float[A,B] y) {{ y = Pad<mode="{mode}">(x, p) }}',
            {"x": floats(3, 5), "p": ints([1, 0, 2, 3])},
        )
        for mode in ("reflect", "edge", "wrap")
    },
    **{
        f"CumProd with zeros, exclusive={exclusive}, reverse={reverse}": (
            (
                "(float[N,M] x) => (float[N,M] y) <int64 a = {1}> "
                f"{{ y = CumProd<exclusive={exclusive}, reverse={reverse}>(x, a) }}"
            ),
            {"x": SPARSE},
        )
        for exclusive in (0, 1)
        for reverse in (0, 1)
    },
    **{
        f"ScatterElements, {kind}": (
            (
                "(float[N,M] x, int64[N,K] i, float[N,K] u) => (float[N,M] y) "
                f'{{ y = ScatterElements<axis=1, reduction="{kind}">(x, i, u) }}'
            ),
            {"x": SPARSE[1:], "i": ints([[2, 2, 1], [-1, 1, 0], [0, 1, 5]]), "u": SPARSE[1:, :3]},
        )
        for kind in ("add", "mul", "max", "min")
    },
    **{
        f"ScatterND of rows, {kind}": (
            (
                "(float[N,M] x, int64[K,1] i, float[K,M] u) => (float[N,M] y) "
                f'{{ y = ScatterND<reduction="{kind}">(x, i, u) }}'
            ),
            {"x": SPARSE[1:, :4], "i": ints([[0], [0], [0], [-1], [1]]), "u": WRITTEN},
        )
        for kind in ("add", "mul", "max", "min")
    },
}


@pytest.mark.parametrize("name", LIKE_TORCH)
def test_gradients_are_torchs(name: str) -> None:
    text, feeds = LIKE_TORCH[name]
    assert_torch_gradients(model(text, 26 if "CumProd" in text or "TensorScatter" in text else 23), dict(feeds))


LINEAR: dict[str, tuple[str, Mapping[str, np.ndarray]]] = {
    "Slice by everything computed": (
        "(float[N,M] x, int64[K] s, int64[K] e, int64[K] a, int64[K] t) => (float[A,B] y) { y = Slice(x, s, e, a, t) }",
        {"x": floats(4, 7), "s": ints([6, 1]), "e": ints([-99, 3]), "a": ints([-1, 0]), "t": ints([-3, 1])},
    ),
    "Pad of computed axes": (
        '(float[N,M] x, int64[2] p, int64[1] a) => (float[A,B] y) { y = Pad<mode="edge">(x, p, , a) }',
        {"x": floats(3, 5), "p": ints([2, 1]), "a": ints([-1])},
    ),
    "Pad that crops one end": (
        '(float[N,M] x) => (float[A,B] y) <int64[4] p = {1, -1, 1, 3}> { y = Pad<mode="reflect">(x, p) }',
        {"x": floats(3, 5)},
    ),
    "Pad that wraps more than once": (
        '(float[N,M] x) => (float[A,B] y) <int64[4] p = {7, 0, 4, 1}> { y = Pad<mode="wrap">(x, p) }',
        {"x": floats(3, 2)},
    ),
    "Compress of elements": (
        "(float[N,M] x, bool[K] c) => (float[A] y) { y = Compress(x, c) }",
        {"x": floats(3, 2), "c": np.array([True, False, True, True])},
    ),
    "Unique of rows": (
        "(float[N,M] x) => (float[A,M] y) { y = Unique<axis=0>(x) }",
        {"x": floats(4, 2)[[0, 1, 0, 2]]},
    ),
    "Range": (
        "(float a, float b, float c) => (float[A] y) { y = Range(a, b, c) }",
        {"a": np.array(0.5), "b": np.array(3.1), "c": np.array(0.25)},
    ),
}


@pytest.mark.parametrize("name", LINEAR)
def test_gradients_are_the_adjoint_of_what_is_linear(name: str) -> None:
    text, feeds = LINEAR[name]
    narrow = {key: array.astype(np.float32) if array.dtype.kind == "f" else array for key, array in feeds.items()}
    with runtimes()["ort"].open(model(text)) as session:
        result = session.forward(narrow)["y"]
        seed = RNG.standard_normal(result.shape).astype(np.float32)
        found = session.backward(narrow, {"y": seed})
    there = np.vdot(seed.astype(np.float64), result)
    back = sum(np.vdot(gradient.astype(np.float64), narrow[key]) for key, gradient in found.items())
    assert {key: gradient.shape for key, gradient in found.items()} == {key: narrow[key].shape for key in found}
    assert abs(there - back) <= 1e-5 * max(1.0, float(np.linalg.norm(seed) * np.linalg.norm(result)))


def test_sums_over_equal_indices_lose_nothing_on_several_threads() -> None:
    table = "(float[7,64] w, int64[A,B] i) => (float[A,B,64] y) { y = Gather(w, i) }"
    feeds = {"w": floats(7, 64).astype(np.float32), "i": RNG.integers(-7, 7, (64, 64))}
    seed = RNG.integers(-8, 9, (64, 64, 64)).astype(np.float32)
    with runtimes()["ort"].open(model(table)) as session:
        found = session.backward(feeds, {"y": seed})["w"]
    expected = np.zeros((7, 64))
    np.add.at(expected, feeds["i"], seed)
    np.testing.assert_array_equal(found, expected)


def kinds(text: str) -> list[str]:
    return [node.op_type for node in gradient_model(model(text)).graph][1:]


def test_cutting_known_ranges_out_of_a_free_batch_costs_one_pad() -> None:
    text = "(float[N,5,4] x) => (float[N,2,4] y) <int64[1] s = {1}, int64[1] e = {3}, int64[1] a = {1}> "
    assert kinds(text + "{ y = Slice(x, s, e, a) }") == ["Pad"]


def test_looking_up_the_first_token_costs_no_scattering() -> None:
    assert kinds("(float[N,5,4] x) => (float[N,4] y) <int64 i = {0}> { y = Gather<axis=1>(x, i) }") == [
        "Unsqueeze",
        "Pad",
    ]


def test_joining_known_sizes_costs_one_split() -> None:
    assert kinds("(float[N,2] x, float[N,3] z) => (float[N,5] y) { y = Concat<axis=1>(x, z) }") == ["Split"]
