"""What is read, what is refused, and what is said about it."""

from __future__ import annotations

import pickle
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import graphkit
from graphkit.errors import FormatError, GraphkitError, InputError, MissingError, UnsupportedError
from graphkit.frameworks.base import ReadOptions, runtimes
from graphkit.frameworks.convert import framework_of
from graphkit.frameworks.given import parse_input
from graphkit.frameworks.torch.load import recognises

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402 -- after the check that there is one

if TYPE_CHECKING:
    import onnx_ir as ir


pytestmark = [
    pytest.mark.filterwarnings("ignore:`torch.jit.:DeprecationWarning"),  # TorchScript is old, that is the point
    pytest.mark.filterwarnings("ignore:`isinstance.treespec, LeafSpec.:FutureWarning"),  # torch's own export does that
]


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.bn = nn.BatchNorm2d(4)
        self.fc = nn.Linear(4 * 64, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.bn(self.conv(x)))
        return self.fc(x.view(x.size(0), -1))


@pytest.fixture(scope="module")
def net() -> nn.Module:
    torch.manual_seed(0)
    return Net().eval()


def export(module: nn.Module, *shape: int, free: bool = True) -> Any:
    shapes = ({0: torch.export.Dim.DYNAMIC},) if free else None
    return torch.export.export(module, (torch.zeros(shape),), dynamic_shapes=shapes)


def outputs(model: ir.Model, *arrays: np.ndarray, on: str = "ort") -> list[np.ndarray]:
    names = [value.name or "" for value in model.graph.inputs]
    with runtimes()[on].open(model) as session:
        found = session.forward(dict(zip(names, arrays, strict=True)))
    return [found[value.name or ""] for value in model.graph.outputs]


def same(model: ir.Model, module: nn.Module, batch: int = 3) -> bool:
    x = torch.randn(batch, 3, 8, 8)
    with torch.no_grad():
        wanted = module(x).numpy()
    return all(np.allclose(outputs(model, x.numpy(), on=on)[0], wanted, atol=1e-5) for on in ("ort", "torch"))


def refusal(source: Any, **options: Any) -> str:
    with pytest.raises(GraphkitError) as caught:
        graphkit.load(source, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_an_exported_program_is_read_with_its_free_batch(net: nn.Module, tmp_path: Path) -> None:
    torch.export.save(export(net, 2, 3, 8, 8), tmp_path / "net.pt2")
    model = graphkit.load(tmp_path / "net.pt2")
    assert [str(dim) for dim in model.graph.inputs[0].shape or ()] == ["batch", "3", "8", "8"]
    assert same(model, net)


def test_a_module_is_read_and_left_as_it_was(net: nn.Module) -> None:
    net.bn.train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    model = graphkit.load(net, inputs=["x:1x3x8x8"])
    assert (net.training, net.bn.training) == (False, True)
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
    net.eval()
    assert same(model, net)


def test_a_module_that_is_only_converted_keeps_its_weights_which_are_not_copied(net: nn.Module, tmp_path: Path) -> None:
    before = {name: value.clone() for name, value in net.state_dict().items()}
    graphkit.convert(net, "mxnet", tmp_path / "net", inputs=["1x3x8x8"])
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
    assert same(graphkit.load(tmp_path / "net-symbol.json"), net)
    model = framework_of(net).read(net, ReadOptions(inputs=(parse_input("1x3x8x8"),), shared=True))
    name, weight = next(iter(net.named_parameters()))
    assert np.shares_memory(model.graph.initializers[name].const_value.numpy(), weight.detach().numpy())


def test_a_module_trained_after_it_was_read_does_not_change_the_model() -> None:
    module = Net().eval()
    model = graphkit.load(module, inputs=["1x3x8x8"])
    x = np.ones((2, 3, 8, 8), np.float32)
    before = [outputs(model, x, on=on)[0] for on in ("ort", "torch")]
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(1)
    after = [outputs(model, x, on=on)[0] for on in ("ort", "torch")]
    assert all(np.array_equal(one, other) for one, other in zip(before, after, strict=True))


def test_a_program_in_memory_is_read(net: nn.Module) -> None:
    assert same(graphkit.load(export(net, 2, 3, 8, 8)), net)


@pytest.mark.parametrize("how", ["trace", "script"])
def test_torchscript_is_read_with_its_names_and_a_free_batch(net: nn.Module, tmp_path: Path, how: str) -> None:
    """Traced archives know their shapes; scripted ones need them."""
    scripted = torch.jit.trace(net, torch.zeros(1, 3, 8, 8)) if how == "trace" else torch.jit.script(net)
    torch.jit.save(scripted, tmp_path / "net.pt")
    model = graphkit.load(tmp_path / "net.pt", inputs=[] if how == "trace" else ["1x3x8x8"])
    assert same(model, net)
    kinds = {name: graphkit.ir.params.kind_of(value) for name, value in model.graph.initializers.items()}
    assert {name for name, kind in kinds.items() if kind == "parameter"} == dict(net.named_parameters()).keys()
    assert {name for name, kind in kinds.items() if kind == "buffer"} == {"bn.running_mean", "bn.running_var"}
    assert [node.name for node in model.graph] == ["conv", "bn", "relu", "view", "fc"]


def test_scripted_modules_need_their_shapes(net: nn.Module, tmp_path: Path) -> None:
    torch.jit.save(torch.jit.script(net), tmp_path / "net.pt")
    assert "--input x:SHAPE" in refusal(tmp_path / "net.pt")
    assert "2 channels" in refusal(tmp_path / "net.pt", inputs=["1x2x8x8"])


class Loops(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        while bool(x.sum() < 10):
            x = x + 1
        return x


def test_torchscript_without_a_graph_is_refused_with_what_stands_in_the_way(tmp_path: Path) -> None:
    torch.jit.save(torch.jit.script(Loops()), tmp_path / "loops.pt")
    assert "prim::Loop" in refusal(tmp_path / "loops.pt", inputs=["1x3"])


SOURCE = """
import torch
from torch import nn

module = nn.Linear(3, 2)
number = 3

def build():
    return nn.Sequential(nn.Linear(3, 2), nn.ReLU())

class Net(nn.Module):
    def forward(self, x, y):
        return x + y

def broken():
    raise ValueError("no weights here")
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Name of a module that lies in the working directory."""
    name = f"nets_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(SOURCE)
    (tmp_path / f"{name}_needy.py").write_text("import a_package_that_is_not_there")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    return name


@pytest.mark.parametrize("attribute", ["module", "build", "nn.Identity"])
def test_a_callable_in_the_working_directory_is_read(package: str, attribute: str) -> None:
    model = graphkit.load(f"{package}:{attribute}", inputs=["2x3"])
    assert len(model.graph.outputs) == 1


def test_a_class_of_two_inputs_takes_them_by_name(package: str) -> None:
    model = graphkit.load(f"{package}:Net", inputs=["y:1x3", "x:1x3"])
    assert [value.name for value in model.graph.inputs] == ["x", "y"]


@pytest.mark.parametrize(
    ("attribute", "inputs", "says"),
    [
        ("missing", ["2x3"], "build"),
        ("number", ["2x3"], "gives a int"),
        ("broken", ["2x3"], "no weights here"),
        ("module", [], "--input input:SHAPE"),
        ("module", ["x:2x3"], "no input 'x'"),
        ("module", ["2x4"], "cannot capture"),
        ("Net", ["x:2x3"], "'y'"),
        ("Net", ["2x3", "2x3", "2x3"], "3 inputs are given"),
        ("module", ["2x3:complex32"], "complex32"),
    ],
)
def test_what_a_callable_cannot_give_is_said(package: str, attribute: str, inputs: list[str], says: str) -> None:
    assert says in refusal(f"{package}:{attribute}", inputs=inputs)


def test_a_module_that_is_not_there_differs_from_one_that_cannot_be_imported(package: str) -> None:
    with pytest.raises(InputError, match="no module 'not_there_at_all'"):
        graphkit.load("not_there_at_all:net", inputs=["2x3"])
    with pytest.raises(MissingError, match="a_package_that_is_not_there"):
        graphkit.load(f"{package}_needy:net", inputs=["2x3"])


class Trap:
    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path(self.path),)

    def __init__(self, path: Path) -> None:
        self.path = str(path)


def test_a_pickle_is_refused_without_running_it(tmp_path: Path) -> None:
    torch.save({"a": Trap(tmp_path / "sprung")}, tmp_path / "trap.pt")
    torch.save({"a": Trap(tmp_path / "sprung")}, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    (tmp_path / "bare.pt").write_bytes(pickle.dumps(Trap(tmp_path / "sprung")))
    for name in ("trap.pt", "old.pth", "bare.pt"):
        message = refusal(tmp_path / name)
        assert "torch.export.save" in message
        assert "--trust-pickle" in message
    assert not (tmp_path / "sprung").exists()


def test_a_pickle_within_an_exported_program_is_not_run_either(net: nn.Module, tmp_path: Path) -> None:
    torch.export.save(export(net, 2, 3, 8, 8), tmp_path / "net.pt2")
    torch.save((Trap(tmp_path / "sprung"),), tmp_path / "inputs.pt")
    with zipfile.ZipFile(tmp_path / "net.pt2") as good, zipfile.ZipFile(tmp_path / "bad.pt2", "w") as bad:
        for entry in good.namelist():
            trapped = entry.endswith("sample_inputs/model.pt")
            bad.writestr(entry, (tmp_path / "inputs.pt").read_bytes() if trapped else good.read(entry))
    assert graphkit.load(tmp_path / "bad.pt2").graph.outputs
    assert not (tmp_path / "sprung").exists()


def test_a_trusted_pickle_of_a_module_is_read(tmp_path: Path) -> None:
    module = nn.Sequential(nn.Linear(3, 2))
    torch.save(module, tmp_path / "net.pt")
    model = graphkit.load(tmp_path / "net.pt", inputs=["1x3"], trust_pickle=True)
    assert set(model.graph.initializers) == {"0.weight", "0.bias"}


def test_a_state_dict_is_refused_even_if_trusted(net: nn.Module, tmp_path: Path) -> None:
    torch.save(net.state_dict(), tmp_path / "net.pth")
    assert "state_dict" in refusal(tmp_path / "net.pth", trust_pickle=True, inputs=["1x3x8x8"])


def test_files_that_only_look_like_it_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "text.pt").write_text("hello")
    (tmp_path / "empty.pt2").write_bytes(b"")
    with zipfile.ZipFile(tmp_path / "zip.pt2", "w") as archive:
        archive.writestr("a.txt", "b")
    header = b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
    (tmp_path / "weights.pt").write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    for name, says in (
        ("text.pt", "not a PyTorch file"),
        ("empty.pt2", "not a PyTorch file"),
        ("zip.pt2", "a.txt"),
        ("weights.pt", "weights only"),
        ("absent.pt2", "cannot be read"),
    ):
        assert says in refusal(tmp_path / name)


@pytest.mark.parametrize("kind", ["program", "torchscript"])
@pytest.mark.parametrize("damage", ["cut", "flipped"])
def test_damaged_files_are_said_to_be_damaged(net: nn.Module, tmp_path: Path, kind: str, damage: str) -> None:
    path = tmp_path / ("net.pt2" if kind == "program" else "net.pt")
    if kind == "program":
        torch.export.save(export(net, 2, 3, 8, 8), path)
    else:
        torch.jit.save(torch.jit.trace(net, torch.zeros(1, 3, 8, 8)), path)
    data = bytearray(path.read_bytes())
    if damage == "cut":
        del data[len(data) // 2 :]
    else:
        data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(FormatError, match="damaged"):
        graphkit.load(path)


def test_a_program_whose_description_is_no_program_is_a_format_error(net: nn.Module, tmp_path: Path) -> None:
    torch.export.save(export(net, 2, 3, 8, 8), tmp_path / "net.pt2")
    with zipfile.ZipFile(tmp_path / "net.pt2") as good, zipfile.ZipFile(tmp_path / "bad.pt2", "w") as bad:
        for entry in good.namelist():
            bad.writestr(entry, b"{}" if entry.endswith("models/model.json") else good.read(entry))
    with pytest.raises(FormatError, match=r"bad\.pt2"):
        graphkit.load(tmp_path / "bad.pt2")


def test_given_inputs_must_fit_an_exported_program(net: nn.Module) -> None:
    program = export(net, 2, 3, 8, 8)
    graphkit.load(program, inputs=["x:7x3x8x8"])
    assert "'y'" in refusal(program, inputs=["y:1x3x8x8"])
    assert "?x3x8x8, not 1x3x9x9" in refusal(program, inputs=["1x3x9x9"])
    assert "float32, not int64" in refusal(program, inputs=["1x3x8x8:int64"])


class Unknown(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.digamma(x) + torch.special.i1(x) * torch.digamma(x + 1)


def test_all_operators_without_translation_are_listed_at_once() -> None:
    with pytest.raises(UnsupportedError) as caught:
        graphkit.load(Unknown(), inputs=["1x3"])
    assert sorted(node.op for node in caught.value.nodes) == ["prims.bessel_i1.default"] + ["prims.digamma.default"] * 2
    assert all(Path(__file__).name in node.name for node in caught.value.nodes)


def test_modules_without_weights_are_refused() -> None:
    with torch.device("meta"):
        module = nn.Linear(3, 2)
    assert "no weights" in refusal(module, inputs=["1x3"])


class Branches(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x if x.sum() > 0 else -x


def test_code_that_torch_cannot_capture_is_named(net: nn.Module) -> None:
    message = refusal(Branches(), inputs=["1x3"])
    assert f"{Path(__file__).name}:" in message
    assert "in forward" in message
    assert "3 channels" in refusal(net, inputs=["1x4x8x8"])


def test_sources_are_recognised_by_their_names_and_objects_by_their_class(net: nn.Module) -> None:
    for source in ("a.pt2", Path("b.pt"), "c.pth", "package.module:callable", net, export(net, 2, 3, 8, 8)):
        assert recognises(source)
    for source in ("a.onnx", "a-symbol.json", Path("package.module:callable"), 3, np.zeros(3)):
        assert not recognises(source)


def test_reading_is_silent(net: nn.Module, capfd: pytest.CaptureFixture[str]) -> None:
    graphkit.load(net, inputs=["1x3x8x8"])
    with pytest.raises(UnsupportedError):
        graphkit.load(Unknown(), inputs=["1x3"])
    assert capfd.readouterr() == ("", "")


def test_a_module_with_a_sparse_weight_is_refused_with_its_name() -> None:
    class Sparse(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.eye = torch.eye(4).to_sparse()

        def forward(self, x: Any) -> Any:
            return torch.sparse.mm(self.eye, x)

    with pytest.raises(InputError, match=r"'eye' of the module is sparse \(sparse_coo\).*to_dense"):
        graphkit.load(Sparse(), inputs=["4x3"], warn=lambda _message: None)
