"""Bisection: the node that is wrong is found, alone, and can be shown from files."""

from __future__ import annotations

import io
import json
import logging
import shlex

import numpy as np
import onnx_ir as ir
import pytest
from faulty import Faulty
from rich.console import Console

import graphkit
from graphkit.cli import main
from graphkit.frameworks import base
from graphkit.parity import reproduce as reproduce_module
from graphkit.parity.bisect import bisect
from graphkit.parity.inputs import draw_inputs
from graphkit.parity.samples import drawn
from graphkit.report.bisection import to_json, told

CHAIN = """
<ir_version: 10, opset_import: ["": 23]>
chain (float[batch, 4] x) => (float[batch, 3] y)
    <float[4, 3] w = {0.5, -1, 2, 1, 0.3, -0.7, 1.1, 0.2, -0.4, 0.9, -1.2, 0.6}, float[3] b = {0.1, 0.2, -0.3}>
{
    e = Sin(x)
    p = MatMul(e, w)
    s = Add(p, b)
    t = Tanh(s)
    y = Mul(t, s)
}
"""


@pytest.fixture
def load(tmp_path):
    """Write a model in ONNX's text form into a file and read it as users do."""

    def load(text=CHAIN, name="net.onnx", **edits):
        found = ir.from_onnx_text(text)
        for index, node in enumerate(found.graph):
            node.name = f"n{index}"
        for weight, change in edits.items():
            value = found.graph.initializers[weight]
            value.const_value = ir.tensor(change(value.const_value.numpy().copy()), name=weight)
        ir.save(found, tmp_path / name)
        return graphkit.load(tmp_path / name)

    return load


@pytest.fixture
def known(monkeypatch):
    """Let the command line know a runtime."""

    def known(runtime):
        for module in (base, reproduce_module):
            right = module.runtimes()
            monkeypatch.setattr(module, "runtimes", lambda right=right: {**right, runtime.name: runtime})
        return runtime

    return known


def command(line, capfd):
    """Run a command that graphkit printed."""
    name, *arguments = shlex.split(line)
    assert name == "graphkit"
    with pytest.raises(SystemExit) as left:
        main(arguments)
    logging.disable(logging.NOTSET)
    out, err = capfd.readouterr()
    assert not err, err
    return left.value.code, out


def only(found):
    """The one finding of a side that differs."""
    (finding,) = [finding for finding in found.findings if finding.first is not None]
    return finding


def names(found):
    return [suspect.name for suspect in only(found).suspects]


def text_of(found):
    console = Console(width=400, force_terminal=False)
    with console.capture() as capture:
        console.print(told(found))
    return " ".join(capture.get().split())


@pytest.mark.parametrize(
    ("op", "node", "first"),
    [("Sin", "n0", "e"), ("MatMul", "n1", "s"), ("Add", "n2", "s"), ("Tanh", "n3", "t"), ("Mul", "n4", "y")],
)
def test_an_operator_that_is_computed_wrongly_is_named_alone(load, op, node, first):
    found = bisect(load(), on=["reference", Faulty(op, 1.001)])
    assert not found.passed
    (suspect,) = only(found).suspects
    assert (suspect.direction, suspect.name, suspect.nodes[0].op) == ("forward", node, op)
    assert suspect.check.error == pytest.approx(1e-3)
    assert only(found).first.name == first  # PyTorch gives a product and what is added to it at once


def test_each_node_that_is_wrong_is_named_in_the_order_of_the_model(load):
    text = CHAIN.replace("t = Tanh(s)", "t = Sin(s)")
    assert names(bisect(load(text), on=["reference", Faulty("Sin", 1.001)])) == ["n0", "n3"]


def test_a_side_that_is_right_is_not_blamed_beside_one_that_is_wrong(load):
    found = bisect(load(), on=["reference", "torch", Faulty("Tanh", 1.001)])
    assert {finding.side: [each.name for each in finding.suspects] for finding in found.findings} == {
        "torch": [],
        "faulty": ["n3"],
    }


def test_samples_of_a_generator_are_looked_at_in_both_precisions(load):
    rng = np.random.default_rng(0)
    feeds = draw_inputs(load(), 0, 2)
    samples = ({name: rng.permutation(array) for name, array in feeds.items()} for _ in range(2))
    found = bisect(load(), on=["reference", "torch"], data=samples)
    assert found.passed
    assert "float32" in found.report.title


def test_where_nothing_differs_nothing_is_found_and_nothing_is_written(load, tmp_path):
    found = bisect(load(), on=["reference", "torch"], backward=False, out=tmp_path / "out")
    assert found.passed
    assert [(finding.side, finding.first, finding.suspects) for finding in found.findings] == [("torch", None, ())]
    assert not (tmp_path / "out").exists()
    assert found.report.title.split(": ")[0].endswith("float32")
    assert "no value differs" in text_of(found)


def test_float64_comes_first_as_rounding_hides_nothing_there(load):
    found = bisect(load(), on=["reference", Faulty("Tanh", 1 + 1e-8)])
    assert names(found) == ["n3"]
    assert {check.dtype for check in found.report.checks} == {"float64"}
    assert bisect(load(), on=["reference", Faulty("Tanh", 1 + 1e-8)], dtype="float32").passed


def test_what_only_float32_shows_is_found_in_float32(load):
    class Single(Faulty):
        def open(self, model, **how):
            dtype = model.graph.inputs[0].dtype
            right = Faulty("none", name=self.name)
            return Faulty.open(self if dtype == ir.DataType.FLOAT else right, model, **how)

    found = bisect(load(), on=["reference", Single("Tanh", 1.01)])
    assert names(found) == ["n3"]
    assert {check.dtype for check in found.report.checks} == {"float32"}


def test_errors_that_add_up_blame_no_node_and_growth_is_told(load):
    lines = "\n".join(f"v{i + 1} = Mul(v{i}, c)" for i in range(30))
    text = f"""
    <ir_version: 10, opset_import: ["": 23]>
    long (float[batch, 4] v0) => (float[batch, 4] y) <float[1] c = {{1}}> {{ {lines} y = Neg(v30) }}
    """
    found = bisect(load(text), on=["reference", Faulty("Mul", 1 + 1e-10)], dtype="float64")
    assert not found.passed
    finding = only(found)
    assert not finding.suspects
    assert not finding.note
    assert finding.growth
    assert [times for times, _ in finding.growth] == sorted((times for times, _ in finding.growth), reverse=True)
    said = text_of(found)
    assert "No node is wrong on its own" in said
    assert "the error accumulates at" in said


def test_a_node_that_differentiates_wrongly_is_named_alone(load):
    found = bisect(load(), on=["torch", Faulty("Tanh", slope=1.01)], backward=True)
    (suspect,) = only(found).suspects
    assert (suspect.direction, suspect.name) == ("backward", "n3")
    assert bisect(load(), on=["torch", Faulty("Tanh", slope=1.01)]).passed


def test_nodes_are_named_together_where_the_gradient_between_them_is_not_known(load):
    found = bisect(load(), on=["torch", Faulty("Add", slope=1.01)], backward=True)
    (suspect,) = only(found).suspects
    assert [node.name for node in suspect.nodes] in (["n2"], ["n1", "n2"])  # PyTorch computes both at once


def test_a_node_whose_result_is_wrong_is_named_once_with_gradients(load):
    found = bisect(load(), on=["torch", Faulty("Add", 1.01, 1.01)], backward=True)
    assert names(found) == ["n2"]
    assert only(found).suspects[0].direction == "forward"


def test_the_first_sample_in_which_something_differs_is_looked_into(load):
    largest = {sample.label: np.abs(sample.feeds(load())["x"]).max() for sample in drawn(range(6), [4])}
    least = next(size for size in largest.values() if size > largest["seed 0"])
    failing = next(label for label, size in largest.items() if size >= least)
    assert failing != "seed 0"
    found = bisect(load(), on=["reference", Faulty("Add", 1.01, least=float(least))], seeds=range(6), batches=[4])
    assert names(found) == ["n2"]
    assert only(found).first.sample == failing
    assert only(found).first.failures == 1


def test_a_bound_of_the_users_own_decides_what_is_wrong(load):
    found = bisect(load(), on=["reference", Faulty("Tanh", 1.01)], tolerances=["0.1"])
    assert found.passed
    found = bisect(load(), on=["reference", Faulty("*", 1 + 1e-11)], dtype="float64", tolerances=["t=1e-12"])
    assert names(found) == ["n3"]


def renamed(text=CHAIN):
    return (
        text.replace("chain", "other")
        .replace("x)", "image)")
        .replace("e = ", "aa = ")
        .replace("MatMul(e, w)", "MatMul(aa, kernel)")
        .replace("p = ", "bb = ")
        .replace("Add(p, b)", "Add(bb, offset)")
        .replace("s = ", "cc = ")
        .replace("Tanh(s)", "Tanh(cc)")
        .replace("t = ", "dd = ")
        .replace("Mul(t, s)", "Mul(dd, cc)")
        .replace("y = ", "result = ")
        .replace("3] y)", "3] result)")
        .replace("4] x)", "4] image)")
        .replace("3] w =", "3] kernel =")
        .replace("3] b =", "3] offset =")
    )


SPOILT = {
    "another operator": ("Tanh(cc)", "Sigmoid(cc)", {}, "n3"),
    "rows of a weight": ("", "", {"kernel": lambda w: w[::-1].copy()}, "n1"),
    "a number of a weight": (
        "",
        "",
        {"kernel": lambda w: np.where(np.arange(12).reshape(4, 3) == 7, np.float32(3), w)},
        "n1",
    ),
    "a bias": ("", "", {"offset": lambda b: b + np.float32(0.5)}, "n2"),
}


@pytest.mark.parametrize("fault", SPOILT)
def test_what_was_spoilt_in_another_file_is_found_whatever_it_is_called(load, fault):
    old, new, weights, node = SPOILT[fault]
    other = load(renamed().replace(old, new) if old else renamed(), "other.onnx", **weights)
    found = bisect(load(), other, on=["reference"])
    (suspect,) = only(found).suspects
    assert suspect.name == node
    assert suspect.direction == "forward"


ATTRIBUTE = """
<ir_version: 10, opset_import: ["": 23]>
net (float[batch, 4] x) => (float[batch, 4] y)
{
    e = Exp(x)
    d = LeakyRelu<alpha = 0.1>(x)
    s = Sub(e, d)
    y = Softmax<axis = 1>(s)
}
"""


@pytest.mark.parametrize(
    ("old", "new", "node"),
    [("alpha = 0.1", "alpha = 0.2", "n1"), ("Sub(e, d)", "Sub(d, e)", "n2"), ("axis = 1", "axis = 0", "n3")],
)
def test_attributes_and_inputs_that_are_swapped_are_found(load, old, new, node):
    found = bisect(load(ATTRIBUTE), load(ATTRIBUTE.replace(old, new), "other.onnx"), on=["reference"])
    assert names(found) == [node]


def test_the_same_model_under_other_names_does_not_differ(load, tmp_path):
    found = bisect(load(), load(renamed(), "other.onnx"), on=["reference"], out=tmp_path / "out")
    assert found.passed
    assert not (tmp_path / "out").exists()


def test_the_files_and_the_command_show_a_node_of_one_model(load, known, tmp_path, capfd):
    fault = known(Faulty("Tanh", 1.01))
    found = bisect(load(), on=["reference", fault], out=tmp_path / "out")
    (suspect,) = only(found).suspects
    assert {path.name for path in suspect.files} == {"node.onnx", "inputs.npz", "expected.npz"}
    assert all(path.is_file() for path in suspect.files)
    assert [node.op_type for node in ir.load(tmp_path / "out" / "node.onnx").graph] == ["Tanh"]
    status, out = command(suspect.shown_by, capfd)
    assert status == 1
    assert "output t" in " ".join(out.split()) or " t " in out
    status, _ = command(suspect.shown_by.replace("faulty", "torch"), capfd)
    assert status == 0


@pytest.mark.parametrize("factor", [1 + 1e-3, 1 + 3e-5, 1 + 1e-8])
def test_the_command_shows_small_errors_too_and_blames_no_other(load, known, tmp_path, capfd, factor):
    fault = known(Faulty("Tanh", factor))
    found = bisect(load(), on=["reference", fault], out=tmp_path / "out")
    shown_by = only(found).suspects[0].shown_by
    assert command(shown_by, capfd)[0] == 1
    assert command(shown_by.replace("faulty", "torch"), capfd)[0] == 0


def test_the_files_and_the_command_show_a_node_of_two_models(load, tmp_path, capfd):
    other = load(renamed().replace("Tanh(cc)", "Sigmoid(cc)"), "other.onnx")
    found = bisect(load(), other, on=["ort"], out=tmp_path / "out")
    (suspect,) = only(found).suspects
    assert {path.name for path in suspect.files} == {"node.onnx", "reference.onnx", "inputs.npz"}
    assert [node.op_type for node in ir.load(tmp_path / "out" / "node.onnx").graph] == ["Sigmoid"]
    assert [node.op_type for node in ir.load(tmp_path / "out" / "reference.onnx").graph] == ["Tanh"]
    assert command(suspect.shown_by, capfd)[0] == 1


def test_the_command_is_in_one_line_however_narrow_the_terminal_is(load, tmp_path):
    other = load(renamed().replace("Tanh(cc)", "Sigmoid(cc)"), "other.onnx")
    found = bisect(load(), other, on=["ort"], out=tmp_path / "out")
    shown_by = only(found).suspects[0].shown_by
    printed = io.StringIO()
    Console(file=printed, width=40).print(told(found), crop=False)
    lines = printed.getvalue().splitlines()
    assert f"      {shown_by}" in lines
    assert max(len(line) for line in lines if shown_by not in line) <= 40
    at = next(at for at, line in enumerate(lines) if line.startswith("  "))
    assert all(line.startswith("  ") for line in lines[at:]), "every line of a paragraph is indented"


@pytest.mark.parametrize("fault", ["a number of a weight", "a bias"])
def test_the_command_shows_weights_of_two_models(load, tmp_path, capfd, fault):
    _, _, weights, _ = SPOILT[fault]
    found = bisect(load(), load(renamed(), "other.onnx", **weights), on=["ort"], out=tmp_path / "out")
    assert command(only(found).suspects[0].shown_by, capfd)[0] == 1


@pytest.mark.mxnet
def test_the_files_and_the_command_show_a_node_that_differentiates_wrongly(load, known, tmp_path, capfd):
    fault = known(Faulty("Tanh", slope=1.01))
    found = bisect(load(), on=["torch", fault], backward=True, out=tmp_path / "out")
    (suspect,) = only(found).suspects
    assert suspect.direction == "backward"
    status, out = command(suspect.shown_by, capfd)
    assert status == 1
    assert "gradient" in out


def test_a_folder_for_each_side_where_several_are_wrong(load, known, tmp_path, capfd):
    sides = [known(Faulty("Tanh", 1.01, name="one")), known(Faulty("Add", 1.01, name="two"))]
    found = bisect(load(), on=["reference", *sides], out=tmp_path / "out")
    assert {finding.side: [each.name for each in finding.suspects] for finding in found.findings} == {
        "one": ["n3"],
        "two": ["n2"],
    }
    for finding in found.findings:
        assert finding.suspects[0].files[0].parent == tmp_path / "out" / finding.side
        assert command(finding.suspects[0].shown_by, capfd)[0] == 1


BRANCH = """
<ir_version: 10, opset_import: ["": 23]>
branch (float[3] x) => (float[3] y) <bool c = {1}>
{
    a = Exp(x)
    b = Sqrt(a)
    r = ReduceMax<keepdims = 0>(b)
    k = Greater(r, r)
    y = If(k) <
        then_branch = t () => (float[3] p) { p = Add(a, b) },
        else_branch = e () => (float[3] q) { q = Mul(a, b) }
    >
}
"""


def test_a_branch_is_named_alone_and_shown_with_what_it_reads_around_it(load, known, tmp_path, capfd):
    fault = known(Faulty("If", 1.01))
    found = bisect(load(BRANCH), on=["reference", fault], out=tmp_path / "out")
    (suspect,) = only(found).suspects
    assert [node.op for node in suspect.nodes] == ["If"]
    assert command(suspect.shown_by, capfd)[0] == 1


def test_what_the_reference_does_not_have_inside_is_found_with_what_stands_in(load):
    class Closed(Faulty):
        """Gives no values between nodes."""

        def open(self, model, **how):
            session = Faulty.open(self, model, **how)

            class Shut(type(session)):
                tappable = frozenset()

            session.__class__ = Shut
            return session

    found = bisect(load(), on=[Closed("none", name="closed"), Faulty("Tanh", 1.01)])
    assert names(found) == ["n3"]


def test_findings_are_json(load):
    found = bisect(load(), on=["reference", Faulty("Tanh", 1.01)])
    document = json.loads(to_json(found))
    assert document["passed"] is False
    (finding,) = document["findings"]
    assert finding["suspects"][0]["nodes"][0]["name"] == "n3"
    assert finding["first"]["name"] == "t"
    assert document["report"]["checks"]
