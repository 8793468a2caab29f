"""Bytes of activations, and the peak of live memory against every order there is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir
from hypothesis import given, settings
from hypothesis import strategies as st

from graphkit.inspecting.cost.costs import costs
from graphkit.inspecting.cost.count import shown_bytes
from graphkit.inspecting.cost.memory import fixed_nodes, value_bytes
from graphkit.inspecting.cost.ordering import Buffer, Task, best_order, peak_of
from graphkit.inspecting.cost.peak import peak

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

F32 = ir.DataType.FLOAT


def graph(inputs: Sequence[ir.Value], nodes: Sequence[ir.Node], outputs: Sequence[ir.Value]) -> ir.Model:
    made = ir.Graph(inputs, outputs, nodes=nodes, opset_imports={"": 24}, name="g")
    names = iter(range(1000))
    for node in nodes:
        for value in node.outputs:
            value.name = value.name or f"v{next(names)}"
    return ir.Model(made, ir_version=10)


def op(kind: str, *inputs: ir.Value, shape: Sequence[int | str], dtype: ir.DataType = F32, domain: str = "") -> ir.Node:
    node = ir.Node(domain, kind, list(inputs))
    node.outputs[0].type, node.outputs[0].shape = ir.TensorType(dtype), ir.Shape(shape)
    return node


def test_bytes_follow_from_dtype_and_shape_and_are_unknown_without_them() -> None:
    assert value_bytes(ir.val("a", F32, (2, 3))) == 24
    assert value_bytes(ir.val("a", ir.DataType.BOOL, (5,))) == 5
    assert value_bytes(ir.val("a", ir.DataType.INT4, (5,))) == 3
    assert value_bytes(ir.val("a", ir.DataType.DOUBLE, ())) == 8
    assert value_bytes(ir.val("a", F32)) is None
    assert value_bytes(ir.val("a", F32, (2, None))) is None
    assert value_bytes(ir.val("a", ir.DataType.STRING, (2,))) is None
    assert shown_bytes(value_bytes(ir.val("a", F32, ("batch", 256)))) == "1.02 kB × batch"


def test_views_and_what_depends_on_no_input_take_no_memory() -> None:
    x, w = ir.val("x", F32, (2, 6)), ir.val("w", F32, (3, 4), const_value=ir.tensor(np.ones((3, 4), np.float32)))
    flat = op("Reshape", x, shape=(4, 3))
    turned = op("Transpose", w, shape=(4, 3))
    added = op("Add", flat.outputs[0], turned.outputs[0], shape=(4, 3))
    noise = op("RandomNormal", shape=(4, 3))
    out = op("Mul", added.outputs[0], noise.outputs[0], shape=(4, 3))
    made = graph([x], [flat, turned, added, noise, out], [out.outputs[0]])
    made.graph.register_initializer(w)
    assert fixed_nodes(made.graph) == {turned}
    found = costs(made)
    assert [cost.bytes for cost in found.nodes] == [0, 0, 48, 48, 48]
    assert (found.activations.value, found.inputs, found.outputs) == (144, 48, 48)
    # x, the sum, the noise and the product are there together.
    assert (peak(made).given, peak(made).best) == (192, 192)


def test_an_activation_of_unknown_size_makes_the_peak_unknown_and_is_named() -> None:
    x = ir.val("x", F32, (2, 3))
    odd = op("Odd", x, shape=(2, None), domain="somebody")
    made = graph([x], [odd], [odd.outputs[0]])
    found = peak(made)
    assert (found.given, found.best, found.bound, found.proved) == (None, None, None, False)
    assert found.unknown == (odd.outputs[0],)
    assert costs(made).activations.unknown == (odd,)


def test_another_order_needs_less_where_the_given_one_holds_two_large_values_at_once() -> None:
    x = ir.val("x", F32, ("batch", 1))
    wide = [op("Tile", x, shape=("batch", 100)) for _ in range(2)]
    narrow = [op("ReduceSum", node.outputs[0], shape=("batch", 1)) for node in wide]
    out = op("Add", narrow[0].outputs[0], narrow[1].outputs[0], shape=("batch", 1))
    made = graph([x], [*wide, *narrow, out], [out.outputs[0]])
    found = peak(made)
    assert (found.given, found.best, found.bound, found.per) == (4 * 202, 4 * 103, 4 * 103, "batch")
    assert found.proved
    assert found.sizes == {"batch": 1}
    assert found.node is narrow[0]
    assert len(found.order) == 5
    assert peak(made, {"batch": 3}).best == 3 * 4 * 103


def test_nodes_that_cannot_run_as_they_stand_have_no_peak() -> None:
    x = ir.val("x", F32, (2, 3))
    first = op("Relu", x, shape=(2, 3))
    second = op("Neg", first.outputs[0], shape=(2, 3))
    found = peak(graph([x], [second, first], [second.outputs[0]]))
    assert (found.given, found.best, found.order) == (None, None, ())
    y = ir.val("y", F32, (2, 3))
    third = op("Add", y, y, shape=(2, 3))
    third.replace_input_with(1, third.outputs[0])
    assert peak(graph([y], [third], [third.outputs[0]])).given is None


def test_a_body_needs_its_own_memory_while_its_operator_runs() -> None:
    x, go = ir.val("x", F32, (4,)), ir.val("go", ir.DataType.BOOL, ())
    wide = op("Tile", x, shape=(100,))
    back = op("ReduceSum", wide.outputs[0], shape=(4,))
    plain = op("Neg", x, shape=(4,))
    wide.outputs[0].name, back.outputs[0].name, plain.outputs[0].name = "wide", "back", "plain"
    bodies = [ir.Graph([], [nodes[-1].outputs[0]], nodes=nodes) for nodes in ([wide, back], [plain])]
    names = ("then_branch", "else_branch")
    choice = ir.Node("", "If", [go], [ir.AttrGraph(name, body) for name, body in zip(names, bodies, strict=True)])
    choice.outputs[0].type, choice.outputs[0].shape = ir.TensorType(F32), ir.Shape((4,))
    # The inputs, the operator's output, and in the branch the wide value and the sum of it.
    assert peak(graph([x, go], [choice], [choice.outputs[0]])).given == 16 + 1 + 16 + 400 + 16


@st.composite
def plans(draw: st.DrawFn) -> tuple[list[Task], list[Buffer]]:
    count = draw(st.integers(1, 6))
    before: list[set[int]] = [set() for _ in range(count)]
    buffers = []
    for maker in range(count):
        for _ in range(draw(st.integers(0, 2))):
            readers = draw(st.frozensets(st.integers(maker + 1, count - 1), max_size=3)) if maker + 1 < count else ()
            for reader in readers:
                before[reader].add(maker)
            size = draw(st.sampled_from([0, 1, 2, 3, 5, 8, 13]))
            buffers.append(Buffer(size, maker, frozenset(readers), draw(st.integers(0, 6)) == 0))
    return [Task(frozenset(each), draw(st.sampled_from([0, 0, 4]))) for each in before], buffers


def orders(tasks: Sequence[Task], done: tuple[int, ...] = ()) -> Iterator[tuple[int, ...]]:
    if len(done) == len(tasks):
        yield done
    for index, task in enumerate(tasks):
        if index not in done and task.before <= set(done):
            yield from orders(tasks, (*done, index))


def simulated(tasks: Sequence[Task], buffers: Sequence[Buffer], order: Sequence[int]) -> int:
    """The peak by its definition, step by step."""
    most = 0
    for step, task in enumerate(order):
        done, now = set(order[:step]), tasks[task].extra
        for buffer in buffers:
            alive = buffer.maker in done and (buffer.kept or not buffer.readers <= done)
            now += buffer.size if alive or buffer.maker == task else 0
        most = max(most, now)
    return most


@settings(max_examples=150, deadline=None)
@given(plans())
def test_the_best_order_is_the_best_of_all_orders(plan: tuple[list[Task], list[Buffer]]) -> None:
    tasks, buffers = plan
    every = {order: simulated(tasks, buffers, order) for order in orders(tasks)}
    assert all(peak_of(tasks, buffers, order)[0] == most for order, most in every.items())
    found = best_order(tasks, buffers)
    assert found.peak == found.bound == min(every.values())
    assert every[found.tasks] == found.peak


@settings(max_examples=100, deadline=None)
@given(plans())
def test_without_a_budget_the_bound_and_the_order_still_hold(plan: tuple[list[Task], list[Buffer]]) -> None:
    tasks, buffers = plan
    every = {order: simulated(tasks, buffers, order) for order in orders(tasks)}
    found = best_order(tasks, buffers, budget=0)
    assert found.bound <= min(every.values()) <= found.peak == every[found.tasks]
