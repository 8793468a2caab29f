"""Operators that are read without PyTorch compute what torch does, on torch's own samples of them."""

from __future__ import annotations

import warnings

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnxruntime")
pytest.importorskip("expecttest")  # torch's samples are part of its tests, which need it
import opinfo  # noqa: E402 -- it imports torch's samples

from graphkit.frameworks.base import runtimes  # noqa: E402
from graphkit.frameworks.torch.program.operators import row_of  # noqa: E402
from graphkit.frameworks.torch.program.read import read_bytes  # noqa: E402
from tests.frameworks.torch.ages import saved  # noqa: E402

NAMES = """
    __rsub__ addmm addmv all amax any argmax baddbmm bmm cat chunk clamp cumsum einsum erfc expand fill flatten flip
    full_like lerp log_softmax logsumexp masked_fill matmul max_reduction_with_dim mean min_binary
    movedim narrow ne nn_functional_adaptive_avg_pool2d nn_functional_avg_pool1d nn_functional_batch_norm
    nn_functional_conv1d nn_functional_embedding nn_functional_glu nn_functional_grid_sample nn_functional_group_norm
    nn_functional_hardtanh nn_functional_instance_norm nn_functional_interpolate_bilinear nn_functional_layer_norm
    nn_functional_linear nn_functional_l1_loss nn_functional_pad_reflect nn_functional_pixel_shuffle
    nn_functional_prelu nn_functional_rms_norm nn_functional_threshold outer permute pow prod repeat rsub select
    softmax split square squeeze stack std sum t tile topk transpose tril true_divide unbind unflatten unsqueeze where
    zeros_like
"""


def looks(use: opinfo.Use) -> str:
    """What is wrong with how a sample's program looks; empty for nothing."""
    expected = use(*(tensor.clone() for tensor in use.fed))
    program = torch.export.export(use, use.fed)
    model = read_bytes(memoryview(saved(program)), "sample", "sample", raw=False, warn=pytest.fail)
    assert model is not None
    names = [value.name or "" for value in model.graph.inputs]
    if any(node.domain.startswith("torch") for node in model.graph):
        return "stays PyTorch's"
    with runtimes()["ort"].open(model) as session:
        found = session.forward({name: x.numpy() for name, x in zip(names, use.fed, strict=True)})
    for left, right in zip(found.values(), expected, strict=True):
        if difference := opinfo._difference(left, right.numpy()):
            return difference
    return ""


@pytest.mark.parametrize("name", NAMES.split())
def test_a_sample_looks_as_what_it_computes(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own, of operators that it deprecates
        given = list(opinfo.uses(opinfo.operators()[name], 3))
        assert looks(given[len(given) // 2]) == ""


def test_quantisation_is_told_in_onnx() -> None:
    import torch.ao.quantization.fx._decomposed

    class Quantized(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            ops = torch.ops.quantized_decomposed
            held = ops.quantize_per_tensor(x, 0.1, 3, -128, 127, torch.int8)
            narrow = ops.quantize_per_tensor(x, 0.1, 3, -127, 127, torch.int8)
            return ops.dequantize_per_tensor(held, 0.1, 3, -128, 127, torch.int8), narrow

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.export(Quantized(), (torch.randn(4),))
    model = read_bytes(memoryview(saved(program)), "sample", "sample", raw=False, warn=pytest.fail)
    assert model is not None
    kinds = [(node.domain, node.op_type) for node in model.graph]
    assert ("", "QuantizeLinear") in kinds
    assert ("", "DequantizeLinear") in kinds
    assert ("torch.quantized_decomposed", "quantize_per_tensor") in kinds


def test_operators_of_unknown_namespaces_have_no_row() -> None:
    assert row_of("torchvision", "nms", "default") is None
    assert row_of("aten", "no_such_operator", "default") is None
    assert row_of("aten", "relu_", "default") is row_of("aten", "relu", "default")
