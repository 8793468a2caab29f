"""Rows that are looked up in bags, and values that meet where they are put."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import nn

import graphkit
from graphkit.frameworks.base import runtimes
from graphkit.passes.cast_floats import cast_floats

if TYPE_CHECKING:
    from pathlib import Path

    import onnx_ir as ir

IDS, BEGINS = np.array([1, 4, 4, 2, 0, 3, 7]), np.array([0, 3, 3, 5])


def expect_torchs_numbers(network: nn.Module, model: ir.Model, feeds: dict[str, np.ndarray]) -> None:
    double = cast_floats(model, "float64")
    network.double()
    given = [torch.tensor(array, requires_grad=array.dtype == np.float64) for array in feeds.values()]
    wanted = network(*given)
    seed = np.cos(np.arange(wanted.numel())).reshape(wanted.shape)
    wanted.backward(torch.tensor(seed))
    expected = {name: tensor.grad for name, tensor in zip(feeds, given, strict=True) if tensor.requires_grad}
    expected |= {name: parameter.grad for name, parameter in network.named_parameters()}
    with runtimes()["torch"].open(double, native=False) as session:
        ((name, found),) = session.forward(feeds).items()
        gradients = session.backward(feeds, {name: seed})
    np.testing.assert_allclose(found, wanted.detach().numpy(), atol=1e-12)
    for key, right in expected.items():
        np.testing.assert_allclose(gradients[key], right.numpy(), atol=1e-12)


class Bags(nn.Module):
    """Bags that begin at offsets."""

    def __init__(self, **options: Any) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.bags = nn.EmbeddingBag(9, 3, **options)

    def forward(self, ids: torch.Tensor, begins: torch.Tensor, shares: torch.Tensor | None = None) -> torch.Tensor:
        found: torch.Tensor = self.bags(ids, begins, shares)
        return found


@pytest.mark.parametrize(
    ("options", "begins"),
    [
        ({"mode": "mean"}, BEGINS),
        ({"mode": "sum", "padding_idx": 0, "include_last_offset": True}, np.append(BEGINS, 7)),
        ({"mode": "max", "padding_idx": 4}, BEGINS),
    ],
    ids=["mean", "sum", "max"],
)
def test_bags_of_different_sizes_hold_what_torch_puts_in_them(options: dict[str, Any], begins: np.ndarray) -> None:
    network = Bags(**options)
    sizes = ("?", "?") if "include_last_offset" not in options else (7, 5)  # torch asks whether there is an end
    model = graphkit.load(network, inputs=[f"ids:{sizes[0]}:int64", f"begins:{sizes[1]}:int64"], dynamic_batch=False)
    expect_torchs_numbers(network, model, {"ids": IDS, "begins": begins})


def test_rows_in_bags_have_shares() -> None:
    network = Bags(mode="sum")
    model = graphkit.load(network, inputs=["ids:7:int64", "begins:4:int64", "shares:7"], dynamic_batch=False)
    shares = np.random.default_rng(0).standard_normal(7)
    expect_torchs_numbers(network, model, {"ids": IDS, "begins": BEGINS, "shares": shares})


@pytest.mark.mxnet
def test_a_row_that_is_largest_twice_gets_its_gradient_once() -> None:
    model = graphkit.load(Bags(mode="max"), inputs=["ids:7:int64", "begins:4:int64"], dynamic_batch=False)
    feeds = {"ids": IDS, "begins": BEGINS}
    found = []
    for name in ("torch", "mxnet"):
        with runtimes()[name].open(model) as session:
            ((output, y),) = session.forward(feeds).items()
            found.append(session.backward(feeds, {output: np.ones_like(y)})["bags.weight"])
    np.testing.assert_allclose(found[1], found[0])
    assert found[0][4].max() == 1


class Met(nn.Module):
    """What meets at a place."""

    def __init__(self, reduce: str, alone: bool) -> None:
        super().__init__()
        self.reduce, self.alone = reduce, alone

    def forward(self, x: torch.Tensor, places: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return x.scatter_reduce(1, places, y, self.reduce, include_self=not self.alone)


@pytest.mark.parametrize("alone", [False, True])
@pytest.mark.parametrize("reduce", ["mean", "amax"])
def test_what_meets_at_a_place_is_reduced_with_or_without_what_was_there(reduce: str, alone: bool) -> None:
    network = Met(reduce, alone)
    model = graphkit.load(network, inputs=["x:?x4", "places:?x5:int64", "y:?x5"])
    rng = np.random.default_rng(0)
    feeds = {
        "x": rng.standard_normal((3, 4)),
        "places": rng.integers(0, 3, (3, 5)),
        "y": rng.standard_normal((3, 5)),
    }
    expect_torchs_numbers(network, model, feeds)


class Pictured(nn.Module):
    """A text in which embedded pictures take the places that are marked for them, as many as there are."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.words, self.pictures = nn.Embedding(10, 4), nn.Linear(3, 4)

    def forward(self, ids: torch.Tensor, pictures: torch.Tensor) -> torch.Tensor:
        text, embedded = self.words(ids), self.pictures(pictures)
        marked = text.masked_scatter((ids == 9).unsqueeze(-1).expand_as(text), embedded)
        return marked.masked_scatter((ids > 7).unsqueeze(-1), torch.cat([embedded, embedded]))


@pytest.mark.mxnet
def test_pictures_come_where_they_are_marked_at_free_sizes_in_every_runtime() -> None:
    network = Pictured()
    model = graphkit.load(network, inputs=["ids:?x5:int64", "pictures:?x3"])
    for ids in ([[9, 1, 8, 9, 3], [1, 2, 3, 9, 8]], [[0, 9, 9, 9, 9]], [[1, 2, 3, 4, 5]] * 3):
        feeds = {"ids": np.array(ids), "pictures": np.cos(np.arange(15.0)).reshape(5, 3)}
        expect_torchs_numbers(network, model, feeds)
        double, wanted = cast_floats(model, "float64"), network(*map(torch.tensor, feeds.values()))
        for runtime in ("ort", "mxnet"):
            with runtimes()[runtime].open(double) as session:
                (found,) = session.forward(feeds).values()
            np.testing.assert_allclose(found, wanted.detach().numpy(), atol=1e-12)
        network.zero_grad()


@pytest.mark.parametrize("order", [0.5, 1.5, 3])
def test_gradients_of_norms_are_torchs_at_zero(order: float) -> None:
    class Lengths(nn.Module):
        def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            return torch.linalg.vector_norm(x, order, 1, keepdim=True) + torch.cdist(x, y, order)

    x, y = np.array([[0.0, 0, 0], [1, 0, -2]]), np.array([[0.0, 0, 0], [1, 2, -2]])
    model = graphkit.load(Lengths(), inputs=["x:2x3", "y:2x3"])
    expect_torchs_numbers(Lengths(), model, {"x": x, "y": y})


@pytest.mark.parametrize("dtype", ["bool", "float32"])
def test_a_symbol_of_a_model_that_takes_a_mask_takes_truths_and_numbers(dtype: str, tmp_path: Path) -> None:
    class Hides(nn.Module):
        def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            return x.masked_fill(~mask, 0.0) + torch.where(mask, x, 2.0)

    graphkit.save(graphkit.load(Hides(), inputs=["x:2x3", "mask:2x3:bool"]), tmp_path / "net", to="mxnet")
    model = graphkit.load(tmp_path / "net-symbol.json", inputs=["x:2x3", f"mask:2x3:{dtype}"])
    x, mask = np.arange(1.0, 7, dtype=np.float32).reshape(2, 3), np.array([[True, False, True], [False, False, True]])
    with runtimes()["ort"].open(model) as session:
        (found,) = session.forward({"x": x, "mask": mask.astype(dtype)}).values()
    np.testing.assert_array_equal(found, np.where(mask, x * 2, 2))
