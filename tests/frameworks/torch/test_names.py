"""Names are those of the user's code: modules, parameters, inputs, and the keys of outputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import graphkit
from graphkit.frameworks.base import runtimes
from graphkit.ir.origin import origin_of, source_of
from graphkit.ir.params import kind_of

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402 -- after the check that there is one


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.relu(self.conv(x) + x)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(Block(), Block())
        self.act = nn.GELU()
        self.head = nn.Linear(3, 4)
        self.register_buffer("offset", torch.tensor([0.1, 0.2, 0.3]).reshape(3, 1, 1), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.act(self.act(self.layers(x - self.offset)))
        return self.head(x.mean((2, 3)).clamp(min=0.25))


@pytest.fixture(scope="module")
def model() -> Any:
    return graphkit.load(Net().eval(), inputs=["1x3x8x8"])


def test_nodes_are_called_like_the_modules_that_compute_them(model: Any) -> None:
    assert [node.name for node in model.graph] == [
        "sub",
        *("layers.0.conv", "layers.0.add", "layers.0.relu"),
        *("layers.1.conv", "layers.1.add", "layers.1.relu"),
        *("act", "act_1", "mean", "clamp", "head"),
    ]


def test_values_are_called_like_their_nodes_and_constants_like_their_use(model: Any) -> None:
    for node in list(model.graph)[:-1]:
        assert node.outputs[0].name == node.name
    assert "clamp.min" in model.graph.initializers
    assert [value.name for value in (*model.graph.inputs, *model.graph.outputs)] == ["x", "output"]


def test_initializers_are_called_as_in_the_state_dict_and_know_their_kind(model: Any) -> None:
    kinds = {name: kind_of(value) for name, value in model.graph.initializers.items()}
    assert {name for name, kind in kinds.items() if kind == "parameter"} == dict(Net().named_parameters()).keys()
    assert {name for name, kind in kinds.items() if kind == "buffer"} == {"offset"}


def test_names_are_the_same_every_time(model: Any) -> None:
    again = graphkit.load(Net().eval(), inputs=["1x3x8x8"])
    assert [node.name for node in again.graph] == [node.name for node in model.graph]
    assert list(again.graph.initializers) == list(model.graph.initializers)


def test_origins_tell_operator_module_and_line(model: Any) -> None:
    node = next(node for node in model.graph if node.name == "layers.1.conv")
    origin = origin_of(node)
    assert (origin.framework, origin.op, origin.scope) == ("torch", "aten.conv2d.default", "layers.1.conv")
    assert origin.module == "torch.nn.modules.conv.Conv2d"
    assert origin.line.startswith(f"{Path(__file__).name}:")
    assert origin.line.endswith(", in forward")
    assert all(key.startswith("graphkit.origin.") for node in model.graph for key in node.metadata_props)
    assert not any("pkg." in key for value in model.graph.inputs for key in value.metadata_props)
    assert not model.graph.metadata_props


def test_the_source_is_the_program(model: Any) -> None:
    source = source_of(model)
    assert source is not None
    assert (source.framework, source.label) == ("torch", "Net")
    assert isinstance(source.handle, torch.export.ExportedProgram)


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(3, 3)
        self.second = nn.Linear(3, 3)
        self.second.weight = self.first.weight
        self.unused = nn.Linear(2, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(self.first(x))


@pytest.mark.parametrize("saved", [False, True])
@pytest.mark.filterwarnings("ignore:`isinstance.treespec, LeafSpec.:FutureWarning")  # torch's own save does that
def test_tied_parameters_are_one_initializer_under_the_first_name(saved: bool, tmp_path: Path) -> None:
    source: Any = Tied()
    if saved:
        shapes = ({0: torch.export.Dim.DYNAMIC},)
        program = torch.export.export(source, (torch.zeros(2, 3),), dynamic_shapes=shapes)
        torch.export.save(program, tmp_path / "tied.pt2")
        source = tmp_path / "tied.pt2"
    model = graphkit.load(source, inputs=["2x3"])
    assert set(model.graph.initializers) == {"first.weight", "first.bias", "second.bias"}
    feeds = {"x": np.ones((2, 3), np.float32)}
    with runtimes()["torch"].open(model) as session:
        found = session.backward(feeds, {"output": np.ones((2, 3), np.float32)})
    assert found.keys() == {"x", "first.weight", "first.bias", "second.bias"}
    assert np.abs(found["first.weight"]).max() > 0


class Clash(nn.Module):
    """An input and outputs called like parameters and nodes."""

    def __init__(self) -> None:
        super().__init__()
        self.x = nn.Parameter(torch.ones(3))
        self.output = nn.Linear(3, 3)

    def forward(self, x: torch.Tensor, relu: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"x": torch.relu(self.output(x + self.x)), "output": torch.relu(relu), "add": relu + 1}


def test_names_that_clash_are_told_apart_and_parameters_keep_theirs() -> None:
    module = Clash()
    model = graphkit.load(module, inputs=["2x3", "2x3"])
    assert "x" in model.graph.initializers
    names = [value.name for value in (*model.graph.inputs, *model.graph.outputs, *model.graph.initializers.values())]
    names += [value.name for node in model.graph for value in node.outputs if value not in model.graph.outputs]
    assert len(names) == len(set(names))
    assert [value.name for value in model.graph.inputs] == ["x_1", "relu"]
    x = torch.randn(2, 3)
    feeds = {"x_1": x.numpy(), "relu": -x.numpy()}
    with torch.no_grad():
        wanted = [value.numpy() for value in module(x, -x).values()]
    for on in ("ort", "torch"):
        with runtimes()[on].open(model) as session:
            found = list(session.forward(feeds).values())
        assert all(np.allclose(one, other, atol=1e-6) for one, other in zip(found, wanted, strict=True))


class Pair(NamedTuple):
    left: torch.Tensor
    right: torch.Tensor


class Outputs(nn.Module):
    def __init__(self, form: str) -> None:
        super().__init__()
        self.form = form

    def forward(self, x: torch.Tensor) -> Any:
        y = x * 2
        forms: dict[str, Any] = {
            "one": y,
            "tuple": (y, x + 1),
            "list": [y],
            "dict": {"b": y, "a": x + 1},
            "nested": {"a": (y, x + 1), "c": {"d": x - 1}},
            "named": Pair(y, x + 1),
            "twice": (y, y),
            "input": (x, y),
        }
        return forms[self.form]


@pytest.mark.parametrize(
    ("form", "names"),
    [
        ("one", ["output"]),
        ("tuple", ["output_0", "output_1"]),
        ("list", ["output"]),
        ("dict", ["b", "a"]),
        ("nested", ["a_0", "a_1", "c_d"]),
        ("named", ["left", "right"]),
        ("twice", ["output_0", "output_1"]),
        ("input", ["output_0", "output_1"]),
    ],
)
def test_outputs_are_called_by_their_keys(form: str, names: list[str]) -> None:
    model = graphkit.load(Outputs(form), inputs=["2x3"])
    assert [value.name for value in model.graph.outputs] == names
    feeds = {"x": np.arange(6, dtype=np.float32).reshape(2, 3)}
    with runtimes()["ort"].open(model) as one, runtimes()["torch"].open(model) as other:
        found, wanted = one.forward(feeds), other.forward(feeds)
    assert list(found) == list(wanted) == names
    assert all(np.array_equal(found[name], wanted[name]) for name in names)


class TwoBatches(nn.Module):
    def forward(self, x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return x.reshape(-1, 6), y[:, None]


def test_dimensions_have_readable_names() -> None:
    model = graphkit.load(TwoBatches(), inputs=["2x2x3", "2x?"])
    shapes = [[str(dim) for dim in value.shape or ()] for value in (*model.graph.inputs, *model.graph.outputs)]
    assert shapes == [["batch", "2", "3"], ["y_batch", "y_dim1"], ["batch", "6"], ["y_batch", "1", "y_dim1"]]


def test_what_a_traced_function_computes_is_named_after_its_module_and_can_be_tapped() -> None:
    model = graphkit.load(nn.Sequential(nn.Linear(4, 3), nn.ReLU6(), nn.Hardtanh(-2, 2)), inputs=[(2, 4)])
    assert [(node.op_type, node.name) for node in model.graph] == [("Gemm", "0"), ("Clip", "1"), ("Clip", "2")]
    with runtimes()["torch"].open(model) as session:
        assert session.tappable == {value.name for node in model.graph for value in node.outputs}


class Masked(nn.Module):
    """Reads a mask at the places of the tokens, which does not tell torch that there is one for each."""

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
        batch, length = (torch.arange(size) for size in input_ids.shape)
        seen = attention_mask[batch[:, None], length[None]] * input_ids
        return seen[:, :, None] * table.sum(0)


def test_dimensions_that_must_have_one_size_have_one_name() -> None:
    model = graphkit.load(Masked(), inputs=["?x?:int64", "?x?:int64", "?x3"])
    shapes = [[str(dim) for dim in value.shape or ()] for value in (*model.graph.inputs, *model.graph.outputs)]
    tokens = ["batch", "sequence_length"]
    assert shapes == [tokens, tokens, ["table_batch", "3"], [*tokens, "3"]]
