"""Scopes of nodes."""

from __future__ import annotations

import onnx_ir as ir
import pytest

from graphkit.ir.origin import Origin, set_origin
from graphkit.ir.scope import place_of


def node(name: str, **notes: str) -> ir.Node:
    made = ir.Node("", "Conv", [], name=name)
    made.metadata_props.update({f"pkg.torch.onnx.{key}": text for key, text in notes.items()})
    return made


def test_the_origin_tells_first():
    made = node("a/b/Conv", name_scopes="['', 'layer1', 'conv']")
    set_origin(made, Origin("torch", scope="layer2.0"))
    assert place_of(made) == ("layer2.0", "a/b/Conv")


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
    assert place_of(node("conv", name_scopes=notes)) == (scope, "conv")


def test_a_scope_is_no_part_of_the_name_inside_it():
    made = node("layer2.0.conv")
    set_origin(made, Origin("torch", scope="layer2.0"))
    assert place_of(made) == ("layer2.0", "conv")


@pytest.mark.parametrize(
    ("name", "scope", "leaf"),
    [
        ("/layer1/layer1.0/conv1/Conv", "layer1.0.conv1", "Conv"),
        ("model/block/conv/Conv2D", "model.block.conv", "Conv2D"),
        ("layer1.0.conv1", "layer1.0", "conv1"),
        ("stage1_unit1_conv1", "", "stage1_unit1_conv1"),
        ("Conv.12", "", "Conv.12"),
        ("conv.12", "conv", "12"),
        ("3.14", "", "3.14"),
        ("a sentence. Another", "", "a sentence. Another"),
        ("///", "", ""),
        ("", "", ""),
    ],
)
def test_a_name_with_slashes_or_dots_tells_last(name, scope, leaf):
    assert place_of(node(name)) == (scope, leaf)


@pytest.mark.parametrize(
    ("name", "scope", "leaf"),
    [
        ("stage1_unit1_conv1", "stage1.unit1", "conv1"),
        ("resnetv10_stage1_batchnorm0_fwd", "resnetv10.stage1", "batchnorm0"),
        ("resnetv1d_layers3_bottleneckv1b2__plus0", "resnetv1d.layers3.bottleneckv1b2", "_plus0"),
        ("resnetv10_stage1__plus0", "resnetv10.stage1", "_plus0"),
        ("conv0_fwd", "", "conv0"),
        ("conv1_2", "", "conv1_2"),
        ("stage1_unit1_conv0_0", "stage1.unit1", "conv0_0"),
        ("batch_norm_3", "", "batch_norm_3"),
        ("_plus7", "", "_plus7"),
        ("", "", ""),
    ],
)
def test_the_numbered_blocks_of_an_mxnet_name_tell(name, scope, leaf):
    made = node(name)
    set_origin(made, Origin("mxnet", "Convolution", name))
    assert place_of(made) == (scope, leaf)
