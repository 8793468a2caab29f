"""Lists, tuples and dictionaries of tensors as inputs: by dotted names and as examples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import nn

import graphkit
from graphkit.errors import InputError
from graphkit.frameworks.base import runtimes

if TYPE_CHECKING:
    from pathlib import Path

    import onnx_ir as ir


class Nested(nn.Module):
    def forward(
        self, features: list[torch.Tensor], pair: dict[str, torch.Tensor], *, scale: float = 1.0, shift: bool = True
    ) -> torch.Tensor:
        total = features[0] + 2 * features[1] - 3 * pair["left"] * pair["right"]
        return total * scale + (1 if shift else 0)


NAMES = ["features.0", "features.1", "pair.left", "pair.right"]
SPECS = [f"{name}:2x3" for name in NAMES]
EXAMPLE = ([torch.ones(2, 3)] * 2, {"left": torch.ones(2, 3), "right": torch.ones(2, 3)})


def result(model: ir.Model, on: str = "ort") -> Any:
    feeds = {name: np.full((4, 3), index + 1, np.float32) for index, name in enumerate(NAMES)}
    with runtimes()[on].open(model) as session:
        return session.forward({value.name or "": feeds[value.name or ""] for value in model.graph.inputs})["output"]


@pytest.mark.parametrize("on", ["torch", "ort", "mxnet"])
def test_inputs_within_lists_and_dictionaries_are_given_by_dotted_names(on: str) -> None:
    if runtimes()[on].missing():
        pytest.skip(f"{on} is not installed")
    model = graphkit.load(Nested(), inputs=SPECS)
    assert [value.name for value in model.graph.inputs] == NAMES
    np.testing.assert_array_equal(result(model, on), np.full((4, 3), 1 + 4 - 36 + 1))


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (EXAMPLE, -30),
        (dict(zip(("features", "pair"), EXAMPLE, strict=True)), -30),
        ({"features": EXAMPLE[0], "pair.left": (2, 3), "pair.right": "2x3", "scale": 2.0}, -61),
        ({"features": EXAMPLE[0], "pair": EXAMPLE[1], "shift": False}, -31),
    ],
)
def test_inputs_are_given_as_examples_by_position_and_by_name(given: Any, wanted: int) -> None:
    model = graphkit.load(Nested(), inputs=given)
    assert [value.name for value in model.graph.inputs] == NAMES
    np.testing.assert_array_equal(result(model), np.full((4, 3), wanted))


def test_examples_say_the_element_type() -> None:
    model = graphkit.load(nn.Embedding(5, 3), inputs=(torch.zeros(2, 4, dtype=torch.int64),))
    assert [str(value.dtype) for value in model.graph.inputs] == ["INT64"]
    model = graphkit.load(nn.Embedding(5, 3), inputs=(np.zeros((2, 4), np.int32),))
    assert [str(value.dtype) for value in model.graph.inputs] == ["INT32"]


def test_a_saved_program_calls_its_inputs_the_same(tmp_path: Path) -> None:
    torch.export.save(torch.export.export(Nested(), EXAMPLE), tmp_path / "nested.pt2")
    for read in (graphkit.load, graphkit.look):
        model = read(tmp_path / "nested.pt2", warn=lambda _message: None)
        assert [value.name for value in model.graph.inputs] == NAMES
    given = graphkit.load(tmp_path / "nested.pt2", inputs=["pair.left:2x3"], dynamic_batch=False)
    assert [value.name for value in given.graph.inputs] == NAMES


@pytest.mark.parametrize(
    ("specs", "message"),
    [
        (
            ["features.0:2x3", "features.2:2x3", *SPECS[2:]],
            r"'features' is given by its parts, but features\.1 is missing",
        ),
        ([*SPECS, "features.0:2x3"], r"'features\.0' is given twice"),
        ([*SPECS, "features:2x3"], "'features' of Nested is given both as a whole and by its parts"),
        ([*SPECS, "other.0:2x3"], r"no input 'other\.0'; its forward takes features, pair"),
    ],
)
def test_parts_that_do_not_make_an_argument_are_refused(specs: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        graphkit.load(Nested(), inputs=specs)


def test_what_is_no_example_is_refused() -> None:
    with pytest.raises(InputError, match="'features' is given as a object; give an array"):
        graphkit.load(Nested(), inputs={"features": object()})


def test_constants_are_arguments_of_modules_only(tmp_path: Path) -> None:
    graphkit.save(graphkit.load(nn.ReLU(), inputs=[(2, 3)]), tmp_path / "net.onnx", to="onnx")
    with pytest.raises(InputError, match="'input' is given as the constant True, which only a module of PyTorch's"):
        graphkit.load(tmp_path / "net.onnx", inputs={"input": True})
