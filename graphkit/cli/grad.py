"""``graphkit grad``: write the gradients of a model, or a step of training, as an ONNX model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from graphkit.cli.console import count, echo, size, stdout, warn
from graphkit.cli.options import command, reading_options, with_options
from graphkit.text import several

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import onnx_ir as ir

    from graphkit.cli.options import Reading
    from graphkit.frameworks.base import Rule

__all__ = ["COMMAND"]

_SHOWN = 8
"""Inputs or outputs that are printed before the others are counted."""

_STEP = (
    click.option(
        "--step",
        type=click.Choice(("sgd", "adam")),
        help="Write a graph that makes a step of training: parameters in, parameters out.",
    ),
    click.option("--lr", type=float, metavar="X", help="Learning rate of a step.  [default: 0.05; adam: 0.001]"),
    click.option("--momentum", type=float, metavar="X", help="Momentum of SGD.  [default: 0]"),
    click.option("--weight-decay", type=float, metavar="X", help="Weight decay of a step.  [default: 0]"),
    click.option("--beta1", type=float, metavar="X", help="β₁ of Adam.  [default: 0.9]"),
    click.option("--beta2", type=float, metavar="X", help="β₂ of Adam.  [default: 0.999]"),
)


def _step_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command ``--step`` and its numbers; it receives the optimizer as ``rule``."""

    def gather(
        reading: Reading,
        step: str | None,
        lr: float | None,
        momentum: float | None,
        weight_decay: float | None,
        beta1: float | None,
        beta2: float | None,
        **rest: Any,
    ) -> Any:
        given = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "beta1": beta1, "beta2": beta2}
        numbers = {name: number for name, number in given.items() if number is not None}
        return function(reading, rule=_rule(step, numbers), **rest)

    return with_options(gather, function, _STEP)


@command
@reading_options
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    metavar="OUT",
    help="What to write, e.g. grad.onnx. Default: SOURCE's name with .grad.onnx or .step.onnx, here.",
)
@click.option(
    "--loss",
    type=click.Choice(("none", "given", "mse", "cross-entropy")),
    help="What to differentiate: the model's own losses, the distance of its outputs from targets or classes, or "
    "nothing: then cotangents of the outputs are inputs.  [default: given, if it has some, else none]",
)
@click.option(
    "--wrt",
    multiple=True,
    metavar="PATTERN",
    help="Inputs and parameters to differentiate in, or with --step to train, e.g. 'layer4.*'. Default: all of floats.",
)
@click.option("--freeze", multiple=True, metavar="PATTERN", help="Inputs and parameters to leave out.")
@click.option(
    "--outputs", multiple=True, metavar="NAME", help="Outputs that have a cotangent or target. Default: all that can."
)
@click.option(
    "--mode",
    type=click.Choice(("eval", "train")),
    help="BatchNorm with running statistics, or with the batch's.  [default: eval; with --step: train]",
)
@click.option("--dropout/--no-dropout", default=None, help="Whether Dropout drops.  [default: in --mode train it does]")
@_step_options
@click.option(
    "--opset",
    type=click.IntRange(7),
    metavar="N",
    help="ONNX opset to write, 7 or later. Default: 23, or 21 where ONNX Runtime needs it.",
)
@click.option(
    "--verify", is_flag=True, help="Then run OUT on ONNX Runtime and compare it with SOURCE in its own framework."
)
def COMMAND(  # noqa: N802
    reading: Reading,
    out: Path | None,
    loss: Literal["none", "given", "mse", "cross-entropy"] | None,
    wrt: tuple[str, ...],
    freeze: tuple[str, ...],
    outputs: tuple[str, ...],
    mode: Literal["eval", "train"] | None,
    dropout: bool | None,
    rule: Rule | None,
    opset: int | None,
    verify: bool,
) -> int:
    """Write the gradients of SOURCE, or a step of its training, as an ONNX model of ordinary operators."""
    from graphkit.frameworks.convert import save, stem_of
    from graphkit.frameworks.grad import grad

    if out is None:
        out = Path(stem_of(reading.source) + (".grad.onnx" if rule is None else ".step.onnx"))
    model = reading.load()
    made = grad(
        model,
        loss=loss,
        wrt=_split(wrt),
        freeze=_split(freeze),
        outputs=_split(outputs),
        mode=mode,
        dropout=dropout,
        step=rule,
    )
    if verify:
        from graphkit.parity.written import check_able

        check_able(model, made)
    files = save(made, out, to="onnx", opset=opset, warn=warn)
    echo(_written(files, made))
    if not verify:
        return 0
    from graphkit.parity.written import verify_written
    from graphkit.report.table import table

    training = (mode or ("eval" if rule is None else "train")) == "train"
    report = verify_written(model, made, files[0], training=training, rule=rule, inputs=reading.open_specs())
    stdout().print(table(report))
    return 0 if report.passed else 1


def _rule(step: str | None, numbers: dict[str, float]) -> Rule | None:
    """The optimizer that options name."""
    from graphkit.errors import InputError
    from graphkit.frameworks.base import Adam, Sgd
    from graphkit.parity.training import rounded

    if step is None:
        if numbers:
            name = next(iter(numbers)).replace("_", "-")
            raise InputError(f"--{name} is a number of an optimizer; say which with --step sgd or --step adam.")
        return None
    own = {"sgd": ("lr", "momentum", "weight_decay"), "adam": ("lr", "weight_decay", "beta1", "beta2")}[step]
    if foreign := [name for name in numbers if name not in own]:
        raise InputError(f"--step {step} has no --{foreign[0].replace('_', '-')}; leave it out.")
    rule: Rule = Adam(**numbers) if step == "adam" else Sgd(**{"momentum": 0.0, "weight_decay": 0.0} | numbers)
    rounded(rule)  # refuses numbers that no optimizer takes
    return rule


def _split(groups: tuple[str, ...]) -> list[str]:
    return [name.strip() for group in groups for name in group.split(",") if name.strip()]


def _written(files: list[Path], model: ir.Model) -> str:
    """What was written, and what it reads and gives."""
    from graphkit.ir.training import is_backward

    named = " and ".join(f"{path} ({size(path.stat().st_size)})" for path in files)
    nodes = list(model.graph.all_nodes())
    backward = sum(map(is_backward, nodes))
    fed = [value for value in model.graph.inputs if not value.is_initializer()]
    held = [value for value in model.graph.inputs if value.is_initializer()]
    lines = [f"Wrote {named}: {count(len(nodes) - backward, 'node')} forward, {backward:,} backward."]
    lines.append(f"inputs: {_listed(fed)}")
    if held:
        lines.append(f"inputs with a default: {_listed(held)}")
    lines.append(f"outputs: {_listed(model.graph.outputs)}")
    return "\n".join(lines)


def _listed(values: Iterable[ir.Value]) -> str:
    from graphkit.ir.dims import dims_of

    told = []
    for value in values:
        dims = dims_of(value)
        shape = "" if dims is None else "×".join("?" if dim is None else str(dim) for dim in dims) or "scalar"
        told.append(f"{value.name} {shape}".strip())
    return several(told, _SHOWN)
