"""Scaled dot-product attention, which MXNet composes from matrix products and a softmax."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphkit.ops.nn.grad_attention import attention_gradient
from graphkit.ops.nn.mx_attention import write_attention
from graphkit.ops.nn.torch_attention import torch_attention
from graphkit.ops.spec import Case, MxForm, Op, arr, given
from graphkit.ops.work import attention

_QUERY, _KEY, _VALUE = arr(2, 3, 4, 5), arr(2, 3, 6, 5), arr(2, 3, 6, 2)
_PAST = (arr(2, 3, 2, 5), arr(2, 3, 2, 2))
_TRUTHS = given(np.arange(48).reshape(2, 1, 4, 6) % 5 != 1, "bool")

_TRUTHS_OF_SOME = given(np.arange(48).reshape(2, 1, 4, 6) % 7 > 2, "bool")
_LOW = -1e30
_NUMBERS_OF_SOME = given(
    np.array([[-np.inf] * 6, [-np.inf] * 3 + [_LOW] * 3, [0.5] * 6, [_LOW] * 5 + [1.0]]), "float32"
)
"""Rows of -inf, of -inf and a number so low that it hides a key as well, and of others."""


def _case(name: str, *more: Any, **attrs: Any) -> Case:
    return Case(name, (_QUERY, _KEY, _VALUE, *more), attrs)


_HEADS = {"q_num_heads": 2, "kv_num_heads": 2}
_MORE = (
    _case("soft cap", softcap=0.5),
    _case("soft cap and mask", arr(4, 6), softcap=0.5),
    _case("soft cap and causal truths", _TRUTHS, softcap=0.5, is_causal=1),
    Case("soft cap, fewer keys", (arr(2, 4, 3, 5), arr(2, 2, 6, 5), arr(2, 2, 6, 3)), {"softcap": 2.0, "scale": 0.25}),
    Case("cache", (_QUERY, _KEY, _VALUE, arr(4, 8), *_PAST), outputs=3),
    Case("causal cache", (_QUERY, arr(2, 3, 4, 5), arr(2, 3, 4, 2), None, *_PAST), {"is_causal": 1}, outputs=3),
    Case(
        "causal cache of three axes",
        (arr(2, 4, 6), arr(2, 4, 6), arr(2, 4, 8), None, arr(2, 2, 3, 3), arr(2, 2, 3, 4)),
        {**_HEADS, "is_causal": 1},
        outputs=3,
    ),
    *(
        Case(
            f"scores, mode {mode}",
            (_QUERY, _KEY, _VALUE, arr(4, 8), *_PAST),
            {"qk_matmul_output_mode": mode},
            outputs=4,
        )
        for mode in range(4)
    ),
)

OP = Op(
    "Attention",
    mx=(MxForm("_linalg_gemm2", write=write_attention, direction="write"),),
    torch=torch_attention,
    gradient=attention_gradient,
    macs=attention,
    cases=(
        _case("plain"),
        _case("scale", scale=0.25),
        _case("mask", arr(4, 6)),
        _case("mask of all", arr(2, 3, 4, 6)),
        _case("truths", _TRUTHS),
        Case("constant truths", (_QUERY, _KEY, _VALUE, given(np.tri(4, 6) > 0, "bool")), const=(3,)),
        _case("causal", is_causal=1),
        _case("causal with a mask", arr(4, 6), is_causal=1),
        _case("causal with truths", _TRUTHS, is_causal=1),
        Case("free causal", (arr(2, 3, 4, 5), arr(2, 3, 4, 5), arr(2, 3, 4, 5)), {"is_causal": 1}, dynamic=(0, 1, 2)),
        Case("fewer keys", (arr(2, 4, 3, 5), arr(2, 2, 6, 5), arr(2, 2, 6, 3))),
        Case(
            "three axes",
            (arr(2, 4, 6), arr(2, 5, 6), arr(2, 5, 8)),
            {"q_num_heads": 2, "kv_num_heads": 2},
        ),
        *_MORE,
        Case(
            "free with a past",
            (_QUERY, _QUERY, _QUERY, None, arr(2, 3, 2, 5), arr(2, 3, 2, 5)),
            {"is_causal": 1},
            outputs=3,
            dynamic=(0, 1, 2, 4, 5),
        ),
        Case("causal truths that hide all", (_QUERY, _KEY, _VALUE, _TRUTHS_OF_SOME), {"is_causal": 1}),
        Case(
            "constant truths that hide all",
            (_QUERY, _KEY, _VALUE, given(np.arange(24).reshape(4, 6) > 8, "bool")),
            const=(3,),
        ),
        Case("numbers that hide all", (_QUERY, _KEY, _VALUE, _NUMBERS_OF_SOME), const=(3,), grad=False),
        Case("truths that hide all", (_QUERY, _KEY, _VALUE, given(np.arange(24).reshape(4, 6) > 8, "bool"))),
        Case("one head", (arr(2, 4, 6), arr(2, 5, 6), arr(2, 5, 8)), {"q_num_heads": 1, "kv_num_heads": 1}),
    ),
)
