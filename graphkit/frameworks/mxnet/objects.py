"""MXNet's own objects in this process: Gluon blocks, symbols with their parameters, modules.

They are traced by the MXNet that made them, which is imported already; nothing here imports it.
"""

from __future__ import annotations

import inspect
import sys
import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import onnx_ir as ir

from graphkit.errors import FeedError, InputError, ParameterError
from graphkit.frameworks.base import InputSpec
from graphkit.frameworks.mxnet import checkpoint, symbol
from graphkit.frameworks.mxnet.frozen import BUFFER, CONSTANT
from graphkit.frameworks.mxnet.messages import gist
from graphkit.frameworks.mxnet.weights import missing
from graphkit.ir import params
from graphkit.ops.mxgraph import MxModel
from graphkit.text import several

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from graphkit.frameworks.base import ReadOptions

__all__ = ["read", "recognises"]

_TOLD: Final = 4
"""Parameters that an error tells before it counts the others."""
_CHECKPOINT: Final = 3
"""What ``load_checkpoint`` returns: symbol, arguments, auxiliary states."""


class Traced(NamedTuple):
    """An object of MXNet's as data.

    Attributes:
        model: The symbol and copies of its parameters.
        options: How to read it, with the inputs named as the symbol names them.
        label: What to call it.
    """

    model: MxModel
    options: ReadOptions
    label: str


def recognises(source: Any) -> bool:
    """Whether something is a block, a symbol, a module, or a symbol with its parameters.

    An object of MXNet's cannot be there unless MXNet has been imported.
    """
    mx: Any = sys.modules.get("mxnet")
    kinds = () if mx is None else _kinds(mx)
    if isinstance(source, tuple) and len(source) == _CHECKPOINT and all(isinstance(x, Mapping) for x in source[1:]):
        source = source[0]
        kinds = kinds[:1]
    return bool(kinds) and isinstance(source, kinds)


def _kinds(mx: Any) -> tuple[type, ...]:
    """Classes of symbols, blocks and modules; empty while MXNet is being imported."""
    paths = ("symbol.Symbol", "gluon.Block", "module.BaseModule")
    found: list[type] = []
    for path in paths:
        home, _, name = path.partition(".")
        kind = getattr(getattr(mx, home, None), name, None)
        if kind is None:
            return ()
        found.append(kind)
    return tuple(found)


def read(source: Any, options: ReadOptions) -> Traced:
    """Trace an object.

    The parameters are copied: the caller may go on training what it gave. Parameters of a block whose initialisation
    waits for shapes get them from the given inputs, in the block too, as they would when it is called.

    Args:
        source: What :func:`recognises` accepts.
        options: How to read it. Inputs are in the order of a block's arguments, or have the names that its
            ``hybrid_forward`` or MXNet's ``export`` gives them.

    Raises:
        InputError: MXNet cannot trace it.
        FeedError: An input is not one of its own.
        ParameterError: Parameters have no values.
    """
    mx: Any = sys.modules["mxnet"]
    label = type(source[0] if isinstance(source, tuple) else source).__name__
    if isinstance(source, mx.gluon.Block):
        return _from_block(mx, source, options, label)
    if options.params is not None and not isinstance(source, mx.symbol.Symbol):
        raise InputError(f"A {label} has its own parameters; leave the parameter file {options.params} out.")
    if isinstance(source, mx.module.BaseModule):
        return _from_module(source, options, label)
    graph, args, aux = source if isinstance(source, tuple) else (source, {}, {})
    model = _model(graph, args, aux, label)
    if options.params is not None:
        model = checkpoint.with_params(model.graph, options.params, options)
    lacking = missing(model.graph, {*model.args, *model.aux, *(spec.name for spec in options.inputs)})
    if lacking:
        raise ParameterError(
            f"{label}: {several([*map(repr, lacking)], _TOLD)} has no value. "
            "Give the parameters with the symbol, as (symbol, arg_params, "
            f"aux_params), or their file as params=."
        )
    return Traced(model, options, graph.name or label)


def _model(graph: Any, args: Mapping[str, Any], aux: Mapping[str, Any], label: str) -> MxModel:
    data = symbol.loads(graph.tojson(), label)
    return MxModel(
        data,
        {name: _array(value) for name, value in args.items()},
        {name: _array(value) for name, value in aux.items()},
    )


def _array(value: Any) -> npt.NDArray[np.generic]:
    """A copy of an NDArray, dense."""
    if not hasattr(value, "asnumpy"):
        return np.array(value)
    array = (value if value.stype == "default" else value.tostype("default")).asnumpy()
    if array.dtype.names:  # MXNet's bfloat16 is a record of 16 bits
        array = array.view(np.uint16).view(ir.DataType.BFLOAT16.numpy())
    return np.asarray(array)


def _from_module(source: Any, options: ReadOptions, label: str) -> Traced:
    graph = getattr(source, "symbol", None)
    if graph is None or not (source.binded and source.params_initialized):
        raise InputError(
            f"A {label} can be read once it is bound and initialised: call bind(data_shapes=…) and init_params() or "
            f"set_params(…), or give (symbol, arg_params, aux_params)."
        )
    args, aux = source.get_params()
    model = _model(graph, args, aux, label)
    if not options.inputs:
        given = [InputSpec(each.name, tuple(each.shape), np.dtype(each.dtype).name) for each in source.data_shapes]
        options = replace(options, inputs=tuple(given))
    return Traced(model, options, graph.name or label)


def _from_block(mx: Any, block: Any, options: ReadOptions, label: str) -> Traced:
    if options.params is not None:
        raise InputError(
            f"A {label} has its own parameters: call its load_parameters({str(options.params)!r}) and leave params out."
        )
    _check_hybrid(mx, block, label)
    names, graph = _traced(mx, block, options, label)
    specs = _named(block, names, options.inputs, label)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of blocks in lists; what they lack is told below
        parameters: Mapping[str, Any] = block.collect_params()
    states = set(graph.list_auxiliary_states())
    wanted = [name for name in graph.list_inputs() if name not in names]
    if strangers := [name for name in wanted if name not in parameters]:
        raise ParameterError(
            f"{label} computes with {several([*map(repr, strangers)], _TOLD)}, which collect_params() "
            "does not list. Blocks in a list or a "
            f"dict are not found there: hold them in nn.HybridSequential, or call register_child for each."
        )
    _finish(mx, graph, [parameters[name] for name in wanted], specs, label)
    arrays = {name: _values_of(parameters[name]) for name in wanted}
    args = {name: array for name, array in arrays.items() if name not in states}
    model = _model(graph, args, {name: arrays[name] for name in states if name in arrays}, label)
    fixed = {name for name in wanted if isinstance(parameters[name], mx.gluon.Constant)}
    frozen = params.frozen_parameters(
        {
            name: parameters[name].grad_req != "null"
            for name in args
            if name not in fixed and args[name].dtype.kind not in "iub"
        }
    )
    for variable in model.graph.variables():
        if variable.name in fixed:  # as checkpoints of graphkit's own mark what is not trained
            variable.hidden |= CONSTANT
        elif variable.name in frozen:
            variable.hidden |= BUFFER
    return Traced(model, replace(options, inputs=specs), label)


def _check_hybrid(mx: Any, block: Any, label: str) -> None:
    """Refuse blocks whose forward pass is Python that MXNet cannot trace; chains of hybrid blocks are not."""
    if isinstance(block, mx.gluon.HybridBlock):
        return
    sequential = mx.gluon.nn.Sequential
    if isinstance(block, sequential) and type(block).forward is sequential.forward:
        for child in block._children.values():  # MXNet has no other way that works for Dropout and the like
            _check_hybrid(mx, child, f"{type(child).__name__} in {label}")
        return
    raise InputError(
        f"{label} is a Block whose forward is Python that MXNet cannot trace. Derive it from gluon.HybridBlock and "
        f"rename forward(self, x) to hybrid_forward(self, F, x), with F in place of mx.nd; or give graphkit the "
        f"HybridBlocks in it one by one."
    )


def _traced(mx: Any, block: Any, options: ReadOptions, label: str) -> tuple[list[str], Any]:
    """Names of the inputs in the order of the block's arguments, and the symbol of all outputs."""
    cached = getattr(block, "_cached_graph", None)
    if cached:  # a SymbolBlock, or hybridized and called: what MXNet runs
        inputs, graph = cached
        return [each.name for each in inputs], graph
    count = max(len(options.inputs), 1)
    names = _exported(count)
    variables = [mx.symbol.var(name) for name in names]
    if mx.util.is_np_array():
        variables = [variable.as_np_ndarray() for variable in variables]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            outputs = _flat(block(*variables))
            graph = outputs[0] if len(outputs) == 1 else mx.symbol.Group(outputs)
    except Exception as error:
        listed = f" ({', '.join(arguments)})" if (arguments := _arguments(block)) else ""
        raise InputError(
            f"MXNet cannot trace {label} with {count} input{'s' * (count > 1)}: {type(error).__name__}: "
            f"{gist(str(error))}. Give in inputs one shape for each array that it is called with"
            f"{listed}; if it takes lists of arrays, or None, call "
            f"hybridize(), call it once with arrays, and give it again."
        ) from error
    return names, graph


def _exported(count: int) -> list[str]:
    """The names that MXNet's ``export`` gives inputs."""
    return ["data"] if count == 1 else [f"data{i}" for i in range(count)]


def _flat(outputs: Any) -> list[Any]:
    if isinstance(outputs, list | tuple):
        return [each for item in outputs for each in _flat(item)]
    if outputs is None:
        return []
    if not hasattr(outputs, "tojson"):
        raise TypeError(f"it returns a {type(outputs).__name__}, where symbols are expected")
    return [outputs]


def _named(block: Any, names: Sequence[str], given: Sequence[InputSpec], label: str) -> tuple[InputSpec, ...]:
    """The given inputs under the names that the symbol has for them."""
    arguments = _arguments(block)[: len(names)]
    known = dict(zip(arguments, names, strict=False)) | {name: name for name in names}
    renamed: list[InputSpec] = []
    for spec in given:
        if spec.name and spec.name not in known:
            raise FeedError(
                f"{label} has no input {spec.name!r}; its inputs are {', '.join(arguments or names)}, in this order."
            )
        renamed.append(replace(spec, name=known[spec.name]) if spec.name else spec)
    free = [name for name in names if all(spec.name != name for spec in renamed)]
    if len(renamed) > len(names):
        raise FeedError(
            f"{len(renamed)} shapes are given, but {label} has {len(names)} inputs: {', '.join(names)}; give one "
            "for each."
        )
    return tuple(spec if spec.name else replace(spec, name=free.pop(0)) for spec in renamed)


def _arguments(block: Any) -> list[str]:
    """Names of the arrays that a block is called with, as its own code has them."""
    function = getattr(type(block), "hybrid_forward", None)
    skipped = 2  # self and F
    if function is None:
        function, skipped = type(block).forward, 1
    own = set(getattr(block, "_reg_params", ()))
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = list(inspect.signature(function).parameters.values())[skipped:]
    return [each.name for each in parameters if each.kind in positional and each.name not in own]


def _finish(mx: Any, graph: Any, parameters: Sequence[Any], specs: Sequence[InputSpec], label: str) -> None:
    """Initialise the parameters that wait for their shapes."""
    waiting = []
    for parameter in parameters:
        try:
            parameter._check_and_get(parameter._data, list)  # list_data() has no answer for sparse ones
        except mx.gluon.parameter.DeferredInitializationError:
            waiting.append(parameter)
        except RuntimeError as error:
            raise ParameterError(
                f"Parameter {parameter.name!r} of {label} has no value: call its initialize() or load_parameters(…) "
                f"first."
            ) from error
    if not waiting:
        return
    unknown = -1 if mx.util.is_np_shape() else 0
    known = {
        spec.name: tuple((1 if axis == 0 else unknown) if dim is None else dim for axis, dim in enumerate(spec.shape))
        for spec in specs
    }
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what stays unknown, which is told below
            shapes, _, states = graph.infer_shape_partial(**known)
    except mx.base.MXNetError as error:
        raise FeedError(
            f"{label} does not take inputs of these shapes; give those that it was made for. MXNet says: "
            f"{gist(str(error))}."
        ) from error
    found = dict(zip(graph.list_arguments(), shapes, strict=True))
    found |= zip(graph.list_auxiliary_states(), states, strict=True)
    for parameter in waiting:
        shape = found.get(parameter.name)
        if not shape or any(size <= 0 for size in shape):
            absent = "" if known else ", as inputs=[(1, 3, 224, 224)] does for an image"
            raise ParameterError(
                f"Parameter {parameter.name!r} of {label} is not initialised yet, because its shape depends on that of "
                f"the inputs. Give the shapes of all of them{absent}, or call the block once with arrays."
            )
        parameter.shape = shape
        parameter._finish_deferred_init()  # as MXNet does when the block is called


def _values_of(parameter: Any) -> npt.NDArray[np.generic]:
    if parameter._stype == "default":  # not told otherwise
        return _array(parameter.list_data()[0])  # each device has all of it
    return _array(parameter._reduce())  # as save_parameters does
