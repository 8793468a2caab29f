"""The transformers that people have, from the transformers library, tiny and with weights in which a mistake shows.

Every model is built from a configuration; nothing is downloaded. Weights are seeded: matrices and kernels have the
variance that keeps a unit input's variance, so that attention is not flat; norms have scales and offsets of their own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import torch

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["TRANSFORMERS", "Transformer"]

transformers = pytest.importorskip("transformers", reason="transformers is not installed")

WORDS = 99
BODY: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
}
TEXT = {**BODY, "vocab_size": WORDS, "max_position_embeddings": 64}
GROUPED = {**TEXT, "num_key_value_heads": 2}
BOTH_SIDES: dict[str, Any] = {
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 64,
    "decoder_ffn_dim": 64,
}
IDS = ("input_ids:{batch}x{length}:int64", "attention_mask:{batch}x{length}:int64")
ANSWER = "decoder_input_ids:{batch}x{answer}:int64"
IMAGE = "pixel_values:{batch}x3x32x32"
LARGER = "pixel_values:{batch}x3x64x64"


@dataclass(frozen=True)
class Transformer:
    """A model of the library.

    Attributes:
        build: Makes it, in evaluation mode.
        shapes: Its inputs, as ``--input`` describes them, with ``{batch}``, ``{length}`` and ``{answer}`` in place of
            sizes that may differ from call to call.
        length: Size of the length that it is usually tried at.
        other: Another size of it; None where the model has no length.
    """

    build: Callable[[], torch.nn.Module]
    shapes: tuple[str, ...]
    length: int = 16
    other: int | None = 11

    def inputs(self, *, batch: int | str = 2, length: int | str | None = None) -> list[str]:
        """Descriptions of the inputs; ``?`` for sizes leaves them free. The answer's length is 3/4 of the length."""
        length = self.length if length is None else length
        answer = length if isinstance(length, str) else length * 3 // 4
        return [shape.format(batch=batch, length=length, answer=answer) for shape in self.shapes]


def made(model: str, config: str, **options: Any) -> torch.nn.Module:
    """A model of the library with the weights described above."""
    torch.manual_seed(0)
    network: torch.nn.Module = getattr(transformers, model)(getattr(transformers, config)(**options)).eval()
    rng = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in network.parameters():
            noise = torch.randn(parameter.shape, generator=rng)
            if parameter.ndim > 1:
                parameter.copy_(noise / math.sqrt(math.prod(parameter.shape[1:])))
            elif parameter.ndim == 1:
                parameter.add_(0.2 * noise)
    return network


def entry(
    model: str, config: str, *shapes: str, length: int = 16, other: int | None = 11, **options: Any
) -> Transformer:
    return Transformer(partial(made, model, config, **options), shapes, length, other)


TRANSFORMERS: dict[str, Transformer] = {
    "bert": entry("BertModel", "BertConfig", *IDS, **TEXT),
    "roberta": entry("RobertaModel", "RobertaConfig", *IDS, **TEXT),
    "distilbert": entry(
        "DistilBertModel",
        "DistilBertConfig",
        *IDS,
        dim=32,
        n_layers=2,
        n_heads=4,
        hidden_dim=64,
        vocab_size=WORDS,
        max_position_embeddings=64,
    ),
    "albert": entry("AlbertModel", "AlbertConfig", *IDS, embedding_size=16, **TEXT),
    "gpt2": entry(
        "GPT2LMHeadModel",
        "GPT2Config",
        *IDS,
        n_embd=32,
        n_layer=2,
        n_head=4,
        n_positions=64,
        vocab_size=WORDS,
        bos_token_id=1,
        eos_token_id=2,
    ),
    "opt": entry(
        "OPTForCausalLM",
        "OPTConfig",
        *IDS,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        ffn_dim=64,
        word_embed_proj_dim=32,
        max_position_embeddings=64,
        vocab_size=WORDS,
    ),
    "llama": entry("LlamaForCausalLM", "LlamaConfig", *IDS, **GROUPED),
    "mistral": entry("MistralForCausalLM", "MistralConfig", *IDS, sliding_window=8, **GROUPED),
    "qwen2": entry("Qwen2ForCausalLM", "Qwen2Config", *IDS, **GROUPED),
    "t5": entry(
        "T5Model",
        "T5Config",
        *IDS,
        ANSWER,
        d_model=32,
        d_kv=8,
        d_ff=64,
        num_layers=2,
        num_heads=4,
        vocab_size=WORDS,
    ),
    "bart": entry("BartModel", "BartConfig", *IDS, ANSWER, **BOTH_SIDES, vocab_size=WORDS, max_position_embeddings=64),
    "whisper": entry(
        "WhisperModel",
        "WhisperConfig",
        "input_features:{batch}x8x64",
        ANSWER,
        **BOTH_SIDES,
        vocab_size=WORDS,
        num_mel_bins=8,
        max_source_positions=32,
        max_target_positions=32,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=1,
    ),
    "wav2vec2": entry(
        "Wav2Vec2Model",
        "Wav2Vec2Config",
        "input_values:{batch}x{length}",
        length=400,
        other=333,
        conv_dim=(16, 16),
        conv_kernel=(10, 3),
        conv_stride=(5, 2),
        num_feat_extract_layers=2,
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=4,
        vocab_size=WORDS,
        **BODY,
    ),
    "vit": entry("ViTModel", "ViTConfig", IMAGE, other=None, image_size=32, patch_size=8, **BODY),
    "swin": entry(
        "SwinModel",
        "SwinConfig",
        IMAGE,
        other=None,
        image_size=32,
        patch_size=4,
        embed_dim=16,
        depths=[2, 2],
        num_heads=[2, 4],
        window_size=4,
    ),
    "convnext": entry(
        "ConvNextModel",
        "ConvNextConfig",
        LARGER,
        other=None,
        hidden_sizes=[8, 16, 24, 32],
        depths=[1, 1, 2, 1],
        image_size=64,
    ),
    "clip": entry(
        "CLIPModel",
        "CLIPConfig",
        IDS[0],
        IMAGE,
        IDS[1],
        text_config={**TEXT, "max_position_embeddings": 32, "bos_token_id": 1, "eos_token_id": 2},
        vision_config={**BODY, "image_size": 32, "patch_size": 8},
        projection_dim=16,
    ),
    "detr": entry(
        "DetrForObjectDetection",
        "DetrConfig",
        LARGER,
        other=None,
        use_timm_backbone=False,
        use_pretrained_backbone=False,
        backbone=None,
        num_queries=6,
        backbone_config=transformers.ResNetConfig(
            embedding_size=8,
            hidden_sizes=[8, 16, 24, 32],
            depths=[1, 1, 1, 1],
            out_features=["stage4"],
            layer_type="basic",
        ),
        **BOTH_SIDES,
    ),
    "segformer": entry(
        "SegformerForSemanticSegmentation",
        "SegformerConfig",
        LARGER,
        other=None,
        depths=[1, 1, 1, 1],
        hidden_sizes=[8, 16, 24, 32],
        num_attention_heads=[1, 2, 2, 4],
        decoder_hidden_size=32,
        sr_ratios=[8, 4, 2, 1],
    ),
}
"""By the name that the library gives their folder."""
