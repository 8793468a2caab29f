"""What a figure depends on besides the code: versions, platform, processors."""

from __future__ import annotations

import importlib.metadata
import os
import platform

from graphkit._version import __version__

__all__ = ["environment"]

_PACKAGES = ("numpy", "onnx", "onnx-ir")


def environment() -> dict[str, str]:
    """Versions of graphkit, Python and the packages under every conversion, the platform and the usable processors."""
    found = {"graphkit": __version__, "Python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    found["platform"] = f"{platform.system()} {platform.machine()}"
    found["processors"] = str(_processors())
    if threads := os.environ.get("OMP_NUM_THREADS"):
        found["OMP_NUM_THREADS"] = threads
    return found


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
