"""What shares memory in a graph, and what may be copied without anyone seeing it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir
import pytest
import torch
from torch import Tensor, nn

import graphkit
from graphkit.frameworks.base import runtimes
from graphkit.frameworks.feeds import inner_tensors
from graphkit.frameworks.torch.aliasing import Sharing
from graphkit.parity.inputs import draw_seeds
from graphkit.passes.cast_floats import cast_floats

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Written(nn.Module):
    """A view that is written to while what it is a view of is read again."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        base = x * 2
        part = base[:, :2]
        part.relu_()
        return base + 1, part * 3


class Chained(nn.Module):
    """A view that is written to twice; nothing else reads its memory afterwards."""

    def forward(self, x: Tensor) -> Tensor:
        flat = torch.flatten(torch.sin(x).reshape(2, 2, 2), 1)
        flat.mul_(2)
        flat.tanh_()
        return flat * flat


class Same(nn.Module):
    """Operators that hand their input on, which others read too."""

    def __init__(self) -> None:
        super().__init__()
        self.drop = nn.Dropout(0.5)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.exp(x)
        return self.drop(y) * y.contiguous() + torch.sin(y)


class Made(nn.Module):
    """A tensor made of nothing that is filled by parts, and a buffer that is written to."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("held", torch.ones(2, 4))

    def forward(self, x: Tensor) -> Tensor:
        made = torch.zeros(2, 4, dtype=x.dtype)
        made[:, :2] = x[:, 2:]
        self.held.add_(x.detach())
        return made * made + self.held * x


def names(graph: torch.fx.Graph, keep: Callable[[torch.fx.Node], bool]) -> set[str]:
    return {node.name for node in graph.nodes if node.op == "call_function" and keep(node)}


def graph_of(module: nn.Module) -> torch.fx.Graph:
    program = torch.export.export(module.eval(), (torch.ones(2, 4),))
    found: Any = program.module(check_guards=False)
    return found.graph


def test_a_written_view_is_not_apart_from_what_is_read_again() -> None:
    graph = graph_of(Written())
    sharing = Sharing(graph)
    kinds = {node.name: str(node.target) for node in graph.nodes if node.op == "call_function"}
    apart = {kinds[name] for name in names(graph, sharing.is_apart)}
    shared = {kinds[name] for name in names(graph, lambda node: not sharing.is_apart(node))}
    assert "aten.relu_.default" in shared
    assert "aten.slice.Tensor" in shared
    assert {"aten.mul.Tensor", "aten.add.Tensor"} <= apart


def test_a_view_that_alone_is_read_afterwards_is_apart() -> None:
    graph = graph_of(Chained())
    sharing = Sharing(graph)
    written = names(graph, sharing.is_written)
    assert all(sharing.is_apart(node) for node in graph.nodes if node.name in written)
    assert {str(node.target) for node in graph.nodes if node.name in written} >= {"aten.flatten.using_ints"}
    assert not any(sharing.is_written(node) for node in graph_of(Same()).nodes)


@pytest.mark.parametrize("build", [Written, Chained, Same, Made])
@pytest.mark.parametrize("mode", ["eval", "train-no-dropout"])
def test_marks_change_nothing_and_give_the_gradients_of_the_source(build: Any, mode: Any) -> None:
    program = torch.export.export(build().eval(), (torch.ones(2, 4),))
    model = cast_floats(graphkit.load(program, warn=lambda _message: None), "float64")
    inner = inner_tensors(model)
    feeds = {model.graph.inputs[0].name or "": np.random.default_rng(0).standard_normal((2, 4))}
    found = []
    for native in (True, False):
        with runtimes()["torch"].open(model, mode=mode, native=native) as session:
            outputs = session.forward(feeds)
            taps = [name for name in inner if name in session.tappable and inner[name].dtype != ir.DataType.INT64]
            assert taps
            gradients = session.backward(feeds, draw_seeds(outputs), taps)
            for name, gradient in session.backward(feeds, draw_seeds(outputs)).items():
                np.testing.assert_array_equal(gradients[name], gradient, err_msg=name)
            found.append(session.forward(feeds, taps) | {f"gradient of {k}": v for k, v in gradients.items()})
    both = found[0].keys() & found[1].keys()
    assert len(both) > 2 * len(model.graph.outputs)
    for name in both:
        np.testing.assert_allclose(found[1][name], found[0][name], rtol=0, atol=1e-12, err_msg=name)


@pytest.mark.filterwarnings("ignore:`isinstance.treespec, LeafSpec.:FutureWarning")  # torch's own export does that
def test_attention_is_read_after_torch_exported_it_with_another_kernel(tmp_path: Path) -> None:
    """PyTorch remembers the strides that its fused kernel gave."""

    class Attends(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            heads = x.view(2, 16, 2, 8).transpose(1, 2)
            mixed = nn.functional.scaled_dot_product_attention(heads, heads, heads)
            return mixed.transpose(1, 2).reshape(2, 16, 16).contiguous()

    program = torch.export.export(Attends(), (torch.ones(2, 16, 16),), strict=False)
    torch.onnx.export(program, f=tmp_path / "theirs.onnx", dynamo=True, verbose=False)
    assert any(node.op_type == "Attention" for node in graphkit.load(program, dynamic_batch=False).graph)
