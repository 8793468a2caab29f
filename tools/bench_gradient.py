"""Measure gradient graphs on ONNX Runtime beside PyTorch's own forward and backward pass.

    python tools/bench_gradient.py [NETWORK] [--batch 1,8] [--mode eval] [--threads 1] [--rounds 7] [--profile]

A network of tests/networks.py, ResNet-50 at 224 × 224 where none is named, is differentiated in its input and in all
parameters: by the gradient graph that `graphkit grad` writes, and by PyTorch in eager mode on the same feeds. Rounds
are interleaved, in changing order, on as many threads each; the ratio is the median over rounds, the target 1.5. On
one thread, time is the processor's, which other processes disturb less than the clock's. Memory is what two runs of
one side add to a process, at their peak. ``--profile`` adds the operators that ONNX Runtime spends its time in, those
of the backward pass apart.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    import onnx_ir as ir

ROOT = Path(__file__).resolve().parent.parent
TARGET = 1.5
SHOWN = 16


class Eager:
    """PyTorch's forward and backward pass."""

    def __init__(self, module: Any, feed: Any, seed: Any) -> None:
        import torch

        self.module, self.feed, self.seed = module, torch.from_numpy(feed), torch.from_numpy(seed)

    def __call__(self) -> Any:
        feed = self.feed.clone().requires_grad_(True)
        self.module.zero_grad(set_to_none=True)
        self.module(feed).backward(self.seed)
        return feed.grad.numpy()


class Graph:
    """The gradient graph on ONNX Runtime."""

    def __init__(self, model: ir.Model, feed: Any, seed: Any, threads: int, profile: str = "") -> None:
        import numpy as np
        import onnxruntime

        from graphkit.frameworks.base import Execution
        from graphkit.frameworks.onnx.proto import weightless_proto
        from graphkit.frameworks.onnx.providers import CPU, inference_session, session_options
        from graphkit.ir.training import cotangents_of, gradients_of
        from graphkit.passes.gradient.model import gradient_model

        graph = gradient_model(model)
        data, result = model.graph.inputs[0].name or "", model.graph.outputs[0].name or ""
        proto, weights = weightless_proto(graph)
        options = session_options(Execution(threads=threads), backward=True)
        if profile:
            options.enable_profiling, options.profile_file_prefix = True, profile
        self.held = {
            name: onnxruntime.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(tensor.numpy()))
            for name, tensor in weights.items()
        }
        options.add_external_initializers(list(self.held), list(self.held.values()))
        self.session = inference_session(proto.SerializeToString(), options, CPU, {})
        self.feeds = {data: feed, cotangents_of(graph)[result]: seed}
        gradients = gradients_of(graph)
        self.wanted = [result, gradients.pop(data), *gradients.values()]

    def __call__(self) -> Any:
        return self.session.run(self.wanted, self.feeds)[1]


def prepared(name: str, batch: int, mode: str) -> tuple[Any, ir.Model, Any, Any]:
    """A module, its canonical model in the mode, an input and a cotangent."""
    sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
    import numpy as np
    import torch
    from networks import NETWORKS

    import graphkit
    from graphkit.passes.training_form import in_training

    network = NETWORKS[name]
    module = network.module()
    shape = (batch, *network.full[1:])
    model = graphkit.load(module, inputs=["x".join(map(str, shape))])
    module.train(mode == "train")
    rng = np.random.default_rng(0)
    feed = rng.standard_normal(shape).astype(np.float32)
    with torch.no_grad():
        result = module(torch.from_numpy(feed))
    seed = rng.standard_normal(tuple(result.shape)).astype(np.float32)
    return module, in_training(model, dropout=False) if mode == "train" else model, feed, seed


def side(name: str, given: tuple[Any, ir.Model, Any, Any], threads: int) -> Callable[[], Any]:
    module, model, feed, seed = given
    return Eager(module, feed, seed) if name == "torch" else Graph(model, feed, seed, threads)


def seconds(run: Callable[[], Any], threads: int) -> float:
    clock = time.process_time if threads == 1 else time.perf_counter
    start = clock()
    run()
    return clock() - start


def peak(which: str, options: argparse.Namespace, batch: int) -> float:
    """MiB that two runs of one side add to a process that has the model and the feeds."""
    flags = ["--batch", str(batch), "--mode", options.mode, "--threads", str(options.threads), "--alone", which]
    command = [sys.executable, __file__, options.network, *flags]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def alone(options: argparse.Namespace, batch: int) -> int:
    """What :func:`peak` asks for, in this process; Linux forgets the peak so far when a 5 is written."""
    given = prepared(options.network, batch, options.mode)
    Path("/proc/self/clear_refs").write_text("5")
    before = resident("VmRSS")
    run = side(options.alone, given, options.threads)
    run(), run()
    print(resident("VmHWM") - before)
    return 0


def resident(field: str) -> float:
    """MiB of memory that this process has (VmRSS) or has had at most (VmHWM)."""
    found = re.search(rf"{field}:\s+(\d+)", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) / 1024


def profiled(model: ir.Model, feed: Any, seed: Any, threads: int) -> None:
    """Print where the time goes, each node at its fastest of three runs."""
    from graphkit.ir.training import is_backward
    from graphkit.passes.gradient.model import gradient_model

    backward = {node.name for node in gradient_model(model).graph if is_backward(node)}
    with tempfile.TemporaryDirectory() as folder:
        graph = Graph(model, feed, seed, threads, profile=str(Path(folder) / "profile"))
        for _ in range(3):
            graph()
        events = json.loads(Path(graph.session.end_profiling()).read_text())
    fastest: dict[tuple[str, str], int] = {}
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            key = event["name"].removesuffix("_kernel_time"), event["args"]["op_name"]
            fastest[key] = min(event["dur"], fastest.get(key, event["dur"]))
    spent: collections.Counter[str] = collections.Counter()
    for (node, op), duration in fastest.items():
        spent[f"{op}{', backward' if node in backward or '.grad.' in node else ''}"] += duration
    whole = sum(spent.values())
    for label, duration in spent.most_common(SHOWN):
        print(f"    {label:28} {duration / 1000:8.1f} ms {100 * duration / whole:5.1f} %")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("network", nargs="?", default="resnet50")
    parser.add_argument("--batch", default="1,8")
    parser.add_argument("--mode", choices=("eval", "train"), default="eval")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--alone", choices=("torch", "ort"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    batches = [int(word) for word in options.batch.split(",")]
    os.environ["OMP_NUM_THREADS"] = str(options.threads)
    import numpy as np
    import torch

    torch.set_num_threads(options.threads)
    if options.alone:
        return alone(options, batches[0])
    missed = False
    for batch in batches:
        given = prepared(options.network, batch, options.mode)
        runs = {name: side(name, given, options.threads) for name in ("torch", "ort")}
        apart = runs["ort"]() - (theirs := runs["torch"]())
        print(
            f"{options.network}, batch {batch}, {options.mode}, {options.threads} threads: gradients in the input "
            f"{np.linalg.norm(apart) / np.linalg.norm(theirs):.1e} apart (l2)"
        )
        spent: dict[str, list[float]] = {name: [] for name in runs}
        for number in range(options.rounds):
            for name in sorted(runs, reverse=number % 2 == 1):
                spent[name].append(seconds(runs[name], options.threads))
        ratio = statistics.median(ort / eager for ort, eager in zip(spent["ort"], spent["torch"], strict=True))
        missed |= ratio > TARGET
        memory = {name: peak(name, options, batch) for name in runs}
        told = "; ".join(
            f"{name} {statistics.median(times):.3f} s (fastest {min(times):.3f}), {memory[name]:.0f} MiB"
            for name, times in spent.items()
        )
        print(f"  {told}; {ratio:.2f} x (target {TARGET}), fastest {min(spent['ort']) / min(spent['torch']):.2f} x")
        if options.profile:
            profiled(given[1], given[2], given[3], options.threads)
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
