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
    from collections.abc import Callable, Iterator, Mapping

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
    from torch._export.serde import schema, serialize

    parse: Any = serialize._dict_to_dataclass
    program = parse(schema.ExportedProgram, document)
    _Check().value(program, schema.ExportedProgram, "program")
    for name in program.range_constraints:
        checked_symbol(name)
    program.guards_code = [checked_condition(text) for text in program.guards_code]
    if strange := [one for one in program.verifiers if one not in _DIALECTS]:
        raise HarmfulError(f"it is to be verified as {strange[0]!r}, which torch does not know")
    program.graph_module.metadata = {}
    return program


class _Check:
    """Walks through a program, and makes it harmless where it is, in place."""

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
            "InputToConstantInputSpec": self._named,
            **dict.fromkeys(_NAMES, self._named),
        }

    def value(self, given: Any, hint: Any, where: str) -> None:
        """Check a value against the type that the schema tells."""
        if typing.get_origin(hint) is typing.Annotated:
            hint = hint.__origin__
        origin = typing.get_origin(hint)
        if origin in (typing.Union, types.UnionType):
            if given is not None:
                self.value(given, typing.get_args(hint)[0], where)
        elif origin is list:
            self._typed(given, list, where)
            (inner,) = typing.get_args(hint)
            for one in given:
                self.value(one, inner, where)
        elif origin is dict:
            self._typed(given, dict, where)
            inner = typing.get_args(hint)[1]
            for key, one in given.items():
                self._typed(key, str, where)
                self.value(one, inner, where)
        elif isinstance(hint, type) and dataclasses.is_dataclass(hint):
            self._part(given, hint, where)
        elif isinstance(hint, type) and issubclass(hint, enum.Enum):
            self._typed(given, int, where)
        else:
            self._typed(given, hint, where)

    def _typed(self, given: Any, kind: type, where: str) -> None:
        if (kind is float and type(given) is int) or (kind is int and type(given) is bool):
            return
        if type(given) is not kind:
            raise HarmfulError(f"{self._at} has {type(given).__name__} for the {kind.__name__} of {where!r}")

    def _part(self, given: Any, kind: type, where: str) -> None:
        self._typed(given, kind, where)
        before, self._depth = self._at, self._depth + 1
        if self._depth > _DEEPEST:
            raise HarmfulError(f"{self._at} holds graphs that lie too deep within each other")
        if handler := self._handlers.get(kind.__name__):
            handler(given)
        for name, hint in self._fields(given, kind):
            if name in _ATTRIBUTES:
                self._attribute(getattr(given, name), name)
            self.value(getattr(given, name), hint, name)
        self._at, self._depth = before, self._depth - 1

    def _fields(self, given: Any, kind: type) -> Iterator[tuple[str, Any]]:
        """The fields that there are; of a union the one that was chosen."""
        for name, hint in _hints(kind):
            if "_type" not in vars(given) or name == str(given.type):
                yield name, hint

    def _node(self, node: Any) -> None:
        outputs = [one.value.name for one in node.outputs if hasattr(one.value, "name")]
        self._at = f"node {(node.name or next(iter(outputs), '') or node.target)!r}"
        self._typed(node.target, str, "target")
        self._operator(node.target)
        if node.name:
            self._identifier(node.name, "name")
        self._typed(node.metadata, dict, "metadata")
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
            self._typed(argument.value, str, "operator")
            self._operator(argument.value)

    def _symbolic(self, argument: Any) -> None:
        if argument.type == "as_name":
            self._identifier(argument.value, "name")

    def _named(self, argument: Any) -> None:
        if argument.name or type(argument).__name__ != "InputToConstantInputSpec":
            self._identifier(argument.name, "name")

    def _identifier(self, name: Any, what: str) -> None:
        self._typed(name, str, what)
        if not _IDENTIFIER.fullmatch(name):
            raise HarmfulError(
                f"{self._at} has the {what} {shown(name)}, where torch writes names of letters and digits"
            )

    def _attribute(self, name: Any, what: str) -> None:
        self._typed(name, str, what)
        if not _ATTRIBUTE.fullmatch(name):
            raise HarmfulError(f"{self._at} has the {what} {shown(name)}, a name with quotes or control characters")

    def _expression(self, expression: Any) -> None:
        self._typed(expression.expr_str, str, "size")
        expression.expr_str = checked_expression(expression.expr_str)

    def _device(self, device: Any) -> None:
        device.type, device.index = "cpu", None

    def _signature(self, signature: Any) -> None:
        for name, is_input in (("in_spec", True), ("out_spec", False)):
            self._typed(getattr(signature, name), str, name)
            setattr(signature, name, checked_tree(getattr(signature, name), of_arguments=is_input))
        for argument in signature.forward_arg_names or ():
            self._identifier(argument, "name of an argument")


@cache
def _hints(kind: type) -> tuple[tuple[str, Any], ...]:
    from torch._export.serde import schema

    hints = typing.get_type_hints(kind, globalns=vars(schema), include_extras=True)
    return tuple((field.name, hints[field.name]) for field in dataclasses.fields(kind))
