"""Scopes of nodes."""

from __future__ import annotations

import onnx_ir as ir
import pytest

from graphkit.ir.origin import Origin, set_origin
from graphkit.ir.scope import scope_of


def node(name: str, **notes: str) -> ir.Node:
    made = ir.Node("", "Conv", [], name=name)
    made.metadata_props.update({f"pkg.torch.onnx.{key}": text for key, text in notes.items()})
    return made


def test_the_origin_tells_first():
    made = node("a/b/Conv", name_scopes="['', 'layer1', 'conv']")
    set_origin(made, Origin("torch", scope="layer2.0"))
    assert scope_of(made) == "layer2.0"


@pytest.mark.parametrize(
    ("notes", "scope"),
    [
        ("['', 'layer1', 'layer1.0', 'conv2d']", "layer1.0"),
        ("['', 'conv2d']", ""),
        ("['_empty_nn_module_stack_from_metadata_hook', 'sym_size']", ""),
        ("[", ""),
        ("7", ""),
        ("[1, 2]", ""),
        ("__import__('os')", ""),
    ],
)
def test_what_torch_noted_in_the_file_tells_next(notes, scope):
    assert scope_of(node("conv", name_scopes=notes)) == scope


@pytest.mark.parametrize(
    ("name", "scope"),
    [
        ("/layer1/layer1.0/conv1/Conv", "layer1.0.conv1"),
        ("model/block/conv/Conv2D", "model.block.conv"),
        ("layer1.0.conv1", "layer1.0"),
        ("stage1_unit1_conv1", ""),
        ("Conv.12", ""),
        ("conv.12", "conv"),
        ("3.14", ""),
        ("a sentence. Another", ""),
        ("///", ""),
        ("", ""),
    ],
)
def test_a_name_with_slashes_or_dots_tells_last(name, scope):
    assert scope_of(node(name)) == scope
