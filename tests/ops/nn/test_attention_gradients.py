"""Gradients of attention and rotary embeddings at any batch and length, against torch's."""

from __future__ import annotations

import numpy as np
import pytest
from torchgradients import assert_torch_gradients, drawn
from torchtext import model_of

from graphkit.passes.gradient.model import gradient_model

Shape = tuple[int, ...]

APART = "float[N, 4, T, 8] q, float[N, 4, S, 8] k, float[N, 4, S, 6] v"
SHARED = "float[N, 4, T, 8] q, float[N, 2, S, 8] k, float[N, 2, S, 6] v"
FLAT = "float[N, T, 32] q, float[N, S, 16] k, float[N, S, 12] v"
PAST = "float[N, 4, P, 8] pk, float[N, 4, P, 6] pv"

SIZES: dict[str, dict[str, Shape]] = {
    APART: {"q": (2, 4, 3, 8), "k": (2, 4, 5, 8), "v": (2, 4, 5, 6)},
    SHARED: {"q": (2, 4, 3, 8), "k": (2, 2, 5, 8), "v": (2, 2, 5, 6)},
    FLAT: {"q": (2, 3, 32), "k": (2, 5, 16), "v": (2, 5, 12)},
}

CASES: list[tuple[str, str, str, dict[str, Shape], str]] = [
    ("plain", APART, "", {}, "Attention (q, k, v)"),
    ("causal", APART, "", {}, "Attention <is_causal = 1> (q, k, v)"),
    ("shared keys", SHARED, "", {}, "Attention (q, k, v)"),
    ("shared keys, flat", FLAT, "", {}, "Attention <q_num_heads = 4, kv_num_heads = 2, scale = 0.25> (q, k, v)"),
    ("mask", APART, ", float[T, S] m", {"m": (3, 5)}, "Attention (q, k, v, m)"),
    ("mask of each row", SHARED, ", float[N, 1, T, S] m", {"m": (2, 1, 3, 5)}, "Attention (q, k, v, m)"),
    ("truths", SHARED, ", bool[N, 1, T, S] m", {"m": (2, 1, 3, 5)}, "Attention <is_causal = 1> (q, k, v, m)"),
    ("truths of one row", APART, ", bool[N, 1, 1, S] m", {"m": (2, 1, 1, 5)}, "Attention (q, k, v, m)"),
    ("soft cap", FLAT, "", {}, "Attention <q_num_heads = 4, kv_num_heads = 2, softcap = 1.5> (q, k, v)"),
    (
        "past",
        APART,
        f", {PAST}",
        {"pk": (2, 4, 2, 8), "pv": (2, 4, 2, 6)},
        'Attention <is_causal = 1> (q, k, v, "", pk, pv)',
    ),
]


@pytest.mark.parametrize(
    ("signature", "more", "sizes", "body"), [case[1:] for case in CASES], ids=[c[0] for c in CASES]
)
def test_gradients_are_torchs_at_free_sizes(signature: str, more: str, sizes: dict[str, Shape], body: str) -> None:
    outputs, names = "float[a, b, c, d] y", "y"
    if signature == FLAT:
        outputs = "float[a, b, c] y"
    if "pk" in sizes:
        outputs, names = f"{outputs}, float[e, f, g, h] ky, float[i, j, k, l] vy", "y, ky, vy"
    model = model_of(signature + more, outputs, f"{names} = {body}")
    assert_torch_gradients(model, drawn(model, {**SIZES[signature], **sizes}))


def test_a_row_that_sees_nothing_has_no_gradient() -> None:
    model = model_of(APART + ", bool[T, S] m", "float[a, b, c, d] y", "y = Attention (q, k, v, m)")
    feeds = drawn(model, {**SIZES[APART], "m": (3, 5)})
    feeds["m"][1] = False
    gradients = assert_torch_gradients(model, feeds)
    assert not gradients["q"][:, :, 1].any()
    assert gradients["q"][:, :, 0].all()


def test_scores_far_apart_give_finite_gradients() -> None:
    model = model_of(APART, "float[a, b, c, d] y", "y = Attention <scale = 100.0> (q, k, v)")
    gradients = assert_torch_gradients(model, drawn(model, SIZES[APART]))
    assert all(np.isfinite(each).all() for each in gradients.values())


def test_heads_of_free_count_are_grouped_while_it_runs() -> None:
    model = model_of(
        "float[N, H, T, 8] q, float[N, G, S, 8] k, float[N, G, S, 6] v",
        "float[a, b, c, d] y",
        "y = Attention (q, k, v)",
    )
    assert_torch_gradients(model, drawn(model, SIZES[SHARED]))


def test_attention_is_differentiated_in_few_nodes() -> None:
    model = model_of(APART, "float[a, b, c, d] y", "y = Attention (q, k, v)")
    nodes = [node.op_type for node in gradient_model(model).graph]
    assert nodes.count("MatMul") == 5
    assert len(nodes) <= 20


ROTARY = [
    ("halves", "float[N, 3, T, 8] x", (2, 3, 4, 8), ""),
    ("interleaved", "float[N, 3, T, 8] x", (2, 3, 4, 8), "interleaved = 1"),
    ("flat", "float[N, T, 24] x", (2, 4, 24), "num_heads = 3"),
]


@pytest.mark.parametrize(
    ("signature", "shape", "attributes"), [each[1:] for each in ROTARY], ids=[r[0] for r in ROTARY]
)
def test_rotary_embeddings_turn_gradients_back(signature: str, shape: Shape, attributes: str) -> None:
    rank = len(shape)
    model = model_of(
        f"{signature}, float[P, 4] c, float[P, 4] s, int64[N, T] p",
        f"float[{', '.join('abcd'[:rank])}] y",
        f"y = RotaryEmbedding <{attributes}> (x, c, s, p)" if attributes else "y = RotaryEmbedding (x, c, s, p)",
    )
    assert_torch_gradients(model, drawn(model, {"x": shape, "c": (5, 4), "s": (5, 4), "p": (2, 4)}))
