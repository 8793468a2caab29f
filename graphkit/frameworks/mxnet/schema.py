"""What MXNet 1.9.1 knows of its operators: names, inputs, outputs, auxiliary states and parameters.

``schema.json`` beside this module is written by ``tools/dump_mxnet_schema.py`` from an installed MXNet and read on
first use. It leaves out gradients and optimizer steps, which no model's symbol holds. A row says

- ``alias``: other registered names;
- ``in``: input names in order, auxiliary states included; a list in it is repeated once per input or per group of
  inputs, with ``{}`` standing for the number; null where MXNet names none, ``doc`` then has the documented names;
- ``count``: the parameter that says how often;
- ``out`` and ``hidden``: number of outputs that a symbol lists and of further ones; a parameter's name where that
  parameter is the number; ``"split"`` for the rule of ``_split_v2``;
- ``aux``: which inputs are auxiliary states; ``init``: initialisers that MXNet attaches to variables;
- ``by`` and ``cases``: what differs with the values of the parameters ``by``, keyed by these values (``*`` is any but
  None);
- ``params``: type (``?`` may be None, ``!`` required), default, choices;
- ``any``: parameters that are not listed are accepted.

``forks.json`` has rows of the same form, written by hand, for operators that published symbols of MXNet's forks have
and MXNet 1.9.1 has not: those of BMXNet (``smd_hpi/src`` of its repository) and MoonOutput of mxnet-face.
"""

from __future__ import annotations

import difflib
import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from graphkit.errors import FormatError
from graphkit.frameworks.mxnet.spelling import Parameter

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graphkit.ops.mxgraph import MxGraph, MxNode

__all__ = [
    "MANY",
    "Operator",
    "arguments",
    "aux",
    "aux_names",
    "canonical",
    "initializers",
    "operator",
    "operators",
    "output_count",
    "outputs",
    "validate",
]


@dataclass(frozen=True, slots=True)
class Operator:
    """One operator of MXNet 1.9.1.

    Attributes:
        name: Canonical name, which MXNet itself writes into symbols.
        aliases: Other registered names.
        parameters: Its parameters by name.
        open: Whether parameters that are not listed are accepted.
    """

    name: str
    aliases: tuple[str, ...]
    parameters: Mapping[str, Parameter]
    open: bool
    _row: Mapping[str, Any]

    def value(self, attrs: Mapping[str, str], name: str) -> str:
        """The value of a parameter as a string, its default where it is not given.

        Raises:
            FormatError: MXNet would refuse the value, or it is required and absent.
        """
        parameter = self.parameters[name]
        text = attrs.get(name, parameter.default)
        if text is None and parameter.nullable:
            return "None"
        if text is None:
            raise FormatError(f"{self.name} needs the parameter {name}, which is absent.")
        if problem := parameter.problem(text):
            raise FormatError(f"Parameter {name} of {self.name} {problem}.")
        return text

    def arguments(self, attrs: Mapping[str, str]) -> tuple[str, ...] | None:
        """Names of all inputs in order, auxiliary states included; None where MXNet names none (control flow, …).

        Raises:
            FormatError: As :meth:`value`, for the parameters that the inputs depend on.
        """
        groups = self._case(attrs)["in"]
        if groups is None:
            return None
        names: list[str] = []
        for group in groups:
            names += [group] if isinstance(group, str) else self._repeated(group, attrs)
        return tuple(names)

    def documented(self) -> tuple[str, ...]:
        """Input names in the documentation, of operators for which :meth:`arguments` is None."""
        return tuple(self._row.get("doc", ()))

    def aux(self, attrs: Mapping[str, str]) -> frozenset[int]:
        """Positions of the inputs that are auxiliary states; raises like :meth:`arguments`."""
        states = self._case(attrs).get("aux", ())
        return frozenset(i for i, name in enumerate(self.arguments(attrs) or ()) if name in states) if states else _NONE

    def initializers(self, attrs: Mapping[str, str]) -> dict[int, str]:
        """``__init__`` attributes that MXNet sets on variables, by input position; raises like :meth:`arguments`."""
        texts = self._case(attrs).get("init", {})
        return {i: texts[name] for i, name in enumerate(self.arguments(attrs) or ()) if name in texts} if texts else {}

    def outputs(self, attrs: Mapping[str, str]) -> tuple[int | None, int]:
        """Number of outputs that a symbol lists, None where unknown, and of hidden ones.

        Hidden ones are those of the oneDNN builds: a max pooling has one more than elsewhere.

        Raises:
            FormatError: As :meth:`value`, for the parameters that the outputs depend on.
        """
        case = self._case(attrs)
        count, hidden = case.get("out", 1), case.get("hidden", 0)
        if count == "split":
            count = "sections"
            listed = int(self.value(attrs, count))
            listed = listed if listed > 0 else self.value(attrs, "indices").strip("()[] ,").count(",") + 1
        else:
            listed = int(self.value(attrs, count)) if isinstance(count, str) else count
        if listed is not None and not 0 <= listed <= MANY:
            raise FormatError(f"Parameter {count} of {self.name} is {listed}, which is no number of outputs.")
        return listed, hidden

    def _case(self, attrs: Mapping[str, str]) -> Mapping[str, Any]:
        if "by" not in self._row:
            return self._row
        key = ",".join(self.parameters[name].value_class(self.value(attrs, name)) for name in self._row["by"])
        return {**self._row, **self._row["cases"].get(key, {})}

    def _repeated(self, group: list[str], attrs: Mapping[str, str]) -> list[str]:
        count = int(self.value(attrs, self._row["count"]))
        if not 0 <= count <= MANY:
            raise FormatError(
                f"Parameter {self._row['count']} of {self.name} is {count}, which is no number of inputs."
            )
        return [name.format(i) for i in range(count) for name in group]


_NONE: frozenset[int] = frozenset()
MANY = 65536
"""More inputs or outputs than an operator can be meant to have."""


@cache
def _rows(table: str = "schema.json") -> dict[str, Any]:
    text = resources.files("graphkit.frameworks.mxnet").joinpath(table).read_text("utf-8")
    rows: dict[str, Any] = json.loads(text)
    return rows


@cache
def _all_rows() -> dict[str, Any]:
    return _rows() | _rows("forks.json")


@cache
def _aliases() -> dict[str, str]:
    return {alias: name for name, row in _all_rows().items() for alias in row.get("alias", ())}


def _parameter(name: str, row: list[Any]) -> Parameter:
    kind: str = row[0]
    default = row[1] if len(row) > 1 else None
    choices = tuple(row[2]) if len(row) > 2 else ()
    return Parameter(name, kind.rstrip("?!"), "?" in kind, kind.endswith("!"), default, choices)


def operators() -> tuple[str, ...]:
    """Canonical names of all operators of MXNet 1.9.1, sorted."""
    return tuple(_rows())


def canonical(op: str) -> str:
    """The canonical name of an operator, e.g. ``"Concat"`` for ``"concat"``; an unknown name stays as it is.

    Names are MXNet's and not what they seem: ``Softmax`` is SoftmaxOutput, ``crop`` is ``slice``.
    """
    return _aliases().get(op, op)


@cache
def operator(op: str) -> Operator | None:
    """All about an operator, by any of its names; None for one that neither MXNet 1.9.1 nor a known fork has."""
    name = canonical(op)
    row = _all_rows().get(name)
    if row is None:
        return None
    parameters = {key: _parameter(key, value) for key, value in row.get("params", {}).items()}
    return Operator(name, tuple(row.get("alias", ())), parameters, row.get("any", False), row)


def arguments(op: str, attrs: Mapping[str, str]) -> tuple[str, ...]:
    """Names of an operator's inputs in order, auxiliary states included; empty for an unknown operator.

    Raises:
        FormatError: A parameter that the inputs depend on has a value that MXNet would refuse.
    """
    found = operator(op)
    if found is None:
        return ()
    names = found.arguments(attrs)
    return found.documented() if names is None else names


def aux(op: str, attrs: Mapping[str, str]) -> frozenset[int]:
    """Positions of the inputs that are auxiliary states (moving statistics); raises as :func:`arguments`."""
    found = operator(op)
    return _NONE if found is None else found.aux(attrs)


def initializers(op: str, attrs: Mapping[str, str]) -> dict[int, str]:
    """``__init__`` attributes that MXNet sets on variables, by input position; raises as :func:`arguments`."""
    found = operator(op)
    return {} if found is None else found.initializers(attrs)


def outputs(op: str, attrs: Mapping[str, str]) -> tuple[int | None, int]:
    """Number of outputs that a symbol lists, None where unknown, and of hidden ones; raises as :func:`arguments`."""
    found = operator(op)
    return (None, 0) if found is None else found.outputs(attrs)


def aux_names(graph: MxGraph) -> set[str]:
    """Names of the variables that are auxiliary states, which a symbol does not say but its operators do.

    A node with a parameter that MXNet would refuse counts as one without auxiliary states.
    """
    names: set[str] = set()
    for node in graph.nodes:
        try:
            positions = _NONE if node.is_variable else aux(node.op, node.attrs)
        except FormatError:
            continue  # said where the node is validated
        read = [node.inputs[i].node for i in positions if i < len(node.inputs)]
        names.update(variable.name for variable in read if variable.is_variable)
    return names


def validate(node: MxNode) -> list[str]:
    """What MXNet 1.9.1 would refuse in a node, as clauses without a full stop; empty when it would load it.

    An operator of a fork is looked at as that fork would.
    Looked at are the operator, its parameters and their values, the number of inputs, and which outputs of other nodes
    it reads. Shapes are not.
    """
    if node.is_variable:
        return [f"a variable has {len(node.inputs)} inputs"] if node.inputs else []
    found = operator(node.op)
    if found is None:
        return [f"MXNet 1.9.1 has no operator {node.op!r}" + _hint(node.op, operators())]
    problems = [] if found.open else _strangers(found, node.attrs)
    for name, parameter in found.parameters.items():
        if name in node.attrs:
            problem = parameter.problem(node.attrs[name])
            problems += [f"parameter {name} {problem}"] if problem else []
        elif parameter.required:
            problems.append(f"the required parameter {name} is absent")
    if problems:
        return problems
    try:
        names, _ = found.arguments(node.attrs), found.outputs(node.attrs)
    except FormatError as error:
        return [str(error).rstrip(".")]
    if names is not None and len(names) != len(node.inputs):
        wanted = f" ({', '.join(names)})" if names and len(names) < 10 else ""
        problems.append(f"it has {len(node.inputs)} inputs where it needs {len(names)}{wanted}")
    for position, ref in enumerate(node.inputs):
        total = output_count(ref.node)
        if total is not None and ref.output >= total:
            problems.append(f"input {position} is output {ref.output} of {ref.node.name!r}, which has only {total}")
    return problems


def output_count(node: MxNode) -> int | None:
    """Number of a node's outputs, hidden ones included; None where unknown."""
    if node.is_variable:
        return 1
    try:
        shown, hidden = outputs(node.op, node.attrs)
    except FormatError:
        return None  # said of the node itself
    return None if shown is None else shown + hidden


def _strangers(found: Operator, attrs: Mapping[str, str]) -> list[str]:
    unknown = [name for name in attrs if name not in found.parameters]
    return [f"it has no parameter {name!r}" + _hint(name, tuple(found.parameters)) for name in unknown]


_LONGEST_WORD = 100
"""Characters up to which a word is compared with those that are known."""


def _hint(word: str, known: tuple[str, ...]) -> str:
    close = difflib.get_close_matches(word, known, 1) if len(word) <= _LONGEST_WORD else []
    return f" (did you mean {close[0]}?)" if close else ""
