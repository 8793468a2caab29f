"""Exported programs in the formats of older versions of PyTorch, made of a current one.

What each version wrote is in its torch/export and torch/_export/serde/schema.py; the layouts are told in
``graphkit/frameworks/torch/program/layouts.py``, the changes of the schema in ``schema.py`` beside it.
"""

from __future__ import annotations

import io
import json
import zipfile
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["AGES", "entries", "packed", "saved"]


def saved(program: torch.export.ExportedProgram) -> bytes:
    """What ``torch.export.save`` writes today."""
    buffer = io.BytesIO()
    torch.export.save(program, buffer)
    return buffer.getvalue()


def entries(archive: bytes) -> dict[str, bytes]:
    """The entries of a zip archive."""
    with zipfile.ZipFile(io.BytesIO(archive)) as held:
        return {name: held.read(name) for name in held.namelist()}


def packed(held: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    """A zip archive of entries."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, data in held.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def _pickled(tensors: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    torch.save(tensors, buffer)
    return buffer.getvalue()


def _document(program: torch.export.ExportedProgram) -> dict[str, Any]:
    held = entries(saved(program))
    document: dict[str, Any] = json.loads(
        next(data for name, data in held.items() if name.endswith("models/model.json"))
    )
    return document


def _torch_2_8(program: torch.export.ExportedProgram) -> bytes:
    """Weights as files of torch.save within the archive."""
    kept = {
        name: data
        for name, data in entries(saved(program)).items()
        if "/data/weights/" not in name and "/data/constants/" not in name
    }
    root = next(iter(kept)).partition("/")[0]
    kept[f"{root}/data/weights/model.pt"] = _pickled(program.state_dict)
    kept[f"{root}/data/constants/model.pt"] = _pickled(dict(program.constants))
    return packed(kept)


def _flat(program: torch.export.ExportedProgram, document: dict[str, Any], version: str, suffix: str) -> bytes:
    return packed(
        {
            "serialized_exported_program.json": json.dumps(document).encode(),
            f"serialized_state_dict.{suffix}": _pickled(program.state_dict),
            f"serialized_constants.{suffix}": _pickled(dict(program.constants)),
            "version": version.encode(),
        }
    )


def _torch_2_5(program: torch.export.ExportedProgram) -> bytes:
    """A flat archive; arguments do not say whether they are given by name, nodes have no name."""
    document = _document(program)
    document["schema_version"] = {"major": 7, "minor": 3}
    _each_node(document, _without_names)
    return _flat(program, document, "7.3", "pt")


def _torch_2_2(program: torch.export.ExportedProgram) -> bytes:
    """Unions with all their alternatives, those not chosen being null."""
    document = _spread(_document(program))
    document["schema_version"] = 2
    _each_node(document, _without_names)
    for meta in document["graph_module"]["graph"]["tensor_values"].values():
        meta["storage_offset"] = meta["storage_offset"]["as_int"]
    return _flat(program, document, "2", "json")


def _torch_2_1(program: torch.export.ExportedProgram) -> bytes:
    """A signature of tables, metas in a field of their own, trees outside the calls of modules."""
    document = _spread(_document(program))
    document["schema_version"] = 1
    module = document["graph_module"]
    specs = [_chosen(spec) for spec in module["signature"]["input_specs"]]
    outputs = [_chosen(spec) for spec in module["signature"]["output_specs"]]
    module["call_spec"] = {key: module["module_call_graph"][0]["signature"][key] for key in ("in_spec", "out_spec")}
    module["module_call_graph"][0]["signature"] = None
    module["signature"] = {
        "inputs_to_parameters": {s["arg"]["name"]: s["parameter_name"] for kind, s in specs if kind == "parameter"},
        "inputs_to_buffers": {s["arg"]["name"]: s["buffer_name"] for kind, s in specs if kind == "buffer"},
        "user_inputs": [_chosen(s["arg"])[1]["name"] for kind, s in specs if kind == "user_input"],
        "user_outputs": [_chosen(s["arg"])[1]["name"] for kind, s in outputs if kind == "user_output"],
        "buffers_to_mutate": {},
        "backward_signature": None,
    }
    graph = module["graph"]
    graph["tensor_values"] = {
        name: {"meta": {**meta, "storage_offset": meta["storage_offset"]["as_int"]}}
        for name, meta in graph["tensor_values"].items()
    }
    _each_node(document, _without_names)
    _each_node(document, _old_stack)
    held = _flat(program, document, "1", "json")
    return packed({name: data for name, data in entries(held).items() if "constants" not in name})


def _each_node(document: dict[str, Any], change: Callable[[dict[str, Any]], None]) -> None:
    for node in document["graph_module"]["graph"]["nodes"]:
        change(node)


def _without_names(node: dict[str, Any]) -> None:
    node.pop("name", None)
    node.pop("is_hop_single_tensor_return", None)
    for given in node["inputs"]:
        given.pop("kind", None)


_SELF = "L['self']"


def _old_stack(node: dict[str, Any]) -> None:
    stack = node["metadata"].get("nn_module_stack", "")
    parts = [entry.split(",") for entry in stack.split(";") if entry]
    node["metadata"]["nn_module_stack"] = ";".join(
        f"{key}:({'.'.join(filter(None, (_SELF, path)))},{kind})" for key, path, kind in parts
    )


_ALTERNATIVES = (
    "as_none",
    "as_tensor",
    "as_tensors",
    "as_int",
    "as_ints",
    "as_float",
    "as_name",
    "as_expr",
    "user_input",
)


def _spread(held: Any) -> Any:
    if isinstance(held, list):
        return [_spread(one) for one in held]
    if not isinstance(held, dict):
        return held
    spread = {key: _spread(one) for key, one in held.items()}
    if len(held) == 1 and next(iter(held)).startswith("as_"):
        if "as_none" in spread:
            spread["as_none"] = []  # a tuple without elements
        return {**dict.fromkeys(_ALTERNATIVES), **spread}
    return spread


def _chosen(union: dict[str, Any]) -> tuple[str, Any]:
    return next((kind, held) for kind, held in union.items() if held is not None)


AGES: dict[str, Callable[[torch.export.ExportedProgram], bytes]] = {
    "2.8": _torch_2_8,
    "2.5": _torch_2_5,
    "2.2": _torch_2_2,
    "2.1": _torch_2_1,
}
"""What wrote a program, by version of PyTorch."""
