"""Event files that TensorBoard reads."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from drawn import HOSTILE, block, branches, chain, hostile

from graphkit.errors import InputError, MissingError
from graphkit.ir.untranslated import set_untranslated
from graphkit.ir.view import nx_view
from graphkit.passes.gradient.model import gradient_model
from graphkit.render import TENSORBOARD, format_of, picture, render
from graphkit.render.part import part
from graphkit.render.tensorboard import FILE, graph_def

if TYPE_CHECKING:
    from pathlib import Path

accumulator = pytest.importorskip(
    "tensorboard.backend.event_processing.event_accumulator", reason="tensorboard is not installed"
)


def read(folder: Path):
    """The graph, as TensorBoard's own reader finds it."""
    found = accumulator.EventAccumulator(str(folder))
    found.Reload()
    return found.Graph()


def nodes(graph) -> dict[str, object]:
    found = {node.name: node for node in graph.node}
    assert len(found) == len(graph.node)
    return found


def test_tensorboard_reads_what_is_written(tmp_path):
    from tensorboard.backend.process_graph import prepare_graph_for_ui

    assert render(block(), f"{tmp_path}/logs/block/") == tmp_path / "logs" / "block" / FILE
    graph = read(tmp_path / "logs" / "block")
    prepare_graph_for_ui(graph)
    assert {
        "image": "Placeholder",
        "body/conv1/Conv": "Conv",
        "body/conv1/weight": "Const",
        "body/bn/running_mean": "Const",
        "body/down/0/weight": "Const",
        "body/down/1/Mul": "Mul",
        "body/Add": "Add",
        "out": "Output",
    }.items() <= {name: node.op for name, node in nodes(graph).items()}.items()


@pytest.mark.parametrize(
    "make", [block, branches, hostile, lambda: chain(3), lambda: gradient_model(block())], ids=range(5)
)
def test_every_node_reads_nodes_that_are_there(make):
    view = nx_view(make())
    found = nodes(graph_def(view))
    assert len(found) >= len(view)
    reads = [name.partition(":")[0] for node in found.values() for name in node.input]
    assert reads
    assert set(reads) <= set(found)
    groups = {name[:index] for name in found for index, char in enumerate(name) if char == "/"}
    assert not groups & set(found)


def test_inputs_come_in_the_order_of_the_operator():
    found = nodes(graph_def(nx_view(block())))
    assert list(found["body/conv1/Conv"].input) == ["image", "body/conv1/weight", "body/conv1/bias"]
    assert list(found["body/Add"].input) == ["body/relu/Relu", "body/down/1/Mul"]


def test_a_module_of_one_operator_without_parameters_is_that_operator():
    model = chain(3, "layer.{}")
    assert {"layer/0", "layer/1", "layer/2"} < set(nodes(graph_def(nx_view(model))))


def test_shapes_types_and_attributes_are_told():
    conv = nodes(graph_def(nx_view(block())))["body/conv1/Conv"]
    (shape,) = conv.attr["_output_shapes"].list.shape
    assert [(dim.size, dim.name) for dim in shape.dim] == [(-1, "N"), (4, ""), (8, ""), (8, "")]
    assert conv.attr["dtype"].type == 1
    assert list(conv.attr["kernel_shape"].list.i) == [3, 3]
    assert conv.attr["group"].i == 1
    assert conv.attr["origin_line"].s == b"nets.py:7"


def test_what_is_not_known_is_not_made_up():
    model = chain(2)
    model.graph[0].outputs[0].shape = None
    (shape,) = nodes(graph_def(nx_view(model)))["n0"].attr["_output_shapes"].list.shape
    assert shape.unknown_rank


def test_later_outputs_are_numbered_and_bodies_are_groups():
    found = nodes(graph_def(nx_view(branches())))
    assert list(found["steps"].input) == ["loop:1"]
    assert {"choice_then_branch/relu", "choice_else_branch/d", "loop_body/tanh"} < set(found)
    assert found["loop_body/magic"].op == "com.acme.Magic"


def test_passes_are_groups():
    tops = {name.partition("/")[0] for name in nodes(graph_def(nx_view(gradient_model(block())))) if "/" in name}
    assert tops == {"forward", "backward"}


def test_names_have_the_characters_that_tensorflow_allows():
    for name in nodes(graph_def(nx_view(hostile()))):
        assert all(char.isascii() and (char.isalnum() or char in "_./\\>-") for char in name), name
        assert HOSTILE not in name


def test_what_is_not_translated_and_what_is_cut_says_so():
    model = block()
    set_untranslated(model.graph[0], "nobody knows it")
    found = nodes(graph_def(part(nx_view(model), around=["conv1"], hops=0)))
    assert found["body/conv1/Conv"].attr["untranslated"].s == b"nobody knows it"
    assert found["x1"].attr["cut"].s == b"to BatchNormalization body.bn"


def test_the_same_model_gives_the_same_bytes():
    assert picture(block(), TENSORBOARD) == picture(block(), TENSORBOARD)


def test_a_folder_asks_for_it(tmp_path):
    assert format_of(tmp_path) == format_of("new/") == TENSORBOARD
    with pytest.raises(InputError, match="folds and colours a graph itself"):
        render(block(), tmp_path, depth=1)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="Not a directory"):
        render(block(), f"{tmp_path}/file/logs/")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_missing_package_is_told_with_the_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard.compat.proto.graph_pb2", None)
    with pytest.raises(MissingError, match=r"pip install 'graphkit\[tensorboard\]'"):
        picture(block(), TENSORBOARD)
