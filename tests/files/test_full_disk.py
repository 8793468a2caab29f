"""A disk that fills up while something is written: the old output stays as it was, and nothing else is left."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from contextlib import contextmanager, suppress
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import onnx_ir as ir
import pytest

import graphkit
from graphkit.errors import InputError
from graphkit.files import whole
from graphkit.frameworks.onnx import write as onnx_writer
from graphkit.parity.npz import Writer
from graphkit.running.run import save_outputs

SIZE = 128 * 1024


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    weight = ir.tensor(np.random.default_rng(0).normal(size=(400, 400)).astype(np.float32), name="w")
    more = ir.tensor(np.random.default_rng(1).normal(size=(400, 400)).astype(np.float32), name="v")
    text = (
        '<ir_version: 10, opset_import: ["" : 21]> g (float[2, 400] x) => (float[2, 400] y) '
        "{ h = MatMul(x, w) y = MatMul(h, v) }"
    )
    path = tmp_path_factory.mktemp("model") / "x.onnx"
    ir.save(ir.from_onnx_text(text, initializers=[weight, more]), path)
    return graphkit.load(path)


def _beside(model, folder, monkeypatch):
    monkeypatch.setattr(onnx_writer, "INLINE_LIMIT", 1000)
    graphkit.save(model, folder / "net.onnx", to="onnx")


def _page(_model, folder, _monkeypatch):
    from reports import REPORT

    from graphkit.report.write import write_report

    checks = tuple(replace(check, name=f"{check.name}{n}") for n in range(500) for check in REPORT.checks)
    write_report(replace(REPORT, checks=checks), folder / "report.html")


def _drawing(_model, folder, _monkeypatch):
    from graphkit.render import render

    lines = " ".join(f"h{n + 1} = Abs(h{n})" for n in range(900))
    text = f'<ir_version: 10, opset_import: ["" : 21]> g (float[2] h0) => (float[2] h900) {{ {lines} }}'
    render(ir.from_onnx_text(text), folder / "net.dot")


def _outputs(_model, folder, _monkeypatch):
    save_outputs({"y": np.random.default_rng(0).normal(size=100_000)}, folder / "out.npz")


def _baseline(_model, folder, _monkeypatch):
    with whole(folder / "base.npz") as (draft,):
        archive = Writer(draft)
        try:
            archive.array("y", np.random.default_rng(0).normal(size=100_000))
        finally:
            with suppress(OSError):
                archive.close()


WRITERS = {
    "mxnet": lambda model, folder, _: graphkit.save(model, folder / "net", to="mxnet"),
    "onnx": lambda model, folder, _: graphkit.save(model, folder / "net.onnx", to="onnx"),
    "onnx and data": _beside,
    "torch": lambda model, folder, _: graphkit.save(model, folder / "out", to="torch", shard_size="700kB"),
    "report": _page,
    "drawing": _drawing,
    "outputs": _outputs,
    "baseline": _baseline,
}


@contextmanager
def small_disk(folder):
    """A file system of its own in a folder."""
    told = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "none", folder], capture_output=True, check=False
    )
    if told.returncode:
        pytest.skip("file systems cannot be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


@contextmanager
def small_files(_folder):
    """No file may be larger."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (SIZE, before[1]))  # Python ignores the signal
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


OLD = (
    "net-symbol.json",
    "net-0000.params",
    "net.onnx",
    "net.onnx.data",
    "report.html",
    "net.dot",
    "out.npz",
    "base.npz",
)


@pytest.mark.parametrize("limited", [small_disk, small_files])
@pytest.mark.parametrize("name", WRITERS)
def test_the_old_output_stays_and_nothing_else(tmp_path, monkeypatch, model, name, limited):
    free = shutil.disk_usage(tmp_path)
    with limited(str(tmp_path)):
        for old in OLD:
            (tmp_path / old).write_text("old")
        with pytest.raises(InputError, match=r"cannot be written: .*(left on device|File too large|are free there)"):
            WRITERS[name](model, tmp_path, monkeypatch)
        monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free.free))  # as if nobody had looked
        with pytest.raises(InputError, match=r"cannot be written: .*(left on device|File too large)"):
            WRITERS[name](model, tmp_path, monkeypatch)
        assert {path.name: path.read_text() for path in tmp_path.iterdir()} == dict.fromkeys(OLD, "old")


def test_a_disk_without_room_for_a_folder_is_told_of(tmp_path):
    with small_disk(str(tmp_path)):
        (tmp_path / "old").write_bytes(b"0" * SIZE)
        with pytest.raises(InputError, match="No space left on device"), whole(tmp_path / "a") as (draft,):
            draft.write_bytes(b"1")
        assert [path.name for path in tmp_path.iterdir()] == ["old"]
        assert (tmp_path / "old").stat().st_size == SIZE


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_what_is_printed_to_a_full_disk_is_an_error(unbuffered, tmp_path):
    (tmp_path / "x.txt").write_text(
        '<ir_version: 10, opset_import: ["" : 21]> g (float[2] x) => (float[2] y) { y = Abs(x) }'
    )
    ir.save(ir.from_onnx_text((tmp_path / "x.txt").read_text()), tmp_path / "x.onnx")
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "graphkit", "inspect", "x.onnx", "--json"],
            cwd=tmp_path,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": unbuffered},
        )
    assert done.returncode == 2
    assert done.stderr == "graphkit: error: The system refused to go on: No space left on device.\n"
    assert "Traceback" not in done.stderr
