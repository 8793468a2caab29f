"""Branches and loops of the real MXNet, as symbols that it made itself and as symbols that it is given."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from realmxnet import mxnet
from torchtext import model_of

from graphkit.errors import UnsupportedError
from graphkit.frameworks.base import Batch, InputSpec, ReadOptions, Sgd, runtimes
from graphkit.frameworks.mxnet import symbol
from graphkit.frameworks.mxnet.read import from_symbol
from graphkit.frameworks.mxnet.write import to_symbol
from graphkit.ir.canonical import canonical
from graphkit.ir.origin import Source, set_source
from graphkit.ops.mxgraph import MxModel
from graphkit.passes.cast_floats import cast_floats

if TYPE_CHECKING:
    import onnx_ir as ir

Arrays = dict[str, np.ndarray]


def drawn(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


def model_from(text: str, feeds: Arrays, args: Arrays | None = None) -> ir.Model:
    """The canonical model of a symbol, which is noted as its source."""
    mx = MxModel(symbol.loads(text), args or {})
    inputs = tuple(InputSpec(name, array.shape, array.dtype.name) for name, array in feeds.items())
    model = canonical(from_symbol(mx, ReadOptions(inputs=inputs, dynamic_batch=False), "loops"))
    return set_source(model, Source("mxnet", "loops", mx)) or model


def assert_all_agree(model: ir.Model, feeds: Arrays, *, written: bool = True) -> None:
    """MXNet's own symbol, the source for torch and the symbol written back agree in float64, gradients included."""
    model = cast_floats(model, "float64")
    feeds = {name: array.astype(np.float64) for name, array in feeds.items()}
    rng = np.random.default_rng(3)
    runs = []
    for name, native in (("mxnet", True), ("torch", False), *((("mxnet", False),) if written else ())):
        with runtimes()[name].open(model, native=native) as session:
            outputs = session.forward(feeds)
            if not runs:
                seeds = {key: rng.standard_normal(array.shape) for key, array in outputs.items()}
            runs.append((outputs, session.backward(feeds, seeds)))
    for other in runs[1:]:
        for left, right in zip(other, runs[0], strict=True):
            assert left.keys() == right.keys()
            for key, array in right.items():
                np.testing.assert_allclose(left[key], array, rtol=0, atol=1e-9 * max(np.abs(array).max(), 1e-3))


def exported(block: Any, path: Any, *arrays: np.ndarray) -> tuple[str, Arrays]:
    """What Gluon exports of a hybrid block."""
    mx = mxnet()
    block.initialize(mx.init.Normal(0.5))
    block.hybridize()
    block(*map(mx.nd.array, arrays))
    block.export(str(path / "net"))
    stored = mx.nd.load(str(path / "net-0000.params"))
    args = {name.partition(":")[2]: array.asnumpy() for name, array in stored.items()}
    return (path / "net-symbol.json").read_text(), args


def test_a_gluon_cell_unrolled_by_foreach(tmp_path: Any) -> None:
    mx = mxnet()

    class Net(mx.gluon.HybridBlock):  # type: ignore[misc,name-defined]  # mxnet is untyped
        def __init__(self) -> None:
            super().__init__()
            self.cell = mx.gluon.rnn.LSTMCell(3, input_size=4)
            self.out = mx.gluon.nn.Dense(2, flatten=False)

        def hybrid_forward(self, F: Any, x: Any, h: Any, c: Any) -> Any:  # noqa: N803  # Gluon's name
            outputs, states = F.contrib.foreach(self.cell, x, [h, c])
            return self.out(outputs), states[0]

    feeds = {"data0": drawn(5, 2, 4), "data1": drawn(2, 3), "data2": drawn(3, 2).T.copy()}
    text, args = exported(Net(), tmp_path, *feeds.values())
    model = model_from(text, feeds, args)
    assert [node.op_type for node in model.graph].count("Scan") == 1
    assert_all_agree(model, feeds)


def test_states_of_no_batch_size_that_a_loop_begins_with_get_that_of_its_rows() -> None:
    mx = mxnet()
    cell = mx.gluon.rnn.GRUCell(3, input_size=4, prefix="cell_")
    begin = cell.begin_state(func=mx.sym.zeros, batch_size=0)
    outputs, states = mx.sym.contrib.foreach(cell, mx.sym.var("x"), begin)
    shapes = {"cell_i2h_weight": (9, 4), "cell_h2h_weight": (9, 3), "cell_i2h_bias": (9,), "cell_h2h_bias": (9,)}
    feeds = {"x": drawn(5, 2, 4)}
    args = {name: drawn(*shape) for name, shape in shapes.items()}
    assert_all_agree(model_from(mx.sym.Group([outputs, *states]).tojson(), feeds, args), feeds)


def test_foreach_over_two_arrays_with_nested_states() -> None:
    sym = mxnet().sym
    outputs, states = sym.contrib.foreach(
        lambda d, s: ([d[0] * s[0], d[1] + s[1]], [s[0] + d[1], sym.tanh(s[1] * d[0])]),
        [sym.var("a"), sym.var("b")],
        [sym.var("s"), sym.var("t")],
    )
    feeds = {"a": drawn(4, 3), "b": drawn(4, 3) * 2, "s": drawn(3), "t": drawn(3)}
    assert_all_agree(model_from(sym.Group([*outputs, *states]).tojson(), feeds), feeds)


def while_loop(limit: int, *, outputs: bool = True) -> str:
    sym = mxnet().sym
    weight, most = sym.var("w"), sym.var("most")
    rows, last = sym.contrib.while_loop(
        lambda _, s: sym.sum(s) < most,
        lambda i, s: ([s * weight, i], [i + 1, sym.elemwise_add(s, weight)]),
        [sym.var("i"), sym.var("s")],
        max_iterations=limit,
    )
    return str(sym.Group([*rows, *last] if outputs else last).tojson())


@pytest.mark.parametrize("limit", [2, 6])
@pytest.mark.parametrize("outputs", [True, False])
def test_a_while_loop_with_a_condition_on_data(limit: int, outputs: bool) -> None:
    feeds = {name: np.float32(numbers) for name, numbers in {"i": [0], "s": [0, 0.5, 0], "most": [5]}.items()}
    text = while_loop(limit, outputs=outputs)
    assert_all_agree(model_from(text, feeds, {"w": np.float32([1.0, 0.5, 0.25])}), feeds)


def test_rows_of_turns_that_a_while_loop_does_not_make_are_zeros() -> None:
    feeds = {name: np.float32(numbers) for name, numbers in {"i": [0], "s": [0, 0.5, 0], "most": [5]}.items()}
    model = model_from(while_loop(6), feeds, {"w": np.float32([1.0, 0.5, 0.25])})
    for name, native in (("mxnet", True), ("mxnet", False), ("torch", False)):
        with runtimes()[name].open(model, native=native) as session:
            rows = next(iter(session.forward(feeds).values()))
        assert rows.shape == (6, 3)
        assert rows[1:3].any()
        assert not rows[3:].any()


@pytest.mark.parametrize("first", [1.0, 3.0])
def test_a_branch(first: float) -> None:
    sym = mxnet().sym
    a, b, x = sym.var("a"), sym.var("b"), sym.var("x")
    result = sym.contrib.cond(a < b, lambda: sym.broadcast_mul(a, x), lambda: sym.sin(x) + sym.var("w"))
    feeds = {"a": np.float32([first]), "b": np.float32([2.0]), "x": drawn(3)}
    assert_all_agree(model_from(result.tojson(), feeds, {"w": drawn(3) * 2}), feeds)


def test_a_while_loop_in_a_branch_and_the_reverse() -> None:
    sym = mxnet().sym
    a, x = sym.var("a"), sym.var("x")

    def doubled() -> Any:
        return sym.contrib.while_loop(
            lambda i, _: i < 3, lambda i, s: ([], [i + 1, sym.sin(s) * 2]), [a, x], max_iterations=5
        )[1][1]

    feeds = {"a": np.float32([0.5]), "x": drawn(3)}
    assert_all_agree(model_from(sym.contrib.cond(a < 1, doubled, lambda: x * 1).tojson(), feeds), feeds, written=False)
    loop = sym.contrib.while_loop(
        lambda i, _: i < 3,
        lambda i, s: ([], [i + 1, sym.contrib.cond(sym.sum(s) < 1, lambda: s + 1, lambda: s * 2)]),
        [a, x],
        max_iterations=5,
    )[1][1]
    assert_all_agree(model_from(loop.tojson(), feeds), feeds)


def test_a_loop_trains_like_in_mxnet() -> None:
    sym = mxnet().sym
    outputs, _ = sym.contrib.foreach(
        lambda d, s: (sym.FullyConnected(d, sym.var("w"), no_bias=True, num_hidden=2) + s[0], [sym.tanh(s[0])]),
        sym.var("d"),
        [sym.var("s")],
    )
    feeds = {"d": drawn(4, 3, 2), "s": drawn(3, 2)}
    model = model_from(outputs.tojson(), feeds, {"w": drawn(2, 2)})
    name = model.graph.outputs[0].name or ""
    batch = Batch(feeds, {name: np.zeros((4, 3, 2), np.float32)}, {name: 1.0})
    found = []
    for runtime, native in (("torch", False), ("mxnet", True)):
        with runtimes()[runtime].open(model, mode="train", native=native) as session:
            found.append([step.parameters["w"] for step in session.train([batch] * 3, Sgd(lr=0.1))])
    np.testing.assert_allclose(found[0], found[1], rtol=1e-5)


def test_a_recurrent_scan_is_written_as_a_foreach_with_its_weights_outside() -> None:
    model = model_of(
        "float[5, 2, 4] x, float[2, 3] h",
        "float[5, 2, 3] y",
        "last, y = Scan <num_scan_inputs = 1, body = step (float[2, 3] before, float[2, 4] row) => "
        "(float[2, 3] after, float[2, 3] out) { a = MatMul (row, w) s = Add (a, before) after = Tanh (s) "
        "out = Identity (after) }> (h, x)",
        f"float[4, 3] w = {{{', '.join(['0.1'] * 12)}}}",
    )
    mx = to_symbol(model)
    node = next(node for node in mx.graph.nodes if node.op == "_foreach")
    assert (node.attrs["in_data_locs"], node.attrs["in_state_locs"], node.attrs["num_out_data"]) == (
        "(0,)",
        "(2,)",
        "1",
    )
    assert [ref.node.name for ref in node.inputs] == ["x", "h", "w"]
    written = json.loads(symbol.dumps(mx.graph))
    assert [len(each.get("subgraphs", ())) for each in written["nodes"] if each["op"] == "_foreach"] == [1]


_DECODED = (
    "rows = Shape <end = 1> (memory) sizes = Concat <axis = 0> (rows, three) nothing = ConstantOfShape (sizes) "
    "twice = Concat <axis = 1> (memory, memory) "
    "last, state, y = Loop <body = turn (int64 i, bool c, int64[N] t, float[N, 3] h, float[N, 6] s) => "
    "(bool d, int64[N] u, float[N, 3] g, float[N, 6] r) { d = Less (i, two) e = Gather (table, t) a = Add (e, h) "
    "g = Tanh (a) o = Gemm <transB = 1> (g, w) u = ArgMax <axis = 1, keepdims = 0> (o) k = Add (u, i) "
    "f = Cast <to = 1> (k) m = Unsqueeze (f, one) p = Mul (o, m) r = Add (s, p) }> (, , token, nothing, twice)"
)
"""Greedy decoding: what it carries is at first fed, made of a size, or computed."""


@pytest.mark.parametrize("asked", [["table"], ["w"], ["table", "w"], ["table", "w", "memory"]])
def test_gradients_pass_what_a_loop_carries_whatever_it_is_at_first_and_whichever_are_asked_for(
    asked: list[str],
) -> None:
    mx = mxnet()
    rng = np.random.default_rng(0)
    known = {
        "token": np.array([1, 4]),
        "memory": rng.standard_normal((2, 3)),
        "table": rng.standard_normal((6, 3)),
        "w": rng.standard_normal((6, 3)),
    }
    held = ", ".join(
        f"float{list(known[name].shape)} {name} = {{{', '.join(map(repr, known[name].ravel().tolist()))}}}"
        for name in ("table", "w")
    )
    held += ", int64[1] three = {3}, int64 two = {2}, int64[1] one = {1}"
    model = model_of("int64[N] token, float[N, 3] memory", "float[N, 6] y", _DECODED, held)
    mx_model = to_symbol(cast_floats(model, "float64"))
    loop = mx.sym.load_json(symbol.dumps(mx_model.graph))
    known |= {name: np.asarray(array) for name, array in mx_model.args.items()}  # as float32 holds them
    table, w, memory = (torch.tensor(known[name], requires_grad=True) for name in ("table", "w", "memory"))
    token, state, expected = torch.tensor(known["token"]), torch.zeros_like(memory), torch.cat([memory, memory], 1)
    for turn in range(3):
        state = torch.tanh(table[token] + state)
        scores = state @ w.T
        token = scores.argmax(1)
        expected = expected + scores * (token + turn)[:, None]
    expected.sum().backward()  # type: ignore[no-untyped-call]  # torch's
    arrays = {name: mx.nd.array(known[name], dtype=known[name].dtype) for name in loop.list_arguments()}
    slopes = {name: mx.nd.zeros_like(arrays[name]) for name in asked}
    executor = loop.bind(mx.cpu(), arrays, slopes, {name: "write" if name in asked else "null" for name in arrays})
    freed = [np.full(size, np.nan) for size in range(1, 64) for _ in range(50)]
    del freed  # what MXNet does not write to is no number
    (output,) = executor.forward(is_train=True)
    np.testing.assert_allclose(output.asnumpy(), expected.detach().numpy(), rtol=1e-9)
    executor.backward([mx.nd.ones_like(output)], is_train=True)
    for name, tensor in (("table", table), ("w", w), ("memory", memory)):
        if name in asked:
            assert tensor.grad is not None
            np.testing.assert_allclose(slopes[name].asnumpy(), tensor.grad.numpy(), rtol=1e-9, atol=1e-12, err_msg=name)


_TURN = "y = Loop <body = turn (int64 i, bool c, {} a) => (bool d, {} e) {{ d = Identity (c) e = {} }}> ({}, , x)"
_BRANCH = (
    "y = If (f) <then_branch = a () => (float[3] p) { p = Sin (x) }, "
    "else_branch = b () => (float[6] q) { q = Concat <axis = 0> (x, x) }>"
)


@pytest.mark.parametrize(
    ("signature", "body", "why"),
    [
        (
            "float[3] x, int64 n",
            _TURN.format("float[3]", "float[3]", "Sin (a)", "n"),
            "its number of turns is computed",
        ),
        (
            "float[3] x",
            _TURN.format("float[A]", "float[B]", "Concat <axis = 0> (a, a)", "four"),
            "the shape of 'x', which it carries from turn to turn, is not the same",
        ),
        (
            "float[3] x, bool f",
            _BRANCH,
            "its branches give 'y' in different shapes",
        ),
    ],
)
def test_what_mxnet_cannot_express_is_refused_with_the_reason(signature: str, body: str, why: str) -> None:
    model = model_of(signature, "float[K] y", body, "int64 four = {4}")
    with pytest.raises(UnsupportedError, match=why):
        to_symbol(model)


def test_an_operator_that_is_not_known_is_named_inside_a_body_too() -> None:
    sym = mxnet().sym
    outputs, _ = sym.contrib.foreach(lambda d, s: (sym.sin(d) + s[0], [s[0] * 1]), sym.var("d"), [sym.var("s")])
    text = outputs.tojson().replace('"sin"', '"sin_of_nobody"')
    with pytest.raises(UnsupportedError, match="sin_of_nobody"):
        model_from(text, {"d": drawn(4, 3), "s": drawn(3)})


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('"in_data_locs": "[0]"', '"in_data_locs": "[7]"'),
        ('"in_data_locs": "[0]"', '"in_data_locs": "[1]"'),
        ('"in_state_locs": "[1]"', '"in_state_locs": "here"'),
        ('"num_out_data": "1"', '"num_out_data": "2"'),
        ('"subgraphs"', '"control_deps": [], "subgraphs"'),
    ],
)
def test_parameters_that_do_not_fit_the_body_are_refused_or_harmless(before: str, after: str) -> None:
    sym = mxnet().sym
    outputs, _ = sym.contrib.foreach(lambda d, s: (sym.sin(d) + s[0], [s[0] * 1]), sym.var("d"), [sym.var("s")])
    text = outputs.tojson()
    assert before in text
    feeds = {"d": drawn(4, 3), "s": drawn(3)}
    if "control_deps" in after:
        assert_all_agree(model_from(text.replace(before, after), feeds), feeds)
        return
    with pytest.raises(UnsupportedError, match=r"_foreach.*(its parameters|its body|in_state_locs)"):
        model_from(text.replace(before, after), feeds)


def test_gradients_through_operators_in_a_body_that_mxnet_gets_wrong_are_right() -> None:
    sym = mxnet().sym
    outputs, states = sym.contrib.foreach(
        lambda d, s: (
            sym.Embedding(d, sym.var("table"), input_dim=5, output_dim=3) + s[0],
            [sym.LeakyReLU(s[0], sym.var("slope"), act_type="prelu") * sym.var("w")],
        ),
        sym.var("d"),
        [sym.var("s")],
    )
    feeds = {"d": np.float32([[0, 3], [1, 4], [2, 2]]), "s": drawn(2, 3)}
    args = {"table": drawn(5, 3), "slope": np.float32([0.25, 0.5, 0.125]), "w": drawn(2, 3) + 1}
    assert_all_agree(model_from(sym.Group([outputs, *states]).tojson(), feeds, args), feeds)
