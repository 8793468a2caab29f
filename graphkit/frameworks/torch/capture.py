"""Module to exported program, with the batch left free wherever the module allows it."""

from __future__ import annotations

import contextlib
import inspect
import re
from typing import TYPE_CHECKING, Any, Final

from graphkit.errors import InputError
from graphkit.frameworks.torch.control_flow import exported
from graphkit.frameworks.torch.explain import chain, sentence, user_line
from graphkit.frameworks.torch.free_capture import leaving_sizes_free
from graphkit.frameworks.torch.guards import Guard, listening, remember
from graphkit.frameworks.torch.kernels import plain_attention
from graphkit.frameworks.torch.plain import cache_arguments, plainly
from graphkit.frameworks.torch.quiet import quiet
from graphkit.frameworks.torch.recurrent_capture import export
from graphkit.frameworks.torch.samples import Blank

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import torch

    from graphkit.frameworks.torch.samples import Sample

__all__ = ["capture", "evaluating", "is_free", "positions"]

_POSITIONS: Final = ("max_position_embeddings", "n_positions", "max_seq_len", "max_target_positions")
"""What configurations of the transformers library call the number of their positions."""
_FIXED = re.compile(
    r"L\['(?P<name>[^']+)'\]\.size\(\)\[(?P<axis>\d+)\] as dynamic but your code specialized it to be a constant "
    r"\((?P<size>\d+)\)"
)


def capture(
    module: torch.nn.Module, sample: Sample, *, dynamic_batch: bool, warn: Callable[[str], None], label: str
) -> torch.export.ExportedProgram:
    """Export a module for inference; the module is left as it was.

    Args:
        module: What to export; traced in evaluation mode.
        sample: Its arguments.
        dynamic_batch: Whether to leave the dimensions that share the batch free.
        warn: Told when a dimension cannot be left free, and why.
        label: How to call the module in messages.

    Raises:
        InputError: torch.export cannot capture the module; the message names the user's line.
    """
    names = list(inspect.signature(module.forward).parameters)
    caches = cache_arguments(sample.args, sample.kwargs, names)
    with plainly(module, caches, warn, label), evaluating(module), plain_attention(), leaving_sizes_free():
        return _captured(module, sample, dynamic_batch=dynamic_batch, warn=warn, label=label)


def _captured(
    module: torch.nn.Module, sample: Sample, *, dynamic_batch: bool, warn: Callable[[str], None], label: str
) -> torch.export.ExportedProgram:
    from torch.export import Dim

    wants_batch = dynamic_batch or sample.batch is None
    demanded = any(None in blank.shape[1:] for blank in sample.blanks) or (sample.batch is None and bool(sample.blanks))
    if not demanded and not (wants_batch and sample.batch is not None):
        return _export(module, sample, None, None, label)
    batch = max(sample.batch or 2, 2) if wants_batch else None
    guards: list[Guard] = []
    program, failure = _attempt(module, sample, batch, Dim.DYNAMIC, wants_batch, guards)
    if program is not None:
        remember(program, guards)
        return program
    assert failure is not None
    found: list[Guard] = []
    if demanded:
        for other in sample.others() if _may_be_of_sizes(failure) else ():
            found.clear()
            program, _ = _attempt(module, other, batch, Dim.DYNAMIC, wants_batch, found)
            if program is not None:
                remember(program, found)
                return program
        raise _fixed(failure, guards, label) or _refusal(failure, label, _too_long(module, sample)) from failure
    program, _ = _attempt(module, sample, batch, Dim.AUTO, wants_batch, found)
    reason = f": {guards[-1]}" if guards else (f": {line}" if (line := user_line(failure)) else "")
    if program is not None and is_free(program):
        warn(f"Not all inputs of {label} share its free batch; some keep the size they were exported with{reason}.")
        remember(program, found)
        return program
    static = _export(module, sample, None, None, label)
    warn(
        f"The batch of {label} stays {sample.batch}: torch.export could not leave it free, because the module fixes "
        f"it{reason}. Compute sizes from the input (x.shape[0]) to have any batch."
    )
    return static


def is_free(program: torch.export.ExportedProgram) -> bool:
    """Whether the first dimension of an input of the program is symbolic."""
    import torch

    inputs = set(program.graph_signature.user_inputs)
    for node in program.graph.nodes:
        if node.op == "placeholder" and node.name in inputs:
            value: Any = node.meta.get("val")
            shape: list[Any] = list(value.shape) if isinstance(value, torch.Tensor) else []
            # A symbol that turned out to have one value only is still of the symbolic type.
            if shape and isinstance(shape[0], torch.SymInt) and shape[0].node.maybe_as_int() is None:
                return True
    return False


@contextlib.contextmanager
def evaluating(module: torch.nn.Module) -> Iterator[None]:
    """Put a module in evaluation mode for a while, and each of its parts back into its own mode afterwards."""
    before = [(part, part.training) for part in module.modules()]
    try:
        for part, _ in before:
            part.training = False
        yield
    finally:
        for part, training in before:
            part.training = training


def _attempt(
    module: torch.nn.Module, sample: Sample, batch: int | None, dim: Any, wants_batch: bool, guards: list[Guard]
) -> tuple[torch.export.ExportedProgram | None, Exception | None]:
    """Export with free dimensions: the program or why there is none; ``guards`` gets torch's decisions about sizes."""
    from torch.utils import _pytree

    def free(leaf: Any) -> Any:
        if not isinstance(leaf, Blank):
            return None
        axes = [axis for axis, size in enumerate(leaf.shape) if size is None]
        if wants_batch and sample.shares_batch(leaf) and 0 not in axes:
            axes.append(0)
        return dict.fromkeys(axes, dim) or None

    specs, keywords = _pytree.tree_map(free, (sample.args, dict(sample.kwargs)))
    shapes = inspect.signature(module.forward).bind(*specs, **keywords).arguments
    args, kwargs = sample.tensors(batch)
    with quiet(), listening(guards, __file__):
        try:
            return exported(lambda: export(module, args, kwargs, dict(shapes))), None
        except Exception as error:
            return None, error


def _export(
    module: torch.nn.Module, sample: Sample, batch: int | None, shapes: Any, label: str
) -> torch.export.ExportedProgram:
    args, kwargs = sample.tensors(batch)
    with quiet():
        try:
            return exported(lambda: export(module, args, kwargs, shapes))
        except Exception as error:
            raise _refusal(error, label, _too_long(module, sample)) from error


def _may_be_of_sizes(error: Exception) -> bool:
    """Whether other sizes may be traced; not where values decide, or the module returns what no graph can."""
    from torch.fx.experimental.symbolic_shapes import GuardOnDataDependentSymNode

    return not any(isinstance(cause, InputError | GuardOnDataDependentSymNode) for cause in chain(error))


def _fixed(error: Exception, guards: list[Guard], label: str) -> InputError | None:
    """What to tell where a module makes a number of a size that was to be free; None where that is not why."""
    match = next((found for cause in chain(error) if (found := _FIXED.search(str(cause)))), None)
    if match is None:
        return None
    equal = re.compile(rf"Eq\(\w+, {match['size']}\)")
    where = next((guard.line for guard in guards if equal.fullmatch(guard.condition)), "")
    return InputError(
        f"Axis {match['axis']} of input '{match['name']}' cannot be left free: {label} fixes it at {match['size']}"
        f"{where and f' ({where})'}, the size it was tried with. Give it a size in --input or inputs=; or compute with "
        f"x.shape[{match['axis']}] itself, not with int(x.shape[{match['axis']}]) or a choice that one size makes."
    )


def _refusal(error: Exception, label: str, advice: str) -> InputError:
    import torch

    for cause in chain(error):
        if isinstance(cause, InputError):
            return cause
    where = user_line(error)
    place = f" at {where}" if where else ""
    if isinstance(error, torch.fx.experimental.symbolic_shapes.GuardOnDataDependentSymNode):
        return InputError(
            f"torch.export cannot capture {label}: the code{place} depends on the values of a tensor ({sentence(error)}"
            f"), and a graph can depend on shapes only. Write the choice with torch.cond or torch.where, or export the "
            f"part of the module without it."
        )
    usual = (
        "Check that the given inputs are those the module takes, and that torch.export.export(module, args) succeeds; "
        "a program saved by torch.export.save is read as well."
    )
    return InputError(
        f"torch.export cannot capture {label}: {sentence(error)}{place and f' ({where})'}. {advice or usual}"
    )


def _too_long(module: torch.nn.Module, sample: Sample) -> str:
    """What to do where an input is longer than the positions that the module has, as far as its configuration tells."""
    name, most = positions(module)
    length = max((blank.filled().shape[1] or 0 for blank in sample.blanks if _has_length(blank)), default=0)
    if not most or length <= most:
        return ""
    return (
        f"Its inputs are {length} long, and it has {most} positions ({name} of its configuration): give a length of "
        f"{most} at most."
    )


def positions(module: torch.nn.Module) -> tuple[str, int]:
    """How the configuration of a module of the transformers library calls the number of its positions, and that."""
    config = getattr(module, "config", None)
    for part in (config, getattr(config, "text_config", None)):
        for name in _POSITIONS:
            most = getattr(part, name, None)
            if isinstance(most, int) and most > 0:
                return name, most
    return "", 0


def _has_length(blank: Blank) -> bool:
    return len(blank.shape) == 2 and not blank.dtype.is_floating_point
