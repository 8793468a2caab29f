"""PyTorch as a runtime: it runs the programs that models were read from, as they are."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Self, TypeAlias

from graphkit.errors import ExecutionError, MissingError, UnsupportedError, UnsupportedNode
from graphkit.frameworks.base import EXECUTION
from graphkit.frameworks.feeds import check_feeds, check_gradient_taps, check_seeds, check_taps, inner_tensors
from graphkit.frameworks.torch.aliasing import Sharing
from graphkit.frameworks.torch.calling import arguments, results
from graphkit.frameworks.torch.gradients import Marks, gradients
from graphkit.frameworks.torch.tensors import to_array, to_tensor
from graphkit.frameworks.torch.threads import each_on, threads
from graphkit.ir.origin import source_of
from graphkit.ir.params import of_kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    import numpy as np
    import numpy.typing as npt
    import onnx_ir as ir
    import torch

    from graphkit.frameworks.base import Ability, Arrays, Batch, Execution, Mode, Rule, Session, Setting, Step
    from graphkit.frameworks.torch.gradients import Inner
    from graphkit.ir.origin import Source

    See: TypeAlias = Callable[[torch.fx.Node, Sequence[Any], torch.Tensor], torch.Tensor]

__all__ = ["RUNTIME", "TorchRuntime", "TorchSession"]


@dataclass(frozen=True, slots=True)
class TorchRuntime:
    """PyTorch on the CPU.

    Attributes:
        name: How the command line calls it.
        label: How people call it.
        native: The framework whose sources it runs as they are.
    """

    name: str = "torch"
    label: str = "PyTorch"
    native: str = "torch"

    @property
    def can(self) -> frozenset[Ability]:
        """Outputs, inner values of the source where they are known, gradients, and steps of training."""
        return frozenset({"forward", "taps", "backward", "train"})

    def missing(self) -> str | None:
        """None when it can run here, else what is missing and the command that installs it."""
        if importlib.util.find_spec("torch") is None:
            return "PyTorch is not installed; run: pip install 'graphkit[torch]'"
        return None

    def version(self) -> str:
        """Version of PyTorch."""
        return f"torch {importlib.metadata.version('torch')}"

    @property
    def follows(self) -> frozenset[Setting]:
        """The number of threads."""
        return frozenset({"threads"})

    def open(
        self, model: ir.Model, *, mode: Mode = "eval", native: bool = True, execution: Execution = EXECUTION
    ) -> Session:
        """Open the program that a model was read from, in the model's float type, or the source written for it.

        Raises:
            MissingError: PyTorch is not installed.
            UnsupportedError: Nodes of a converted model that torch cannot express.
        """
        if (problem := self.missing()) is not None:
            raise MissingError(f"PyTorch is not available: {problem}.")
        source = source_of(model)
        if source is None or source.framework != "torch" or not native:
            from graphkit.frameworks.torch.converted import ConvertedSession

            return ConvertedSession(model, mode, execution)
        return TorchSession(model, source, mode, execution)


class TorchSession:
    """An exported program, run node by node as torch wrote it."""

    def __init__(self, model: ir.Model, source: Source, mode: Mode, execution: Execution = EXECUTION) -> None:
        self._model = model
        self._threads = execution.threads
        self._program: torch.export.ExportedProgram = source.handle
        self._names = source.names
        self._fresh = partial(_module, self._program, mode, _dtypes(source.dtype))
        self._module: Any = self._fresh()
        self._sharing = Sharing(self._module.graph)
        self._default = _default_dtype(self._program, source.dtype)
        # Running may write to buffers (BatchNorm's statistics); every call starts from the same ones.
        self._buffers = {name: buffer.clone() for name, buffer in self._module.named_buffers()}

    @cached_property
    def tappable(self) -> frozenset[str]:
        """Names of the values that a node of the program computes as such, whatever is written to in place."""
        nodes = {node.name: node for node in self._module.graph.nodes}
        own = {name: nodes.get(self._names.get(name, "")) for name in inner_tensors(self._model)}
        return frozenset(name for name, node in own.items() if node is not None and self._sharing.is_apart(node))

    @property
    def notes(self) -> tuple[str, ...]:
        """None."""
        return ()

    def forward(self, feeds: Arrays, taps: Sequence[str] = ()) -> dict[str, npt.NDArray[np.generic]]:
        """Outputs of the program, and the values named in ``taps``.

        Raises:
            FeedError: A feed is missing, unknown, or of the wrong shape or dtype; a tap names no value.
            UnsupportedError: A tap is a value that the program does not compute as such.
            ExecutionError: PyTorch refused.
        """
        import torch

        checked = check_feeds(self._model, feeds)
        wanted = self._tapped(taps)
        inputs = {name: to_tensor(array) for name, array in checked.items()}
        tapped: dict[str, torch.Tensor] = {}

        def keep(node: torch.fx.Node, _args: Sequence[Any], result: torch.Tensor) -> torch.Tensor:
            if node.name in names:
                tapped[node.name] = result.clone()  # a later operator may write to it in place
            return result

        names = set(wanted.values())
        with torch.no_grad(), threads(self._threads):
            outputs = self._run(list(inputs.values()), keep if names else None)
        found = dict(zip(self._output_names(), map(_copied, outputs), strict=True))
        known: dict[str, npt.NDArray[np.generic]] = dict(checked)
        parameters = dict(self._module.named_parameters(remove_duplicate=False))
        parameters |= dict(self._module.named_buffers(remove_duplicate=False))
        for tap in taps:
            if tap in wanted:
                found.setdefault(tap, _copied(tapped[wanted[tap]]))
            elif tap in known:
                found.setdefault(tap, known[tap])
            elif tap in parameters:
                found.setdefault(tap, _copied(parameters[tap]))
        return found

    def backward(self, feeds: Arrays, seeds: Arrays, taps: Sequence[str] = ()) -> dict[str, npt.NDArray[np.generic]]:
        """Gradients of Σ⟨seed, output⟩ in every float input and every parameter; zeros where it does not depend on one.

        Raises:
            FeedError: A feed or a seed is missing, unknown, or of the wrong shape or dtype; a tap is not
                :attr:`tappable`, or no float.
            ExecutionError: PyTorch refused.
        """
        import torch

        checked = check_feeds(self._model, feeds)
        tapped = [value.name or "" for value in check_gradient_taps(self._model, taps, self.tappable)]
        inputs = {name: to_tensor(array) for name, array in checked.items()}
        parameters = dict(self._module.named_parameters(remove_duplicate=False))
        targets: dict[str, torch.Tensor | Inner] = {}
        for name, tensor in inputs.items():
            if tensor.is_floating_point():
                targets[name] = tensor.requires_grad_()
        for value in of_kind(self._model, "parameter"):
            name = value.name or ""
            if name in parameters and parameters[name].is_floating_point():
                targets[name] = parameters[name].requires_grad_()
        marks = Marks()
        wanted = {self._names[name]: name for name in tapped}

        def mark(node: torch.fx.Node, args: Sequence[Any], result: torch.Tensor) -> torch.Tensor:
            if node.name not in wanted:
                return result
            schema = getattr(node.target, "_schema", None)
            same = any(result is arg for arg in args) and not (schema is not None and schema.is_mutable)
            if same or (result._is_view() and self._sharing.is_written(node)):
                result = result.clone()  # else it has no node of autograd's to itself, or loses it when it is written
            return marks.mark(wanted[node.name], result)

        # The program may write to its inputs in place, which torch forbids on leaves.
        with torch.enable_grad(), threads(self._threads):
            outputs = self._run(
                [tensor * 1 if tensor.requires_grad else tensor for tensor in inputs.values()], mark if wanted else None
            )
            results = dict(zip(self._output_names(), outputs, strict=True))
            given = check_seeds(self._model, seeds, {name: to_array(result) for name, result in results.items()})
            ends = [results[name] for name in given]
            targets |= marks.found
            try:
                found = gradients(ends, [to_tensor(seed) for seed in given.values()], [*targets.values()])
            except Exception as error:
                raise ExecutionError(_refusal(error)) from error
        return {name: _copied(gradient) for name, gradient in zip(targets, found, strict=True)}

    def train(self, batches: Iterable[Batch], rule: Rule) -> Iterator[Step]:
        """Train by torch's own optimizer from the program's weights, a step each batch; the session does not change.

        Raises:
            FeedError: A feed or a target is missing, unknown, or of the wrong shape or dtype.
            ExecutionError: PyTorch refused.
        """
        from graphkit.frameworks.torch.training import steps

        module = self._fresh()
        parameters = dict(module.named_parameters(remove_duplicate=False))
        buffers = dict(module.named_buffers(remove_duplicate=False))
        names = [value.name or "" for value in of_kind(self._model, "parameter")]
        states = [value.name or "" for value in of_kind(self._model, "buffer")]
        trained = steps(
            self._model,
            lambda inputs: self._run(inputs, None, module),
            {name: parameters[name] for name in names if name in parameters and parameters[name].is_floating_point()},
            lambda: {name: buffers[name] for name in states if name in buffers},
            batches,
            rule,
        )
        yield from each_on(self._threads, trained)

    def close(self) -> None:
        """Free the weights."""
        self._module = None
        self._buffers.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _output_names(self) -> list[str]:
        return [value.name or "" for value in self._model.graph.outputs]

    def _tapped(self, taps: Sequence[str]) -> dict[str, str]:
        """The program's node for each tap that is computed."""
        outputs = set(self._output_names())
        inner = [
            tap.name or ""
            for tap in check_taps(self._model, taps)
            if tap.producer() is not None and tap.name not in outputs
        ]
        if unknown := [name for name in inner if name not in self._names]:
            raise UnsupportedError(
                "PyTorch",
                [UnsupportedNode("tap", name, "the exported program has no such value of its own") for name in unknown],
            )
        return {name: self._names[name] for name in inner}

    def _run(self, inputs: list[torch.Tensor], see: See | None, trained: Any = None) -> list[torch.Tensor]:
        """Outputs of a module that is trained or of the session's own, whose buffers start afresh.

        Args:
            inputs: The inputs.
            see: Shown each node that computes a tensor, its arguments and the tensor; gives what is handed on. None for
                nothing.
            trained: The module that is trained.
        """
        import torch

        from graphkit.frameworks.torch.quiet import quiet

        module = self._module if trained is None else trained
        if trained is None:
            with torch.no_grad():
                for name, buffer in module.named_buffers():
                    buffer.copy_(self._buffers[name])
        args, kwargs = arguments(self._program, inputs)
        before = torch.get_default_dtype()
        try:
            torch.set_default_dtype(self._default)
            with quiet():
                result = module(*args, **kwargs) if see is None else _interpreted(module, see, args, kwargs)
        except Exception as error:
            raise ExecutionError(_refusal(error)) from error
        finally:
            torch.set_default_dtype(before)
        return results(self._program, result)


def _module(program: torch.export.ExportedProgram, mode: Mode, dtypes: dict[torch.dtype, torch.dtype]) -> Any:
    """The program's module, without writes that nothing but autograd sees, as custom functions of its code do."""
    from graphkit.frameworks.torch.lasting import out_of_place
    from graphkit.frameworks.torch.retype import module_of

    module = module_of(program, mode, dtypes)
    out_of_place(module)
    return module


def _interpreted(module: torch.fx.GraphModule, see: See, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    import torch

    class Seeing(torch.fx.Interpreter):
        def run_node(self, n: torch.fx.Node) -> Any:
            result = super().run_node(n)
            if n.op != "call_function" or not isinstance(result, torch.Tensor):
                return result
            args, _ = self.fetch_args_kwargs_from_env(n)
            return see(n, args, result)

    return Seeing(module).run(*args, *kwargs.values())


def _dtypes(name: str) -> dict[torch.dtype, torch.dtype]:
    """Which element types to replace where a model was cast to the named float type, as all its floats were."""
    import torch

    if not name:
        return {}
    target: torch.dtype = getattr(torch, name)
    floats = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
    return {dtype: target for dtype in floats if dtype != target}


def _default_dtype(program: torch.export.ExportedProgram, name: str) -> torch.dtype:
    """The type of floats that the program makes out of nothing, e.g. by dividing integers."""
    import torch

    if name:
        return torch.float64 if name == "float64" else torch.float32
    metas = [node.meta.get("val") for node in program.graph.nodes if node.op == "placeholder"]
    found = {meta.dtype for meta in metas if isinstance(meta, torch.Tensor) and meta.is_floating_point()}
    return torch.float64 if found == {torch.float64} else torch.float32


def _copied(tensor: torch.Tensor) -> npt.NDArray[np.generic]:
    return to_array(tensor).copy()


def _refusal(error: Exception) -> str:
    from graphkit.frameworks.torch.explain import sentence, user_line

    where = user_line(error)
    return f"PyTorch refuses to run the program: {sentence(error)}{f' ({where})' if where else ''}."


RUNTIME = TorchRuntime()
