"""The operator table says what the real MXNet says."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from paths import REAL_MODELS, real_models
from realmxnet import accepts, mxnet

from graphkit.errors import FormatError
from graphkit.frameworks.mxnet import schema, symbol
from graphkit.ops.mxgraph import MxGraph, MxNode, MxRef

TOOL = Path(__file__).resolve().parents[3] / "tools" / "dump_mxnet_schema.py"

BARE = {"kernel": "(1, 1)", "num_filter": "1"}
LOOP = {"num_args": "2", "num_outputs": "1", "num_out_data": "1", "in_data_locs": "()", "remain_locs": "()"}
SPELLED = {
    "bool": ("BatchNorm", "fix_gamma", {}),
    "bool?": ("BilinearSampler", "cudnn_off", {}),
    "int": ("BatchNorm", "axis", {}),
    "int?": ("argmax", "axis", {}),
    "uint": ("RNN", "state_size", {"num_layers": "1", "mode": "lstm"}),
    "long": ("_eye", "k", {"N": "3"}),
    "ulong": ("Convolution", "workspace", BARE),
    "float": ("BatchNorm", "momentum", {}),
    "float?": ("BatchNorm", "min_calib_range", {}),
    "double": ("_plus_scalar", "scalar", {}),
    "double?": ("softmax", "temperature", {}),
    "enum": ("Activation", "act_type", {}),
    "enum?": ("Convolution", "layout", BARE),
    "shape": ("broadcast_to", "shape", {}),
    "shape?": ("sum", "axis", {}),
    "longs": ("_foreach", "in_state_locs", LOOP),
    "slice": ("slice", "begin", {"end": "(1,)"}),
    "floats": ("_contrib_MultiBoxPrior", "sizes", {}),
    "doubles": ("_cvcopyMakeBorder", "values", {"top": "0", "bot": "0", "left": "0", "right": "0"}),
    "shapes": ("_npi_pad", "pad_width", {}),
    "string": ("_arange", "ctx", {"start": "1"}),
}
VALUES = (
    """
1|0|-1|+1| 1|1 |1.5|1.5 |1.0|1e3|1e+5|.5|-.5|+.5|5.|1f|1.5f|1e|0x10|0x1p3|1L|-1L|1l|1LL|inf|-inf|INF|nan|NaN|-nan
infinity|-Infinity|infx|nan(1)|1e50|1e400|1e-40|1e-50|1e-300|1e-320|1e-400|3.4e38|3.5e38|None|none|None |True|true
TRUE|tRue|True | True|False||abc|relu|'relu'|NCHW|2147483647|2147483648|-2147483649|4294967295|4294967296
9223372036854775807|9223372036854775808|18446744073709551615|18446744073709551616|99999999999999999999|(1, 1)|[1,1]
(3L, 3L)|(3,3,)|(3,)|( 1 , 2 )|3,3|()|[]|(,)|(1|1)|(1 2)|(None, 1)|(0, None)|(None)|(1.5, 2)|(-1, 0)|(1,,2)| (1, 1)
(1, 1) |(1, 1]|(1, 1)x|(1e-3,)|(.5,)|(-.5,)|(0.5, inf)|((1, 1), (2, 2))|((1,1),)|((1))|(1)|(+1,)|(1L)|1,|(1,2),
""".strip("\n")
    .replace("\n", "|")
    .split("|")
)


@pytest.mark.mxnet
def test_the_table_is_what_the_installed_mxnet_says():
    mxnet()
    done = subprocess.run([sys.executable, TOOL, "--check"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.mxnet
@pytest.mark.parametrize("kind", SPELLED)
def test_values_are_accepted_exactly_where_mxnet_accepts_them(kind):
    op, name, others = SPELLED[kind]
    parameter = schema.operator(op).parameters[name]
    assert parameter.kind + "?" * parameter.nullable == kind
    wrong = [text for text in VALUES if (parameter.problem(text) is None) != accepts(op, {**others, name: text})]
    assert wrong == []


@pytest.mark.parametrize("kind", SPELLED)
def test_a_number_of_a_million_digits_is_no_reason_to_fail(kind):
    op, name, _ = SPELLED[kind]
    problem = schema.operator(op).parameters[name].problem("9" * 1_000_000)
    assert (problem is None) == (kind == "string")
    assert problem is None or len(problem) < 500


@pytest.mark.mxnet
@pytest.mark.parametrize(
    ("op", "given"),
    [
        ("BatchNorm", {}),
        ("CTCLoss", {}),
        ("Concat", {"num_args": "4"}),
        ("Convolution", BARE),
        ("LeakyReLU", {}),
        ("RNN", {"state_size": "2", "num_layers": "1"}),
        ("SliceChannel", {"num_outputs": "4"}),
        ("UpSampling", {"scale": "2", "num_args": "4"}),
        ("softmax", {}),
        ("topk", {}),
    ],
)
def test_inputs_and_outputs_follow_the_parameters_as_in_mxnet(op, given):
    """Each case of the table is composed again, by MXNet's own Python interface and with other numbers."""
    row = schema.operator(op)._row
    for case in row.get("cases", {"": {}}):
        attrs = {**given, **dict(zip(row.get("by", ()), case.split(","), strict=False))}
        composed = getattr(mxnet().sym, op)(name="n", **attrs)
        names = schema.arguments(op, attrs)
        assert composed.list_inputs() == [f"n_{name}" for name in names]
        assert composed.list_auxiliary_states() == [f"n_{names[i]}" for i in sorted(schema.aux(op, attrs))]
        rows = json.loads(composed.tojson())["node_row_ptr"]
        shown = len(composed.list_outputs())
        assert schema.outputs(op, attrs) == (shown, rows[-1] - rows[-2] - shown)


@pytest.mark.parametrize(
    ("attrs", "count"),
    [({"indices": "(0, 1, 3)"}, 3), ({"indices": "[0,]"}, 1), ({"indices": "()", "sections": "4"}, 4)],
)
def test_split_v2_counts_its_outputs_in_two_ways(attrs, count):
    assert schema.outputs("_split_v2", attrs) == (count, 0)


def test_aliases_lead_to_the_name_that_mxnet_writes():
    assert schema.canonical("concat") == "Concat"
    assert schema.canonical("Softmax") == "SoftmaxOutput"
    assert schema.canonical("crop") == "slice"
    assert schema.canonical("NoSuchOperator") == "NoSuchOperator"


def test_an_unknown_operator_has_no_arguments():
    assert schema.operator("NoSuchOperator") is None
    assert schema.arguments("NoSuchOperator", {}) == ()
    assert schema.outputs("NoSuchOperator", {}) == (None, 0)


def test_a_parameter_that_decides_on_the_inputs_must_make_sense():
    with pytest.raises(FormatError, match="Parameter no_bias of Convolution is 'maybe', not a boolean"):
        schema.arguments("Convolution", {"no_bias": "maybe"})
    with pytest.raises(FormatError, match="Concat needs the parameter num_args"):
        schema.arguments("Concat", {})
    with pytest.raises(FormatError, match="num_args of Concat is 1000000"):
        schema.arguments("Concat", {"num_args": "1000000"})


def test_a_node_that_mxnet_refuses_has_no_states():
    node = MxNode("BatchNorm", "bn", {"output_mean_var": "maybe"})
    assert schema.aux_names(MxGraph([node], [MxRef(node)])) == set()
    assert schema.validate(node) == ["parameter output_mean_var is 'maybe', not a boolean (True or False)"]


def test_problems_of_a_node_are_told_together():
    node = MxNode("Convolution", "conv", {"kernl": "(1, 1)", "no_bias": "maybe", "num_filter": "4"})
    assert schema.validate(node) == [
        "it has no parameter 'kernl' (did you mean kernel?)",
        "the required parameter kernel is absent",
        "parameter no_bias is 'maybe', not a boolean (True or False)",
    ]


def test_inputs_are_counted_and_outputs_must_exist():
    data = MxNode("null", "data")
    split = MxNode("SliceChannel", "split", {"num_outputs": "2"}, [MxRef(data)])
    assert schema.validate(MxNode("elemwise_add", "add", {}, [MxRef(split, 1), MxRef(split, 2)])) == [
        "input 1 is output 2 of 'split', which has only 2"
    ]
    assert schema.validate(MxNode("FullyConnected", "fc", {"num_hidden": "3"}, [MxRef(data)])) == [
        "it has 1 inputs where it needs 3 (data, weight, bias)"
    ]


@pytest.mark.parametrize("name", real_models())
def test_published_symbols_are_valid(name):
    """Those of forks, too."""
    folder = REAL_MODELS / name
    graph = symbol.read(folder / "symbol.json")
    assert [problem for node in graph.nodes for problem in schema.validate(node)] == []
    if (folder / "shapes.json").exists():
        assert schema.aux_names(graph) == json.loads((folder / "shapes.json").read_text())["aux"].keys()


def test_operators_of_forks_are_no_operators_of_mxnet():
    forked = {"MoonOutput", "QActivation", "QConvolution", "QFullyConnected"}
    assert forked.isdisjoint(schema.operators())
    assert all(schema.operator(name) for name in forked)
    assert schema.arguments("QConvolution_v1", {"no_bias": "False"}) == ("data", "weight", "bias")


def test_the_table_is_read_on_first_use_only():
    code = "from graphkit.frameworks.mxnet import schema; assert schema._rows.cache_info().currsize == 0"
    subprocess.run([sys.executable, "-c", code], check=True)
