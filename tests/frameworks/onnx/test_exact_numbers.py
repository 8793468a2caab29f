"""Doubles of constants in ONNX files: kept where they are what the constant rounds to, and only there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest

import graphkit
from graphkit.ir.params import exact, set_exact

if TYPE_CHECKING:
    from pathlib import Path

    import onnx_ir as ir

MODEL = '<ir_version: 11, opset_import: ["" : 23]> g (float[2] x) => (float[2] y) <float c = {1.702}> {y = Mul(x, c)}'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    onnx.save(onnx.parser.parse_model(MODEL), tmp_path / "plain.onnx")
    model = graphkit.load(tmp_path / "plain.onnx")
    assert exact(model.graph.initializers["c"]) is None
    set_exact(model.graph.initializers["c"], np.array(1.702))
    graphkit.save(model, tmp_path / "exact.onnx", to="onnx")
    return tmp_path / "exact.onnx"


def constant(path: Path) -> ir.Value:
    value: ir.Value = graphkit.load(path).graph.initializers["c"]
    return value


def test_the_double_of_a_constant_survives_in_the_file(path: Path) -> None:
    found = exact(constant(path))
    assert found is not None
    assert found.item() == 1.702


@pytest.mark.parametrize("text", ["[1.5]", "[1.702, 1.702]", "[" * 100_000, "[1e999]", "[1" + "0" * 999 + "]"])
def test_what_is_no_double_of_it_is_not_taken(path: Path, text: str) -> None:
    proto = onnx.load(path)
    notes = [note for value in proto.graph.value_info for note in value.metadata_props if note.key == "graphkit.exact"]
    assert len(notes) == 1
    notes[0].value = text
    onnx.save(proto, path)
    assert exact(constant(path)) is None
