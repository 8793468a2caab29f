"""``graphkit view`` serves a page until it is interrupted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.request
from contextlib import contextmanager

import onnx_ir as ir
import pytest

NET = "net (float[N,4] x) => (float[N,4] y) {a = Relu(x) y = Sigmoid(a)}"


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "net.onnx"
    ir.save(ir.from_onnx_text(f'<ir_version: 10, opset_import: ["" : 21]>{NET}'), path)
    return path


@contextmanager
def view(*arguments):
    with subprocess.Popen(
        [sys.executable, "-m", "graphkit", "view", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"BROWSER": "true"},
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.skipif(os.name == "nt", reason="a process is interrupted in another way there")
def test_the_page_is_there_until_an_interrupt(model):
    with view(model, "--no-browser") as process:
        address = process.stdout.readline().split()[0]
        page = urllib.request.urlopen(address, timeout=30).read().decode()
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
        assert process.stderr.read().strip() == ""
    assert "<title>net.onnx" in page


def test_a_port_that_is_taken_is_an_error(model):
    with view(model, "--no-browser") as first:
        port = first.stdout.readline().split()[0].split(":")[2].partition("/")[0]
        with view(model, "--no-browser", "--port", port) as second:
            assert second.wait(60) == 2
            assert f"error: Port {port} of 127.0.0.1 cannot be listened on" in second.stderr.read()


def test_what_is_no_model_is_not_served(tmp_path):
    (tmp_path / "net.onnx").write_bytes(b"nothing")
    with view(tmp_path / "net.onnx") as process:
        assert process.wait(60) == 2
        assert "error:" in process.stderr.read()
