"""Models in processes of their own: what they compute, how they are timed, how they die."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from fakes import Fake, model

from graphkit.errors import ExecutionError, MissingError
from graphkit.frameworks.base import timers
from graphkit.frameworks.process import TimedProcess

PROGRAM = """
import os, signal, sys
import numpy as np

def imports(job):
    print("printed to stdout")

def prepare(job):
    if job.get("refuses"):
        raise ValueError("it has no such operator")
    return Program(job)

class Program:
    notes = ("a note",)

    def __init__(self, job):
        self.job = job

    def feed(self, feeds, seeds):
        self.feeds = feeds

    def call(self):
        if self.job.get("dies"):
            print("the last words", file=sys.stderr, flush=True)
            os.kill(os.getpid(), self.job["dies"])
        self.held = np.ones(self.job.get("bytes", 1), np.uint8)

    def results(self):
        return {"y": self.feeds["x"] * 2}, {}
"""


@pytest.fixture
def started(tmp_path, monkeypatch):
    """Start a process that has a program."""
    (tmp_path / "program.py").write_text(PROGRAM)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    found = []

    def start(**job):
        found.append(TimedProcess("Program", "program", job, {}))
        return found[-1]

    yield start
    for process in found:
        process.close()


FEEDS = {"x": np.arange(3, dtype=np.float32)}


def running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_process_answers_and_is_timed(started):
    process = started()
    answer = process.call(FEEDS, None)
    np.testing.assert_array_equal(answer.outputs["y"], FEEDS["x"] * 2)
    found = process.measure(0.02)
    assert found.calls > 0
    assert found.seconds * found.calls == pytest.approx(0.02, abs=0.5)
    assert process.notes == ("a note",)
    assert process.load >= 0


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the system does not tell")
def test_memory_is_what_calls_take_beyond_what_the_runtime_takes(started):
    process = started(bytes=1 << 26)
    assert process.memory().peak < 1 << 25
    process.call(FEEDS, None)
    process.settle()
    assert process.memory().running == pytest.approx(1 << 26, rel=0.2)
    process.measure(0.01)  # holds the old array until it has the new one
    assert process.memory().running == pytest.approx(1 << 27, rel=0.2)


def test_a_refusal_says_why_and_leaves_no_process(started):
    with pytest.raises(ExecutionError, match="Program failed to load the model: it has no such operator"):
        started(refuses=True)


@pytest.mark.parametrize(
    ("number", "told"),
    [(signal.SIGSEGV, "crashed .SIGSEGV."), (signal.SIGKILL, "killed .SIGKILL., most likely for want of memory")],
)
def test_a_death_says_how_and_its_last_words(started, number, told):
    process = started(dies=int(number))
    with pytest.raises(ExecutionError, match=f"{told}.*call the model.*the last words"):
        process.call(FEEDS, None)
    assert not running(process.pid)


def test_a_closed_process_is_gone(started):
    process = started()
    process.close()
    assert not running(process.pid)


def test_no_process_outlives_the_one_that_started_it(tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)
    code = """
        import time
        from graphkit.frameworks.process import TimedProcess
        process = TimedProcess("Program", "program", {}, {})
        print(process.pid, flush=True)
        time.sleep(60)
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert running(pid)
        parent.kill()
    end = time.monotonic() + 20
    while running(pid) and time.monotonic() < end:
        time.sleep(0.05)
    assert not running(pid)


@contextmanager
def contestant(name, subject, variant=0, *, backward):
    timer = timers()[name]
    if problem := timer.missing():
        pytest.skip(problem)
    with tempfile.TemporaryDirectory() as folder:
        timed = timer.start(subject, Path(folder), threads=1, backward=backward, variant=variant)
        try:
            yield timed
        finally:
            timed.close()


@pytest.mark.parametrize(
    ("name", "variant", "backward"),
    [
        ("torch", 0, True),
        ("torch-compile", 0, False),
        ("ort", 0, False),
        ("ort", 1, True),
        ("mxnet", 0, False),
        ("mxnet", 0, True),
    ],
)
def test_runtimes_give_outputs_and_gradients_by_the_models_names(name, variant, backward, monkeypatch):
    monkeypatch.setenv("TORCH_COMPILE_DISABLE", "1")  # compiling takes half a minute
    subject, right = model(), Fake().open(model())
    feeds = {"x": np.random.default_rng(0).standard_normal((4, 5)).astype(np.float32)}
    seeds = {"y": np.random.default_rng(1).standard_normal((4, 3)).astype(np.float32)}
    with contestant(name, subject, variant, backward=backward) as timed:
        answer = timed.call(feeds, seeds if backward else None)
        np.testing.assert_allclose(answer.outputs["y"], right.forward(feeds)["y"], rtol=1e-5, atol=1e-5)
        expected = right.backward(feeds, seeds) if backward else {}
        assert set(answer.gradients) == set(expected)
        for key, gradient in expected.items():
            np.testing.assert_allclose(answer.gradients[key], gradient, rtol=1e-5, atol=1e-5)
        assert timed.measure(0.01).calls > 0
        assert timed.memory().peak > 0


def test_compiling_needs_a_compiler(monkeypatch, tmp_path):
    monkeypatch.setenv("CXX", "no-such-compiler")
    timer = timers()["torch-compile"]
    assert "CXX names, 'no-such-compiler', is not there" in (timer.missing() or "")
    with pytest.raises(MissingError, match=r"PyTorch \(compiled\) is not available: torch.compile needs a C\+\+"):
        timer.start(model(), tmp_path, threads=1, backward=False)


def test_a_program_is_timed_as_torch_wrote_it_and_a_file_as_it_is(tmp_path):
    torch = pytest.importorskip("torch")
    import graphkit

    module = torch.nn.Sequential(torch.nn.Linear(5, 3), torch.nn.ReLU())
    subject = graphkit.load(module, inputs=[(None, 5)])
    feeds = {subject.graph.inputs[0].name: np.ones((2, 5), np.float32)}
    output = subject.graph.outputs[0].name
    with contestant("torch", subject, backward=True) as timed:
        answer = timed.call(feeds, {output: np.ones((2, 3), np.float32)})
    expected = module(torch.ones(2, 5))
    np.testing.assert_allclose(answer.outputs[output], expected.detach(), rtol=1e-5)
    expected.sum().backward()
    np.testing.assert_allclose(answer.gradients["0.weight"], module[0].weight.grad, rtol=1e-5)

    (path,) = graphkit.save(subject, tmp_path / "net.onnx", to="onnx")
    with contestant("ort", graphkit.load(path), backward=False) as timed:
        np.testing.assert_allclose(timed.call(feeds, None).outputs[output], expected.detach(), rtol=1e-5)
