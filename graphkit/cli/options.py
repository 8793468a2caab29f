"""Options that several commands share, and reading a source as they say."""

from __future__ import annotations

import inspect
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from graphkit.cli import bounds
from graphkit.cli.console import warn
from graphkit.cli.signals import Endings
from graphkit.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import onnx_ir as ir

    from graphkit.frameworks.base import InputSpec

__all__ = ["Reading", "command", "json_option", "reading_options", "with_options"]

F = TypeVar("F", bound="Callable[..., Any]")

_SOURCE = """

SOURCE is an exported program (x.pt2), a TorchScript archive (x.pt), an ONNX model (x.onnx), an MXNet symbol
(x-symbol.json, with the newest x-NNNN.params beside it or --params), a folder of PyTorch source that graphkit wrote
(x/), or a Python callable that makes a module (package.module:callable, with --input).
"""

_READING = (
    click.option(
        "--input",
        "inputs",
        multiple=True,
        metavar="[NAME:]SHAPE[:DTYPE]",
        help="Shape of an input that SOURCE leaves open, e.g. 2x3x224x224 or ids:1x16:int64; ? is free.",
    ),
    click.option(
        "--params",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE",
        help="Parameter file of an MXNet symbol, or weights of a module that a Python callable makes.",
    ),
    click.option("--trust-pickle", is_flag=True, help="Load a pickled module. This runs code from the file."),
    click.option("--trust-code", is_flag=True, help="Run a folder's model.py whatever it does besides computing."),
    click.option(
        "--dynamic-batch/--no-dynamic-batch",
        default=True,
        help="Leave the batch size free, or keep the given one. Default: free.",
    ),
    click.option(
        "--fix",
        "fixed",
        multiple=True,
        metavar="NAME=VALUE",
        help="Make an input a constant, e.g. axes=1,2 or scales=@scales.npy.",
    ),
    click.option(
        "--limit",
        "limits",
        multiple=True,
        metavar="NAME=NUMBER",
        help="Raise a limit of what is read, by the name that its error gives, e.g. nodes=20000000 or attribute=1GB.",
    ),
    click.option("--train", is_flag=True, help="Keep the labels and losses of an MXNet symbol's output layers."),
)


@dataclass(frozen=True, slots=True)
class Reading:
    """How the user says that a source is to be read.

    Attributes:
        source: The source.
        inputs: Given inputs, as spelled.
        params: Parameter file of an MXNet symbol, or weights of a module that a callable makes.
        trust_pickle: Whether a pickled module may be loaded.
        trust_code: Whether the source of a folder may do more than compute.
        dynamic_batch: Whether the batch dimension is left free.
        train: Whether output layers keep their labels and losses.
        fixed: Inputs that become constants, as spelled.
    """

    source: str
    inputs: tuple[str, ...]
    params: Path | None
    trust_pickle: bool
    trust_code: bool
    dynamic_batch: bool
    train: bool
    fixed: tuple[str, ...]

    def specs(self) -> tuple[InputSpec, ...]:
        """The given inputs, parsed."""
        from graphkit.frameworks.given import parse_input

        return tuple(parse_input(text) for text in self.inputs)

    def open_specs(self) -> tuple[InputSpec, ...]:
        """The given inputs that are left once some are fixed."""
        fixed = {text.partition("=")[0] for text in self.fixed}
        return tuple(spec for spec in self.specs() if spec.name not in fixed)

    def load(self) -> ir.Model:
        """Read the source; deviations are printed as warnings."""
        from graphkit.frameworks.convert import load

        return load(self.source, **self.arguments())

    def look(self, *, raw: bool = False) -> ir.Model:
        """Read the source to be looked at, see :func:`graphkit.look`; what to know of it is printed as warnings."""
        from graphkit.frameworks.convert import look

        return look(self.source, raw=raw, **self.arguments())

    def arguments(self) -> dict[str, Any]:
        """Arguments of :func:`graphkit.load` and :func:`graphkit.look`."""
        from graphkit.frameworks.convert import parse_fixed

        return {
            "inputs": self.specs(),
            "params": self.params,
            "trust_pickle": self.trust_pickle,
            "trust_code": self.trust_code,
            "dynamic_batch": self.dynamic_batch,
            "train": self.train,
            "fixed": dict(map(parse_fixed, self.fixed)),
            "warn": warn,
        }


def reading_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command SOURCE and the options that say how to read it; it receives them as one :class:`Reading`."""

    def gather(
        source: str,
        inputs: tuple[str, ...],
        params: Path | None,
        trust_pickle: bool,
        trust_code: bool,
        dynamic_batch: bool,
        train: bool,
        fixed: tuple[str, ...],
        limits: tuple[str, ...],
        **rest: Any,
    ) -> Any:
        from graphkit.limits import limited, parse

        with limited(parse(limits)):
            return function(
                Reading(source, inputs, params, trust_pickle, trust_code, dynamic_batch, train, fixed), **rest
            )

    gather.__doc__ = inspect.cleandoc(function.__doc__ or "") + _SOURCE
    return click.argument("source")(with_options(gather, function, _READING))


def with_options(
    gather: Callable[..., Any], function: Callable[..., Any], options: Sequence[Callable[..., Any]]
) -> Callable[..., Any]:
    """Give what gathers options for a command these options, and the command's own name, text and options."""
    gather.__doc__ = gather.__doc__ or function.__doc__
    gather.__name__ = function.__name__
    for option in reversed(options):
        option(gather)
    # Click takes parameters in the reverse of this order: SOURCE first, then the command's own.
    vars(gather)["__click_params__"] += vars(function).get("__click_params__", [])
    return gather


def json_option(function: F) -> F:
    """Give a command ``--json``, received as ``as_json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")(function)


class _Command(click.Command):
    """A command that is watched, with the options of all: ``--timeout``, ``--max-memory`` and ``--debug``.

    :func:`graphkit.cli.main` looks for the last one itself.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        told = "Show tracebacks, and other packages' warnings."
        self.params += [*bounds.options(), click.Option(["--debug"], is_flag=True, expose_value=False, help=told)]

    def invoke(self, ctx: click.Context) -> Any:
        allowed, given = bounds.bounds_of(ctx)
        endings = ctx.find_object(Endings)
        if endings is not None:
            from graphkit.cli.supervising import supervise

            supervise(allowed, endings, debug="--debug" in sys.argv)
        elif given:
            raise InputError(
                f"--timeout and --max-memory end the process that {ctx.command_path} runs in, which is not its own "
                f"here; start graphkit as a program."
            )
        return super().invoke(ctx)


def command(function: Callable[..., Any]) -> click.Command:
    """Make a function a command; its docstring is the help text, its result the exit status."""
    return click.command(cls=_Command, context_settings={"help_option_names": ["-h", "--help"]})(function)
