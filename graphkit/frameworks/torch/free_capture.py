"""Functions of torch that fix sizes when they are traced, said in others that leave them free."""

from __future__ import annotations

import contextlib
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import torch

__all__ = ["leaving_sizes_free"]


@contextlib.contextmanager
def leaving_sizes_free() -> Iterator[None]:
    """Have what is traced meanwhile keep sizes free that ``linspace``, ``affine_grid``, … make numbers of.

    Masks that a module computes are no longer looked at for whether they are causal: torch's transformer only takes the
    answer for a hint, and tracing knows no elements.
    """
    from torch.nn.modules import transformer

    looked = transformer._detect_is_causal_mask

    def detect(mask: Any, is_causal: bool | None = None, size: int | None = None) -> bool:
        if is_causal is None and _is_traced(mask):
            return False
        return looked(mask, is_causal, size)

    transformer._detect_is_causal_mask = detect
    try:
        with _mode()():
            yield
    finally:
        transformer._detect_is_causal_mask = looked


def _is_traced(value: Any) -> bool:
    from torch._subclasses.fake_tensor import FakeTensor

    return isinstance(value, FakeTensor)


def _is_free(*sizes: Any) -> bool:
    import torch

    return any(isinstance(size, torch.SymInt) for size in sizes)


@cache
def _mode() -> type[contextlib.AbstractContextManager[Any]]:
    """A mode of torch's in which calls that would fix a free size go another way."""
    import torch
    from torch.nn import functional
    from torch.overrides import TorchFunctionMode

    detours: dict[Any, Callable[..., Any]] = {
        torch.linspace: _linspace,
        functional.affine_grid: _affine_grid,
        torch.affine_grid_generator: _affine_grid,
        functional.max_pool1d: _max_pool1d,
        torch.max_pool1d: _max_pool1d,
        torch.tensor_split: _tensor_split,
        torch.Tensor.tensor_split: _tensor_split,
    }

    class Mode(TorchFunctionMode):
        def __torch_function__(
            self, func: Any, _types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
        ) -> Any:
            detour = detours.get(func)
            found = None if detour is None else detour(*args, **(kwargs or {}))
            return func(*args, **(kwargs or {})) if found is None else found

    return Mode


def _linspace(start: Any, end: Any, steps: Any, *, out: Any = None, **kwargs: Any) -> torch.Tensor | None:
    """As torch computes it: the first half from the start, the second half from the end.

    Integers, which torch cuts off after roundings of its own kernels, are left to torch.
    """
    import torch

    if not _is_free(steps) or out is not None or any(not isinstance(bound, int | float) for bound in (start, end)):
        return None
    dtype = kwargs.pop("dtype", None) or torch.get_default_dtype()
    if not dtype.is_floating_point:
        return None
    places = torch.arange(steps, dtype=dtype, **kwargs)
    step = (end - start) / torch.clamp(torch.zeros_like(places) + (steps - 1), min=1)
    return torch.where(places * 2 < steps, start + step * places, end - step * (steps - 1 - places))


def _affine_grid(theta: torch.Tensor, size: Sequence[Any], align_corners: bool | None = None) -> torch.Tensor | None:
    import torch

    if not _is_free(*size[2:]):
        return None
    axes = []
    for place, count in enumerate(reversed(size[2:])):
        steps = torch.arange(count, dtype=theta.dtype, device=theta.device)
        centred = steps * 2 - (count - 1)
        line = centred / (torch.clamp(torch.zeros_like(steps) + (count - 1), min=1) if align_corners else count)
        axes.append(line.view(-1, *(1,) * place).expand(*size[2:]))
    base = torch.stack([*axes, torch.ones_like(axes[0])], -1).view(1, -1, len(axes) + 1)
    return (base @ theta.transpose(1, 2)).view(size[0], *size[2:], len(axes))


def _max_pool1d(
    input: torch.Tensor,  # noqa: A002 -- torch's name
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> torch.Tensor | None:
    """Pooling of an image of one row; the largest of all where the window is as long as the sequence."""
    from torch.nn import functional

    kernel, step, pad, apart = (
        given[0] if isinstance(given, tuple | list) and given else given
        for given in (kernel_size, stride, padding, dilation)
    )
    if not _is_free(input.shape[-1], kernel) or return_indices:
        return None
    if _is_free(kernel):
        return functional.adaptive_max_pool1d(input, 1) if kernel == input.shape[-1] and not pad else None
    sides = ((1, kernel), (1, step or kernel), (0, pad), (1, apart))
    pooled: torch.Tensor = functional.max_pool2d(input.unsqueeze(-2), *sides, ceil_mode)
    return pooled.squeeze(-2)


def _tensor_split(
    input: torch.Tensor,  # noqa: A002 -- torch's name
    indices_or_sections: Any = None,
    dim: int = 0,
    *,
    indices: Any = None,
    sections: Any = None,
) -> tuple[torch.Tensor, ...] | None:
    """Pieces of ⌊n/k⌋ elements, the first n mod k of them with one more."""
    import torch

    count = sections if indices_or_sections is None else indices_or_sections
    if indices is not None or not isinstance(count, int) or not _is_free(input.shape[dim]):
        return None
    size = input.shape[dim]
    least: Any = torch.sym_min
    bounds = [place * (size // count) + least(place, size % count) for place in range(count)]
    ends = [*bounds[1:], size]
    return tuple(input.narrow(dim, first, end - first) for first, end in zip(bounds, ends, strict=True))
