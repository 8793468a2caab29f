"""The networks that faults are planted in, and the forms in which a spoilt network is met."""

from __future__ import annotations

import math
import zlib
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import TYPE_CHECKING, Any, cast

import gluonzoo
import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  # torch's own spelling
from faults import FAULTS
from networks import calibrated
from pairs import SOURCES
from torch import Tensor, nn

import graphkit
from graphkit.frameworks.base import Batch, Sgd, runtimes
from graphkit.ir.alignment import align
from graphkit.ir.origin import origin_of
from graphkit.ir.shapes import infer_shapes
from graphkit.parity.inputs import draw_seeds, in_dtype
from graphkit.parity.samples import drawn
from graphkit.passes.cast_floats import cast_floats

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt
    import onnx_ir as ir

    from graphkit.frameworks.base import TrainableSession

__all__ = ["FORMS", "NETWORKS", "effect", "form", "source", "spoilt"]


class Attention(nn.Module):
    """Self-attention of two heads, by the fused operator or spelt out."""

    def __init__(self, width: int, fused: bool) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.out = nn.Linear(width, width)
        self.fused = fused

    def forward(self, x: Tensor) -> Tensor:
        batch, length, width = x.shape
        query, key, value = (
            layer(x).reshape(batch, length, 2, width // 2).permute(0, 2, 1, 3)
            for layer in (self.query, self.key, self.value)
        )
        if self.fused:
            mixed = F.scaled_dot_product_attention(query, key, value)
        else:
            scores = query @ key.transpose(-1, -2) / (width // 2) ** 0.5
            mixed = F.softmax(scores, -1) @ value
        out: Tensor = self.out(mixed.permute(0, 2, 1, 3).reshape(batch, length, width))
        return out


class Layer(nn.Module):
    """Attention and a feed-forward part, each added to its normalised input."""

    def __init__(self, width: int, fused: bool) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width, fused)
        self.widen, self.narrow = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.gelu = nn.GELU("none" if fused else "tanh")

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm1(x))
        out: Tensor = x + self.narrow(self.gelu(self.widen(self.norm2(x))))
        return out


class Transformer(nn.Module):
    """Two such layers over embedded numbers; the first and the mean of all places are classified together."""

    def __init__(self) -> None:
        super().__init__()
        width = 8
        self.embed = nn.Linear(6, width)
        self.places = nn.Parameter(torch.zeros(4, width))
        self.layers = nn.Sequential(Layer(width, fused=True), Layer(width, fused=False))
        self.head = nn.Linear(2 * width, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.layers(self.embed(x) + self.places)
        out: Tensor = self.head(torch.cat([x[:, 0], x.mean(1)], 1))
        return out


class Recurrent(nn.Module):
    """An LSTM and a GRU, one after the other, whose last steps are subtracted and classified."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(6, 8, batch_first=True)
        self.gru = nn.GRU(8, 8, batch_first=True)
        self.head = nn.Linear(8, 8)
        self.last = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        one = self.lstm(x)[0]
        two = self.gru(one)[0]
        x = torch.tanh(self.head(two[:, -1] - one[:, -1]))
        return F.log_softmax(self.last(x), 1)


class Segmenter(nn.Module):
    """An hourglass of many kinds of layers: dilated, grouped and transposed convolutions, resizing, gates."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.down = nn.Conv2d(8, 16, 3, 2, 1, groups=2)
        self.norm = nn.BatchNorm2d(16)
        self.wide = nn.Conv2d(16, 16, 3, padding=2, dilation=2)
        self.gate = nn.Conv2d(16, 16, 1)
        self.up = nn.ConvTranspose2d(16, 8, 4, 2, 1)
        self.merge = nn.Conv2d(24, 8, 3, padding=1)
        self.leaky, self.elu = nn.LeakyReLU(0.1), nn.ELU(0.7)
        self.head = nn.Conv2d(8, 2, 1)

    def forward(self, image: Tensor) -> Tensor:
        one = self.leaky(self.stem(image))
        pooled = F.avg_pool2d(one, 3, 1, 1, count_include_pad=False)
        two = self.elu(self.norm(self.down(pooled)))
        wide = self.wide(two)
        gated = wide * torch.sigmoid(self.gate(two)) - two
        up = self.up(gated)
        again = F.interpolate(F.max_pool2d(one, 3, 2, 1), scale_factor=2.0, mode="bilinear", align_corners=False)
        x = F.relu(self.merge(torch.cat([one, up, again], 1)))
        out: Tensor = self.head(x)
        return out


def _drawn(module: nn.Module, scale: float) -> nn.Module:
    """Seeded weights of which no two are the same."""
    rng = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            ones = "norm" in name and name.endswith("weight")
            parameter.copy_(torch.randn(parameter.shape, generator=rng) * scale + ones)
    return module.eval()


_IMAGE = (2, 3, 32, 32)
_MODULES: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "resnet": SOURCES["resnet"],
    "mobilenet": SOURCES["mobilenet"],
    "segmenter": (lambda: calibrated(Segmenter(), _IMAGE), _IMAGE),
    "transformer": (lambda: _drawn(Transformer(), 0.5), (2, 4, 6)),
    "recurrent": (lambda: _drawn(Recurrent(), 0.5), (2, 5, 6)),
}
_SYMBOLS = {"squeezenet": ("squeezenet1.1", (2, 3, 209, 209))}
NETWORKS = (*_MODULES, *_SYMBOLS)
"""Five networks of PyTorch and one that MXNet made."""
FORMS = ("onnx", "renamed", "mxnet", "torch", "converted")
"""What a spoilt network is met as: graphkit's files of it, read back, among them an ONNX file in which nothing keeps
its name; and what a wrong converter would give, the spoilt form of a source that is at hand."""

_FOLDER = TemporaryDirectory()


@cache
def source(name: str) -> ir.Model:
    """A network as graphkit reads it; not to be changed."""
    if name in _SYMBOLS:
        network, shape = _SYMBOLS[name]
        symbol = gluonzoo.make(Path(_FOLDER.name), [network])[network]
        return graphkit.load(symbol, inputs=["x".join(map(str, shape))])
    build, shape = _MODULES[name]
    return graphkit.load(build(), inputs=["x".join(map(str, shape))])


def spoilt(name: str, fault: str) -> tuple[ir.Model, list[str]] | None:
    """A network with a fault, which still knows its source, and the nodes that count; None where it has no place."""
    model = source(name).clone()
    model.meta.update(source(name).meta)
    rng = np.random.default_rng([zlib.crc32(name.encode()), zlib.crc32(fault.encode())])
    nodes = FAULTS[fault].plant(model, rng)
    if not nodes:
        return None
    for node in model.graph:
        for value in node.outputs:
            if not value.is_graph_output():
                value.shape = None
    infer_shapes(model)
    return model, nodes


def effect(name: str, model: ir.Model) -> dict[str, float]:
    """How far a spoilt network is from the sound one, both in float64 on PyTorch in their converted form.

    Returns:
        The largest max|difference| / max|magnitude| of its ``"outputs"`` and ``"gradients"`` and, after a step of
        training, of its running ``"statistics"``; infinite where shapes differ or a number is not finite.
    """
    sound, other = _sound(name), _numbers(model)
    return {
        what: max((_apart(sound[what][key], other[what].get(key)) for key in sound[what]), default=0.0)
        for what in sound
    }


@cache
def _sound(name: str) -> dict[str, dict[str, npt.NDArray[Any]]]:
    return _numbers(source(name))


def _numbers(model: ir.Model) -> dict[str, dict[str, npt.NDArray[Any]]]:
    single, double = cast_floats(model, "float32"), cast_floats(model, "float64")
    sample = drawn((0,), ())[0]
    feeds = in_dtype(sample.feeds(single), np.float64)
    runtime = runtimes()["torch"]
    with runtime.open(double, native=False) as session:
        outputs = session.forward(feeds)
        seeds = draw_seeds(outputs, 0)
        gradients = session.backward(feeds, in_dtype(seeds, np.float64))
    with runtime.open(double, native=False, mode="train-no-dropout") as session:
        batch = Batch(feeds, {key: np.zeros_like(array) for key, array in outputs.items()}, dict.fromkeys(outputs, 1.0))
        step = next(iter(cast("TrainableSession", session).train([batch], Sgd())))
    return {"outputs": dict(outputs), "gradients": dict(gradients), "statistics": dict(step.buffers)}


def _apart(one: npt.NDArray[Any], two: npt.NDArray[Any] | None) -> float:
    if two is None or two.shape != one.shape:
        return 0.0 if two is None else math.inf
    scale = float(np.abs(one).max(initial=0)) or 1.0
    found = float(np.abs(one - two).max(initial=0)) / scale
    return found if math.isfinite(found) else math.inf


def form(model: ir.Model, kind: str, nodes: list[str]) -> tuple[ir.Model, frozenset[str]]:
    """A spoilt model in one of :data:`FORMS`, and what some of its nodes are called there."""
    if kind == "converted":
        return model, frozenset(nodes)
    bare = model.clone()
    if kind == "renamed":
        called = _rename(bare)
        return _stored(bare, "onnx"), frozenset(called[name] for name in nodes)
    found = _stored(bare, kind)
    if kind == "torch":  # source names its variables anew
        pairs = [(pair.left, pair.right) for pair in align(bare, found).nodes]
        return found, frozenset(two.name or "" for one, two in pairs if one and two and one.name in nodes)
    return found, _called(bare, found, nodes)


def _stored(model: ir.Model, to: str) -> ir.Model:
    """What reading gives of a file that writing made; the file stays, as runtimes open it."""
    folder = mkdtemp(dir=_FOLDER.name)
    path = Path(folder, "spoilt.onnx" if to == "onnx" else "spoilt")
    graphkit.save(model, path, to=to)
    dims = [tuple(dim if isinstance(dim, int) else 2 for dim in value.shape or ()) for value in model.graph.inputs]
    symbol = Path(folder, "spoilt-symbol.json")
    return graphkit.load(symbol if to == "mxnet" else path, inputs=() if to == "onnx" else dims)


def _rename(model: ir.Model) -> dict[str, str]:
    """Give everything but the inputs and outputs other names, and take out where nodes came from; the new names."""
    kept = {*model.graph.inputs, *model.graph.outputs}
    values = [*model.graph.initializers.values(), *(value for node in model.graph for value in node.outputs)]
    for index, value in enumerate(value for value in values if value not in kept):
        value.name = f"v{index}"
    called: dict[str, str] = {}
    for index, node in enumerate(model.graph):
        called[node.name or ""] = f"n{index}"
        node.name = f"n{index}"
        for key in [key for key in node.metadata_props if "origin" in key]:
            del node.metadata_props[key]
    return called


def _called(model: ir.Model, found: ir.Model, nodes: list[str]) -> frozenset[str]:
    """Nodes of what was read back: those that a node became, else those that became of the same piece of the source."""
    before, after = list(model.graph), list(found.graph)
    if [node.op_type for node in before] == [node.op_type for node in after]:
        return frozenset(two.name or "" for one, two in zip(before, after, strict=True) if one.name in nodes)
    names = {node.name or "" for node in model.graph}
    became: dict[str, set[str]] = {name: set() for name in names}
    for node in found.graph:
        whole = [node.name or "", origin_of(node).name]
        stems = [name for name in names for each in whole if each == name or each.startswith((f"{name}_", f"{name}."))]
        if stems:
            became[max(stems, key=len)].add(node.name or "")
    pieces = {node.name or "": origin_of(node) for node in model.graph}
    meant: set[str] = set()
    for name in nodes:
        piece = pieces[name]
        kin = [other for other, origin in pieces.items() if origin.name and origin == piece]
        meant |= became[name] or set().union(*(became[other] for other in kin))
    return frozenset(meant)
