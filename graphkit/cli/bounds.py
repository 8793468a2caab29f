"""How long a command may take and how much memory, and what is said when it takes more."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import click

from graphkit.errors import InputError
from graphkit.files import parse_size, sized

if TYPE_CHECKING:
    from graphkit.processes import Family

__all__ = ["Bounds", "bounds_of", "options"]

_META: Final = "graphkit.cli.bounds"
_TIMEOUT: Final = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s?)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a command may take.

    Attributes:
        name: The command, e.g. ``"graphkit convert"``.
        seconds: Time until it must have ended; None for any.
        bytes: Memory that its processes may hold together and that is not mapped from files; None for any.
        start: When it began, as :func:`time.monotonic` has it.
    """

    name: str
    seconds: float | None
    bytes: int | None
    start: float = field(default_factory=time.monotonic)

    def left(self) -> float | None:
        """Seconds until the time is over; None if it never is."""
        return None if self.seconds is None else max(self.start + self.seconds - time.monotonic(), 0.0)

    def exceeded(self, family: Family, extra: float = 0.0) -> str:
        """What is exceeded, as a paragraph; empty if nothing is.

        Args:
            family: The processes of the command.
            extra: Seconds more that it may take.
        """
        if self.seconds is not None and time.monotonic() - self.start >= self.seconds + extra:
            return (
                f"`{self.name}` was ended because it took longer than {_spelled(self.seconds)} (--timeout). Nothing "
                f"was left half written. Allow it more time, e.g. --timeout {2 * self.seconds:g}, unless the model is "
                f"a stranger's: a hostile one may take for ever."
            )
        if self.bytes is None or (held := family.memory()) <= self.bytes:
            return ""
        return (
            f"`{self.name}` was ended because its processes held {sized(held)} of memory, more than the "
            f"{sized(self.bytes)} of --max-memory; what is mapped from files does not count. Nothing was left half "
            f"written. Allow it more, e.g. --max-memory {sized(2 * held).replace(' ', '')}, unless the model is a "
            f"stranger's: a hostile one may take all there is."
        )


class _Duration(click.ParamType):  # type: ignore[type-arg]  # generic in newer clicks only
    """A time: seconds, or hours, minutes and seconds with their letters."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        match = _TIMEOUT.fullmatch(str(value).strip())
        parts = [float(part or 0) for part in match.groups()] if match is not None else [0.0]
        seconds = sum(part * unit for part, unit in zip(parts, (3600, 60, 1), strict=False))
        if not 0 < seconds < 1e9:
            self.fail(f"{value!r} is no time above 0; write seconds, or e.g. 90s, 10m, 1h30m.", param, ctx)
        return seconds


class _Size(click.ParamType):  # type: ignore[type-arg]  # as above
    """A number of bytes."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            size = parse_size(str(value))
        except InputError as error:
            self.fail(str(error), param, ctx)
        if size < 1:
            self.fail(f"{value!r} is no size above 0.", param, ctx)
        return size


def _keep(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    assert param.name is not None
    given = ctx.get_parameter_source(param.name) == click.core.ParameterSource.COMMANDLINE
    ctx.meta.setdefault(_META, {})[param.name] = value, given


def options() -> list[click.Option]:
    """The options ``--timeout`` and ``--max-memory``, which say what a command may take."""
    return [
        click.Option(
            ["--timeout"],
            type=_Duration(),
            envvar="GRAPHKIT_TIMEOUT",
            metavar="TIME",
            expose_value=False,
            callback=_keep,
            help="End the command after TIME: seconds, or e.g. 10m, 2h. Default: GRAPHKIT_TIMEOUT, or never.",
        ),
        click.Option(
            ["--max-memory"],
            type=_Size(),
            envvar="GRAPHKIT_MAX_MEMORY",
            metavar="SIZE",
            expose_value=False,
            callback=_keep,
            help="End the command if its processes hold more memory than SIZE, e.g. 8GB, besides mapped files. "
            "Default: GRAPHKIT_MAX_MEMORY, or any.",
        ),
    ]


def bounds_of(ctx: click.Context) -> tuple[Bounds, bool]:
    """What the command may take, and whether its options say so rather than the environment."""
    seconds, timed = ctx.meta[_META]["timeout"]
    size, sized_ = ctx.meta[_META]["max_memory"]
    return Bounds(ctx.command_path, seconds, size), timed or sized_


def _spelled(seconds: float) -> str:
    for unit, name in ((3600, "hour"), (60, "minute"), (1, "second")):
        if seconds >= unit and seconds % unit == 0:
            return f"{seconds / unit:g} {name}{'' if seconds == unit else 's'}"
    return f"{seconds:g} seconds"
