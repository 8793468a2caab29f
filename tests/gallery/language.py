"""Networks on text and on sound, as the transformers library and their papers write them, in small."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812  # torch's own spelling
from recurrentapps import APPLICATIONS, Translator
from torch import Tensor, nn
from transformerzoo import BODY, BOTH_SIDES, GROUPED, TEXT, WORDS, made

__all__ = [
    "bart",
    "bert",
    "bigru",
    "distilbert",
    "gpt2",
    "hifigan",
    "llama",
    "marian",
    "quartznet",
    "t5",
    "wav2vec2",
    "wavenet",
    "whisper",
]

GENERATION: dict[str, Any] = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1}


def distilbert() -> nn.Module:
    """DistilBERT with a head for three classes."""
    return made(
        "DistilBertForSequenceClassification",
        "DistilBertConfig",
        dim=32,
        n_layers=2,
        n_heads=4,
        hidden_dim=64,
        vocab_size=WORDS,
        max_position_embeddings=64,
        num_labels=3,
    )


def bert() -> nn.Module:
    """BERT with a head for three classes."""
    return made("BertForSequenceClassification", "BertConfig", num_labels=3, **TEXT)


def bigru() -> nn.Module:
    """A GRU both ways over texts of different lengths, packed, classified by its last states."""
    return APPLICATIONS["classifier"].build()


def additive() -> nn.Module:
    """Bahdanau's translator, one word: a GRU both ways, and a cell that attends to it by addition."""
    torch.manual_seed(0)
    return Translator(additive=True, steps=1).eval()


def marian() -> nn.Module:
    """Marian, the transformer of the OPUS-MT translators: positions by sines, SiLU, one table of embeddings."""
    return made("MarianMTModel", "MarianConfig", **BOTH_SIDES, vocab_size=WORDS, use_cache=False, **GENERATION)


def t5() -> nn.Module:
    """T5: relative positions in buckets, RMSNorm, no scale of the scores."""
    return made(
        "T5ForConditionalGeneration",
        "T5Config",
        d_model=32,
        d_kv=8,
        d_ff=64,
        num_layers=2,
        num_heads=4,
        vocab_size=WORDS,
        use_cache=False,
        decoder_start_token_id=0,
    )


def bart() -> nn.Module:
    """BART: learned positions on both sides and LayerNorm behind each sum."""
    return made("BartForConditionalGeneration", "BartConfig", **BOTH_SIDES, vocab_size=WORDS, use_cache=False)


def gpt2() -> nn.Module:
    """GPT-2, all of a text at once."""
    return made(
        "GPT2LMHeadModel",
        "GPT2Config",
        n_embd=32,
        n_layer=2,
        n_head=4,
        n_positions=64,
        vocab_size=WORDS,
        bos_token_id=1,
        eos_token_id=2,
        use_cache=False,
    )


def llama() -> nn.Module:
    """Llama, one step of decoding: a token, and a cache of keys and values in and out."""
    return made("LlamaForCausalLM", "LlamaConfig", **GROUPED)


def wav2vec2() -> nn.Module:
    """wav2vec 2.0 with a CTC head: convolutions on the wave, a transformer on what they find."""
    return made(
        "Wav2Vec2ForCTC",
        "Wav2Vec2Config",
        conv_dim=(16, 16),
        conv_kernel=(10, 3),
        conv_stride=(5, 2),
        num_feat_extract_layers=2,
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=4,
        vocab_size=WORDS,
        **BODY,
    )


def whisper() -> nn.Module:
    """Whisper: a mel spectrogram encoded once, text decoded that attends to it."""
    return made(
        "WhisperForConditionalGeneration",
        "WhisperConfig",
        **BOTH_SIDES,
        vocab_size=WORDS,
        num_mel_bins=8,
        max_source_positions=32,
        max_target_positions=32,
        use_cache=False,
        **GENERATION,
    )


class QuartzNet(nn.Module):
    """Speech to characters by separable convolutions in time alone, each block with a skip around it."""

    def __init__(self, mels: int = 8, width: int = 16, characters: int = 12) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv1d(mels, width, 5, 2, 2, bias=False), nn.BatchNorm1d(width), nn.ReLU())
        self.blocks = nn.ModuleList(
            nn.Sequential(*self.separable(width, kernel), nn.ReLU(), *self.separable(width, kernel))
            for kernel in (7, 11)
        )
        self.skips = nn.ModuleList(
            nn.Sequential(nn.Conv1d(width, width, 1, bias=False), nn.BatchNorm1d(width)) for _ in self.blocks
        )
        self.head = nn.Conv1d(width, characters, 1)

    @staticmethod
    def separable(width: int, kernel: int) -> list[nn.Module]:
        return [
            nn.Conv1d(width, width, kernel, padding=kernel // 2, groups=width, bias=False),
            nn.Conv1d(width, width, 1, bias=False),
            nn.BatchNorm1d(width),
        ]

    def forward(self, mels: Tensor) -> Tensor:
        x = self.first(mels)
        for block, skip in zip(self.blocks, self.skips, strict=True):
            x = F.relu(block(x) + skip(x))
        return F.log_softmax(self.head(x).transpose(1, 2), -1)


def quartznet() -> nn.Module:
    """QuartzNet on 8 mel bands."""
    torch.manual_seed(0)
    return QuartzNet().eval()


def hifigan() -> nn.Module:
    """HiFi-GAN's generator: a spectrogram becomes a wave by transposed convolutions and blocks with holes."""
    return made(
        "SpeechT5HifiGan",
        "SpeechT5HifiGanConfig",
        model_in_dim=8,
        upsample_initial_channel=16,
        upsample_rates=[4, 2],
        upsample_kernel_sizes=[8, 4],
        resblock_kernel_sizes=[3, 5],
        resblock_dilation_sizes=[[1, 3], [1, 3]],
    )


class WaveNet(nn.Module):
    """Scores of the next sample of a wave from those before it: causal convolutions with holes, and gates."""

    def __init__(self, levels: int = 16, width: int = 12, layers: int = 4) -> None:
        super().__init__()
        self.embedding = nn.Embedding(levels, width)
        self.layers = nn.ModuleList(GatedLayer(width, 2**layer) for layer in range(layers))
        self.head = nn.Sequential(
            nn.ReLU(), nn.Conv1d(2 * width, 2 * width, 1), nn.ReLU(), nn.Conv1d(2 * width, levels, 1)
        )

    def forward(self, samples: Tensor) -> Tensor:
        x = self.embedding(samples).transpose(1, 2)
        total: Tensor | float = 0.0
        for layer in self.layers:
            x, skipped = layer(x)
            total = total + skipped
        out: Tensor = self.head(total)
        return out


class GatedLayer(nn.Module):
    """One layer: what goes on, and what it adds to the sum of all layers."""

    def __init__(self, width: int, apart: int) -> None:
        super().__init__()
        self.apart = apart
        self.hole = nn.Conv1d(width, 2 * width, 2, dilation=apart)
        self.residual = nn.Conv1d(width, width, 1)
        self.skip = nn.Conv1d(width, 2 * width, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        filtered, gate = self.hole(F.pad(x, (self.apart, 0))).chunk(2, 1)
        y = torch.tanh(filtered) * torch.sigmoid(gate)
        return x + self.residual(y), self.skip(y)


def wavenet() -> nn.Module:
    """WaveNet with 16 levels of a sample."""
    torch.manual_seed(0)
    return WaveNet().eval()
