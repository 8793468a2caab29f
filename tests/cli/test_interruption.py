"""Conversions that are ended while they write leave what was there before."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir
import pytest

if TYPE_CHECKING:
    from pathlib import Path

SLOWLY = """
import sys, time
from graphkit.cli import main
from graphkit.files import arrays
write = arrays.written
arrays.BLOCK = 10_000
arrays.written = lambda count: (time.sleep(0.05), write(count))
main(sys.argv[1:])
"""
"""The command line, which takes a minute to write a megabyte."""


@pytest.mark.parametrize(
    ("number", "status", "told"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]
)
def test_a_conversion_that_is_ended_while_it_writes_leaves_nothing(
    tmp_path: Path, number: int, status: int, told: str
) -> None:
    weight = ir.tensor(np.zeros((500, 5000), np.float32), name="w")
    text = '<ir_version: 10, opset_import: ["" : 21]> g (float[n, 500] x) => (float[n, 5000] y) { y = MatMul(x, w) }'
    model = ir.from_onnx_text(text, initializers=[weight])
    ir.save(model, tmp_path / "x.onnx")
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "y.onnx").write_text("old")
    command = [sys.executable, "-c", SLOWLY, "convert", "../x.onnx", "--to", "onnx", "-o", "y.onnx"]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        while process.poll() is None and not any(path.stat().st_size for path in folder.glob(".graphkit-*/new/y.onnx")):
            time.sleep(0.01)
        assert process.poll() is None, process.communicate()
        process.send_signal(number)
        out, error = process.communicate(timeout=60)
    finally:
        process.kill()
    assert (process.returncode, out, error.strip()) == (status, "", f"graphkit: {told}.")
    assert {path.name: path.read_text() for path in folder.iterdir()} == {"y.onnx": "old"}
