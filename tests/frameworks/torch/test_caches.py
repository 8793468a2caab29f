"""Caches of the transformers library, in and out: a model decodes step by step as it does in one run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import nn

import graphkit
from graphkit.errors import InputError
from graphkit.frameworks.base import runtimes

if TYPE_CHECKING:
    import onnx_ir as ir

transformers = pytest.importorskip("transformers", reason="transformers is not installed")

SIZES = {"hidden_size": 16, "intermediate_size": 16, "num_attention_heads": 2, "vocab_size": 19}
LAYERS = {"num_hidden_layers": 1, "num_key_value_heads": 1, "max_position_embeddings": 32}
STATES = ("key", "value")
PART = "past_key_values.0"
PAST = [f"{PART}.{state}:2x1x?x8" for state in STATES]
IDS = torch.arange(18).reshape(2, 9)


def made(model: str, config: str, **options: Any) -> nn.Module:
    torch.manual_seed(0)
    network: nn.Module = getattr(transformers, model)(getattr(transformers, config)(**options)).eval()
    return network


def decoder(kind: str, **options: Any) -> nn.Module:
    return made(f"{kind}ForCausalLM", f"{kind}Config", **{**SIZES, **LAYERS, **options})


def names(model: ir.Model) -> tuple[list[str | None], list[str | None]]:
    return [value.name for value in model.graph.inputs], [value.name for value in model.graph.outputs]


def run(model: ir.Model, feeds: dict[str, Any], on: str) -> dict[str, Any]:
    if runtimes()[on].missing():
        pytest.skip(f"{on} is not installed")
    arrays = {
        name: value.detach().numpy() if isinstance(value, torch.Tensor) else value for name, value in feeds.items()
    }
    with runtimes()[on].open(model) as session:
        return session.forward(arrays)


@pytest.fixture(scope="module")
def llama() -> tuple[nn.Module, ir.Model, ir.Model]:
    network = decoder("Llama")
    masked = ["input_ids:2x?:int64", "attention_mask:2x?:int64"]
    step = ["input_ids:2x1:int64", "attention_mask:2x?:int64", *PAST]
    return network, graphkit.load(network, inputs=masked), graphkit.load(network, inputs=step)


def test_the_tensors_of_a_cache_are_inputs_and_outputs_with_names(llama: tuple[nn.Module, ir.Model, ir.Model]) -> None:
    _, prompt, step = llama
    present = ["present.0.key", "present.0.value"]
    assert names(prompt) == (["input_ids", "attention_mask"], ["logits", *present])
    assert set(names(step)[0]) == {"input_ids", "attention_mask", "past_key_values.0.key", "past_key_values.0.value"}
    assert names(step)[1] == ["logits", *present]


@pytest.mark.parametrize("on", ["torch", "ort", "mxnet"])
@pytest.mark.parametrize("length", [8, 3])
def test_decoding_step_by_step_gives_what_one_run_gives(
    llama: tuple[nn.Module, ir.Model, ir.Model], on: str, length: int
) -> None:
    network, prompt, step = llama
    mask = torch.ones(2, length + 1, dtype=torch.int64)
    mask[1, 0] = 0  # padding on the left
    first = run(prompt, {"input_ids": IDS[:, :length], "attention_mask": mask[:, :length]}, on)
    past = {f"{PART}.{state}": first[f"present.0.{state}"] for state in STATES}
    second = run(step, {"input_ids": IDS[:, length : length + 1], "attention_mask": mask, **past}, on)
    wanted = network(IDS[:, : length + 1], attention_mask=mask)
    np.testing.assert_allclose(second["logits"], wanted.logits[:, -1:].detach(), atol=1e-5)
    np.testing.assert_allclose(second["present.0.key"], wanted.past_key_values.layers[0].keys.detach(), atol=1e-5)


def test_a_window_is_seen_through_the_mask_beyond_its_length_too() -> None:
    network = decoder("Mistral", sliding_window=4)
    told: list[str] = []
    prompt = graphkit.load(network, inputs=["input_ids:2x?:int64"], warn=told.append)
    step = graphkit.load(network, inputs=["input_ids:2x1:int64", *PAST], warn=told.append)
    assert "grows with every position, where the module's own keeps a window of 4" in told[0]
    first = run(prompt, {"input_ids": IDS[:, :8]}, "ort")
    past = {f"{PART}.{state}": first[f"present.0.{state}"] for state in STATES}
    second = run(step, {"input_ids": IDS[:, 8:9], **past}, "ort")
    whole = network(IDS).logits.detach()
    np.testing.assert_allclose(first["logits"], whole[:, :8], atol=1e-5)
    np.testing.assert_allclose(second["logits"], whole[:, 8:], atol=1e-5)
    assert network(IDS).past_key_values.layers[0].keys.shape[2] == 3  # the module's own caches are what they were


def test_a_decoder_with_an_encoder_takes_both_of_its_caches_as_examples() -> None:
    sides = {f"{side}_{what}": 1 for side in ("encoder", "decoder") for what in ("layers", "attention_heads")}
    width = {"d_model": 16, "encoder_ffn_dim": 16, "decoder_ffn_dim": 16, "vocab_size": 19}
    network = made("BartModel", "BartConfig", max_position_embeddings=32, **width, **sides)
    first = network(IDS[:, :5], decoder_input_ids=IDS[:, :3])
    given = {
        "decoder_input_ids": IDS[:, 3:4],
        "encoder_outputs": (first.encoder_last_hidden_state,),
        "past_key_values": first.past_key_values,
    }
    step = graphkit.load(network, inputs=given)
    cache = {"decoder": first.past_key_values.self_attention_cache.layers[0]}
    cache["encoder"] = first.past_key_values.cross_attention_cache.layers[0]
    feeds = {
        f"past_key_values.0.{side}.{state}": getattr(cache[side], f"{state}s") for side in cache for state in STATES
    }
    feeds |= {"decoder_input_ids": IDS[:, 3:4], "encoder_outputs.0": first.encoder_last_hidden_state}
    assert set(names(step)[0]) == set(feeds)
    wanted = network(IDS[:, :5], decoder_input_ids=IDS[:, :4]).last_hidden_state[:, -1:].detach()
    found = run(step, feeds, "ort")
    np.testing.assert_allclose(found["last_hidden_state"], wanted, atol=1e-5)
    assert found["present.0.decoder.key"].shape == (2, 1, 4, 16)


def test_the_module_is_left_as_it_was(llama: tuple[nn.Module, ir.Model, ir.Model]) -> None:
    network, *_ = llama
    assert "forward" not in vars(network)
    layer = transformers.cache_utils.DynamicSlidingWindowLayer
    assert layer.get_seq_length is not transformers.cache_utils.DynamicLayer.get_seq_length


@pytest.mark.parametrize(
    ("past", "message"),
    [
        (
            ["past_key_values.3.key:2x1x4x8", "past_key_values.3.value:2x1x4x8"],
            r"past_key_values\.3 is given, but .* 1 ",
        ),
        (["past_key_values.0.key:2x1x4x8"], r"past_key_values\.0\.key is given without past_key_values\.0\.value"),
        (["past_key_values.0.conv:2x1x4"], r"past_key_values\.0\.conv is given, but .* no such state"),
    ],
)
def test_a_cache_that_does_not_fit_the_model_is_refused(
    llama: tuple[nn.Module, ir.Model, ir.Model], past: list[str], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        graphkit.load(llama[0], inputs=["input_ids:2x1:int64", *past])


class Returns(nn.Module):
    """Returns what it was made with, with the input in it."""

    def __init__(self, make: Any) -> None:
        super().__init__()
        self.make = make

    def forward(self, x: torch.Tensor) -> Any:
        return self.make(x + 1)


@dataclass
class Record:
    logits: torch.Tensor
    extra: tuple[torch.Tensor, ...]


class Opaque:
    def __init__(self, x: torch.Tensor) -> None:
        self.x = x


def test_dataclasses_are_taken_apart() -> None:
    model = graphkit.load(Returns(lambda x: Record(x, (x * 2,))), inputs=[(2, 3)])
    assert names(model)[1] == ["logits", "extra_0"]


def test_caches_of_tuples_have_the_names_of_others() -> None:
    model = graphkit.load(Returns(lambda x: {"past_key_values": ((x, x * 2), (x * 3, x * 4))}), inputs=[(2, 3)])
    assert names(model)[1] == ["present.0.key", "present.0.value", "present.1.key", "present.1.value"]


def test_an_object_that_torch_cannot_take_apart_is_refused_with_what_to_do() -> None:
    with pytest.raises(InputError, match=r"returns a .*Opaque, .*register_pytree_node or torch\.export"):
        graphkit.load(Returns(Opaque), inputs=[(2, 3)])
