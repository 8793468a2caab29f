"""Finding what a source names, and turning it into an exported program."""

from __future__ import annotations

import copy
import inspect
import os
import re
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from graphkit.errors import FormatError, InputError
from graphkit.files import steady
from graphkit.frameworks.importing import imported
from graphkit.frameworks.torch import archive
from graphkit.frameworks.torch.capture import capture, is_free, positions
from graphkit.frameworks.torch.explain import sentence
from graphkit.frameworks.torch.folder import is_folder, read_folder
from graphkit.frameworks.torch.guards import assumed
from graphkit.frameworks.torch.names import input_names
from graphkit.frameworks.torch.plain_trees import of_plain_containers
from graphkit.frameworks.torch.quiet import quiet
from graphkit.frameworks.torch.samples import Sample, fitting, from_program, from_specs
from graphkit.frameworks.torch.scripted.client import captured
from graphkit.frameworks.torch.stored_program import MAPPED, load_mapped
from graphkit.frameworks.torch.tensors import identity

if TYPE_CHECKING:
    from collections.abc import Hashable

    import torch

    from graphkit.frameworks.base import ReadOptions

__all__ = ["load", "recognises"]

_SUFFIXES: Final = (".pt2", ".pt", ".pth", ".ckpt", ".bin")
_CALLABLE: Final = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")
_REMEDY: Final = (
    "where the model can be built, save its program: torch.export.save(torch.export.export(model.eval(), (example,)), "
    "'model.pt2')"
)


def recognises(source: Any) -> bool:
    """Whether a source looks like one of PyTorch's: a file by its suffix, ``package.module:callable``, or an object."""
    if isinstance(source, Path) or (isinstance(source, str) and Path(source).exists()):
        return Path(source).suffix.lower() in _SUFFIXES or is_folder(Path(source))
    if isinstance(source, str):
        return Path(source).suffix.lower() in _SUFFIXES or _CALLABLE.fullmatch(source) is not None
    # An object of torch's cannot be there unless torch has been imported.
    torch: Any = sys.modules.get("torch")
    return torch is not None and isinstance(source, torch.nn.Module | torch.export.ExportedProgram)


def load(source: Any, options: ReadOptions) -> tuple[torch.export.ExportedProgram, str, dict[str, str]]:
    """The exported program that a source stands for, what to call it, and what it was converted from calls its tensors.

    Args:
        source: A path (a folder that graphkit wrote is one), ``"package.module:callable"``, an ``nn.Module`` or an
            ``ExportedProgram``.
        options: How to read it.

    Raises:
        InputError: The source is not there, is refused, or cannot be captured with the given inputs.
        FormatError: A file is damaged.
        UnsupportedError: TorchScript that cannot be converted.
    """
    import torch

    if isinstance(source, str | Path) and (isinstance(source, Path) or not _CALLABLE.fullmatch(source)):
        path = Path(source)
        if options.params is not None:
            raise InputError(
                f"{path} has its own weights, so that those of {options.params} have no place in it; --params is for "
                f"modules that Python makes (package.module:callable) and for MXNet symbols."
            )
        if is_folder(path):
            with steady(path):
                folder = read_folder(path, trusted=options.trust_code)
            options = replace(options, inputs=options.inputs or folder.inputs)
            label = Path(os.path.abspath(path)).name  # of "." too
            return _from_module(folder.module, options, label), label, folder.names
        return _from_file(path, options), path.name, {}
    if isinstance(source, str):
        found, label = _from_callable(source, options), source
    else:
        found, label = source, type(source).__name__
        if options.params is not None:
            raise InputError(
                f"A {label} has its own weights: load those of {options.params} into it (load_state_dict), and leave "
                f"params out."
            )
    if isinstance(found, torch.export.ExportedProgram):
        program = _fitted(of_plain_containers(_program_on_cpu(found)), options, label)
    else:
        program = _from_module(_module_on_cpu(found, label), options, label)
    # The caller may go on training what it gave us: the model read is the one of this moment.
    return program if options.shared else _detached(program), label, {}


def _from_file(path: Path, options: ReadOptions) -> torch.export.ExportedProgram:
    kind = archive.kind_of_file(path)
    label = path.name
    if kind == "program":
        return _fitted(_program_on_cpu(_load_program(path, trusted=options.trust_pickle)), options, label)
    if kind == "torchscript":
        return captured(path, options)
    if kind == "compiled":
        raise InputError(
            f"{path} holds machine code that torch compiled ahead of time, which has no graph to convert; {_REMEDY}."
        )
    if kind == "safetensors" or not options.trust_pickle:
        raise InputError(_without_network(path, pickled=kind == "pickle"))
    return _from_module(_module_on_cpu(_unpickled(path), label), options, label)


def _without_network(path: Path, *, pickled: bool) -> str:
    """What to say of a file that holds weights, or a pickle that may hold anything."""
    from graphkit.frameworks.torch.checkpoint import contents_of

    told = contents_of(path)
    network = f"Give the network that uses them: package.module:callable with --params {path}"
    if told:
        return f"{path} holds weights only, not the network that uses them: {told}. {network}; or {_REMEDY}."
    if not pickled:
        return f"{path} holds weights only, not the network that uses them; {_REMEDY}."
    return (
        f"{path} is a pickle (torch.save), which runs code of its author when it is loaded, and is not; {_REMEDY}. If "
        f"you trust its author and it holds a whole module, allow it with --trust-pickle."
    )


def _load_program(path: Path, *, trusted: bool) -> torch.export.ExportedProgram:
    import torch

    from graphkit.frameworks.torch.checks.refusal import HarmfulError

    try:
        with quiet():
            try:
                return load_mapped(path)
            except HarmfulError:
                if trusted:
                    return torch.export.load(path)
                raise
    except HarmfulError as error:
        raise InputError(
            f"{path} is not loaded: {error}. torch would run what a file has in such places, or needs a pickle for it. "
            f"If you trust its author, allow it with --trust-pickle; else {_REMEDY}."
        ) from error
    except Exception as error:
        raise FormatError(
            f"{path} looks like an exported program, but torch {torch.__version__} cannot load it: {sentence(error)}. "
            f"It may be damaged or of another version of torch; export it again."
        ) from error


def _unpickled(path: Path) -> torch.nn.Module:
    import torch

    try:
        with quiet():
            mapped = path.stat().st_size >= MAPPED and zipfile.is_zipfile(path)
            found: Any = torch.load(path, map_location="cpu", weights_only=False, mmap=mapped)
    except Exception as error:
        raise FormatError(
            f"{path} cannot be unpickled: {sentence(error)}. The classes of the module must be importable from here; "
            f"{_REMEDY}."
        ) from error
    if isinstance(found, torch.nn.Module):
        return found
    what = "a state_dict" if isinstance(found, dict) else f"a {type(found).__name__}"
    raise InputError(f"{path} holds {what}, not a module: weights without the network that uses them; {_REMEDY}.")


def _from_callable(reference: str, options: ReadOptions) -> torch.nn.Module | torch.export.ExportedProgram:
    import torch

    found = kept = imported(reference)
    if not isinstance(found, torch.nn.Module | torch.export.ExportedProgram) and callable(found):
        try:
            found = found()
        except Exception as error:
            raise InputError(
                f"{reference}() fails: {type(error).__name__}: {sentence(error)}. It is called without arguments and "
                f"must return a torch.nn.Module."
            ) from error
    if not isinstance(found, torch.nn.Module | torch.export.ExportedProgram):
        raise InputError(f"{reference} gives a {type(found).__name__}; it must give a torch.nn.Module.")
    if options.params is None:
        return found
    if not isinstance(found, torch.nn.Module):
        raise InputError(f"{reference} gives a program that has its own weights; leave --params {options.params} out.")
    from graphkit.frameworks.torch.checkpoint import loaded

    return loaded(found, options.params, reference, options.warn, shared=found is kept)


def _from_module(module: torch.nn.Module, options: ReadOptions, label: str) -> torch.export.ExportedProgram:
    import torch

    if isinstance(module, torch.jit.ScriptModule):
        from graphkit.frameworks.torch.torchscript import as_module, sample_of

        sample = sample_of(module, options.inputs, label)
        module = as_module(module, sample, dynamic_batch=options.dynamic_batch, label=label)
    else:
        dtype = next((value.dtype for value in module.parameters() if value.is_floating_point()), torch.float32)
        names = list(inspect.signature(module.forward).parameters.values())
        sample = from_specs(options.inputs, names, dtype, label, positions(module)[1])
    return capture(module, sample, dynamic_batch=options.dynamic_batch, warn=options.warn, label=label)


def _fitted(program: torch.export.ExportedProgram, options: ReadOptions, label: str) -> torch.export.ExportedProgram:
    """The program with its batch as free as asked for."""
    from graphkit.frameworks.torch.rebatch import freed

    sample = from_program(program)
    names = input_names(program)
    given = fitting(sample, options.inputs, names, label, any_batch=True)
    if options.dynamic_batch:
        assumed(program, options.warn, label)
    if options.dynamic_batch and not is_free(program):
        program = freed(program, sample, warn=options.warn, label=label)
    elif not options.dynamic_batch and is_free(program):
        args, kwargs = sample.map(lambda blank: given.get(blank, blank.filled()))
        module = program.module(check_guards=False)
        program = capture(module, Sample(args, kwargs), dynamic_batch=False, warn=options.warn, label=label)
    if not is_free(program):
        fitting(from_program(program), options.inputs, names, label, any_batch=False)
    return program


def _module_on_cpu(module: torch.nn.Module, label: str) -> torch.nn.Module:
    """The module, or a copy where its weights are on another device.

    Raises:
        InputError: It has no weights at all: it was made on the meta device.
    """
    devices = {tensor.device.type for tensor in (*module.parameters(), *module.buffers())}
    if "meta" in devices:
        raise InputError(f"{label} is on the meta device, so it has no weights to convert; load them first.")
    return module if devices <= {"cpu"} else copy.deepcopy(module).cpu()


def _program_on_cpu(program: torch.export.ExportedProgram) -> torch.export.ExportedProgram:
    tensors = [*program.state_dict.values(), *program.constants.values()]
    if {getattr(getattr(tensor, "device", None), "type", "cpu") for tensor in tensors} <= {"cpu"}:
        return program
    from torch.export.passes import move_to_device_pass

    return move_to_device_pass(program, "cpu")


def _detached(program: torch.export.ExportedProgram) -> torch.export.ExportedProgram:
    """A program with copies of the weights; tied ones stay tied.

    Raises:
        InputError: A weight is sparse.
    """
    import torch

    for name, value in (*program.state_dict.items(), *program.constants.items()):
        if isinstance(value, torch.Tensor) and value.layout != torch.strided:
            kind = str(value.layout).removeprefix("torch.")
            raise InputError(
                f"Weight {name!r} of the module is sparse ({kind}), which no target computes with; make it dense with "
                f"to_dense()."
            )
    copies: dict[Hashable, torch.Tensor] = {}

    def copied(value: Any) -> Any:
        if not isinstance(value, torch.Tensor):
            return value
        key = identity(value)
        if key not in copies:
            fresh = value.detach().clone()
            parameter = isinstance(value, torch.nn.Parameter)
            copies[key] = torch.nn.Parameter(fresh, value.requires_grad) if parameter else fresh
        return copies[key]

    return torch.export.ExportedProgram(
        program.graph_module,
        program.graph,
        program.graph_signature,
        {name: copied(value) for name, value in program.state_dict.items()},
        program.range_constraints,
        program.module_call_graph,
        program.example_inputs,
        {name: copied(value) for name, value in program.constants.items()},
        verifiers=program.verifiers,
    )
