"""Measure what `graphkit run` adds to each call of ONNX Runtime.

    python tools/bench_run.py [ROUNDS]

A ResNet-50 of PyTorch, written as ONNX, runs at 1 × 3 × 224 × 224 on one thread of the CPU: by ``Session.forward`` of
graphkit, by ``InferenceSession.run`` of the same session of ONNX Runtime, and by a session as
`onnxruntime.InferenceSession(file)` makes it, on one thread too. The three take turns within a round, in an order drawn
anew each time, and each call of graphkit is divided by the bare ones of its round. The target is 1.02 for the median of
that ratio. Times are those that the calling thread computes, which other programs on the machine disturb least.
``adds`` is the same difference on a model with as many nodes and as large an input that computes next to nothing.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))
TARGET = 1.02


def seconds(call: Callable[[], Any]) -> float:
    start = time.thread_time()
    call()
    return time.thread_time() - start


def rounds(calls: dict[str, Callable[[], Any]], number: int) -> dict[str, list[float]]:
    """Seconds of each call in each round; the order is drawn, as a call finds in the caches what the last one left."""
    found: dict[str, list[float]] = {name: [] for name in calls}
    names = np.array(list(calls))
    rng = np.random.default_rng(0)
    for turn in range(number + 5):
        for name in rng.permutation(names):
            taken = seconds(calls[name])
            if turn >= 5:
                found[name].append(taken)
    return found


def network(folder: Path) -> Path:
    """A file with ResNet-50."""
    import torch
    from networks import NETWORKS

    import graphkit

    module = NETWORKS["resnet50"].module()
    model = graphkit.load(module, inputs=[(2, 3, 224, 224)])
    torch.set_num_threads(1)
    graphkit.save(model, folder / "resnet50.onnx", to="onnx")
    return folder / "resnet50.onnx"


def small(folder: Path) -> Path:
    """A file with as many nodes and as large an input, which computes next to nothing."""
    nodes = " ".join(f"v{n + 1} = Neg(v{n})" for n in range(150))
    text = f"g (float[n, 3, 224, 224] x) => (int64[4] v150) {{ v0 = Shape(x) {nodes} }}"
    ir.save(ir.from_onnx_text('<ir_version: 10, opset_import: ["": 21]>' + text), folder / "small.onnx")
    return folder / "small.onnx"


def measure(path: Path, number: int) -> dict[str, list[float]]:
    import onnxruntime

    import graphkit
    from graphkit.frameworks.base import Execution, runtimes

    alone = onnxruntime.SessionOptions()
    alone.intra_op_num_threads = 1
    feeds = {"x": np.random.default_rng(0).standard_normal((1, 3, 224, 224)).astype(np.float32)}
    with runtimes()["ort"].open(graphkit.load(path), execution=Execution(threads=1)) as session:
        (name,) = [value.name for value in graphkit.load(path).graph.inputs]
        feeds = {name: feeds["x"]}
        bare = session._session(())  # the same session of ONNX Runtime: two would differ by where their memory lies
        outputs = [value.name for value in bare.get_outputs()]
        plain = onnxruntime.InferenceSession(path, alone)
        return rounds(
            {
                "graphkit": lambda: session.forward(feeds),
                "bare": lambda: bare.run(outputs, feeds),
                "plain": lambda: plain.run(None, feeds),
            },
            number,
        )


def main(number: int) -> int:
    with tempfile.TemporaryDirectory() as folder:
        cheap = measure(small(Path(folder)), max(number * 20, 200))
        large = measure(network(Path(folder)), number)
    adds = statistics.median(cheap["graphkit"]) - statistics.median(cheap["bare"])
    ratio = statistics.median(a / b for a, b in zip(large["graphkit"], large["bare"], strict=True))
    options = statistics.median(a / b for a, b in zip(large["graphkit"], large["plain"], strict=True))
    times = {name: statistics.median(found) * 1000 for name, found in large.items()}
    print(", ".join(f"{name} {found:.2f} ms" for name, found in times.items()))
    print(f"graphkit / bare {ratio:.4f} (target {TARGET}), graphkit / plain {options:.4f}")
    print(f"adds {adds * 1e6:.0f} µs a call, {adds * 1e5 / times['bare']:.3f} % of the bare one")
    return 0 if ratio <= TARGET else 1


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 40))
