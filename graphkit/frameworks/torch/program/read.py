"""Exported programs as models to be looked at."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import onnx_ir as ir

from graphkit.errors import FormatError
from graphkit.frameworks.torch.annotate import CALL
from graphkit.frameworks.torch.dimensions import name_of_dimension
from graphkit.frameworks.torch.names import name_ends, name_nodes, name_of_input, names_of_outputs
from graphkit.frameworks.torch.program.archive import Archive, mapped
from graphkit.frameworks.torch.program.arguments import Text
from graphkit.frameworks.torch.program.damage import DamageError
from graphkit.frameworks.torch.program.expressions import SYMBOL, infix
from graphkit.frameworks.torch.program.graph import GraphReader
from graphkit.frameworks.torch.program.layouts import contents, is_program
from graphkit.frameworks.torch.program.parts import outputs_in
from graphkit.frameworks.torch.program.pruning import prune, pruned
from graphkit.frameworks.torch.program.schema import NEWEST, program, tensor_meta
from graphkit.frameworks.torch.program.shared import Shared
from graphkit.frameworks.torch.program.trees import leaf_paths
from graphkit.ir.canonical.drop_neutral import drop_neutral
from graphkit.ir.canonical.fold_constants import fold_constants
from graphkit.ir.edit import graphs_of, nodes_of
from graphkit.ir.opset import OPSET, schema_of
from graphkit.ir.own import DOMAIN, VERSION
from graphkit.ir.params import Kind, frozen_parameters, set_kind, set_tied

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from pathlib import Path

    from graphkit.frameworks.torch.program.layouts import Contents
    from graphkit.frameworks.torch.program.schema import Program

__all__ = ["read_bytes", "read_program"]

_IR_VERSION: Final = 11
_TOLD: Final = 500
"""Characters of what is wrong that are told: names in a file can be of any length."""
_KINDS: Final[dict[str, Kind]] = {"parameter": "parameter", "buffer": "buffer", "tensor_constant": "constant"}
_LIFTED: Final = re.compile(r"(?:^|\.)lifted_tensor_\d+$")
"""What torch.export calls tensors that the code makes, rather than a module has."""
_CONTRADICTIONS: Final = (
    KeyError,
    TypeError,
    AttributeError,
    IndexError,
    ValueError,
    OverflowError,
    RecursionError,
    MemoryError,
    StopIteration,
)
"""What a document raises whose parts are not what torch's schema says."""


def read_program(path: Path, *, raw: bool, warn: Callable[[str], None]) -> ir.Model | None:
    """Read a file that holds an exported program, without PyTorch.

    Args:
        path: The file.
        raw: Whether all nodes stay what the file has, in domains such as ``"torch.aten"``.
        warn: Told what the model lacks.

    Returns:
        The model; its weights stay in the file. None for a file that holds no exported program.

    Raises:
        InputError: The file cannot be read.
        FormatError: It is a damaged zip archive, or a damaged program.
    """
    data = mapped(path)
    if bytes(data[:2]) != b"PK":
        return None
    return read_bytes(data, str(path), path.stem, raw=raw, warn=warn)


def read_bytes(data: memoryview, label: str, name: str, *, raw: bool, warn: Callable[[str], None]) -> ir.Model | None:
    """Read an exported program in memory.

    Args:
        data: What ``torch.export.save`` wrote.
        label: How to call it in messages.
        name: Name of the graph.
        raw: Whether all nodes stay what the file has.
        warn: Told what the model lacks.

    Returns:
        The model, or None where the archive holds no exported program.

    Raises:
        FormatError: The archive, or the program in it, is damaged.
    """
    writer = ""
    try:
        archive = Archive(data)
        if not is_program(archive):
            return None
        found = contents(archive)
        writer = _writer(found.program)
        model = _Reader(found, program(found.program), raw).model(name)
    except DamageError as error:
        raise FormatError(f"{label} is damaged: {_clause(error)}. {_remedy(writer)}") from error
    except _CONTRADICTIONS as error:
        what = (
            f"it lacks {_clause(error)}" if isinstance(error, KeyError) else f"{type(error).__name__}: {_clause(error)}"
        )
        raise FormatError(
            f"{label} is no exported program as PyTorch writes them: a part of it is not what it has to be ({what}). "
            f"{_remedy(writer)}"
        ) from error
    for warning in found.warnings:
        warn(f"{label}: {warning}")
    return model


def _clause(error: Exception) -> str:
    text = str(error)
    return text if len(text) <= _TOLD else f"{text[:_TOLD]} …"


def _writer(document: Any) -> str:
    """Which PyTorch wrote a program of a newer schema than is known."""
    version = document.get("schema_version")
    major = version.get("major") if isinstance(version, dict) else version
    return str(document.get("torch_version") or "a newer one") if isinstance(major, int) and major > NEWEST else ""


def _remedy(writer: str) -> str:
    if writer:
        return f"It was written by PyTorch {writer}, which may have changed the format; export it with an older one."
    return "Copy it again from where it came, or export it again with torch.export.save."


class _Reader:
    """Reads one program."""

    def __init__(self, found: Contents, told: Program, raw: bool) -> None:
        self.found = found
        self.told = told
        self.raw = raw
        self.shared = Shared(raw, self._dims())
        self.main = GraphReader(told.graph, self.shared)
        self.inputs: list[ir.Value] = []
        self.stored: dict[str, ir.Value] = {}
        self._by_identity: dict[Hashable, ir.Value] = {}

    def _dims(self) -> dict[str, str]:
        """Names of symbols, as a converted model has them."""
        names: dict[str, str] = {}
        for source in self.told.inputs:
            held = self.told.graph["tensor_values"].get(source.name) if source.kind == "user_input" else None
            for axis, size in enumerate(tensor_meta(held).sizes if held else ()):
                symbol = infix(size, {}) if isinstance(size, str) else ""
                if not SYMBOL.fullmatch(symbol) or symbol in names:
                    continue
                names[symbol] = name_of_dimension(source.name, axis, names.values())
        return names

    def model(self, name: str) -> ir.Model:
        self._tensors()
        self._bind_inputs()
        self.main.run()
        given = self.main.outputs(self.told.outputs)
        paths = leaf_paths(self.told.out_spec, self.told.named_tuples, len(given))
        kept = [(path, value) for path, value in zip(paths, given, strict=True) if isinstance(value, ir.Value)]
        results = [value for _, value in kept]
        if not self.raw:
            pruned(self.main.nodes, results, self.shared.kept)
        graph = ir.Graph(self.inputs, [], nodes=self.main.nodes, opset_imports={"": OPSET}, name=name)
        for value in (*self.stored.values(), *self.shared.constants.values):
            if self.raw or value.uses() or value in results:
                _register(graph, value)
        model = ir.Model(graph, ir_version=_IR_VERSION)
        graph.outputs.extend(results)
        if not self.raw and (fold_constants(model) | drop_neutral(model)):
            prune(graph, self.shared.kept)
        self._name(model, names_of_outputs([path for path, _ in kept]))
        for inner in graphs_of(graph):
            for node in inner:
                model.opset_imports.setdefault(node.domain, VERSION if node.domain == DOMAIN else 1)
                if not node.domain and (schema := schema_of(node.op_type)) is not None:
                    model.opset_imports[""] = max(model.opset_imports[""], schema.since_version)
        return model

    def _tensors(self) -> None:
        """Initializers for the tensors that the file holds; tied ones are one."""
        for name, tensor in self.found.tensors.items():
            first = self._by_identity.get(tensor.identity) if tensor.storage is not None else None
            if first is not None:
                self.stored[name] = first
                set_tied(first, name)
                continue
            array = None if name in self.found.absent else tensor.array(name)
            value = ir.Value(name=name, type=self.shared.type_of(tensor.dtype), shape=ir.Shape(tensor.shape))
            if array is not None and tensor.dtype is not None:
                value.const_value = ir.Tensor(array, dtype=tensor.dtype, name=name)
            self.stored[name] = value
            self._by_identity[tensor.identity] = value

    def _bind_inputs(self) -> None:
        kinds = {name: kind for kind, name in outputs_in(self.told.graph["inputs"])}
        known: set[ir.Value] = set()
        frozen = self._frozen()
        for source in self.told.inputs:
            if source.kind in _KINDS:
                value = self.stored.get(source.target)
                if value is None:
                    value = self.main.fresh(source.name)
                    value.name = source.target
                    self.stored[source.target] = value
                if value not in known or source.kind == "parameter":
                    set_kind(value, "buffer" if source.target in frozen else _KINDS[source.kind])
                known.add(value)
                self.main.bind(source.name, value)
            elif source.kind == "user_input" and source.name:
                self.inputs.extend(self.main.bind_fresh([(kinds.get(source.name, "as_tensor"), source.name)]))
            elif source.name:
                self.main.bind(source.name, Text(source.target or source.kind) if source.value is None else None)

    def _frozen(self) -> frozenset[str]:
        def is_float(name: str) -> bool:
            tensor = self.found.tensors.get(name)
            return tensor is not None and tensor.dtype is not None and tensor.dtype.is_floating_point()

        return frozen_parameters({name: own for name, own in self.told.trained().items() if is_float(name)})

    def _input_names(self, model: ir.Model) -> list[str]:
        given = [source for source in self.told.inputs if source.kind == "user_input"]
        paths = leaf_paths(self.told.in_spec, self.told.named_tuples, len(given))
        names = {source.name: name_of_input(source.name, path) for source, path in zip(given, paths, strict=True)}
        return [names.get(value.name or "", value.name or "input") for value in model.graph.inputs]

    def _name(self, model: ir.Model, outputs: list[str]) -> None:
        if self.raw:
            for node in nodes_of(model):
                node.metadata_props.pop(CALL, None)
            return
        name_ends(model, self._input_names(model), outputs)
        attributes = [source.target for source in self.told.inputs if source.kind == "tensor_constant"]
        name_nodes(model, [name for name in attributes if not _LIFTED.search(name)])


def _register(graph: ir.Graph, value: ir.Value) -> None:
    if value.name in graph.initializers:
        return
    if value.const_value is not None:
        graph.register_initializer(value)
    else:
        graph.initializers.add(value)
