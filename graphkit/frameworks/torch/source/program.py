"""Canonical model to a torch program."""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import onnx_ir as ir

from graphkit.errors import UnsupportedError
from graphkit.frameworks.asking import CONTRADICTIONS, Asking, contradiction
from graphkit.frameworks.torch.source.uses import needed, stored_dtype, stored_in
from graphkit.ir import params
from graphkit.ir.canonical.contrib import why_kept
from graphkit.ir.dims import dims_of
from graphkit.ir.dtypes import dtype_of
from graphkit.ops import ledger
from graphkit.ops.index import index
from graphkit.ops.layout import arrange
from graphkit.ops.runs import Runs
from graphkit.ops.spec import Refusal, decimal, is_float, whole
from graphkit.ops.torchprogram import Body, Code, Layer, Size, Stmt, Stored, TorchProgram, Var, walk
from graphkit.ops.unsigned import WITHOUT_KERNEL, as_signed, has_wide_unsigned

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence

    import numpy.typing as npt

    from graphkit.errors import UnsupportedNode
    from graphkit.ops.layout import Layout
    from graphkit.ops.torchprogram import Arg, Targets

__all__ = ["BUFFERS", "to_program"]

BUFFERS = frozenset({"running_mean", "running_var", "num_batches_tracked"})
"""Tensors of torch's layers that are no parameters."""


_NOTHING = Code("None")
"""What an optional value is that is absent."""


def to_program(model: ir.Model, warn: Callable[[str], None] = lambda _message: None) -> TorchProgram:
    """Convert a canonical model.

    Args:
        model: The model; it is not changed, and its weights are referred to, not copied.
        warn: Receives deviations that the user must know of.

    Raises:
        UnsupportedError: Nodes that torch cannot express, all of them.
        ShapeNeededError: A node can only be converted when more of the model's shapes are given.
    """
    shared: set[ir.Value] = set()
    while True:
        warnings: list[str] = []
        builder = _Builder(model, warnings.append, shared)
        for node in model.graph:
            builder.write(node)
        program = builder.finish()
        conflicts = _conflicts(program)
        if not conflicts - shared:
            break
        shared |= conflicts
    for message in dict.fromkeys(warnings):
        warn(message)
    return program


def _conflicts(program: TorchProgram) -> set[ir.Value]:
    """Trained initializers that would be stored twice, so that they would be trained apart."""
    owners: dict[ir.Value, set[tuple[Layout, int]]] = {}
    for stmt in walk(program.stmts):
        if stmt.layer is not None:
            for tensor in stmt.layer.tensors.values():
                if isinstance(tensor, Stored):
                    owners.setdefault(tensor.value, set()).add((tensor.layout, id(stmt.layer)))
    for stored in stored_in(program):
        owners.setdefault(stored.value, set()).add((stored.layout, 0))
    return {
        value
        for value, uses in owners.items()
        if params.kind_of(value) != "constant" and len(uses) > 1 and not _apart(value, [layout for layout, _ in uses])
    }


def _apart(value: ir.Value, layouts: Sequence[Layout]) -> bool:
    """Whether no element of an initializer is in two of the layouts, nor twice in one."""
    assert value.const_value is not None
    if all(step in ("transpose", "reshape") for layout in layouts for step, _ in layout):
        return False  # each is all of it
    shape, size = tuple(value.const_value.shape.numpy()), value.const_value.size
    runs = [found for layout in layouts if (found := Runs.of([0], [size]).arranged(layout, shape)) is not None]
    if len(runs) == len(layouts):
        return Runs.joined(runs).is_apart()
    numbers = np.arange(size).reshape(shape)
    used = np.concatenate([arrange(numbers, layout).reshape(-1) for layout in layouts])
    return bool(used.size <= numbers.size and np.bincount(used).max(initial=0) <= 1)


class _Builder(Asking):
    """Implements :class:`graphkit.ops.builders.TorchBuilder`, one ONNX node at a time."""

    def __init__(self, model: ir.Model, warn: Callable[[str], None], shared: set[ir.Value]) -> None:
        super().__init__(warn)
        self._model = model
        self._shared = shared
        self._stmts: list[Stmt] = []
        self._layers: dict[Hashable, Layer] = {}
        self._refusals: dict[Stmt, UnsupportedNode] = {}
        self._inputs = [Var(value) for value in model.graph.inputs if not value.is_initializer()]
        self._args: dict[ir.Value, Arg] = {var.value: var for var in self._inputs if var.value is not None}
        self._constants = 0

    def write(self, node: ir.Node) -> None:
        """Convert one node, or note why it cannot be."""
        self._node = node
        before = len(self._stmts)
        result = self._convert(node)
        if not isinstance(result, Refusal):
            results = list(result) if isinstance(result, tuple | list) else [cast("Arg", result)]
            for value, arg in zip(node.outputs, results, strict=False):
                self._bind(value, arg)
            missing = [v.name for v in node.outputs[len(results) :] if v.uses() or v.is_graph_output()]
            if not missing:
                return
            result = Refusal(f"torch does not give its output {missing[0]!r}")
        del self._stmts[before:]
        outputs = tuple(Var(value) for value in node.outputs)
        read = tuple(self.arg(value) for value in node.inputs if value is not None)
        stmt = self._emit("call", "?", read, {}, outputs)
        self._refusals[stmt] = self.refused(node, result, self._model.graph.inputs)
        self._args.update(zip(node.outputs, outputs, strict=True))

    def finish(self) -> TorchProgram:
        """The program of the model's outputs, without the statements that none of them needs."""
        outputs: list[Var | Stored] = []
        for value in self._model.graph.outputs:
            arg = self.arg(value)
            outputs.append(self._tensor(arg))
        kept = needed(self._stmts, outputs)
        refused = [self._refusals[stmt] for stmt in walk(kept) if stmt in self._refusals]
        if refused:
            raise UnsupportedError("PyTorch", refused)
        return TorchProgram(self._model.graph.name or "model", self._inputs, outputs, kept)

    def _convert(self, node: ir.Node) -> Arg | Sequence[Arg] | Refusal:
        op = index().by_onnx.get((node.domain, node.op_type))
        if op is None or op.torch is None:
            known = ledger.ONNX.get((node.domain, node.op_type), "graphkit has no torch source for it")
            return Refusal(why_kept(node) or known)
        args = [None if value is None else self.arg(value) for value in node.inputs]
        try:
            result = op.torch(self, node, args)
        except CONTRADICTIONS as error:
            return contradiction(error)
        lacking = isinstance(result, Refusal) or node.op_type in WITHOUT_KERNEL
        if lacking and has_wide_unsigned(self, node):
            return as_signed(self, node, args, op.torch)
        return result

    def _bind(self, value: ir.Value, arg: Arg) -> None:
        """Remember what holds a value; a variable that was made for it holds it by name."""
        self._args[value] = arg
        if isinstance(arg, Var) and arg.value is None:
            arg.value = value

    def arg(self, value: ir.Value) -> Arg:
        """What holds a value."""
        if value not in self._args:
            assert value.const_value is not None, f"{value.name!r} is read before it is computed"
            return Stored(value)
        return self._args[value]

    def _tensor(self, arg: Arg) -> Var | Stored:
        """An argument as a variable or stored tensor."""
        if isinstance(arg, list):
            return self.call("list", tuple(arg))
        return arg if isinstance(arg, Var | Stored) else self.call("torch.tensor", arg)

    def _emit(
        self, kind: Any, head: str, args: Sequence[Arg], kwargs: Mapping[str, Arg], outputs: Targets, layer: Any = None
    ) -> Stmt:
        given: dict[str, Arg] = {name: arg for name, arg in kwargs.items() if arg is not None}
        stmt = Stmt(kind, head, tuple(args), given, outputs, layer, self._node)
        self._stmts.append(stmt)
        return stmt

    def _one(self, kind: Any, head: str, args: Sequence[Arg], kwargs: Mapping[str, Arg] | None = None) -> Var:
        var = Var()
        self._emit(kind, head, args, kwargs or {}, (var,))
        return var

    def call(self, function: str, *args: Arg, **kwargs: Arg) -> Var:
        """Call a function; see :class:`~graphkit.ops.builders.TorchBuilder`."""
        return self._one("call", function, args, kwargs)

    def calls(self, function: str, outputs: Targets | int, *args: Arg, **kwargs: Arg) -> tuple[Any, ...]:
        """Call a function of several results."""
        targets = tuple(Var() for _ in range(outputs)) if isinstance(outputs, int) else outputs
        self._emit("call", function, args, kwargs, targets)
        return targets

    def method(self, name: str, of: Arg, *args: Arg, **kwargs: Arg) -> Var:
        """Call a method."""
        return self._one("method", name, (of, *args), kwargs)

    def infix(self, operator: str, left: Arg, right: Arg) -> Var:
        """Apply a binary operator; a matrix product takes no numbers."""
        if operator != "@":
            left, right = self._literal(left, right), self._literal(right, left)
        return self._one("infix", operator, (left, right))

    def prefix(self, operator: str, operand: Arg) -> Var:
        """Apply a unary operator."""
        return self._one("prefix", operator, (operand,))

    def item(self, of: Arg, *index: Arg) -> Var:
        """Index something."""
        return self._one("item", "", (of, *index))

    def layer(
        self,
        type_: str,
        inputs: Sequence[Arg],
        tensors: Mapping[str, ir.Value | tuple[ir.Value, Layout] | npt.NDArray[np.generic] | None],
        *args: Arg,
        outputs: Targets | None = None,
        **kwargs: Arg,
    ) -> Any:
        """Call a submodule that owns its tensors, or return None."""
        held: dict[str, Stored | npt.NDArray[np.generic]] = {}
        frozen = []
        for name, tensor in tensors.items():
            if isinstance(tensor, np.ndarray):
                held[name] = tensor
            elif tensor is not None:
                value, layout = tensor if isinstance(tensor, tuple) else (tensor, ())
                if value.const_value is None or value in self._shared or value in self._args:
                    return None
                held[name] = Stored(value, layout)
                if name not in BUFFERS and params.kind_of(value) != "parameter":
                    frozen.append(name)
        given: dict[str, Arg] = {name: arg for name, arg in kwargs.items() if arg is not None}
        if (dtype := self._float_of(held)) is not None:
            given["dtype"] = dtype
        stored = tuple((n, t) for n, t in held.items() if isinstance(t, Stored))
        key: Hashable = (type_, repr((args, given)), stored or len(self._layers))
        layer = self._layers.setdefault(key, Layer(type_, tuple(args), given, held, tuple(frozen)))
        targets = (Var(),) if outputs is None else outputs
        self._emit("layer", "", inputs, {}, targets, layer)
        return targets[0] if outputs is None else targets

    def _float_of(self, tensors: Mapping[str, Stored | npt.NDArray[np.generic]]) -> Code | None:
        """The floating type of a layer where it is not torch's default."""
        found = [stored_dtype(tensor) for tensor in tensors.values() if isinstance(tensor, Stored)]
        first = next((dtype for dtype in found if dtype.is_floating_point()), ir.DataType.FLOAT)
        return None if first == ir.DataType.FLOAT else self.torch_dtype(first)

    def body(self, graph: ir.Graph, *inputs: Arg) -> Body:
        """What a graph inside the node does; see :class:`~graphkit.ops.builders.TorchBuilder`."""
        own = [Var(value) if arg is None else arg for value, arg in zip_longest(graph.inputs, inputs)]
        self._args.update(zip(graph.inputs, own, strict=True))
        node = self._node

        def convert() -> list[Arg]:
            for inner in graph:
                self.write(inner)
            self._node = node
            results = [self.arg(value) for value in graph.outputs]
            return [arg if isinstance(arg, list) or arg == _NOTHING else self._tensor(arg) for arg in results]

        body = self.block(convert)
        body.inputs = [var for var, arg in zip_longest(own, inputs) if isinstance(var, Var) and arg is None]
        return body

    def block(self, emit: Callable[[], Sequence[Arg]]) -> Body:
        """What a function emits, as the inside of a statement."""
        outside, self._stmts = self._stmts, []
        outputs = list(emit())
        body = Body(self._stmts, outputs)
        self._stmts = outside
        return body

    def stop_unless(self, condition: Arg) -> None:
        """Break out of a loop."""
        self._emit("break", "", (condition,), {}, ())

    def anew(self, value: ir.Value, given: Mapping[ir.Value, Arg]) -> Arg:
        """What computes a value, with others in place of some."""
        node, known = self._node, dict(self._args)
        self._args.update(given)
        for each in _between(value, given):
            self.write(each)
        found = self.arg(value)
        self._node, self._args = node, known
        return found

    def branch(self, condition: Arg, then: Body, otherwise: Body) -> tuple[Var, ...]:
        """An ``if``."""
        outputs = tuple(Var() for _ in then.outputs)
        self._emit("if", "", (condition,), {}, outputs).bodies = (then, otherwise)
        return outputs

    def loop(self, body: Body, initial: Sequence[Arg], *through: Arg, head: str = "") -> tuple[Var, ...]:
        """A loop."""
        outputs = tuple(Var() for _ in body.outputs)
        start = [arg if isinstance(arg, list | bool) or arg == _NOTHING else self._tensor(arg) for arg in initial]
        self._emit("loop", head, (*through, *start), {}, outputs).bodies = (body,)
        return outputs

    def var(self) -> Var:
        """A new variable."""
        return Var()

    def derived(self, value: ir.Value, layout: Layout) -> Arg:
        """An initializer in another layout, or the steps to it."""
        if value.const_value is not None and value not in self._shared and value not in self._args:
            return Stored(value, layout)
        arg = self.arg(value)
        for step, numbers in layout:
            if step == "transpose":
                arg = self.method("t", arg) if numbers == (1, 0) else self.method("permute", arg, *numbers)
            elif step == "reshape":
                arg = self.method("reshape", arg, *numbers)
            elif step == "slice":
                axis, start, stop = numbers
                arg = self.item(arg, *(slice(None),) * axis, slice(start or None, stop))
            else:
                axis, *taken = numbers
                arg = self.item(arg, *(slice(None),) * axis, list(taken))
        return arg

    def const(self, array: npt.ArrayLike) -> Arg:
        """A constant tensor of the module."""
        tensor = np.asarray(array)
        self._constants += 1
        base = self._node.name if self._node is not None and self._node.name else "constant"
        name = f"{base}_const{self._constants}"
        value = ir.Value(name=name, const_value=ir.tensor(tensor, name=name))
        params.set_kind(value, "constant")
        return Stored(value)

    def size(self, value: ir.Value, axis: int) -> int | Size:
        """Size of an axis."""
        dims = dims_of(value)
        if dims is not None and isinstance(dims[axis], int):
            return int(dims[axis] or 0)
        arg = self.arg(value)
        assert isinstance(arg, Var | Stored)
        return Size(arg, axis)

    def number(self, value: ir.Value | None) -> float | int | bool | None:
        """The one element of a constant; one held in float32 as the shortest decimal that rounds to it."""
        found = super().number(value)
        if isinstance(found, float) and value is not None and params.exact(value) is None:
            dtype = self.dtype(value)
            return found if dtype.kind != "f" or dtype.itemsize > 4 else decimal(found, dtype)
        return found

    def is_parameter(self, value: ir.Value | None) -> bool:
        """Whether the value is stored and trained."""
        return self.is_initializer(value) and value is not None and params.kind_of(value) == "parameter"

    def torch_dtype(self, dtype: npt.DTypeLike | ir.DataType) -> Code:
        """Torch's name of an element type."""
        code = dtype if isinstance(dtype, ir.DataType) else ir.DataType.from_numpy(np.dtype(dtype))
        name = dtype_of(code).torch
        if name is None:
            raise ValueError(f"torch has no element type {code.name.lower()}")
        return Code(f"torch.{name}")

    def _literal(self, arg: Arg, other: Arg) -> Arg:
        """A constant of one element as a number, where the result keeps its dtype and shape."""
        if not isinstance(arg, Stored) or arg.layout or not isinstance(other, Var | Stored):
            return arg
        number = self.number(arg.value)
        if number is None:
            return arg
        if other.value is not None:
            rank = len(dims_of(arg.value) or ())
            dims = dims_of(other.value)
            if (rank and (dims is None or len(dims) < rank)) or self.dtype(other.value) != self.dtype(arg.value):
                return arg
            if isinstance(other, Stored) and self.number(other.value) is not None:
                return arg
            if is_float(self.dtype(other.value)):
                return whole(number)
        return number


def _between(value: ir.Value, given: Mapping[ir.Value, Arg]) -> list[ir.Node]:
    """The nodes that lead from given values to another one, in order."""
    found: dict[ir.Value, list[ir.Node]] = {known: [] for known in given}

    def nodes(value: ir.Value) -> list[ir.Node]:
        producer = value.producer()
        if value not in found:
            before = [] if producer is None else [node for x in producer.inputs if x is not None for node in nodes(x)]
            depends = producer is not None and (before or any(x in given for x in producer.inputs))
            found[value] = [*before, producer] if depends and producer is not None else []
        return found[value]

    return list(dict.fromkeys(nodes(value)))
