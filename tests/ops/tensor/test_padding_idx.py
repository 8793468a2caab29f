"""Embeddings of which one row gets no gradient, ``padding_idx`` of PyTorch, in every framework."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir
import pytest

pytest.importorskip("torch")
import torch
from mxsymbols import graph, op, var
from torch import nn
from torch.nn import functional as F  # noqa: N812 -- as torch's documentation has it

import graphkit
from graphkit.frameworks.base import InputSpec, ReadOptions, runtimes
from graphkit.frameworks.mxnet.read import from_symbol
from graphkit.frameworks.torch.program.read import read_program
from graphkit.ir.canonical import canonical
from graphkit.ir.edit import nodes_of
from graphkit.ir.origin import Source, set_source
from graphkit.ir.training import padding_row, set_padding_row
from graphkit.ops.mxgraph import MxModel
from graphkit.passes.cast_floats import cast_floats

if TYPE_CHECKING:
    from pathlib import Path

ROWS, WIDTH = 5, 3
IDS = np.array([[0, 1, 4, 2], [2, 0, 4, 3]])


class Tied(nn.Module):
    """Looks rows up and compares with all of them, so that the table has a gradient that does not pass the lookup."""

    def __init__(self, padding_idx: int) -> None:
        super().__init__()
        self.table = nn.Embedding(ROWS, WIDTH, padding_idx=padding_idx)
        with torch.no_grad():
            self.table.weight.copy_(torch.linspace(-1, 1, ROWS * WIDTH).reshape(ROWS, WIDTH))

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return torch.tanh(self.table(ids)) @ self.table.weight.T


class Apart(Tied):
    """Looks rows up in a table that is read nowhere else."""

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return torch.tanh(self.table(ids))


class Scaled(Tied):
    """Looks rows up in a table that is computed."""

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return F.embedding(ids, self.table.weight * 2, padding_idx=self.table.padding_idx)


class Stored(nn.Module):
    """Looks rows up in a table that is not trained."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("table", torch.ones(ROWS, WIDTH))
        self.linear = nn.Linear(WIDTH, 2)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.linear(F.embedding(ids, self.table, padding_idx=1))


class Deviating(nn.Module):
    """Tables whose training nothing but torch has."""

    def __init__(self) -> None:
        super().__init__()
        self.counted = nn.Embedding(ROWS, WIDTH, scale_grad_by_freq=True)
        self.bags = nn.EmbeddingBag(ROWS, WIDTH, scale_grad_by_freq=True)
        self.bounded = nn.Embedding(ROWS, WIDTH, max_norm=1.0)

    def forward(self, ids: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return self.counted(ids), self.bags(ids), self.bounded(ids)


def loaded(module: nn.Module) -> ir.Model:
    return graphkit.load(module, inputs=["ids:2x4:int64"])


def rows(model: ir.Model) -> list[int | None]:
    return [padding_row(node) for node in nodes_of(model) if node.op_type == "Gather"]


def gradient(model: ir.Model, runtime: str, seed: np.ndarray) -> np.ndarray:
    """The gradient in the table, in float64, on one runtime."""
    wide = cast_floats(model.clone(), "float64")
    with runtimes()[runtime].open(wide, native=False) as session:
        found = session.backward({"ids": IDS}, {model.graph.outputs[0].name: seed})
    return found["table.weight"]


def torchs(module: nn.Module) -> tuple[np.ndarray, np.ndarray]:
    """Torch's gradient in the table, and the cotangent."""
    module = module.double()
    result = module(torch.from_numpy(IDS))
    seed = np.random.default_rng(5).standard_normal(result.shape)
    result.backward(torch.from_numpy(seed))
    return module.table.weight.grad.numpy(), seed


@pytest.mark.mxnet
@pytest.mark.parametrize(("kind", "row"), [(Tied, 0), (Apart, 2), (Scaled, -1)])
def test_rows_of_padding_get_torchs_gradients_wherever_they_go(kind: type[Tied], row: int, tmp_path: Path) -> None:
    model = loaded(kind(row))
    expected, seed = torchs(kind(row))
    told: list[str] = []
    graphkit.save(model, tmp_path / "net.onnx", to="onnx", warn=told.append)
    graphkit.save(model, tmp_path / "net-symbol.json", to="mxnet")
    through_onnx = graphkit.load(tmp_path / "net.onnx")
    through_mxnet = graphkit.load(tmp_path / "net-symbol.json")
    graphkit.save(through_mxnet, tmp_path / "net", to="torch")
    assert [text.partition(" (")[0] for text in told] == ["1 node gives its padding row no gradient"]
    assert rows(model) == rows(through_onnx) == rows(through_mxnet) == [row % ROWS]
    spelled = f"nn.Embedding({ROWS}, {WIDTH}, padding_idx={row})" if kind is Apart else f", padding_idx={row % ROWS})"
    assert spelled in (tmp_path / "net" / "model.py").read_text()
    for runtime in ("torch", "mxnet", "reference"):
        np.testing.assert_allclose(gradient(model, runtime, seed), expected, rtol=0, atol=1e-12)
    for again in (through_onnx, through_mxnet):
        np.testing.assert_allclose(gradient(again, "reference", seed), expected, rtol=0, atol=1e-12)
    np.testing.assert_allclose(gradient(through_mxnet, "mxnet", seed), expected, rtol=0, atol=1e-12)


def test_gradients_of_padding_are_dropped_even_where_they_are_infinite() -> None:
    model = loaded(Apart(0))
    seed = np.where((IDS == 0)[..., None], np.inf, np.ones((*IDS.shape, WIDTH)))
    assert (gradient(model, "reference", seed)[0] == 0).all()


def test_a_table_that_is_not_trained_has_no_padding_to_note() -> None:
    assert rows(loaded(Stored())) == [None]


def test_programs_are_read_with_padding_without_torch(tmp_path: Path) -> None:
    torch.export.save(torch.export.export(Tied(2), (torch.from_numpy(IDS),)), tmp_path / "net.pt2")
    model = read_program(tmp_path / "net.pt2", raw=False, warn=lambda _: None)
    assert model is not None
    assert rows(model) == [2]


SPELLINGS = {
    "below 1": ("_lesser_scalar", 1, False, 0),
    "inside": ("_equal_scalar", 2, False, 2),
    "from the last on": ("_greater_equal_scalar", ROWS - 1, False, ROWS - 1),
    "first, not what is moved to it": ("_equal_scalar", 0, False, None),
    "last, not what is moved to it": ("_equal_scalar", ROWS - 1, False, None),
    "beyond the table": ("_equal_scalar", 9, False, None),
    "several rows": ("_lesser_scalar", 2, False, None),
    "all but padding": ("_equal_scalar", 2, True, None),
}
"""How a symbol asks for rows without gradient, whether they are those that are not asked for, and the row noted."""


@pytest.mark.mxnet
@pytest.mark.parametrize("name", SPELLINGS)
def test_symbols_keep_gradients_of_indices_that_mxnet_clips(name: str) -> None:
    comparison, number, swapped, row = SPELLINGS[name]
    ids, table = var("ids"), var("table.weight")
    found = op("Embedding", "rows", ids, table, input_dim=ROWS, output_dim=WIDTH, dtype="float64")
    asked = op("expand_dims", "wide", op(comparison, "asked", ids, scalar=number), axis=-1)
    parts = [op("BlockGrad", "blocked", found), found]
    chosen = op("where", "chosen", op("broadcast_like", "all", asked, found), *(parts[::-1] if swapped else parts))
    mx = MxModel(graph(chosen), args={"table.weight": np.ones((ROWS, WIDTH))})
    inputs = (InputSpec("ids", (2, 4), "int64"),)
    model = canonical(from_symbol(mx, ReadOptions(inputs=inputs, dynamic_batch=False), "net"))
    set_source(model, Source("mxnet", "net", mx))
    assert rows(model) == [row]
    ids_given = np.array([[-1, 0, 1, 2], [3, 4, 7, 2]])
    seed = np.arange(24.0).reshape(2, 4, WIDTH) + 1
    gradients = []
    for runtime, native in (("mxnet", True), ("mxnet", False), ("torch", False), ("reference", False)):
        with runtimes()[runtime].open(model, native=native) as session:
            gradients.append(session.backward({"ids": ids_given}, {"chosen_output": seed})["table.weight"])
    for other in gradients[1:]:
        np.testing.assert_array_equal(other, gradients[0])


def test_only_rows_of_a_table_are_padding() -> None:
    for node in (ir.node("Gather", [None, None], {"axis": 1}), ir.node("MatMul", [None, None])):
        with pytest.raises(ValueError, match="looks up no row 0"):
            set_padding_row(node, 0)


def test_what_training_loses_is_told() -> None:
    told: list[str] = []
    graphkit.load(Deviating(), inputs=["ids:2x4:int64"], warn=told.append)
    count = "does not divide gradients by how often a row is looked up (scale_grad_by_freq)"
    assert sorted((text.partition("× ")[2].partition(":")[0], text.rpartition("further, ")[2]) for text in told) == [
        ("aten.embedding", f"{count}."),
        ("aten.embedding_bag", f"{count}."),
        (
            "aten.embedding_renorm",
            "changes no row of the table whose norms are bounded (max_norm), and gives it no gradient.",
        ),
    ]
