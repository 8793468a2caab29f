"""Converted models on PyTorch: the source that is written for them, executed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from graphkit.errors import ExecutionError
from graphkit.frameworks.base import EXECUTION
from graphkit.frameworks.feeds import check_feeds, check_gradient_taps, check_seeds, check_taps, inner_tensors
from graphkit.frameworks.torch.gradients import Marks, gradients
from graphkit.frameworks.torch.source.flat import flat, held_by
from graphkit.frameworks.torch.source.program import to_program
from graphkit.frameworks.torch.tensors import to_array, to_tensor
from graphkit.frameworks.torch.threads import each_on, threads
from graphkit.ir.params import kind_of, of_kind
from graphkit.ops.torchprogram import Stored

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import numpy as np
    import numpy.typing as npt
    import onnx_ir as ir
    import torch

    from graphkit.frameworks.base import Arrays, Batch, Execution, Mode, Rule, Step
    from graphkit.frameworks.torch.gradients import Inner
    from graphkit.frameworks.torch.source.flat import Source
    from graphkit.ops.layout import Layout

__all__ = ["ConvertedSession"]


class ConvertedSession:
    """A canonical model as the torch module that its source makes.

    The module's tensors are computed from one leaf for each initializer, so that gradients come by the names and in
    the layouts of the model.
    """

    def __init__(self, model: ir.Model, mode: Mode, execution: Execution = EXECUTION) -> None:
        from graphkit.frameworks.torch.source.write import to_source

        self._model = model
        self._mode: Mode = mode
        self._threads = execution.threads
        self._program = to_program(model)
        self._module = _Module(to_source(self._program, "Model"), self._mode)
        self._leaves: dict[str, torch.Tensor] = {}
        self._tapped: tuple[list[str], _Module] | None = None  # the values tapped last, and what gives them
        # What torch holds in another element type than the model says.
        self._kinds = {
            value.name or "": value.dtype
            for value in (*model.graph.outputs, *(value for node in model.graph for value in node.outputs))
            if value.dtype is not None and value.dtype.bitwidth < 8
        }

    @property
    def tappable(self) -> frozenset[str]:
        """Names of the values that a statement of the source gives, without those of weights alone.

        A layer reads its weights as they are stored, whatever nodes arrange them.
        """
        held = held_by(self._program)
        fed = _fed_values(self._model)
        return frozenset(name for name in inner_tensors(self._model) if name in held and name in fed)

    @property
    def notes(self) -> tuple[str, ...]:
        """None."""
        return ()

    def forward(self, feeds: Arrays, taps: Sequence[str] = ()) -> dict[str, npt.NDArray[np.generic]]:
        """Outputs of the module, and the values named in ``taps``.

        Raises:
            FeedError: A feed is missing, unknown, or of the wrong shape or dtype; a tap names no value.
            ExecutionError: PyTorch refused.
        """
        import torch

        checked = check_feeds(self._model, feeds)
        known: dict[str, npt.NDArray[np.generic]] = dict(checked)
        inner = []
        for value in check_taps(self._model, taps):
            if value.const_value is not None:
                known[value.name or ""] = value.const_value.numpy()
            elif value.name not in checked and value.name not in self._outputs():
                inner.append(value.name or "")
        module = self._module
        if inner:
            if self._tapped is None or self._tapped[0] != inner:
                self._tapped = inner, _Module(flat(self._program, inner), self._mode)
            module = self._tapped[1]
        with torch.no_grad(), threads(self._threads):
            results = module.run([_fed(array) for array in checked.values()], self._fresh)
        names = [*self._outputs(), *inner]
        known.update({name: self._as_in_model(name, result) for name, result in zip(names, results, strict=True)})
        return {name: known[name] for name in dict.fromkeys([*self._outputs(), *taps])}

    def backward(self, feeds: Arrays, seeds: Arrays, taps: Sequence[str] = ()) -> dict[str, npt.NDArray[np.generic]]:
        """Gradients of Σ⟨seed, output⟩ in every float input and every parameter; zeros where it does not depend on one.

        Raises:
            FeedError: A feed or a seed is missing, unknown, or of the wrong shape or dtype; a tap is not
                :attr:`tappable`, or no float.
            ExecutionError: PyTorch refused.
        """
        import torch

        inputs = {name: to_tensor(array) for name, array in check_feeds(self._model, feeds).items()}
        tapped = [value.name or "" for value in check_gradient_taps(self._model, taps, self.tappable)]
        targets: dict[str, torch.Tensor | Inner] = {
            name: tensor.requires_grad_() for name, tensor in inputs.items() if tensor.is_floating_point()
        }
        for value in of_kind(self._model, "parameter"):
            leaf = self._leaf(value)
            if leaf.is_floating_point():
                targets[value.name or ""] = leaf.requires_grad_()
        marks = Marks()

        def mark(name: str, tensor: torch.Tensor) -> torch.Tensor:
            return marks.mark(name, tensor.view_as(tensor))  # an operator may have handed its input on

        module = self._module
        if tapped:
            module = _Module(flat(self._program, tapped, "mark"), self._mode, mark)
        with torch.enable_grad(), threads(self._threads):
            results = dict(zip(self._outputs(), module.run([*inputs.values()], self._fresh), strict=False))
            given = check_seeds(self._model, seeds, {name: to_array(result) for name, result in results.items()})
            ends = [results[name] for name in given]
            targets |= marks.found
            try:
                found = gradients(ends, [to_tensor(seed) for seed in given.values()], [*targets.values()])
            except Exception as error:
                raise ExecutionError(_refusal(error)) from error
        return {name: _copied(gradient) for name, gradient in zip(targets, found, strict=True)}

    def train(self, batches: Iterable[Batch], rule: Rule) -> Iterator[Step]:
        """Train by torch's own optimizer from the model's weights, a step each batch; the session does not change.

        Raises:
            FeedError: A feed or a target is missing, unknown, or of the wrong shape or dtype.
            ExecutionError: PyTorch refused.
        """
        from graphkit.frameworks.torch.training import steps

        leaves: dict[str, torch.Tensor] = {}

        def leaf(value: ir.Value) -> torch.Tensor:
            name = value.name or ""
            if name not in leaves:
                leaves[name] = self._leaf(value).detach().clone()
            return leaves[name]

        parameters = {value.name or "": leaf(value) for value in of_kind(self._model, "parameter")}
        buffers = {value.name or "": leaf(value) for value in of_kind(self._model, "buffer")}
        trained = {name: tensor for name, tensor in parameters.items() if tensor.is_floating_point()}
        made = steps(
            self._model, lambda inputs: self._module.run(inputs, leaf), trained, lambda: buffers, batches, rule
        )
        yield from each_on(self._threads, made)

    def close(self) -> None:
        """Free the weights."""
        self._leaves.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _as_in_model(self, name: str, result: Any) -> Any:
        """A result in the element type that the model says, which torch may hold in a wider one."""
        if result is None or isinstance(result, list):
            return None if result is None else [self._as_in_model(name, item) for item in result]
        array = _copied(result)
        kind = self._kinds.get(name)
        return array if kind is None else array.astype(kind.numpy())

    def _outputs(self) -> list[str]:
        return [value.name or "" for value in self._model.graph.outputs]

    def _leaf(self, value: ir.Value) -> torch.Tensor:
        """The tensor of an initializer in the model's own layout."""
        name = value.name or ""
        if name not in self._leaves:
            assert value.const_value is not None
            self._leaves[name] = to_tensor(value.const_value.numpy())
        return self._leaves[name]

    def _fresh(self, value: ir.Value) -> torch.Tensor:
        """The tensor of an initializer for one run; a copy of one that training mode writes to."""
        tensor = self._leaf(value)
        return tensor.clone() if self._mode != "eval" and kind_of(value) == "buffer" else tensor


class _Module:
    """A source, executed; ``mark`` is what it may call of that name.

    Raises:
        ExecutionError: PyTorch does not make its layers.
    """

    def __init__(self, source: Source, mode: Mode, mark: Any = None) -> None:
        import torch

        space: dict[str, Any] = {} if mark is None else {"mark": mark}
        exec(compile(source.text, "model.py", "exec"), space)
        try:
            with torch.device("meta"):
                self._module: torch.nn.Module = space[source.name]().train(mode != "eval")
        except Exception as error:  # of a layer whose sizes contradict each other
            raise ExecutionError(_refusal(error)) from error
        if mode == "train-no-dropout":
            _calm(self._module)
        self._tensors = source.tensors

    def run(self, inputs: list[Any], leaf: Any) -> list[Any]:
        """The results for given inputs, sequences as lists; ``leaf`` gives the tensor of each initializer."""
        import torch

        state = {key: self._tensor(tensor, leaf) for key, tensor in self._tensors.items()}
        try:
            result = torch.func.functional_call(self._module, state, tuple(inputs), tie_weights=False, strict=True)
        except Exception as error:
            raise ExecutionError(_refusal(error)) from error
        return [_as_tensors(item) for item in (result if isinstance(result, tuple) else (result,))]

    @staticmethod
    def _tensor(tensor: Stored | npt.NDArray[np.generic], leaf: Any) -> torch.Tensor:
        if not isinstance(tensor, Stored):
            return to_tensor(tensor)
        return _arranged(leaf(tensor.value), tensor.layout)


def _fed_values(model: ir.Model) -> frozenset[str]:
    """Names of the values that depend on an input, or that a node without inputs makes."""
    fed = {value for value in model.graph.inputs if not value.is_initializer()}
    for node in model.graph:
        read = [value for value in node.inputs if value is not None]
        bodies = any(attribute.type.name in ("GRAPH", "GRAPHS") for attribute in node.attributes.values())
        if bodies or not read or not fed.isdisjoint(read):
            fed.update(node.outputs)
    return frozenset(value.name or "" for value in fed)


def _fed(given: Any) -> Any:
    """A feed as what torch source takes: a tensor, a list of them, or None."""
    if given is None:
        return None
    return [_fed(item) for item in given] if isinstance(given, list) else to_tensor(given)


def _as_tensors(result: Any) -> Any:
    import torch

    if result is None:
        return None
    return [_as_tensors(item) for item in result] if isinstance(result, list) else torch.as_tensor(result)


def _calm(module: torch.nn.Module) -> None:
    """Turn off what draws at random in training."""
    import torch

    for inner in module.modules():
        if isinstance(inner, torch.nn.modules.dropout._DropoutNd | torch.nn.RReLU):
            inner.eval()
        elif isinstance(inner, torch.nn.RNNBase):
            inner.dropout = 0.0


def _arranged(tensor: torch.Tensor, layout: Layout) -> torch.Tensor:
    """What :func:`graphkit.ops.layout.arrange` does, differentiably."""
    for step, numbers in layout:
        if step == "transpose":
            tensor = tensor.permute(numbers)
        elif step == "reshape":
            tensor = tensor.reshape(numbers)
        elif step == "slice":
            axis, start, stop = numbers
            tensor = tensor.narrow(axis, start, stop - start)
        else:
            axis, *taken = numbers
            tensor = tensor[(slice(None),) * axis + (taken,)]
    return tensor


def _copied(tensor: torch.Tensor) -> npt.NDArray[np.generic]:
    return to_array(tensor).copy()


def _refusal(error: Exception) -> str:
    from graphkit.frameworks.torch.explain import sentence

    return f"PyTorch refuses to run the converted model: {sentence(error)}."
