"""Measure how a model that is larger than memory is converted: a synthetic decoder, ONNX → MXNet → PyTorch → ONNX.

    python tools/bench_giant.py [--gigabytes 8] [--folder FOLDER] [--cold] [--shard-size 2GB] [--steps NAME,…]

The weights (float32, random) lie in external data of an ONNX model. Before each step the same number of bytes is copied
by ``cp`` in the same folder, from the file that the step reads: the yardstick of its speed, as both end when the last
byte is handed to the system. ``--cold`` drops the system's page cache before each of the two, which takes root;
otherwise both find as much of their source in memory as the system kept. Old results are removed between steps, so the
folder needs room for three models.

Each conversion is ``graphkit convert`` in a process of its own. Its memory is the peak, sampled every 5 ms, of
``RssAnon + RssShmem`` of ``/proc/PID/status``: all that is resident except pages of mapped files, which are page cache.
Exits with 1 where that exceeds 1 GB, or a step is slower than half of cp's speed.

A step ``pt2`` has PyTorch save the folder that the step before it wrote as an exported program, for the next one to
convert: ``--steps torch,pt2,mxnet``. It is not measured.
"""

from __future__ import annotations

import argparse
import itertools
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx

from graphkit.processes import Family

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MEMORY = 10**9
SPEED = 0.5
PERIOD = 0.005
HEADS = 16
EXPORT = """
import sys, torch, graphkit
from graphkit.ir.origin import source_of
torch.export.save(source_of(graphkit.load(sys.argv[1])).handle, sys.argv[2])
"""


class Decoder:
    """Builds the graph and writes its weights as it goes, into files of at most ``part`` bytes each."""

    def __init__(self, folder: Path, width: int, part: int) -> None:
        self._folder, self._width, self._part = folder, width, part
        self._noise = np.random.default_rng(0).standard_normal(1 << 24, np.float32) * np.float32(0.02)
        self._nodes: list[onnx.NodeProto] = []
        self._weights: list[onnx.TensorProto] = []
        self._files = (f"weights-{number}.bin" for number in itertools.count())
        self._name, self._at = next(self._files), 0
        self.bytes = 0

    def weight(self, name: str, *shape: int) -> str:
        """Write a weight: parts of one block of random numbers, so that making it is as fast as the disk."""
        count = int(np.prod(shape))
        if self._at and self._at + 4 * count > self._part:
            self._name, self._at = next(self._files), 0
        tensor = onnx.TensorProto(name=name, dims=shape, data_type=onnx.TensorProto.FLOAT)
        tensor.data_location = onnx.TensorProto.EXTERNAL
        for key, value in (("location", self._name), ("offset", self._at), ("length", 4 * count)):
            tensor.external_data.add(key=key, value=str(value))
        with (self._folder / self._name).open("ab") as file:
            left = count
            while left:
                start = (left * 31 + len(self._weights) * 4099) % (len(self._noise) // 2)
                piece = self._noise[start : start + min(left, len(self._noise) // 2)]
                file.write(piece.data)
                left -= len(piece)
        self._at += 4 * count
        self.bytes += 4 * count
        self._weights.append(tensor)
        return name

    def node(self, op: str, *inputs: str, name: str, **attributes: Any) -> str:
        """Add a node of one output."""
        self._nodes.append(onnx.helper.make_node(op, inputs, [name], name, **attributes))
        return name

    def layer(self, x: str, number: int) -> str:
        """Attention and a feed-forward part, each after a normalisation and around it a residual connection."""
        h, width = f"h.{number}", self._width
        normed = self.node("RMSNormalization", x, self.weight(f"{h}.ln_1.weight", width), name=f"{h}.ln_1")
        q, k, v = (
            self.node("MatMul", normed, self.weight(f"{h}.{part}.weight", width, width), name=f"{h}.{part}")
            for part in ("q", "k", "v")
        )
        heads = {"q_num_heads": HEADS, "kv_num_heads": HEADS, "is_causal": 1}
        attended = self.node("Attention", q, k, v, name=f"{h}.attention", **heads)
        projected = self.node("MatMul", attended, self.weight(f"{h}.o.weight", width, width), name=f"{h}.o")
        x = self.node("Add", x, projected, name=f"{h}.add_1")
        normed = self.node("RMSNormalization", x, self.weight(f"{h}.ln_2.weight", width), name=f"{h}.ln_2")
        up = self.node("MatMul", normed, self.weight(f"{h}.up.weight", width, 4 * width), name=f"{h}.up")
        active = self.node("Gelu", up, name=f"{h}.gelu")
        down = self.node("MatMul", active, self.weight(f"{h}.down.weight", 4 * width, width), name=f"{h}.down")
        return self.node("Add", x, down, name=f"{h}.add_2")

    def save(self, output: str) -> Path:
        """Write the model, and give its path."""
        ids = onnx.helper.make_tensor_value_info("ids", onnx.TensorProto.INT64, ["batch", 16])
        logits = onnx.helper.make_tensor_value_info(output, onnx.TensorProto.FLOAT, None)
        graph = onnx.helper.make_graph(self._nodes, "decoder", [ids], [logits], self._weights)
        model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 23)], ir_version=10)
        path = self._folder / "decoder.onnx"
        path.write_bytes(model.SerializeToString())
        return path


def make(folder: Path, size: int, layers: int = 48, parts: int = 3) -> tuple[Path, int]:
    """Write a decoder of about ``size`` bytes, whose word embedding, a sixth of it, is its last weight, too.

    Returns:
        Its path, and the bytes of its weights.
    """
    width = max(HEADS, round((size * 5 / 6 / layers / 4 / 12) ** 0.5) // HEADS * HEADS)
    words = max(16, size // 6 // 4 // width)
    decoder = Decoder(folder, width, size // parts + 1)
    x = decoder.node("Gather", decoder.weight("wte.weight", words, width), "ids", name="wte")
    for number in range(layers):
        x = decoder.layer(x, number)
    x = decoder.node("RMSNormalization", x, decoder.weight("ln_f.weight", width), name="ln_f")
    head = decoder.node("Transpose", "wte.weight", name="head_weight", perm=[1, 0])
    path = decoder.save(decoder.node("MatMul", x, head, name="logits"))
    return path, decoder.bytes


def watched(command: Sequence[str | Path]) -> tuple[float, int]:
    """Seconds that a command takes, and the peak of its memory that is not mapped from files, in bytes."""
    start, peak = time.perf_counter(), 0
    with tempfile.TemporaryFile("w+") as told:
        process = subprocess.Popen(command, stdout=told, stderr=subprocess.STDOUT)
        family = Family(process.pid, itself=True)
        while process.poll() is None:
            peak = max(peak, family.memory())
            time.sleep(PERIOD)
        seconds = time.perf_counter() - start
        if process.returncode:
            told.seek(0)
            words = " ".join(map(str, command))
            raise SystemExit(f"{words} failed with status {process.returncode}:\n{told.read()}")
    return seconds, peak


def settle(cold: bool) -> None:
    """Let the disk finish what it was given, and forget what it read."""
    os.sync()
    if cold:
        Path("/proc/sys/vm/drop_caches").write_text("3")


def copied(files: Sequence[Path], cold: bool) -> float:
    """Bytes per second at which ``cp`` copies files beside themselves."""
    target = files[0].parent.parent / "copy"
    target.mkdir()
    settle(cold)
    start = time.perf_counter()
    subprocess.run(["cp", "--reflink=never", *files, target], check=True)
    seconds = time.perf_counter() - start
    total = sum(file.stat().st_size for file in files)
    shutil.rmtree(target)
    return total / seconds


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=8.0)
    parser.add_argument("--folder", type=Path, help="where there is room for three models; the temporary folder else")
    parser.add_argument("--cold", action="store_true", help="drop the page cache before each step")
    parser.add_argument("--shard-size", help="of the safetensors files, as graphkit convert takes it")
    parser.add_argument("--steps", default="mxnet,torch,onnx", help="of these, in order")
    given = parser.parse_args()
    ends: dict[str, Callable[[Path], tuple[Path, Path]]] = {
        "mxnet": lambda folder: (folder / "net", folder / "net-symbol.json"),
        "torch": lambda folder: (folder / "net", folder / "net"),
        "onnx": lambda folder: (folder / "net.onnx", folder / "net.onnx"),
    }
    failed = False
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        place = Path(name) / "source"
        place.mkdir()
        source, size = make(place, round(given.gigabytes * 1e9))
        kept = "dropped" if given.cold else "kept"
        print(f"{size / 1e9:.2f} GB of weights, the largest {size / 6e9:.2f} GB; page cache {kept}", flush=True)
        print(f"{'to':8}{'seconds':>9}{'MB/s':>8}{'cp MB/s':>9}{'ratio':>8}{'peak MB':>9}", flush=True)
        for number, step in enumerate(given.steps.split(",")):
            folder = Path(name) / f"{number}-{step}"
            folder.mkdir()
            if step == "pt2":
                subprocess.run([sys.executable, "-c", EXPORT, source, folder / "net.pt2"], check=True)
                shutil.rmtree(place)
                place, source = folder, folder / "net.pt2"
                continue
            out, result = ends[step](folder)
            read = [path for path in sorted(source.parent.rglob("*")) if path.is_file()]
            rate = copied(read, given.cold)
            settle(given.cold)
            extra = ["--shard-size", given.shard_size] if given.shard_size and step == "torch" else []
            command = [sys.executable, "-m", "graphkit", "convert", source, "--to", step, "-o", out, *extra]
            seconds, peak = watched(command)
            ratio = size / seconds / rate
            failed |= ratio < SPEED or peak > MEMORY
            print(
                f"{step:8}{seconds:9.1f}{size / seconds / 1e6:8.0f}{rate / 1e6:9.0f}{ratio:8.2f}{peak / 1e6:9.0f}",
                flush=True,
            )
            shutil.rmtree(place)
            place, source = folder, result
    return int(failed)


if __name__ == "__main__":
    raise SystemExit(main())
