"""Sizes stay free where torch's own functions would make numbers of them when they are traced."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

import graphkit
from graphkit.errors import InputError
from graphkit.frameworks.base import runtimes
from graphkit.parity.inputs import draw_inputs, guessed

torch = pytest.importorskip("torch")

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def agree(module: torch.nn.Module, spec: str, *shapes: Sequence[int]) -> None:
    """The model that is read with free sizes computes at each of some what the module does."""
    model = graphkit.load(module.eval(), inputs=[spec])
    assert not any(isinstance(size, int) for size in model.graph.inputs[0].shape or () if size != 3)
    with runtimes()["ort"].open(model) as session:
        for shape in shapes:
            x = torch.rand(shape)
            found = list(session.forward({model.graph.inputs[0].name or "": x.numpy()}).values())
            for array, expected in zip(found, module(x), strict=True):
                np.testing.assert_allclose(array, expected.detach().numpy(), rtol=1e-5, atol=1e-5)


def test_sequences_are_cut_pooled_and_masked() -> None:
    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.TransformerEncoderLayer(3, 1, 4, batch_first=True)

        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
            size, turned = x.size(1), x.transpose(1, 2)
            mask = torch.nn.Transformer.generate_square_subsequent_mask(size)
            pooled = torch.nn.functional.max_pool1d(turned, 3, 2, 1)
            largest = torch.nn.functional.max_pool1d(turned, size)
            ends = x.split([2, size - 4, 2], 1)
            return (*x.chunk(3, 1), *torch.tensor_split(x, 3, 1), *ends, pooled, largest, self.layer(x, src_mask=mask))

    agree(Net(), "x:?x?x3", (2, 8, 3), (1, 12, 3))


@pytest.mark.filterwarnings("ignore:.* computes something else for other sizes")
def test_a_stored_program_is_split_at_sizes_of_other_remainders(tmp_path: Path) -> None:
    class Net(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
            first, second, third = x.tensor_split(3, 1)
            return first, second.flatten(1), torch.cat([third * 2, first], 1)

    free = torch.export.Dim.DYNAMIC
    program = torch.export.export(Net(), (torch.ones(2, 8, 3),), dynamic_shapes=({0: free, 1: free},))
    torch.export.save(program, tmp_path / "p.pt2")
    model = graphkit.load(tmp_path / "p.pt2")
    for size in (2, 6, 7, 8):
        x = torch.rand(3, size, 3)
        with runtimes()["ort"].open(model) as session:
            found = session.forward({"x": x.numpy()}).values()
        for array, expected in zip(found, Net()(x), strict=True):
            np.testing.assert_allclose(array, expected.numpy(), rtol=1e-6)


def test_elements_are_repeated_as_often_as_a_free_size_says() -> None:
    class Net(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
            count = x.shape[1]
            return x.repeat_interleave(count, 2), x.repeat_interleave(count, 0), x.repeat_interleave(count)

    agree(Net(), "x:?x?x3", (2, 5, 3), (1, 4, 3))


def test_inputs_are_drawn_of_sizes_that_a_program_takes() -> None:
    sizes = {0: torch.export.Dim("many", min=5), 1: torch.export.Dim("few", max=16)}
    program = torch.export.export(torch.nn.Softmax(1), (torch.ones(6, 8),), dynamic_shapes=(sizes,))
    model = graphkit.load(program)
    assert [array.shape for array in draw_inputs(model).values()] == [(5, 16)]
    assert "graphkit chose 16 for them" in guessed(model)


def test_places_in_images_are_computed() -> None:
    class Net(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
            height, width = x.shape[-2:]
            line = torch.linspace(-1, 2, width)
            theta = torch.tensor([[[0.8, 0.1, 0.0], [-0.1, 0.9, 0.2]]]).expand(x.size(0), -1, -1)
            grids = [torch.nn.functional.affine_grid(theta, x.size(), align_corners=way) for way in (False, True)]
            even = x[..., : height // 2 * 2, : width // 2 * 2]
            return line, *grids, torch.nn.functional.pixel_unshuffle(even, 2)

    agree(Net(), "x:?x3x?x?", (2, 3, 5, 6), (1, 3, 8, 3))


@pytest.mark.filterwarnings("ignore:Since version 1.3.0, affine_grid behavior has changed")
def test_a_grid_of_one_row_has_its_middle() -> None:
    class Net(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
            return (torch.nn.functional.affine_grid(torch.eye(2, 3).unsqueeze(0), (1, 3, *x.shape[1:]), True),)

    agree(Net(), "x:3x?x?", (3, 1, 4), (3, 5, 2))


def test_integers_that_are_cut_off_are_not_computed_at_free_sizes() -> None:
    class Net(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + torch.linspace(0, 10, x.shape[1], dtype=torch.int64)

    with pytest.raises(InputError, match="Axis 1 of input 'x' cannot be left free"):
        graphkit.load(Net(), inputs=["x:?x?"])


class Halved(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        steps = int(x.shape[1])
        return x[:, : steps // 2]


def test_a_size_that_the_module_makes_a_number_of_is_named_with_its_line() -> None:
    with pytest.raises(InputError, match=r"Axis 1 of input 'x' .* Halved fixes it at \d+ \(test_free_capture\.py:\d+"):
        graphkit.load(Halved(), inputs=["x:?x?x4"])
