"""``graphkit convert``: read a model and write it for another framework."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from graphkit.cli.console import count, echo, size, stdout, warn
from graphkit.cli.options import command, reading_options

if TYPE_CHECKING:
    import onnx_ir as ir

    from graphkit.cli.options import Reading

__all__ = ["COMMAND"]

_NAMED = 4
"""Files that are named before the others are counted."""


@command
@reading_options
@click.option("--to", required=True, metavar="FRAMEWORK", help="mxnet, onnx or torch.")
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    metavar="OUT",
    help="What to write: OUT for onnx, OUT-symbol.json and OUT-0000.params for mxnet, the folder OUT with model.py and "
    "model.safetensors for torch. Default: SOURCE's name, here.",
)
@click.option(
    "--opset",
    type=click.IntRange(7),
    metavar="N",
    help="ONNX opset to write, 7 or later. Default: 23, or 21 where ONNX Runtime needs it.",
)
@click.option(
    "--shard-size",
    metavar="SIZE",
    help="Split weights for torch into safetensors files of at most SIZE (5GB, 500MB, 2GiB), with an index as Hugging "
    "Face's tools read it. Default: one file, whatever its size.",
)
@click.option("--verify", is_flag=True, help="Then compare outputs and gradients with those of SOURCE.")
def COMMAND(  # noqa: N802
    reading: Reading, to: str, out: Path | None, opset: int | None, shard_size: str | None, verify: bool
) -> int:
    """Convert SOURCE to another framework's format."""
    from graphkit.errors import InputError, MissingError
    from graphkit.files import parse_size
    from graphkit.frameworks.convert import default_output, save, writer_of
    from graphkit.report.progress import byte_progress

    if opset is not None and to != "onnx":
        raise InputError(f"--opset says which ONNX to write, and --to {to} writes none; leave it out.")
    if shard_size is not None and to != "torch":
        raise InputError(f"--shard-size is that of safetensors files, and --to {to} writes none; leave it out.")
    shards = None if shard_size is None else parse_size(shard_size)
    runtime = writer_of(to).runtimes[0]
    if verify and (problem := runtime.missing()) is not None:
        raise MissingError(f"--verify needs {runtime.label}, which is not available: {problem}.")
    out = default_output(reading.source, to) if out is None else out
    model = reading.load()
    with byte_progress() as progress:
        files = save(model, out, to=to, opset=opset, shard_size=shards, warn=warn, progress=progress)
    echo(_written(files, model))
    return _verify(reading, model, files) if verify else 0


def _written(files: list[Path], model: ir.Model) -> str:
    from graphkit.ir.params import of_kind

    parameters = list(of_kind(model, "parameter"))
    numbers = sum(value.const_value.size for value in parameters if value.const_value is not None)
    named = [f"{path} ({size(path.stat().st_size)})" for path in files[:_NAMED]]
    if len(files) > _NAMED:
        rest = files[_NAMED:]
        named.append(f"{count(len(rest), 'more file')} ({size(sum(path.stat().st_size for path in rest))})")
    listed = " and ".join(filter(None, [", ".join(named[:-1]), named[-1]]))
    nodes = count(sum(1 for _ in model.graph.all_nodes()), "node")
    held = f"{count(len(parameters), 'parameter')} of {count(numbers, 'number')}" if parameters else "no parameters"
    return f"Wrote {listed}: {nodes}, {held}."


def _verify(reading: Reading, model: ir.Model, files: list[Path]) -> int:
    """Read the files back and compare them with the source, each on its own framework's runtime."""
    from graphkit.frameworks.base import InputSpec, frameworks
    from graphkit.frameworks.convert import load
    from graphkit.ir.dims import dims_of
    from graphkit.ir.origin import source_of
    from graphkit.parity.verify import verify
    from graphkit.report.table import table

    inputs = [
        InputSpec("", tuple(dim if isinstance(dim, int) else None for dim in dims_of(value) or ()))
        for value in model.graph.inputs
        if not value.is_initializer()
    ]
    params = next((path for path in files if path.suffix == ".params"), None)
    written = load(files[0], inputs=inputs, params=params, warn=lambda _message: None)
    ends = [source for source in (source_of(model), source_of(written)) if source is not None]
    backward = all("backward" in frameworks()[source.framework].runtimes[0].can for source in ends)
    report = verify(model, written, backward=backward, inputs=reading.open_specs())
    stdout().print(table(report))
    return 0 if report.passed else 1
