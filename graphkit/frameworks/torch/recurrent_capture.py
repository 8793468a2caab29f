"""Recurrent layers in exported programs: of any number of steps, and of packed sequences."""

from __future__ import annotations

import contextlib
import sys
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from graphkit.frameworks.torch.ctc_capture import keep_ctc
from graphkit.frameworks.torch.quiet import unprinted
from graphkit.frameworks.torch.recurrent_ops import GATES, operators

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import torch

__all__ = ["export", "keep_recurrent", "same_batches"]

_FUNCTIONS: Final = ("pack_padded_sequence", "pad_packed_sequence")
_LAYERS: Final = ("LSTM", "GRU", "RNN")
_ZEROS: Final = ("zeros", "zeros_like", "new_zeros")
_OTHER_BATCH: Final = "initial states are of another batch than the sequences"
_PADDED: Final = "graphkit.padded"
"""Key under which a captured graph says that it pads to as many steps as were packed."""


def export(module: torch.nn.Module, args: Any, kwargs: Any, dynamic_shapes: Any) -> torch.export.ExportedProgram:
    """``torch.export.export`` that leaves the steps of recurrent layers free, and knows packed sequences and CTC.

    Packed sequences become padded ones and their lengths; what reads the data of a packed sequence itself fails.
    Arguments and exceptions are torch's.
    """
    import torch

    shorter: list[bool] = []
    with _of_any_length(shorter), keep_ctc(), unprinted():
        program = torch.export.export(module, args, kwargs, dynamic_shapes=dynamic_shapes, strict=False)
    _put_back(program)
    if shorter:
        program.graph_module.meta[_PADDED] = True
    return program


@contextlib.contextmanager
def _of_any_length(shorter: list[bool]) -> Iterator[None]:
    """Have recurrent layers that are traced meanwhile stay operators; ``shorter`` fills where sequences are padded."""
    import torch
    from torch.nn.utils import rnn

    detours = {id(getattr(rnn, name)): made for name, made in zip(_FUNCTIONS, _packing(shorter), strict=True)}
    classes = [getattr(torch.nn, name) for name in _LAYERS]
    forwards = [layer.forward for layer in classes]
    check = torch.nn.RNNBase.check_hidden_size
    places = [
        (module, name, value)
        for module in list(sys.modules.values())
        for name, value in list(getattr(module, "__dict__", {}).items())
        if id(value) in detours
    ]
    try:
        for module, name, value in places:
            setattr(module, name, detours[id(value)])
        for layer, forward in zip(classes, forwards, strict=True):
            layer.forward = _forward(forward)
        _set_check(_lenient(check))
        with _mode()():
            yield
    finally:
        for module, name, value in places:
            setattr(module, name, value)
        for layer, forward in zip(classes, forwards, strict=True):
            layer.forward = forward
        _set_check(check)


def _set_check(check: Any) -> None:
    import torch

    torch.nn.RNNBase.check_hidden_size = check  # type: ignore[method-assign]  # for as long as a module is traced


def _lenient(original: Callable[..., None]) -> Callable[..., None]:
    """A check of initial states that lets a free batch pass: those of several inputs are traced at other sizes."""
    import torch

    def check(self: torch.nn.RNNBase, hx: torch.Tensor, expected: Sequence[Any], *message: str) -> None:
        sizes = list(hx.shape)
        free = [size for size in (sizes[1], expected[1]) if isinstance(size, torch.SymInt)] if len(sizes) == 3 else []
        if len(free) == 2 and free[0].node.hint != free[1].node.hint:
            expected = (expected[0], sizes[1], expected[2])
        original(self, hx, expected, *message)

    return check


def _put_back(program: torch.export.ExportedProgram) -> None:
    """Make ATen's operators of a traced program's recurrent layers where they have no lengths, in place."""
    own = {operator: _aten(name) for name, operator in operators().items()}
    for node in program.graph.nodes:
        if node.target in own and node.args[1] is None:
            name = node.target._opname
            _assert_batch(node)
            x, _, states, *rest = node.args
            node.target, node.args = own[node.target], (x, states if name == "lstm" else states[0], *rest)
    program.graph_module.recompile()


def _assert_batch(node: torch.fx.Node) -> None:
    """Have a program see to it that initial states are as many as there are sequences; ATen does not look."""
    import operator

    import torch

    aten, graph = torch.ops.aten, node.graph
    x, _, states, *rest = node.args
    axis = 0 if rest[-1] else 1
    for state in states:  # type: ignore[union-attr]  # torch.fx types arguments loosely
        sizes = state.meta["val"].shape[1], x.meta["val"].shape[axis]  # type: ignore[union-attr]
        if str(sizes[0]) == str(sizes[1]):
            continue
        with graph.inserting_before(node):
            made = [graph.call_function(aten.sym_size.int, place) for place in ((state, 1), (x, axis))]
            same = graph.call_function(operator.eq, tuple(made))
            graph.call_function(aten._assert_scalar.default, (same, _OTHER_BATCH))
        for size, found in zip(sizes, made, strict=True):
            found.meta["val"] = size
        same.meta["val"] = sizes[0] == sizes[1]


def keep_recurrent(module: torch.fx.GraphModule, warn: Callable[[str], None]) -> None:
    """Replace ATen's recurrent layers in a graph, and in the graphs nested in it, by operators of our own, in place.

    torch's decompositions would take them apart. Initial states that are zeros are left out.

    Args:
        module: The graph of an exported program.
        warn: Told where what was captured deviates.
    """
    import torch

    if module.meta.get(_PADDED):
        warn(
            "pad_packed_sequence without total_length gives as many steps as the longest sequence has; the converted "
            "model gives as many as were packed, the further ones padded."
        )

    names = {_aten(name): name for name in GATES}
    own = set(operators().values())
    for node in _assertions(module):
        module.graph.erase_node(node)
    for inner in module.modules():
        if not isinstance(inner, torch.fx.GraphModule):
            continue
        for node in inner.graph.nodes:
            if node.target in names:
                name = names[node.target]
                x, states, *rest = node.args
                states = list(states) if name == "lstm" else [states]
                node.target, node.args = operators()[name], (x, None, states, *rest)
            if node.target in own and node.args[2] and all(_is_zero(state) for state in node.args[2]):
                node.update_arg(2, [])
        inner.recompile()


def same_batches(program: torch.export.ExportedProgram) -> dict[str, str]:
    """Free batches of initial states by that of the sequences that they are for, as torch calls them."""
    sizes = [[str(each.meta["val"]) for each in node.args[0].args] for node in _assertions(program.graph_module)]
    return {state: batch for state, batch in sizes if state.isidentifier() and batch.isidentifier()}


def _assertions(module: torch.fx.GraphModule) -> list[Any]:
    """What :func:`_assert_batch` adds."""
    return [node for node in module.graph.nodes if len(node.args) > 1 and node.args[1] == _OTHER_BATCH]


def _is_zero(state: Any) -> bool:
    import torch

    while getattr(state, "target", None) in _same():
        state = state.args[0]
    packet = getattr(getattr(state, "target", None), "overloadpacket", None)
    return packet in {getattr(torch.ops.aten, name) for name in _ZEROS}


@cache
def _same() -> frozenset[Any]:
    """Operators whose result has the numbers of their first operand."""
    import torch

    aten = torch.ops.aten
    return frozenset({aten.to.dtype, aten.to.device, aten.to.dtype_layout, aten.to.other, aten.contiguous.default})


def _aten(name: str) -> Any:
    import torch

    return getattr(torch.ops.aten, name).input


@cache
def _mode() -> type[contextlib.AbstractContextManager[Any]]:
    """A mode of torch's in which calls of recurrent layers become calls of our operators."""
    import torch
    from torch.overrides import TorchFunctionMode

    names: dict[Any, str] = {getattr(torch, name): name for name in GATES} | {_aten(name): name for name in GATES}

    class Mode(TorchFunctionMode):
        def __torch_function__(
            self, func: Any, _types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
        ) -> Any:
            name = names.get(func)
            # what has nine arguments in all has padded sequences; packed ones come with sizes of batches
            if name is None or kwargs or len(args) != 9 or isinstance(args[3], list | tuple):
                return func(*args, **(kwargs or {}))
            x, states, *rest = args
            return operators()[name](x, None, list(states) if name == "lstm" else [states], *rest)

    return Mode


@cache
def _packed_class() -> Any:
    """The class of sequences that are packed while they are traced: they stay padded, beside their lengths."""
    from torch.nn.utils.rnn import PackedSequence

    def hidden(_self: Any, *_: Any) -> Any:
        raise RuntimeError(
            "the data of packed sequences are of a size that only their values tell; between pack_padded_sequence and "
            "pad_packed_sequence there can be recurrent layers, so let anything else read the padded sequence"
        )

    class Packed(PackedSequence):
        padded: torch.Tensor
        lengths: torch.Tensor
        batch_first: bool

        __iter__ = __getitem__ = hidden
        data = batch_sizes = sorted_indices = unsorted_indices = property(hidden)

    return Packed


def _as_packed(padded: Any, lengths: Any, batch_first: bool) -> Any:
    kind = _packed_class()
    packed = tuple.__new__(kind, (None,) * 4)
    packed.padded, packed.lengths, packed.batch_first = padded, lengths, batch_first
    return packed


def _packing(shorter: list[bool]) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """What takes the place of torch's functions that pack and pad; their arguments are torch's."""
    import torch

    def pack(
        input: torch.Tensor,  # noqa: A002 -- torch's name
        lengths: Any,
        batch_first: bool = False,
        enforce_sorted: bool = True,  # noqa: ARG001 -- the order makes no difference here
    ) -> Any:
        given = lengths if isinstance(lengths, torch.Tensor) else torch.tensor(lengths, dtype=torch.int64)
        return _as_packed(input, given.to(torch.int64), batch_first)

    def pad(
        sequence: Any, batch_first: bool = False, padding_value: float = 0.0, total_length: int | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        y, time = sequence.padded, 1 if sequence.batch_first else 0
        if total_length is None:
            shorter.append(True)
        elif total_length != y.shape[time]:
            raise RuntimeError(
                f"pad_packed_sequence pads to total_length={total_length}, and {y.shape[time]} steps were packed; give "
                f"the number that were packed"
            )
        if padding_value:
            there = torch.arange(y.shape[time], device=y.device)[:, None] < sequence.lengths
            there = (there.t() if sequence.batch_first else there).unsqueeze(-1)
            y = torch.where(there, y, padding_value)
        return (y if batch_first == sequence.batch_first else y.transpose(0, 1)), sequence.lengths

    return pack, pad


def _forward(original: Callable[..., Any]) -> Callable[..., Any]:
    """A layer's forward that takes what :func:`_packing` packs."""

    def forward(self: torch.nn.RNNBase, input: Any, hx: Any = None) -> Any:  # noqa: A002 -- torch's name
        if not isinstance(input, _packed_class()):
            return original(self, input, hx)
        states = [] if hx is None else list(hx) if isinstance(hx, tuple) else [hx]
        y, *last = _layers(self, input, states)
        return _as_packed(y, input.lengths, input.batch_first), tuple(last) if self.mode == "LSTM" else last[0]

    return forward


def _layers(layer: torch.nn.RNNBase, packed: Any, states: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """What a layer gives for packed sequences; one operator for each of its layers where dropouts are between them."""
    import torch

    operator = operators()[layer.mode.lower()]
    weights = [getattr(layer, name) for name in layer._flat_weights_names]
    parts = layer.num_layers if layer.dropout else 1
    size, count = len(weights) // parts, 2 if layer.bidirectional else 1
    turned = packed.batch_first and parts > 1
    y, lasts = packed.padded.transpose(0, 1) if turned else packed.padded, []
    for part in range(parts):
        if part:
            y = torch.nn.functional.dropout(y, layer.dropout, layer.training)
        own = [state[part * count : (part + 1) * count] for state in states] if parts > 1 else list(states)
        y, *last = operator(
            y,
            packed.lengths,
            own,
            weights[part * size : (part + 1) * size],
            layer.bias,
            layer.num_layers // parts,
            0.0,
            layer.training,
            layer.bidirectional,
            packed.batch_first and not turned,
        )
        lasts.append(last)
    y = y.transpose(0, 1) if turned else y
    return [y, *(torch.cat(ends) if parts > 1 else ends[0] for ends in zip(*lasts, strict=True))]
