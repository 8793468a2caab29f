"""Costs by node: in total, by keys of a view, and as overlays."""

from __future__ import annotations

import pytest

import graphkit
from graphkit.inspecting.cost.costs import costs
from graphkit.inspecting.cost.overlays import by_key, overlays
from graphkit.ir.view import nx_view

torch = pytest.importorskip("torch")

from networks import model  # noqa: E402  # it needs torch


def test_overlays_have_the_keys_of_the_view_and_the_numbers_of_the_nodes() -> None:
    read = model("lenet")
    view = nx_view(read)
    found = costs(read)
    keyed = by_key(found, read, view)
    assert list(keyed) == [key for key, kind in view.nodes(data="kind") if kind == "operator"]
    assert all(view.nodes[key]["op"] == cost.node.op_type for key, cost in keyed.items())
    made = {overlay.title: overlay for overlay in overlays(read, view)}
    assert list(made) == ["FLOPs", "FLOPs of the backward pass", "Activations", "Parameters"]
    convolutions = [key for key, data in view.nodes(data=True) if data.get("op") == "Conv"]
    assert [made["FLOPs"].marks[key].value for key in convolutions] == [2 * 25 * 6 * 784, 2 * 150 * 16 * 100]
    assert made["FLOPs"].marks[convolutions[0]].told == ("FLOPs: 235 kFLOPs × batch",)
    assert made["FLOPs"].note == "for batch = 1"
    assert made["Parameters"].marks[convolutions[0]].value == 4 * (25 * 6 + 6)
    twice = {overlay.title: overlay for overlay in overlays(read, view, {"batch": 2})}
    assert twice["FLOPs"].marks[convolutions[0]].value == 2 * 2 * 25 * 6 * 784
    assert twice["FLOPs"].note == ""


def test_the_exact_count_of_grouped_gradients_is_told_beside_pytorchs() -> None:
    net = torch.nn.Sequential(torch.nn.Conv2d(4, 4, 1), torch.nn.Conv2d(4, 4, 3, groups=4))
    read = graphkit.load(net.eval(), inputs=["1x4x5x5"], dynamic_batch=False)
    assert costs(read).overcounted
    backward = overlays(read, nx_view(read))[1]
    plain, grouped = backward.marks.values()
    assert plain.told == ("FLOPs of the backward pass: 800 FLOPs",)
    assert [line[:30] for line in grouped.told] == ["FLOPs of the backward pass: 3.", "computed are 1.30 kFLOPs: PyTo"]
    assert not costs(model("lenet")).overcounted


def test_keys_of_nodes_inside_bodies_are_those_of_the_view() -> None:
    class Choosing(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(3, 4))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.cond(x.sum() > 0, lambda x, w: x @ w, lambda x, w: (x * 2) @ w, (x, self.weight))

    read = graphkit.load(Choosing().eval(), inputs=["2x3"], dynamic_batch=False)
    view = nx_view(read)
    keyed = by_key(costs(read), read, view)
    assert all(view.nodes[key]["op"] == cost.node.op_type for key, cost in keyed.items())
    branch = next(key for key, cost in keyed.items() if cost.node.op_type == "If")
    assert keyed[branch].macs == 24
    assert keyed[branch].backward == 24
    assert sum(cost.node.op_type == "MatMul" for cost in keyed.values()) == 2
