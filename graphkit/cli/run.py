"""``graphkit run``: run a model on one runtime, show what it gives, and write that."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from graphkit.cli.console import count, results_only, stdout, warn
from graphkit.cli.options import command, json_option, reading_options
from graphkit.errors import InputError
from graphkit.text import json_text

if TYPE_CHECKING:
    import onnx_ir as ir
    from rich.table import Table

    from graphkit.cli.options import Reading
    from graphkit.frameworks.base import Execution, Mode, Optimization, Runtime
    from graphkit.running.run import Run
    from graphkit.running.summary import Summary, Top

__all__ = ["COMMAND"]


class _Floats(click.ParamType):  # type: ignore[type-arg]  # generic in newer clicks only
    """One number, or several with commas."""

    name = "numbers"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, ...]:
        if isinstance(value, tuple):
            return value
        try:
            return tuple(map(float, str(value).split(",")))
        except ValueError:
            self.fail(f"{value!r} is no number, and no numbers with commas between them.", param, ctx)


@command
@reading_options
@click.option(
    "--on",
    default="ort",
    show_default=True,
    metavar="RUNTIME",
    help="torch, mxnet, ort, ort-cuda or reference.",
)
@click.option(
    "--feed",
    multiple=True,
    metavar="[NAME=]FILE",
    help="What an input is fed: NAME=x.npy, x.json or a picture; or x.npz, x.json with arrays by name. Default: drawn.",
)
@click.option("--seed", type=click.IntRange(0), metavar="N", help="Seed of drawn inputs.  [default: 0]")
@click.option("--batch", type=click.IntRange(1), metavar="N", help="Their batch size, where free.  [default: 2]")
@click.option("--mean", type=_Floats(), metavar="X,…", help="Taken from pictures that are scaled to 0 … 1.")
@click.option("--std", type=_Floats(), metavar="X,…", help="What they are then divided by.")
@click.option("--tap", "taps", multiple=True, metavar="VALUE", help="A value between nodes to give too.")
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), metavar="FILE.npz", help="Write the outputs, by their names."
)
@click.option(
    "--mode",
    type=click.Choice(("eval", "train", "train-no-dropout")),
    default="eval",
    show_default=True,
    help="How BatchNorm and Dropout behave.",
)
@click.option(
    "--threads", type=click.IntRange(1), metavar="N", help="Threads of one operator. Default: the runtime's own."
)
@click.option("--fast", is_flag=True, help="The runtime's settings for speed, not those of comparisons.")
@click.option(
    "--optimization",
    type=click.Choice(("none", "basic", "extended", "all")),
    default="all",
    show_default=True,
    help="How far ONNX Runtime optimises the graph.",
)
@click.option(
    "--provider-option",
    "provider_options",
    multiple=True,
    metavar="KEY=VALUE",
    help="Option of ONNX Runtime's execution provider, e.g. device_id=1.",
)
@click.option("--io-binding", is_flag=True, help="Bind ONNX Runtime's feeds and outputs to the device.")
@click.option(
    "--repeat", type=click.IntRange(0), default=0, metavar="N", help="Call N more times, and show their median."
)
@click.option(
    "--top",
    "best",
    type=click.IntRange(0),
    metavar="K",
    help="Show the K largest numbers of each row, of one output of scores.  [default: 5, of at least 10 classes]",
)
@json_option
def COMMAND(  # noqa: N802
    reading: Reading,
    on: str,
    feed: tuple[str, ...],
    seed: int | None,
    batch: int | None,
    mean: tuple[float, ...] | None,
    std: tuple[float, ...] | None,
    taps: tuple[str, ...],
    out: Path | None,
    mode: Mode,
    threads: int | None,
    fast: bool,
    optimization: Optimization,
    provider_options: tuple[str, ...],
    io_binding: bool,
    repeat: int,
    best: int | None,
    as_json: bool,
) -> None:
    """Run SOURCE on one runtime."""
    from graphkit.frameworks.base import Execution, runtime_named
    from graphkit.running.feeds import read_feeds
    from graphkit.running.run import check_execution, check_output, drawn, execute, save_outputs
    from graphkit.running.summary import summaries, top

    _check_drawing(feed, seed, batch)
    if out is not None:
        check_output(out)
    told: list[str] = []

    def tell(message: str) -> None:
        told.append(message)
        warn(message)

    with results_only(as_json):
        runtime = runtime_named(on)
        execution = Execution(threads, fast, optimization, tuple(map(_option, provider_options)), io_binding)
        check_execution(runtime, execution)
        model = reading.load()
        done: list[str] = []
        if feed or mean is not None or std is not None:
            feeds, done = read_feeds(feed, model, tell, _scaling(mean, std))
        else:
            feeds = drawn(model, seed or 0, batch, reading.open_specs(), tell)
            done = [f"Inputs are drawn from seed {seed or 0}."] if feeds else []
        found = execute(model, feeds, runtime, mode=mode, taps=taps, execution=execution, repeat=repeat)
        scores = top(found.outputs, best)
        if best and scores is None:
            raise InputError("--top is for one output that is a matrix of floats, a row of scores for each sample.")
        for note in found.notes:
            tell(note)
        written = save_outputs(found.outputs, out, model, on=runtime.name, mode=mode) if out is not None else []
    lines = summaries(found.outputs)
    if as_json:
        document = _document(runtime, execution, found, done, lines, scores or [], told)
        fed = {name: {"dtype": str(array.dtype), "shape": list(array.shape)} for name, array in _tensors(feeds)}
        click.echo(json_text({**document, "fed": fed, "written": written}))
        return
    console = stdout()
    for line in (*done, _heading(runtime, execution, model)):
        console.print(line, markup=False)
    console.print(_table(lines))
    for row in scores or []:
        ranked = ", ".join(f"{place} ({score:.6g})" for place, score in zip(row.classes, row.scores, strict=True))
        console.print(f"Largest in row {row.row}: {ranked}", markup=False)
    console.print(_times(found), markup=False)
    if out is not None:
        console.print(f"Wrote {out}: {count(len(written), 'array')}.", markup=False)


def _check_drawing(feed: tuple[str, ...], seed: int | None, batch: int | None) -> None:
    """Refuse to draw what is fed."""
    if feed and seed is not None:
        raise InputError("--seed is for drawn inputs, and --feed gives them; leave one of them out.")
    if feed and batch is not None:
        raise InputError("--batch is for drawn inputs, and --feed gives them as large as they are; leave it out.")


def _option(text: str) -> tuple[str, str]:
    key, sign, value = text.partition("=")
    if not sign or not key:
        raise InputError(f"--provider-option takes KEY=VALUE, {text!r} was given.")
    return key, value


def _scaling(mean: tuple[float, ...] | None, std: tuple[float, ...] | None) -> Any:
    from graphkit.running.pictures import Scaling

    return None if mean is None and std is None else Scaling(mean or (0.0,), std or (1.0,))


def _tensors(feeds: Any) -> list[tuple[str, Any]]:
    return [(name, array) for name, array in feeds.items() if hasattr(array, "dtype")]


def _heading(runtime: Runtime, execution: Execution, model: ir.Model) -> str:
    from graphkit.parity.lineup import label_of

    threads = f", {count(execution.threads, 'thread')}" if execution.threads is not None else ""
    return f"{label_of(model)} on {runtime.label}, {runtime.version()}{threads}:"


def _table(lines: list[Summary]) -> Table:
    from rich.table import Table
    from rich.text import Text

    from graphkit.text import clean, short

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title in ("output", "type", "shape"):
        table.add_column(title, overflow="fold")
    for title in ("min", "max", "mean", "std"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("first", overflow="fold")
    for line in lines:
        numbers = [f"{each:.5g}" if each is not None else "" for each in _range(line)]
        odd = " and ".join(
            f"{number:,} {kind}" for kind, number in (("NaN", line.nan), ("infinite", line.infinite)) if number
        )
        shown = ", ".join(f"{each:.5g}" if isinstance(each, float) else short(str(each)) for each in line.first)
        more = ", …" if math.prod(line.shape) > len(line.first) else ""
        style = "yellow" if odd else ""
        first = f"{odd}: {shown}{more}" if odd else f"{shown}{more}"
        shape = "×".join(map(str, line.shape)) or "scalar"
        cells = (clean(line.name), line.dtype, "" if line.dtype == "absent" else shape, *numbers, first)
        table.add_row(*(Text(cell, style) for cell in cells))
    return table


def _range(line: Summary) -> tuple[float | None, ...]:
    return line.least, line.most, line.mean, line.deviation


def _times(found: Run) -> str:
    told = f"Opened in {_seconds(found.opened)}, first call {_seconds(found.first)}"
    if found.median is not None:
        around = f"{_seconds(min(found.again))} to {_seconds(max(found.again))}"
        told += f", median of {count(len(found.again), 'further call')} {_seconds(found.median)} ({around})"
    return f"{told}."


def _seconds(number: float) -> str:
    for unit, factor in (("s", 1), ("ms", 1e3)):
        if number * factor >= 1:
            return f"{number * factor:.3g} {unit}"
    return f"{number * 1e6:.3g} µs"


def _document(
    runtime: Runtime,
    execution: Execution,
    found: Run,
    done: list[str],
    lines: list[Summary],
    scores: list[Top],
    told: list[str],
) -> dict[str, Any]:
    from dataclasses import asdict

    outputs = [
        {
            "name": line.name,
            "dtype": line.dtype,
            "shape": list(line.shape),
            "min": line.least,
            "max": line.most,
            "mean": line.mean,
            "std": line.deviation,
            "nan": line.nan,
            "infinite": line.infinite,
            "first": [_plain(each) for each in line.first],
        }
        for line in lines
    ]
    seconds = {"open": found.opened, "first": found.first, "median": found.median, "calls": list(found.again)}
    return {
        "runtime": runtime.name,
        "label": runtime.label,
        "version": runtime.version(),
        "execution": {**asdict(execution), "provider_options": dict(execution.provider_options)},
        "feeds": done,
        "outputs": outputs,
        "top": [
            {"row": row.row, "classes": row.classes, "scores": [_plain(each) for each in row.scores]} for row in scores
        ],
        "seconds": seconds,
        "warnings": told,
    }


def _plain(element: Any) -> Any:
    """An element as JSON has it, which knows no NaN and no infinities."""
    return str(element) if isinstance(element, float) and not math.isfinite(element) else element
