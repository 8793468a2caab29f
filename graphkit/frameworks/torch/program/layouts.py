"""Where the parts of an exported program lie in its archive, by the age of the file.

======================  ==========================================================================================
PyTorch 2.1             ``serialized_exported_program.json``, ``serialized_state_dict.json`` (a pickle in spite of
                        its name), ``version``
PyTorch 2.2             the same, with ``serialized_constants.json``
PyTorch 2.3 to 2.7      the same, ending in ``.pt``
PyTorch 2.8             ``NAME/models/model.json``, ``NAME/data/weights/model.pt``, ``NAME/data/constants/model.pt``,
                        ``NAME/archive_format``
PyTorch 2.9 and later   ``NAME/data/weights/model_weights_config.json`` and a file of raw bytes for each storage, and
                        the same for constants
======================  ==========================================================================================

From torch/_export/__init__.py (2.1, 2.2), torch/export/__init__.py and torch/export/pt2_archive/_package.py.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from graphkit import limits
from graphkit.frameworks.torch.program.damage import DamageError
from graphkit.frameworks.torch.program.pickles import saved_tensors
from graphkit.frameworks.torch.program.schema import STRIDED, concrete, tensor_meta
from graphkit.frameworks.torch.program.stored import StoredTensor

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graphkit.frameworks.torch.program.archive import Archive

__all__ = ["Contents", "contents", "is_program"]

_OLD: Final = "serialized_exported_program.json"
_OLD_EXAMPLES: Final = ("serialized_example_inputs.pt", "serialized_example_inputs.json")
_MODEL: Final = re.compile(r"(?P<root>(?:[^/]+/)?)models/(?P<model>.+)\.json")
_CLASSES: Final = 3
"""Classes that a warning names."""


@dataclass(slots=True)
class Contents:
    """What an archive holds.

    Attributes:
        program: The serialised program, JSON as Python has it.
        document: The entry that it is.
        examples: The entry that holds example inputs, as ``torch.save`` writes them; empty for none.
        tensors: Parameters, buffers and constants by name, in the file's order.
        constants: Names of those that stand among the file's constants.
        absent: Why tensors are not there, by name.
        warnings: What the user must know, as sentences.
    """

    program: Any
    document: str
    examples: str = ""
    tensors: dict[str, StoredTensor] = field(default_factory=dict)
    constants: set[str] = field(default_factory=set)
    absent: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def is_program(archive: Archive) -> bool:
    """Whether an archive holds an exported program."""
    return _OLD in archive or any(map(_MODEL.fullmatch, archive.names))


def contents(archive: Archive) -> Contents:
    """The parts of an archive that holds an exported program.

    Raises:
        DamageError: A part is missing or damaged.
    """
    if _OLD in archive:
        found = Contents(_json(archive, _OLD), _OLD)
        found.examples = next((name for name in _OLD_EXAMPLES if name in archive), "")
        for part in ("state_dict", "constants", "tensor_constants"):
            for name in (f"serialized_{part}.pt", f"serialized_{part}.json"):
                if name in archive:
                    before = set(found.tensors)
                    _add_saved(found, archive, name)
                    found.constants |= set() if part == "state_dict" else found.tensors.keys() - before
        if not any(name.startswith("serialized_state_dict.") for name in archive.names):
            raise DamageError("it lacks serialized_state_dict.pt")
        return found
    models = [match for name in archive.names if (match := _MODEL.fullmatch(name))]
    shown = next((match for match in models if match["model"] == "model"), models[0])
    found = Contents(_json(archive, shown[0]), shown[0])
    examples = f"{shown['root']}data/sample_inputs/{shown['model']}.pt"
    found.examples = examples if examples in archive else ""
    if len(models) > 1:
        others = ", ".join(repr(match["model"]) for match in models if match is not shown)
        found.warnings.append(f"It holds several programs; {shown['model']!r} is shown, without {others}.")
    for part in ("weights", "constants"):
        before = set(found.tensors)
        folder = f"{shown['root']}data/{part}/"
        config, saved = f"{folder}{shown['model']}_{part}_config.json", f"{folder}{shown['model']}.pt"
        if saved in archive:
            _add_saved(found, archive, saved)
        elif config in archive:
            _add_raw(found, archive, folder, config)
        else:
            raise DamageError(f"it lacks {config}")
        found.constants |= found.tensors.keys() - before if part == "constants" else set()
    return found


def _json(archive: Archive, name: str) -> Any:
    text = archive.text(name)
    limits.check_json(text, f"{name} in the archive")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DamageError(f"{name} in it is no JSON ({error})") from error


def _add_saved(found: Contents, archive: Archive, name: str) -> None:
    saved = saved_tensors(archive.view(name), name)
    found.tensors.update(saved.tensors)
    found.absent.update(saved.foreign)
    _warn_of_pickled(found, saved.foreign)


def _warn_of_pickled(found: Contents, foreign: Mapping[str, str]) -> None:
    if foreign:
        classes = list(dict.fromkeys(foreign.values()))
        more = f" and {len(classes) - _CLASSES} more" if len(classes) > _CLASSES else ""
        found.warnings.append(
            f"It holds pickled objects ({', '.join(classes[:_CLASSES])}{more}), which run code of their author when "
            f"they are loaded; they are not, and {_names(foreign)} shown without values."
        )


def _names(foreign: Mapping[str, str]) -> str:
    names = list(foreign)
    return f"{names[0]!r} is" if len(names) == 1 else f"{names[0]!r} and {len(names) - 1} more are"


def _add_raw(found: Contents, archive: Archive, folder: str, config: str) -> None:
    """Tensors whose storages are entries of raw bytes, as ``config`` (PayloadConfig of torch's schema) says."""
    order = f"{folder.partition('data/')[0]}byteorder"
    big = order in archive and archive.text(order) == "big"
    views: dict[str, memoryview] = {}
    pickled: dict[str, str] = {}
    empty: list[str] = []
    for name, payload in _json(archive, config)["config"].items():
        path = folder + payload["path_name"]
        if payload["use_pickle"] or payload["tensor_meta"] is None:
            pickled[name] = payload["path_name"]
            continue
        if path not in archive:
            raise DamageError(f"it lacks {path}, which holds {name!r}")
        if path not in views:
            views[path] = archive.view(path)
        meta = tensor_meta(payload["tensor_meta"])
        shape, strides = tuple(map(concrete, meta.sizes)), tuple(map(concrete, meta.strides))
        view: memoryview | None = views[path]
        if not archive.size(path) and 0 not in shape:
            view = None
            empty.append(name)
        if meta.layout != STRIDED:
            view = None
            found.absent[name] = "sparse"
        found.tensors[name] = StoredTensor(view, path, meta.dtype, shape, strides, concrete(meta.offset), big)
    found.absent.update(pickled)
    found.absent.update(dict.fromkeys(empty, "fake"))
    _warn_of_pickled(found, pickled)
    if empty:
        count = f"{len(empty)} of its tensors" if len(empty) > 1 else f"Its tensor {empty[0]!r}"
        found.warnings.append(f"{count} were saved without their numbers (fake tensors).")
