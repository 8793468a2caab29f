"""Which networks the gallery has, by domain, and where each comes from."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

__all__ = ["DOMAINS", "ENTRIES", "FRAMEWORKS", "Entry", "cells"]

DOMAINS = {
    "classification": "Classification",
    "detection": "Detection",
    "segmentation": "Segmentation",
    "super-resolution": "Super-resolution",
    "text": "Text classification",
    "translation": "Translation",
    "generation": "Generation",
    "speech": "Speech recognition",
    "synthesis": "Synthesis",
}
"""Domains, and how the page calls them."""

FRAMEWORKS = {"torch": "PyTorch", "mxnet": "MXNet", "onnx": "ONNX"}


@dataclass(frozen=True)
class Entry:
    """A network of the gallery.

    Attributes:
        domain: Key of :data:`DOMAINS`.
        framework: Where it comes from, a key of :data:`FRAMEWORKS`.
        title: What people call it.
        made: ``vision:ssd`` or ``language:bert``, functions of this package's modules that make an ``nn.Module``; for
            MXNet a key of :data:`gallery.symbols.SYMBOLS`, or ``zoo:NETWORK`` of its model zoo.
        shapes: Its inputs, as ``--input`` describes them, ``?`` for the batch.
        train: Steps of training that are compared, too.
        rounded: Conversions in which a file holds a number in float32 that the other side has in float64, as MXNet's
            and ONNX's formats ask for; their bound is 1e-6.
        frozen: Whether scales in it are fixed. graphkit takes them for trained ones when it reads PyTorch source, so
            the source is run as it was written then.
        depth: How deeply modules are open in its picture.
        legacy: Opset of PyTorch's exporter of traces, for a network of ONNX; 0 for the one of exported programs.
    """

    domain: str
    framework: str
    title: str
    made: str
    shapes: tuple[str, ...]
    train: int = 0
    rounded: tuple[str, ...] = ()
    frozen: bool = False
    depth: int = 0
    legacy: int = 0

    @property
    def name(self) -> str:
        """What commands and files call it: its function's name and the framework, where that is not PyTorch."""
        short = self.made.rpartition(":")[2].replace("_", "-").replace(".", "-")
        return short if self.framework == "torch" else f"{short}-{self.framework}"

    @property
    def states(self) -> bool:
        """Whether it takes states, whose batch is not their first axis."""
        return any(not shape.split(":")[1].startswith("?") for shape in self.shapes)

    def module(self) -> nn.Module:
        """The network as a module of PyTorch, from which one of ONNX is exported."""
        file, _, function = self.made.partition(":")
        found: nn.Module = getattr(importlib.import_module(f"gallery.{file}"), function)()
        return found

    def source(self, folder: Path) -> nn.Module | Path:
        """What graphkit loads: a module, or a file that its own framework wrote into a folder."""
        if self.framework == "torch":
            return self.module()
        if self.framework == "onnx":
            from gallery.exporting import exported

            return exported(self, folder)
        family, _, network = self.made.rpartition(":")
        if family == "zoo":
            import gluonzoo

            return gluonzoo.make(folder, [network])[network]
        from gallery import symbols

        return symbols.make(folder, [network])[network]


_IDS, _MASK = "input_ids:?x12:int64", "attention_mask:?x12:int64"
_ANSWER = "decoder_input_ids:?x7:int64"
_IMAGE = "image:?x3x32x32"

ENTRIES = {
    entry.name: entry
    for entry in (
        Entry("classification", "torch", "MobileNetV2", "vision:mobilenet", ("x:?x3x32x32",)),
        Entry("classification", "torch", "ViT", "vision:vit", ("pixel_values:?x3x32x32",), depth=1, train=2),
        Entry("classification", "mxnet", "MobileNetV2", "zoo:mobilenetv2_0.25", ("data:?x3x64x64",), train=2),
        Entry("classification", "onnx", "ConvNeXt", "vision:convnext", ("pixel_values:?x3x64x64",), depth=1),
        Entry("detection", "torch", "SSD", "vision:ssd", (_IMAGE,), train=2),
        Entry("detection", "torch", "DETR", "vision:detr", ("pixel_values:?x3x64x64",), rounded=("mxnet",)),
        Entry("detection", "mxnet", "SSD", "ssd", ("data:?x3x32x32",)),
        Entry("detection", "onnx", "YOLO", "vision:yolo", (_IMAGE,)),
        Entry("segmentation", "torch", "U-Net", "vision:unet", (_IMAGE,), train=2),
        Entry("segmentation", "torch", "SegFormer", "vision:segformer", ("pixel_values:?x3x64x64",), depth=1),
        Entry("segmentation", "mxnet", "FCN-16s", "fcn", ("data:?x3x32x32",), train=2),
        Entry("segmentation", "onnx", "DeepLabv3", "vision:deeplab", (_IMAGE,)),
        Entry("super-resolution", "torch", "SRResNet", "vision:srresnet", ("image:?x3x8x8",), train=2),
        Entry(
            "super-resolution",
            "torch",
            "Swin2SR",
            "vision:swin2sr",
            ("pixel_values:?x3x16x16",),
            depth=1,
            rounded=("onnx",),
        ),
        Entry("super-resolution", "mxnet", "ESPCN", "espcn", ("data:?x1x12x10",), train=2),
        Entry("super-resolution", "onnx", "ESPCN", "vision:espcn", ("luma:?x1x12x10",), train=2, legacy=11),
        Entry("text", "torch", "DistilBERT", "language:distilbert", (_IDS, _MASK), depth=1, train=2),
        Entry("text", "torch", "BiGRU", "language:bigru", ("ids:?x9:int64", "lengths:?:int64"), train=2),
        Entry("text", "mxnet", "TextCNN", "textcnn", ("data:?x12",), train=2),
        Entry("text", "mxnet", "BERT", "bert", ("data:?x12", "valid_length:?")),
        Entry("text", "onnx", "BERT", "language:bert", (_IDS, _MASK), depth=1, rounded=("torch",)),
        Entry("translation", "torch", "Marian", "language:marian", (_IDS, _MASK, _ANSWER), depth=1),
        Entry("translation", "torch", "T5", "language:t5", (_IDS, _MASK, _ANSWER), depth=1),
        Entry("translation", "torch", "GRU", "language:additive", ("source:?x9:int64", "target:?x1:int64"), train=2),
        Entry(
            "translation", "mxnet", "LSTM", "seq2seq", ("source:?x9", "target:?x7", "h0:1x?x32", "c0:1x?x32"), train=2
        ),
        Entry("translation", "onnx", "BART", "language:bart", (_IDS, _MASK, _ANSWER), depth=1, rounded=("torch",)),
        Entry(
            "generation",
            "torch",
            "Llama",
            "language:llama",
            (
                "input_ids:?x1:int64",
                "attention_mask:?x13:int64",
                *(f"past_key_values.{layer}.{part}:?x2x12x8" for layer in range(2) for part in ("key", "value")),
            ),
        ),
        Entry("generation", "torch", "GPT-2", "language:gpt2", (_IDS, _MASK), depth=1, train=2),
        Entry("generation", "mxnet", "LSTM", "lstm", ("data:?x9", "h:2x?x32", "c:2x?x32"), train=2),
        Entry("generation", "onnx", "GPT-2", "language:gpt2", (_IDS, _MASK), depth=1, rounded=("torch",)),
        Entry("speech", "torch", "wav2vec 2.0", "language:wav2vec2", ("input_values:?x400",), depth=1),
        Entry("speech", "torch", "Whisper", "language:whisper", ("input_features:?x8x64", _ANSWER), depth=1),
        Entry("speech", "mxnet", "Deep Speech 2", "deepspeech", ("data:?x20x8", "h0:2x?x12"), train=2),
        Entry("speech", "onnx", "QuartzNet", "language:quartznet", ("mels:?x8x40",), train=2, legacy=13),
        Entry("synthesis", "torch", "HiFi-GAN", "language:hifigan", ("spectrogram:?x12x8",), rounded=("onnx",)),
        Entry("synthesis", "torch", "Diffusion U-Net", "vision:diffusion", ("noisy:?x3x8x8", "step:?:int64")),
        Entry("synthesis", "torch", "WaveNet", "language:wavenet", ("samples:?x24:int64",), train=2),
        Entry("synthesis", "mxnet", "DCGAN", "dcgan", ("rand:?x20x1x1",), train=2, frozen=True),
        Entry("synthesis", "onnx", "VAE", "vision:vae", ("image:?x1x28x28", "noise:?x6"), train=2),
    )
}
"""Every network, by its name."""


def cells() -> list[tuple[Entry, str]]:
    """Every network with each framework that it is converted to."""
    return [(entry, to) for entry in ENTRIES.values() for to in FRAMEWORKS if to != entry.framework]
