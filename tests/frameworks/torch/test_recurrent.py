"""Recurrent layers: of any number of steps, as one layer, under their own names, also of packed sequences."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from recurrentapps import APPLICATIONS
from recurrentnets import CASES
from safetensors.torch import load_file
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import graphkit
from graphkit.errors import InputError, UnsupportedError
from graphkit.frameworks.base import runtimes
from graphkit.frameworks.torch.quiet import quiet
from graphkit.passes.cast_floats import cast_floats

if TYPE_CHECKING:
    from pathlib import Path

    import onnx_ir as ir


def layers_of(folder: Path) -> list[str]:
    text = (folder / "model.py").read_text()
    return [line.strip() for line in text.splitlines() if "= nn." in line]


def opened(model: ir.Model, name: str, feeds: dict[str, np.ndarray], *, native: bool = False) -> dict[str, np.ndarray]:
    with runtimes()[name].open(model, native=native) as session:
        return session.forward(feeds)


@pytest.mark.mxnet
@pytest.mark.parametrize(
    "name",
    ["lstm-2-both-batch_first-states-all", "gru-3-plain-steps", "projected-2-both-last"],
)
def test_a_layer_of_any_length_comes_back_as_one_with_its_weights_bit_for_bit(tmp_path: Path, name: str) -> None:
    case = CASES[name]
    network = case.build()
    free = case.inputs(batch="?", length="?")
    model = graphkit.load(network, inputs=free)
    for to, file in (("onnx", "net.onnx"), ("mxnet", "net-symbol.json")):
        graphkit.save(model, tmp_path / file.replace("-symbol.json", ""), to=to)
        again = graphkit.load(tmp_path / file, inputs=free, dynamic_batch=False)
        graphkit.save(again, tmp_path / to, to="torch")
        assert len(layers_of(tmp_path / to)) == 1
        assert ("batch_first=True" in (tmp_path / to / "model.py").read_text()) == case.batch_first
        stored = load_file(tmp_path / to / "model.safetensors")
        own = network.state_dict()
        assert stored.keys() == own.keys()
        assert all(torch.equal(stored[key], own[key]) for key in own)


@pytest.mark.mxnet
def test_mxnet_differentiates_projected_layers_of_states_of_any_batch() -> None:
    case = CASES["projected-2-both-batch_first-states-all"]
    model = graphkit.load(case.build(), inputs=case.inputs(batch="?", length="?"))
    inputs = case.inputs(batch=3, length=5)
    report = graphkit.verify(model, on=("torch", "mxnet"), backward=True, mode="train", dtype="float64", inputs=inputs)
    assert report.passed
    assert max(check.error for check in report.checks) < 1e-12


def test_the_batch_of_initial_states_is_that_of_the_sequences() -> None:
    case = CASES["gru-1-batch_first-states-steps"]
    model = graphkit.load(case.build(), inputs=case.inputs(batch="?", length="?"))
    assert [str(value.shape) for value in model.graph.inputs] == ["[batch,x_dim1,3]", "[1,batch,5]"]


@pytest.mark.parametrize("free", [False, True])
def test_programs_that_were_exported_elsewhere_have_one_layer(free: bool) -> None:
    case = CASES["lstm-2-both-batch_first-steps"]
    batch = {0: torch.export.Dim.DYNAMIC} if free else None
    with quiet():
        program = torch.export.export(case.build(), (torch.rand(2, 4, 3),), dynamic_shapes=(batch,))
    model = graphkit.load(program, dynamic_batch=free)
    assert [node.op_type for node in model.graph].count("LSTM") == 2
    feeds = {"x": np.random.default_rng(0).standard_normal((2, 4, 3)).astype(np.float32)}
    (found,) = opened(model, "ort", feeds).values()
    np.testing.assert_allclose(found, case.build()(torch.tensor(feeds["x"]))[0].detach(), atol=1e-6)


class Pyramid(nn.Module):
    """Joins pairs of steps, as the listener of Chan et al., "Listen, Attend and Spell" (2015) does."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.LSTM(3, 4, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.layer(x)[0].contiguous()
        return y.view(y.shape[0], y.shape[1] // 2, 8)


def test_views_of_what_layers_give_run_as_they_were_written() -> None:
    network = Pyramid()
    model = graphkit.load(network, inputs=["?x6x3"])
    feeds = {"x": np.random.default_rng(0).standard_normal((3, 6, 3)).astype(np.float32)}
    (found,) = opened(model, "torch", feeds, native=True).values()
    np.testing.assert_allclose(found, network(torch.tensor(feeds["x"])).detach(), atol=1e-6)


class Packed(nn.Module):
    """Layers over packed sequences."""

    def __init__(self, layer: nn.RNNBase, total: bool = True, value: float = 0.0) -> None:
        super().__init__()
        self.layer = layer
        self.total, self.value = total, value

    def forward(self, x: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, ...]:
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        y, last = self.layer(packed)
        total = x.shape[1] if self.total else None
        y, _ = pad_packed_sequence(y, batch_first=True, padding_value=self.value, total_length=total)
        return (y, *last) if isinstance(last, tuple) else (y, last)


@pytest.mark.mxnet
def test_packed_sequences_are_what_torch_gives_and_differentiates(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = Packed(nn.LSTM(3, 4, 2, bidirectional=True, batch_first=True, dropout=0.5), value=-7.0).eval()
    model = graphkit.load(network, inputs=["x:?x?x3", "lengths:?:int64"])
    double = cast_floats(model, "float64")
    network.double()
    x, lengths = np.random.default_rng(1).standard_normal((3, 5, 3)), np.array([2, 5, 3])
    given = torch.tensor(x, requires_grad=True)
    outputs = network(given, torch.tensor(lengths))
    seeds = [np.cos(np.arange(y.numel())).reshape(y.shape) for y in outputs]
    torch.autograd.backward(outputs, [torch.tensor(seed) for seed in seeds])
    expected = {"x": given.grad, **{name: tensor.grad for name, tensor in network.named_parameters()}}
    for name, native in (("torch", True), ("torch", False), ("mxnet", False), ("reference", False)):
        with runtimes()[name].open(double, native=native) as session:
            feeds = {"x": x, "lengths": lengths}
            found = session.forward(feeds)
            gradients = session.backward(feeds, dict(zip(found, seeds, strict=True)))
        for right, left in zip(outputs, found.values(), strict=True):
            np.testing.assert_allclose(left, right.detach(), atol=1e-12)
        assert gradients.keys() == expected.keys()
        for key, right in expected.items():
            np.testing.assert_allclose(gradients[key], right, atol=1e-12)
    graphkit.save(model, tmp_path / "net", to="torch")
    text = (tmp_path / "net" / "model.py").read_text()
    assert text.count("nn.LSTM(") == text.count("pack_padded_sequence(") == text.count("pad_packed_sequence(") == 1


def test_fewer_steps_than_were_packed_are_told_of() -> None:
    with pytest.warns(UserWarning, match="pad_packed_sequence without total_length"):
        model = graphkit.load(Packed(nn.GRU(3, 4, batch_first=True), total=False), inputs=["?x6x3", "?:int64"])
    feeds = {"x": np.ones((2, 6, 3), np.float32), "lengths": np.array([4, 2])}
    steps, last = opened(model, "ort", feeds).values()
    assert steps.shape == (2, 6, 4)
    assert not steps[:, 4:].any()
    np.testing.assert_array_equal(last[0], steps[[0, 1], [3, 1]])


class Peeking(nn.Module):
    """Reads the data of a packed sequence."""

    def forward(self, x: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        return pack_padded_sequence(x, lengths, enforce_sorted=False).data.mean(0)


def test_what_reads_the_data_of_packed_sequences_is_refused_with_the_reason() -> None:
    with pytest.raises(InputError, match="between pack_padded_sequence and pad_packed_sequence"):
        graphkit.load(Peeking(), inputs=["5x2x3", "2:int64"], dynamic_batch=False)


def test_tracing_leaves_torchs_functions_as_they_were() -> None:
    before = nn.LSTM.forward, nn.utils.rnn.pack_padded_sequence, nn.RNNBase.check_hidden_size
    graphkit.load(APPLICATIONS["classifier"].build(), inputs=APPLICATIONS["classifier"].inputs())
    assert before == (nn.LSTM.forward, nn.utils.rnn.pack_padded_sequence, nn.RNNBase.check_hidden_size)


@pytest.mark.mxnet
def test_a_network_of_recurrent_layers_trains_elsewhere_as_in_torch() -> None:
    application = APPLICATIONS["synthesizer"]
    model = graphkit.load(application.build(), inputs=application.inputs(batch="?", length="?"))
    inputs = application.inputs(batch=3, length=7)
    report = graphkit.verify(model, on=("torch", "mxnet"), backward=True, train_steps=3, dtype="float64", inputs=inputs)
    assert report.passed
    assert max(check.error for check in report.checks if check.kind.endswith("gradient")) < 1e-9


def test_archives_that_pack_sequences_are_refused_with_what_is_read(tmp_path: Path) -> None:
    example = torch.rand(2, 4, 3), torch.tensor([4, 2])
    with quiet():
        torch.jit.trace(Packed(nn.LSTM(3, 4, batch_first=True)), example, check_trace=False).save(tmp_path / "net.pt")
    with pytest.raises(UnsupportedError, match="give the module itself"):
        graphkit.load(tmp_path / "net.pt", inputs=["2x4x3", "2:int64"])
