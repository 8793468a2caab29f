"""MXNet's symbols of every age, for fuzzing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hostile.mutating import mutate_json
from mxsymbols import graph, op, var
from paths import REAL_MODELS

from graphkit.frameworks.mxnet import symbol
from graphkit.ops.mxgraph import MxRef

if TYPE_CHECKING:
    from random import Random

    from graphkit.ops.mxgraph import MxGraph

__all__ = ["mutated", "read", "seeds"]

_LARGEST = 5000


def seeds() -> list[bytes]:
    """Small published symbols of 2015 and later, and symbols with a loop and a branch."""
    real = [] if REAL_MODELS is None else sorted(REAL_MODELS.rglob("*symbol.json"))
    small = [path.read_bytes() for path in real if path.stat().st_size <= _LARGEST]
    return small + [symbol.dumps(made).encode() for made in (_plain(), _loop(), _branch())]


def _plain() -> MxGraph:
    hidden = op("FullyConnected", "fc", var("data"), var("fc_weight"), var("fc_bias"), num_hidden=4)
    return graph(op("SoftmaxOutput", "softmax", op("Activation", "act", hidden, act_type="relu"), var("label")))


def _loop() -> MxGraph:
    body = graph(op("elemwise_add", "sum", var("item"), var("state")))
    body.heads = [*body.heads, MxRef(body.heads[0].node)]
    node = op("_foreach", "loop", var("data"), var("begin"), num_args=3, num_outputs=2, num_out_data=1)
    node.node.attrs |= {"in_state_locs": "(1,)", "in_data_locs": "(0,)", "remain_locs": "()"}
    node.node.subgraphs.append(body)
    return graph(node, MxRef(node.node, 1))


def _branch() -> MxGraph:
    node = op("_cond", "branch", var("p"), var("x"), num_args=5, num_outputs=1, cond_input_locs="(0,)")
    node.node.attrs |= {"then_input_locs": "(1,)", "else_input_locs": "(1,)"}
    node.node.subgraphs += [graph(var("q")), graph(op("relu", "r", var("y"))), graph(op("abs", "a", var("z")))]
    return graph(node)


def mutated(rng: Random, data: bytes, others: list[bytes]) -> bytes:
    """What the JSON says, changed."""
    return mutate_json(rng, data, others)


def read(data: bytes) -> object:
    """Read a symbol as MXNet would and as it is spelled, and write it."""
    symbol.loads(data, "x", as_spelled=True)
    return symbol.dumps(symbol.loads(data, "x"))
