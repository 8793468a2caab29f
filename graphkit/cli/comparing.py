"""Options that the commands which compare share."""

from __future__ import annotations

import importlib
import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import click

from graphkit.cli.console import results_only
from graphkit.cli.options import with_options
from graphkit.errors import InputError
from graphkit.parity.settings import OPTIMIZERS, numbers_of, rule_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import onnx_ir as ir

    from graphkit.cli.options import Reading
    from graphkit.report.report import Report

__all__ = ["Comparing", "Numbers", "comparing_options", "publish", "training_options", "write_reports"]


class Numbers(click.ParamType):  # type: ignore[type-arg]  # generic in newer clicks only
    """Numbers and ranges of them, e.g. ``0,1,5-9``."""

    name = "numbers"

    def __init__(self, least: int) -> None:
        self._least = least

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        """The numbers that a text stands for."""
        if isinstance(value, tuple):
            return value
        try:
            return numbers_of(str(value), self._least)
        except InputError as problem:
            self.fail(str(problem), param, ctx)


_COMPARING = (
    click.argument("other", required=False),
    click.option(
        "--on",
        multiple=True,
        metavar="RUNTIME,…",
        help="Runtimes: torch, mxnet, ort, ort-cuda, reference. Default: those of torch, mxnet and ort that are there.",
    ),
    click.option(
        "--backward/--no-backward", default=None, help="Compare the gradients of every input and parameter too."
    ),
    click.option(
        "--mode",
        type=click.Choice(("eval", "train")),
        help="BatchNorm with running statistics, or with the batch's; dropout is off in both.  [default: eval]",
    ),
    click.option("--batches", "--batch", type=Numbers(1), metavar="N,…", help="Batch sizes, where free.  [default: 2]"),
    click.option(
        "--seeds",
        "--seed",
        type=Numbers(0),
        metavar="N,…",
        help="Seeds of the inputs and cotangents, e.g. 0,1,5-9.  [default: 0]",
    ),
    click.option(
        "--feed",
        "feed",
        multiple=True,
        metavar="[NAME=]DATA",
        help="Real inputs instead of drawn ones: NAME=x.npy, x.npz, a folder of these, or package.module:callable.",
    ),
    click.option(
        "--tol",
        "tolerances",
        multiple=True,
        metavar="[WHAT=]X",
        help="Bound on the error of everything, a quantity or tensors, e.g. gradient=1e-3 or 'layer4.*=8x'; 8x is "
        "eight times the noise floor.",
    ),
)


_TRAINING = (
    click.option(
        "--train-steps", type=click.IntRange(1), metavar="N", help="Make N steps of training and compare each."
    ),
    click.option(
        "--optimizer", type=click.Choice(tuple(OPTIMIZERS)), help="What makes these steps.  [default: momentum]"
    ),
    click.option("--lr", type=float, metavar="X", help="Their learning rate.  [default: 0.05; adam: 0.001]"),
    click.option("--momentum", type=float, metavar="X", help="Their momentum.  [default: 0.9]"),
    click.option("--weight-decay", type=float, metavar="X", help="Their weight decay.  [default: 0.0001; adam: 0]"),
    click.option(
        "--loss",
        type=click.Choice(("given", "mse", "cross-entropy")),
        help="What they make smaller: the losses that the model has, or the distance of its outputs from random "
        "targets or classes.  [default: given, if it has some, else mse]",
    ),
)


@dataclass(frozen=True, slots=True)
class Comparing:
    """How the user says what is to be compared, and on what.

    Attributes:
        reading: The source and how it is read.
        other: Another source.
        on: Names of runtimes.
        backward: Whether gradients are compared; None where it was not said.
        mode: ``"eval"`` or ``"train"``; None where it was not said.
        batches: Batch sizes; None for the usual one.
        seeds: Seeds; None for the usual one.
        feed: Data, as spelled.
        tolerances: Bounds, as spelled.
    """

    reading: Reading
    other: str | None
    on: tuple[str, ...]
    backward: bool | None
    mode: str | None
    batches: tuple[int, ...] | None
    seeds: tuple[int, ...] | None
    feed: tuple[str, ...]
    tolerances: tuple[str, ...]

    def models(self) -> tuple[ir.Model, ir.Model | None]:
        """Read the source, and the other one."""
        model = self.reading.load()
        return model, None if self.other is None else replace(self.reading, source=self.other, params=None).load()

    def arguments(self) -> dict[str, Any]:
        """What was given, as arguments of :func:`graphkit.parity.verify.verify`."""
        given = {
            "on": [name.strip() for group in self.on for name in group.split(",") if name.strip()],
            "backward": self.backward,
            "mode": self.mode,
            "batches": self.batches,
            "seeds": self.seeds,
            "data": list(self.feed) or None,
            "inputs": self.reading.open_specs(),
            "tolerances": self.tolerances,
        }
        return {name: value for name, value in given.items() if value is not None}


def comparing_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command that reads a source OTHER and the options of a comparison; it receives a :class:`Comparing`."""

    def gather(reading: Reading, **given: Any) -> Any:
        own = {name: given.pop(name) for name in list(given) if name in Comparing.__slots__}
        return function(Comparing(reading, **own), **given)

    return with_options(gather, function, _COMPARING)


def training_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of steps of training; it receives ``training``, what verify and bisect take of it."""

    def gather(
        *args: Any,
        train_steps: int | None,
        optimizer: str | None,
        lr: float | None,
        momentum: float | None,
        weight_decay: float | None,
        loss: str | None,
        **rest: Any,
    ) -> Any:
        given = {"optimizer": optimizer, "lr": lr, "momentum": momentum, "weight-decay": weight_decay, "loss": loss}
        if train_steps is None and (said := [name for name, value in given.items() if value is not None]):
            raise InputError(f"--{said[0]} is for steps of training; say how many with --train-steps.")
        rule = rule_of(optimizer, lr, momentum, weight_decay)
        told = {"train_steps": train_steps, "rule": rule, "loss": loss}
        return function(*args, training={name: value for name, value in told.items() if value is not None}, **rest)

    return with_options(gather, function, _TRAINING)


def dtype_option(told: str, *, own: bool = False) -> Callable[[Any], Any]:
    """The option that says which precision is compared in.

    Args:
        told: Its help text.
        own: Whether it may be the model's own.
    """
    return click.option("--dtype", type=click.Choice(("float32", "float64", *(["own"] if own else []))), help=told)


def report_option(
    told: str = "Write the report as .json, .xml (JUnit), .html or .md; may be given several times.",
    writer: str = "graphkit.report.write",
) -> Callable[[Any], Any]:
    """The option that names files which the report is written into.

    Args:
        told: Its help text.
        writer: The module whose ``form_of`` refuses suffixes that name no form of report, before anything runs.
    """

    def check(_ctx: click.Context, _param: click.Parameter, paths: tuple[str, ...]) -> tuple[str, ...]:
        for path in paths:
            importlib.import_module(writer).form_of(path)
        return paths

    shown = click.Path(dir_okay=False)
    return click.option("--report", "reports", callback=check, multiple=True, type=shown, metavar="FILE", help=told)


def write_reports(report: Report, paths: tuple[str, ...], model: ir.Model, other: ir.Model | None) -> None:
    """Write the report into every file that was asked for."""
    from graphkit.report.write import write_report

    for path in paths:
        write_report(report, path, model, other)


def publish(report: Report, environment: Mapping[str, str] = os.environ) -> None:
    """Where GitHub runs the command, annotate failures and append to the page of the step."""
    if environment.get("GITHUB_ACTIONS") != "true":
        return
    from graphkit.report.annotations import annotations, summary

    with results_only(True):
        for line in annotations(report):
            click.echo(line)
    summary(report, environment)
