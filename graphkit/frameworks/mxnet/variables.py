"""What the variables of a symbol are: inputs, parameters, auxiliary states, or labels that nothing reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from graphkit.errors import FeedError, FormatError, ParameterError
from graphkit.frameworks.mxnet import schema
from graphkit.ir import params
from graphkit.ir.dtypes import from_mxnet
from graphkit.ops.spec import ints

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from graphkit.frameworks.base import InputSpec, ReadOptions
    from graphkit.ops.mxgraph import MxModel, MxNode

__all__ = ["Variables"]

BATCH = "batch"
"""Name of the free first dimension."""

_STATE_SLOTS = frozenset({"moving_mean", "moving_var"})
_WEIGHT_SLOTS = _STATE_SLOTS | {"weight", "bias", "gamma", "beta", "parameters"}
_TRUE = (None, "True", "true", "TRUE", "1")
_RANK_KEEPERS = frozenset(
    {
        "Activation",
        "BatchNorm",
        "Cast",
        "Dropout",
        "LRN",
        "LeakyReLU",
        "Pooling",
        "_copy",
        "_div_scalar",
        "_minus_scalar",
        "_mul_scalar",
        "_plus_scalar",
        "relu",
    }
)


class Variables:
    """Gives each variable of a symbol its IR value, once.

    Args:
        mx: The symbol and its parameters.
        options: Given inputs, and whether the batch dimension is left free.
        label: What the symbol is called in messages.

    Raises:
        FeedError: A given input is not one of the symbol's.
    """

    def __init__(self, mx: MxModel, options: ReadOptions, label: str) -> None:
        self._mx = mx
        self._options = options
        self._label = label
        self._values: dict[str, ir.Value] = {}
        self._fed = list(
            dict.fromkeys(v.name for v in mx.graph.variables() if v.name not in mx.args and v.name not in mx.aux)
        )
        self._given = self._match_inputs()
        self._first_dim: int | None = None

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
                    f"{len(self._options.inputs)} --input shapes are given, but {self._label} has "
                    f"{len(self._fed)} inputs: {', '.join(self._fed) or 'none'}."
                )
            given[spec.name or unnamed.pop(0)] = spec
        return given

    def value(self, variable: MxNode, slot: str) -> ir.Value:
        """The value of a variable.

        Args:
            variable: The variable.
            slot: Which argument of its operator it is, e.g. ``"weight"``.
        """
        name = variable.name
        if name not in self._values:
            stored = self._mx.aux.get(name, self._mx.args.get(name))
            if stored is not None and (name in self._mx.aux or slot in _STATE_SLOTS):
                self._values[name] = self._initializer(name, stored, "buffer")
            elif name in self._mx.args:
                array = self._mx.args[name]
                frozen = variable.hidden.get("__lr_mult__") == "0.0" and variable.hidden.get("__wd_mult__") == "0.0"
                trained = array.dtype.kind not in "iub" and not frozen
                self._values[name] = self._initializer(name, array, "parameter" if trained else "constant")
            else:
                self._values[name] = self._input(variable, slot)
        return self._values[name]

    @staticmethod
    def _initializer(name: str, array: npt.NDArray[np.generic], kind: params.Kind) -> ir.Value:
        value = ir.Value(name=name, const_value=ir.tensor(array, name=name))
        params.set_kind(value, kind)
        return value

    def _input(self, variable: MxNode, slot: str) -> ir.Value:
        spec = self._given.get(variable.name)
        shape: Sequence[int | None] | None
        if spec is not None:
            shape, dtype = spec.shape, spec.dtype
        else:
            shape, dtype = self._declared_shape(variable) or self._guessed_shape(variable), ""
        element = ir.DataType.from_numpy(np.dtype(dtype)) if dtype else self._declared_dtype(variable)
        if spec is None and slot in _WEIGHT_SLOTS:
            fixed = None if shape is None else ir.Shape(shape)  # a weight without a value has no batch
        else:
            fixed = self._free_batch(shape)
        return ir.Value(name=variable.name, type=ir.TensorType(element), shape=fixed)

    def _free_batch(self, shape: Sequence[int | None] | None) -> ir.Shape | None:
        if shape is None:
            return None
        dims: list[int | str | None] = list(shape)
        if dims and self._options.dynamic_batch:
            if self._first_dim is None and dims[0] is not None and isinstance(dims[0], int):
                self._first_dim = dims[0]
            if dims[0] is None or dims[0] == self._first_dim:
                dims[0] = BATCH
        return ir.Shape(dims)

    def _declared_shape(self, variable: MxNode) -> list[int | None] | None:
        text = variable.hidden.get("__shape__")
        if text is None or text == "None":
            return None
        try:
            return [dim if dim > 0 else None for dim in ints(text)]
        except ValueError as error:
            raise FormatError(
                f"{self._label}: variable {variable.name!r} declares the shape {text}, which is none. "
                f"Give it with --input {variable.name}:SHAPE after removing __shape__ from the symbol."
            ) from error

    def _declared_dtype(self, variable: MxNode) -> ir.DataType:
        code = variable.hidden.get("__dtype__")
        if code is not None and code.isdigit():
            return from_mxnet(int(code))
        floats = {array.dtype for array in self._mx.args.values() if array.dtype.kind not in "iub"}
        return ir.DataType.from_numpy(floats.pop()) if len(floats) == 1 else ir.DataType.FLOAT

    def _guessed_shape(self, variable: MxNode) -> list[int | None] | None:
        """Rank and channels where the first thing that matters to the input is a convolution of known weights."""
        reached = {id(variable)}
        for node in self._mx.graph.nodes:
            if node.is_variable or not node.inputs or id(node.inputs[0].node) not in reached:
                continue
            if node.op in _RANK_KEEPERS:
                reached.add(id(node))
            elif node.op == "Convolution" and node.attrs.get("layout", "None") in ("None", "NCW", "NCHW", "NCDHW"):
                weight = self._mx.args.get(node.inputs[1].node.name)
                if weight is None or weight.ndim < 3:
                    return None
                channels = weight.shape[1] * int(node.attrs.get("num_group", "1"))
                return [None, channels, *[None] * (weight.ndim - 2)]
        return None

    def inputs(self, outputs: Sequence[ir.Value]) -> list[ir.Value]:
        """The inputs that something reads, in the symbol's order; labels of loss heads are not among them."""
        read = [self._values[name] for name in self._fed if name in self._values]
        return [value for value in read if value.uses() or value in outputs]

    def check(self) -> None:
        """Refuse a symbol whose parameters are incomplete.

        Raises:
            ParameterError: Variables that stand where operators have their weights, but are neither stored nor given
                as inputs.
        """
        given = {spec.name for spec in self._options.inputs}.union(self._mx.args, self._mx.aux)
        missing: dict[str, None] = {}
        for node in self._mx.graph.nodes:
            names = schema.arguments(node.op, node.attrs) if not node.is_variable else ()
            for slot, ref in zip(names, node.inputs, strict=False):
                free = node.op.startswith("BatchNorm") and slot == "gamma" and node.attrs.get("fix_gamma") in _TRUE
                if ref.node.is_variable and slot in _WEIGHT_SLOTS and ref.node.name not in given and not free:
                    missing[ref.node.name] = None
        if missing:
            raise ParameterError(
                f"{self._label}: {len(missing)} parameters of the symbol have no value: {', '.join([*missing][:8])}"
                f"{', …' if len(missing) > 8 else ''}. Give the parameter file that belongs to it with --params."
            )

    def initializers(self, outputs: Sequence[ir.Value]) -> list[ir.Value]:
        """The parameters and auxiliary states that something reads, in the symbol's order."""
        stored = [value for value in self._values.values() if value.const_value is not None]
        return [value for value in stored if value.uses() or value in outputs]
