"""Measure transformers of published sizes: conversion beside torch.onnx's export, and forward passes beside PyTorch's.

    python tools/bench_transformers.py [PART ...] [--models bert,gpt2,vit] [--batch 1,8] [--threads 1] [--rounds 5]

The models are those of the transformers library's default configurations, with random weights: BERT-base (110 million
parameters, 128 tokens), GPT-2 small (124 million, 128 tokens) and ViT-B/16 (86 million, 224 × 224). Parts, all of them
where none is named:

- ``convert``: to files, from the module and from an exported program (.pt2), batch free and fixed, on one thread, in
  turns. torch.onnx.export is timed as it is by default, and with ``optimize=False``, which is faster. The target: to
  MXNet in twice the time of the faster one.
- ``forward``: `graphkit bench` of PyTorch, MXNet and ONNX Runtime. The target: MXNet in 1.2 times PyTorch's time.
- ``source``: the module, its exported program and the source that graphkit writes, in turns.
- ``ort``: ONNX Runtime on the file that graphkit writes and on the one that torch.onnx.export does, in turns.
- ``profile``: the operators that MXNet spends its time in, each timed by its own profiler, at its fastest.

On one thread, time is the processor's, which other programs disturb less than the clock's; ratios are medians over
rounds. The exit status is 1 if a target is missed.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import onnx_ir as ir
    import torch

PARTS = ("convert", "forward", "source", "ort", "profile")
CONVERSION, FORWARD = 2.0, 1.2
"""Targets: to MXNet over torch.onnx.export without optimising; MXNet's forward pass over PyTorch's."""
SHOWN = 12
CALLS = 3
"""Forward passes in a round."""
PROFILE = """
import json, sys
import mxnet as mx, numpy as np
stem, calls = sys.argv[1], 5
symbol, values = mx.sym.load(stem + "-symbol.json"), mx.nd.load(stem + "-0000.params")
values.update({"arg:" + name: mx.nd.array(array, dtype=array.dtype) for name, array in np.load(stem + ".npz").items()})
args = {name: values["arg:" + name] for name in symbol.list_arguments()}
states = {name: values["aux:" + name] for name in symbol.list_auxiliary_states()}
run = symbol.bind(mx.cpu(), args, grad_req="null", aux_states=states)
mx.profiler.set_config(profile_symbolic=True, aggregate_stats=True, filename=stem + "-profile.json")
for number in range(calls + 2):
    if number == 2:
        mx.profiler.set_state("run")
    [output.wait_to_read() for output in run.forward(is_train=False)]
mx.profiler.set_state("stop")
found = json.loads(mx.profiler.dumps(format="json"))
print(json.dumps({name: [row["Count"] / calls, row["Min"], row["Total"] / calls]
    for name, row in found["Time"]["operator"].items() if name != "WaitForVar"}))
"""


class Model(NamedTuple):
    """A model and its inputs: ids of words with a mask, or pixels."""

    module: torch.nn.Module
    names: tuple[str, ...]
    shape: tuple[int, ...]

    @property
    def dtype(self) -> str:
        return "float32" if len(self.shape) == 3 else "int64"

    def feeds(self, batch: int) -> dict[str, Any]:
        import numpy as np

        rng = np.random.default_rng(0)
        shape = (batch, *self.shape)
        first = rng.standard_normal(shape) if self.dtype == "float32" else rng.integers(0, 1000, shape)
        return {name: (np.ones(shape) if at else first).astype(self.dtype) for at, name in enumerate(self.names)}


def made(name: str) -> Model:
    import torch
    import transformers

    class Hidden(torch.nn.Module):
        """A model that gives its last hidden state only."""

        def __init__(self, body: torch.nn.Module) -> None:
            super().__init__()
            self.body = body

    class Words(Hidden):
        def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            found: torch.Tensor = self.body(ids, attention_mask=mask).last_hidden_state
            return found

    class Pixels(Hidden):
        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            found: torch.Tensor = self.body(pixels).last_hidden_state
            return found

    torch.manual_seed(0)
    if name == "vit":
        return Model(Pixels(transformers.ViTModel(transformers.ViTConfig())).eval(), ("pixels",), (3, 224, 224))
    body = (
        transformers.BertModel(transformers.BertConfig())
        if name == "bert"
        else transformers.GPT2Model(transformers.GPT2Config(use_cache=False))
    )
    return Model(Words(body).eval(), ("ids", "mask"), (128,))


def specs(model: Model, batch: int = 2) -> list[str]:
    return [f"{name}:{'x'.join(map(str, (batch, *model.shape)))}:{model.dtype}" for name in model.names]


def in_turns(
    jobs: Mapping[str, Callable[[], Any]], rounds: int, threads: int, calls: int = 1
) -> dict[str, list[float]]:
    """Seconds of each job's calls by round; every job is called once before."""
    clock = time.process_time if threads == 1 else time.perf_counter
    for job in jobs.values():
        job()
    spent: dict[str, list[float]] = {name: [] for name in jobs}
    for number in range(rounds):
        for name in sorted(jobs, reverse=number % 2 == 1):
            start = clock()
            for _ in range(calls):
                jobs[name]()
            spent[name].append((clock() - start) / calls)
    return spent


def ratio(spent: Mapping[str, list[float]], name: str, base: str) -> float:
    return statistics.median(a / b for a, b in zip(spent[name], spent[base], strict=True))


def shown(spent: Mapping[str, list[float]], unit: float = 1.0) -> str:
    word = "s" if unit == 1 else "ms"
    return ", ".join(
        f"{name} {statistics.median(times) / unit:.{2 if unit == 1 else 1}f} {word}" for name, times in spent.items()
    )


def convert(name: str, model: Model, folder: Path, options: argparse.Namespace) -> bool:
    import torch

    import graphkit

    args = tuple(torch.from_numpy(array) for array in model.feeds(2).values())
    axes = tuple({0: torch.export.Dim.DYNAMIC} for _ in args)
    torch.set_num_threads(1)
    missed = False
    for free in (True, False):
        shapes = axes if free else None
        saved = folder / "program.pt2"
        torch.export.save(torch.export.export(model.module, args, dynamic_shapes=shapes, strict=False), saved)
        for origin in ("module", "program"):

            def theirs(optimize: bool, origin: str = origin, shapes: Any = shapes, saved: Path = saved) -> None:
                out = folder / "theirs.onnx"
                more: dict[str, Any] = {"optimize": optimize, "dynamo": True, "verbose": False}
                if origin == "module":
                    torch.onnx.export(model.module, args, out, dynamic_shapes=shapes, **more)
                else:
                    torch.onnx.export(torch.export.load(saved), f=out, **more)

            def ours(to: str, origin: str = origin, free: bool = free, saved: Path = saved) -> None:
                given: dict[str, Any] = {"inputs": specs(model)} if origin == "module" else {}
                source = model.module if origin == "module" else saved
                out = folder / ("ours.onnx" if to == "onnx" else "ours")
                graphkit.convert(source, to, out, dynamic_batch=free, **given)

            jobs = {"torch.onnx.export": partial(theirs, True), "without optimising": partial(theirs, False)}
            jobs |= {"to MXNet": partial(ours, "mxnet"), "to ONNX": partial(ours, "onnx")}
            spent = in_turns(jobs, options.rounds, 1)
            factor = ratio(spent, "to MXNet", "without optimising")
            missed |= factor > CONVERSION
            print(
                f"{name} from {origin}, batch {'free' if free else 'fixed'}: {shown(spent)}; to MXNet "
                f"{factor:.2f} x without optimising (target {CONVERSION}), "
                f"{ratio(spent, 'to MXNet', 'torch.onnx.export'):.2f} x the default",
                flush=True,
            )
    return missed


def forward(name: str, graph: ir.Model, options: argparse.Namespace) -> bool:
    from graphkit.bench.benchmark import benchmark
    from graphkit.bench.result import ratio as speed

    missed = False
    found = benchmark(
        graph, on=["torch", "mxnet", "ort"], batches=options.batches, threads=options.threads, rounds=options.rounds
    )
    for batch in found.batches:
        entries = {entry.name: entry for entry in found.entries if entry.batch == batch}
        base = entries["torch"]
        for entry in entries.values():
            if not entry.seconds or not base.seconds:
                print(f"{name} forward, batch {batch}: {entry.title}: {entry.status}, {entry.note}")
                missed |= entry.name == "mxnet"
                continue
            clock, work = 1 / speed(entry, base).median, entry.work / base.work
            missed |= entry.name == "mxnet" and (work if options.threads == 1 else clock) > FORWARD
            print(
                f"{name} forward, batch {batch}, {options.threads} threads: {entry.title} "
                f"{entry.latency.median * 1e3:.1f} ms (fastest {entry.latency.least * 1e3:.1f}, processor "
                f"{entry.work * 1e3:.1f}): {clock:.2f} x torch, processor {work:.2f} x",
                flush=True,
            )
    print("\n".join(f"  {warning}" for warning in found.warnings))
    return missed


def source(name: str, model: Model, graph: ir.Model, folder: Path, options: argparse.Namespace) -> None:
    """The module beside its exported program and the source that is written for it."""
    import torch

    import graphkit
    from graphkit.frameworks.torch.folder import read_folder

    torch.set_num_threads(options.threads)
    graphkit.save(graph, folder / "source", to="torch")
    written = read_folder(folder / "source").module.eval()
    args = tuple(torch.from_numpy(array) for array in model.feeds(2).values())
    axes = tuple({0: torch.export.Dim.DYNAMIC} for _ in args)
    program = torch.export.export(model.module, args, dynamic_shapes=axes, strict=False).module(check_guards=False)
    with torch.inference_mode():
        for batch in options.batches:
            feeds = [torch.from_numpy(array) for array in model.feeds(batch).values()]
            jobs = {"module": partial(model.module, *feeds), "program": partial(program, *feeds)}
            jobs["source"] = partial(written, *feeds)
            spent = in_turns(jobs, options.rounds, options.threads, CALLS)
            print(
                f"{name} in PyTorch, batch {batch}, {options.threads} threads: {shown(spent, 1e-3)}; source "
                f"{ratio(spent, 'source', 'module'):.2f} x module, program {ratio(spent, 'program', 'module'):.2f} x",
                flush=True,
            )


def ran(session: Any, feeds: list[Any]) -> Any:
    return session.run(None, dict(zip([value.name for value in session.get_inputs()], feeds, strict=True)))


def ort(name: str, model: Model, graph: ir.Model, folder: Path, options: argparse.Namespace) -> None:
    """ONNX Runtime on the file that is written, and on torch.onnx.export's."""
    import onnxruntime
    import torch

    import graphkit

    args = tuple(torch.from_numpy(array) for array in model.feeds(2).values())
    axes = tuple({0: torch.export.Dim.DYNAMIC} for _ in args)
    graphkit.save(graph, folder / "ours.onnx", to="onnx")
    torch.onnx.export(model.module, args, folder / "theirs.onnx", dynamic_shapes=axes, dynamo=True, verbose=False)
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = options.threads
    sessions = {
        who: onnxruntime.InferenceSession(str(folder / f"{who}.onnx"), settings, providers=["CPUExecutionProvider"])
        for who in ("ours", "theirs")
    }
    for batch in options.batches:
        jobs = {who: partial(ran, session, list(model.feeds(batch).values())) for who, session in sessions.items()}
        spent = in_turns(jobs, options.rounds, options.threads, CALLS)
        print(
            f"{name} in ONNX Runtime, batch {batch}, {options.threads} threads: {shown(spent, 1e-3)}; ours "
            f"{ratio(spent, 'ours', 'theirs'):.2f} x theirs",
            flush=True,
        )


def profile(name: str, model: Model, graph: ir.Model, folder: Path, options: argparse.Namespace) -> None:
    """MXNet's operators by its own profiler, which needs each of them to be run by itself."""
    import numpy as np

    import graphkit

    stem = folder / "profiled"
    graphkit.save(graph, stem, to="mxnet")
    settings = {"OMP_NUM_THREADS": str(options.threads), "MXNET_EXEC_BULK_EXEC_INFERENCE": "0"}
    settings |= {"OPENBLAS_CORETYPE": "Haswell", "MXNET_SUBGRAPH_VERBOSE": "0"}
    for batch in options.batches:
        np.savez(f"{stem}.npz", **{f"{key}": array for key, array in model.feeds(batch).items()})
        command = [sys.executable, "-W", "ignore", "-c", PROFILE, str(stem)]
        told = subprocess.run(command, check=True, capture_output=True, text=True, env={**os.environ, **settings})
        rows = json.loads(told.stdout.splitlines()[-1])
        whole = sum(row[2] for row in rows.values())
        print(f"{name} in MXNet, batch {batch}, {options.threads} threads, operator by operator {whole:.1f} ms:")
        for operator, (count, least, total) in sorted(rows.items(), key=lambda item: -item[1][2])[:SHOWN]:
            print(
                f"    {operator:32} {count:4.0f} times {total:8.1f} ms {100 * total / whole:5.1f} %  least {least:.3f}"
            )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--models", default="bert,gpt2,vit")
    parser.add_argument("--batch", default="1,8", dest="batches")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    options.batches = [int(word) for word in options.batches.split(",")]
    parts = options.parts or PARTS
    if unknown := set(parts) - set(PARTS):
        parser.error(f"{', '.join(sorted(unknown))}: there are {', '.join(PARTS)}")
    os.environ["OMP_NUM_THREADS"] = str(options.threads)
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    import graphkit

    missed = False
    for name in options.models.split(","):
        model = made(name)
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            if "convert" in parts:
                missed |= convert(name, model, folder, options)
            if set(parts) == {"convert"}:
                continue
            graph = graphkit.load(model.module, inputs=specs(model))
            if "forward" in parts:
                missed |= forward(name, graph, options)
            if "source" in parts:
                source(name, model, graph, folder, options)
            if "ort" in parts:
                ort(name, model, graph, folder, options)
            if "profile" in parts:
                profile(name, model, graph, folder, options)
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
