"""Turns the cases of the rooms into models and feeds."""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnx_ir as ir

from graphkit.frameworks.mxnet import schema
from graphkit.ir import params
from graphkit.ir.opset import OPSET, schema_of
from graphkit.ops.codec import show
from graphkit.ops.index import index
from graphkit.ops.mxgraph import VARIABLE, MxGraph, MxModel, MxNode, MxRef

if TYPE_CHECKING:
    from graphkit.ops.spec import Case, MxForm, Op, Tol


@dataclass(frozen=True)
class Use:
    """One case of one operator, from one side."""

    op: Op
    case: Case
    form: MxForm | None = None

    @property
    def id(self) -> str:
        name = self.op.onnx or "MXNet"
        if self.form is not None:
            name = f"{self.form.op}>{name}"
        return f"{name}-{self.case.name}"

    @property
    def tol(self) -> Tol:
        return self.case.tol

    def rng(self) -> np.random.Generator:
        return np.random.default_rng(zlib.crc32(self.id.encode()))

    def arrays(self, dtype: str | None = None) -> list[np.ndarray | None]:
        """The inputs; every floating one in ``dtype``, drawn in float32 first so that it is the same number."""
        rng = self.rng()
        arrays = [None if given is None else given.make(rng, self.case.dtype) for given in self.case.inputs]
        return [
            a.astype(dtype) if dtype and a is not None and a.dtype == np.float32 and not self.fixed(number) else a
            for number, a in enumerate(arrays)
        ]

    def slot(self, number: int) -> onnx.defs.OpSchema.FormalParameter | None:
        """What ONNX says of one of its operator's inputs."""
        schema = schema_of(self.op.onnx, self.op.domain) if self.op.onnx and self.form is None else None
        return schema.inputs[number] if schema is not None and number < len(schema.inputs) else None

    def fixed(self, number: int) -> bool:
        """Whether ONNX gives an input one dtype, whatever the others have."""
        slot = self.slot(number)
        return slot is not None and slot.type_str.startswith("tensor(")

    def kind(self, number: int, array: np.ndarray) -> params.Kind:
        """What an initializer is."""
        slot = self.slot(number)
        category = onnx.defs.OpSchema.DifferentiationCategory
        if number in self.case.buffers:
            return "buffer"
        if slot is not None and slot.differentiation_category == category.NonDifferentiable:
            return "constant"
        return "parameter" if array.dtype.kind == "f" and array.size > 1 else "constant"

    @property
    def has_float64(self) -> bool:
        """Whether the case computes in floats of its own choice, and ONNX defines the operator for float64."""
        schema = schema_of(self.op.onnx, self.op.domain) if self.op.onnx else None
        allowed = schema is None or all(
            "tensor(double)" in kind.allowed_type_strs
            for kind in schema.type_constraints
            if "tensor(float)" in kind.allowed_type_strs
        )
        return allowed and self.case.dtype == "float32"

    @property
    def has_rounded_attribute(self) -> bool:
        """Whether an attribute, or one in ONNX's function body, is a number that float32 only comes near to."""
        if self.op.onnx == "HardSwish":  # 1/6
            return True
        schema = schema_of(self.op.onnx, self.op.domain) if self.op.onnx else None
        for name, attribute in (schema.attributes if schema is not None else {}).items():
            if attribute.type == onnx.defs.OpSchema.AttrType.FLOAT:
                number = np.float32(self.case.attrs.get(name, attribute.default_value.f))
                if float(str(number)) != float(number):
                    return True
        return False

    @property
    def is_numpy(self) -> bool:
        """Whether the operator runs in MXNet's NumPy mode: it is one of NumPy's, or reads what only that mode has."""
        assert self.form is not None
        given = [each for each in self.case.inputs if each is not None]
        return self.form.op.startswith("_np") or any(each.shape == () or 0 in each.shape for each in given)

    def limit(self, where: str) -> str | None:
        """Why a claim fails for this case, as ``"case"`` or, for one spelling of it, ``"operator>case"`` has it."""
        spelled = "" if self.form is None else f"{self.form.op}>{self.case.name}"
        for limit in self.op.limits:
            if limit.where == where and limit.case in ("*", self.case.name, spelled):
                return limit.reason
        return None


def onnx_uses(*, random: bool = False) -> list[Use]:
    return [Use(op, case) for _, op in index().ops for case in op.cases if case.random == random]


def mx_uses(*, random: bool = False) -> list[Use]:
    """Every case of every form, in each spelling of the operator."""
    return [
        Use(op, case, replace(form, op=name))
        for _, op in index().ops
        for form in op.mx
        for name in (form.op, *form.also)
        for case in form.cases
        if case.random == random
    ]


def onnx_model(use: Use, dtype: str | None = None) -> tuple[ir.Model, dict[str, np.ndarray]]:
    """A model of the one node, and its feeds."""
    feeds: dict[str, np.ndarray] = {}
    inputs: list[ir.Value] = []
    initializers: list[ir.Value] = []
    operands: list[ir.Value | None] = []
    for number, array in enumerate(use.arrays(dtype)):
        name = f"x{number}"
        if array is None:
            operands.append(None)
        elif number in use.case.const:
            value = ir.Value(name=name, const_value=ir.tensor(array, name=name))
            params.set_kind(value, use.kind(number, array))
            initializers.append(value)
            operands.append(value)
        else:
            dims: list[int | str] = list(array.shape)
            if number in use.case.dynamic:
                dims[0] = "N"
            kind = ir.TensorType(ir.DataType.from_numpy(array.dtype))
            inputs.append(ir.Value(name=name, type=kind, shape=ir.Shape(dims)))
            operands.append(inputs[-1])
            feeds[name] = array
    attrs = {name: value for name, value in use.case.attrs.items() if value is not None}
    outputs = [ir.Value(name=f"y{number}") for number in range(use.case.outputs)]
    read = operands[: len(operands) - use.case.captured]
    node = ir.node(use.op.onnx, read, attrs, domain=use.op.domain, outputs=outputs, name="node")
    graph = ir.Graph(
        inputs, outputs, nodes=[node], initializers=initializers, opset_imports={"": OPSET}, name=use.op.onnx
    )
    model = ir.Model(graph, ir_version=10)
    return (with_graphs(model, use.case, dtype) if use.case.graphs else model), feeds


def with_graphs(model: ir.Model, case: Case, dtype: str | None) -> ir.Model:
    """The model with graphs inside its one node, which may read what is outside by name."""
    proto = ir.to_proto(model)
    for name, text in case.graphs.items():
        text = re.sub(r"\bfloat\b", "double", text) if dtype == "float64" else text
        proto.graph.node[0].attribute.append(onnx.helper.make_attribute(name, onnx.parser.parse_graph(text)))
    return ir.from_proto(proto)


def mx_model(use: Use, dtype: str | None = None) -> tuple[MxModel, dict[str, np.ndarray]]:
    """A symbol of the one node, and its feeds."""
    assert use.form is not None
    attrs = {name: show(value) for name, value in {**use.form.pin, **use.case.attrs}.items()}
    feeds: dict[str, np.ndarray] = {}
    variables: list[MxNode] = []
    args: dict[str, np.ndarray] = {}
    aux: dict[str, np.ndarray] = {}
    for number, array in enumerate(use.arrays(dtype)):
        if array is None:
            continue
        variable = MxNode(VARIABLE, f"x{number}")
        variables.append(variable)
        if number in schema.aux(use.form.op, attrs):
            aux[variable.name] = array
        elif number in use.case.const:
            args[variable.name] = array
        else:
            feeds[variable.name] = array
    node = MxNode(use.form.op, "node", attrs, [MxRef(v) for v in variables], list(use.case.subgraphs))
    heads = [MxRef(node, number) for number in range(use.case.outputs)]
    return MxModel(MxGraph([*variables, node], heads, np_shape=use.is_numpy), args, aux), feeds
