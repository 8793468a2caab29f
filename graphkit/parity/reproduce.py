"""One node in files: the model of it alone, its inputs, and what it should give."""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from graphkit.files import whole
from graphkit.frameworks.base import runtimes
from graphkit.frameworks.convert import load, save
from graphkit.parity.conditions import Conditions
from graphkit.parity.inputs import in_dtype
from graphkit.parity.npz import Writer
from graphkit.parity.recorder import Recorder
from graphkit.parity.samples import Sample
from graphkit.parity.sides import Pool, Side
from graphkit.passes.isolate import extracted, isolated
from graphkit.provenance import derive, forget
from graphkit.report.environment import environment

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy.typing as npt
    import onnx_ir as ir

    from graphkit.parity.alone import Alone
    from graphkit.report.findings import Suspect

    Arrays = Mapping[str, npt.NDArray[np.generic]]

__all__ = ["reproduced"]

_FILES: Final = ("reference.onnx", "reference.onnx.data", "node.onnx", "node.onnx.data", "inputs.npz", "expected.npz")
"""What may be written for a suspect."""
_USUAL: Final = 1e-5
"""What outputs may differ by in float32."""
_SHARE: Final = 4
"""How much smaller than what is to be shown the bound is that shows it."""


def reproduced(suspect: Suspect, alone: Alone, side: Side, reference: ir.Model, folder: Path) -> Suspect:
    """Write what shows a suspect on its own.

    ``node.onnx`` is the node as the side under test has it and ``inputs.npz`` what it is fed, in float32. Where two
    models are compared, ``reference.onnx`` is the node as the first has it. Otherwise ``expected.npz`` is a baseline of
    what the reference has after the node, in float32; what shows in float64 alone is compared with what the runtime of
    the reference makes of the node, and the gradients of a node with those of another runtime.

    Args:
        suspect: A node that computes something else or differentiates so.
        alone: The isolated model that it was found in.
        side: The side under test.
        reference: The model that the reference runs.
        folder: Where to write.

    Returns:
        The suspect with the files, and the command that shows it.

    Raises:
        InputError: A file cannot be written.
    """
    targets = [folder / name for name in _FILES]
    with whole(*targets, stale=lambda: targets, make=True) as drafts:
        command = _written(suspect, alone, side, reference, dict(zip(_FILES, drafts, strict=True)))
        files = {str(draft): target for draft, target in zip(drafts, targets, strict=True) if draft.exists()}
    shown = shlex.join(str(files.get(part, part)) for part in command)
    return replace(suspect, files=tuple(files.values()), shown_by=shown)


def _written(suspect: Suspect, alone: Alone, side: Side, reference: ir.Model, places: Mapping[str, Path]) -> list[str]:
    """Write the files of a suspect, by their names; the command that shows it, with the paths that they have now."""
    check = suspect.check
    ahead = suspect.direction == "forward"
    output = check.name if ahead else alone.given_by(suspect.name)
    node = extracted(alone.found, output)
    values = alone.truth.values
    command = ["graphkit", "verify"]
    if side.names is not None:
        ours = {theirs: name for name, theirs in side.names.items()}
        values = {ours[name]: array for name, array in values.items() if name in ours}
        for value in node.graph.inputs:
            value.name = ours.get(value.name or "", value.name)
        other = extracted(isolated(reference, {name: array.shape for name, array in values.items()}), ours[output])
        command.append(str(save(other, places["reference.onnx"], to="onnx")[0]))
    derive(node, alone.found.model, node=output)
    command.append(str(save(node, places["node.onnx"], to="onnx")[0]))
    names = [value.name or "" for value in node.graph.inputs]
    feeds = in_dtype({name: values[name] for name in names}, np.float32)
    inputs = str(places["inputs.npz"])
    archive = Writer(places["inputs.npz"])
    try:
        for name, array in feeds.items():
            archive.array(name, array)
    finally:
        archive.close()
    if side.names is not None:
        command += ["--on", side.runtime.name, "--feed", inputs, "--dtype", side.dtype]
    elif ahead and (check.error > _SHARE * _USUAL or not check.error or side.dtype == "float32"):
        command += ["--on", side.runtime.name, "--feed", inputs]
        _record(places["expected.npz"], places["node.onnx"], alone, feeds, output)
        command += ["--baseline", str(places["expected.npz"])]
        command += [] if check.error > _SHARE * _USUAL or not check.error else ["--tol", f"{check.error / _SHARE:.1e}"]
    else:
        others = [each.name for each in runtimes().values() if "backward" in each.can and each.missing() is None]
        others = [alone.truth.side.runtime.name, *others] if ahead else others
        second = next((name for name in others if name != side.runtime.name), "torch")
        command += ["--on", f"{second},{side.runtime.name}", "--feed", inputs, "--dtype", side.dtype]
    return command if ahead else [*command, "--backward"]


def _record(path: Path, model: Path, alone: Alone, feeds: Arrays, output: str) -> None:
    """What the reference has after the node, as a baseline of the model of it."""
    written = load(model, dynamic_batch=False)
    forget(written)  # of a draft, whose name is made up
    derive(written, alone.found.model, node=output)
    truth = alone.truth
    with Pool(written) as pool:
        reference = Side(truth.side.name, truth.side.runtime, False, pool, "float32", note=truth.side.note)
        reference.outputs = in_dtype({output: truth.values[output]}, np.float32)
        sample = Sample("inputs.npz", 0, None, feeds)
        title = f"{output} alone"
        with Recorder(path, written, Conditions(), title=title, environment=environment()) as recorder:
            recorder.add(sample, feeds, [reference])
            recorder.save()
