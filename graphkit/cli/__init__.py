"""The command line: one file per command.

Every module of this package that defines ``COMMAND`` is a command, named as the module. ``graphkit COMMAND`` imports
that module alone, and no module imports a framework before its command runs.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import os
import pkgutil
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

import click

from graphkit._version import __version__
from graphkit.cli.console import PipeClosedError, TerminatedError, hush
from graphkit.cli.signals import ending_in_order
from graphkit.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]

_EPILOG = (
    "Exit status: 0 if all is well, 1 if what was asked does not hold (runtimes are not in parity, models differ, a "
    "framework does not take a model), 2 if the input or the usage is wrong, a runtime failed, or a bound of time or "
    "memory was exceeded, 130 if interrupted, 143 if terminated."
)


_GARBAGE: Final = 200_000
"""Objects made before Python looks for garbage: nearly all that a command makes are of a model, which it keeps."""

_SET_BY_PROJECTS = ("bisect", "verify")
"""Commands whose options a ``pyproject.toml`` may set."""


class _Commands(click.Group):
    """A group whose commands are the modules beside this one."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        names = sorted(module.name for module in pkgutil.iter_modules(__path__))
        return [name for name in names if self.get_command(ctx, name) is not None]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  # click's signature
        if cmd_name not in {module.name for module in pkgutil.iter_modules(__path__)}:
            return None
        command: click.Command | None = getattr(importlib.import_module(f"{__name__}.{cmd_name}"), "COMMAND", None)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name, command, rest = super().resolve_command(ctx, args)
        if name in _SET_BY_PROJECTS and command is not None and not {"-h", "--help"} & set(rest):
            ctx.default_map = {name: _set_by_project(command, name, rest)}
        return name, command, rest

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as problem:
            raise TerminatedError(signal.SIGINT) from problem  # click would print an empty line
        except BrokenPipeError as problem:
            raise PipeClosedError from problem  # click would exit with 1, which means "not in parity"
        except SystemExit as left:
            raise InputError(
                f"Code of the source ended the program (sys.exit({left.code!r})) before anything was done; keep what a "
                f'script does when it is run under `if __name__ == "__main__":`.'
            ) from left


def _set_by_project(command: click.Command, name: str, arguments: Sequence[str]) -> dict[str, Any]:
    """Defaults of a command's options as the nearest ``pyproject.toml`` sets them, by the options' own names."""
    from graphkit.parity.settings import TRAINING, find, settings

    path = find(Path())
    found = {} if path is None else settings(path, name)
    given = {text.partition("=")[0] for text in arguments}
    idle = set() if "train_steps" in found or "--train-steps" in given else set(TRAINING)
    idle |= {"batches"} if "--feed" in given else set()  # data has its own
    idle |= {"baseline"} if "--save-baseline" in given else set()
    found = {key: value for key, value in found.items() if key not in idle}
    options = {text: option for option in command.params if isinstance(option, click.Option) for text in option.opts}
    defaults = {}
    for key, value in found.items():
        option = options["--" + key.replace("_", "-")]
        assert option.name is not None
        listed = isinstance(value, list) and not option.multiple
        defaults[option.name] = ",".join(map(str, value)) if listed else value
    return defaults


@click.command(
    cls=_Commands, epilog=_EPILOG, no_args_is_help=True, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(__version__, prog_name="graphkit")
def _graphkit() -> None:
    """Convert models between PyTorch, MXNet and ONNX, and prove that they compute and train the same."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit.

    Args:
        arguments: What follows the program's name; None for the process's own, which is then this command's alone: the
            command goes on in a child of it, which it watches (:mod:`graphkit.cli.supervising`).

    Raises:
        SystemExit: Always; 0 is fine, 1 that what was asked does not hold, 2 bad input or usage, 130 interrupted, 143
            terminated (128 and the signal's number).
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    if not debug:
        hush()
    gc.set_threshold(_GARBAGE)
    own = arguments is None
    status: object = None
    with ending_in_order(own) as endings:
        try:
            try:
                status = _graphkit.main(
                    args=given, prog_name="graphkit", standalone_mode=False, obj=endings if own else None
                )
                sys.stdout.flush()
            except (Exception, KeyboardInterrupt, TerminatedError) as problem:
                status = endings.explain(problem, debug=debug)
        except (KeyboardInterrupt, TerminatedError) as problem:  # while another one was explained
            status = endings.explain(problem, debug=debug)
    status = status if isinstance(status, int) else 0
    if own and endings.came:
        _leave(status)
    sys.exit(status)


def _leave(status: int) -> NoReturn:
    """Exit with a status that Python does not change.

    Where an interrupt has passed through an ``exec`` of text, as in :mod:`dataclasses`, Python itself would end the
    process by SIGINT after all, whoever has caught it.
    """
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(status)
