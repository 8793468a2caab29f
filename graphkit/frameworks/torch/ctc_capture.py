"""Connectionist temporal classification in programs: ``F.ctc_loss``, which ``torch.export`` cannot trace.

How large its result for the gradient is only lengths tell. So it is traced as an operator of our own, which gives the
losses and nothing else.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import contextlib
    from collections.abc import Mapping, Sequence

    import torch

__all__ = ["NAME", "ctc_operator", "keep_ctc"]

NAME: Final = "graphkit::ctc_losses"
"""What the operator is called."""


def keep_ctc() -> contextlib.AbstractContextManager[Any]:
    """A mode of torch's in which calls of ``F.ctc_loss`` and ``torch.ctc_loss`` become calls of the operator."""
    return _mode()()


@cache
def ctc_operator() -> Any:
    """The operator, registered with torch on first use.

    It takes logarithms of the chances of classes (frames, batch, classes); labels (batch, most labels), or those of all
    examples one after the other; and lengths of frames and labels (batch,). It gives the losses (batch,).
    """
    import torch

    operator = torch.library.custom_op(
        NAME,
        _computed,
        mutates_args=(),
        schema="(Tensor logs, Tensor labels, Tensor lengths, Tensor counts, int blank, bool zero_infinity) -> Tensor",
    )
    operator.register_fake(_sized)
    operator.register_autograd(_backward, setup_context=_keep)
    return torch.ops.graphkit.ctc_losses.default


def _computed(
    logs: torch.Tensor,
    labels: torch.Tensor,
    lengths: torch.Tensor,
    counts: torch.Tensor,
    blank: int,
    zero_infinity: bool,
) -> torch.Tensor:
    import torch

    return torch.nn.functional.ctc_loss(
        logs, labels, lengths, counts, blank, reduction="none", zero_infinity=zero_infinity
    )


def _sized(logs: torch.Tensor, *_: Any) -> torch.Tensor:
    return logs.new_empty((logs.shape[1],))


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:  # noqa: ARG001 -- torch's signature
    logs, labels, lengths, counts, *ctx.options = inputs
    ctx.save_for_backward(logs, labels, lengths, counts)


def _backward(ctx: Any, cotangent: torch.Tensor) -> tuple[Any, ...]:
    import torch

    logs, *rest = ctx.saved_tensors
    with torch.enable_grad():
        own = logs.detach().requires_grad_()
        losses = _computed(own, *rest, *ctx.options)
    (gradient,) = torch.autograd.grad(losses, own, cotangent)
    return gradient, None, None, None, None, None


@cache
def _mode() -> type[contextlib.AbstractContextManager[Any]]:
    import torch
    from torch.overrides import TorchFunctionMode

    class Mode(TorchFunctionMode):
        def __torch_function__(
            self, func: Any, _types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
        ) -> Any:
            if func is torch.nn.functional.ctc_loss:
                return _loss(*args, **(kwargs or {}))
            if func is torch.ctc_loss:
                return _loss_by_number(*args, **(kwargs or {}))
            return func(*args, **(kwargs or {}))

    return Mode


def _loss(
    log_probs: torch.Tensor,
    targets: torch.Tensor,
    input_lengths: Any,
    target_lengths: Any,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> torch.Tensor:
    """``F.ctc_loss`` with the operator."""
    alone = log_probs.dim() == 2
    counts = _lengths(target_lengths, log_probs)
    losses: torch.Tensor = ctc_operator()(
        log_probs.unsqueeze(1) if alone else log_probs,
        targets,
        _lengths(input_lengths, log_probs),
        counts,
        blank,
        zero_infinity,
    )
    if reduction == "mean":
        return (losses / counts.clamp_min(1)).mean()
    if reduction == "sum":
        return losses.sum()
    return losses.squeeze(0) if alone else losses


def _loss_by_number(
    log_probs: torch.Tensor,
    targets: torch.Tensor,
    input_lengths: Any,
    target_lengths: Any,
    blank: int = 0,
    reduction: int = 1,
    zero_infinity: bool = False,
) -> torch.Tensor:
    """``torch.ctc_loss``, which takes a number for the reduction."""
    how = ("none", "mean", "sum")[reduction]
    return _loss(log_probs, targets, input_lengths, target_lengths, blank, how, zero_infinity)


def _lengths(given: Any, like: torch.Tensor) -> torch.Tensor:
    import torch

    lengths = given if isinstance(given, torch.Tensor) else torch.tensor(given, device=like.device)
    return lengths.to(torch.int64).reshape(-1)
