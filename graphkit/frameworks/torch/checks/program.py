"""Serialised programs, as torch's deserializer is handed them.

What it evaluates is in torch/_export/serde/serialize.py (``_parse_sym_expr``, ``deserialize_operator``,
``treespec_loads``, ``deserialize_range_constraints``), torch/fx/graph.py (``CodeGen``, which writes names of values,
bodies, arguments by keyword and attributes into a function) and torch/export/_unlift.py
(``_convert_guards_code_to_fn``).
"""

from __future__ import annotations

import dataclasses
import enum
import re
import types
import typing
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from graphkit.frameworks.torch.checks.conditions import checked_condition
from graphkit.frameworks.torch.checks.expressions import checked_expression, checked_symbol
from graphkit.frameworks.torch.checks.operators import check_operator
from graphkit.frameworks.torch.checks.refusal import HarmfulError
from graphkit.frameworks.torch.checks.trees import checked_tree
from graphkit.frameworks.torch.checks.words import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from graphkit.frameworks.torch.program.schema import Json

__all__ = ["checked_program"]

_IDENTIFIER: Final = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_ATTRIBUTE: Final = re.compile(r"[^\"'\\\x00-\x1f\x7f]*")
"""Names of parameters: torch writes those that are no identifiers between quotes."""
_KEPT: Final = frozenset(("stack_trace", "nn_module_stack", "torch_fn"))
"""What is kept of what a file tells of a node; ``source_fn_stack`` names functions, which torch looks up."""
_DIALECTS: Final = frozenset(("", "ATEN", "TRAINING"))
_CONSTANT_POWERS: Final = frozenset(("_operator.pow", "_operator.lshift"))
_MOST_BITS: Final = 64
_DEEPEST: Final = 200
_ATTRIBUTES: Final = frozenset(
    ("parameter_name", "buffer_name", "tensor_constant_name", "custom_obj_name", "user_input_name")
)
_NAMES: Final = frozenset(("TensorArgument", "TokenArgument", "GraphArgument", "CustomObjArgument"))


def checked_program(document: Json) -> Any:
    """A program that torch can be handed: its parts that torch evaluates are those that torch writes, on the CPU.

    Args:
        document: The program, JSON as Python has it, in the schema of this torch.

    Returns:
        ``torch._export.serde.schema.ExportedProgram``.

    Raises:
        HarmfulError: A part is none that torch writes, or is of another type.
        Exception: Anything, where it is of another schema.
    """
    from torch._export.serde import schema

    version, known = document["schema_version"]["major"], schema.SCHEMA_VERSION[0]
    if version not in (0, known):
        raise ValueError(f"it has a schema of version {version}, and this torch reads version {known}")
    program = _Check().value(document, schema.ExportedProgram, "program")
    for name in program.range_constraints:
        checked_symbol(name)
    program.guards_code = [checked_condition(text) for text in program.guards_code]
    if strange := [one for one in program.verifiers if one not in _DIALECTS]:
        raise HarmfulError(f"it is to be verified as {strange[0]!r}, which torch does not know")
    program.graph_module.metadata = {}
    return program


class _Check:
    """Makes of JSON what torch's schema says (as ``_dict_to_dataclass`` in serialize.py), and each part harmless."""

    def __init__(self) -> None:
        self._at = "its program"
        self._depth = 0
        self._handlers: Mapping[str, Callable[[Any], None]] = {
            "Node": self._node,
            "SymExpr": self._expression,
            "Device": self._device,
            "ModuleCallSignature": self._signature,
            "NamedArgument": self._argument,
            "Argument": self._union,
            "SymIntArgument": self._symbolic,
            "SymFloatArgument": self._symbolic,
            "SymBoolArgument": self._symbolic,
            "InputToConstantInputSpec": self._constant,
            "UserInputSpec": self._constant,
            "Graph": self._texts,
            **dict.fromkeys(_NAMES, self._named),
        }

    def value(self, given: Json, hint: Any, where: str) -> Any:
        """A value of the type that the schema tells."""
        form, inner = _form(hint)
        if form == "plain":
            if type(given) is inner:
                return given
            if inner is float and type(given) in (int, str):  # "Infinity"
                return float(given)
            if inner is int and type(given) is bool:
                return given
            raise self._of_type(given, inner, where)
        if form == "optional":
            return None if given is None else self.value(given, inner, where)
        if form == "list":
            if type(given) is not list:
                raise self._of_type(given, list, where)
            return [self.value(one, inner, where) for one in given]
        if type(given) is not dict:
            raise self._of_type(given, dict, where)
        if form == "dict":
            return {key: self.value(one, inner, where) for key, one in given.items()}
        return self._part(given, inner, where)

    def _of_type(self, given: Any, kind: type, where: str) -> HarmfulError:
        return HarmfulError(f"{self._at} has {type(given).__name__} for the {kind.__name__} of {where!r}")

    def _part(self, given: dict[str, Json], kind: Any, where: str) -> Any:
        before, self._depth = self._at, self._depth + 1
        if self._depth > _DEEPEST:
            raise HarmfulError(f"{self._at} holds parts that lie too deep within each other")
        name, fields, is_union = _fields(kind)
        if name == "Node":
            self._at = f"node {_name_of(given)!r}"
        if is_union:
            if len(given) != 1:
                raise HarmfulError(f"{self._at} has {len(given)} alternatives for {where!r}")
            ((chosen, held),) = given.items()
            if chosen not in fields:
                raise HarmfulError(f"{self._at} has {shown(chosen)} for {where!r}, which this torch does not know")
            made = kind.create(**{chosen: self.value(held, fields[chosen], chosen)})
        else:
            found = {key: self.value(given[key], hint, key) for key, hint in fields.items() if key in given}
            for key in _ATTRIBUTES & found.keys():
                self._attribute(found[key], key)
            made = kind(**found)
        if handler := self._handlers.get(name):
            handler(made)
        self._at, self._depth = before, self._depth - 1
        return made

    def _node(self, node: Any) -> None:
        self._operator(node.target)
        if node.name:
            self._identifier(node.name, "name")
        node.metadata = {key: text for key, text in node.metadata.items() if key in _KEPT}
        if node.target in _CONSTANT_POWERS:
            exponent = node.inputs[-1].arg.value if node.inputs else 0
            if isinstance(exponent, int) and abs(exponent) > _MOST_BITS:
                raise HarmfulError(f"{self._at} computes a number of more than {_MOST_BITS} powers")

    def _operator(self, name: str) -> None:
        try:
            check_operator(name)
        except HarmfulError as error:
            raise HarmfulError(f"{self._at} in {error}".replace(" in it calls", " calls", 1)) from None

    def _argument(self, argument: Any) -> None:
        if argument.name:
            self._identifier(argument.name, "argument")

    def _union(self, argument: Any) -> None:
        if argument.type == "as_operator":
            self._operator(argument.value)

    def _symbolic(self, argument: Any) -> None:
        if argument.type == "as_name":
            self._identifier(argument.value, "name")

    def _named(self, argument: Any) -> None:
        self._identifier(argument.name, "name")

    def _constant(self, given: Any) -> None:
        """Check an argument of the program, with which torch writes a condition where it is a text."""
        if getattr(given, "name", ""):
            self._identifier(given.name, "name")
        self._text(given.value if hasattr(given, "value") else given.arg)

    def _texts(self, graph: Any) -> None:
        for given in graph.inputs:
            self._text(given)

    def _text(self, given: Any) -> None:
        if given.type == "as_string":
            self._attribute(given.value, "text for an argument")

    def _identifier(self, name: Any, what: str) -> None:
        if not _IDENTIFIER.fullmatch(name):
            raise HarmfulError(
                f"{self._at} has the {what} {shown(name)}, where torch writes names of letters and digits"
            )

    def _attribute(self, name: Any, what: str) -> None:
        if not _ATTRIBUTE.fullmatch(name):
            raise HarmfulError(f"{self._at} has the {what} {shown(name)}, with quotes or control characters")

    def _expression(self, expression: Any) -> None:
        expression.expr_str = checked_expression(expression.expr_str)

    def _device(self, device: Any) -> None:
        device.type, device.index = "cpu", None

    def _signature(self, signature: Any) -> None:
        for name, is_input in (("in_spec", True), ("out_spec", False)):
            setattr(signature, name, checked_tree(getattr(signature, name), of_arguments=is_input))
        for argument in signature.forward_arg_names or ():
            self._identifier(argument, "name of an argument")


def _name_of(node: Json) -> str:
    """How to call a node in messages: by its name, or by its first result in older files."""
    for one in (node.get("name"), node.get("outputs"), node.get("target")):
        while isinstance(one, list | dict) and one:
            one = next(iter(one.values())) if isinstance(one, dict) else one[0]
        if isinstance(one, str) and one:
            return one
    return "?"


@cache
def _form(hint: Any) -> tuple[str, Any]:
    """Of which form a value of the schema is, and what it is of."""
    from torch._export.serde import schema

    if typing.get_origin(hint) is typing.Annotated:
        return _form(hint.__origin__)
    if isinstance(hint, str | typing.ForwardRef):
        return _form(getattr(schema, hint if isinstance(hint, str) else hint.__forward_arg__))
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        return "optional", typing.get_args(hint)[0]
    if origin in (list, dict):
        return origin.__name__, typing.get_args(hint)[-1]
    if dataclasses.is_dataclass(hint):
        return "part", hint
    return ("plain", int) if issubclass(hint, enum.Enum) else ("plain", hint)


@cache
def _fields(kind: Any) -> tuple[str, dict[str, Any], bool]:
    """Name of a class of the schema, its fields, and whether one of them is chosen."""
    from torch._export.serde import schema
    from torch._export.serde.union import _Union

    hints = typing.get_type_hints(kind, globalns=vars(schema))
    return (
        kind.__name__,
        {field.name: hints[field.name] for field in dataclasses.fields(kind)},
        issubclass(kind, _Union),
    )
