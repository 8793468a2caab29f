"""Canonical model to MXNet symbol and parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from graphkit.errors import UnsupportedError
from graphkit.files import aside, joined_aside
from graphkit.frameworks.asking import CONTRADICTIONS, Asking, contradiction
from graphkit.frameworks.mxnet import carried
from graphkit.frameworks.mxnet.axis_names import AXES, axes_text
from graphkit.frameworks.mxnet.frozen import BUFFER, CONSTANT
from graphkit.frameworks.mxnet.scopes import Scope, Scopes
from graphkit.frameworks.mxnet.states import separate_states
from graphkit.ir import params
from graphkit.ir.canonical.contrib import why_kept
from graphkit.ir.dims import dims_of
from graphkit.ir.dtypes import dtype_of
from graphkit.ops import ledger
from graphkit.ops.codec import show
from graphkit.ops.index import index
from graphkit.ops.layout import Layout, arrange, parts, shapes_of
from graphkit.ops.mxgraph import VARIABLE, MxBody, MxGraph, MxModel, MxNode, MxRef
from graphkit.ops.spec import MxForm, Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from graphkit.errors import UnsupportedNode
    from graphkit.ops.builders import Dim

__all__ = ["to_symbol"]

_REFUSED = "?"
"""Operator of the placeholder that stands for a refused node until it is known whether an output needs it."""


def to_symbol(model: ir.Model, warn: Callable[[str], None] = lambda _message: None) -> MxModel:
    """Convert a canonical model.

    Args:
        model: The model; it is not changed, and its weights are referred to, not copied.
        warn: Receives deviations that the user must know of.

    Returns:
        The symbol and its parameters. Variables have the names of the model's inputs and initializers.

    Raises:
        UnsupportedError: Nodes that MXNet cannot express, all of them.
        ShapeNeededError: A node can only be converted when more of the model's shapes are given.
    """
    builder = _Builder(model, warn)
    for node in model.graph:
        builder.write(node)
    return builder.finish()


class _Builder(Asking):
    """Implements :class:`graphkit.ops.builders.MxBuilder`, one ONNX node at a time."""

    def __init__(self, model: ir.Model, warn: Callable[[str], None]) -> None:
        super().__init__(warn)
        self._model = model
        self._scopes = Scopes()
        self._refusals: dict[int, UnsupportedNode] = {}
        self._arrays: dict[str, npt.NDArray[np.generic]] = {}
        self._buffers: set[str] = set()
        self._derived: dict[str, Layout] = {}
        self._layouts: dict[ir.Value, dict[Layout, MxRef]] = {}
        self._emitted: list[tuple[MxNode, str]] = []
        self._wide = self._cuts = False
        self._casts: dict[MxRef, MxRef] = {}
        self._names: set[str] = {value.name or "" for value in model.graph.inputs}
        self._names.update(model.graph.initializers)
        for value in model.graph.inputs:
            if value.name not in model.graph.initializers:
                variable = self._variable(value.name or "")
                _declare(variable, dims_of(value), value.dtype)
                self._refs[value] = MxRef(variable)

    @property
    def _refs(self) -> dict[ir.Value, MxRef]:
        return self._scopes.last.refs

    @property
    def _nodes(self) -> list[MxNode]:
        return self._scopes.last.nodes

    def write(self, node: ir.Node) -> None:
        """Convert one node, or note why it cannot be."""
        if node.outputs and all(value in self._refs for value in node.outputs):
            return  # written together with another one
        self._node, self._emitted = node, []
        result = self._adapted(node)
        if isinstance(result, Refusal):
            placeholder = MxNode(_REFUSED, node.name or "", inputs=[self.ref(x) for x in node.inputs if x is not None])
            self._nodes.append(placeholder)
            self._refusals[id(placeholder)] = self.refused(node, result, self.inputs)
            for number, value in enumerate(node.outputs):
                self._refs[value] = MxRef(placeholder, number)
            return
        self._name_emitted(node, result[0].node if result else None)
        self._refs.update(zip(node.outputs, result, strict=False))

    def finish(self) -> MxModel:
        """The symbol of the model's outputs, without the nodes that none of them needs."""
        heads = []
        for value in self._model.graph.outputs:
            ref = self.ref(value)
            if ref.node.is_variable:
                identity = MxNode("_copy", self._unique(f"{value.name}_copy"), inputs=[ref])
                self._nodes.append(identity)
                ref = MxRef(identity)
            heads.append(ref)
        graph = MxGraph(self._nodes, heads)
        graph.prune()
        refused = [self._refusals[id(node)] for node in graph.walk() if node.op == _REFUSED]
        if refused:
            raise UnsupportedError("MXNet", refused)
        aux = separate_states(graph, self._arrays, self._unique)
        kept = {node.name for node in graph.variables()}
        arrays = {name: array for name, array in self._arrays.items() if name in kept}
        for variable in graph.variables():
            if variable.name in self._buffers and variable.name not in aux:
                variable.hidden.update(BUFFER)
        if any(array.dtype.kind not in "iub" and array.dtype != np.float32 for array in arrays.values()):
            floats = {value.name for value in self._model.graph.inputs if value.dtype == ir.DataType.FLOAT}
            for variable in graph.variables():  # which would be taken for what the parameters are
                if variable.name in floats - arrays.keys():
                    variable.hidden["__dtype__"] = str(dtype_of(np.float32).mxnet)
        return MxModel(
            graph,
            {name: array for name, array in arrays.items() if name not in aux},
            {name: array for name, array in arrays.items() if name in aux},
            {value.name or "": ref for value, ref in self._scopes.main.refs.items() if ref.node.op != _REFUSED},
            {name: layout for name, layout in self._derived.items() if name in kept},
        )

    def _adapted(self, node: ir.Node) -> Sequence[MxRef] | Refusal:
        """Convert a node in element types that MXNet has (see :mod:`graphkit.frameworks.mxnet.carried`)."""
        kinds = {value: carried.kind_of(value) for value in (*node.inputs, *node.outputs) if value is not None}
        if (why := carried.why_unheld(node, kinds)) is not None:
            return Refusal(why)
        result = self._convert(node)
        if isinstance(result, Refusal):
            return result
        for value in kinds:
            used = value.const_value is None and (value.uses() or value.is_graph_output())
            if used and 0 in (dims_of(value) or ()):
                return Refusal(f"{value.name!r} has no elements, and MXNet has no such arrays")
        refs = list(result)
        if "bfloat16" in (kind.name for kind in kinds.values() if kind is not None) and not self._cuts:
            self._cuts = True
            self._warn("MXNet cuts numbers off to bfloat16 where ONNX rounds them: the last of 8 bits may differ.")
        made = [emitted.op for emitted, _ in self._emitted]
        if carried.lacks(made, (kind for kind in kinds.values() if kind is not None)):
            self._emitted, self._wide = [], True
            result = self._convert(node)
            self._wide = False
            if isinstance(result, Refusal):
                return result
            refs = list(result)
            for number, (value, ref) in enumerate(zip(node.outputs, refs, strict=False)):
                kind = kinds[value]
                if kind is not None and carried.is_narrow(kind):
                    refs[number] = self.op("Cast", ref, dtype=kind.name, name="rounded")
        for number, (value, ref) in enumerate(zip(node.outputs, refs, strict=False)):
            kind = kinds[value]
            if kind is not None and kind != carried.held(kind) and not carried.closed(node):
                refs[number] = carried.wrapped(self, ref, kind)
        return refs

    def _convert(self, node: ir.Node) -> Sequence[MxRef] | Refusal:
        op = index().by_onnx.get((node.domain, node.op_type))
        forms = [form for form in op.mx if form.direction != "read"] if op else []
        if not forms:
            known = ledger.ONNX.get((node.domain, node.op_type), "MXNet has no operator for it that graphkit knows")
            why = why_kept(node) or known
            return Refusal(why)
        refusals: list[Refusal] = []
        for form in forms:
            try:
                result = self._written(form, node)
            except CONTRADICTIONS as error:
                result = contradiction(error)
            if result is None:
                continue
            if not isinstance(result, Refusal):
                refs = [result] if isinstance(result, MxRef) else list(result)
                missing = [value.name for value in node.outputs[len(refs) :] if value.uses() or value.is_graph_output()]
                if not missing:
                    return refs
                result = Refusal(f"MXNet's {form.op} does not give its output {missing[0]!r}")
            self._emitted = []
            refusals.append(result)
        return refusals[0] if refusals else Refusal("none of MXNet's forms of it fits its attributes and inputs")

    def _written(self, form: MxForm, node: ir.Node) -> MxRef | Sequence[MxRef] | Refusal | None:
        """What a form makes of a node, None where it is for other nodes."""
        fits = form.when(self, node)
        if isinstance(fits, Refusal):
            return fits
        if not fits:
            return None
        for value in node.inputs:
            if value is not None and len(value.uses()) == 1:
                self._layouts.pop(value, None)  # of an attempt to write the node that came to nothing
        inputs = [None if value is None else self.ref(value) for value in node.inputs]
        return form.write(self, node, inputs) if form.write else self._write_row(form, node, inputs)

    def _write_row(self, form: MxForm, node: ir.Node, inputs: list[MxRef | None]) -> Sequence[MxRef] | Refusal:
        known = {attr.onnx for attr in form.attrs}
        strange = [name for name in node.attributes if name not in known]
        if strange:
            return Refusal(f"its attribute {strange[0]!r} has no counterpart in MXNet's {form.op}")
        attrs: dict[str, Any] = {}
        for attr in form.attrs:
            given = node.attributes.get(attr.onnx)
            value = attr.onnx_default if given is None else given.value
            if value is not None and value != attr.mx_default:
                attrs[attr.mx] = attr.codec.show(value)
        attrs.update(form.pin)
        attrs.update({name: derive(self, node) for name, derive in form.derive.items()})
        while inputs and inputs[-1] is None:
            inputs.pop()
        present = [ref for ref in inputs if ref is not None]
        if len(present) != len(inputs):
            return Refusal(f"an optional input of it is left out that MXNet's {form.op} needs")
        return self.ops(form.op, len(node.outputs), *present, **attrs)

    def _variable(self, name: str) -> MxNode:
        variable = MxNode(VARIABLE, name)
        self._scopes.main.nodes.append(variable)
        return variable

    def _unique(self, name: str) -> str:
        candidate, number = name, 0
        while candidate in self._names:
            number += 1
            candidate = f"{name}_{number}"
        self._names.add(candidate)
        return candidate

    def _name_emitted(self, node: ir.Node, last: MxNode | None) -> None:
        base = node.name or node.op_type.lower()
        for emitted, suffix in self._emitted:
            if emitted is last:
                emitted.name = self._unique(base)
            else:
                emitted.name = self._unique(f"{base}_{suffix or emitted.op.strip('_').lower()}")

    def op(self, op: str, *inputs: MxRef, name: str = "", **attrs: Any) -> MxRef:
        """Emit a node; see :class:`~graphkit.ops.builders.MxBuilder`."""
        return self.ops(op, 1, *inputs, name=name, **attrs)[0]

    def ops(
        self,
        op: str,
        outputs: int,
        *inputs: MxRef,
        name: str = "",
        subgraphs: Sequence[MxGraph] = (),
        **attrs: Any,
    ) -> tuple[MxRef, ...]:
        """Emit a node of several outputs."""
        spelled = {key: show(value) for key, value in attrs.items() if value is not None}
        node = MxNode(op, "", spelled, list(inputs), list(subgraphs))
        self._nodes.append(node)
        self._emitted.append((node, name))
        return tuple(MxRef(node, number) for number in range(outputs))

    @property
    def is_inside(self) -> bool:
        """Whether what is emitted goes into the body of a loop or branch."""
        return len(self._scopes.all) > 1

    @property
    def inputs(self) -> Sequence[ir.Value]:
        """The model's inputs."""
        return self._model.graph.inputs

    def once(self, what: str, make: Callable[[], MxRef | None]) -> MxRef | None:
        """What was made under a name before; see :class:`~graphkit.ops.builders.MxBuilder`."""
        made = self._scopes.last.made
        found = made.get(what)
        if found is None or not (found.node.name or any(node is found.node for node, _ in self._emitted)):
            found = make()  # what an attempt made that came to nothing is gone
            if found is not None:
                made[what] = found
        return found

    def bind(self, value: ir.Value, ref: MxRef) -> None:
        """Say what holds a value; a node that computes only such values is not written."""
        self._refs[value] = ref

    def inline(self, graph: ir.Graph) -> list[MxRef]:
        """What a graph inside the node computes."""
        outside = self._node, self._emitted, self._wide
        self._wide = False
        for node in graph:
            self.write(node)
        self._node, self._emitted, self._wide = outside
        return [self._ref(value) for value in graph.outputs]

    def body(self, inputs: Sequence[ir.Value | None], emit: Callable[[Sequence[MxRef]], Sequence[MxRef]]) -> MxBody:
        """A graph inside the node, for an operator with subgraphs."""
        outside, self._emitted = self._emitted, []
        base = self._node.name if self._node is not None and self._node.name else "body"
        self._scopes.all.append(Scope())
        try:
            own = [MxNode(VARIABLE, self._unique(f"{base}_in" if v is None else v.name or "")) for v in inputs]
            self._nodes.extend(own)
            self._refs.update((v, MxRef(node)) for v, node in zip(inputs, own, strict=True) if v is not None)
            heads = list(emit([MxRef(node) for node in own]))
            for place, head in enumerate(heads):
                if head.node.is_variable or head in heads[:place]:
                    heads[place] = self.op("_copy", head)
        finally:
            scope = self._scopes.all.pop()
        if self._node is not None:
            self._name_emitted(self._node, None)
        self._emitted = outside
        graph = MxGraph(scope.nodes, heads)
        graph.arrange()
        return MxBody(graph, own, {inner.node: outer for outer, inner in scope.captured.items()})

    def const(self, array: npt.ArrayLike, name: str = "") -> MxRef:
        """Store an array as a parameter that optimizers leave alone."""
        base = self._node.name if self._node is not None and self._node.name else "constant"
        variable = self._variable(self._unique(f"{base}_{name or 'const'}"))
        self._store(variable, np.asarray(array), "constant")
        return self._scopes.enter(MxRef(variable))

    def _store(self, variable: MxNode, array: npt.NDArray[np.generic], kind: params.Kind) -> None:
        if kind == "constant":
            variable.hidden.update(CONSTANT)
        elif kind == "buffer":
            self._buffers.add(variable.name)
        array = array.reshape(1) if array.ndim == 0 else array
        held = np.dtype(np.float32) if array.dtype.kind == "b" else carried.held(array.dtype)
        array = array if array.dtype == held else aside(array.astype(held))
        self._arrays[variable.name] = array
        dtype = ir.DataType.from_numpy(array.dtype)
        _declare(variable, array.shape, dtype)
        variable.hidden["__dtype__"] = str(dtype_of(dtype).mxnet)

    def dtype(self, value: ir.Value) -> np.dtype[Any]:
        """The element type in which MXNet computes with a value."""
        dtype = carried.held(super().dtype(value))
        return np.dtype(np.float32) if self._wide and carried.is_narrow(dtype) else dtype

    def value(self, value: ir.Value | None) -> npt.NDArray[np.generic] | None:
        """The array of a constant, as MXNet computes with it."""
        array = super().value(value)
        return array if array is None or value is None else array.astype(self.dtype(value), copy=False)

    def derived(self, value: ir.Value, layout: Layout) -> MxRef:
        """A parameter in another layout: stored so where it has no other use, otherwise computed."""
        return self._widened(value, self._derived_ref(value, layout))

    def _widened(self, value: ir.Value, ref: MxRef) -> MxRef:
        """What holds a value, cast to float32 where the node is computed in it."""
        kind = carried.kind_of(value)
        if not self._wide or kind is None or not carried.is_narrow(kind):
            return ref
        if ref.node.name in self._arrays and all(carried.is_state(user, index) for user, index in value.uses()):
            self._store(ref.node, self._arrays[ref.node.name].astype(np.float32), params.kind_of(value))
            return ref
        if ref not in self._casts:
            self._casts[ref] = self.op("Cast", ref, dtype="float32", name="widened")
        return self._casts[ref]

    def _derived_ref(self, value: ir.Value, layout: Layout) -> MxRef:
        known = self._layouts.setdefault(value, {})
        if layout in known:
            return self._scopes.enter(known[layout])
        array = self._array(value)
        if array is not None and len(value.uses()) == 1 and not value.is_graph_output() and not self._is_read(value):
            self._scopes.forget(value)
            array = _arranged(array, layout)
            variable = self._variable(value.name or "")
            self._store(variable, array, params.kind_of(value))
            self._derived[variable.name] = layout
            known[layout] = MxRef(variable)
            return self._scopes.enter(MxRef(variable))
        ref = self._ref(value)
        for step, numbers in layout:
            if step == "transpose":
                ref = self.op("transpose", ref, axes=numbers)
            elif step == "reshape":
                ref = self.op("Reshape", ref, shape=numbers)
            elif step == "slice":
                ref = self.op("slice_axis", ref, axis=numbers[0], begin=numbers[1], end=numbers[2])
            else:
                ref = self.op("take", ref, self.const(np.asarray(numbers[1:], np.int32), "order"), axis=numbers[0])
        return ref

    def _is_read(self, value: ir.Value) -> bool:
        """Whether the node being written has made use of an initializer that nothing else uses."""
        ref = self._refs.get(value)
        return ref is not None and any(read.node is ref.node for node, _ in self._emitted for read in node.inputs)

    def ref(self, value: ir.Value) -> MxRef:
        """The reference that holds a value; initializers become variables when they are first asked for."""
        return self._widened(value, self._ref(value))

    def _ref(self, value: ir.Value) -> MxRef:
        found = self._scopes.find(value)
        if found is None:
            array = self._array(value)
            if array is None:
                raise AssertionError(f"{value.name!r} is read before it is computed")
            variable = self._variable(value.name or "")
            self._store(variable, array, params.kind_of(value))
            self._derived.pop(variable.name, None)
            self._scopes.main.refs[value] = MxRef(variable)
            found = self._scopes.enter(MxRef(variable))
            self._refs[value] = found
        return found

    @staticmethod
    def _array(value: ir.Value) -> npt.NDArray[np.generic] | None:
        return None if value.const_value is None else value.const_value.numpy()


def _arranged(array: npt.NDArray[np.generic], layout: Layout) -> npt.NDArray[np.generic]:
    """An array in another layout: a view, or one whose elements were moved."""
    if any(step == "take" for step, _ in layout):
        return joined_aside(parts(array, layout), shapes_of(layout, array.shape)[-1], array.dtype)
    arranged = arrange(array, layout)
    return arranged if np.may_share_memory(arranged, array) else aside(arranged)


def _declare(variable: MxNode, dims: Sequence[Dim] | None, dtype: ir.DataType | None) -> None:
    """Say a variable's shape (0 where it is free), and its dtype where it is not the usual one."""
    if dims is not None:
        variable.hidden["__shape__"] = show(tuple(dim if isinstance(dim, int) else 0 for dim in dims or (1,)))
        if any(isinstance(dim, str) for dim in dims):
            variable.hidden[AXES] = axes_text(dims)
    kind = None if dtype is None else carried.held(np.dtype(dtype.numpy()))
    if kind is not None and carried.is_held(kind) and kind.name not in ("float32", "bool"):
        variable.hidden["__dtype__"] = str(dtype_of(kind).mxnet)
