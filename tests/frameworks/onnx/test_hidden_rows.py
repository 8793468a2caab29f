"""Attention in float64 on ONNX Runtime, whose own function body has NaN where a query sees no key."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from opcases import onnx_model, onnx_uses

from graphkit.frameworks.base import WriteOptions, runtimes
from graphkit.frameworks.onnx import FRAMEWORK
from graphkit.ir.canonical import canonical

if TYPE_CHECKING:
    from pathlib import Path

    from opcases import Use

USES = [use for use in onnx_uses() if use.op.onnx == "Attention" and use.has_float64]


def assert_file_runs_as_onnx_says(model: ir.Model, feeds: dict[str, np.ndarray], path: Path) -> dict[str, np.ndarray]:
    with runtimes()["reference"].open(model, native=False) as reference:
        expected = reference.forward(feeds)
    FRAMEWORK.write(model, path, WriteOptions())
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    found = dict(zip((output.name for output in session.get_outputs()), session.run(None, feeds), strict=True))
    assert list(found) == list(expected)
    for name, array in expected.items():
        np.testing.assert_allclose(found[name], array, rtol=1e-6, atol=1e-6, err_msg=name)
    return found


@pytest.mark.parametrize("use", USES, ids=lambda use: use.case.name)
def test_files_of_float64_attention_run_as_onnx_says(use: Use, tmp_path: Path) -> None:
    model, feeds = onnx_model(use, "float64")
    assert_file_runs_as_onnx_says(canonical(model), feeds, tmp_path / "net.onnx")


@pytest.mark.parametrize("kind", ["bool", "double"])
@pytest.mark.parametrize(
    ("sizes", "attrs"),
    [
        ("1,2,3,4", "softcap = 0.0"),
        ("1,2,3,4", "is_causal = 1, qk_matmul_output_mode = 3"),
        ("1,2,3,4", "qk_matmul_output_mode = 2"),
        ("1,3,8", "is_causal = 1, q_num_heads = 2, kv_num_heads = 2"),
    ],
    ids=["plain", "causal with weights", "with masked scores", "three axes"],
)
def test_a_query_that_sees_nothing_gets_zeros(kind: str, sizes: str, attrs: str, tmp_path: Path) -> None:
    """The first query sees no key; the second head shows the second query the last one alone, which is after it."""
    seen = np.ones((1, 2, 3, 3), bool)
    seen[:, :, 0] = False
    seen[:, 1, 1, :2] = False
    more = "qk_matmul_output_mode" in attrs
    text = f"""<ir_version: 10, opset_import: ["" : 23]> g
        (double[{sizes}] q, {kind}[1,2,3,3] m) => (double[{sizes}] y{", double[1,2,3,3] s" if more else ""}) {{
            y{", k, v, s" if more else ""} = Attention <{attrs}> (q, q, q, m)
        }}"""
    feeds = {
        "q": np.random.default_rng(0).standard_normal([int(size) for size in sizes.split(",")]),
        "m": seen if kind == "bool" else np.where(seen, 0.5, -np.inf),
    }
    model = canonical(ir.from_proto(onnx.parser.parse_model(text)))
    y = assert_file_runs_as_onnx_says(model, feeds, tmp_path / "net.onnx")["y"]
    heads = y if len(y.shape) == 4 else y.reshape(1, 3, 2, 4).swapaxes(1, 2)
    assert not heads[:, :, 0].any()
    assert bool(heads[:, 1, 1].any()) == ("is_causal" not in attrs)
    assert heads[:, :, 2].all()


def test_float32_attention_is_written_as_it_is(tmp_path: Path) -> None:
    for use in USES:
        model, _ = onnx_model(use)
        FRAMEWORK.write(canonical(model), tmp_path / "net.onnx", WriteOptions())
        assert [node.op_type for node in onnx.load(tmp_path / "net.onnx").graph.node] == ["Attention"]
