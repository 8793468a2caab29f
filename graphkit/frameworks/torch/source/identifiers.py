"""Identifiers: of classes, members and variables, none of which Python, torch or the module has a use for."""

from __future__ import annotations

import builtins
import keyword
import re
import unicodedata
from typing import TYPE_CHECKING, Final

from graphkit.frameworks.torch.vocabulary import RESERVED
from graphkit.ops.torchfunctions import FUNCTIONS

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["MODULE", "Names", "camel", "identifier"]

_TAKEN: Final = frozenset(
    {*keyword.kwlist, *dir(builtins), *FUNCTIONS, "self", "torch", "nn", "F", "forward", "training", "load"} - {"input"}
)
"""What names mean something else; many a module calls its argument ``input``, which no source here calls."""
MODULE: Final = RESERVED | frozenset(
    {
        "T_destination",
        "add_module",
        "apply",
        "bfloat16",
        "buffers",
        "call_super_init",
        "children",
        "compile",
        "cpu",
        "cuda",
        "double",
        "dump_patches",
        "eval",
        "extra_repr",
        "float",
        "forward",
        "get_buffer",
        "get_extra_state",
        "get_parameter",
        "get_submodule",
        "half",
        "ipu",
        "load_state_dict",
        "modules",
        "mtia",
        "named_buffers",
        "named_children",
        "named_modules",
        "named_parameters",
        "parameters",
        "register_backward_hook",
        "register_buffer",
        "register_forward_hook",
        "register_forward_pre_hook",
        "register_full_backward_hook",
        "register_full_backward_pre_hook",
        "register_load_state_dict_post_hook",
        "register_load_state_dict_pre_hook",
        "register_module",
        "register_parameter",
        "register_state_dict_post_hook",
        "register_state_dict_pre_hook",
        "requires_grad_",
        "set_extra_state",
        "set_submodule",
        "share_memory",
        "state_dict",
        "to",
        "to_empty",
        "train",
        "training",
        "type",
        "xpu",
        "zero_grad",
    }
)
"""Names that ``nn.Module`` has itself, or that vetted source may not use of tensors, so that no member gets them."""


class Names:
    """Identifiers of one scope, each given once."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = {*taken, *_TAKEN}

    def new(self, wanted: str) -> str:
        """The wanted name, or that with a number where it is taken."""
        base = identifier(wanted)
        name, number = base, 2
        while name in self._taken:
            name = f"{base}_{number}" if base[-1].isdigit() else f"{base}{number}"
            number += 1
        self._taken.add(name)
        return name

    def claim(self, name: str) -> bool:
        """Take a name as it stands; whether it was free."""
        if name in self._taken:
            return False
        self._taken.add(name)
        return True


def identifier(text: str) -> str:
    """A text as a Python identifier in lower case."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", _plain(text))
    name = unicodedata.normalize("NFKC", re.sub(r"\W+", "_", words).strip("_").lower())
    return name if name.isidentifier() else f"_{name}" if name else "x"


def _plain(text: str) -> str:
    """A text as Python reads names: composed, and without the characters that none may hold."""
    return "".join(c if f"a{c}".isidentifier() else " " for c in unicodedata.normalize("NFKC", text))


def camel(text: str) -> str:
    """A text as the name of a class."""
    words = "".join(part[:1].upper() + part[1:] for part in re.split(r"[\W_]+", _plain(text)) if part)
    name = unicodedata.normalize("NFKC", words)
    return f"Net{name}" if not name.isidentifier() or keyword.iskeyword(name) or name == "F" else name
