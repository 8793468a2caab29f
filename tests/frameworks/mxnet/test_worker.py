"""MXNet's process computes what torch does, says why it cannot, and never stays behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np
import pytest
from mxsymbols import graph, op, var
from realmxnet import python

from graphkit.errors import ExecutionError, FeedError
from graphkit.frameworks.mxnet import symbol
from graphkit.frameworks.mxnet.run import RUNTIME
from graphkit.frameworks.mxnet.worker.client import Worker, worker
from graphkit.ops.mxgraph import MxRef

if TYPE_CHECKING:
    from collections.abc import Mapping

pytestmark = pytest.mark.mxnet

Arrays = dict[str, np.ndarray]
LIMIT = 60.0


@pytest.fixture(autouse=True, scope="module")
def _needs_mxnet() -> None:
    problem = RUNTIME.missing()
    if problem is not None:
        pytest.skip(problem)


@dataclass
class Opened:
    """A model in the worker."""

    process: Worker
    number: int

    def ask(self, command: str, text: str, arrays: Mapping[str, np.ndarray], **fields: Any) -> Any:
        fields = {"fill": [], "train": False, "seed": 0, **fields}
        return self.process.request(command, arrays, limit=LIMIT, model=self.number, symbol=text, **fields)

    def forward(self, text: str, arrays: Mapping[str, np.ndarray], **fields: Any) -> list[np.ndarray]:
        _, found = self.ask("forward", text, arrays, **fields)
        return [found[str(number)] for number in range(len(found))]

    def backward(self, text: str, arrays: Mapping[str, np.ndarray], seeds: list[np.ndarray], **fields: Any) -> Arrays:
        given = {**arrays, **{f"seed:{number}": seed for number, seed in enumerate(seeds)}}
        _, found = self.ask("backward", text, given, **fields)
        return dict(found)


def opened(
    text: str, arrays: Arrays | None = None, *, written: list[str] | None = None, np_shape: bool = False
) -> Opened:
    process = RUNTIME.worker()
    header, _ = process.request(
        "open", arrays or {}, limit=LIMIT, symbol=text, written=written or [], np_shape=np_shape
    )
    return Opened(process, header["model"])


def text_of(*heads: MxRef) -> str:
    return symbol.dumps(graph(*heads))


def far(found: np.ndarray, expected: np.ndarray) -> float:
    assert found.shape == expected.shape
    assert found.dtype == expected.dtype
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def convolutional() -> tuple[str, Arrays, Any]:
    """Convolution, BatchNorm, ReLU, max pooling, fully connected; its arrays; the same in torch."""
    import torch.nn.functional as F  # noqa: N812  # torch's own spelling

    conv = op("Convolution", "conv", var("x"), var("w"), var("b"), kernel="(3, 3)", num_filter=4, pad="(1, 1)")
    statistics = [var(name) for name in ("gamma", "beta", "mean", "var")]
    norm = op("BatchNorm", "norm", conv, *statistics, fix_gamma=False, eps=1e-5, momentum=0.9)
    pool = op("Pooling", "pool", op("Activation", "relu", norm, act_type="relu"), kernel="(2, 2)", stride="(2, 2)")
    dense = op("FullyConnected", "fc", pool, var("fw"), var("fb"), num_hidden=5)
    rng = np.random.default_rng(0)
    shapes = {"w": (4, 3, 3, 3), "b": (4,), "gamma": (4,), "beta": (4,), "mean": (4,), "fw": (5, 64), "fb": (5,)}
    arrays = {name: rng.standard_normal(shape) for name, shape in shapes.items()}
    arrays["var"] = rng.uniform(0.5, 1.5, 4)

    def in_torch(v: dict[str, Any], train: bool) -> Any:
        y = F.conv2d(v["x"], v["w"], v["b"], padding=1)
        y = F.batch_norm(y, v["mean"], v["var"], v["gamma"], v["beta"], train, 0.1, 1e-5)
        return F.linear(F.max_pool2d(F.relu(y), 2).flatten(1), v["fw"], v["fb"])

    return text_of(dense), arrays, in_torch


def upwards() -> tuple[str, Arrays, Any]:
    """Transposed and grouped convolution, tanh, average pooling, two fully connected layers on one weight."""
    import torch
    import torch.nn.functional as F  # noqa: N812  # torch's own spelling

    up = op("Deconvolution", "up", var("x"), var("w"), kernel="(2, 2)", stride="(2, 2)", num_filter=4)
    grouped = op("Convolution", "grouped", up, var("g"), kernel="(3, 3)", num_filter=4, num_group=2, no_bias=True)
    bent = op("Activation", "tanh", grouped, act_type="tanh")
    pool = op("Pooling", "pool", bent, kernel="(2, 2)", stride="(3, 3)", pool_type="avg", pooling_convention="full")
    shared = var("fw")
    once = op("FullyConnected", "once", pool, shared, num_hidden=100, no_bias=True)
    twice = op("FullyConnected", "twice", once, shared, num_hidden=100, no_bias=True)
    rng = np.random.default_rng(1)
    shapes = {"w": (3, 4, 2, 2), "g": (4, 2, 3, 3), "fw": (100, 100)}
    arrays = {name: rng.standard_normal(shape) / 5 for name, shape in shapes.items()}

    def in_torch(v: dict[str, Any], train: bool) -> Any:  # noqa: ARG001 -- behaves the same in both modes
        y = F.conv2d(F.conv_transpose2d(v["x"], v["w"], stride=2), v["g"], groups=2)
        y = F.avg_pool2d(torch.tanh(y), 2, 3, ceil_mode=True).flatten(1)
        return F.linear(F.linear(y, v["fw"]), v["fw"])

    return text_of(twice), arrays, in_torch


@pytest.mark.parametrize("train", [False, True], ids=["eval", "train"])
@pytest.mark.parametrize("network", [convolutional, upwards])
def test_outputs_and_all_gradients_in_float64_are_those_of_torch(network: Any, train: bool) -> None:
    torch = pytest.importorskip("torch")
    text, arrays, in_torch = network()
    rng = np.random.default_rng(2)
    x = rng.standard_normal((2, 3, 8, 8))
    trained = ["x", *(name for name in arrays if name not in ("mean", "var"))]
    tensors = {name: torch.tensor(a, requires_grad=name in trained) for name, a in {"x": x, **arrays}.items()}
    expected = in_torch(tensors, train)
    seed = rng.standard_normal(tuple(expected.shape))
    expected.backward(torch.tensor(seed))

    model = opened(text, arrays)
    assert far(model.forward(text, {"x": x}, train=train)[0], expected.detach().numpy()) < 1e-12
    found = model.backward(text, {"x": x}, [seed], wrt=trained, train=train)
    for name in trained:
        right = tensors[name].grad.numpy()
        if name == "b" and train:  # BatchNorm takes the mean away, so what is left is rounding
            np.testing.assert_allclose(found["grad:b"], 0.0, atol=1e-12)
        else:
            assert far(found[f"grad:{name}"], right) < 1e-12, name


def test_a_training_step_tells_the_moving_statistics_and_keeps_its_own() -> None:
    rng = np.random.default_rng(3)
    x = rng.standard_normal((4, 2, 3))
    statistics = [var(name) for name in ("gamma", "beta", "mean", "var")]
    text = text_of(op("BatchNorm", "norm", var("x"), *statistics, fix_gamma=False, eps=1e-3, momentum=0.75))
    arrays = {"gamma": np.ones(2), "beta": np.zeros(2), "mean": np.array([1.0, 2.0]), "var": np.array([3.0, 4.0])}
    model = opened(text, arrays)
    for _ in range(2):
        found = model.backward(text, {"x": x}, [np.ones_like(x)], wrt=["x"], train=True)
        np.testing.assert_allclose(found["state:mean"], 0.75 * arrays["mean"] + 0.25 * x.mean((0, 2)), rtol=1e-12)
        np.testing.assert_allclose(found["state:var"], 0.75 * arrays["var"] + 0.25 * x.var((0, 2)), rtol=1e-12)
    inference = model.forward(text, {"x": x})[0]
    shape = (1, 2, 1)
    expected = (x - arrays["mean"].reshape(shape)) / np.sqrt(arrays["var"].reshape(shape) + 1e-3)
    np.testing.assert_allclose(inference, expected, rtol=1e-12)


def test_fix_gamma_does_not_overwrite_the_gamma_that_was_given() -> None:
    gamma = var("gamma")
    norm = op("BatchNorm", "norm", var("x"), gamma, var("beta"), var("mean"), var("var"), fix_gamma=True, eps=1e-5)
    arrays = {"gamma": np.full(2, 5.0), "beta": np.zeros(2), "mean": np.zeros(2), "var": np.ones(2)}
    x = np.arange(6.0).reshape(1, 2, 3)
    text = text_of(norm)
    model = opened(text, arrays, written=["gamma"])
    np.testing.assert_allclose(model.forward(text, {"x": x})[0], x / np.sqrt(1 + 1e-5), rtol=1e-12)
    found = model.backward(text, {"x": x}, [np.ones_like(x)], wrt=["gamma"])
    np.testing.assert_array_equal(found["grad:gamma"], [0.0, 0.0])
    np.testing.assert_array_equal(model.forward(text_of(op("_copy", "same", gamma)), {})[0], [5.0, 5.0])


def test_hidden_outputs_can_be_asked_for() -> None:
    x = np.random.default_rng(4).standard_normal((2, 3, 5))
    norm = op("LayerNorm", "norm", var("x"), var("gamma"), var("beta"), eps=1e-5)
    text = text_of(norm, MxRef(norm.node, 1), MxRef(norm.node, 2))
    model = opened(text, {"gamma": np.ones(5), "beta": np.zeros(5)})
    _, mean, deviation = model.forward(text, {"x": x})
    np.testing.assert_allclose(mean, x.mean(-1, keepdims=True), rtol=1e-12)
    np.testing.assert_allclose(deviation, np.sqrt(x.var(-1, keepdims=True) + 1e-5), rtol=1e-12)


@pytest.mark.parametrize(
    "dtype", ["float16", "float32", "float64", "uint8", "int8", "int32", "int64", "bool", ml_dtypes.bfloat16], ids=str
)
def test_arrays_of_every_mxnet_dtype_come_back_bit_for_bit(dtype: Any) -> None:
    bits = np.random.default_rng(5).integers(0, 120, (2, 3, 4))
    array = (bits % 2 if dtype == "bool" else bits).astype(dtype)
    text = text_of(op("_copy", "same", var("x")))
    found = opened(text).forward(text, {"x": array[:, ::-1].astype(array.dtype.newbyteorder())})[0]
    assert found.dtype == array.dtype
    assert found.tobytes() == array[:, ::-1].tobytes()


@pytest.mark.parametrize("dtype", ["int16", "uint16", "uint32", "uint64"])
def test_a_dtype_that_mxnet_lacks_is_refused(dtype: str) -> None:
    text = text_of(op("_copy", "same", var("x")))
    with pytest.raises(FeedError, match=f"no arrays of {dtype}"):
        opened(text).forward(text, {"x": np.zeros(3, dtype)})


def test_scalars_have_one_dimension_and_nothing_is_refused_outside_numpy_mode() -> None:
    text = text_of(op("_copy", "same", var("x")))
    assert opened(text).forward(text, {"x": np.float64(3)})[0].shape == (1,)
    with pytest.raises(FeedError, match=r"without elements.*\(0, 3\)"):
        opened(text).forward(text, {"x": np.zeros((0, 3))})
    numpy_mode = opened(text, np_shape=True)
    assert numpy_mode.forward(text, {"x": np.float64(3)})[0].shape == ()
    assert numpy_mode.forward(text, {"x": np.zeros((0, 3))})[0].shape == (0, 3)


def test_graphs_without_inputs_run() -> None:
    text = text_of(op("_arange", "numbers", start=0, stop=4, dtype="int64"))
    model = opened(text)
    np.testing.assert_array_equal(model.forward(text, {})[0], [0, 1, 2, 3])
    assert model.backward(text, {}, [], wrt=[]) == {}


def test_integer_inputs_take_part_and_repeated_rows_add_up() -> None:
    text = text_of(op("Embedding", "rows", var("i"), var("table"), input_dim=4, output_dim=2, dtype="float64"))
    model = opened(text, {"table": np.arange(8.0).reshape(4, 2)})
    rows = np.array([3, 1, 3], np.int32)
    np.testing.assert_array_equal(model.forward(text, {"i": rows})[0], [[6, 7], [2, 3], [6, 7]])
    found = model.backward(text, {"i": rows}, [np.array([[1.0, 2], [3, 4], [5, 6]])], wrt=["table"])
    np.testing.assert_array_equal(found["grad:table"], [[0, 0], [3, 4], [0, 0], [6, 8]])


def test_outputs_without_a_cotangent_do_not_contribute() -> None:
    x = var("x")
    square = op("square", "square", x)
    text = text_of(op("Cast", "whole", x, dtype="int32"), square, square, op("argmax", "largest", x, axis=0))
    model = opened(text)
    values = np.array([1.5, -2.0, 4.0])
    whole, *_, largest = model.forward(text, {"x": values})
    np.testing.assert_array_equal(whole, np.array([1, -2, 4], np.int32))
    np.testing.assert_array_equal(largest, [2.0])
    _, found = model.ask("backward", text, {"x": values, "seed:1": np.ones(3), "seed:2": np.ones(3)}, wrt=["x"])
    np.testing.assert_array_equal(found["grad:x"], 4 * values)


def test_dropout_draws_the_same_mask_for_the_same_seed() -> None:
    text = text_of(op("Dropout", "drop", var("x"), p=0.5))
    model = opened(text)
    x = np.ones((8, 16))
    np.testing.assert_array_equal(model.forward(text, {"x": x})[0], x)
    first, again, other = (model.forward(text, {"x": x}, train=True, seed=seed)[0] for seed in (1, 1, 2))
    assert set(np.unique(first)) == {0.0, 2.0}
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    np.testing.assert_array_equal(model.backward(text, {"x": x}, [x], wrt=["x"], train=True, seed=1)["grad:x"], first)


def test_what_is_missing_is_named_and_labels_are_filled_in() -> None:
    text = text_of(op("SoftmaxOutput", "soft", var("x"), var("soft_label")))
    model = opened(text)
    with pytest.raises(FeedError, match="no value is given for soft_label"):
        model.forward(text, {"x": np.zeros((2, 4))})
    np.testing.assert_allclose(model.forward(text, {"x": np.zeros((2, 4))}, fill=["soft_label"])[0], 0.25)


def test_a_cotangent_of_another_shape_is_refused() -> None:
    text = text_of(op("_copy", "same", var("x")))
    with pytest.raises(FeedError, match=r"cotangent has shape \(3, 2\), its output \(2, 3\)"):
        opened(text).backward(text, {"x": np.zeros((2, 3))}, [np.zeros((3, 2))], wrt=["x"])


def test_a_refusal_says_why_without_a_trace_and_leaves_the_worker_alive() -> None:
    text = text_of(op("FullyConnected", "dense", var("x"), var("w"), num_hidden=4, no_bias=True))
    model = opened(text, {"w": np.zeros((4, 7))})
    with pytest.raises(ExecutionError) as caught:
        model.forward(text, {"x": np.zeros((2, 3))})
    assert str(caught.value) == (
        "MXNet refused to run the symbol forward: Error in operator dense: Shape inconsistent, Provided = [4,7], "
        "inferred shape=(4,3)."
    )
    assert model.forward(text, {"x": np.ones((2, 7))})[0].shape == (2, 4)
    with pytest.raises(ExecutionError, match="Operator Nope is not registered"):
        opened(text_of(op("Nope", "nope", var("x"))))


def test_runs_are_timed() -> None:
    text, arrays, _ = convolutional()
    x = np.ones((2, 3, 8, 8))
    model = opened(text, arrays)
    shape = model.forward(text, {"x": x})[0].shape
    for wrt, seeds in ([], {}), (["x", "w"], {"seed:0": np.ones(shape)}):
        header, found = model.ask("prepare", text, {"x": x, **seeds}, wrt=wrt)
        assert 0 < header["seconds"] < LIMIT
        assert set(found) == {"0", *(f"grad:{name}" for name in wrt)}
        np.testing.assert_allclose(found["0"], model.forward(text, {"x": x})[0])
        timed, _ = model.ask("measure", text, {}, least=0.01, lead=True)
        assert timed["calls"] > 0
        assert 0 < timed["seconds"] * timed["calls"] < LIMIT
        assert timed["busy"] > 0


def test_the_process_tells_its_memory() -> None:
    text = text_of(op("_plus_scalar", "plus", var("x"), scalar=1))
    model = opened(text)
    model.ask("memory", text, {}, forget=True)
    before, _ = model.ask("memory", text, {}, forget=True)
    model.forward(text, {"x": np.zeros((1 << 24,), np.float32)})
    after, _ = model.ask("memory", text, {}, forget=True)
    assert after["running"] - before["running"] > 1 << 26
    assert after["peak"] >= after["running"]


def test_arrays_larger_than_a_pipe_pass_in_both_directions() -> None:
    array = np.random.default_rng(6).standard_normal((5, 1 << 20))
    text = text_of(op("_copy", "same", var("x")))
    np.testing.assert_array_equal(opened(text).forward(text, {"x": array})[0], array)


def test_threads_take_turns() -> None:
    text = text_of(op("_plus_scalar", "plus", var("x"), scalar=1))
    model = opened(text)

    def run(number: float) -> list[float]:
        return [float(model.forward(text, {"x": np.full(4, number)})[0][0]) for _ in range(10)]

    with ThreadPoolExecutor() as threads:
        assert list(threads.map(run, [1.0, 2.0, 3.0, 4.0])) == [[2.0] * 10, [3.0] * 10, [4.0] * 10, [5.0] * 10]


CRASH = text_of(op("_contrib_index_copy", "copy", var("x"), var("at"), var("new")))
"""MXNet does not check the indices and writes outside of the array."""


def test_a_crash_is_told_and_the_next_use_gets_a_new_process() -> None:
    model = opened(CRASH)
    feeds = {"x": np.ones((3, 2)), "at": np.array([1e9]), "new": np.ones((1, 2))}
    with pytest.raises(ExecutionError, match=r"crashed \(SIG\w+\) when it was to run the symbol forward"):
        model.forward(CRASH, feeds)
    assert not model.process.alive
    assert RUNTIME.worker() is not model.process
    assert opened(CRASH).forward(CRASH, {**feeds, "at": np.array([1.0])})[0].shape == (3, 2)


def test_a_process_killed_from_outside_is_noticed() -> None:
    process = RUNTIME.worker()
    os.kill(process.pid, signal.SIGKILL)
    with pytest.raises(ExecutionError, match="SIGKILL"):
        process.request("close", limit=LIMIT, model=1)
    assert RUNTIME.worker().alive


def test_a_process_that_hangs_is_ended_after_the_limit() -> None:
    process = RUNTIME.worker()
    os.kill(process.pid, signal.SIGSTOP)
    start = time.monotonic()
    with pytest.raises(ExecutionError, match=r"did not close within 0\.5 seconds.*GRAPHKIT_MXNET_TIMEOUT"):
        process.request("close", limit=0.5, model=1)
    assert time.monotonic() - start < 10
    assert not process.alive
    assert not running(process.pid)


def test_a_long_computation_is_ended_after_the_limit() -> None:
    text = text_of(op("dot", "product", var("x"), var("x")))
    process = RUNTIME.worker()
    header, _ = process.request("open", {}, limit=LIMIT, symbol=text, written=[], np_shape=False)
    fields: dict[str, Any] = {"model": header["model"], "symbol": text, "fill": [], "train": False, "seed": 0}
    process.request("prepare", {"x": np.ones((256, 256))}, limit=LIMIT, wrt=[], **fields)
    with pytest.raises(ExecutionError, match="did not time the symbol within"):
        process.request("measure", limit=1.0, least=1e9, lead=False, **fields)
    assert not running(process.pid)


def test_an_interrupted_exchange_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    process = RUNTIME.worker()

    def interrupted(_command: str, _deadline: float) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(process, "_answer", interrupted)
    with pytest.raises(KeyboardInterrupt):
        process.request("close", limit=LIMIT, model=1)
    assert not process.alive


def script(path: Path, body: str) -> str:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("echo 'Welcome to this machine, user!'; sleep 60", r"starts with b'Welcome .*GRAPHKIT_MXNET_PYTHON"),
        ("printf 'GKMX\\005\\000\\000\\000hello'; sleep 60", "gave an answer that is none"),
        ("echo 'ModuleNotFoundError: No module named mxnet' >&2; exit 3", "exit status 3.*No module named mxnet"),
        ("exec sleep 60", r"did not start within 0\.5 seconds"),
        ("exit 0", "ended with exit status 0"),
    ],
    ids=["banner", "no JSON", "no MXNet", "silence", "nothing"],
)
def test_an_interpreter_that_is_none_is_told(tmp_path: Path, body: str, said: str) -> None:
    with pytest.raises(ExecutionError, match=said):
        Worker(script(tmp_path / "python", body), start_limit=0.5 if "exec sleep" in body else LIMIT)


def test_an_interpreter_that_cannot_be_started_is_told(tmp_path: Path) -> None:
    (tmp_path / "python").write_text("not a program")
    with pytest.raises(ExecutionError, match=r"cannot be started \(Permission denied\).*GRAPHKIT_MXNET_PYTHON"):
        Worker(str(tmp_path / "python"))


def test_another_interpreter_does_not_inherit_this_ones_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    named = script(tmp_path / "python", f'test -z "$PYTHONPATH" || exit 9; exec {python()} "$@"')
    foreign = Worker(named)
    assert foreign.info["python"] == worker(python()).info["python"]
    foreign.close()


def test_fast_workers_are_other_workers() -> None:
    fast = worker(python(), fast=True)
    assert fast.info["fast"]
    assert fast is worker(python(), fast=True)
    assert fast is not worker(python())
    fast.close()


def test_workers_on_other_numbers_of_threads_are_other_workers() -> None:
    single = worker(python(), threads=1)
    settings = dict(line.split("=", 1) for line in Path(f"/proc/{single.pid}/environ").read_text().split("\0") if line)
    assert settings["OMP_NUM_THREADS"] == "1"
    assert single is worker(python(), threads=1)
    assert single is not worker(python())
    single.close()


def running(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def await_end(pid: int) -> bool:
    deadline = time.monotonic() + 20
    while running(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not running(pid)


BUSY = f"""
import numpy as np, sys, threading
from graphkit.frameworks.mxnet.worker.client import worker
text = {text_of(op("dot", "product", var("x"), var("x")))!r}
w = worker(sys.argv[1])
header, _ = w.request("open", {{}}, limit=60, symbol=text, written=[], np_shape=False)
fields = dict(model=header["model"], symbol=text, fill=[], train=False, seed=0, least=1e9, lead=False)
w.request("prepare", {{"x": np.ones((256, 256))}}, limit=60, wrt=[], **fields)
busy = threading.Timer(0.5, print, (w.pid,), {{"flush": True}})
busy.start()
"""


@pytest.mark.parametrize(
    "ending",
    [
        'w.request("measure", limit=60, **fields)',
        "busy.join(); raise SystemExit(1)",
    ],
    ids=["killed at work", "exit"],
)
def test_no_process_outlives_the_one_that_started_it(ending: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", BUSY + ending, python()], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        if "Exit" not in ending:
            assert running(pid)
            parent.kill()
    assert await_end(pid)


def test_a_forked_child_leaves_the_workers_of_its_parent_alone() -> None:
    program = """
    import os, sys
    from graphkit.frameworks.mxnet.worker.client import worker
    mine = worker(sys.argv[1])
    child = os.fork()
    if not child:
        assert not mine.alive
        other = worker(sys.argv[1])
        assert other.pid != mine.pid
        sys.exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert worker(sys.argv[1]) is mine
    mine.request("close", limit=60, model=1)
    print("fine")
    """
    found = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), python()], capture_output=True, text=True, timeout=120
    )
    assert found.stdout == "fine\n", found.stderr


def test_matrix_products_use_what_the_processor_has() -> None:
    flags = Path("/proc/cpuinfo").read_text().partition("flags")[2].partition("\n")[0].split()
    if not {"avx2", "fma"} <= set(flags):
        pytest.skip("this processor has no AVX2")
    if "OPENBLAS_CORETYPE" in os.environ or not (kernels := RUNTIME.worker().info["blas"]):
        pytest.skip("the kernels are the user's choice, or MXNet's BLAS does not tell them")
    assert kernels in {"Haswell", "Zen", "SkylakeX", "Cooperlake", "SapphireRapids"}
