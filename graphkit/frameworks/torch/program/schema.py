"""torch's serialised programs of any age as one form: torch/_export/serde/schema.py, versions 1 to 8.

What changed between the versions, and is made one here: unions hold all alternatives, those that were not chosen being
null (before 5); a tensor's meta lies in a field of its own, and the signature is tables of names (1); a storage offset
is a number (before 5); the trees of the outputs lie outside the calls of modules (1).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from graphkit.frameworks.torch.program.damage import DamageError
from graphkit.frameworks.torch.program.stored import SCALAR_TYPES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import onnx_ir as ir

__all__ = [
    "NEWEST",
    "STRIDED",
    "Json",
    "Program",
    "Source",
    "TensorMeta",
    "chosen",
    "concrete",
    "program",
    "size",
    "tensor_meta",
]

Json: TypeAlias = Any
"""A part of the file, as :mod:`json` gives it."""
NEWEST: Final = 8
"""Version of the schema that is read; torch adds to it without a new number."""
STRIDED: Final = 7
"""Layout of tensors that are no sparse ones."""


@dataclass(frozen=True, slots=True)
class TensorMeta:
    """What a file says of a tensor; sizes are numbers or sympy expressions as text.

    Attributes:
        type_name: torch's name of its element type.
        dtype: ONNX's element type, None where it has none.
        sizes: Its shape.
        strides: Elements from one to the next along each axis.
        offset: Elements before its first.
        layout: Code of its layout.
    """

    type_name: str
    dtype: ir.DataType | None
    sizes: tuple[int | str, ...]
    strides: tuple[int | str, ...]
    offset: int | str
    layout: int


@dataclass(frozen=True, slots=True)
class Source:
    """What an input of the graph is.

    Attributes:
        kind: ``"user_input"``, ``"parameter"``, ``"buffer"``, ``"tensor_constant"``, ``"custom_obj"``, ``"token"`` or
            ``"constant_input"``.
        name: Name of the value in the graph.
        target: Name of the tensor or object that it is; empty for inputs of the user.
        value: A constant of the user's.
    """

    kind: str
    name: str
    target: str = ""
    value: Any = None


@dataclass(frozen=True, slots=True)
class Program:
    """An exported program.

    Attributes:
        graph: The graph.
        inputs: What its inputs are.
        outputs: Arguments that the user gets, in order.
        in_spec: Tree of the arguments, positional ones and then those by keyword, JSON text of torch's pytrees; empty
            where it is not told.
        out_spec: Tree of the outputs, JSON text of torch's pytrees; empty where it is not told.
        named_tuples: Names of the fields of named tuples, by type.
        torch_version: Version of torch that wrote it, as far as it says.
    """

    graph: Json
    inputs: Sequence[Source]
    outputs: Sequence[Json]
    in_spec: str
    out_spec: str
    named_tuples: Mapping[str, Sequence[str]] = field(default_factory=dict)
    torch_version: str = ""

    def trained(self) -> dict[str, bool]:
        """Whether each parameter requires gradients, by name."""
        metas = self.graph["tensor_values"]
        return {
            source.target: bool(metas[source.name].get("requires_grad"))
            for source in self.inputs
            if source.kind == "parameter"
        }


def chosen(union: Json) -> tuple[str, Any]:
    """Which alternative of a union was chosen, and what it holds."""
    for name, value in union.items():
        if value is not None:
            return name, value
    raise DamageError("an argument in its program is of no kind")


def size(given: Json) -> int | str:
    """A size: a number, or an expression as text."""
    if isinstance(given, int):
        return given
    kind, value = chosen(given)
    if kind == "as_int":
        if type(value) is not int:
            raise DamageError(f"a size in it is {value!r}")
        return value
    return str(value["expr_str"] if isinstance(value, dict) else value)


def concrete(given: int | str) -> int:
    """A size that must be a number: one of a stored tensor."""
    if isinstance(given, int):
        return given
    raise DamageError(f"a stored tensor in it has the symbolic size {given!r}")


def tensor_meta(given: Json) -> TensorMeta:
    """What a file says of a tensor."""
    if "dtype" not in given:
        given = given["meta"]  # version 1
    type_name, dtype = SCALAR_TYPES.get(given["dtype"], (f"type {given['dtype']}", None))
    return TensorMeta(
        type_name,
        dtype,
        tuple(map(size, given["sizes"])),
        tuple(map(size, given["strides"])),
        size(given["storage_offset"]),
        given["layout"],
    )


def program(document: Json) -> Program:
    """The program in a file of any age."""
    module = document["graph_module"]
    signature = module["signature"]
    calls = module["module_call_graph"]
    root = calls[0]["signature"] if calls else None
    call = module.get("call_spec") or root or {}
    named = {name: held["field_names"] for name, held in (module.get("treespec_namedtuple_fields") or {}).items()}
    if "input_specs" in signature:
        inputs = [_source(*chosen(spec)) for spec in signature["input_specs"]]
        outputs = [held["arg"] for kind, held in map(chosen, signature["output_specs"]) if kind in _USERS]
    else:
        inputs, outputs = _old_signature(module["graph"], signature)
    version = document.get("torch_version") or ""
    specs = (call.get("in_spec") or "", call.get("out_spec") or "")
    return Program(module["graph"], inputs, outputs, *specs, named, version)


_USERS: Final = ("user_output", "loss_output")


def _source(kind: str, spec: Json) -> Source:
    if kind == "user_input":
        form, value = chosen(spec["arg"])
        name = value.get("name") or value.get("as_name") or "" if isinstance(value, dict) else ""
        return Source(kind, name, value=None if name else (form, value))
    if kind == "constant_input":
        form, value = chosen(spec["value"])
        return Source(kind, spec["name"], value=(form, value))
    arg = spec["arg"]
    target = next((spec[key] for key in _TARGETS if key in spec), "")
    return Source(kind, arg["name"], target)


_TARGETS: Final = ("parameter_name", "buffer_name", "tensor_constant_name", "custom_obj_name")


def _old_signature(graph: Json, signature: Json) -> tuple[list[Source], list[Json]]:
    parameters, buffers = signature["inputs_to_parameters"], signature["inputs_to_buffers"]
    inputs = []
    for given in graph["inputs"]:
        _, held = chosen(given)
        name = held["name"]
        kind = "parameter" if name in parameters else "buffer" if name in buffers else "user_input"
        inputs.append(Source(kind, name, parameters.get(name) or buffers.get(name) or ""))
    users = set(signature["user_outputs"])
    outputs = [given for given in graph["outputs"] if (chosen(given)[1] or {}).get("name") in users]
    return inputs, outputs
