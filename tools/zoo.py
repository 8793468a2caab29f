"""Parity of whole networks as a table.

    tools/zoo mxnet [NETWORK …]     the 34 of mxnet.gluon.model_zoo.vision, those with BatchNorm also as NETWORK:fixed
    tools/zoo torch [NETWORK …]     the networks of tests/networks.py
    tools/zoo transformers [NAME …] tiny ones of the transformers library, tests/transformerzoo.py
    tools/zoo recurrent [NAME …]    nn.RNN, nn.LSTM and nn.GRU in every combination, tests/recurrentnets.py
    tools/zoo quantized [NAME …]    networks that MXNet's own tools quantize, tests/int8zoo.py
    tools/zoo gallery [DOMAIN …]    networks of nine domains in every direction, tests/gallery, for docs/gallery.md

Networks of MXNet, with random weights, are read from their symbol and run by MXNet itself, and compared with it: their
conversion on PyTorch, also after three steps of training ("trained": losses and parameters); their conversion to an
ONNX file in ONNX Runtime, and read again from there in MXNet ("ONNX"). In a ``:fixed`` network each BatchNorm has
``fix_gamma`` and stores other scales than the ones that count.

Networks of PyTorch are run by PyTorch, by the real MXNet on their conversion, and by ONNX Runtime, at batch 1 and 3
(the export's batch is 2).

Transformers are read with a free batch and length and compared with PyTorch at two sizes each: their conversion to an
MXNet symbol on the real MXNet ("MXNet"), and their conversion to an ONNX file, read again from there, as PyTorch source
("source"). All that they return counts, caches of keys and values included. Where MXNet cannot leave a size free, that
is said below the row, and the symbol is made for each size.

Recurrent layers are read with a free batch and length and compared with PyTorch at another size: on the real MXNet, and
on the ONNX reference evaluator, whose gradients are a graph of ONNX operators. "weights" counts the tensors that are
bit for bit and by name those of PyTorch after a tour through an MXNet symbol and one through an ONNX file.

Quantized networks are compared with MXNet's own run of them, with oneDNN: their exact integer sums ("integer sums") as
graphkit writes them for MXNet ("MXNet"), for PyTorch and for ONNX Runtime, and the QDQ form of the ONNX file that is
written ("QDQ"). They pass if no number is more than a twentieth of the largest away.

The gallery's networks come from each framework's own hands. Each is converted to the two others, written to files,
read again, run there and compared with its source at batch 1 and 3. Figures and pictures are written into the page.

Errors are max|difference| / max|reference|, the worst of all outputs or of all gradients. A network passes if
everything is compared and within its bound: 1e-9 in float64, 1e-8 after training (1e-6 where MXNet is float32 inside),
for gradients in float32 four times the noise floor; outputs of MXNet's networks in float32 have to be within 1e-5
whatever the floor.
"""

from __future__ import annotations

import sys
import tempfile
import warnings
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
import gluonzoo

import graphkit

if TYPE_CHECKING:
    from collections.abc import Callable

    import onnx_ir as ir
    from torch import nn

    from graphkit.report.report import Report

FLOAT32_OUTPUTS = 1e-5
SOURCE_BOUND = 1e-8
STEPS = 3
FEW_STEPS = 0.05


def worst(report: Report, kind: str, right: str = "") -> float:
    found = [c.error for c in report.checks if right in c.right and c.kind.endswith(kind) and c.size]
    return max(found, default=float("nan"))


def closest(report: Report) -> float:
    """The largest share of its bound that any check used up."""
    return max((c.error / c.tol for c in report.checks if c.tol), default=0.0)


def everything_passed(report: Report) -> bool:
    return all(check.verdict == "pass" for check in report.checks)


def mxnet_row(name: str) -> tuple[str, bool]:
    """Figures and verdict of one of MXNet's networks."""
    with tempfile.TemporaryDirectory() as folder:
        symbol = gluonzoo.make(Path(folder), [name])[name]
        model = graphkit.load(symbol)
        graphkit.save(model, Path(folder) / "net.onnx", to="onnx")
        again = graphkit.load(Path(folder) / "net.onnx")
        size = gluonzoo.SIZES[name.removesuffix(gluonzoo.FIXED)]
        inputs = [f"2x3x{size}x{size}"]
        proof = graphkit.verify(
            model, on=("mxnet", "torch"), backward=True, train_steps=STEPS, dtype="float64", inputs=inputs
        )
        tour = graphkit.verify(model, again, on=("mxnet",), backward=True, dtype="float64", inputs=inputs)
        single = graphkit.verify(model, on=("mxnet", "torch"), backward=True, inputs=inputs)
        ort = graphkit.verify(model, again, on=("ort",), inputs=inputs)
    outputs = [worst(report, "output", right) for report, right in ((single, "torch"), (ort, ""))]
    trained = max(worst(proof, kind, "torch") for kind in ("loss", "parameter"))
    passed = all(map(everything_passed, (proof, tour, single, ort))) and max(outputs) <= FLOAT32_OUTPUTS
    figures = (
        f"{size:5} {worst(proof, 'output', 'torch'):8.1e} {worst(proof, 'gradient', 'torch'):9.1e} {trained:8.1e} "
        f"{worst(tour, 'output'):8.1e} {worst(tour, 'gradient'):9.1e}   "
        f"{outputs[0]:8.1e} {worst(single, 'gradient', 'torch'):9.1e} {outputs[1]:8.1e} "
        f"{max(closest(single), closest(ort)):8.0%}"
    )
    return figures, passed


MXNET_HEAD = (
    f"{'':5} {'float64: PyTorch':27} {'ONNX':18}   {'float32: PyTorch':18} {'ONNX':8}\n"
    f"{'size':>5} {'outputs':>8} {'gradients':>9} {'trained':>8} {'outputs':>8} {'gradients':>9}   "
    f"{'outputs':>8} {'gradients':>9} {'outputs':>8} {'of bound':>8}  verdict"
)


def torch_row(name: str, batch: int) -> tuple[str, bool]:
    """Figures and verdict of one of PyTorch's networks."""
    from networks import NETWORKS

    network = NETWORKS[name]
    model = graphkit.load(network.module(), inputs=[network.shape])
    double = graphkit.verify(model, on=("torch", "mxnet"), backward=True, dtype="float64", batches=[batch])
    single = graphkit.verify(model, on=("torch", "mxnet", "ort"), backward=True, batches=[batch])
    figures = (
        f"{batch:5} {worst(double, 'output', 'mxnet'):8.1e} {worst(double, 'gradient', 'mxnet'):9.1e}   "
        f"{worst(single, 'output', 'mxnet'):8.1e} {worst(single, 'gradient', 'mxnet'):9.1e} "
        f"{worst(single, 'output', 'ort'):8.1e} {closest(single):8.0%}"
    )
    return figures, double.passed and single.passed


TORCH_HEAD = (
    f"{'':5} {'float64: MXNet':18}   {'float32: MXNet':18} {'ONNX Rt.':8}\n"
    f"{'batch':>5} {'outputs':>8} {'gradients':>9}   {'outputs':>8} {'gradients':>9} {'outputs':>8} "
    f"{'of bound':>8}  verdict"
)


def transformer_row(name: str, other: bool) -> tuple[str, bool]:
    """Figures and verdict of one of the transformers, at its usual sizes or at others."""
    from transformerzoo import TRANSFORMERS

    transformer = TRANSFORMERS[name]
    length = transformer.other if other and transformer.other else transformer.length
    inputs = transformer.inputs(batch=3 if other else 2, length=length)
    module = transformer.build()
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        model = graphkit.load(module, inputs=transformer.inputs(batch="?", length="?"))
        told = ""
        try:
            graphkit.save(model, Path(folder) / "net", to="mxnet")
        except graphkit.UnsupportedError as error:
            told = f"\n    {error}"
            model = graphkit.load(module, inputs=inputs, dynamic_batch=False)
        graphkit.save(model, Path(folder) / "net.onnx", to="onnx")
        again = graphkit.load(Path(folder) / "net.onnx")
        double = graphkit.verify(model, on=("torch", "mxnet"), backward=True, dtype="float64", inputs=inputs)
        source = graphkit.verify(model, again, on=("torch",), backward=True, dtype="float64", inputs=inputs)
        single = graphkit.verify(model, on=("torch", "mxnet", "ort"), backward=True, inputs=inputs)
    size = length if transformer.other else ""
    figures = (
        f"{size:5} {worst(double, 'output', 'mxnet'):8.1e} {worst(double, 'gradient', 'mxnet'):9.1e}   "
        f"{worst(source, 'output'):8.1e} {worst(source, 'gradient'):9.1e}   "
        f"{worst(single, 'output', 'mxnet'):8.1e} {worst(single, 'gradient', 'mxnet'):9.1e} "
        f"{worst(single, 'output', 'ort'):8.1e} {closest(single):8.0%}"
    )
    within = all(check.error <= SOURCE_BOUND for check in source.checks if check.size)
    return figures + told, everything_passed(double) and everything_passed(single) and within


TRANSFORMER_HEAD = (
    f"{'':5} {'float64: MXNet':18}   {'source':18}   {'float32: MXNet':18} {'ONNX Rt.':8}\n"
    f"{'size':>5} {'outputs':>8} {'gradients':>9}   {'outputs':>8} {'gradients':>9}   {'outputs':>8} "
    f"{'gradients':>9} {'outputs':>8} {'of bound':>8}  verdict"
)


def recurrent_row(name: str) -> tuple[str, bool]:
    """Figures and verdict of one combination of a recurrent layer."""
    from recurrentnets import CASES

    case = CASES[name]
    module = case.build()
    model = graphkit.load(module, inputs=case.inputs(batch="?", length="?"))
    kept = [same_weights(module, model, to) for to in ("mxnet", "onnx")]
    double = graphkit.verify(
        model,
        on=("torch", "mxnet", "reference"),
        backward=True,
        dtype="float64",
        inputs=case.inputs(batch=3, length=7),
    )
    figures = " ".join(
        f"{worst(double, 'output', right):8.1e} {worst(double, 'gradient', right):9.1e}  "
        for right in ("mxnet", "reference")
    )
    total = len(module.state_dict())
    return f"{figures} {min(kept):3} of {total:<3}", everything_passed(double) and min(kept) == total


def same_weights(module: nn.Module, model: ir.Model, to: str) -> int:
    """How many weights PyTorch source has unchanged, name and bits, that was made from a file of another framework."""
    from safetensors.torch import load_file

    with tempfile.TemporaryDirectory() as folder:
        graphkit.save(model, Path(folder) / "net.onnx", to=to)
        written = Path(folder) / ("net.onnx-symbol.json" if to == "mxnet" else "net.onnx")
        graphkit.save(graphkit.load(written), Path(folder) / "source", to="torch")
        found = load_file(Path(folder) / "source" / "model.safetensors")
    expected = module.state_dict()
    return sum(found[name].equal(value) for name, value in expected.items() if name in found) * (
        found.keys() == expected.keys()
    )


RECURRENT_HEAD = (
    f"{'float64: MXNet':18}   {'reference':18}\n"
    f"{'outputs':>8} {'gradients':>9}   {'outputs':>8} {'gradients':>9}    {'weights':9}  verdict"
)


def quantized_row(name: str) -> tuple[str, bool]:
    """Figures and verdict of one of the quantized networks."""
    import numpy as np
    from int8zoo import INT8, make

    from graphkit.frameworks.base import runtimes

    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        symbol, arrays = make(Path(folder), name)
        model = graphkit.load(symbol, inputs=["data:" + "x".join(map(str, arrays["x"].shape))])
        graphkit.save(model, Path(folder) / "int8.onnx", to="onnx")
        runs = [(model, "mxnet"), (model, "torch"), (model, "ort"), (graphkit.load(Path(folder) / "int8.onnx"), "ort")]
        errors = []
        for one, runtime in runs:
            with runtimes()[runtime].open(one, native=False) as session:
                (found,) = session.forward({"data": arrays["x"]}).values()
            errors.append(float(np.abs(found - arrays["y"]).max() / np.abs(arrays["y"]).max()))
    how = INT8[name]
    figures = f"{how.batch:5} {how.size:5} " + " ".join(f"{error:8.1e}" for error in errors)
    return figures, max(errors) <= FEW_STEPS


QUANTIZED_HEAD = (
    f"{'':11} {'integer sums':26} {'QDQ':8}\n"
    f"{'batch':>5} {'size':>5} {'MXNet':>8} {'PyTorch':>8} {'ONNX Rt.':>8} {'ONNX Rt.':>8}  verdict"
)


def table(head: str, rows: list[tuple[str, Callable[[], tuple[str, bool]]]]) -> int:
    """Print rows as they come, under a head of lines for their figures; the number of those that did not pass."""
    width = max(len(name) for name, _ in rows)
    for line in head.splitlines():
        print(f"{'':{width}} {line}")
    failed = 0
    for name, row in rows:
        try:
            figures, passed = row()
        except graphkit.GraphkitError as error:
            figures, passed = str(error), False
        failed += not passed
        print(f"{name:{width}} {figures}  {'pass' if passed else 'FAIL'}", flush=True)
    print(f"{len(rows) - failed} of {len(rows)} pass.")
    return failed


def families() -> dict[str, tuple[str, Callable[..., tuple[str, bool]], list[tuple[str, tuple[object, ...]]]]]:
    """By family: the head of its table, the function of its rows, and for each row a name and more arguments of it."""
    from int8zoo import INT8
    from networks import NETWORKS
    from recurrentnets import CASES
    from transformerzoo import TRANSFORMERS

    return {
        "mxnet": (MXNET_HEAD, mxnet_row, [(name, ()) for name in gluonzoo.VARIANTS]),
        "torch": (TORCH_HEAD, torch_row, [(name, (batch,)) for name in NETWORKS for batch in (1, 3)]),
        "transformers": (
            TRANSFORMER_HEAD,
            transformer_row,
            [(name, (other,)) for name in TRANSFORMERS for other in (False, True)],
        ),
        "recurrent": (
            RECURRENT_HEAD,
            recurrent_row,
            [(name, ()) for name, case in CASES.items() if case.used == "all"],
        ),
        "quantized": (QUANTIZED_HEAD, quantized_row, [(name, ()) for name in INT8]),
    }


def gallery(domains: list[str]) -> int:
    """Write the gallery's figures and pictures; the number of domains in which something did not pass."""
    from gallery.entries import DOMAINS
    from gallery.page import record

    if unknown := [name for name in domains if name not in DOMAINS]:
        sys.exit(f"no domain {unknown[0]}; there are: {', '.join(DOMAINS)}")
    return sum(not record(domain) for domain in domains or DOMAINS)


def main(arguments: list[str]) -> int:
    if arguments[:1] == ["gallery"]:
        return gallery(arguments[1:])
    known = families()
    if not arguments or arguments[0] not in known:
        sys.exit(__doc__)
    family, *chosen = arguments
    head, row, rows = known[family]
    names = dict.fromkeys(name for name, _ in rows)
    if unknown := [name for name in chosen if name not in names]:
        sys.exit(f"no network {unknown[0]}; there are: {', '.join(names)}")
    return table(head, [(name, partial(row, name, *more)) for name, more in rows if name in (chosen or names)])


if __name__ == "__main__":
    sys.exit(1 if main(sys.argv[1:]) else 0)
