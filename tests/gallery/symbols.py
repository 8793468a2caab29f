"""Networks that MXNet 1.9.1 itself writes, as its examples, GluonCV and GluonNLP build them, in small.

    python tests/gallery/symbols.py FOLDER NAME …    writes FOLDER/NAME-symbol.json and FOLDER/NAME-0000.params

Weights are drawn from a seed; each has the variance that keeps that of what it multiplies.
"""

from __future__ import annotations

import subprocess
import sys
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["SYMBOLS", "make"]

CLASSES = 4
WORDS = 99
UNITS = 32
HEADS = 4


def conv_bn(mx: Any, data: Any, width: int, name: str, stride: int = 1) -> Any:
    """Convolution, BatchNorm with the scale fixed, as symbols before 1.0 have it, and ReLU."""
    x = mx.sym.Convolution(
        data, name=f"{name}_conv", num_filter=width, kernel=(3, 3), stride=(stride, stride), pad=(1, 1), no_bias=True
    )
    return mx.sym.Activation(
        mx.sym.BatchNorm(x, name=f"{name}_bn", fix_gamma=True), act_type="relu", name=f"{name}_relu"
    )


def ssd(mx: Any) -> Any:
    """SSD of MXNet's examples: anchors, detection and suppression are operators of MXNet's own."""
    first = conv_bn(mx, conv_bn(mx, mx.sym.var("data"), 16, "stem1", 2), 24, "stem2", 2)
    maps = [first, conv_bn(mx, first, 32, "deep", 2)]
    scores, offsets, anchors = [], [], []
    for index, (x, sizes) in enumerate(zip(maps, ((0.2, 0.3), (0.5, 0.7)), strict=True)):
        for found, width, kind in ((scores, CLASSES + 1, "cls"), (offsets, 4, "loc")):
            head = mx.sym.Convolution(
                x, name=f"map{index}_{kind}_pred", num_filter=2 * width, kernel=(3, 3), pad=(1, 1)
            )
            found.append(mx.sym.Flatten(mx.sym.transpose(head, axes=(0, 2, 3, 1))))
        prior = mx.sym.contrib.MultiBoxPrior(x, sizes=sizes, ratios=(1,), clip=False, name=f"map{index}_anchors")
        anchors.append(mx.sym.Flatten(prior))
    classes = mx.sym.Reshape(mx.sym.Concat(*scores, dim=1), shape=(0, -1, CLASSES + 1))
    classes = mx.sym.SoftmaxActivation(mx.sym.transpose(classes, axes=(0, 2, 1)), mode="channel", name="cls_prob")
    boxes = mx.sym.Concat(*offsets, dim=1, name="loc_pred")
    anchor = mx.sym.Reshape(mx.sym.Concat(*anchors, dim=1), shape=(0, -1, 4), name="anchors")
    found = mx.sym.contrib.MultiBoxDetection(
        classes, boxes, anchor, name="detection", nms_threshold=0.45, force_suppress=False, nms_topk=20
    )
    return mx.sym.Group([found, classes, boxes])


def fcn(mx: Any) -> Any:
    """FCN-16s of MXNet's examples: scores of two maps, enlarged by Deconvolution, cut to size and added."""
    data = mx.sym.var("data")
    x = mx.sym.Convolution(data, num_filter=12, kernel=(3, 3), pad=(8, 8), name="conv1")
    x = mx.sym.Pooling(
        mx.sym.Activation(x, act_type="relu"), kernel=(2, 2), stride=(2, 2), pool_type="max", name="pool1"
    )
    x = mx.sym.Activation(
        mx.sym.Convolution(x, num_filter=16, kernel=(3, 3), pad=(1, 1), name="conv2"), act_type="relu"
    )
    shallow = mx.sym.Pooling(x, kernel=(2, 2), stride=(2, 2), pool_type="max", name="pool2")
    x = mx.sym.Convolution(shallow, num_filter=24, kernel=(3, 3), pad=(1, 1), name="conv3")
    x = mx.sym.Pooling(
        mx.sym.Activation(x, act_type="relu"), kernel=(2, 2), stride=(2, 2), pool_type="max", name="pool3"
    )
    x = mx.sym.Dropout(
        mx.sym.Activation(mx.sym.Convolution(x, num_filter=24, kernel=(1, 1), name="fc6"), act_type="relu")
    )
    score = mx.sym.Convolution(x, num_filter=CLASSES, kernel=(1, 1), name="score")
    score2 = mx.sym.Deconvolution(score, kernel=(4, 4), stride=(2, 2), num_filter=CLASSES, no_bias=True, name="score2")
    skip = mx.sym.Convolution(shallow, num_filter=CLASSES, kernel=(1, 1), name="score_pool2")
    fused = mx.sym.Crop(score2, skip, offset=(1, 1), num_args=2, name="score2c") + skip
    large = mx.sym.Deconvolution(fused, kernel=(8, 8), stride=(4, 4), num_filter=CLASSES, no_bias=True, name="bigscore")
    large = mx.sym.Crop(large, data, offset=(9, 9), num_args=2, name="upscore")
    return mx.sym.SoftmaxOutput(large, multi_output=True, use_ignore=True, ignore_label=255, name="softmax")


def espcn(mx: Any) -> Any:
    """The super-resolution of Gluon's examples: pixels shuffled by Reshape's codes -4 and -3."""
    nn = mx.gluon.nn

    class Net(nn.HybridBlock):  # type: ignore[misc, name-defined]  # mxnet has no types
        def __init__(self, factor: int) -> None:
            super().__init__(prefix="espcn_")
            self.factor = factor
            with self.name_scope():
                widths = ((16, 5), (16, 3), (8, 3), (factor**2, 3))
                self.convs = [nn.Conv2D(width, size, padding=size // 2) for width, size in widths]
                for conv in self.convs:
                    self.register_child(conv)

        def hybrid_forward(self, F: Any, x: Any) -> Any:  # noqa: N803  # Gluon's own name
            for conv in self.convs[:-1]:
                x = F.Activation(conv(x), act_type="relu")
            x = F.reshape(self.convs[-1](x), (0, -4, -1, self.factor**2, 0, 0))
            x = F.reshape(x, (0, 0, -4, self.factor, self.factor, 0, 0))
            x = F.transpose(x, (0, 1, 4, 2, 5, 3))
            return F.reshape(x, (0, 0, -3, -3))

    net = Net(3)
    net.hybridize()
    return net(mx.sym.var("data"))


def textcnn(mx: Any) -> Any:
    """Kim's CNN for sentences, of MXNet's examples: windows of 3, 4 and 5 words, the largest of each filter."""
    words = mx.sym.Embedding(mx.sym.var("data"), input_dim=WORDS, output_dim=16, name="embedding")
    image = mx.sym.expand_dims(words, axis=1)
    found = []
    for window in (3, 4, 5):
        x = mx.sym.Convolution(image, kernel=(window, 16), num_filter=8, name=f"window{window}")
        x = mx.sym.Activation(x, act_type="relu")
        found.append(mx.sym.Pooling(x, global_pool=True, kernel=(1, 1), pool_type="max"))
    x = mx.sym.Dropout(mx.sym.Flatten(mx.sym.Concat(*found, dim=1)), p=0.5)
    return mx.sym.SoftmaxOutput(mx.sym.FullyConnected(x, num_hidden=3, name="fc"), name="softmax")


def bert(mx: Any) -> Any:
    """BERT of GluonNLP: attention by MXNet's interleaved products, a softmax that is told the texts' lengths."""
    sym = mx.sym
    x = sym.Embedding(sym.var("data"), input_dim=WORDS, output_dim=UNITS, name="word_embed")
    places = sym.contrib.arange_like(sym.var("data"), axis=1)
    places = sym.Embedding(places, input_dim=64, output_dim=UNITS, name="position_embed")
    x = sym.broadcast_add(x, sym.expand_dims(places, axis=0))
    x = sym.transpose(sym.LayerNorm(x, name="embed_norm", eps=1e-12), axes=(1, 0, 2))
    length = sym.Reshape(
        sym.broadcast_axis(sym.expand_dims(sym.var("valid_length"), axis=1), axis=1, size=HEADS), shape=(-1, 1)
    )
    for name in ("layer0",):
        qkv = sym.FullyConnected(x, num_hidden=3 * UNITS, flatten=False, name=f"{name}_qkv")
        scores = sym.contrib.interleaved_matmul_selfatt_qk(qkv, heads=HEADS, name=f"{name}_scores")
        seen = sym.broadcast_like(length, sym.slice_axis(scores, axis=2, begin=0, end=1).reshape((0, 0)))
        weights = sym.softmax(scores, seen.astype("int32"), axis=-1, use_length=True, name=f"{name}_weights")
        mixed = sym.contrib.interleaved_matmul_selfatt_valatt(qkv, weights, heads=HEADS, name=f"{name}_mixed")
        mixed = sym.FullyConnected(mixed, num_hidden=UNITS, flatten=False, name=f"{name}_proj")
        x = sym.LayerNorm(x + mixed, name=f"{name}_norm1", eps=1e-12)
        wide = sym.FullyConnected(x, num_hidden=2 * UNITS, flatten=False, name=f"{name}_ffn1")
        wide = sym.LeakyReLU(wide, act_type="gelu", name=f"{name}_gelu")
        wide = sym.FullyConnected(wide, num_hidden=UNITS, flatten=False, name=f"{name}_ffn2")
        x = sym.LayerNorm(x + wide, name=f"{name}_norm2", eps=1e-12)
    first = sym.Reshape(sym.slice_axis(x, axis=0, begin=0, end=1), shape=(-3, -2))
    pooled = sym.Activation(sym.FullyConnected(first, num_hidden=UNITS, name="pooler"), act_type="tanh")
    return sym.FullyConnected(pooled, num_hidden=3, name="classifier")


def seq2seq(mx: Any) -> Any:
    """A translator of Sockeye's first kind: fused LSTMs on both sides, and Luong's attention between them."""
    sym = mx.sym
    zeros = {"state_size": UNITS, "num_layers": 1, "mode": "lstm"}
    source = sym.Embedding(sym.var("source"), input_dim=WORDS, output_dim=16, name="source_embed")
    target = sym.Embedding(sym.var("target"), input_dim=WORDS, output_dim=16, name="target_embed")
    encoded = sym.RNN(
        sym.swapaxes(source, dim1=0, dim2=1),
        state=sym.var("h0"),
        state_cell=sym.var("c0"),
        parameters=sym.var("encoder_parameters"),
        state_outputs=True,
        name="encoder",
        **zeros,
    )
    decoded = sym.RNN(
        sym.swapaxes(target, dim1=0, dim2=1),
        state=encoded[1],
        state_cell=encoded[2],
        parameters=sym.var("decoder_parameters"),
        name="decoder",
        **zeros,
    )
    memory, queries = (sym.swapaxes(x, dim1=0, dim2=1) for x in (encoded[0], decoded))
    weights = sym.softmax(sym.batch_dot(queries, memory, transpose_b=True), axis=-1, name="attention")
    context = sym.batch_dot(weights, memory)
    x = sym.FullyConnected(sym.Concat(queries, context, dim=2), num_hidden=UNITS, flatten=False, name="mixed")
    return sym.FullyConnected(sym.tanh(x), num_hidden=WORDS, flatten=False, name="head")


def lstm(mx: Any) -> Any:
    """The word language model of MXNet's examples: two fused LSTM layers, states in and out, tied weights."""
    sym = mx.sym
    table = sym.var("embed_weight")
    words = sym.Embedding(sym.var("data"), weight=table, input_dim=WORDS, output_dim=UNITS, name="embed")
    found = sym.RNN(
        sym.swapaxes(words, dim1=0, dim2=1),
        state=sym.var("h"),
        state_cell=sym.var("c"),
        parameters=sym.var("lstm_parameters"),
        state_size=UNITS,
        num_layers=2,
        mode="lstm",
        p=0.2,
        state_outputs=True,
        name="lstm",
    )
    x = sym.swapaxes(found[0], dim1=0, dim2=1)
    head = sym.FullyConnected(x, weight=table, num_hidden=WORDS, flatten=False, name="head")
    return sym.Group([head, found[1], found[2]])


def deepspeech(mx: Any) -> Any:
    """Deep Speech 2 of MXNet's examples: convolutions on the spectrogram, a GRU both ways, scores of characters."""
    sym = mx.sym
    x = sym.expand_dims(sym.var("data"), axis=1)
    for index, stride in enumerate(((2, 2), (1, 2))):
        x = sym.Convolution(
            x, num_filter=8, kernel=(5, 5), stride=stride, pad=(2, 2), no_bias=True, name=f"conv{index}"
        )
        x = sym.BatchNorm(x, fix_gamma=False, eps=1e-5, name=f"conv{index}_bn")
        x = sym.clip(x, a_min=0, a_max=20, name=f"conv{index}_clip")
    x = sym.Reshape(sym.transpose(x, axes=(2, 0, 1, 3)), shape=(0, 0, -3))
    x = sym.RNN(
        x,
        state=sym.var("h0"),
        parameters=sym.var("gru_parameters"),
        state_size=12,
        num_layers=1,
        bidirectional=True,
        mode="gru",
        name="gru",
    )
    x = sym.FullyConnected(sym.swapaxes(x, dim1=0, dim2=1), num_hidden=12, flatten=False, name="head")
    return sym.log_softmax(x, axis=-1)


def dcgan(mx: Any) -> Any:
    """The generator of MXNet's DCGAN example: Deconvolution, BatchNorm with the scale fixed, tanh."""
    x = mx.sym.var("rand")
    for index, (width, size, stride, pad) in enumerate(((24, 4, 1, 0), (16, 4, 2, 1), (8, 4, 2, 1))):
        x = mx.sym.Deconvolution(
            x,
            num_filter=width,
            kernel=(size, size),
            stride=(stride, stride),
            pad=(pad, pad),
            no_bias=True,
            name=f"g{index}",
        )
        x = mx.sym.BatchNorm(x, fix_gamma=True, eps=1e-5, name=f"gbn{index}")
        x = mx.sym.Activation(x, act_type="relu", name=f"gact{index}")
    x = mx.sym.Deconvolution(
        x, kernel=(4, 4), target_shape=(32, 32), stride=(2, 2), pad=(1, 1), num_filter=3, no_bias=True, name="g3"
    )
    return mx.sym.Activation(x, act_type="tanh", name="gact3")


SYMBOLS: dict[str, tuple[Callable[[Any], Any], dict[str, tuple[int, ...]]]] = {
    "ssd": (ssd, {"data": (2, 3, 32, 32)}),
    "fcn": (fcn, {"data": (2, 3, 32, 32)}),
    "espcn": (espcn, {"data": (2, 1, 12, 10)}),
    "textcnn": (textcnn, {"data": (2, 12)}),
    "bert": (bert, {"data": (2, 12), "valid_length": (2,)}),
    "seq2seq": (seq2seq, {"source": (2, 9), "target": (2, 7), "h0": (1, 2, UNITS), "c0": (1, 2, UNITS)}),
    "lstm": (lstm, {"data": (2, 9), "h": (2, 2, UNITS), "c": (2, 2, UNITS)}),
    "deepspeech": (deepspeech, {"data": (2, 20, 8), "h0": (2, 2, 12)}),
    "dcgan": (dcgan, {"rand": (2, 20, 1, 1)}),
}
"""By name: what makes it of MXNet, and the inputs whose shapes say all others."""


def make(folder: Path, names: Iterable[str]) -> dict[str, Path]:
    """Let MXNet write networks, in a process of its own.

    Returns:
        The symbol file of each.
    """
    wanted = list(names)
    subprocess.run([sys.executable, "-W", "ignore", __file__, str(folder), *wanted], check=True)
    return {name: folder / f"{name}-symbol.json" for name in wanted}


def _write(mx: Any, folder: Path, name: str) -> None:
    import numpy as np

    build, inputs = SYMBOLS[name]
    symbol = build(mx)
    rng = np.random.RandomState(zlib.crc32(name.encode()))
    shapes, _, states = symbol.infer_shape(**inputs)
    held = {}
    for kind, names, found in (
        ("arg", symbol.list_arguments(), shapes),
        ("aux", symbol.list_auxiliary_states(), states),
    ):
        for parameter, shape in zip(names, found, strict=True):
            if parameter not in inputs and not parameter.endswith("_label"):
                held[f"{kind}:{parameter}"] = mx.nd.array(_drawn(np, rng, parameter, shape))
    symbol.save(str(folder / f"{name}-symbol.json"))
    mx.nd.save(str(folder / f"{name}-0000.params"), held)


def _drawn(np: Any, rng: Any, name: str, shape: tuple[int, ...]) -> Any:
    if name.endswith(("gamma", "moving_var")):
        return rng.uniform(0.5, 1.5, shape)
    if len(shape) == 1:
        return 0.2 * rng.standard_normal(shape)
    return rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))


def _main(folder: str, names: list[str]) -> None:
    from graphkit.frameworks.mxnet.worker import main

    main.import_mxnet(fast=False)
    for name in names:
        _write(main.mx, Path(folder), name)


if __name__ == "__main__":
    _main(sys.argv[1], sys.argv[2:])
