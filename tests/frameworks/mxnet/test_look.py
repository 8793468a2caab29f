"""Symbols are looked at whatever is in them; only what contradicts itself is refused."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from mxsymbols import graph, op, var
from paths import REAL_MODELS, real_models

import graphkit
from graphkit.errors import FormatError, GraphkitError, InputError
from graphkit.frameworks.mxnet import checkpoint, schema, symbol
from graphkit.ir.dims import dims_of
from graphkit.ir.edit import nodes_of
from graphkit.ir.origin import origin_of
from graphkit.ir.params import kind_of
from graphkit.ir.untranslated import untranslated
from graphkit.ir.view import nx_view
from graphkit.ops.mxgraph import MxModel, MxRef

if TYPE_CHECKING:
    from pathlib import Path

    import onnx_ir as ir

    from graphkit.ops.mxgraph import MxGraph


def written(folder: Path, net: MxGraph, **arrays: np.ndarray) -> Path:
    """A symbol's file; with arrays, its parameters beside it."""
    path = folder / "net-symbol.json"
    if arrays:
        checkpoint.write(MxModel(net, arrays), folder / "net")
    else:
        symbol.write(path, net)
    return path


def look(path: Path, *inputs: str, raw: bool = False, **options: Any) -> tuple[ir.Model, list[str]]:
    """A model, and the warnings."""
    told: list[str] = []
    return graphkit.look(path, inputs=inputs, raw=raw, warn=told.append, **options), told


def kinds(model: ir.Model) -> list[str]:
    return [f"{node.domain}:{node.op_type}" for node in model.graph]


def layers() -> MxGraph:
    """A convolution, an operator of one's own with a parameter, and a dense layer."""
    conv = op("Convolution", "conv", var("data"), var("conv_weight"), var("conv_bias"), kernel=(3, 3), num_filter=4)
    own = op("Custom", "own", conv, var("own_scale"), op_type="my_op", factor=2)
    return graph(op("FullyConnected", "fc", own, var("fc_weight"), var("fc_bias"), num_hidden=5))


ARRAYS = {
    "conv_weight": np.ones((4, 3, 3, 3), np.float32),
    "conv_bias": np.ones(4, np.float32),
    "own_scale": np.ones((4, 1), np.float32),
    "fc_weight": np.ones((5, 144), np.float32),
    "fc_bias": np.ones(5, np.float32),
}


def test_an_operator_of_ones_own_stays_and_says_why(tmp_path: Path) -> None:
    model, told = look(written(tmp_path, layers(), **ARRAYS), "1x3x8x8")
    assert kinds(model) == [":Conv", "mxnet:Custom", ":Flatten", ":Gemm"]
    own = next(node for node in model.graph if node.op_type == "Custom")
    assert own.name == "own"
    assert "code outside the symbol" in untranslated(own)
    attributes = {name: attribute.as_string() for name, attribute in own.attributes.items()}
    assert attributes == {"op_type": "my_op", "factor": "2"}
    assert [value.name for value in own.inputs if value is not None] == ["conv_output", "own_scale"]
    assert (origin_of(own).framework, origin_of(own).op, origin_of(own).name) == ("mxnet", "Custom", "own")
    assert "own_scale" in model.graph.initializers
    assert [value.name for value in model.graph.outputs] == ["fc_output"]
    assert [dims_of(node.outputs[0]) for node in model.graph][:2] == [("batch", 4, 6, 6), None]
    assert told == []


def test_what_can_be_converted_is_looked_at_as_it_is_converted(tmp_path: Path) -> None:
    net = graph(op("Activation", "act", op("FullyConnected", "fc", var("data"), var("w"), var("b"), num_hidden=2)))
    net.nodes[-1].attrs["act_type"] = "relu"
    path = written(tmp_path, net, w=np.ones((2, 3), np.float32), b=np.ones(2, np.float32))
    model, _ = look(path, "data:?x3")
    converted = graphkit.load(path, inputs=["data:?x3"])
    assert [str(node) for node in model.graph] == [str(node) for node in converted.graph]
    assert [node.name for node in model.graph] == [node.name for node in converted.graph]
    assert not any(map(untranslated, model.graph))


def test_raw_has_the_nodes_that_the_file_has(tmp_path: Path) -> None:
    model, _ = look(written(tmp_path, layers(), **ARRAYS), "1x3x8x8", raw=True)
    assert kinds(model) == ["mxnet:Convolution", "mxnet:Custom", "mxnet:FullyConnected"]
    conv = model.graph[0]
    assert conv.attributes["kernel"].as_string() == "(3, 3)"
    assert [value.name for value in conv.inputs if value is not None] == ["data", "conv_weight", "conv_bias"]
    assert dims_of(conv.outputs[0]) == ("batch", 4, 6, 6)
    assert conv.outputs[0].dtype is not None
    assert [value.name for value in model.graph.outputs] == ["fc_output"]


def test_raw_has_the_names_that_the_file_has_for_operators(tmp_path: Path) -> None:
    path = tmp_path / "net-symbol.json"
    path.write_text(symbol.dumps(graph(op("Flatten", "flat", var("data")))).replace("Flatten", "flatten"))
    model, _ = look(path, "2x3x4", raw=True)
    assert kinds(model) == ["mxnet:flatten"]
    assert dims_of(model.graph.outputs[0]) == ("batch", 12)


def test_a_symbol_without_parameters_has_their_shapes_as_far_as_they_follow(tmp_path: Path) -> None:
    model, told = look(written(tmp_path, layers()), "1x3x8x8")
    weights = model.graph.initializers
    assert {name: dims_of(value) for name, value in weights.items()} == {
        "conv_weight": (4, 3, 3, 3),
        "conv_bias": (4,),
        "fc_weight": (5, None),
        "fc_bias": (5,),
    }
    assert all(value.const_value is None and kind_of(value) == "parameter" for value in weights.values())
    assert [value.name for value in model.graph.inputs] == ["data", "own_scale"]
    assert len(told) == 1
    assert "4 parameters have no values: conv_weight, conv_bias, fc_weight, fc_bias" in told[0]


def test_a_parameter_file_that_is_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"There is no parameter file .*absent\.params"):
        look(written(tmp_path, layers()), params=tmp_path / "absent.params")


def test_parameters_of_another_network_are_left_out(tmp_path: Path) -> None:
    path = written(tmp_path, layers(), **{"dense.weight": np.ones((2, 2), np.float32)})
    _, told = look(path, "1x3x8x8")
    assert "cannot be matched" in told[0]
    assert "4 parameters have no values" in told[1]


def test_a_parameter_that_does_not_fit_leaves_its_operator_as_it_is(tmp_path: Path) -> None:
    model, told = look(written(tmp_path, layers(), **{**ARRAYS, "conv_weight": np.ones((4, 9, 3, 3), "f")}), "1x3x8x8")
    assert untranslated(model.graph[0]).startswith("'conv_weight' is 4×9×3×3, and node 'conv' (Convolution)")
    assert any("'conv_weight' is 4×9×3×3" in message for message in told)


def test_without_shapes_reading_goes_as_far_as_it_can(tmp_path: Path) -> None:
    repeated = op("SequenceMask", "mask", op("tanh", "act", var("data")), var("length"), use_sequence_length=True)
    model, told = look(written(tmp_path, graph(op("relu", "last", repeated))))
    assert kinds(model) == [":Tanh", "mxnet:SequenceMask", ":Relu"]
    assert untranslated(model.graph[1]) == "the shape of what it reads is not known"
    assert "Give --input data:SHAPE" in told[-1]


def test_a_number_of_outputs_follows_from_what_is_read(tmp_path: Path) -> None:
    own = op("Custom", "own", var("data"), op_type="pair")
    model, _ = look(written(tmp_path, graph(op("relu", "a", MxRef(own.node, 2)), own)))
    assert [len(node.outputs) for node in model.graph] == [3, 1]
    assert [value.name for value in model.graph.outputs] == ["a_output", "own_output0"]


def test_outputs_that_the_canonical_form_drops_keep_their_node(tmp_path: Path) -> None:
    norm = op("BatchNorm", "bn", var("data"), *map(var, ("g", "b", "m", "v")))
    arrays = {name: np.ones(3, np.float32) for name in "gbmv"}
    model, _ = look(written(tmp_path, graph(MxRef(norm.node, 1)), **arrays), "1x3x8x8")
    assert kinds(model) == ["mxnet:BatchNorm"]
    assert untranslated(model.graph[0]) == "graphkit drops its output 1, which is used"


def loop(body_op: str) -> MxGraph:
    row, state = var("row"), var("state")
    total = op(body_op, "total", row, state)
    each = op("_foreach", "each", var("rows"), var("begin"), num_args=3, num_outputs=2, num_out_data=1)
    each.node.attrs |= {"in_state_locs": "(1,)", "in_data_locs": "(0,)", "remain_locs": "()"}
    each.node.subgraphs.append(graph(total, MxRef(total.node)))
    return graph(each)


@pytest.mark.parametrize("raw", [False, True])
def test_control_flow_keeps_what_is_inside(tmp_path: Path, raw: bool) -> None:
    path = written(tmp_path, loop("NoSuchOperator"))
    model, _ = look(path, "rows:4x3", "begin:3", raw=raw, dynamic_batch=False)
    inside = [node for node in nodes_of(model) if node.op_type == "NoSuchOperator"]
    assert len(inside) == 1
    assert inside[0].domain == "mxnet"
    assert "no operator 'NoSuchOperator'" in untranslated(inside[0])
    view = nx_view(model)
    (body,) = view.graph["bodies"]
    fed = {tail: head for tail, head, kind in view.edges(data="kind") if kind == "body" and head.startswith(body)}
    rows, state = (key for key in view if key.startswith(f"{body}/input:") and "in0" not in key)
    assert len(fed) == 2
    assert set(fed) <= {"input:rows", "input:begin"}
    if raw:
        assert fed == {"input:rows": rows, "input:begin": state}


def document(net: MxGraph) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(symbol.dumps(net))
    return found


def saved(folder: Path, data: object) -> Path:
    path = folder / "net-symbol.json"
    path.write_text(json.dumps(data))
    return path


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda net: net.update(heads=[[8, 3, 0]]), r"the list of heads reads output 3 of node 'fc', .* only 1"),
        (lambda net: net.update(heads=[[99, 0, 0]]), r"list of heads refers to node 99, but there are only"),
        (lambda net: net.update(heads=[]), "has no heads"),
        (lambda net: net.update(nodes=[], arg_nodes=[]), "there are only 0 nodes"),
        (
            lambda net: net["nodes"][3]["inputs"].__setitem__(0, [0, 2, 0]),
            r"'conv' .* output 2 of variable 'data'",
        ),
        (lambda net: net["nodes"][3]["inputs"].__setitem__(0, [-1, 0, 0]), r"node 3 \('conv'\) refers to \[-1, 0, 0\]"),
        (lambda net: net["nodes"][3]["inputs"].__setitem__(0, [3, 0, 0]), r"cycle: node 'conv' depends on itself"),
        (lambda net: net["nodes"][3].update(inputs="none"), 'node 3 \\(\'conv\'\\) has "inputs": "none"'),
        (lambda net: net["nodes"][3].update(attrs={"kernel": [3, 3]}), r"'kernel' of node 3 .* is no string"),
        (lambda net: net["nodes"][3].update(name=None), r"the name of node 3 \(Convolution\) is absent"),
        (lambda net: net["nodes"].__setitem__(3, 7), "node 3 is no object but 7"),
    ],
)
@pytest.mark.parametrize("raw", [False, True])
def test_a_symbol_that_contradicts_itself_is_refused(tmp_path: Path, damage: Any, told: str, raw: bool) -> None:
    data = document(layers())
    damage(data)
    with pytest.raises(FormatError, match=told):
        look(saved(tmp_path, data), raw=raw)


def test_nesting_without_end_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "net-symbol.json"
    path.write_text('{"nodes": [{"op": "_cond", "name": "c", "inputs": [], "subgraphs": [' * 400)
    with pytest.raises(FormatError):
        look(path)


def damaged(rng: np.random.Generator, data: dict[str, Any]) -> None:
    """Change one thing of a symbol."""
    nodes = data["nodes"]
    node = nodes[rng.integers(len(nodes))]
    other = int(rng.integers(len(nodes)))
    match rng.integers(9):
        case 0:
            nodes.remove(node)
        case 1:
            node["inputs"] = [[other, int(rng.integers(3)), 0], *node["inputs"][1:]]
        case 2:
            node["inputs"] = node["inputs"][:-1]
        case 3:
            node["op"] = str(
                rng.choice(["NoSuch", "null", "Convolution", "RNN", "SliceChannel", "Reshape", "_foreach"])
            )
        case 4:
            attrs = node.setdefault("attrs", {})
            for name in list(attrs)[: int(rng.integers(1, 3))]:
                attrs[name] = str(rng.choice(["", "None", "-1", "(", "(0, 0)", "1000000000", "nan", "True", "²"]))
        case 5:
            node["name"] = str(rng.choice(["", "data", "<b>\n'\"", "é" * 10_000]))
        case 6:
            data["heads"] = [[other, int(rng.integers(3)), 0]]
        case 7:
            node["attrs"] = {}
        case _:
            nodes[other], nodes[0] = nodes[0], nodes[other]


@pytest.mark.parametrize("seed", range(60))
def test_damage_gives_a_graph_or_a_reason(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    data = document(layers())
    for _ in range(int(rng.integers(1, 4))):
        damaged(rng, data)
    for raw in (False, True):
        with contextlib.suppress(GraphkitError):
            assert nx_view(look(saved(tmp_path, data), raw=raw)[0]).number_of_nodes() > 0


@pytest.mark.parametrize("seed", range(10))
def test_truncation_gives_a_reason(tmp_path: Path, seed: int) -> None:
    path = written(tmp_path, layers(), **ARRAYS)
    cut = path if seed % 2 else tmp_path / "net-0000.params"
    content = cut.read_bytes()
    cut.write_bytes(content[: int(np.random.default_rng(seed).integers(len(content) - 2))])
    with pytest.raises(FormatError):
        look(path)


REAL = pytest.mark.skipif(REAL_MODELS is None, reason="the published models are not beside the repository")


@REAL
@pytest.mark.parametrize("name", real_models())
def test_published_models_are_looked_at_with_and_without_their_parameters(tmp_path: Path, name: str) -> None:
    assert REAL_MODELS is not None
    source, stored = REAL_MODELS / name / "symbol.json", REAL_MODELS / name / "model.params"
    alone = tmp_path / "net-symbol.json"
    shutil.copy(source, alone)
    given = {"params": stored} if stored.exists() else {}
    counted = Counter(schema.canonical(node.op) for node in symbol.read(source).nodes if not node.is_variable)
    for path, options in ((source, given), (alone, {})) if given else ((alone, {}),):
        model, _ = look(path, **options)
        raw, _ = look(path, raw=True, **options)
        assert nx_view(model).number_of_nodes() > 0
        found = Counter(schema.canonical(node.op_type) for node in raw.graph if node.domain == "mxnet")
        assert found == counted
        if options:
            assert not any(map(untranslated, nodes_of(model)))
