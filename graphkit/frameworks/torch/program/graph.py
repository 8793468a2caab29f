"""Nodes of a serialised graph as nodes of a model."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import onnx_ir as ir

from graphkit.errors import FormatError
from graphkit.frameworks.torch.annotate import CALL, STEM
from graphkit.frameworks.torch.program.arguments import Body, Text, argument, attribute, holds, tensors_in
from graphkit.frameworks.torch.program.binding import call
from graphkit.frameworks.torch.program.damage import DamageError
from graphkit.frameworks.torch.program.expressions import infix
from graphkit.frameworks.torch.program.notes import called, origin
from graphkit.frameworks.torch.program.operators import row_of
from graphkit.frameworks.torch.program.parts import SCALARS, TABLES, flat, names_in, outputs_in, symbol
from graphkit.frameworks.torch.program.pruning import pruned
from graphkit.frameworks.torch.program.reasons import reason
from graphkit.frameworks.torch.program.recorder import Recorder, UnfitError
from graphkit.frameworks.torch.program.schema import tensor_meta
from graphkit.frameworks.torch.program.sizes import size_node
from graphkit.frameworks.torch.program.targets import target_of
from graphkit.ir.origin import set_origin
from graphkit.ir.params import kind_of
from graphkit.ir.untranslated import set_untranslated

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphkit.frameworks.torch.program.schema import Json
    from graphkit.frameworks.torch.program.shared import Shared
    from graphkit.frameworks.torch.program.targets import Target
    from graphkit.ir.untranslated import Conversion

__all__ = ["GraphReader"]

_MISFITS: Final = (
    UnfitError,
    FormatError,
    TypeError,
    ValueError,
    IndexError,
    KeyError,
    AssertionError,
    ZeroDivisionError,
    OverflowError,
)
"""What rows raise for arguments that they are not made for, which a file may hold."""
_WRITES: Final = "it writes to its operand in place, which other values may share memory with"
_OF_SHAPES: Final = ("sym_size", "sym_numel", "sym_stride", "sym_storage_offset")
"""Functions of a tensor that read no element of it."""
_DECOMPOSED: Final = dict.fromkeys(("flatten", "reshape", "unflatten", "view_as", "reshape_as", "ravel"), "view")
"""What conversion names nodes after: the operators that torch decomposes these to."""
_GRAD_MODE: Final = "wrap_with_set_grad_enabled"
_INLINED: Final = frozenset(
    {
        _GRAD_MODE,
        "wrap_with_autocast",
        "wrap",
        "wrap_activation_checkpoint",
        "tag_activation_checkpoint",
        "invoke_subgraph",
    }
)
"""Higher-order operators that compute what the graph they hold does."""


class GraphReader:
    """Reads the nodes of one graph, in order.

    Args:
        graph: The graph.
        shared: What the graphs of the model share.
        nodes: Where nodes go; those of an inlined graph go to the one around it.

    Attributes:
        values: What names stand for.
        nodes: The nodes.
    """

    def __init__(self, graph: Json, shared: Shared, nodes: list[ir.Node] | None = None) -> None:
        self.graph = graph
        self.shared = shared
        self.values: dict[str, Any] = {}
        self.nodes: list[ir.Node] = [] if nodes is None else nodes
        self._used: Counter[str] | None = None
        self._at = "an output"

    def fresh(self, name: str) -> ir.Value:
        """A value of a tensor of the graph, with the type and shape that the file tells."""
        held = self.graph["tensor_values"].get(name)
        if held is None:
            return ir.Value(name=name)
        meta = tensor_meta(held)
        return ir.Value(name=name, type=self.shared.type_of(meta.dtype), shape=self.shared.shape_of(meta.sizes))

    def lookup(self, name: str) -> Any:
        """What a name stands for.

        Raises:
            DamageError: It stands for nothing, or for what comes later only.
        """
        try:
            return self.values[name]
        except KeyError:
            raise DamageError(
                f"{self._at} reads {name!r}, which is no input and nothing before it computes: the graph refers to "
                f"nothing, or has a cycle"
            ) from None

    def bind(self, name: str, value: Any) -> None:
        """Let a name stand for something.

        Raises:
            DamageError: It stands for something already.
        """
        if name in self.values:
            raise DamageError(f"{name!r} is computed twice")
        self.values[name] = value

    def run(self) -> None:
        """Read all nodes."""
        for node in self.graph["nodes"]:
            target = target_of(node["target"])
            outputs = list(outputs_in(node["outputs"]))
            self._at = f"node {(node.get('name') or next(filter(None, (name for _, name in outputs)), '?'))!r}"
            arguments = [(given["name"], argument(given["arg"], self.lookup)) for given in node["inputs"]]
            self._node(node, target, arguments, outputs)

    def outputs(self, given: Sequence[Json]) -> list[Any]:
        """What the outputs of the graph stand for."""
        self._at = "an output"
        return [argument(one, self.lookup) for one in given]

    def _node(
        self, node: Json, target: Target, arguments: list[tuple[str, Any]], outputs: list[tuple[str, str]]
    ) -> None:
        if self.shared.raw:
            self._foreign(node, target, arguments, outputs)
            return
        if all(kind.startswith("as_sym") for kind, _ in outputs) and outputs:
            self._symbolic(node, target, arguments, outputs[0])
            return
        if target.namespace == "higher_order" and self._control(node, target, arguments, outputs):
            return
        if not outputs and target.namespace == "aten" and not target.packet.endswith("_"):
            return  # an assertion
        if self._writes_unseen(target, outputs):
            if self._only_counts(node, arguments):
                self.bind_fresh(outputs)
            else:
                self._foreign(node, target, arguments, outputs, _WRITES, "made")
                self.shared.kept.add(self.nodes[-1])
            return
        why = ""
        if (row := row_of(target.namespace, target.packet, target.overload)) is not None:
            try:
                self._row(node, target, row, arguments, outputs)
                return
            except _MISFITS as error:
                why = str(error) if isinstance(error, UnfitError) else ""
        told, conversion = reason(target.namespace, target.packet)
        self._foreign(node, target, arguments, outputs, f"{told} ({why})" if why else told, conversion)
        if not outputs:
            self.shared.kept.add(self.nodes[-1])

    def _row(
        self,
        node: Json,
        target: Target,
        row: Any,
        arguments: list[tuple[str, Any]],
        outputs: list[tuple[str, str]],
    ) -> None:
        """Let a row emit the node.

        Raises:
            UnfitError: The row cannot; nothing was changed.
        """
        planned = [self.fresh(name) if name else None for _, name in outputs]
        emit = Recorder(self.shared.constants, planned)
        given = call(row, emit, arguments)
        results = list(given) if isinstance(given, list | tuple) else [given]
        if len(results) != len(planned):
            raise UnfitError("its results are others in ONNX")
        made = {value for one in emit.nodes for value in one.outputs}
        bound: dict[str, ir.Value] = {}
        for (_, name), plan, value in zip(outputs, planned, results, strict=True):
            if plan is None:
                continue
            if value in emit.stand_ins:
                if name in self._names_used():
                    raise UnfitError(emit.stand_ins[value])
                continue
            if value in made and value.name is None:
                value.name, value.type, value.shape = name, plan.type, plan.shape
            elif value.shape is not None and plan.shape is not None and len(value.shape) != len(plan.shape):
                raise UnfitError("its result has another shape in ONNX")
            bound[name] = value
        emit.infer()
        emit.check_sizes()
        for name, value in bound.items():
            self.bind(name, value)
        self._add(emit.nodes, node, target)

    def _add(self, nodes: Sequence[ir.Node], node: Json, target: Target) -> None:
        """Append nodes that a node of the file became, with what torch noted on it."""
        metadata = node.get("metadata") or {}
        name = _name_of(node, target)
        came = origin(target.label, name, metadata)
        module_call = called(metadata)
        for one in nodes:
            set_origin(one, came)
            one.metadata_props[CALL] = module_call
            if target.packet in _DECOMPOSED:
                one.metadata_props[STEM] = _DECOMPOSED[target.packet]
        self.nodes.extend(nodes)

    def _foreign(
        self,
        node: Json,
        target: Target,
        arguments: list[tuple[str, Any]],
        outputs: list[tuple[str, str]],
        why: str = "",
        conversion: Conversion = "refused",
    ) -> None:
        """Keep a node as PyTorch's own."""
        operands: list[ir.Value | None] = []
        attributes: dict[str, ir.Attr] = {}
        for place, (name, given) in enumerate(arguments):
            key = name or (given.name if isinstance(given, Body) else f"arg{place}")
            operands.extend(one for one in tensors_in(given) if one is None or self._is_operand(one))
            if isinstance(given, Body):
                attributes[key] = ir.AttrGraph(key, self.body(given))
            elif not holds(given, Body) and (made := attribute(key, given, self.shared.sizes.get)) is not None:
                attributes[key] = made
        results = self.bind_fresh(outputs)
        made_node = ir.Node(
            target.domain, target.op_type, operands, attributes.values(), outputs=results, version=1, name=None
        )
        if why:
            set_untranslated(made_node, why, conversion)
        self._add([made_node], node, target)
        if self.shared.raw:
            made_node.name = _name_of(node, target)

    def _is_operand(self, value: ir.Value) -> bool:
        """Whether a node reads a value as a tensor, rather than as a symbolic size that its attributes tell."""
        return value not in self.shared.sizes or self.shared.raw

    def bind_fresh(self, outputs: Sequence[tuple[str, str]]) -> list[ir.Value]:
        """Bind names of tensors and symbolic numbers, by kind, to values with the types and shapes that are told."""
        results = []
        for kind, name in outputs:
            value = self.fresh(name) if kind == "as_tensor" else ir.Value(name=name or None)
            if kind in SCALARS:
                value.type, value.shape = self.shared.type_of(SCALARS[kind]), ir.Shape(())
                self.shared.sizes[value] = self._size_text(kind, name)
            if name:
                self.bind(name, value)
            results.append(value)
        return results

    def _size_text(self, kind: str, name: str) -> str:
        held = (self.graph.get(TABLES[kind]) or {}).get(name)
        if held is None:
            return name
        return infix(str(symbol(held)), self.shared.dims)

    def _symbolic(self, node: Json, target: Target, arguments: list[tuple[str, Any]], output: tuple[str, str]) -> None:
        """A node that computes a size: bound to its number, to nodes that compute it, or to text."""
        kind, name = output
        held = (self.graph.get(TABLES[kind]) or {}).get(name)
        known = None if held is None else symbol(held)
        if isinstance(known, int | float):
            self.bind(name, known)
            return
        tensors = [one for _, given in arguments for one in tensors_in(given) if one not in self.shared.sizes]
        if tensors and target.packet not in _OF_SHAPES:
            # it depends on data
            self._foreign(node, target, arguments, [output], *reason(target.namespace, target.packet))
            self.shared.sizes.pop(self.values[name])
            return
        text = self._size_text(kind, name)
        emit = Recorder(self.shared.constants, [])
        value = size_node(emit, target.packet, [given for _, given in arguments]) if kind == "as_sym_int" else None
        if value is None:
            self.bind(name, Text(text))
            return
        if value not in self.shared.sizes:
            try:
                emit.infer()
            except UnfitError:
                self.bind(name, Text(text))
                return
            self.shared.sizes[value] = text
        self.bind(name, value)
        self._add(emit.nodes, node, target)

    def _control(
        self, node: Json, target: Target, arguments: list[tuple[str, Any]], outputs: list[tuple[str, str]]
    ) -> bool:
        """Read a higher-order operator that ONNX has too, or that is no more than its graph; whether it was one."""
        given = [value for _, value in arguments]
        bodies = [value for value in given if isinstance(value, Body)]
        if target.packet in _INLINED and len(bodies) == 1:
            operands = flat(given[given.index(bodies[0]) + 1 :])
            inner = self._inside(bodies[0], operands, self.nodes)
            if inner is None:
                return False
            results = flat(inner.outputs(bodies[0].graph["outputs"]))
            if len(results) != len(outputs):
                raise DamageError(f"{self._at} gives {len(outputs)} results, its graph {len(results)}")
            emit = Recorder(self.shared.constants, [])
            stopped = target.packet == _GRAD_MODE and given[0] is False
            for (_, name), value in zip(outputs, results, strict=True):
                if name:
                    self.bind(name, emit.detached(value) if stopped and isinstance(value, ir.Value) else value)
            self._add(emit.nodes, node, target)
            return True
        if target.packet == "cond" and len(bodies) == 2 and isinstance(given[0], ir.Value):
            branches = [self._branch(body, flat(given[given.index(bodies[1]) + 1 :])) for body in bodies]
            if any(branch is None or len(branch.outputs) != len(outputs) for branch in branches):
                return False
            attributes = [
                ir.AttrGraph(name, branch)
                for name, branch in zip(("then_branch", "else_branch"), branches, strict=True)
                if branch is not None
            ]
            results = self.bind_fresh(outputs)
            self._add([ir.Node("", "If", [given[0]], attributes, outputs=results, version=None)], node, target)
            return True
        return False

    def _inside(self, body: Body, operands: Sequence[Any], nodes: list[ir.Node] | None) -> GraphReader | None:
        """The graph of a body, read with its inputs bound to operands; None where they are not as many."""
        inputs = [name for given in body.graph["inputs"] for _, name in outputs_in([given])]
        if len(inputs) != len(operands):
            return None
        inner = GraphReader(body.graph, self.shared, nodes)
        for name, value in zip(inputs, operands, strict=True):
            if name:
                inner.bind(name, value)
        inner.run()
        return inner

    def _branch(self, body: Body, operands: Sequence[Any]) -> ir.Graph | None:
        """The graph of a branch, which reads the values around it."""
        inner = self._inside(body, operands, None)
        if inner is None:
            return None
        results: list[ir.Value] = []
        own = {value for one in inner.nodes for value in one.outputs}
        for value in flat(inner.outputs(body.graph["outputs"])):
            if not isinstance(value, ir.Value):
                return None
            if value not in own or value in results:
                keeper = ir.Node("", "Identity", [value], num_outputs=1)
                keeper.outputs[0].type, keeper.outputs[0].shape = value.type, value.shape
                inner.nodes.append(keeper)
                value = keeper.outputs[0]
            results.append(value)
        pruned(inner.nodes, results, self.shared.kept)
        return ir.Graph([], results, nodes=inner.nodes, name=body.name)

    def body(self, body: Body) -> ir.Graph:
        """The graph of a body, with inputs of its own."""
        inner = GraphReader(body.graph, self.shared)
        inputs = []
        for kind, name in (found for given in body.graph["inputs"] for found in outputs_in([given])):
            if not name:
                continue
            value = inner.bind_fresh([(kind, name)])[0]
            inputs.append(value)
        inner.run()
        results = [value for value in flat(inner.outputs(body.graph["outputs"])) if isinstance(value, ir.Value)]
        if not self.shared.raw:
            pruned(inner.nodes, results, self.shared.kept)
        return ir.Graph(inputs, results, nodes=inner.nodes, name=body.name)

    def _writes_unseen(self, target: Target, outputs: list[tuple[str, str]]) -> bool:
        """Whether a node writes in place, and nothing reads its own result."""
        in_place = target.packet.endswith("_") and not target.packet.endswith("__")
        return in_place and not any(name in self._names_used() for _, name in outputs)

    def _only_counts(self, node: Json, arguments: list[tuple[str, Any]]) -> bool:
        """Whether a node writes to a buffer that nothing else reads, such as a count of batches."""
        first = arguments[0][1] if arguments else None
        if not isinstance(first, ir.Value) or kind_of(first) != "buffer":
            return False
        return all(self._names_used()[name] == 1 for name in names_in(node["inputs"][0]["arg"]))

    def _names_used(self) -> Counter[str]:
        """How often nodes and outputs of the graph read each name."""
        if self._used is None:
            given = [one["arg"] for node in self.graph["nodes"] for one in node["inputs"]]
            self._used = Counter(name for one in (*given, *self.graph["outputs"]) for name in names_in(one))
        return self._used


def _name_of(node: Json, target: Target) -> str:
    """Name of a node: files before PyTorch 2.9 have those of results only."""
    names = [name for _, name in outputs_in(node["outputs"])]
    return str(node.get("name") or (names[0] if len(names) == 1 else target.packet))
