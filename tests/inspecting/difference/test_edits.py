"""Random edits of random graphs: no more is told than was done."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from hypothesis import given, settings
from hypothesis import strategies as st

from graphkit.inspecting.difference.diff import compare
from graphkit.inspecting.difference.json import document
from graphkit.inspecting.difference.text import headline
from graphkit.ir.params import set_kind

UNARY = ("Sin", "Cos", "Tanh", "Atan", "Sigmoid", "Softsign")
BINARY = ("Sub", "Mul", "Add")
Drawn = tuple[int, int, int, int]


def graph(steps: list[Drawn]) -> ir.Model:
    """A graph of which every node reads values before it, and all that nothing reads is summed up at the end."""
    start = ir.val("x", ir.DataType.FLOAT, (3, 4))
    values, nodes, held = [start], [], []
    for index, (kind, op, one, two) in enumerate(steps):
        first, second = values[-1 - one % min(len(values), 3)], values[two % len(values)]
        if kind == 0:
            node = ir.node(UNARY[op % len(UNARY)], [first], num_outputs=1)
        elif kind == 1 and first is not second:
            node = ir.node(BINARY[op % len(BINARY)], [first, second], num_outputs=1)
        else:
            array = np.random.default_rng(index).standard_normal(4).astype(np.float32)
            weight = ir.val(f"w{index}", ir.DataType.FLOAT, (4,), const_value=ir.tensor(array, name=f"w{index}"))
            set_kind(weight, "parameter")
            held.append(weight)
            node = ir.node(BINARY[op % len(BINARY)], [first, weight], num_outputs=1)
        add(node, f"n{index}", nodes)
        values.append(node.outputs[0])
    loose = [value for value in values if not value.uses()]
    last = ir.node("Concat", loose, {"axis": 1}, num_outputs=1)
    add(last, "last", nodes)
    inner = ir.Graph([start], last.outputs, nodes=nodes, initializers=held, opset_imports={"": 23}, name="g")
    return ir.Model(inner, ir_version=10)


def add(node: ir.Node, name: str, nodes: list[ir.Node]) -> None:
    node.name = node.outputs[0].name = name
    node.outputs[0].type, node.outputs[0].shape = ir.TensorType(ir.DataType.FLOAT), ir.Shape((3, 4))
    nodes.append(node)


def edit(model: ir.Model, how: int, where: int) -> None:
    """Replace an operator, put one in, perturb a weight, or rename a node."""
    nodes = [node for node in model.graph if node.op_type in UNARY]
    weights = list(model.graph.initializers.values())
    if how == 0 and nodes:
        node = nodes[where % len(nodes)]
        node.op_type = "Erf"
    elif how == 1 and weights:
        value = weights[where % len(weights)]
        array = value.const_value.numpy() + np.float32(0.125)
        value.const_value = ir.tensor(array, name=value.name)
    elif how == 2:
        every = list(model.graph)
        node = every[where % len(every)]
        node.name = f"{node.name}_renamed"
    else:
        every = list(model.graph)[:-1]
        node = every[where % len(every)]
        new = ir.node("Exp", [node.outputs[0]], num_outputs=1)
        add(new, f"new{where}", [])
        for user, index in list(node.outputs[0].uses()):
            if user is not new:
                user.replace_input_with(index, new.outputs[0])
        model.graph.insert_after(node, new)


def rename(model: ir.Model) -> None:
    """Give everything but the inputs other names, and the weights another order."""
    held = list(model.graph.initializers.values())
    values = [*held, *(value for node in model.graph for value in node.outputs)]
    model.graph.initializers.clear()
    for index, value in enumerate(reversed(values)):
        value.name = f"v{index}"
    for index, node in enumerate(reversed(list(model.graph))):
        node.name = f"node{index}"
    for value in reversed(held):
        model.graph.initializers.add(value)


step = st.tuples(st.integers(0, 2), st.integers(0, 5), st.integers(0, 9), st.integers(0, 30))


@given(st.lists(step, min_size=4, max_size=24), st.integers(0, 3), st.integers(0, 60))
@settings(max_examples=80, deadline=None)
def test_one_edit_is_one_difference(steps, how, where):
    left, right = graph(steps), graph(steps)
    assert compare(left, right).same
    edit(right, how, where)
    for found in (compare(left, right), compare(right, left)):
        assert sum(found.counts().values()) == 1, (found.counts(), [str(c) for n in found.nodes for c in n.changes])


@given(st.lists(step, min_size=4, max_size=24), st.sampled_from((0, 1, 3)), st.integers(0, 60))
@settings(max_examples=60, deadline=None)
def test_one_edit_is_one_difference_where_everything_is_called_otherwise(steps, how, where):
    left, right = graph(steps), graph(steps)
    edit(right, how, where)
    rename(right)
    for found in (compare(left, right, ignore=["names"]), compare(right, left, ignore=["names"])):
        assert sum(found.counts().values()) == 1, found.counts()


@given(st.lists(step, min_size=8, max_size=24), st.lists(st.tuples(st.integers(0, 3), st.integers(0, 60)), max_size=3))
@settings(max_examples=60, deadline=None)
def test_whatever_the_edits_every_node_is_told_once(steps, edits):
    left, right = graph(steps), graph(steps)
    for how, where in edits:
        edit(right, how, where)
    found = compare(left, right)
    for side, model in (("left", left), ("right", right)):
        numbers = [place.number for each in found.nodes if (place := getattr(each, side)) is not None]
        assert sorted(numbers) == list(range(len(list(model.graph))))
    assert found.same == (headline(found) == "The same.")
    assert document(found)["same"] == found.same
