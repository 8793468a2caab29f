"""Real networks are read with a free batch, the names of their state_dict, and the outputs that torch gives."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pytest

from graphkit.frameworks.base import runtimes
from graphkit.ir.params import of_kind

torch = pytest.importorskip("torch")
from networks import NETWORKS, model  # noqa: E402 -- it imports torch

if TYPE_CHECKING:
    from torch import nn

FLOAT32 = 2e-5
"""Each of two float32 runs is up to 1e-5 of the largest output from the float64 one."""


@cache
def module(name: str) -> nn.Module:
    return NETWORKS[name].module()


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_keeps_its_outputs_at_any_batch(name: str) -> None:
    pytest.importorskip("onnxruntime")
    assert next(str(dim) for dim in model(name).graph.inputs[0].shape or ()) == "batch"
    assert all(str((value.shape or [0])[0]) == "batch" for value in model(name).graph.outputs)
    (key,) = (value.name or "" for value in model(name).graph.inputs)
    with runtimes()["ort"].open(model(name)) as session:
        for batch in (1, 3):
            x = NETWORKS[name].inputs(batch)
            with torch.no_grad():
                wanted = module(name)(x)
            found = session.forward({key: x.numpy()})
            for output, value in (wanted if isinstance(wanted, dict) else {"output": wanted}).items():
                scale = value.abs().max().item()
                assert np.abs(found[output] - value.numpy()).max() <= FLOAT32 * scale


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_keeps_the_names_of_its_state_dict(name: str) -> None:
    parameters = {value.name for value in of_kind(model(name), "parameter")}
    buffers = {value.name for value in of_kind(model(name), "buffer")}
    assert parameters == dict(module(name).named_parameters()).keys()
    assert parameters | buffers == {key for key in module(name).state_dict() if not key.endswith("num_batches_tracked")}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_has_no_shape_arithmetic_left(name: str) -> None:
    operators = {node.op_type for node in model(name).graph}
    assert operators.isdisjoint({"Shape", "Cast", "CastLike", "Constant", "Identity", "Expand", "Squeeze", "Slice"})


def test_the_networks_are_the_same_at_every_call() -> None:
    first, second = NETWORKS["fpn"].module().state_dict(), NETWORKS["fpn"].module().state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
