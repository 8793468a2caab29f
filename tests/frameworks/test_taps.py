"""Values between nodes, and the gradients in them, on every runtime."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Any

import networks
import numpy as np
import onnx_ir as ir
import pytest
import torch
import torch.nn.functional as F  # noqa: N812  # torch's own spelling
from mxsymbols import graph, op, var
from torch import Tensor, nn

import graphkit
from graphkit.errors import FeedError
from graphkit.frameworks.base import Mode, runtimes
from graphkit.frameworks.feeds import inner_tensors
from graphkit.frameworks.mxnet import checkpoint
from graphkit.ir.canonical import canonical
from graphkit.ops.mxgraph import MxModel
from graphkit.parity.inputs import draw_inputs, draw_seeds, in_dtype
from graphkit.passes.cast_floats import cast_floats

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    Arrays = Mapping[str, np.ndarray[Any, Any]]

SIDES = {
    "native": ("torch", True),
    "converted": ("torch", False),
    "mxnet": ("mxnet", False),
    "ort": ("ort", False),
    "reference": ("reference", False),
}


class Block(nn.Module):
    """Convolutions, BatchNorm and rectifiers in place, a sum of two branches, a value with three readers."""

    def __init__(self) -> None:
        super().__init__()
        self.first = networks.conv_bn(2, 4, 3)
        self.conv = nn.Conv2d(4, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.head = nn.Linear(4 * 16, 3)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.first(x)
        y = self.norm(self.conv(x))
        y += x
        y = F.relu(y, inplace=True)
        flat = torch.flatten(y * x.mean(), 1)
        flat *= 2
        return self.head(flat), y


class Attention(nn.Module):
    """Self-attention with a residual sum and a LayerNorm."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True, dropout=0.2)
        self.norm = nn.LayerNorm(8)
        self.drop = nn.Dropout(0.3)

    def forward(self, x: Tensor) -> Tensor:
        y, _ = self.attention(x, x, x)
        out: Tensor = torch.tanh(self.norm(x + self.drop(y)))
        return out


class Recurrent(nn.Module):
    """A bidirectional LSTM between two linear layers."""

    def __init__(self) -> None:
        super().__init__()
        self.before = nn.Linear(5, 6)
        self.lstm = nn.LSTM(6, 4, batch_first=True, bidirectional=True)
        self.head = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y, (h, _) = self.lstm(torch.tanh(self.before(x)))
        return self.head(y), h.sum(0)


class Odd(nn.Module):
    """Integers, parts of one value, a stopped gradient, a value made of nothing, one that is written to by parts."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(10, 4)
        self.linear = nn.Linear(4, 4)

    def forward(self, i: Tensor, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        a, b = torch.chunk(self.linear(self.table(i + 1)), 2, -1)
        ramp = torch.arange(4, dtype=x.dtype) + 0.5
        product = ramp * x
        kept = torch.where(product > 0, product, -product * ramp)
        parts = torch.zeros(x.size(0), 4, dtype=x.dtype)
        parts[:, :2] = x[:, 2:]
        parts[:, 2:] += kept[:, :2]
        return (a.relu() * b).sum(-1), x.detach() * x, parts * parts, product.softmax(-1)


MODULES: dict[str, tuple[Any, tuple[Tensor, ...]]] = {
    "block": (Block, (torch.zeros(3, 2, 4, 4),)),
    "attention": (Attention, (torch.zeros(2, 5, 8),)),
    "recurrent": (Recurrent, (torch.zeros(2, 5, 5),)),
    "odd": (Odd, (torch.zeros(3, 5, dtype=torch.int64), torch.zeros(3, 4))),
}


def model_of(name: str) -> ir.Model:
    """A module with weights in which mistakes show, in float64."""
    torch.manual_seed(0)
    build, inputs = MODULES[name]
    module = build().eval()
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.uniform_(part.running_mean, -0.5, 0.5)
            nn.init.uniform_(part.running_var, 0.5, 1.5)
            nn.init.uniform_(part.weight, 0.5, 1.5)
            nn.init.uniform_(part.bias, -0.5, 0.5)
    source = module if len(inputs) == 1 else torch.export.export(module, inputs)
    shapes = [tuple(inputs[0].shape)] if len(inputs) == 1 else []
    return cast_floats(graphkit.load(source, inputs=shapes, warn=lambda _message: None), "float64")


def feeds_of(model: ir.Model) -> dict[str, Any]:
    return in_dtype(draw_inputs(model, 0), np.float64)


def opened(model: ir.Model, side: str, mode: Mode = "eval") -> Any:
    name, native = SIDES[side]
    if (problem := runtimes()[name].missing()) is not None:
        pytest.skip(problem)
    return runtimes()[name].open(model, mode=mode, native=native)


def close(found: Any, expected: Any, name: str, bound: float = 1e-9) -> None:
    """Equal within a share of the largest magnitude; residue of a cancellation is measured against 1e-3."""
    assert (found.shape, found.dtype) == (expected.shape, expected.dtype), name
    peak = max(float(np.abs(expected).max(initial=0)), 1e-3) if expected.dtype.kind == "f" else 1.0
    np.testing.assert_allclose(found, expected, rtol=0, atol=bound * peak, err_msg=name)


def floats(session: Any, model: ir.Model) -> list[str]:
    inner = inner_tensors(model)
    return [name for name in sorted(session.tappable) if inner[name].dtype.is_floating_point()]


@pytest.mark.parametrize("name", [*MODULES, "lenet", "unet"])
@pytest.mark.parametrize("side", ["native", "converted", "mxnet", "ort"])
def test_every_value_that_can_be_tapped_is_given_and_is_that_of_the_reference(name: str, side: str) -> None:
    model = model_of(name) if name in MODULES else cast_floats(networks.model(name), "float64")
    feeds = feeds_of(model)
    if side == "ort":
        model = cast_floats(model, "float32")
        feeds = in_dtype(feeds, np.float32)
    with runtimes()["reference"].open(model) as reference:
        assert reference.tappable == frozenset(inner_tensors(model))
        expected = reference.forward(feeds, sorted(reference.tappable))
    with runtimes()["ort"].open(model) if side == "ort" else opened(model, side) as session:
        taps = sorted(session.tappable)
        assert len(taps) > len(model.graph.outputs)
        if side == "ort" or name not in MODULES:
            assert len(taps) >= 0.7 * len(expected)
        found = session.forward(feeds, taps)
    assert set(taps) <= found.keys() <= set(taps) | {value.name for value in model.graph.outputs}
    for tap in taps:
        close(found[tap], expected[tap], tap, 1e-4 if side == "ort" else 1e-9)


@pytest.mark.mxnet
@pytest.mark.parametrize("mode", ["eval", "train-no-dropout"])
@pytest.mark.parametrize("name", MODULES)
def test_gradients_in_values_agree_between_all_runtimes_and_forms(name: str, mode: Mode) -> None:
    model = model_of(name)
    feeds = feeds_of(model)
    found = {}
    for side in ("native", "converted", "mxnet", "reference"):  # ONNX Runtime has no float64 kernels of these
        with opened(model, side, mode) as session:
            outputs = session.forward(feeds)
            taps = floats(session, model)
            found[side] = session.backward(feeds, draw_seeds(outputs), taps)
            plain = session.backward(feeds, draw_seeds(outputs))
        assert set(taps) <= found[side].keys()
        assert found[side].keys() - plain.keys() == set(taps)
        for each, gradient in plain.items():
            np.testing.assert_array_equal(found[side][each], gradient, err_msg=each)
    for left, right in combinations(found, 2):
        both = found[left].keys() & found[right].keys()
        assert any(each in inner_tensors(model) for each in both)
        for each in both:
            close(found[right][each], found[left][each], f"{each}: {left}, {right}")


@pytest.mark.mxnet
@pytest.mark.parametrize("name", ["unet", "fpn"])
def test_whole_networks_agree_in_training_mode(name: str) -> None:
    model = cast_floats(networks.model(name), "float64")
    feeds = feeds_of(model)
    outputs, gradients = {}, {}
    for side in ("native", "converted", "mxnet"):
        with opened(model, side, "train-no-dropout") as session:
            taps = floats(session, model)
            outputs[side] = session.forward(feeds, taps)
            seeds = draw_seeds({value.name or "": outputs[side][value.name or ""] for value in model.graph.outputs})
            gradients[side] = session.backward(feeds, seeds, taps)
    for found in (outputs, gradients):
        for side in ("converted", "mxnet"):
            for each in found["native"].keys() & found[side].keys():
                close(found[side][each], found["native"][each], f"{each}: {side}")
    with opened(model, "native") as session:
        evaluated = session.forward(feeds, floats(session, model))
    norms = [node.outputs[0].name for node in model.graph if node.op_type == "BatchNormalization"]
    assert norms
    for each in norms:
        assert np.abs(evaluated[each] - outputs["native"][each]).max() > 1e-3


def test_a_gradient_in_a_value_is_what_moving_it_does() -> None:
    """The second half of a model is run alone, on the tapped value moved by little."""
    torch.manual_seed(0)
    first, second = nn.Linear(4, 5), nn.Linear(5, 3)

    class Halves(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = first, second

        def forward(self, x: Tensor) -> Tensor:
            y = torch.sigmoid(self.first(x))
            z = y * y.sum()
            z += y
            out: Tensor = self.second(torch.tanh(z)) + y[:, :3]
            return out

    model = cast_floats(graphkit.load(Halves(), inputs=[(2, 4)]), "float64")
    feeds = feeds_of(model)
    (name,) = [node.outputs[0].name for node in model.graph if node.op_type == "Sigmoid"]
    for side in ("native", "converted"):
        with opened(model, side) as session:
            found = session.forward(feeds, [name])
            (seed,) = draw_seeds({"output": found["output"]}).values()
            gradient = session.backward(feeds, {"output": seed}, [name])[name]

        def value(y: Tensor, seed: Any = seed) -> float:
            z = y * y.sum() + y
            out = second.double()(torch.tanh(z)) + y[:, :3]
            return float((out * torch.from_numpy(seed)).sum())

        start, step = torch.from_numpy(found[name]), 1e-6
        for index in np.ndindex(*gradient.shape):
            ends = []
            for sign in (1, -1):
                moved = start.clone()
                moved[index] += sign * step
                with torch.no_grad():
                    ends.append(value(moved))
            assert gradient[index] == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-6, abs=1e-8)
    second.float()


TEXT = """
<ir_version: 10, opset_import: ["": 23]>
small (double[2, 3] x, int64[2] i) => (double[2, 3] y, double[2, 3] z, int64[2] k, int64[2, 3] n)
    <double[3] w = {2, 3, 5}>
{
    y = Mul(x, w)
    z = Exp(y)
    k = Add(i, i)
    s = Sin(y)
    n = Cast <to: int = 7> (s)
}
"""


@pytest.mark.mxnet
@pytest.mark.parametrize("side", ["converted", "mxnet", "ort", "reference"])
def test_gradients_in_outputs_and_in_what_nothing_reads(side: str) -> None:
    model = canonical(ir.from_onnx_text(TEXT))
    rng = np.random.default_rng(0)
    feeds = {"x": rng.standard_normal((2, 3)), "i": np.array([1, 2])}
    seeds = {"y": rng.standard_normal((2, 3)), "z": rng.standard_normal((2, 3))}
    with opened(model, side) as session:
        assert {"y", "z"} <= session.tappable
        found = session.backward(feeds, seeds, ["y", "z", "y"])
        z = np.exp(feeds["x"] * [2, 3, 5])
        np.testing.assert_allclose(found["z"], seeds["z"], rtol=1e-12)
        np.testing.assert_allclose(found["y"], seeds["y"] + seeds["z"] * z, rtol=1e-12)
        none = session.backward(feeds, seeds, ["s"])["s"]
        assert none.shape == (2, 3)
        assert none.dtype == np.float64
        assert not none.any()
        with pytest.raises(FeedError, match="no value 'absent'"):
            session.backward(feeds, seeds, ["absent"])
        with pytest.raises(FeedError, match="no gradient in 'x' here"):
            session.backward(feeds, seeds, ["x"])
        with pytest.raises(FeedError, match="'k', which has elements of int64"):
            session.backward(feeds, seeds, ["k"])


def test_sequences_and_strings_cannot_be_tapped(tmp_path: Path) -> None:
    text = """
    <ir_version: 10, opset_import: ["": 23]>
    lists (float[4] x, string[2] words, int64 where) => (float[2] y, string[2] z)
        <int64[1] one = {1}, int64[2] two = {2, 2}>
    {
        parts = SplitToSequence(x, two)
        part = SequenceAt(parts, where)
        y = Neg(part)
        z = StringConcat(words, words)
    }
    """
    ir.save(ir.from_onnx_text(text), tmp_path / "net.onnx")
    model = graphkit.load(tmp_path / "net.onnx")
    feeds = {"x": np.arange(4, dtype=np.float32), "words": np.array(["a", "b"], object), "where": np.array(1)}
    for name in ("ort", "reference"):
        with runtimes()[name].open(model) as session:
            assert {"y"} <= session.tappable <= {"part", "y"}
            found = session.forward(feeds, sorted(session.tappable))
            np.testing.assert_array_equal(found["y"], [-2, -3])
            assert list(found["z"]) == ["aa", "bb"]


def native(folder: Path, head: Any, args: Mapping[str, Any], np_shape: bool = False, **shapes: str) -> ir.Model:
    """An MXNet symbol, read."""
    symbol = graph(head)
    symbol.np_shape = np_shape
    file = checkpoint.write(MxModel(symbol, dict(args), {}), folder / "net")[0]
    return graphkit.load(file, inputs=[f"{name}:{shape}" for name, shape in shapes.items()])


@pytest.mark.mxnet
def test_symbols_are_tapped_by_the_names_of_their_nodes(tmp_path: Path) -> None:
    data = op("FullyConnected", "fc", var("data"), var("w"), var("b"), num_hidden=3)
    both = op("broadcast_mul", "both", op("Activation", "act", data, act_type="tanh"), data)
    head = op("SoftmaxOutput", "soft", both, var("label"))
    rng = np.random.default_rng(0)
    arrays = {"w": rng.standard_normal((3, 4)).astype("f"), "b": rng.standard_normal(3).astype("f")}
    model = cast_floats(native(tmp_path, head, arrays, data="2x4"), "float64")
    feeds = feeds_of(model)
    found = {}
    for native_too in (True, False):
        with runtimes()["mxnet"].open(model, native=native_too) as session:
            assert {"fc_output", "act_output", "both_output"} <= session.tappable
            taps = ["act_output", "fc_output", "both_output"]
            values = session.forward(feeds, taps)
            seeds = draw_seeds({value.name: values[value.name] for value in model.graph.outputs})
            found[native_too] = values | {f"gradient {k}": v for k, v in session.backward(feeds, seeds, taps).items()}
    for name, array in found[True].items():
        close(found[False][name], array, name)
    slope = found[True]["gradient both_output"] * found[True]["fc_output"]
    close(found[True]["gradient act_output"], slope, "act")


@pytest.mark.mxnet
@pytest.mark.parametrize("side", ["native", "mxnet"])
def test_values_around_control_flow_have_gradients(side: str) -> None:
    class Branch(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            h = x * 3
            y = torch.cond(h.sum() > 0, lambda a: a.sin() * 2, lambda a: a.cos(), (h,))
            return y * h

    program = torch.export.export(Branch(), (torch.ones(2, 3),))
    model = cast_floats(graphkit.load(program, warn=lambda _message: None), "float64")
    (output,) = [value.name for value in model.graph.outputs]
    for sign in (1, -1):
        x = sign * np.abs(np.random.default_rng(0).standard_normal((2, 3)))
        with opened(model, side) as session:
            taps = floats(session, model)
            values = session.forward({"x": x}, taps)
            found = session.backward({"x": x}, {output: np.ones((2, 3))}, taps)
        h = 3 * x
        slope = 2 * np.cos(h) * h + 2 * np.sin(h) if sign > 0 else -np.sin(h) * h + np.cos(h)
        (name,) = [tap for tap in taps if np.allclose(values[tap], h)]
        np.testing.assert_allclose(found[name], slope, rtol=1e-12)


LOOP = """
<ir_version: 10, opset_import: ["": 23]>
loop (double[5, 2, 4] x, double[2, 3] h) => (double[5, 2, 3] y, double[2, 3] z)
    <double[4, 3] w = {0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2}>
{
    p = Sin (x)
    start = Exp (h)
    last, rows = Scan <num_scan_inputs = 1, body = step (double[2, 3] before, double[2, 4] row) =>
        (double[2, 3] after, double[2, 3] out) { a = MatMul (row, w) s = Add (a, before) after = Tanh (s)
        out = Mul (after, before) }> (start, p)
    y = Mul (rows, rows)
    z = Mul (last, start)
}
"""


@pytest.mark.mxnet
def test_values_around_loops_have_gradients() -> None:
    model = canonical(ir.from_onnx_text(LOOP))
    rng = np.random.default_rng(0)
    feeds = {"x": rng.standard_normal((5, 2, 4)), "h": rng.standard_normal((2, 3))}
    seeds = {"y": rng.standard_normal((5, 2, 3)), "z": rng.standard_normal((2, 3))}
    found = {}
    for side in ("converted", "mxnet"):
        with opened(model, side) as session:
            taps = floats(session, model)
            assert {"p", "start", "y", "z"} <= set(taps)
            found[side] = session.forward(feeds, taps)
            found[side] |= {f"gradient in {k}": v for k, v in session.backward(feeds, seeds, taps).items()}
    both = found["converted"].keys() & found["mxnet"].keys()
    assert {"gradient in p", "gradient in start", "gradient in y"} <= both
    for name in both:
        close(found["mxnet"][name], found["converted"][name], name)
    slope = found["converted"]["gradient in p"] * np.cos(feeds["x"])
    close(found["mxnet"]["gradient in x"], slope, "x")


@pytest.mark.mxnet
def test_values_without_axes_have_gradients_in_numpy_mode(tmp_path: Path) -> None:
    x = var("x")
    squared = op("_npi_multiply", "squared", x, x)
    total = op("_np_sum", "total", squared, axis="None", keepdims="False")
    head = op("_npi_multiply", "head", squared, total)
    model = cast_floats(native(tmp_path, head, {}, np_shape=True, x="2x3"), "float64")
    feeds = {"x": np.random.default_rng(0).standard_normal((2, 3))}
    seed = {"head_output": np.random.default_rng(1).standard_normal((2, 3))}
    square = feeds["x"] ** 2
    for native_too in (True, False):
        with runtimes()["mxnet"].open(model, native=native_too) as session:
            assert {"squared_output", "total_output"} <= session.tappable
            found = session.backward(feeds, seed, ["total_output", "squared_output"])
        assert found["total_output"].shape == ()
        slope = (seed["head_output"] * square).sum()
        np.testing.assert_allclose(found["total_output"], slope, rtol=1e-12)
        np.testing.assert_allclose(found["squared_output"], seed["head_output"] * square.sum() + slope, rtol=1e-12)


def test_training_mode_has_the_same_taps_as_inference() -> None:
    model = networks.model("unet")
    for name in ("ort", "reference"):
        runtime = runtimes()[name]
        with runtime.open(model) as plain, runtime.open(model, mode="train-no-dropout") as trained:
            assert trained.tappable == plain.tappable
            feeds = draw_inputs(model)
            norm = next(node.outputs[0].name or "" for node in model.graph if node.op_type == "BatchNormalization")
            one, two = plain.forward(feeds, [norm])[norm], trained.forward(feeds, [norm])[norm]
            assert one.shape == two.shape
            assert not np.allclose(one, two, atol=1e-3)
