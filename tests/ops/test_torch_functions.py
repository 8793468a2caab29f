"""The functions that torch lacks, where their inputs are empty, and beside other names."""

from __future__ import annotations

import ast
from typing import Any

import numpy as np
import pytest
from torchtext import model_of

from graphkit.frameworks.base import runtimes
from graphkit.frameworks.torch.source.program import to_program
from graphkit.frameworks.torch.source.write import to_source
from graphkit.ops.torchfunctions import FUNCTIONS


def function(name: str) -> Any:
    torch = pytest.importorskip("torch")
    scope: dict[str, Any] = {"torch": torch}
    exec(FUNCTIONS[name], scope)
    return scope[name]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_is_written_as_black_would_and_reads_names_of_torch_alone(name: str) -> None:
    import builtins

    import black

    source = FUNCTIONS[name]
    assert black.format_str(source, mode=black.Mode(line_length=88)).strip() == source.strip()
    tree = ast.parse(source)
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    bound = {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    bound |= {node.id for node in names if isinstance(node.ctx, ast.Store)}
    assert max(map(len, source.splitlines())) <= 88
    assert {node.id for node in names} - bound - set(dir(builtins)) <= {"torch"}


def test_no_box_stays_where_none_may() -> None:
    torch = pytest.importorskip("torch")
    boxes, scores = torch.rand(2, 5, 4), torch.rand(2, 3, 5)
    suppress = function("non_max_suppression")
    for options in ({"most": 0}, {"most": 5, "lowest": 2.0}):
        found = suppress(boxes, scores, **options)
        assert found.shape == (0, 3)
        assert found.dtype == torch.int64


def test_thresholds_may_be_tensors() -> None:
    torch = pytest.importorskip("torch")
    boxes = torch.tensor([[[0.0, 0.0, 1.0, 1.0], [0.0, 0.1, 1.0, 1.1], [0.0, 2.0, 1.0, 3.0]]])
    scores = torch.tensor([[[0.5, 0.9, 0.3]]])
    suppress = function("non_max_suppression")
    found = suppress(boxes, scores, torch.tensor([5]), torch.tensor([0.5]), torch.tensor([0.2]))
    assert found.tolist() == [[0, 0, 1], [0, 0, 2]]


@pytest.mark.parametrize("samples", [0, 2])
def test_no_regions_are_pooled_to_nothing(samples: int) -> None:
    torch = pytest.importorskip("torch")
    x = torch.rand(1, 3, 4, 5)
    images = torch.zeros(0, dtype=torch.int64)
    assert function("roi_align")(x, torch.zeros(0, 4), images, (2, 3), samples=samples).shape == (0, 3, 2, 3)
    assert function("roi_max_pool")(x, torch.zeros(0, 5), (2, 3)).shape == (0, 3, 2, 3)


def test_a_function_stands_above_the_classes_and_no_variable_hides_it() -> None:
    body = "roi_max_pool = MaxRoiPool <pooled_shape = [2, 2]> (x, r) y = Relu (roi_max_pool)"
    model = model_of("float[1, 2, 4, 4] x, float[1, 5] r", "float[1, 2, 2, 2] y", body)
    text = to_source(to_program(model), "net").text
    assert text.count("def roi_max_pool(") == 1
    assert text.index("def roi_max_pool(") < text.index("class Net(")
    assert "non_max_suppression" not in text
    feeds = {"x": np.arange(32, dtype=np.float32).reshape(1, 2, 4, 4), "r": np.asarray([[0, 0, 0, 3, 3]], np.float32)}
    with runtimes()["torch"].open(model, native=False) as session:
        assert session.forward(feeds)["y"].ravel().tolist() == [5, 7, 13, 15, 21, 23, 29, 31]
