"""TorchScript archives as modules that torch.export can capture."""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING, Any, Final

from graphkit.errors import FormatError, InputError, MissingError, UnsupportedError, UnsupportedNode
from graphkit.frameworks.torch.archive import has_traced_inputs
from graphkit.frameworks.torch.explain import chain, sentence
from graphkit.frameworks.torch.quiet import quiet
from graphkit.frameworks.torch.samples import Blank, Sample, from_specs

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import torch

    from graphkit.frameworks.base import InputSpec

__all__ = ["as_module", "load_archive", "sample_of"]

_UNSUPPORTED: Final = re.compile(r"^\s*\d+\. (\S+) \[(.*)\]$", re.MULTILINE)
_PACKING: Final = "aten::_pack_padded_sequence"
_ADVICE: Final = "torch's TorchScript converter has no rule for it; save the module with torch.export.save instead"


def load_archive(path: Path) -> torch.jit.ScriptModule:
    """Load a TorchScript archive onto the CPU, with the shapes it was traced with, if it was traced.

    Raises:
        FormatError: torch cannot read it.
    """
    import torch

    load: Any = torch.jit.load
    with quiet():
        try:
            loaded: torch.jit.ScriptModule = load(path, map_location="cpu", _restore_shapes=has_traced_inputs(path))
        except Exception as error:
            raise FormatError(
                f"{path} looks like a TorchScript archive, but torch {torch.__version__} cannot read it: "
                f"{sentence(error)}. It may be damaged, or need operators of an extension; export the model again with "
                f"torch.export.save."
            ) from error
    return loaded


def sample_of(module: torch.jit.ScriptModule, specs: Sequence[InputSpec], label: str) -> Sample:
    """The arguments of a TorchScript module: given ones, else those it was traced with.

    Raises:
        InputError: Neither tells, or the given ones do not fit.
    """
    import torch

    forward: Any = module.forward
    arguments = forward.schema.arguments[1:]
    if not specs:
        values = list(module.graph.inputs())[1:]
        traced = [blank for value in values if (blank := _traced(value.type())) is not None]
        if traced and len(traced) == len(values):
            return Sample(tuple(traced), {})
    names = [
        inspect.Parameter(
            argument.name,
            inspect.Parameter.POSITIONAL_OR_KEYWORD,
            default=argument.default_value if argument.has_default_value() else inspect.Parameter.empty,
        )
        for argument in arguments
    ]
    dtype = next((value.dtype for value in module.parameters() if value.is_floating_point()), torch.float32)
    sample = from_specs(specs, names, dtype, label)
    if sample.kwargs:
        raise InputError(
            f"The inputs of {label} are taken in order, as those of all TorchScript; give every input before "
            f"{next(iter(sample.kwargs))!r} as well."
        )
    return Sample((*sample.args, *(name.default for name in names[len(sample.args) :])), {})


def _traced(kind: Any) -> Blank | None:
    sizes, dtype = getattr(kind, "sizes", None), getattr(kind, "dtype", None)
    if sizes is None or dtype is None or sizes() is None or dtype() is None:
        return None
    return Blank(tuple(sizes()), dtype())


def as_module(module: torch.jit.ScriptModule, sample: Sample, *, dynamic_batch: bool, label: str) -> torch.nn.Module:
    """The same computation as a graph module, with the same parameters and buffers under the same names.

    The result is compared with the original on the sample.

    Raises:
        UnsupportedError: TorchScript constructs that have no counterpart in a graph, all that torch tells of.
        InputError: The sample does not run.
        MissingError: This torch does not convert TorchScript.
    """
    import torch

    _refuse_packing(module)
    with quiet(), torch.no_grad():
        args, wanted = _run(module, sample, label, dynamic_batch=dynamic_batch)
        converted = _converted(module, args, label)
        _restore(converted, module)
        repeats = _same(wanted, module(*args))
        if repeats and not _same(wanted, converted(*args)):
            reason = "torch's converter gives a program of other outputs for it"
            raise UnsupportedError("a graph", [UnsupportedNode("TorchScript", "forward", reason)])
    return converted


def _refuse_packing(module: torch.jit.ScriptModule) -> None:
    graph: Any = module.inlined_graph
    for node in graph.findAllNodes(_PACKING):
        reason = (
            "the data of packed sequences are of a size that only lengths tell, and no graph has such; give the module "
            "itself, as package.module:callable or in Python, of which packed sequences are read"
        )
        raise UnsupportedError("a graph", [UnsupportedNode(_PACKING, node.scopeName() or "forward", reason)])


def _run(
    module: torch.jit.ScriptModule, sample: Sample, label: str, *, dynamic_batch: bool
) -> tuple[tuple[Any, ...], Any]:
    """Arguments that the module runs on, and what it gives.

    A size of 1 would be taken for a constant, so a batch that is to be free is 2 if the module takes that.
    """
    shapes = ""
    failure: Exception | None = None
    for batch in (2, None) if dynamic_batch and sample.batch == 1 else (None,):
        args, _ = sample.tensors(batch)
        try:
            return args, module(*args)
        except Exception as error:
            failure = error
            shapes = ", ".join("x".join(map(str, getattr(arg, "shape", ()))) or repr(arg) for arg in args)
    assert failure is not None
    raise InputError(
        f"{label} does not run on inputs of the shapes {shapes}: {_runtime_reason(failure)}. Give the shapes it takes, "
        f"e.g. --input 1x3x224x224."
    ) from failure


def _converted(module: torch.jit.ScriptModule, args: tuple[Any, ...], label: str) -> torch.nn.Module:
    import torch

    try:
        from torch._export.converter import TS2EPConverter
    except ImportError as error:
        raise MissingError(
            f"{label} is a TorchScript archive, which torch {torch.__version__} does not convert; install torch 2.13, "
            f"or save the module with torch.export.save."
        ) from error
    converter: Any = None
    try:
        converter = TS2EPConverter(module, args)
        found: torch.nn.Module = converter.convert().module(check_guards=False)
    except Exception as error:
        raise UnsupportedError("a graph", _unsupported(converter, error)) from error
    return found


def _unsupported(converter: Any, error: Exception) -> list[UnsupportedNode]:
    if converter is not None:
        try:
            told = converter.explain(print_output=False)
        except Exception:
            told = ""
        if nodes := [UnsupportedNode(kind, text[:80], _ADVICE) for kind, text in _UNSUPPORTED.findall(told)]:
            return nodes
    root = list(chain(error))[-1]
    return [
        UnsupportedNode("TorchScript", "forward", f"{sentence(root)}; save the module with torch.export.save instead")
    ]


def _runtime_reason(error: Exception) -> str:
    lines = [line for line in str(error).splitlines() if "Error:" in line]
    return lines[-1].split("Error:", 1)[1].strip().rstrip(".") if lines else sentence(error)


def _same(left: Any, right: Any) -> bool:
    import torch
    from torch.utils import _pytree

    lefts, rights = _pytree.tree_leaves(left), _pytree.tree_leaves(right)
    if len(lefts) != len(rights):
        return False
    for one, other in zip(lefts, rights, strict=True):
        if isinstance(one, torch.Tensor) != isinstance(other, torch.Tensor):
            return False
        if isinstance(one, torch.Tensor):
            scale = one.abs().max().item() if one.numel() and one.is_floating_point() else 0.0
            if one.shape != other.shape or not torch.allclose(one, other, rtol=0, atol=1e-4 * scale, equal_nan=True):
                return False
    return True


def _restore(converted: torch.nn.Module, module: torch.jit.ScriptModule) -> None:
    """Make parameters of what is one in the archive, and buffers of the rest; the converter tells them by value."""
    import torch

    parameters = dict(module.named_parameters(remove_duplicate=False))
    values = {**dict(module.named_buffers(remove_duplicate=False)), **parameters}
    for name, value in values.items():
        owner_name, _, leaf = name.rpartition(".")
        try:
            owner = converted.get_submodule(owner_name)
        except AttributeError:
            continue
        if not hasattr(owner, leaf):
            continue
        delattr(owner, leaf)
        if name in parameters:
            owner.register_parameter(leaf, torch.nn.Parameter(value, value.requires_grad))
        else:
            owner.register_buffer(leaf, value)
