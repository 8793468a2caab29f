"""Transformers written in torch: gradient graphs on ONNX Runtime and the reference evaluator give torch's gradients."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import pytest

import graphkit

if TYPE_CHECKING:
    from collections.abc import Callable

    import onnx_ir as ir

torch = pytest.importorskip("torch")
pytest.importorskip("onnxruntime")

from torch import nn  # noqa: E402 -- where torch is
from torch.nn import functional as F  # noqa: E402, N812 -- as torch's documentation has it

WORDS, WIDTH, HEADS = 11, 16, 4


class Encoder(nn.Module):
    """Embeddings, torch's encoder layer with padding hidden, and a classifier of the first token."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(WORDS, WIDTH)
        self.places = nn.Parameter(torch.randn(8, WIDTH) * 0.1)
        layer = nn.TransformerEncoderLayer(WIDTH, HEADS, 32, activation="gelu", batch_first=True, norm_first=True)
        self.layers = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.head = nn.Linear(WIDTH, 3)

    def forward(self, tokens: Any) -> Any:
        x = self.words(tokens) + self.places[: tokens.shape[1]]
        hidden = tokens == 0
        hidden = hidden & (torch.arange(tokens.shape[1]) > 0)
        return self.head(self.layers(x, src_key_padding_mask=hidden)[:, 0])


class Decoder(nn.Module):
    """Torch's decoder layer, causal, over what an encoder gave."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.TransformerDecoderLayer(WIDTH, HEADS, 32, batch_first=True)

    def forward(self, target: Any, memory: Any) -> Any:
        later = torch.ones(target.shape[1], target.shape[1], dtype=torch.bool).triu(1)
        return self.layer(target, memory, tgt_mask=later)


class Mixer(nn.Module):
    """Multi-head attention that also shows its weights."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True, kdim=12, vdim=10)

    def forward(self, query: Any, key: Any, value: Any) -> Any:
        return self.attention(query, key, value)


class Block(nn.Module):
    """A block of a decoder by hand; two heads of queries share one of keys."""

    def __init__(self) -> None:
        super().__init__()
        self.before, self.between = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.query, self.pair = nn.Linear(WIDTH, WIDTH, bias=False), nn.Linear(WIDTH, WIDTH, bias=False)
        self.out = nn.Linear(WIDTH, WIDTH)
        self.wide, self.narrow = nn.Linear(WIDTH, 32), nn.Linear(32, WIDTH)

    def forward(self, x: Any) -> Any:
        y = self.before(x)
        query = self.query(y).unflatten(-1, (HEADS, -1)).transpose(1, 2)
        key, value = (part.unflatten(-1, (2, -1)).transpose(1, 2) for part in self.pair(y).chunk(2, -1))
        mixed = F.scaled_dot_product_attention(query, key, value, is_causal=True, enable_gqa=True)
        x = x + self.out(mixed.transpose(1, 2).flatten(2))
        return x + self.narrow(F.gelu(self.wide(self.between(x)), approximate="tanh"))


class Language(nn.Module):
    """A language model by hand: what reads the words also gives their scores."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(WORDS, WIDTH)
        self.places = nn.Embedding(8, WIDTH)
        self.blocks = nn.ModuleList([Block()])
        self.norm = nn.LayerNorm(WIDTH)
        self.scores = nn.Linear(WIDTH, WORDS, bias=False)
        self.scores.weight = self.words.weight

    def forward(self, tokens: Any) -> Any:
        x = self.words(tokens) + self.places(torch.arange(tokens.shape[1]))
        for block in self.blocks:
            x = block(x)
        return self.scores(self.norm(x))


TOKENS = "2x5:int64"
MODULES: dict[str, tuple[Callable[[], nn.Module], list[str]]] = {
    "encoder": (Encoder, [TOKENS]),
    "decoder": (Decoder, ["2x5x16", "2x7x16"]),
    "weights": (Mixer, ["2x5x16", "2x7x12", "2x7x10"]),
    "language model": (Language, [TOKENS]),
}


@lru_cache
def model(name: str) -> ir.Model:
    torch.manual_seed(0)
    make, inputs = MODULES[name]
    return graphkit.load(make().eval(), inputs=inputs)


def failures(report: Any) -> list[str]:
    return [f"{c.what} on {c.right}: {c.error:.3g} > {c.tol:.3g}" for c in report.checks if c.verdict == "fail"]


@pytest.mark.parametrize("name", MODULES)
def test_gradients_on_onnx_runtime_are_torchs(name: str) -> None:
    report = graphkit.verify(model(name), on=["torch", "ort"], backward=True)
    assert failures(report) == []
    assert report.passed
    assert sum(check.kind.endswith("gradient") for check in report.checks) > 3


@pytest.mark.parametrize("name", MODULES)
def test_gradients_on_the_reference_are_torchs_in_float64(name: str) -> None:
    report = graphkit.verify(model(name), on=["torch", "reference"], backward=True, dtype="float64")
    assert failures(report) == []
    assert report.passed
    assert all(check.tol <= 1e-9 for check in report.checks)
