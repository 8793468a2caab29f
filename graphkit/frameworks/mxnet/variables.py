"""What the variables of a symbol are: inputs, parameters, auxiliary states, or labels that nothing reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from graphkit.errors import FeedError, FormatError, InputError, ParameterError
from graphkit.frameworks.mxnet.axis_names import axis_names
from graphkit.frameworks.mxnet.frozen import kind_of_variable
from graphkit.frameworks.mxnet.heads import label_names
from graphkit.frameworks.mxnet.implied import implied
from graphkit.frameworks.mxnet.weights import WEIGHTS, missing
from graphkit.ir import params
from graphkit.ir.dtypes import from_mxnet
from graphkit.ops.codec import ints
from graphkit.text import several, short

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from graphkit.frameworks.base import InputSpec, ReadOptions
    from graphkit.ops.mxgraph import MxModel, MxNode

__all__ = ["TOLD", "Variables", "initializer"]

_DIGITS = 9
"""Digits of an element type that are looked at; there are 13."""
TOLD = 8
"""Parameters that an error tells before it counts the others."""
BATCH = "batch"
"""Name of the free first dimension."""

_STATE_SLOTS = frozenset({"moving_mean", "moving_var"})


def initializer(name: str, array: npt.NDArray[np.generic], kind: params.Kind) -> ir.Value:
    """A stored array as an IR value; the array is referred to, not copied."""
    tensor = ir.Tensor(array, name=name)
    value = ir.val(name, tensor.dtype, array.shape, const_value=tensor)
    params.set_kind(value, kind)
    return value


class Variables:
    """Gives each variable of a symbol its IR value, once.

    Args:
        mx: The symbol and its parameters.
        options: Given inputs, and whether the batch dimension is left free.
        label: What the symbol is called in messages.

    Attributes:
        stored: Shape of each stored argument and auxiliary state, by name.

    Raises:
        FeedError: A given input is not one of the symbol's.
    """

    def __init__(self, mx: MxModel, options: ReadOptions, label: str) -> None:
        self._mx = mx
        self._options = options
        self._label = label
        self._values: dict[str, ir.Value] = {}
        named = {spec.name for spec in options.inputs} | (label_names(mx.graph) if options.train else set())
        self._arrays = {name: array for name, array in {**mx.args, **mx.aux}.items() if name and name not in named}
        self.stored = {name: array.shape for name, array in self._arrays.items()}
        self._fed = list(dict.fromkeys(v.name for v in mx.graph.variables() if v.name not in self._arrays))
        self._data: dict[str, tuple[int, ...]] = {}
        self._given = self._match_inputs()
        self._pinned = self._pins()
        self._first_dim: int | None = None
        self._misfits: list[str] = []
        self._other_size = False

    def _match_inputs(self) -> dict[str, InputSpec]:
        given: dict[str, InputSpec] = {}
        unnamed = [name for name in self._fed if all(spec.name != name for spec in self._options.inputs)]
        for spec in self._options.inputs:
            if spec.name and spec.name not in self._fed:
                raise FeedError(
                    f"{self._label} has no input {spec.name!r}; its inputs are {', '.join(self._fed) or 'none'}."
                )
            if not spec.name and not unnamed:
                raise FeedError(
                    f"{len(self._options.inputs)} --input shapes are given, and the inputs of {self._label} are "
                    f"{', '.join(self._fed) or 'none'}; give one for each."
                )
            given[spec.name or unnamed.pop(0)] = spec
        return given

    def _pins(self) -> dict[str, int]:
        """The number that a given input has for each named size; none for the batch where that is to stay free."""
        found: dict[str, int] = {}
        for variable in self._mx.graph.variables():
            spec = self._given.get(variable.name)
            names = axis_names(variable.hidden, 0 if spec is None else len(spec.shape))
            for axis, (name, size) in enumerate(zip(names, () if spec is None else spec.shape, strict=True)):
                if name is not None and size is not None and (axis or not self._options.dynamic_batch):
                    found[name] = size
        return found

    def value(self, variable: MxNode, slot: str) -> ir.Value:
        """The value of a variable.

        Args:
            variable: The variable.
            slot: Which argument of its operator it is, e.g. ``"weight"``.
        """
        name = variable.name
        if name not in self._values:
            array = self._arrays.get(name)
            kind = kind_of_variable(variable)
            if array is not None and slot == "data" and kind == "parameter":
                self._data[name] = array.shape
            if array is not None and (name in self._mx.aux or slot in _STATE_SLOTS):
                self._values[name] = initializer(name, array, "buffer")
            elif array is not None:
                self._values[name] = initializer(name, array, "constant" if array.dtype.kind in "iub" else kind)
            else:
                self._values[name] = self._input(variable, slot)
        return self._values[name]

    def _input(self, variable: MxNode, slot: str) -> ir.Value:
        spec = self._given.get(variable.name)
        shape: Sequence[int | None] | None
        if spec is not None:
            shape, dtype = spec.shape, spec.dtype
        else:
            shape, dtype = self._declared_shape(variable), ""
            shape = self._implied_shape(variable) if shape is None else shape
        element = ir.DataType.from_numpy(np.dtype(dtype)) if dtype else self._declared_dtype(variable)
        if spec is None and slot in WEIGHTS:
            fixed = None if shape is None else ir.Shape(shape)  # a weight without a value has no batch
        else:
            fixed = self._free_batch(shape, axis_names(variable.hidden, len(shape or ())))
        return ir.Value(name=variable.name, type=ir.TensorType(element), shape=fixed)

    def _free_batch(self, shape: Sequence[int | None] | None, names: Sequence[str | None]) -> ir.Shape | None:
        if shape is None:
            return None
        dims: list[int | str | None] = [
            self._pinned.get(name, name) if dim is None and name is not None else dim
            for dim, name in zip(shape, names, strict=True)
        ]
        is_fixed = any(names) and names[0] is None
        if dims and self._options.dynamic_batch and not is_fixed:
            if self._first_dim is None and dims[0] is not None and isinstance(dims[0], int):
                self._first_dim = dims[0]
            if dims[0] is None or dims[0] == self._first_dim:
                dims[0] = names[0] or BATCH
        return ir.Shape(dims)

    def _declared_shape(self, variable: MxNode) -> list[int | None] | None:
        text = variable.hidden.get("__shape__")
        if text is None or text == "None":
            return None
        try:
            dims = ints(text)
            if self._mx.graph.np_shape:
                return [dim if dim >= 0 else None for dim in dims]
            return [dim if dim > 0 else None for dim in dims] or None
        except ValueError as error:
            name = short(variable.name, 200)
            raise FormatError(
                f"{self._label}: variable {name!r} declares the shape {short(text, 200)}, which is none. "
                f"Give it with --input {name}:SHAPE after removing __shape__ from the symbol."
            ) from error

    def _declared_dtype(self, variable: MxNode) -> ir.DataType:
        code = variable.hidden.get("__dtype__")
        if code is not None and code.isdecimal():
            return from_mxnet(int(code[:_DIGITS]))
        floats = {array.dtype for array in self._mx.args.values() if array.dtype.kind not in "iub"}
        return ir.DataType.from_numpy(floats.pop()) if len(floats) == 1 else ir.DataType.FLOAT

    def _implied_shape(self, variable: MxNode) -> Sequence[int | None] | None:
        shape, assumed = implied(self._mx.graph, variable, self.stored)
        if assumed:
            numbers = shape[-1] if shape else None
            self._options.warn(
                f"{self._label}: {variable.name!r} is taken to be batch×{numbers}, because node {assumed!r} asks for "
                f"{numbers} numbers per sample; give --input {variable.name}:SHAPE if the samples have more axes."
            )
        return shape

    def inputs(self, outputs: Sequence[ir.Value]) -> list[ir.Value]:
        """The inputs that something reads, in the symbol's order; labels of loss heads are not among them.

        Raises:
            InputError: Nothing is left to feed, because the data is stored among the parameters.
        """
        values = [self._values[name] for name in self._fed if name in self._values]
        read = [value for value in values if value.uses() or value in outputs]
        if self._data and not read:
            options = " ".join(f"--input {name}:{'x'.join(map(str, shape))}" for name, shape in self._data.items())
            raise InputError(
                f"{self._label} has no inputs, because its parameter file has a value for every variable, for "
                f"{several([*self._data], TOLD)} too. Say which of them are inputs, as with {options}."
            )
        return read

    def misfit(self, told: str, *, from_data: bool) -> None:
        """Note a stored parameter that does not fit its operator.

        Args:
            told: Both shapes, as a clause.
            from_data: Whether it is what the operator reads that asks for another shape.
        """
        self._misfits.append(told)
        self._other_size |= from_data

    def check(self) -> None:
        """Refuse a symbol whose parameters are incomplete or do not fit.

        Raises:
            ParameterError: Variables that stand where operators have their weights, but are neither stored nor given
                as inputs; or stored ones that were noted as misfits.
        """
        lacking = missing(self._mx.graph, {*self._given, *self.stored})
        if lacking:
            count = "1 parameter" if len(lacking) == 1 else f"{len(lacking)} parameters"
            raise ParameterError(
                f"{self._label}: the symbol needs a value for {count} more: {several(lacking, TOLD)}."
                f"{self.why_lacking()} Give the parameter file that belongs to it with --params."
            )
        if self._misfits:
            cause = "Give the parameter file that belongs to it with --params"
            if self._other_size and self._given:
                cause = (
                    f"Either --input gives another size than the model was made for, or {cause[0].lower()}{cause[1:]}"
                )
            raise ParameterError(f"{self._label}: {several(self._misfits, 3, '; ')}. {cause}.")

    def why_lacking(self) -> str:
        """Why parameters may be lacking, as a sentence where something tells."""
        if not self.stored and self._options.params is None:
            return f" There is no {self._label}-NNNN.params beside it."
        names = {node.name for node in self._mx.graph.variables()}
        if names.isdisjoint(self.stored):
            return (
                f" None of the arrays of the file is named as one of the symbol's variables: it has "
                f"{several([*self.stored], 3)}."
            )
        return ""

    def initializers(self, outputs: Sequence[ir.Value]) -> list[ir.Value]:
        """The parameters and auxiliary states that something reads, in the symbol's order."""
        stored = [value for value in self._values.values() if value.const_value is not None]
        return [value for value in stored if value.uses() or value in outputs]
