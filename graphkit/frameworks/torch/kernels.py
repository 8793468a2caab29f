"""Tracing attention with one kernel."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["plain_attention"]


@contextlib.contextmanager
def plain_attention() -> Iterator[None]:
    """Have torch trace attention as its formula for a while, whatever kernel it would choose.

    The fused kernels of the CPU give results of other strides, so that a graph traced with one of them and gone through
    again with another has views that do not fit; and the choice among them asks whether the batch is 1, which keeps it
    from being free. What torch remembers of results that it traced before, with any kernel, is forgotten, and so is
    what it learns meanwhile.
    """
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.nn.attention import SDPBackend, sdpa_kernel

    FakeTensorMode.cache_clear()
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        FakeTensorMode.cache_clear()
