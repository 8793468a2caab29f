"""What tests of interruptions rely on, and which tests of networks are long."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Sequence

LARGE = (
    "alexnet",
    "densenet",
    "fcn16s",
    "fcn32s",
    "inception",
    "maskrcnn",
    "mobilenet",
    "resnet18_v1",
    "resnet50",
    "resnext101",
    "vgg",
)
"""Networks, as cases spell them, of which each test takes seconds; smaller ones of their kind are tried always."""

# A shell has programs that it starts in the background ignore interrupts, and their children do, too.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    """Mark the tests of large networks as long."""
    for item in items:
        if any(name in item.name.partition("[")[2] for name in LARGE):
            item.add_marker(pytest.mark.long)
