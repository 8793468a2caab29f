"""Gradients of branches and loops as graphs, where a case cannot say it."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch
from torch import nn

import graphkit
from graphkit.errors import UnsupportedError
from graphkit.frameworks.base import runtimes
from graphkit.ir.canonical import canonical
from graphkit.ir.edit import nodes_of
from graphkit.passes.cast_floats import cast_floats
from graphkit.passes.gradient.model import gradient_model
from graphkit.passes.training_form import in_training

Arrays = dict[str, np.ndarray]


def model_of(text: str) -> ir.Model:
    """A model from ONNX's textual syntax."""
    return canonical(ir.from_proto(onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["" : 23]> g {text}')))


def assert_gradients(model: ir.Model, feeds: Arrays, seeds: Arrays, expected: Arrays) -> None:
    """Gradients on ONNX Runtime, and in float64 on the reference evaluator."""
    for runtime, dtype, tolerance in (("ort", "float32", 1e-5), ("reference", "float64", 1e-9)):
        cast = cast_floats(model, dtype) if dtype == "float64" else model
        given = [
            {name: array.astype(dtype) if array.dtype.kind == "f" else array for name, array in arrays.items()}
            for arrays in (feeds, seeds)
        ]
        with runtimes()[runtime].open(cast) as session:
            found = session.backward(*given)
        assert set(found) == set(expected)
        for name, gradient in expected.items():
            np.testing.assert_allclose(found[name], gradient, rtol=tolerance, atol=tolerance, err_msg=name)


class Choice(nn.Module):
    """One of two layers, by the sign of a sum."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(3, 3), nn.Linear(3, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cond(x.sum() > 0, lambda x: self.first(x).tanh() * x, lambda x: self.second(x) + x * x, (x,))


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_choice_of_torch_gives_gradients_to_what_was_chosen_and_zeros_to_the_rest(sign: float) -> None:
    torch.manual_seed(0)
    module = Choice().double()
    model = cast_floats(graphkit.load(module, inputs=["2x3"]), "float32")
    rng = np.random.default_rng(0)
    x, seed = sign * rng.uniform(0.1, 1.0, (2, 3)), rng.standard_normal((2, 3))
    data = torch.tensor(x, requires_grad=True)
    module(data).backward(torch.tensor(seed))
    expected = {"x": data.grad, **{name: weight.grad for name, weight in module.named_parameters()}}
    shapes = {"x": (2, 3), **{name: tuple(weight.shape) for name, weight in module.named_parameters()}}
    (output,) = (value.name or "" for value in model.graph.outputs)
    single = {name: np.zeros(shapes[name]) if grad is None else grad.numpy() for name, grad in expected.items()}
    with runtimes()["ort"].open(model) as session:
        found = session.backward({"x": x.astype(np.float32)}, {output: seed.astype(np.float32)})
    assert set(found) == set(single)
    for name, gradient in single.items():
        np.testing.assert_allclose(found[name], gradient, rtol=1e-5, atol=1e-6, err_msg=name)


POWERS = """(int64 n, float[K,3] h, float[3] w) => (float[K,3] y, float[T,K,3] rows) {
    y, rows = Loop (n, , h) <body = turn (int64 i, bool c, float[K,3] a) => (bool d, float[K,3] e, float[K,3] r) {
        d = Identity(c)
        k = Cast <to = 1> (i)
        s = Sin(a)
        t = Mul(s, w)
        e = Add(t, k)
        r = Mul(a, w)
    }>
}"""


def powers(turns: int, h: np.ndarray, w: np.ndarray, last: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, ...]:
    start, weight = torch.tensor(h, requires_grad=True), torch.tensor(w, requires_grad=True)
    now, total = start, (start * 0).sum() + (weight * 0).sum()
    for turn in range(turns):
        total = total + (now * weight * torch.tensor(rows[turn])).sum()
        now = now.sin() * weight + turn
    (total + (now * torch.tensor(last)).sum()).backward()
    assert start.grad is not None
    assert weight.grad is not None
    return start.grad.numpy(), weight.grad.numpy()


@pytest.mark.parametrize("turns", [0, 1, 4])
@pytest.mark.parametrize("rows", [1, 2])
def test_the_number_of_turns_and_the_batch_may_be_known_at_run_time_only(turns: int, rows: int) -> None:
    rng = np.random.default_rng(turns)
    h, w = rng.standard_normal((rows, 3)), rng.standard_normal(3)
    seeds = {"y": rng.standard_normal((rows, 3)), "rows": rng.standard_normal((turns, rows, 3))}
    start, weight = powers(turns, h, w, seeds["y"], seeds["rows"])
    model = model_of(POWERS)
    assert_gradients(model, {"n": np.array(turns), "h": h, "w": w}, seeds, {"h": start, "w": weight})


def test_a_value_that_is_scanned_carried_and_read_gets_the_sum_of_its_gradients() -> None:
    model = model_of(
        """(float[3,3] x) => (float[3,3] y, float[3,3] z) {
            y, z = Scan (x, x) <num_scan_inputs = 1, scan_input_directions = [1],
                body = turn (float[3,3] h, float[3] r) => (float[3,3] g, float[3] s) {
                    p = Mul(h, r)
                    g = Add(p, x)
                    s = Mul(r, r)
                }>
        }"""
    )
    rng = np.random.default_rng(0)
    x, seeds = rng.standard_normal((3, 3)), {name: rng.standard_normal((3, 3)) for name in ("y", "z")}
    data = torch.tensor(x, requires_grad=True)
    now = data
    for row in (2, 1, 0):
        now = now * data[row] + data
    squares = torch.stack([data[row] ** 2 for row in (2, 1, 0)])
    ((now * torch.tensor(seeds["y"])).sum() + (squares * torch.tensor(seeds["z"])).sum()).backward()
    assert data.grad is not None
    assert_gradients(model, {"x": x}, seeds, {"x": data.grad.numpy()})


def test_branches_loops_and_scans_in_each_other() -> None:
    model = model_of(
        """(float[4,3] x, float[3] w, int64 n, float limit) => (float[3] y) {
            zero = Mul(w, w)
            y, all = Scan (zero, x) <num_scan_inputs = 1, body = outer (float[3] h, float[3] r) =>
                (float[3] g, float[3] o) {
                g = Loop (n, , h) <body = inner (int64 i, bool c, float[3] a) => (bool d, float[3] e) {
                    d = Identity(c)
                    s = ReduceSum <keepdims = 0> (a)
                    q = Less(s, limit)
                    e = If (q) <
                        then_branch = small () => (float[3] t) { u = Mul(a, r) t = Add(u, w) },
                        else_branch = large () => (float[3] v) { m = Sin(a) v = Mul(m, w) }>
                }>
                o = Identity(g)
            }>
        }"""
    )
    rng = np.random.default_rng(5)
    feeds = {"x": rng.standard_normal((4, 3)), "w": rng.standard_normal(3), "n": np.array(3), "limit": np.array(0.4)}
    seed = rng.standard_normal(3)
    x, w = (torch.tensor(feeds[name], requires_grad=True) for name in ("x", "w"))
    now, taken = w * w, []
    for row in x:
        for _ in range(3):
            taken.append(bool(now.sum() < 0.4))
            now = now * row + w if taken[-1] else now.sin() * w
    (now * torch.tensor(seed)).sum().backward()
    assert len(set(taken)) == 2
    assert x.grad is not None
    assert w.grad is not None
    expected = {"x": x.grad.numpy(), "w": w.grad.numpy(), "limit": np.array(0.0)}
    assert_gradients(model, feeds, {"y": seed}, expected)


def test_gradients_of_gradients_of_a_scan() -> None:
    model = model_of(
        """(float[3] h, float[4,3] x) => (float[3] y) {
            y = Scan (h, x) <num_scan_inputs = 1, body = turn (float[3] a, float[3] b) => (float[3] c) {
                s = Mul(a, b)
                c = Sin(s)
            }>
        }"""
    )
    first = gradient_model(model, wrt=["h"])
    second = gradient_model(canonical(first), wrt=["x"], outputs=["h.grad"])
    rng = np.random.default_rng(0)
    h, x, seed, other = (rng.uniform(0.5, 1.5, shape).astype(np.float32) for shape in ((3,), (4, 3), (3,), (3,)))
    start, data = torch.tensor(h, requires_grad=True), torch.tensor(x, requires_grad=True)
    now = start
    for row in data:
        now = (now * row).sin()
    (grad,) = torch.autograd.grad(now, start, torch.tensor(seed), create_graph=True)
    (expected,) = torch.autograd.grad(grad, data, torch.tensor(other))
    with runtimes()["ort"].open(second) as session:
        found = session.forward({"h": h, "x": x, "y.grad": seed, "h.grad.grad": other})
    np.testing.assert_allclose(found["x.grad"], expected.numpy(), rtol=1e-4, atol=1e-5)


def test_operators_inside_a_loop_that_others_define_have_gradients() -> None:
    model = model_of(
        """(float[1,2,3] t) => (float[1,2,3] y, float[2,1,2,2,2] grids)
        <int64[4] size = {1, 1, 2, 2}, int64 n = {2}> {
            y, grids = Loop (n, , t) <body = turn (int64 i, bool c, float[1,2,3] a) =>
                (bool d, float[1,2,3] e, float[1,2,2,2] f) {
                d = Identity(c)
                e = Sin(a)
                f = AffineGrid(a, size)
            }>
        }"""
    )
    rng = np.random.default_rng(0)
    t, seed = rng.standard_normal((1, 2, 3)), rng.standard_normal((2, 1, 2, 2, 2))
    data = torch.tensor(t, requires_grad=True)
    grids = [nn.functional.affine_grid(each, [1, 1, 2, 2], align_corners=False) for each in (data, data.sin())]
    (torch.stack(grids) * torch.tensor(seed)).sum().backward()
    assert data.grad is not None
    assert_gradients(model, {"t": t}, {"grids": seed, "y": np.zeros((1, 2, 3))}, {"t": data.grad.numpy()})


def test_what_the_gradient_does_not_need_is_not_kept_of_the_turns() -> None:
    text = """(float[3] h, float[4,3] x) => (float[3] y) {{
        y = Scan (h, x) <num_scan_inputs = 1, body = turn (float[3] a, float[3] b) => (float[3] c) {{ c = {op}(a, b) }}>
    }}"""
    kept = {}
    for op in ("Add", "Mul"):
        model = gradient_model(model_of(text.format(op=op)))
        kept[op] = len(next(node for node in model.graph if node.op_type == "Scan").outputs)
    assert kept == {"Add": 1, "Mul": 2}


def drawn(text: str, x: np.ndarray, **feeds: np.ndarray) -> Arrays:
    """The output y of a model that draws random numbers, and the gradient of its sum, of the same run."""
    model = gradient_model(in_training(model_of(text), dropout=True))
    with runtimes()["ort"].open(model) as session:
        return session.forward({**feeds, "x": x, "y.grad": np.ones_like(x)})


@pytest.mark.parametrize("condition", [True, False])
def test_random_numbers_of_a_branch_are_those_of_its_gradient(condition: bool) -> None:
    x = np.float32([0.5, -1.0, 2.0])
    found = drawn(
        """(bool b, float[3] x) => (float[3] y) {
            y = If (b) <then_branch = t () => (float[3] p) { r = RandomNormalLike(x) p = Mul(x, r) },
                else_branch = e () => (float[3] q) { q = Exp(x) }>
        }""",
        b=np.array(condition),
        x=x,
    )
    np.testing.assert_allclose(found["x.grad"], found["y"] / x if condition else np.exp(x), rtol=1e-5)


@pytest.mark.parametrize(
    "text",
    [
        """(float[5,4] x) => (float[5,4] y) {
            y = Scan (x) <num_scan_inputs = 1, body = turn (float[4] a) => (float[4] c) {
                r = RandomUniformLike <low = 1.0, high = 2.0> (a)
                c = Mul(a, r)
            }>
        }""",
        """(float[5,4] x) => (float[5,4] y) <int64 n = {5}, bool yes = {1}> {
            y = Loop (n, yes) <body = turn (int64 i, bool c) => (bool d, float[4] e) {
                d = Identity(c)
                a = Gather(x, i)
                r = RandomUniformLike <low = 1.0, high = 2.0> (a)
                e = Mul(a, r)
            }>
        }""",
        """(float[5,4] x) => (float[5,4] y) <float ratio = {0.5}> {
            y = Scan (x) <num_scan_inputs = 1, body = turn (float[4] a) => (float[4] c) { c = Dropout(a, ratio) }>
        }""",
    ],
    ids=["scan", "loop", "dropout"],
)
def test_random_numbers_of_turns_are_those_of_their_gradients(text: str) -> None:
    x = np.arange(1, 21, dtype=np.float32).reshape(5, 4)
    found = drawn(text, x=x)
    np.testing.assert_allclose(found["x.grad"], found["y"] / x, rtol=1e-5)
    several = len(np.unique(found["x.grad"].round(4)))
    assert several == 2 if "Dropout" in text else several > 17  # two of twenty are the same once in fifty times


def test_a_sequence_that_a_loop_carries_beside_tensors_is_no_obstacle() -> None:
    model = model_of(
        """(int64 n, float[3] x) => (float[3] y) {
            some = SequenceConstruct (x)
            all, y = Loop (n, , some, x) <body = turn (int64 i, bool c, seq(float[3]) s, float[3] a) =>
                (bool d, seq(float[3]) t, float[3] e) {
                d = Identity(c) e = Sin(a) t = SequenceInsert(s, e)
            }>
        }"""
    )
    x = np.array([0.5, 1.0, -1.5])
    expected = np.cos(np.sin(x)) * np.cos(x)
    assert_gradients(model, {"n": np.array(2), "x": x}, {"y": np.ones(3)}, {"x": expected})


REFUSED = {
    "RandomNormalLike node .* in a graph inside a node inside it, would draw other numbers": """(bool b, float[3] x)
        => (float[3] y) {
            y = If (b) <then_branch = t () => (float[3] p) {
                p = If (b) <then_branch = u () => (float[3] r) { n = RandomNormalLike(x) r = Mul(x, n) },
                    else_branch = v () => (float[3] s) { s = Exp(x) }>
            }, else_branch = e () => (float[3] q) { q = Sin(x) }>
        }""",
    "'a' in it is not known to keep its shape": """(int64 n, float[3] x) => (float[K] y) {
            y = Loop (n, , x) <body = turn (int64 i, bool c, float[A] a) => (bool d, float[B] e) {
                d = Identity(c) s = Sin(a) e = Concat <axis = 0> (a, s)
            }>
        }""",
    "'s' is a sequence of tensors": """(int64 n, float[3] x) => (float[3] y) {
            some = SequenceConstruct (x)
            all, y = Loop (n, , some, x) <body = turn (int64 i, bool c, seq(float[3]) s, float[3] a) =>
                (bool d, seq(float[3]) t, float[3] e) {
                d = Identity(c) b = SequenceAt(s, i) e = Mul(a, b) t = SequenceInsert(s, e)
            }>
        }""",
    "RNN × 1 .it has 3 activations; 1 are needed": """(int64 n, float[2,1,3] x, float[1,3,3] w) => (float[2,1,3] y) {
            y = Loop (n, , x) <body = turn (int64 i, bool c, float[2,1,3] a) => (bool d, float[2,1,3] e) {
                d = Identity(c) r, s = RNN <hidden_size = 3, activations = ["Tanh", "Tanh", "Tanh"]> (a, w, w)
                e = Squeeze(r, one)
            }>
        }""".replace("(int64 n", "(int64[1] one, int64 n"),
}


@pytest.mark.parametrize("why", REFUSED)
def test_what_has_no_gradient_inside_a_branch_or_loop_is_refused_with_the_reason(why: str) -> None:
    with pytest.raises(UnsupportedError, match=why):
        gradient_model(model_of(REFUSED[why]))


def test_an_active_dropout_without_a_mask_inside_a_loop_is_refused() -> None:
    model = model_of(
        """(float[5,4] x, bool training) => (float[5,4] y) <float ratio = {0.5}> {
            y = Scan (x) <num_scan_inputs = 1, body = turn (float[4] a) => (float[4] c) { c = Dropout(a, ratio) }>
        }"""
    )
    dropout = next(node for node in nodes_of(model) if node.op_type == "Dropout")
    dropout.resize_inputs(3)
    dropout.replace_input_with(2, model.graph.inputs[1])
    with pytest.raises(UnsupportedError, match=r"Dropout node .* would drop other elements"):
        gradient_model(model)
