"""``graphkit convert``: read a model and write it for another framework."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from graphkit.cli.console import count, size, stdout, warn
from graphkit.cli.options import command, reading_options

if TYPE_CHECKING:
    import onnx_ir as ir

    from graphkit.cli.options import Reading

__all__ = ["COMMAND"]


@command
@reading_options
@click.option("--to", required=True, metavar="FRAMEWORK", help="mxnet or onnx.")
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    metavar="OUT",
    help="What to write: OUT for onnx, OUT-symbol.json and OUT-0000.params for mxnet. Default: SOURCE's name, here.",
)
@click.option("--opset", type=click.IntRange(7), metavar="N", help="ONNX opset to write, 7 or later.")
@click.option("--verify", is_flag=True, help="Then compare outputs and gradients with those of SOURCE.")
def COMMAND(reading: Reading, to: str, out: Path | None, opset: int | None, verify: bool) -> int:  # noqa: N802
    """Convert SOURCE to another framework's format."""
    from graphkit.errors import InputError
    from graphkit.frameworks.convert import default_output, save, writer_of

    if opset is not None and to != "onnx":
        raise InputError(f"--opset says which ONNX to write, and --to {to} writes none; leave it out.")
    writer_of(to)
    out = default_output(reading.source, to) if out is None else out
    model = reading.load()
    files = save(model, out, to=to, opset=opset, warn=warn)
    click.echo(_written(files, model))
    if not verify:
        return 0
    return _verify(reading, model, to)


def _written(files: list[Path], model: ir.Model) -> str:
    from graphkit.ir.params import of_kind

    parameters = list(of_kind(model, "parameter"))
    numbers = sum(value.const_value.size for value in parameters if value.const_value is not None)
    named = [f"{path} ({size(path.stat().st_size)})" for path in files]
    listed = " and ".join(filter(None, [", ".join(named[:-1]), named[-1]]))
    nodes = count(sum(1 for _ in model.graph.all_nodes()), "node")
    return f"Wrote {listed}: {nodes}, {count(len(parameters), 'parameter')} of {count(numbers, 'number')}."


def _verify(reading: Reading, model: ir.Model, to: str) -> int:
    from graphkit.frameworks.base import frameworks
    from graphkit.ir.origin import source_of
    from graphkit.parity.verify import verify
    from graphkit.report.table import table

    source = source_of(model)
    ends = [source.framework, to] if source is not None else [to]
    on = [frameworks()[name].runtimes[0] for name in ends]
    if set(ends) == {"onnx"}:
        on.append(frameworks()["onnx"].runtimes[-1])
    backward = all("backward" in runtime.can for runtime in on)
    report = verify(model, on=on, backward=backward, inputs=reading.specs())
    stdout().print(table(report))
    return 0 if report.passed else 1
