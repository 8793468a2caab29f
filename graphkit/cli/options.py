"""Options that several commands share, and reading a source as they say."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from graphkit.cli.console import warn

if TYPE_CHECKING:
    from collections.abc import Callable

    import onnx_ir as ir

    from graphkit.frameworks.base import InputSpec

__all__ = ["Reading", "command", "json_option", "reading_options"]

F = TypeVar("F", bound="Callable[..., Any]")

SOURCE_HELP = """
    SOURCE is an exported program (x.pt2), a TorchScript archive (x.pt), an ONNX model (x.onnx), an MXNet symbol
    (x-symbol.json, with the newest x-NNNN.params beside it or --params) or a Python callable that makes a module
    (package.module:callable, with --input).
"""


@dataclass(frozen=True, slots=True)
class Reading:
    """How the user says that a source is to be read.

    Attributes:
        source: The source.
        inputs: Given inputs, as spelled.
        params: Parameter file of an MXNet symbol.
        trust_pickle: Whether a pickled module may be loaded.
        static_batch: Whether the batch dimension stays what it is.
    """

    source: str
    inputs: tuple[str, ...]
    params: Path | None
    trust_pickle: bool
    static_batch: bool

    def specs(self) -> tuple[InputSpec, ...]:
        """The given inputs, parsed."""
        from graphkit.frameworks.convert import parse_input

        return tuple(parse_input(text) for text in self.inputs)

    def load(self) -> ir.Model:
        """Read the source; deviations are printed as warnings."""
        from graphkit.frameworks.convert import load

        return load(
            self.source,
            inputs=self.specs(),
            params=self.params,
            trust_pickle=self.trust_pickle,
            dynamic_batch=not self.static_batch,
            warn=warn,
        )


def reading_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command SOURCE and the options that say how to read it; it receives them as one :class:`Reading`."""

    def gather(
        source: str,
        inputs: tuple[str, ...],
        params: Path | None,
        trust_pickle: bool,
        static_batch: bool,
        **rest: Any,
    ) -> Any:
        return function(Reading(source, inputs, params, trust_pickle, static_batch), **rest)

    gather.__doc__ = (function.__doc__ or "") + SOURCE_HELP
    gather.__name__ = function.__name__
    options = (
        click.argument("source"),
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
            help="Parameter file of an MXNet symbol.",
        ),
        click.option("--trust-pickle", is_flag=True, help="Load a pickled module. This runs code from the file."),
        click.option("--static-batch", is_flag=True, help="Keep the batch size instead of leaving it free."),
    )
    for option in reversed(options):
        gather = option(gather)
    return gather


def json_option(function: F) -> F:
    """Give a command ``--json``, received as ``as_json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")(function)


def command(function: Callable[..., Any]) -> click.Command:
    """Make a function a command with ``--debug``, which :func:`graphkit.cli.main` looks for itself."""
    debug = click.option(
        "--debug", is_flag=True, expose_value=False, help="Show tracebacks, and other packages' warnings."
    )
    return click.command(context_settings={"help_option_names": ["-h", "--help"]})(debug(function))
