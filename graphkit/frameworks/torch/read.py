"""PyTorch to canonical form."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from graphkit.frameworks.lookups import check_stored_lookups
from graphkit.frameworks.torch.annotate import annotate
from graphkit.frameworks.torch.dimensions import bounded_dimensions, same_dimensions
from graphkit.frameworks.torch.guards import tell
from graphkit.frameworks.torch.load import load
from graphkit.frameworks.torch.names import input_names, name_ends, name_nodes, natives, output_names
from graphkit.frameworks.torch.prepare import prepared
from graphkit.frameworks.torch.recurrent_capture import same_batches
from graphkit.frameworks.torch.stopping import forget_idle_stops
from graphkit.frameworks.torch.translate import translate
from graphkit.ir.canonical import canonical
from graphkit.ir.dims import set_bounds
from graphkit.ir.origin import Source, set_source
from graphkit.ir.params import set_alias

if TYPE_CHECKING:
    import onnx_ir as ir
    import torch

    from graphkit.frameworks.base import ReadOptions

__all__ = ["from_program", "read"]

_LIFTED: Final = re.compile(r"(?:^|\.)lifted_tensor_\d+$")
"""What torch.export calls tensors that the code makes, rather than a module has."""


def read(source: Any, options: ReadOptions) -> ir.Model:
    """Read a PyTorch model.

    Args:
        source: An exported program (``x.pt2``), a TorchScript archive (``x.pt``), ``"package.module:callable"``, an
            ``nn.Module`` or an ``ExportedProgram``.
        options: How to read it; modules need ``inputs``.

    Returns:
        The canonical model in evaluation form, whatever mode the program was exported in. Its initializers are called
        as in the module's ``state_dict``; its source is the exported program.

    Raises:
        InputError: The source is not there, is refused (pickles), or cannot be captured.
        FormatError: A file is damaged.
        UnsupportedError: Operators without an ONNX translation, all of them.
    """
    program, label, names = load(source, options)
    model = from_program(program, options, label)
    for value in model.graph.initializers.values():
        if value.name in names:
            set_alias(value, names[value.name])
    return model


def from_program(program: torch.export.ExportedProgram, options: ReadOptions, label: str) -> ir.Model:
    """Translate an exported program; the program is not changed and becomes the model's source."""
    evaluating = prepared(program, warn=options.warn, label=label)
    model = translate(evaluating)
    native_inputs = [value.name or "" for value in model.graph.inputs]
    same = {**same_dimensions(program), **same_batches(program)}
    tell(program, same, options.warn, label)
    annotate(model, evaluating, same)
    forget_idle_stops(model)
    bounds = bounded_dimensions(program)
    for value, native in zip(model.graph.inputs, native_inputs, strict=True):
        if bounds.get(native):
            set_bounds(value, bounds[native])
    name_ends(model, input_names(program), output_names(program))
    canonical(model)
    computed = natives(model, program)
    name_nodes(model, [name for name in evaluating.constants if not _LIFTED.search(name)])
    check_stored_lookups(model)
    computed.update(zip(model.graph.inputs, native_inputs, strict=True))
    set_source(model, Source("torch", label, program, {value.name or "": name for value, name in computed.items()}))
    return model
