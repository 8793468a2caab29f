"""The real MXNet in this process, for tests of its file formats."""

from __future__ import annotations

import ctypes
import os
import warnings
from functools import cache
from typing import Any

import pytest

from graphkit.errors import MissingError
from graphkit.frameworks.mxnet.run import PYTHON_VARIABLE, interpreter

__all__ = ["accepts", "mxnet", "python"]


@cache
def _module() -> Any:
    os.environ.update(MXNET_MKLDNN_ENABLED="0", MXNET_USE_MKLDNN_RNN="0", MXNET_SUBGRAPH_BACKEND="NONE")
    os.environ.update(MXNET_STORAGE_FALLBACK_LOG_VERBOSE="0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MXNet 1.9.1 uses names that numpy deprecated
        try:
            import mxnet as module
        except (ImportError, AttributeError) as error:  # AttributeError: a numpy that is too new for it
            return error
    return module


def mxnet() -> Any:
    """MXNet, oneDNN and graph fusion off; skips the test where it cannot be imported."""
    module = _module()
    if isinstance(module, Exception):
        pytest.skip(f"MXNet cannot be imported: {module}")
    return module


def python() -> str:
    """The Python that has MXNet, this one or another; skips the test where none is named and this one has not."""
    try:
        return interpreter()
    except MissingError as error:
        if os.environ.get(PYTHON_VARIABLE):
            raise
        pytest.skip(str(error))


def accepts(op: str, attrs: dict[str, str]) -> bool:
    """Whether MXNet parses these parameters of an operator."""
    base = mxnet().base
    operator, symbol = ctypes.c_void_p(), ctypes.c_void_p()
    base.check_call(base._LIB.NNGetOpHandle(op.encode(), ctypes.byref(operator)))
    keys, values = base.c_str_array(list(attrs)), base.c_str_array(list(attrs.values()))
    try:
        base.check_call(base._LIB.MXSymbolCreateAtomicSymbol(operator, len(attrs), keys, values, ctypes.byref(symbol)))
    except base.MXNetError:
        return False
    base.check_call(base._LIB.MXSymbolFree(symbol))
    return True
