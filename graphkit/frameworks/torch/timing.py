"""PyTorch timed: the user's own program, or the source written for a converted model, eager and compiled."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from graphkit.errors import MissingError
from graphkit.frameworks.process import TimedProcess, thread_settings
from graphkit.frameworks.timing import Answer, Memory, Round
from graphkit.ir.origin import source_of
from graphkit.ops.layout import restore
from graphkit.ops.torchprogram import Stored
from graphkit.passes.gradient.model import trained_values

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy.typing as npt
    import onnx_ir as ir
    import torch

    from graphkit.frameworks.base import Arrays
    from graphkit.frameworks.timing import Timed

    Found = dict[str, npt.NDArray[np.generic]]

__all__ = ["TIMERS", "TorchTimer", "imports", "prepare"]

_PROGRAM: Final = "program.pt2"
_SOURCE: Final = "model.py"
_WEIGHTS: Final = "model.safetensors"
_CACHE: Final = "inductor"
"""Folder of what the compiler makes: a new one each time, so that the first call is not one of something cached."""


@dataclass(frozen=True, slots=True)
class TorchTimer:
    """PyTorch on the CPU, eager or by ``torch.compile``.

    Attributes:
        name: How the command line calls it.
        label: How people call it.
        compiled: Whether modules are compiled.
        variants: How it can be set up: in one way.
    """

    name: str
    label: str
    compiled: bool
    variants: tuple[str, ...] = ("",)

    def missing(self) -> str | None:
        """None when it can run here, else what is missing and what to do about it."""
        if importlib.util.find_spec("torch") is None:
            return "PyTorch is not installed; run: pip install 'graphkit[torch]'"
        if self.compiled and _compiler() is None:
            named = os.environ.get("CXX")
            told = f"the compiler that CXX names, {named!r}, is not there" if named else "there is no g++"
            return (
                f"torch.compile needs a C++ compiler, and {told}; install one (apt-get install g++) or let CXX name it"
            )
        return None

    def version(self) -> str:
        """Version of PyTorch, and its compiler."""
        found = f"torch {importlib.metadata.version('torch')}"
        return f"{found} (inductor, {_compiler_version()})" if self.compiled else found

    def start(self, model: ir.Model, folder: Path, *, threads: int, backward: bool, variant: int = 0) -> Timed:  # noqa: ARG002  # the protocol's
        """Start a process that has the model."""
        if (problem := self.missing()) is not None:
            raise MissingError(f"{self.label} is not available: {problem}.")
        job: dict[str, Any] = {
            "threads": threads,
            "backward": backward,
            "compiled": self.compiled,
            "inputs": [value.name or "" for value in model.graph.inputs if not value.is_initializer()],
            "outputs": [value.name or "" for value in model.graph.outputs],
        }
        wanted = {value.name or "": value for value in trained_values(model)}
        source = source_of(model)
        held: dict[str, Stored] = {}
        if source is not None and source.framework == "torch":
            job |= _program_in(folder, source.handle) | {"cast": bool(source.dtype)}
            job["trained"] = [name for name in wanted if name not in job["inputs"]]
        else:
            written, tensors = _source_in(folder, model)
            held = {key: tensor for key, tensor in tensors.items() if tensor.value.name in wanted}
            job |= written | {"trained": list(held)}
        settings = thread_settings(threads) | {"TORCHINDUCTOR_CACHE_DIR": str(folder / _CACHE)}
        process = TimedProcess(self.label, __name__, job, settings)
        return _Restored(process, wanted, held) if held and backward else process


def _compiler() -> str | None:
    return shutil.which(os.environ.get("CXX") or "g++")


def _compiler_version() -> str:
    import subprocess

    path = _compiler()
    if path is None:
        return "no compiler"
    done = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
    return done.stdout.partition("\n")[0].strip() or path


def _program_in(folder: Path, program: torch.export.ExportedProgram) -> dict[str, Any]:
    import torch

    from graphkit.frameworks.torch.quiet import quiet

    path = folder / _PROGRAM
    with quiet():
        torch.export.save(program, path)
    return {"program": str(path)}


def _source_in(folder: Path, model: ir.Model) -> tuple[dict[str, Any], dict[str, Stored]]:
    """Write a model's source and weights; the job, and what of the model each weight is."""
    from graphkit.frameworks.torch.source.program import to_program
    from graphkit.frameworks.torch.source.write import to_source
    from graphkit.frameworks.torch.weights import write_weights

    source = to_source(to_program(model), "Model")
    (folder / _SOURCE).write_text(source.text, encoding="utf-8")
    write_weights(folder / _WEIGHTS, source.tensors, {"format": "pt"})
    stored = {key: tensor for key, tensor in source.tensors.items() if isinstance(tensor, Stored)}
    return {"source": str(folder / _SOURCE), "weights": str(folder / _WEIGHTS), "class": source.name}, stored


class _Restored:
    """A process whose module holds the model's parameters in layouts of its own, with gradients in the model's."""

    def __init__(self, process: TimedProcess, wanted: Mapping[str, ir.Value], held: Mapping[str, Stored]) -> None:
        self._process, self._wanted, self._held = process, wanted, held

    @property
    def load(self) -> float:
        return self._process.load

    @property
    def notes(self) -> tuple[str, ...]:
        return self._process.notes

    def call(self, feeds: Arrays, seeds: Arrays | None) -> Answer:
        answer = self._process.call(feeds, seeds)
        found = {name: array for name, array in answer.gradients.items() if name not in self._held}
        for key, stored in self._held.items():
            name = stored.value.name or ""
            assert stored.value.const_value is not None
            part = restore(answer.gradients[key], stored.layout, stored.value.const_value.shape.numpy())
            found[name] = np.asarray(found[name] + part) if name in found else part  # type: ignore[operator]  # floats
        for name, value in self._wanted.items():
            if name not in found and value.const_value is not None:  # the source needs no such parameter
                found[name] = np.zeros(value.const_value.shape.numpy(), np.float32)
        return Answer(answer.outputs, {name: found[name] for name in self._wanted}, answer.seconds)

    def measure(self, least: float, lead: bool = True) -> Round:
        return self._process.measure(least, lead)

    def settle(self) -> None:
        self._process.settle()

    def memory(self) -> Memory:
        return self._process.memory()

    def close(self) -> None:
        self._process.close()


def imports(job: Mapping[str, Any]) -> None:
    """Import torch, in the process that is timed."""
    import torch

    torch.set_num_threads(job["threads"])
    torch.set_num_interop_threads(1)
    later = ["torch._export.serde.serialize", "torch.export.pt2_archive"] if "program" in job else ["safetensors.torch"]
    later += ["torch._inductor.compile_fx"] if job["compiled"] else []
    for name in later:  # what torch would import when it loads or compiles the first model of a process
        importlib.import_module(name)


def prepare(job: Mapping[str, Any]) -> _Program:
    """Load the module, in the process that is timed."""
    return _Program(job)


class _Program:
    """:class:`graphkit.frameworks.timed.Program` of a torch module."""

    def __init__(self, job: Mapping[str, Any]) -> None:
        import torch

        self._job = job
        self._program: torch.export.ExportedProgram | None = None
        module = self._exported() if "program" in job else _written(job)
        tensors: dict[str, torch.Tensor] = dict(module.named_parameters(remove_duplicate=False))
        tensors |= dict(module.named_buffers(remove_duplicate=False))
        module.requires_grad_(False)
        self._trained = {}
        if job["backward"]:
            known = {name: tensors[name] for name in job["trained"] if name in tensors}
            self._trained = {name: tensor for name, tensor in known.items() if tensor.is_floating_point()}
            for tensor in self._trained.values():
                tensor.requires_grad_()
        self._module: Any = torch.compile(module) if job["compiled"] else module
        self._inputs: dict[str, torch.Tensor] = {}
        self._seeds: dict[str, torch.Tensor] = {}
        self._copies = False
        self._outputs: list[torch.Tensor] = []
        self._gradients: tuple[torch.Tensor | None, ...] = ()

    @property
    def notes(self) -> tuple[str, ...]:
        """None."""
        return ()

    def feed(self, feeds: Arrays, seeds: Arrays | None) -> None:
        """Make tensors of arrays."""
        from graphkit.frameworks.torch.tensors import to_tensor

        self._inputs = {name: to_tensor(feeds[name]) for name in self._job["inputs"]}
        self._seeds = {name: to_tensor(seed) for name, seed in (seeds or {}).items()}
        if self._job["backward"]:
            for tensor in self._inputs.values():
                tensor.requires_grad_(tensor.is_floating_point())
        self._given = self._arguments()

    def call(self) -> None:
        """Run the module; with ``backward``, autograd too."""
        import torch

        if not self._job["backward"]:
            with torch.inference_mode():
                self._outputs = self._flat(self._module(*self._given[0], **self._given[1]))
            return
        try:
            self._differentiate()
        except RuntimeError as error:
            if self._copies or "leaf Variable that requires grad" not in str(error):
                raise
            self._copies = True  # the program writes to its inputs in place, which torch forbids on leaves
            self._differentiate()

    def results(self) -> tuple[Found, Found]:
        """The tensors as arrays."""
        import torch

        from graphkit.frameworks.torch.tensors import to_array

        outputs = {name: to_array(y) for name, y in zip(self._job["outputs"], self._outputs, strict=True)}
        gradients = {
            name: to_array(torch.zeros_like(target) if found is None else found)
            for (name, target), found in zip(self._targets().items(), self._gradients, strict=False)
        }
        return outputs, gradients

    def _differentiate(self) -> None:
        import torch

        args, kwargs = self._arguments() if self._copies else self._given
        with torch.enable_grad():
            self._outputs = self._flat(self._module(*args, **kwargs))
            named = dict(zip(self._job["outputs"], self._outputs, strict=True))
            ends = [name for name in self._seeds if named[name].requires_grad]
            self._gradients = torch.autograd.grad(
                [named[name] for name in ends],
                [*self._targets().values()],
                [self._seeds[name] for name in ends],
                allow_unused=True,
            )

    def _targets(self) -> dict[str, torch.Tensor]:
        inputs = {name: tensor for name, tensor in self._inputs.items() if tensor.requires_grad}
        return inputs | self._trained

    def _arguments(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        from graphkit.frameworks.torch.calling import arguments

        inputs = [x * 1 if self._copies and x.requires_grad else x for x in self._inputs.values()]
        return (tuple(inputs), {}) if self._program is None else arguments(self._program, inputs)

    def _flat(self, result: Any) -> list[torch.Tensor]:
        from graphkit.frameworks.torch.calling import results

        if self._program is not None:
            return results(self._program, result)
        return list(result) if isinstance(result, tuple) else [result]

    def _exported(self) -> torch.nn.Module:
        import torch

        from graphkit.frameworks.torch.mode import set_mode
        from graphkit.frameworks.torch.quiet import quiet
        from graphkit.frameworks.torch.retype import module_of

        with quiet():
            self._program = torch.export.load(self._job["program"])
            wide = (torch.float16, torch.bfloat16, torch.float64)
            if self._job["cast"] and any(tensor.dtype in wide for tensor in self._program.state_dict.values()):
                return module_of(self._program, "eval", dict.fromkeys(wide, torch.float32))
            module: Any = self._program.module(check_guards=False)
        set_mode(module, "eval")
        return module  # type: ignore[no-any-return]  # torch types module() as nn.Module


def _written(job: Mapping[str, Any]) -> torch.nn.Module:
    from pathlib import Path

    from safetensors.torch import load_file

    space: dict[str, Any] = {"__name__": "model"}
    source = Path(job["source"])
    exec(compile(source.read_text(encoding="utf-8"), str(source), "exec"), space)
    module: torch.nn.Module = space[job["class"]]()
    module.load_state_dict(load_file(job["weights"]))
    return module.eval()


TIMERS = (
    TorchTimer("torch", "PyTorch", compiled=False),
    TorchTimer("torch-compile", "PyTorch (compiled)", compiled=True),
)
