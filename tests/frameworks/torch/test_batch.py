"""The batch stays free where the module allows it, and the user is told where it does not."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import graphkit
from graphkit.errors import InputError
from graphkit.frameworks.base import runtimes

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402 -- after the check that there is one

if TYPE_CHECKING:
    import onnx_ir as ir

HERE = Path(__file__).name


class Flattens(nn.Module):
    """Takes its batch from the input, in three ways."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 3, padding=1)
        self.fc = nn.Linear(64, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv(x)
        x = x.reshape(x.shape[0], 4, -1).transpose(1, 2)
        return self.fc(x.reshape(x.size(0), 64)) + x.new_zeros(x.shape[0], 5)


class FixesBatch(Flattens):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.conv(x).view(2, -1))


class Mixes(nn.Module):
    """Every output depends on all samples of the batch."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x - x.mean(0)


def read(source: Any, *inputs: str, **options: Any) -> tuple[ir.Model, list[str]]:
    told: list[str] = []
    return graphkit.load(source, inputs=inputs, warn=told.append, **options), told


def shape(model: ir.Model, index: int = 0) -> list[str]:
    return [str(dim) for dim in model.graph.inputs[index].shape or ()]


def agrees(model: ir.Model, module: nn.Module, *xs: torch.Tensor) -> bool:
    feeds = {value.name or "": x.numpy() for value, x in zip(model.graph.inputs, xs, strict=True)}
    with torch.no_grad():
        wanted = module(*xs).numpy()
    found = []
    for name in ("ort", "torch"):
        with runtimes()[name].open(model) as session:
            found.append(session.forward(feeds)[model.graph.outputs[0].name or ""])
    return all(np.allclose(one, wanted, atol=1e-5) for one in found)


@pytest.mark.parametrize("batch", ["1", "2", "5", "?"])
def test_a_module_gets_a_free_batch_whatever_batch_was_given(batch: str) -> None:
    module = Flattens().eval()
    model, told = read(module, f"{batch}x2x4x4")
    assert told == []
    assert shape(model) == ["batch", "2", "4", "4"]
    assert all(agrees(model, module, torch.randn(size, 2, 4, 4)) for size in (1, 3))


def test_a_module_that_fixes_its_batch_keeps_it_and_the_line_is_named() -> None:
    module = FixesBatch().eval()
    model, told = read(module, "2x2x4x4")
    assert shape(model) == ["2", "2", "4", "4"]
    assert len(told) == 1
    assert "stays 2" in told[0]
    assert HERE in told[0]
    assert agrees(model, module, torch.randn(2, 2, 4, 4))


def test_the_batch_is_fixed_on_demand() -> None:
    model, told = read(Flattens().eval(), "3x2x4x4", dynamic_batch=False)
    assert (shape(model), told) == (["3", "2", "4", "4"], [])


def test_other_dimensions_are_free_where_asked_for() -> None:
    module = nn.Conv2d(2, 3, 3).eval()
    model, told = read(module, "1x2x?x?")
    assert told == []
    assert shape(model) == ["batch", "2", "input_dim2", "input_dim3"]
    assert agrees(model, module, torch.randn(2, 2, 9, 11))


def test_a_dimension_that_cannot_be_free_is_refused_with_the_reason() -> None:
    with pytest.raises(InputError, match="cannot capture Flattens"):
        read(Flattens().eval(), "1x2x?x?")


class Pair(nn.Module):
    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return x + y


class Queries(nn.Module):
    """Its second input is no batch, though it may be as long."""

    def forward(self, x: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
        return x @ table.reshape(2, 3).T


def test_inputs_share_the_batch() -> None:
    model, told = read(Pair(), "1x3", "1x3")
    assert (shape(model), shape(model, 1), told) == (["batch", "3"], ["batch", "3"], [])
    assert agrees(model, Pair(), torch.randn(4, 3), torch.randn(4, 3))


def test_an_input_of_another_first_dimension_keeps_it() -> None:
    model, told = read(Pair(), "4x3", "1x3")
    assert (shape(model), shape(model, 1), told) == (["batch", "3"], ["1", "3"], [])


def test_an_input_whose_first_dimension_only_happens_to_be_the_batch_keeps_it() -> None:
    model, told = read(Queries(), "2x3", "2x3")
    assert (shape(model), shape(model, 1)) == (["batch", "3"], ["2", "3"])
    assert len(told) == 1
    assert agrees(model, Queries(), torch.randn(5, 3), torch.randn(2, 3))


@pytest.mark.parametrize("batch", [1, 2, 8])
@pytest.mark.parametrize("kind", [Flattens, nn.BatchNorm2d, nn.AdaptiveAvgPool2d])
def test_a_program_exported_with_a_fixed_batch_is_freed(kind: type[nn.Module], batch: int) -> None:
    module = (kind() if kind is Flattens else kind(2)).eval()
    x = torch.randn(batch, 2, 4, 4)
    model, told = read(torch.export.export(module, (x,)))
    assert len(told) == 1
    assert f"exported as {batch}, is free" in told[0]
    assert shape(model) == ["batch", "2", "4", "4"]
    assert all(agrees(model, module, torch.randn(size, 2, 4, 4)) for size in (1, batch, 3))


def test_a_program_whose_samples_depend_on_each_other_is_not_freed() -> None:
    model, told = read(torch.export.export(Mixes(), (torch.randn(3, 2),)))
    assert shape(model) == ["3", "2"]
    assert len(told) == 1
    assert "stays 3" in told[0]
    assert "Dim.DYNAMIC" in told[0]


def test_a_program_is_read_as_it_is_where_a_fixed_batch_is_wanted() -> None:
    free = torch.export.export(
        Flattens().eval(), (torch.randn(2, 2, 4, 4),), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},)
    )
    model, told = read(free, "5x2x4x4", dynamic_batch=False)
    assert (shape(model), told) == (["5", "2", "4", "4"], [])
    fixed = torch.export.export(Flattens().eval(), (torch.randn(2, 2, 4, 4),))
    assert shape(read(fixed, dynamic_batch=False)[0]) == ["2", "2", "4", "4"]
    with pytest.raises(InputError, match="2x2x4x4, not 5x2x4x4"):
        read(fixed, "5x2x4x4", dynamic_batch=False)


class Keywords(nn.Module):
    def forward(self, x: torch.Tensor, scale: float = 2.0, *, shift: torch.Tensor | None = None) -> torch.Tensor:
        return x * scale if shift is None else x * scale + shift


def test_defaults_may_be_left_out_and_keywords_given() -> None:
    model, _ = read(Keywords(), "x:1x3", "shift:1x3")
    assert [value.name for value in model.graph.inputs] == ["x", "shift"]
    assert len(read(Keywords(), "1x3")[0].graph.inputs) == 1


class Bags(nn.Module):
    def forward(self, bag: dict[str, torch.Tensor], *more: torch.Tensor) -> torch.Tensor:
        return bag["a"] + bag["b"] + sum(more)


def test_nested_inputs_of_a_program_are_freed_as_well() -> None:
    args = ({"a": torch.randn(2, 3), "b": torch.randn(2, 3)}, torch.randn(2, 3))
    model, _ = read(torch.export.export(Bags(), args))
    assert [shape(model, index) for index in range(3)] == [["batch", "3"]] * 3


class Causal(nn.Module):
    """Has a table of as many places as free lengths are usually traced with, or of fewer."""

    def __init__(self, places: int) -> None:
        super().__init__()
        self.register_buffer("mask", torch.ones(places, places).tril())

    def forward(self, scores: torch.Tensor) -> torch.Tensor:
        length = scores.shape[1]
        return scores.masked_fill(self.mask[:length, :length] == 0, -1.0)


@pytest.mark.parametrize("places", [64, 30, 8])
def test_a_free_length_is_traced_with_a_size_that_the_module_has_room_for(places: int) -> None:
    model, told = read(Causal(places), "?x?x?")
    assert (shape(model)[0], told) == ("batch", [])
    assert "64" not in shape(model)
