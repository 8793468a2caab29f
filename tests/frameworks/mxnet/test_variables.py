"""What variables of a symbol say of themselves."""

from __future__ import annotations

import numpy as np
import pytest
from mxsymbols import graph, op, var
from realmxnet import mxnet

from graphkit.frameworks.base import ReadOptions
from graphkit.frameworks.mxnet.read import from_symbol
from graphkit.ir import params
from graphkit.ops.mxgraph import MxModel


@pytest.mark.parametrize(
    ("declared", "np_shape", "dims"),
    [
        ("(0, 3)", False, [None, 3]),
        ("(2, 0)", True, [2, 0]),
        ("(-1, 3)", True, [None, 3]),
        ("()", True, []),
    ],
)
def test_an_unknown_size_is_0_and_in_numpy_mode_minus_1(declared: str, np_shape: bool, dims: list[int | None]) -> None:
    x = var("x")
    x.node.hidden["__shape__"] = declared
    symbol = graph(op("relu", "head", x))
    symbol.np_shape = np_shape
    model = from_symbol(MxModel(symbol), ReadOptions(dynamic_batch=False), "the symbol")
    shape = model.graph.inputs[0].shape
    assert shape is not None
    assert [dim if isinstance(dim, int) else dim.value for dim in shape] == dims


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ({}, "parameter"),
        ({"__init__": "Constant_c_139850175882064"}, "constant"),
        ({"__init__": '["constant", {"value": 1}]'}, "parameter"),
        ({"__lr_mult__": "0.0", "__wd_mult__": "0.0"}, "constant"),
        ({"__lr_mult__": "0"}, "buffer"),
        ({"__wd_mult__": "0.0"}, "parameter"),
        ({"__lr_mult__": "none"}, "parameter"),
    ],
    ids=["nothing", "gluon's constant", "initialised to a constant", "rates of zero", "frozen", "no decay", "damaged"],
)
def test_constants_of_gluon_and_what_has_rates_of_zero_are_not_trained(said: dict[str, str], kind: str) -> None:
    c = var("c")
    c.node.hidden.update(said)
    symbol = graph(op("broadcast_add", "head", var("x"), c))
    model = from_symbol(MxModel(symbol, {"c": np.ones(3, np.float32)}), ReadOptions(), "the symbol")
    assert params.kind_of(model.graph.initializers["c"]) == kind


def test_mxnet_leaves_a_weight_alone_whose_learning_rate_is_multiplied_by_zero() -> None:
    mx = mxnet()
    frozen, trained = mx.sym.Variable("frozen", lr_mult=0), mx.sym.Variable("trained")
    rule = mx.optimizer.SGD(learning_rate=0.5, wd=0.1, sym=frozen * trained, param_idx2name={0: "frozen", 1: "trained"})
    for index in range(2):
        weight = mx.nd.ones(3)
        rule.update(index, weight, mx.nd.ones(3), rule.create_state(index, weight))
        assert (weight.asnumpy() == 1).all() == (index == 0)


def test_a_first_size_that_is_said_not_to_be_free_is_no_batch() -> None:
    x, h = var("x"), var("h")
    x.node.hidden.update({"__shape__": "(0, 0, 3)", "__axis_names__": '["steps", "batch", null]'})
    h.node.hidden.update({"__shape__": "(4, 0, 3)", "__axis_names__": '[null, "batch", null]'})
    model = from_symbol(MxModel(graph(op("elemwise_add", "head", x, h))), ReadOptions(), "the symbol")
    shapes = [value.shape for value in model.graph.inputs]
    assert [list(map(str, shape or ())) for shape in shapes] == [["steps", "batch", "3"], ["4", "batch", "3"]]
