"""Pairs of files of one network, with single faults, and which values of the two hold the same numbers."""

from __future__ import annotations

import random
import warnings
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir
import torch
from networks import BasicBlock, DenseLayer, InvertedResidual, UNet, calibrated
from torch import Tensor, nn

import graphkit
from graphkit.frameworks.base import runtimes

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphkit.ir.alignment import Alignment

__all__ = ["FAULTS", "FORMS", "SOURCES", "Score", "faulty", "form", "renamed", "score", "source", "truth", "twins"]


class Encoder(nn.Module):
    """Two layers of a transformer's encoder between linear layers."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(8, 16)
        layer = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(16, 3)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.encoder(self.embed(x)))
        return out


class Recurrent(nn.Module):
    """Two layers of a bidirectional LSTM, and a linear one on its last step."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(6, 7, 2, bidirectional=True, batch_first=True)
        self.head = nn.Linear(14, 4)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.lstm(x)[0][:, -1])
        return out


def _drawn(module: nn.Module) -> nn.Module:
    """Weights and biases of which no two are the same."""
    rng = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=rng) * 0.3 + (parameter.ndim == 1))
    return module.eval()


def _resnet() -> nn.Module:
    stem = (nn.Conv2d(3, 8, 7, 2, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(3, 2, 1))
    blocks = (BasicBlock(8, 8, 1), BasicBlock(8, 16, 2), BasicBlock(16, 16, 1))
    return nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10))


def _densenet() -> nn.Module:
    stem = (nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(3, 2, 1))
    layers = [DenseLayer(8 + 4 * index, 4, 0.1) for index in range(4)]
    join = (nn.BatchNorm2d(24), nn.ReLU(), nn.Conv2d(24, 12, 1, bias=False), nn.AvgPool2d(2))
    more = [DenseLayer(12 + 4 * index, 4, 0.1) for index in range(3)]
    return nn.Sequential(*stem, *layers, *join, *more, nn.BatchNorm2d(24), nn.AdaptiveAvgPool2d(1), nn.Flatten())


def _mobilenet() -> nn.Module:
    blocks = [InvertedResidual(*sizes) for sizes in ((8, 8, 1, 1), (8, 12, 2, 6), (12, 12, 1, 6), (12, 16, 2, 6))]
    stem = (nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU6())
    return nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10))


IMAGE = (2, 3, 32, 32)
SOURCES: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "encoder": (lambda: _drawn(Encoder()), (2, 5, 8)),
    "lstm": (lambda: _drawn(Recurrent()), (2, 5, 6)),
    "resnet": (lambda: calibrated(_resnet(), IMAGE), IMAGE),
    "densenet": (lambda: calibrated(_densenet(), IMAGE), IMAGE),
    "mobilenet": (lambda: calibrated(_mobilenet(), IMAGE), IMAGE),
    "unet": (lambda: calibrated(UNet(), IMAGE), IMAGE),
}
"""Modules and the shapes of their inputs."""
FORMS = ("onnx", "mxnet", "exported", "scripted", "renamed")
"""What a network is compared with: graphkit's files of it, those of PyTorch's exporters, a copy with other names."""

_FOLDER = TemporaryDirectory()


@cache
def source(name: str) -> ir.Model:
    """A network as graphkit reads it from PyTorch; not to be changed."""
    build, shape = SOURCES[name]
    return graphkit.load(build(), inputs=["x".join(map(str, shape))])


@cache
def form(name: str, kind: str) -> ir.Model:
    """The network in another file, read back; not to be changed."""
    build, shape = SOURCES[name]
    if kind == "mxnet":
        graphkit.save(source(name), Path(_FOLDER.name, name), to="mxnet")
        return graphkit.load(str(Path(_FOLDER.name, f"{name}-symbol.json")), inputs=["x".join(map(str, shape))])
    path = Path(_FOLDER.name, f"{name}-{kind}.onnx")
    if kind in ("onnx", "renamed"):
        graphkit.save(source(name), path, to="onnx")
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(build(), (torch.zeros(shape),), str(path), dynamo=kind == "exported", verbose=False)
    found = graphkit.load(str(path))
    return renamed(found)[0] if kind == "renamed" else found


@cache
def truth(name: str, kind: str) -> dict[str, frozenset[str]]:
    """Names of the values of a form that hold the same numbers as each value of the network."""
    return twins(source(name), form(name, kind), SOURCES[name][1])


def renamed(model: ir.Model, letter: str = "v") -> tuple[ir.Model, dict[str, str]]:
    """The model with nodes, values and weights called v1, v2, … and its weights in another order; and the new names."""
    model = model.clone()
    names: dict[str, str] = {}
    values = [*model.graph.inputs, *model.graph.initializers.values()]
    values += [value for node in model.graph for value in node.outputs]
    random.Random(0).shuffle(values)
    for index, value in enumerate(values):
        names[value.name or ""] = value.name = f"{letter}{index}"
    for index, node in enumerate(model.graph):
        node.name = f"n{index}"
        node.metadata_props.clear()
    held = list(model.graph.initializers.values())
    model.graph.initializers.clear()
    random.Random(1).shuffle(held)
    for value in held:
        model.graph.initializers.add(value)
    return model, names


def _taps(model: ir.Model, feeds: dict[str, Any]) -> dict[str, Any]:
    """All values between nodes, outputs and stored arrays."""
    runtime = runtimes()["reference"]
    with runtime.open(model) as session:
        found = dict(session.forward(feeds, sorted(session.tappable)))
    return found | {name: value.const_value.numpy() for name, value in model.graph.initializers.items()} | feeds


def twins(left: ir.Model, right: ir.Model, shape: tuple[int, ...]) -> dict[str, frozenset[str]]:
    """Names of the values of ``right`` that hold the same numbers as each value of ``left``."""
    feed = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    ours = _taps(left, {left.graph.inputs[0].name: feed})
    theirs = _taps(right, {right.graph.inputs[0].name: feed})
    found = {}
    for name, array in ours.items():
        scale = np.abs(array).max(initial=0) if array.dtype.kind == "f" else 0
        found[name] = frozenset(
            other
            for other, guess in theirs.items()
            if array.shape == guess.shape
            and (array.dtype.kind == "f") == (guess.dtype.kind == "f")
            and (np.abs(array - guess).max(initial=0) <= 1e-4 * scale if scale else np.array_equal(array, guess))
        )
    return found


@dataclass
class Score:
    """How good an alignment is.

    Attributes:
        pairs: Pairs of computed values told.
        wrong: Those that do not hold the same numbers (before the fault).
        reachable: Computed values of the left model with a counterpart.
        missed: Those of them without one told.
    """

    pairs: int = 0
    wrong: list[tuple[str, str]] = field(default_factory=list)
    reachable: int = 0
    missed: list[str] = field(default_factory=list)


def score(left: ir.Model, right: ir.Model, alignment: Alignment, alike: dict[str, frozenset[str]]) -> Score:
    """Compare an alignment with :func:`truth`; values that the right model lost to a fault do not count."""
    made = Score()
    left_names = {value.name for node in left.graph for value in node.outputs if value.name}
    right_names = {value.name for node in right.graph for value in node.outputs if value.name}
    classes: dict[frozenset[str], list[str]] = {}
    for name in left_names:
        there = alike.get(name, frozenset()) & right_names
        if there:
            classes.setdefault(there, []).append(name)
        other = alignment.values.get(name)
        if other in right_names:
            made.pairs += 1
            if other not in alike.get(name, ()):
                made.wrong.append((name, other))
    for there, names in classes.items():
        made.reachable += min(len(there), len(names))
        missed = [name for name in names if name not in alignment.values]
        made.missed += missed[: max(0, min(len(there), len(names)) - (len(names) - len(missed)))]
    return made


def _nodes(model: ir.Model, *ops: str) -> list[ir.Node]:
    return [node for node in model.graph if node.op_type in ops]


def _inserted(model: ir.Model, value: ir.Value, op: str, **attributes: Any) -> ir.Value:
    """Insert a node of one input after a value; everything but the new node reads the new value."""
    node = ir.node(op, [value], attributes, num_outputs=1, name=f"inserted_{op}_{value.name}")
    node.outputs[0].name = f"inserted_{op}_{value.name}_value"
    producer = value.producer()
    assert producer is not None
    for user, index in list(value.uses()):
        user.replace_input_with(index, node.outputs[0])
    node.replace_input_with(0, value)
    model.graph.insert_after(producer, node)
    return node.outputs[0]


def _removed(model: ir.Model, node: ir.Node) -> None:
    data = next(value for value in node.inputs if value is not None and value.producer() is not None)
    for user, index in list(node.outputs[0].uses()):
        user.replace_input_with(index, data)
    model.graph.remove(node, safe=True)


def _stored(node: ir.Node, least: int = 1) -> ir.Value:
    return next(
        value
        for value in node.inputs
        if value is not None
        and value.const_value is not None
        and value.dtype == ir.DataType.FLOAT
        and len(value.shape or ()) >= least
    )


def _set(value: ir.Value, array: Any) -> None:
    value.const_value = ir.tensor(np.ascontiguousarray(array), name=value.name)


def _inner(model: ir.Model, *ops: str) -> list[ir.Node]:
    """Nodes of some operators that compute no output."""
    return [node for node in _nodes(model, *ops) if not node.outputs[0].is_graph_output()]


def _attribute(model: ir.Model, pick: Callable[[list[ir.Node]], ir.Node]) -> None:
    node = pick(_nodes(model, "BatchNormalization", "LayerNormalization", "Conv", "LSTM"))
    if node.op_type == "Conv":
        top, left, bottom, right = node.attributes.get_ints("pads", (0, 0, 0, 0))
        if not top + left:
            raise LookupError("this convolution has no padding")
        node.attributes["pads"] = ir.AttrInt64s("pads", (0, 0, top + bottom, left + right))
    elif node.op_type == "LSTM":
        node.attributes["clip"] = ir.AttrFloat32("clip", 0.1)
    else:
        node.attributes["epsilon"] = ir.AttrFloat32("epsilon", 0.5)


def _swapped(model: ir.Model, pick: Callable[[list[ir.Node]], ir.Node]) -> None:
    node = pick([n for n in _nodes(model, "Concat", "Attention", "Add", "Sub") if n.inputs[0] and n.inputs[1]])
    first, second = node.inputs[:2]
    node.replace_input_with(0, second)
    node.replace_input_with(1, first)


def _perturbed(model: ir.Model, pick: Callable[[list[ir.Node]], ir.Node]) -> None:
    value = _stored(pick(_nodes(model, "Conv", "Gemm", "LayerNormalization")))
    array = value.const_value.numpy().copy()
    array.flat[array.size // 2] += 1
    _set(value, array)


def _flipped(model: ir.Model, pick: Callable[[list[ir.Node]], ir.Node]) -> None:
    value = _stored(pick(_nodes(model, "Conv", "Gemm")), 2)
    array = value.const_value.numpy()
    square = array.shape[0] == array.shape[1]
    _set(value, array.swapaxes(0, 1) if square else array[::-1])


def _biasless(model: ir.Model, pick: Callable[[list[ir.Node]], ir.Node]) -> None:
    node = pick([node for node in _nodes(model, "Conv", "Gemm") if len(node.inputs) > 2])
    node.resize_inputs(2)


def _dropped(model: ir.Model, pick: Callable[[list[ir.Node]], ir.Node]) -> None:
    shifts = [node for node in _inner(model, "Add", "BatchNormalization") if any(v.const_value for v in node.inputs)]
    _removed(model, pick(shifts))


def _turned(model: ir.Model, pick: Callable[[list[ir.Node]], ir.Node]) -> None:
    node = pick(_inner(model, "Relu", "Clip", "MaxPool", "Gemm", "LayerNormalization"))
    rank = len(node.outputs[0].shape or ())
    if rank == 4:
        _inserted(model, node.outputs[0], "Transpose", perm=[0, 1, 3, 2])
    else:
        order = list(range(rank))
        turned = _inserted(model, node.outputs[0], "Transpose", perm=order[::-1])
        _inserted(model, turned, "Transpose", perm=order[::-1])


def _narrowed(model: ir.Model, pick: Callable[[list[ir.Node]], ir.Node]) -> None:
    node = pick(_inner(model, "Relu", "Clip", "MaxPool", "Gemm", "LayerNormalization", "Conv"))
    half = _inserted(model, node.outputs[0], "Cast", to=int(ir.DataType.FLOAT16))
    _inserted(model, half, "Cast", to=int(ir.DataType.FLOAT))


def _removed_node(model: ir.Model, pick: Callable[[list[ir.Node]], ir.Node]) -> None:
    _removed(model, pick(_inner(model, "Relu", "Clip", "LayerNormalization", "Tanh")))


def _replaced(model: ir.Model, pick: Callable[[list[ir.Node]], ir.Node]) -> None:
    node = pick(_inner(model, "Relu", "Clip", "MaxPool", "Softmax", "Tanh"))
    if node.op_type == "MaxPool":
        attributes = [node.attributes[k] for k in ("kernel_shape", "strides", "pads") if k in node.attributes]
        new = ir.Node("", "AveragePool", [node.inputs[0]], attributes, num_outputs=1, name=node.name)
    else:
        new = ir.Node("", "Sigmoid", [node.inputs[0]], num_outputs=1, name=node.name)
    name = node.outputs[0].name
    model.graph.insert_after(node, new)
    for user, index in list(node.outputs[0].uses()):
        user.replace_input_with(index, new.outputs[0])
    model.graph.remove(node, safe=True)
    new.outputs[0].name = name


FAULTS: dict[str, Callable[[ir.Model, Callable[[list[ir.Node]], ir.Node]], None]] = {
    "attribute": _attribute,
    "swapped inputs": _swapped,
    "perturbed weight": _perturbed,
    "transposed weight": _flipped,
    "missing bias": _biasless,
    "dropped shift": _dropped,
    "inserted transpose": _turned,
    "inserted cast": _narrowed,
    "removed node": _removed_node,
    "other operator": _replaced,
}
"""Single faults, each planted at a node that ``pick`` takes from those that can have it."""


def faulty(name: str, kind: str, fault: str, seed: int = 0) -> ir.Model | None:
    """A form of a network with a fault, written and read back; None where it has no place for it."""
    found = form(name, kind).clone()
    rng = random.Random(seed)

    def pick(nodes: list[ir.Node]) -> ir.Node:
        if not nodes:
            raise LookupError
        return rng.choice(nodes)

    try:
        FAULTS[fault](found, pick)
    except (LookupError, StopIteration):
        return None
    for node in found.graph:
        for value in node.outputs:
            if not value.is_graph_output():
                value.shape = None
    path = Path(_FOLDER.name, "faulty.onnx")
    graphkit.save(found, path, to="onnx")
    return graphkit.load(str(path))
