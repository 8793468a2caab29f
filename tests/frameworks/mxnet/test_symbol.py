"""Symbols are read as the real MXNet reads them, and what is written is what it would have written."""

from __future__ import annotations

import contextlib
import json
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from paths import REAL_MODELS, real_models
from realmxnet import mxnet

from graphkit.errors import FormatError, InputError
from graphkit.frameworks.mxnet import symbol
from graphkit.ops.mxgraph import MxGraph, MxNode, MxRef

PUBLISHED = [
    path.relative_to(REAL_MODELS).as_posix()
    for name in real_models()
    for path in sorted((REAL_MODELS / name).glob("*symbol.json"))
]
REFUSED = "MoonOutput is not registered|QActivation is not|QConvolution is not"


def _plain(text):
    """A symbol without the numbers that depend on MXNet's build or on how it was made in memory."""

    def graph(data):
        return {
            "nodes": [
                {
                    **{key: node[key] for key in ("op", "name")},
                    "attrs": node.get("attrs", {}),
                    "inputs": [entry[:2] for entry in node["inputs"]],
                    "subgraphs": [graph(body) for body in node.get("subgraphs", ())],
                }
                for node in data["nodes"]
            ],
            "arg_nodes": data["arg_nodes"],
            "heads": [entry[:2] for entry in data["heads"]],
            "attrs": data.get("attrs"),
        }

    return graph(json.loads(text))


def _saved(loaded):
    return loaded.tojson(remove_amp_cast=False)


def _file(*nodes, heads=((-1, 0, 0),), version=10901, **others):
    items = [dict(zip(("op", "name", "attrs", "inputs"), node, strict=False)) for node in nodes]
    for item in items:
        item.setdefault("attrs", {})
        item.setdefault("inputs", [])
    data = {
        "nodes": items,
        "arg_nodes": [i for i, item in enumerate(items) if item["op"] == "null"],
        "heads": [[len(items) + head[0] if head[0] < 0 else head[0], *head[1:]] for head in heads],
        "attrs": {"mxnet_version": ["int", version]},
    }
    return json.dumps(data | others)


class TestAgainstMxnet:
    pytestmark = pytest.mark.mxnet

    @pytest.mark.parametrize("name", PUBLISHED)
    def test_published_symbols_become_what_mxnet_makes_of_them(self, name):
        """Upgraded, with canonical names, node for node and attribute for attribute."""
        path = REAL_MODELS / name
        ours = symbol.dumps(symbol.read(path))
        status = json.loads((path.parent / "meta.json").read_text())["mxnet_1_9_1"]["load"]
        if "mkldnn_off" in status and path.name == "symbol.json":
            path = path.with_name("derived_symbol.json")
        elif status != "ok" and path.name == "symbol.json":
            with pytest.raises(mxnet().base.MXNetError, match=REFUSED):
                mxnet().sym.load_json(ours)
            return
        theirs = mxnet().sym.load(str(path))
        assert _plain(ours) == _plain(_saved(theirs))
        assert _plain(_saved(mxnet().sym.load_json(ours))) == _plain(_saved(theirs))

    @pytest.mark.parametrize("name", [name for name in real_models() if (REAL_MODELS / name / "shapes.json").exists()])
    def test_published_symbols_keep_their_names_and_shapes(self, name):
        folder = REAL_MODELS / name
        known = json.loads((folder / "shapes.json").read_text())
        loaded = mxnet().sym.load_json(symbol.dumps(symbol.read(folder / "symbol.json")))
        theirs = mxnet().sym.load(str(folder / "symbol.json"))
        assert loaded.list_arguments() == theirs.list_arguments()
        assert loaded.list_auxiliary_states() == theirs.list_auxiliary_states()
        assert loaded.list_outputs() == theirs.list_outputs()
        given = {key: tuple(known["args"][key][0]) for key in known["inputs"]}
        args, _, aux = loaded.infer_shape(**given)
        assert dict(zip(loaded.list_arguments(), args, strict=True)) == _shapes(known["args"])
        assert dict(zip(loaded.list_auxiliary_states(), aux, strict=True)) == _shapes(known["aux"])

    def test_a_symbol_made_by_mxnet_survives(self):
        sym = mxnet().sym
        data = sym.Variable("data", shape=(0, 3), lr_mult=2.0, init=mxnet().init.Xavier())
        net = sym.BatchNorm(sym.Convolution(data, kernel=(3, 3), num_filter=4, name='c é\n"\\\t'), name="bn")
        parts = sym.split(sym.concat(net, net, dim=1), num_outputs=2, name="parts")
        both = sym.Group([parts[1], sym.LeakyReLU(parts[0], act_type="prelu"), net])
        graph = symbol.loads(_saved(both))
        assert _plain(symbol.dumps(graph)) == _plain(_saved(both))
        assert graph.nodes[0].hidden["__shape__"] == "(0, 3)"
        assert [node.op for node in graph.nodes if not node.is_variable][2:4] == ["Concat", "SliceChannel"]

    def test_numpy_shapes_survive(self):
        mx = mxnet()
        with mx.util.np_shape(True):
            text = _saved(mx.sym.Variable("data", shape=(-1, 3)) * 2)
            graph = symbol.loads(text)
            assert graph.np_shape
            assert _plain(symbol.dumps(graph)) == _plain(text)

    def test_control_flow_survives(self):
        sym = mxnet().sym
        data, state, more = sym.Variable("data"), sym.Variable("state"), sym.Variable("more")
        loop, _ = sym.contrib.foreach(lambda x, s: (x + s[0] * more, [s[0] + 1]), data, [state])
        while_, _ = sym.contrib.while_loop(lambda s: s < 5, lambda s: (s * 2, [s + 1]), [state], max_iterations=4)
        cond = sym.contrib.cond(sym.sum(state) < 3, lambda: data * 2, lambda: data + more)
        for made in (loop, while_[0] if isinstance(while_, list) else while_, cond):
            graph = symbol.loads(_saved(made))
            assert any(node.subgraphs for node in graph.nodes)
            assert _plain(symbol.dumps(graph)) == _plain(_saved(made))
            assert _plain(_saved(mxnet().sym.load_json(symbol.dumps(graph)))) == _plain(_saved(made))

    @pytest.mark.parametrize(
        "text",
        [
            _file(("null", "x"), ("FullyConnected", "fc", {"num_hidden": "2"}, [[0, 0]]), version=800),
            _file(("null", "x"), ("FullyConnected", "", {"num_hidden": "2", "no_bias": "1"}, [[0, 0]]), version=800),
            _file(("null", "x"), ("BatchNorm", "bn", {"lr_mult": "2"}, [[0, 0]]), version=899),
            _file(
                ("null", "x"),
                ("null", "g"),
                ("null", "b"),
                ("BatchNorm", "bn", {}, [[0, 0], [1, 0], [2, 0]]),
                version=900,
            ),
            _file(
                *[("null", name) for name in "xgbmv"],
                ("BatchNorm", "bn", {"gamma_lr_mult": "3"}, [[i, 0] for i in range(5)]),
                version=903,
            ),
            _file(
                ("null", "x"), ("null", "g"), ("LeakyReLU", "p", {"act_type": "prelu"}, [[0, 0], [1, 0]]), version=903
            ),
            _file(
                ("null", "x"), ("null", "g"), ("LeakyReLU", "p", {"act_type": "prelu"}, [[0, 0], [1, 0]]), version=904
            ),
            _file(("null", "x"), ("argmax", "a", {"axis": "-1"}, [[0, 0]]), version=904),
            _file(("null", "x"), ("argmax", "a", {"axis": "-1"}, [[0, 0]]), version=905),
            _file(
                ("null", "x", {"lr_mult": "2", "weight_wd_mult": "3"}),
                ("relu", "r", {"ctx_group": "a"}, [[0, 0]]),
                version=10900,
            ),
            _file(("null", "x", {"lr_mult": "2"}), ("relu", "r", {}, [[0, 0]])),
            _file(
                ("null", "x"),
                ("RNN", "r", {"state_size": "2", "num_layers": "1", "mode": "lstm"}, [[0, 0]]),
                version=800,
            ),
            _file(("null", "x"), ("SoftmaxOutput", "s", {}, [[0, 0]]), version=800),
            _file(("_Plus", "sum", {}, [[1, 0], [2, 0]]), ("null", "late"), ("null", "later"), heads=((0, 0),)),
            _file(("null", "x"), ("null", "unused"), ("relu", "unread", {}, [[1, 0]]), ("flatten", "f", {}, [[0, 0]])),
        ],
    )
    def test_old_and_odd_symbols_become_what_mxnet_makes_of_them(self, text):
        theirs = mxnet().sym.load_json(text)
        assert _plain(symbol.dumps(symbol.loads(text))) == _plain(_saved(theirs))

    def test_the_three_names_of_attributes_are_merged_as_mxnet_does(self):
        node = {"op": "FullyConnected", "name": "fc", "inputs": [[0, 0], [1, 0], [2, 0]]}
        node |= {"param": {"num_hidden": "2", "no_bias": "False"}, "attr": {"num_hidden": "3", "__x__": "y"}}
        data = json.loads(_file(("null", "x"), ("null", "w"), ("null", "b"), version=800))
        data["nodes"].append(node)
        data["heads"] = [[3, 0]]
        text = json.dumps(data)
        assert _plain(symbol.dumps(symbol.loads(text))) == _plain(_saved(mxnet().sym.load_json(text)))
        graph = symbol.loads(text)
        assert graph.nodes[-1].attrs == {"num_hidden": "3", "no_bias": "False"}
        assert graph.nodes[-1].hidden == {"__x__": "y"}

    def test_text_is_laid_out_as_mxnet_does(self):
        sym = mxnet().sym
        made = sym.FullyConnected(sym.Variable("data", shape=(0, 3), lr_mult=2), num_hidden=2, name="fc")
        theirs = [line.rstrip() for line in _saved(made).splitlines() if "node_row_ptr" not in line]
        assert symbol.dumps(symbol.loads(_saved(made))).splitlines() == theirs


def _shapes(items):
    return {name: tuple(shape) for name, (shape, _) in items.items()}


def test_files_are_read_and_written(tmp_path):
    graph = symbol.loads(_file(("null", "é"), ("relu", "r", {}, [[0, 0]])))
    symbol.write(tmp_path / "x-symbol.json", graph)
    assert symbol.dumps(symbol.read(tmp_path / "x-symbol.json")) == symbol.dumps(graph)


def test_a_missing_file_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match=r"none\.json cannot be read: No such file"):
        symbol.read(tmp_path / "none.json")


def test_the_version_is_kept_and_the_written_one_is_that_of_the_semantics():
    graph = symbol.loads(_file(("null", "x"), version=20000))
    assert graph.version == 20000
    assert json.loads(symbol.dumps(graph))["attrs"] == {"mxnet_version": ["int", 10901]}
    data = json.loads(_file(("null", "x")))
    del data["attrs"]
    assert symbol.loads(json.dumps(data)).version == 800


def test_unknown_operators_and_long_chains_are_read():
    chain = [("null", "x"), *(("NoSuchOperator", f"n{i}", {"a": "b"}, [[i, 0, 0]]) for i in range(20000))]
    graph = symbol.loads(_file(*chain))
    assert len(graph.nodes) == 20001
    assert graph.nodes[-1].op == "NoSuchOperator"


def test_a_node_that_is_not_in_the_graph_is_a_mistake_of_the_caller():
    with pytest.raises(ValueError, match="'x' is read before it stands in the graph"):
        symbol.dumps(MxGraph([], [MxRef(MxNode("null", "x"))]))


@pytest.mark.parametrize("name", ["a\0b", "\ud800"])
def test_names_that_no_file_can_hold_are_refused(name):
    node = MxNode("null", name)
    with pytest.raises(FormatError, match="a character that no file can hold"):
        symbol.dumps(MxGraph([node], [MxRef(node)]))


def _edited(path, value):
    data = json.loads(_file(("null", "x"), ("relu", "r", {"a": "1"}, [[0, 0, 0]])))
    item = data
    for key in path[:-1]:
        item = item[key]
    if value is None:
        del item[path[-1]]
    else:
        item[path[-1]] = value
    return json.dumps(data)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no JSON at line 1, column 1"),
        ('{"nodes": [', "no JSON at line 1, column 12"),
        (b"\xff\xfe{}", "byte 0 is not UTF-8"),
        ("[" * 100_000, "is not an MXNet symbol"),
        ("9" * 10_000, "is not an MXNet symbol"),
        ("[]", r"it is no object with \"nodes\" and \"heads\""),
        (_edited(["nodes"], None), r"it is no object with \"nodes\" and \"heads\""),
        (_edited(["heads"], None), r"it is no object with \"nodes\" and \"heads\""),
        (_edited(["heads"], []), "it has no heads"),
        (_edited(["heads"], [[2, 0, 0]]), "list of heads refers to node 2, but there are only 2"),
        (_edited(["arg_nodes"], None), r"has no list \"arg_nodes\""),
        (_edited(["arg_nodes"], [1]), "lists 1 among its arguments"),
        (_edited(["layers"], []), "the key 'layers', which no symbol has"),
        (_edited(["nodes", 1, "layer"], "x"), "node 1 has the key 'layer'"),
        (_edited(["nodes", 1], []), r"node 1 is no object but \[\]"),
        (_edited(["nodes", 1, "op"], 3), "the operator of node 1 is no string but 3"),
        (_edited(["nodes", 1, "name"], None), r"the name of node 1 \(relu\) is absent"),
        (_edited(["nodes", 1, "attrs", "a"], 1), r"the attribute 'a' of node 1 \('r'\) is no string but 1"),
        (_edited(["nodes", 1, "attrs"], ["a"]), r"node 1 \('r'\) has \"attrs\": \[\"a\"\]"),
        (_edited(["nodes", 1, "inputs"], None), r"node 1 \('r'\) has no list \"inputs\""),
        (_edited(["nodes", 1, "inputs"], [[2, 0, 0]]), "refers to node 2, but there are only 2 nodes"),
        (_edited(["nodes", 1, "inputs"], [[-1, 0, 0]]), r"refers to \[-1, 0, 0\] instead of"),
        (_edited(["nodes", 1, "inputs"], [[0.0, 0, 0]]), r"refers to \[0\.0, 0, 0\] instead of"),
        (_edited(["nodes", 1, "inputs"], [[True, 0, 0]]), "refers to .* instead of"),
        (_edited(["nodes", 1, "inputs"], [[0]]), r"refers to \[0\] instead of"),
        (_edited(["nodes", 1, "inputs"], [[1, 0, 0]]), "has a cycle: node 'r' depends on itself"),
        (_edited(["nodes", 0, "inputs"], [[1, 0, 0]]), "is a variable and has inputs"),
        (_edited(["nodes", 1, "subgraphs"], [{}]), r"subgraph 0 of node 1 \('r'\) is no object with"),
        (_edited(["attrs", "mxnet_version"], 10901), r"mxnet_version is not \[\"int\", number\] but 10901"),
        (_edited(["nodes", 1, "name"], "a\0b"), "a character that no file can hold"),
        (_edited(["nodes", 1, "name"], "\ud800"), "a character that no file can hold"),
    ],
)
def test_what_is_no_symbol_is_refused_with_its_place(text, message):
    with pytest.raises(FormatError, match=message) as caught:
        symbol.loads(text, "x-symbol.json")
    assert str(caught.value).startswith("x-symbol.json is not ")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


def _good_symbols():
    yield _file(
        *[("null", name) for name in "xwb"], ("FullyConnected", "f", {"num_hidden": "2"}, [[0, 0], [1, 0], [2, 0]])
    )
    yield _file(("null", "x"), ("BatchNorm", "bn", {"weight_lr_mult": "2"}, [[0, 0]]), version=800)
    body = json.loads(_file(("null", "s"), ("relu", "r", {}, [[0, 0]])))
    del body["attrs"]
    data = json.loads(_file(("null", "x"), ("_cond", "c", {"num_outputs": "1"}, [[0, 0]])))
    data["nodes"][1]["subgraphs"] = [body]
    yield json.dumps(data)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(good=st.sampled_from(list(_good_symbols())), seed=st.integers(0, 2**32), cuts=st.integers(1, 3))
def test_a_symbol_with_wrong_bytes_is_read_or_refused(good, seed, cuts):
    chance = random.Random(seed)
    spoilt = good.encode()
    for _ in range(cuts):
        at = chance.randrange(len(spoilt))
        spoilt = spoilt[:at] + chance.choice([b"", b'"', b"0", b"9", b"-", b"[", b"null", b"\xff"]) + spoilt[at + 1 :]
    with contextlib.suppress(FormatError):
        symbol.dumps(symbol.loads(spoilt))


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["null", "relu", "x", "1"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["op", "name", "inputs", "nodes"]), inner)
    ),
    max_leaves=5,
)


@settings(max_examples=300, deadline=None)
@given(
    good=st.sampled_from(list(_good_symbols())),
    where=st.lists(st.integers(0, 5), min_size=1, max_size=5),
    value=_JSON,
)
def test_a_symbol_with_a_wrong_part_is_read_or_refused(good, where, value):
    item = data = json.loads(good)
    for i, step in enumerate(where):
        keys = list(item) if isinstance(item, dict) else list(range(len(item)))
        if not keys:
            break
        key = keys[step % len(keys)]
        if i == len(where) - 1 or not isinstance(item[key], dict | list):
            item[key] = value
            break
        item = item[key]
    with contextlib.suppress(FormatError):
        symbol.dumps(symbol.loads(json.dumps(data)))
