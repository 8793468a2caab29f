"""Exported programs to be looked at, read without PyTorch."""

from __future__ import annotations

import io
import subprocess
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir
import pytest
import torch
from torch import nn

import graphkit
from graphkit.errors import InputError
from graphkit.frameworks.base import runtimes
from graphkit.frameworks.torch.program.read import read_bytes
from graphkit.ir.dims import dims_of
from graphkit.ir.family import family_of
from graphkit.ir.origin import origin_of, source_of
from graphkit.ir.params import kind_of, tied_names
from graphkit.ir.training import stops_gradient
from graphkit.ir.untranslated import conversion_of, untranslated
from graphkit.ir.view import nx_view
from tests.frameworks.torch.ages import saved
from tests.networks import NETWORKS, model

if TYPE_CHECKING:
    from pathlib import Path

# what torch says of itself while it exports and saves
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")

COMPUTE = {"convolution", "normalisation", "activation", "pooling", "matmul", "recurrent", "reduction"}


def looked(
    module: nn.Module | torch.export.ExportedProgram, *args: Any, raw: bool = False, shapes: Any = None, **kwargs: Any
) -> ir.Model:
    """A module as its exported program looks."""
    if isinstance(module, nn.Module):
        module = torch.export.export(module.eval(), args, kwargs, dynamic_shapes=shapes, strict=False)
    found = read_bytes(memoryview(saved(module)), "net.pt2", "net", raw=raw, warn=pytest.fail)
    assert found is not None
    return found


def kinds(found: ir.Model) -> list[str]:
    return [f"{node.domain}:{node.op_type}" if node.domain else node.op_type for node in found.graph]


def compute(found: ir.Model) -> Counter[Any]:
    """What the operators that compute are: type, attributes, shapes of their outputs."""
    return Counter(
        (
            node.op_type,
            tuple(sorted((name, str(attribute.value)) for name, attribute in node.attributes.items())),
            tuple(dims_of(value) for value in node.outputs),
        )
        for node in found.graph
        if family_of(node.op_type, node.domain) in COMPUTE
    )


def same_numbers(module: nn.Module, *args: torch.Tensor, shapes: Any = None) -> ir.Model:
    """A module's looks; those are run on ONNX Runtime, and give the module's numbers."""
    found = looked(module, *args, shapes=shapes)
    assert not any(node.domain.startswith("torch") for node in found.graph.all_nodes()), kinds(found)
    with torch.no_grad():
        expected = module(*args)
    expected = expected if isinstance(expected, tuple) else (expected,)
    with runtimes()["ort"].open(found) as session:
        names = [value.name or "" for value in found.graph.inputs]
        results = session.forward({name: arg.numpy() for name, arg in zip(names, args, strict=True)})
    for result, wanted in zip(results.values(), expected, strict=True):
        np.testing.assert_allclose(result, wanted.numpy(), rtol=1e-4, atol=1e-5)
    return found


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_look_as_they_are_converted(name: str) -> None:
    canonical = model(name)
    source = source_of(canonical)
    assert source is not None
    found = looked(source.handle)
    assert compute(found) == compute(canonical)
    assert [node.name for node in found.graph] == [node.name for node in canonical.graph]
    assert set(found.graph.initializers) >= {
        name for name, value in canonical.graph.initializers.items() if kind_of(value) != "constant"
    }
    for node, other in zip(found.graph, canonical.graph, strict=True):
        assert [dims_of(value) for value in node.outputs] == [dims_of(value) for value in other.outputs]
        assert origin_of(node).scope == origin_of(other).scope
        assert origin_of(node).line == origin_of(other).line


def test_nothing_of_torch_is_imported(tmp_path: Path) -> None:
    path = tmp_path / "lenet.pt2"
    source = source_of(model("lenet"))
    assert source is not None
    path.write_bytes(saved(source.handle))
    code = (
        "import sys\n"
        "sys.modules['torch'] = None\n"
        "import graphkit\n"
        "found = graphkit.look(sys.argv[1])\n"
        "print(*(node.op_type for node in found.graph))\n"
        "assert found.graph.initializers['conv1.weight'].const_value.numpy().shape == (6, 1, 5, 5)\n"
        "assert all(node.domain == 'torch.aten' for node in graphkit.look(sys.argv[1], raw=True).graph)\n"
        "try:\n    graphkit.look('tests.networks:LeNet')\n"
        "except graphkit.MissingError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert first.startswith("Conv Tanh MaxPool Conv Tanh MaxPool Reshape Gemm")
    assert "PyTorch" in second


class Attending(nn.Module):
    """A block of a transformer."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(11, 8)
        self.norm = nn.LayerNorm(8)
        self.qkv = nn.Linear(8, 24)
        self.out = nn.Linear(8, 8, bias=False)
        self.mlp = nn.Sequential(nn.Linear(8, 16), nn.GELU(approximate="tanh"), nn.Dropout(0.1), nn.Linear(16, 8))

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.embed(ids) + torch.arange(ids.shape[1]).unsqueeze(-1)
        q, k, v = self.qkv(self.norm(x)).view(*ids.shape, 3, 2, 4).permute(2, 0, 3, 1, 4).unbind()
        y = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(y.transpose(1, 2).reshape(*ids.shape, 8))
        return x + self.mlp(x)


def test_a_transformer_with_two_free_dimensions_computes_the_same() -> None:
    free = torch.export.Dim.DYNAMIC
    found = same_numbers(Attending(), torch.arange(10).reshape(2, 5), shapes=({0: free, 1: free},))
    assert dims_of(found.graph.inputs[0]) == ("batch", "ids_dim1")
    assert dims_of(found.graph.outputs[0]) == ("batch", "ids_dim1", 8)
    attention = next(node for node in found.graph if node.op_type == "Attention")
    assert attention.name == "scaled_dot_product_attention"
    assert attention.attributes["is_causal"].as_int() == 1


class Sequences(nn.Module):
    """Recurrent layers of all kinds, one over the other."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(5, 7, 2, batch_first=True, bidirectional=True)
        self.gru = nn.GRU(14, 3)
        self.rnn = nn.RNN(3, 4, bias=False, nonlinearity="relu")

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        y, (_, cell) = self.lstm(x)
        return self.rnn(self.gru(y)[0])[0], cell


def test_recurrent_layers_are_nodes_that_compute_the_same() -> None:
    torch.manual_seed(0)
    found = same_numbers(Sequences(), torch.randn(2, 6, 5))
    recurrent = [node for node in found.graph if node.op_type in ("LSTM", "GRU", "RNN")]
    assert [node.op_type for node in recurrent] == ["LSTM", "LSTM", "GRU", "RNN"]
    assert "lstm.weight_hh_l1_reverse" in found.graph.initializers


class Pointwise(nn.Module):
    """Operators whose element types and shapes are the point."""

    def forward(self, x: torch.Tensor, n: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return (
            x + n,
            n / 2,
            (n > 1.5) & (x < n),
            torch.where(n != 2, x, 0.5).clamp(min=0.1),
            n.float().mean(),
            n.sum(1, keepdim=True),
            x.max(1)[1],
            x.masked_fill(n > 2, float("-inf")).softmax(-1),
            torch.add(x, x, alpha=2),
            n.any(),
            x.std(1),
            x.norm(dim=1),
            torch.nn.functional.pad(x, (1, 2), value=3.0),
            x[:, ::2].flip(1),
            torch.stack([x, x], -1).flatten(1),
            nn.functional.interpolate(x[None, None], scale_factor=2.0, mode="bilinear"),
        )


def test_element_types_are_those_that_torch_promotes_to() -> None:
    torch.manual_seed(0)
    same_numbers(Pointwise(), torch.rand(3, 4), torch.arange(12).reshape(3, 4))


class Tied(nn.Module):
    """One weight under two names, and tensors of unusual types and strides."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(5, 4)
        self.head = nn.Linear(4, 5, bias=False)
        self.head.weight = self.embed.weight
        self.turned = nn.Parameter(torch.arange(6, dtype=torch.bfloat16).reshape(2, 3).t())
        self.register_buffer("wide", torch.ones(1, 1).expand(3, 4))
        self.register_buffer("hidden", torch.tensor(2.5), persistent=False)
        self.register_buffer("part", torch.arange(10.0)[3:7])
        self.register_buffer("turning", torch.tensor([1 + 2j, 3j]))
        self.register_buffer("tiny", torch.tensor([0.5, 2.0]).to(torch.float8_e4m3fn))

    def forward(self, ids: torch.Tensor) -> dict[str, Any]:
        x = self.head(self.embed(ids) * self.hidden + self.part)
        return {
            "logits": x,
            "more": [self.turned.float() @ self.wide[:2, :1], torch.view_as_real(self.turning * 2)],
            "small": self.tiny.float(),
        }


def test_tensors_are_told_as_the_file_holds_them() -> None:
    module = Tied()
    found = looked(module, torch.arange(3))
    tensors = found.graph.initializers
    weight = tensors["embed.weight"]
    assert "head.weight" not in tensors
    assert tied_names(weight) == ["head.weight"]
    assert {name: kind_of(value) for name, value in tensors.items() if "." in name or name in ("turned", "wide")} == {
        "embed.weight": "parameter"
    } | {"turned": "parameter", "wide": "buffer"} | {
        name: "constant" for name in tensors if "." in name and name != "embed.weight"
    }
    assert kind_of(tensors["hidden"]) == "buffer"
    for name in ("turned", "wide", "hidden", "part", "turning", "tiny"):
        held = tensors[name].const_value
        assert held is not None
        stored = getattr(module, name).detach()
        assert held.dtype.name.lower().replace("_", "") in (
            str(stored.dtype)[6:].replace("_", ""),
            "float",
        )
        if stored.dtype in (torch.bfloat16, torch.float8_e4m3fn):
            np.testing.assert_array_equal(held.numpy().astype(np.float32), stored.float().numpy())
        else:
            np.testing.assert_array_equal(held.numpy(), stored.numpy())
    assert [value.name for value in found.graph.outputs] == ["logits", "more_0", "more_1", "small"]


class Strange(nn.Module):
    """Operators that have no form of one node."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return torch.linalg.svdvals(x), x[x > 0], torch.unique_consecutive(x), torch.remainder(x, 2.0)


def test_operators_without_a_form_stay_and_say_why() -> None:
    found = looked(Strange(), torch.rand(3, 3))
    why = {node.op_type: untranslated(node) for node in found.graph if node.domain == "torch.aten"}
    assert why["unique_consecutive"].startswith("it is not converted: ")
    assert "several operators" in why["index.Tensor"]
    becomes = {node.op_type: conversion_of(node) for node in found.graph}
    assert becomes["unique_consecutive"] == "refused"
    assert becomes["index.Tensor"] == "made"
    assert becomes["remainder.Scalar"] == "made"
    assert all(clause and not clause.endswith(".") for clause in why.values())
    shown = nx_view(found)
    assert sum(bool(data.get("untranslated")) for _, data in shown.nodes(data=True)) == len(why)


class Choosing(nn.Module):
    """A branch, a loop, and a part without gradients."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        with torch.no_grad():
            y = torch.relu(self.fc(x))
        chosen = torch.cond(y.sum() > 0, lambda a: a.sin() + self.fc(a), lambda a: a.cos(), (y,))
        count, grown = torch.while_loop(lambda i, _: i < 3, lambda i, a: (i + 1, a * 2), (torch.tensor(0), chosen))
        return grown, count


def test_branches_and_loops_hold_their_graphs() -> None:
    found = looked(Choosing(), torch.ones(2, 4))
    chosen = next(node for node in found.graph if node.op_type == "If")
    assert [node.op_type for node in chosen.attributes["then_branch"].as_graph()][-1] == "Add"
    assert [node.op_type for node in chosen.attributes["else_branch"].as_graph()] == ["Cos"]
    loop = next(node for node in found.graph if node.domain == "torch.higher_order")
    bodies = {name: held.as_graph() for name, held in loop.attributes.items() if held.type == ir.AttributeType.GRAPH}
    assert sorted(node.op_type for body in bodies.values() for node in body) == ["Add", "Less", "Mul"]
    assert "Relu" in kinds(found)
    assert not any("wrap" in kind for kind in kinds(found))
    assert nx_view(found).number_of_nodes()
    raw = looked(Choosing(), torch.ones(2, 4), raw=True)
    assert "torch.higher_order:cond" in kinds(raw)
    assert nx_view(raw).number_of_nodes()


class Stopping(nn.Module):
    """A tensor that is detached, and one that is computed without gradients."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            scale = x.exp()
        return x.detach() * scale + x


def test_no_gradient_flows_through_what_is_detached() -> None:
    found = looked(Stopping(), torch.ones(3))
    stopped = [node for node in found.graph if stops_gradient(node)]
    assert sorted(origin_of(node).op.partition(".")[0] for node in stopped) == ["aten", "higher_order"]
    assert not any(node.op_type == "Identity" for node in found.graph if node not in stopped)


class Writing(nn.Module):
    """A buffer that is written, in training mode's BatchNorm and by itself, and a view that is written."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(4)
        self.register_buffer("count", torch.zeros(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.count.add_(1)
        y = torch.relu_(self.norm(x).clone())
        y[:, 0].mul_(2)
        return y


def test_buffers_that_are_written_are_no_outputs() -> None:
    program = torch.export.export(Writing().train(), (torch.ones(2, 4),))
    for each in (program, program.run_decompositions()):
        found = looked(each)
        assert [value.name for value in found.graph.outputs] == ["output"]
        norm = next(node for node in found.graph if node.op_type == "BatchNormalization")
        assert [value.name for value in norm.inputs[1:] if value is not None] == [
            "norm.weight", "norm.bias", "norm.running_mean", "norm.running_var"
        ]  # fmt: skip
        assert "norm.num_batches_tracked" not in found.graph.initializers
    written = [node for node in looked(program).graph if node.op_type.startswith("mul_")]
    assert len(written) == 1
    assert "in place" in untranslated(written[0])


class Caching(nn.Module):
    """A buffer that is written and read, as caches are."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("cache", torch.zeros(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.cache[:2].copy_(x)
        return self.cache * 2


def test_writes_to_buffers_that_are_read_are_shown() -> None:
    program = torch.export.export(Caching(), (torch.ones(2),))
    assert "torch.aten:copy_" in kinds(looked(program))
    functional = looked(program.run_decompositions())
    assert [value.name for value in functional.graph.outputs] == ["output"]
    assert kinds(functional) == ["Slice", "Concat", "Mul"]


class Counting(nn.Module):
    """Sizes that depend on data, and sizes that are computed from sizes."""

    def forward(self, x: torch.Tensor, n: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, int]:
        count = n.item()
        torch._check(count >= 2)
        torch._check(count < 100)
        return torch.zeros(count, 3), x.reshape(x.shape[0] * 2, -1) + x.shape[0] // 2, x.shape[0] + 1


def test_sizes_that_are_computed_are_named_and_those_of_data_read_their_node() -> None:
    free = torch.export.Dim.DYNAMIC
    found = looked(Counting(), torch.ones(6, 4), torch.tensor(3), shapes=({0: free}, None))
    shapes = [dims_of(value) for value in found.graph.outputs]
    assert shapes[0] == ("u0", 3)
    assert shapes[1] == ("2*batch", 2)
    item = next(node for node in found.graph if node.op_type == "item")
    assert item.outputs[0].uses()
    assert not any("assert" in node.op_type or "sym" in node.op_type for node in found.graph)
    raw = looked(Counting(), torch.ones(6, 4), torch.tensor(3), shapes=({0: free}, None), raw=True)
    assert any(node.op_type == "sym_size.int" for node in raw.graph)
    assert any(node.domain == "torch.operator" for node in raw.graph)


def test_raw_programs_hold_every_node_as_the_file_spells_it() -> None:
    module = nn.Sequential(nn.Linear(4, 3), nn.Flatten(), nn.Dropout(0.5)).eval()
    shapes = {"input": {0: torch.export.Dim.DYNAMIC}}
    program = torch.export.export(module, (torch.ones(2, 4),), dynamic_shapes=shapes)
    found = looked(program, raw=True)
    called = [node.name for node in program.graph.nodes if node.op == "call_function"]
    assert [node.name for node in found.graph] == called
    assert {node.domain for node in found.graph} == {"torch.aten"}
    linear = next(node for node in found.graph if node.op_type == "linear")
    assert [value.name for value in linear.inputs if value is not None] == ["input", "0.weight", "0.bias"]
    dropout = next(node for node in found.graph if node.op_type == "dropout")
    assert dropout.attributes["p"].as_float() == 0.5
    assert origin_of(dropout).op == "aten.dropout.default"
    assert not any(untranslated(node) for node in found.graph)


def test_modules_look_as_they_are_converted_and_what_cannot_be_stays_pytorchs() -> None:
    module = nn.Sequential(nn.Linear(4, 3), nn.ReLU())
    assert kinds(graphkit.look(module, inputs=["2x4"])) == ["Gemm", "Relu"]

    class Unknown(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.special.i0(x).relu()

    found = graphkit.look(Unknown(), inputs=["2x4"])
    assert kinds(found) == ["torch.aten:special_i0", "Relu"]
    assert "torch.aten:relu" in kinds(graphkit.look(Unknown(), inputs=["2x4"], raw=True))


def test_given_inputs_must_be_those_of_the_program(tmp_path: Path) -> None:
    path = tmp_path / "net.pt2"
    path.write_bytes(saved(torch.export.export(nn.Linear(4, 3), (torch.ones(2, 4),))))
    assert graphkit.look(path, inputs=["input:8x4"]).graph
    with pytest.raises(InputError, match="no input 'image'"):
        graphkit.look(path, inputs=["image:8x4"])
    with pytest.raises(InputError, match="has shape 2×4"):
        graphkit.look(path, inputs=["8x5"])


def test_programs_of_custom_classes_are_told_by_their_keys() -> None:
    buffer = io.BytesIO()
    torch.export.save(torch.export.export(nn.Identity(), (torch.ones(1),)), buffer)
    found = read_bytes(memoryview(buffer.getvalue()), "x", "x", raw=False, warn=pytest.fail)
    assert found is not None
    assert kinds(found) == ["Identity"]
