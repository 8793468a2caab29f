"""Keeping torch's exporters from talking on our terminal."""

from __future__ import annotations

import contextlib
import logging
import warnings
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["quiet", "unprinted"]

_TALKERS: Final = ("torch", "onnxscript", "onnx_ir")


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence the warnings and loggers of torch, onnxscript and onnx_ir; the rest of the process keeps its own."""
    loggers = [
        logger
        for name, logger in list(logging.root.manager.loggerDict.items())
        if isinstance(logger, logging.Logger) and name.partition(".")[0] in _TALKERS
    ]
    # Loggers made meanwhile are not in the list: their records climb to the root of their family, and end there.
    families = [logging.getLogger(name) for name in _TALKERS]
    before = [(logger, logger.disabled, logger.handlers) for logger in {*loggers, *families}]
    climbing = [(family, family.propagate) for family in families]
    try:
        for logger, _, _ in before:
            logger.disabled, logger.handlers = True, [logging.NullHandler()]
        for family in families:
            family.propagate = False
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, disabled, handlers in before:
            logger.disabled, logger.handlers = disabled, handlers
        for family, propagate in climbing:
            family.propagate = propagate


@contextlib.contextmanager
def unprinted() -> Iterator[None]:
    """Keep torch.export from printing all of a graph to stderr where values decide how it goes on."""
    from torch.export import _trace

    vars(_trace)["print"] = lambda *_words, **_options: None
    try:
        yield
    finally:
        vars(_trace).pop("print", None)  # another thread may have done so
