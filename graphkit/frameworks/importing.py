"""Objects of the user's modules, named as ``package.module:attribute``."""

from __future__ import annotations

import difflib
import importlib
import sys
from pathlib import Path
from typing import Any

from graphkit.errors import InputError, MissingError

__all__ = ["imported"]


def imported(reference: str) -> Any:
    """Import what a reference names; modules in the working folder are found.

    Args:
        reference: ``package.module:attribute``, the attribute with dots where it is an attribute's.

    Raises:
        InputError: There is no such module or attribute, or the module fails.
        MissingError: The module needs a package that is not installed.
    """
    module_name, _, attribute = reference.partition(":")
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    try:
        found: Any = importlib.import_module(module_name)
    except ImportError as error:
        if error.name and (module_name == error.name or module_name.startswith(f"{error.name}.")):
            raise InputError(
                f"There is no module {error.name!r} to import for {reference!r}; run from the folder that holds it, or "
                f"install it."
            ) from error
        raise MissingError(f"Importing {module_name!r} fails: {error}; install what it needs.") from error
    except Exception as error:
        told = " ".join(str(error).split()).rstrip(".")
        raise InputError(f"Importing {module_name!r} fails: {type(error).__name__}: {told}.") from error
    for part in attribute.split("."):
        if not hasattr(found, part):
            raise InputError(f"{module_name!r} has no {attribute!r}; it has {_offers(found, part)}.")
        found = getattr(found, part)
    return found


def _offers(module: Any, wanted: str) -> str:
    """What of a module may have been meant: what it defines itself and can be called."""
    home = getattr(module, "__name__", "")
    names = [
        name
        for name, value in getattr(module, "__dict__", {}).items()
        if not name.startswith("_") and callable(value) and getattr(value, "__module__", None) == home
    ]
    near = difflib.get_close_matches(wanted, names)
    return ", ".join(near or sorted(names)[:8]) or "nothing to call"
