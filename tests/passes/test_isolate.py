"""Cutting a model at its values, so that every node runs on its own."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from fakes import model as layer

from graphkit.frameworks.base import runtimes
from graphkit.ir.canonical import canonical
from graphkit.ir.shapes import infer_shapes
from graphkit.passes.isolate import extracted, isolated

RNG = np.random.default_rng(0)


def read(text, *, opset=23):
    found = ir.from_onnx_text(f'<ir_version: 10, opset_import: ["": {opset}]>{text}')
    for index, node in enumerate(found.graph):
        node.name = node.outputs[0].name or f"node{index}"
    infer_shapes(found)
    return found


def values_of(model, feeds):
    """Every value of the main graph, as ONNX Runtime computes it."""
    with runtimes()["reference"].open(model, native=False) as session:
        return {**feeds, **session.forward(feeds, sorted(session.tappable))}


def run(model, feeds, runtime="ort"):
    with runtimes()[runtime].open(model, native=False) as session:
        return session.forward(feeds)


def shapes(values):
    return {name: array.shape for name, array in values.items()}


def fed(found, values):
    return {name: values[value] for name, (value, _) in found.reads.items()}


FLOATS = """
g (float[2, 3] x) => (float[2, 3] y) <float[2, 3] w = {1, 2, 3, 4, 5, 6}>
{
    a = Mul(x, w)
    b = Add(a, a)
    c = Add(b, w)
    y = Mul(c, a)
}
"""
SHAPES = """
g (float[2, 3, 4] x) => (float[6, 4] y, float[2, 3, 4] z)
    <int64[1] last = {2}, int64[1] free = {-1}>
{
    s = Shape(x)
    size = Gather(s, last)
    target = Concat<axis = 0>(free, size)
    d = Neg(x)
    y = Reshape(d, target)
    z = Exp(d)
}
"""
BRANCH = """
g (float[3] x, bool c) => (float[3] y)
{
    a = Exp(x)
    b = Sqrt(a)
    y = If(c) <
        then_branch = t () => (float[3] p) { p = Add(a, b) },
        else_branch = e () => (float[3] q) { q = Mul(a, b) }
    >
}
"""
TWICE = """
g (float[2, 3] x) => (float[6] y) <int64[1] zero = {0}>
{
    d = Neg(x)
    s = Shape(d)
    n = ReduceProd(s, zero)
    y = Reshape(d, n)
}
"""
CASES = {
    "twice": (TWICE, {"x": RNG.standard_normal((2, 3)).astype(np.float32)}),
    "floats": (FLOATS, {"x": RNG.standard_normal((2, 3)).astype(np.float32)}),
    "shapes": (SHAPES, {"x": RNG.standard_normal((2, 3, 4)).astype(np.float32)}),
    "branch": (BRANCH, {"x": RNG.standard_normal(3).astype(np.float32), "c": np.array(True)}),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("runtime", ["ort", "reference", "torch"])
def test_fed_what_the_whole_has_every_node_gives_what_the_whole_has(case, runtime):
    text, feeds = CASES[case]
    values = values_of(read(text), feeds)
    found = isolated(read(text), shapes(values))
    given = run(found.model, fed(found, values), runtime)
    assert set(given) == {name for name in values if name not in feeds}
    for name, array in given.items():
        np.testing.assert_allclose(array, values[name], rtol=2e-6)


@pytest.mark.parametrize("case", CASES)
def test_what_lies_behind_an_output_runs_as_a_model(case):
    text, feeds = CASES[case]
    values = values_of(read(text), feeds)
    found = isolated(read(text), shapes(values))
    for output in ("y", "a", "z", "d"):
        if output not in values:
            continue
        alone = extracted(found, output)
        names = [value.name for value in alone.graph.inputs]
        assert set(names) <= set(values)
        assert len(set(names)) == len(names)
        (given,) = run(alone, {name: values[name] for name in names}).values()
        np.testing.assert_allclose(given, values[output], rtol=2e-6)


def test_the_model_is_left_as_it_is():
    of = read(FLOATS)
    before = str(ir.to_proto(of))
    feeds = CASES["floats"][1]
    found = isolated(of, shapes(values_of(of, feeds)), ["w"])
    inner = str(ir.to_proto(found.model))
    extracted(found, "y")
    assert str(ir.to_proto(of)) == before
    assert str(ir.to_proto(found.model)) == inner


def test_a_fault_in_one_node_reaches_no_other():
    feeds = CASES["floats"][1]
    values = values_of(read(FLOATS), feeds)
    wrong = read(FLOATS.replace("b = Add(a, a)", "b = Sub(a, a)"))
    found = isolated(wrong, shapes(values))
    given = run(found.model, fed(found, values))
    assert {name for name in given if not np.allclose(given[name], values[name])} == {"b"}


def test_a_value_that_a_node_reads_twice_is_one_input():
    feeds = CASES["floats"][1]
    found = isolated(read(FLOATS), shapes(values_of(read(FLOATS), feeds)))
    assert [read for read in found.reads.values() if read[1] == "b"] == [("a", "b")]
    assert sorted(read for read in found.reads.values() if read[0] == "a") == [("a", "b"), ("a", "y")]


def test_integers_that_say_how_a_node_works_stay_connected():
    feeds = CASES["shapes"][1]
    found = isolated(read(SHAPES), shapes(values_of(read(SHAPES), feeds)))
    assert {value for value, _ in found.reads.values()} == {"x", "d"}
    assert [node.op_type for node in found.behind("y")][-1] == "Reshape"
    assert {"Shape", "Gather", "Concat"} <= {node.op_type for node in found.behind("y")}


def test_what_a_branch_reads_from_around_it_stays_connected():
    feeds = CASES["branch"][1]
    found = isolated(read(BRANCH), shapes(values_of(read(BRANCH), feeds)))
    assert found.reads["c"] == ("c", "")
    assert [node.name for node in found.behind("y")] == ["a", "b", "y"]


def test_what_is_not_known_stays_connected():
    feeds = CASES["floats"][1]
    values = values_of(read(FLOATS), feeds)
    known = {name: array for name, array in values.items() if name not in ("a", "b")}
    found = isolated(read(FLOATS), shapes(known))
    assert [node.name for node in found.behind("c")] == ["a", "b", "c"]
    assert [node.name for node in found.behind("y")] == ["a", "y"]
    given = run(found.model, fed(found, known))
    assert set(given) == {"c", "y"}
    np.testing.assert_allclose(given["y"], values["y"], rtol=2e-6)


def test_each_node_that_reads_a_parameter_has_a_copy_where_that_is_wanted():
    feeds = CASES["floats"][1]
    values = values_of(read(FLOATS), feeds)
    found = isolated(read(FLOATS), shapes(values), ["w"])
    assert sorted(found.copies.values()) == [("w", "a"), ("w", "c")]
    assert set(found.model.graph.initializers) == set(found.copies)
    given = run(found.model, fed(found, values))
    np.testing.assert_allclose(given["c"], values["c"], rtol=2e-6)
    assert set(extracted(found, "c").graph.initializers) == {"w"}


def test_without_copies_a_parameter_keeps_its_name():
    feeds = CASES["floats"][1]
    found = isolated(read(FLOATS), shapes(values_of(read(FLOATS), feeds)))
    assert not found.copies
    assert set(found.model.graph.initializers) == {"w"}


def test_free_dimensions_take_the_sizes_of_the_run():
    of = layer()
    for node in of.graph:
        node.name = node.op_type
    feeds = {"x": RNG.standard_normal((4, 5)).astype(np.float32)}
    found = isolated(of, shapes(values_of(of, feeds)), ["w", "b"])
    assert all(isinstance(dim, int) for value in found.model.graph.inputs for dim in value.shape)
    assert {value.name for value in found.model.graph.outputs} == {"product", "sum", "y"}


def test_names_that_are_taken_are_not_taken_again():
    text = """
    g (float[2] a) => (float[2] y, float[2] z) <float[2] w = {1, 2}>
    { b = Neg(a)  c = Exp(b)  y = Add(c, w)  z = Mul(b, w) }
    """
    of = read(text)
    of.graph.initializers["w"].name = "b@c"
    values = values_of(of, {"a": np.ones(2, np.float32)})
    found = isolated(of, shapes(values))
    names = [value.name for value in (*found.model.graph.inputs, *found.model.graph.initializers.values())]
    assert len(set(names)) == len(names)
    np.testing.assert_allclose(run(found.model, fed(found, values))["z"], values["z"])


def test_a_canonical_model_of_several_outputs_per_node_is_cut_at_each():
    of = read("g (float[4, 2] x) => (float[2, 2] y) { p, q = Split<num_outputs = 2>(x)  y = Sub(p, q) }")
    of = canonical(of)
    for node in of.graph:
        node.name = node.op_type
    feeds = {"x": np.arange(8, dtype=np.float32).reshape(4, 2)}
    values = values_of(of, feeds)
    found = isolated(of, shapes(values))
    assert {value for value, node in found.reads.values() if node == "Sub"} == {"p", "q"}
    np.testing.assert_array_equal(run(found.model, fed(found, values))["y"], values["y"])
