"""A folder of source and weights is a module that computes and trains as the model does."""

from __future__ import annotations

import importlib.util
import json
from typing import TYPE_CHECKING, Any

import networks
import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import nn
from torchtext import assert_as_native

import graphkit
from graphkit.errors import FormatError, InputError, UnsupportedError
from graphkit.frameworks.base import InputSpec, ReadOptions, runtimes
from graphkit.frameworks.mxnet.read import from_symbol
from graphkit.ir.canonical import canonical
from graphkit.ir.origin import Source, set_source
from graphkit.ops.mxgraph import VARIABLE, MxGraph, MxModel, MxNode, MxRef
from graphkit.passes.cast_floats import cast_floats

if TYPE_CHECKING:
    from pathlib import Path

    import onnx_ir as ir


def loaded(folder: Path, name: str) -> nn.Module:
    """The module, as the header of its source says."""
    spec = importlib.util.spec_from_file_location(f"written_{folder.name}", folder / "model.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert f"net = {name}()" in (module.__doc__ or "")
    net: nn.Module = getattr(module, name)()
    net.load_state_dict(load_file(folder / "model.safetensors"))
    return net


def names(folder: Path) -> dict[str, Any]:
    with safe_open(folder / "model.safetensors", "np") as file:
        found: dict[str, Any] = json.loads(file.metadata()["graphkit.names"])
    return found


def mlp() -> ir.Model:
    """An MXNet model with a gamma that its BatchNorm does not use."""
    rng = np.random.default_rng(3)
    arrays = {
        "fc_weight": (4, 6),
        "fc_bias": (4,),
        "bn_gamma": (4,),
        "bn_beta": (4,),
    }
    args = {name: rng.uniform(0.5, 2, shape).astype(np.float32) for name, shape in arrays.items()}
    aux = {name: rng.uniform(0.5, 2, 4).astype(np.float32) for name in ("bn_moving_mean", "bn_moving_var")}
    variable = {name: MxNode(VARIABLE, name) for name in ("data", *args, *aux)}
    fc = MxNode(
        "FullyConnected", "fc", {"num_hidden": "4"}, [MxRef(variable[n]) for n in ("data", "fc_weight", "fc_bias")]
    )
    states = [MxRef(variable[n]) for n in ("bn_gamma", "bn_beta", "bn_moving_mean", "bn_moving_var")]
    norm = MxNode("BatchNorm", "bn", {"eps": "0.001"}, [MxRef(fc), *states])
    mx = MxModel(MxGraph([*variable.values(), fc, norm], [MxRef(norm)]), args, aux)
    model = canonical(from_symbol(mx, ReadOptions(inputs=(InputSpec("data", (2, 6)),)), "mlp"))
    set_source(model, Source("mxnet", "mlp", mx))
    return model


@pytest.mark.parametrize("name", ["lenet", "resnet18", "mobilenet-v2", "densenet121", "unet"])
def test_source_computes_what_the_module_did(name: str) -> None:
    """Outputs and gradients in float64, by the names and in the layouts of the model."""
    assert_as_native(networks.model(name))


def test_the_two_lines_of_the_header_give_the_module(tmp_path: Path) -> None:
    model = networks.model("lenet")
    assert graphkit.save(model, tmp_path / "net", to="torch") == [
        tmp_path / "net" / "model.py",
        tmp_path / "net" / "model.safetensors",
    ]
    value = model.graph.inputs[0]
    x = np.random.default_rng(1).standard_normal([d if isinstance(d, int) else 2 for d in value.shape or ()])
    feeds = {value.name or "": x.astype(np.float32)}
    with runtimes()["torch"].open(model) as session:
        expected = next(iter(session.forward(feeds).values()))
    text = (tmp_path / "net" / "model.py").read_text()
    name = text.partition("net = ")[2].partition("()")[0]
    net = loaded(tmp_path / "net", name).eval()
    with torch.no_grad():
        found = net(torch.from_numpy(feeds[value.name or ""]))
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5, atol=1e-6)


def test_the_module_trains(tmp_path: Path) -> None:
    graphkit.save(mlp(), tmp_path / "mlp", to="torch")
    net = loaded(tmp_path / "mlp", "Mlp")
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    net(torch.randn(5, 6)).square().sum().backward()
    optimizer.step()
    changed = {name for name, tensor in net.state_dict().items() if not torch.equal(tensor, before[name])}
    assert {"fc.weight", "bn.bias", "bn.running_mean", "bn.running_var"} <= changed


def test_a_fixed_gamma_is_one_and_not_trained(tmp_path: Path) -> None:
    graphkit.save(mlp(), tmp_path / "mlp", to="torch")
    net = loaded(tmp_path / "mlp", "Mlp")
    parameters = dict(net.named_parameters())
    assert not parameters["bn.weight"].requires_grad
    assert torch.equal(parameters["bn.weight"], torch.ones(4))
    assert parameters["bn.bias"].requires_grad


def test_the_weights_say_what_they_are_called_in_the_source(tmp_path: Path) -> None:
    graphkit.save(mlp(), tmp_path / "mlp", to="torch")
    found = names(tmp_path / "mlp")
    assert found["fc.weight"] == {"name": "fc_weight"}
    assert found["bn.running_mean"] == {"name": "bn_moving_mean"}


def test_a_weight_in_another_layout_is_said_to_be(tmp_path: Path) -> None:
    class Product(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.randn(3, 5))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x @ self.weight

    graphkit.save(graphkit.load(Product(), inputs=[(2, 3)]), tmp_path / "product", to="torch")
    entry = next(entry for entry in names(tmp_path / "product").values() if entry["name"] == "weight")
    assert entry["layout"] == [["transpose", [1, 0]]]


def test_a_half_precision_model_stays_one(tmp_path: Path) -> None:
    model = cast_floats(networks.model("mlp-relu"), "float16")
    graphkit.save(model, tmp_path / "half", to="torch")
    assert {tensor.dtype for tensor in load_file(tmp_path / "half" / "model.safetensors").values()} == {torch.float16}
    assert "dtype=torch.float16" in (tmp_path / "half" / "model.py").read_text()


def test_all_that_torch_cannot_express_is_said_at_once(tmp_path: Path) -> None:
    import onnx.parser

    text = """<ir_version: 10, opset_import: ["": 23]> g (string[2] x) => (string[2] y) {
        a = StringNormalizer(x)  y = StringNormalizer(a) }"""
    path = tmp_path / "strings.onnx"
    onnx.save(onnx.parser.parse_model(text), path)
    with pytest.raises(UnsupportedError, match="StringNormalizer × 2"):
        graphkit.convert(path, "torch", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_file_is_not_replaced_by_a_folder(tmp_path: Path) -> None:
    (tmp_path / "net").write_text("mine")
    with pytest.raises(InputError, match="it is a file"):
        graphkit.save(mlp(), tmp_path / "net", to="torch")
    assert (tmp_path / "net").read_text() == "mine"


def test_a_folder_is_read_back_and_knows_its_names(tmp_path: Path) -> None:
    model = mlp()
    graphkit.save(model, tmp_path / "mlp", to="torch")
    again = graphkit.load(tmp_path / "mlp")
    assert [value.shape for value in again.graph.inputs] == [value.shape for value in model.graph.inputs]
    report = graphkit.verify(model, again, backward=True, dtype="float64")
    assert report.passed
    compared = {check.what for check in report.checks}
    assert {f"parameter gradient {name}" for name in ("fc_weight", "fc_bias", "bn_beta")} <= compared


def test_source_that_fails_is_said_to(tmp_path: Path) -> None:
    graphkit.save(mlp(), tmp_path / "mlp", to="torch")
    (tmp_path / "mlp" / "model.py").write_text("import torch\n\nraise RuntimeError('mine')\n")
    with pytest.raises(InputError, match="RuntimeError: mine"):
        graphkit.load(tmp_path / "mlp", trust_code=True)


def test_weights_saved_anew_with_the_metadata_of_the_old_ones_are_read(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    graphkit.save(mlp(), tmp_path / "mlp", to="torch")
    weights = tmp_path / "mlp" / "model.safetensors"
    state = {name: 2 * value for name, value in load_file(weights).items()}
    with safe_open(weights, "pt") as file:
        metadata = file.metadata()
    save_file(state, weights)
    with pytest.raises(FormatError, match=r"save_file the metadata .* metadata=safe_open\(…\).metadata\(\)"):
        graphkit.load(tmp_path / "mlp")
    save_file(state, weights, metadata=metadata)
    model = graphkit.load(tmp_path / "mlp")
    found = {name: value.const_value.numpy() for name, value in model.graph.initializers.items() if value.const_value}
    assert all(np.array_equal(value, state[name]) for name, value in found.items() if name in state)
    assert {"fc.weight", "fc.bias", "bn.bias"} <= found.keys() & state.keys()


def test_weights_of_something_else_are_refused(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    graphkit.save(mlp(), tmp_path / "mlp", to="torch")
    save_file({"x": torch.zeros(2)}, tmp_path / "mlp" / "model.safetensors")
    with pytest.raises(FormatError, match="no metadata of graphkit's"):
        graphkit.load(tmp_path / "mlp")
    (tmp_path / "mlp" / "model.safetensors").write_bytes(b"\0" * 20)
    with pytest.raises(FormatError, match="damaged"):
        graphkit.load(tmp_path / "mlp" / "model.py")
