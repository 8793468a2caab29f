"""Names that people recognise, for nodes, values and constants."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import onnx_ir as ir
from onnx.defs import OpSchema

from graphkit.frameworks.torch.annotate import CALL, STEM
from graphkit.frameworks.torch.caches import PRESENT
from graphkit.ir.edit import graphs_of, nodes_of
from graphkit.ir.opset import schema_of
from graphkit.ir.origin import NATIVE, Origin, origin_of, set_origin
from graphkit.ir.params import kind_of

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    import torch

__all__ = ["input_names", "name_ends", "name_nodes", "name_of_input", "names_of_outputs", "natives", "output_names"]


def output_names(program: torch.export.ExportedProgram) -> list[str]:
    """Names for the outputs: the keys of dictionaries and fields, else ``output`` or ``output_0``, …, ``output_7``.

    The tensors of a cache are ``present.0.key``, ``present.0.value``, …, wherever they are.
    """
    from torch.export.graph_signature import ConstantArgument, OutputKind
    from torch.utils import _pytree

    specs = [spec for spec in program.graph_signature.output_specs if spec.kind is OutputKind.USER_OUTPUT]
    tree = program.call_spec.out_spec
    assert tree is not None
    structure = _pytree.tree_unflatten(list(range(len(specs))), tree)
    paths = [[_step(step) for step in path] for path, _ in _pytree.tree_leaves_with_path(structure)]
    if len(paths) != len(specs):
        paths = [[str(index)] for index in range(len(specs))]
    return names_of_outputs(
        [path for path, spec in zip(paths, specs, strict=True) if not isinstance(spec.arg, ConstantArgument)]
    )


def names_of_outputs(paths: Sequence[list[str]]) -> list[str]:
    """Names for outputs by the steps that lead to them in what a module returns; see :func:`output_names`."""
    if len(paths) == 1 and all(step.isdigit() for step in paths[0]):
        return ["output"]
    return [_output_name(path) for path in paths]


def _output_name(path: list[str]) -> str:
    if path and path[-1].startswith(f"{PRESENT}."):
        return path[-1]
    return "_".join(path if path and not path[0].isdigit() else ["output", *path])


def input_names(program: torch.export.ExportedProgram) -> list[str]:
    """Names for the tensors among the inputs: those of the arguments, and ``pair.left``, ``features.0`` within one."""
    from torch.export.graph_signature import ConstantArgument, InputKind
    from torch.utils import _pytree

    specs = [spec for spec in program.graph_signature.input_specs if spec.kind is InputKind.USER_INPUT]
    own = [spec.arg.name for spec in specs]
    tree = program.call_spec.in_spec
    assert tree is not None
    structure = _pytree.tree_unflatten(list(range(len(specs))), tree)
    paths = [[_step(step) for step in path] for path, _ in _pytree.tree_leaves_with_path(structure)]
    if len(paths) == len(own):
        own = [name_of_input(name, path) for name, path in zip(own, paths, strict=True)]
    return [name for name, spec in zip(own, specs, strict=True) if not isinstance(spec.arg, ConstantArgument)]


def name_of_input(own: str, path: list[str]) -> str:
    """Name for an input.

    Args:
        own: What torch calls it: the argument, followed by the steps within it.
        path: The steps that lead to it: whether it is positional, which argument it is, and the steps within that.
    """
    within = path[2:]
    ending = "_" + "_".join(within)
    return ".".join([own.removesuffix(ending), *within]) if within and own.endswith(ending) else own


def _step(step: Any) -> str:
    for attribute in ("key", "idx", "name"):
        if (found := getattr(step, attribute, None)) is not None:
            return str(found)
    return str(step).strip(".[]'")


def name_ends(model: ir.Model, inputs: list[str], outputs: list[str]) -> None:
    """Name the inputs and outputs, other than parameters are called, in place.

    An output that is an input, an initializer or another output as well gets an Identity of its own.
    """
    graph = model.graph
    taken = set(graph.initializers)
    for value, name in zip(graph.inputs, inputs, strict=True):
        value.name = _free(name, taken)
    seen: set[ir.Value] = set()
    for index, value in enumerate(graph.outputs):
        if value in seen or value.producer() is None:
            keeper = ir.node("Identity", [value], num_outputs=1)
            set_origin(keeper, Origin("torch"))
            keeper.outputs[0].type, keeper.outputs[0].shape = value.type, value.shape
            graph.append(keeper)
            graph.outputs[index] = keeper.outputs[0]
        seen.add(value)
    for node in nodes_of(model):
        for output in node.outputs:
            if output.name in taken:
                output.name = None
    for value in graph.outputs:
        value.name = None
    names = {value.name for node in nodes_of(model) for value in node.outputs}
    for value, name in zip(graph.outputs, outputs, strict=True):
        wanted = _free(name, taken)
        if wanted in names:
            clash = next(out for node in nodes_of(model) for out in node.outputs if out.name == wanted)
            clash.name = None
        value.name = wanted


def natives(model: ir.Model, program: torch.export.ExportedProgram) -> dict[ir.Value, str]:
    """Node of the program that holds each inner value, where type and shape agree."""
    given = {node.name: _results(node) for node in program.graph.nodes}
    found: dict[ir.Value, str] = {}
    bypassed = _bypassed(model)
    for node in model.graph:
        native = node.metadata_props.get(NATIVE, "")
        value = node.outputs[0]
        if len(node.outputs) != 1 or value.shape is None or value.dtype is None or native in bypassed:
            continue
        if any(use.node.metadata_props.get(NATIVE) == native for use in value.uses()):
            continue  # on the way to what the program's node gives
        sizes = [size if isinstance(size, int) else None for size in value.shape]
        fits = [
            name
            for name, meta in given.get(native, {}).items()
            if sizes == [size if isinstance(size, int) else None for size in meta.shape]
            and value.dtype.name == ir.DataType.from_numpy(_numpy(meta)).name
        ]
        if len(fits) == 1:
            found[value] = fits[0]
    counts = Counter(found.values())
    return {value: native for value, native in found.items() if counts[native] == 1}


def _bypassed(model: ir.Model) -> set[str]:
    """Nodes of the program of whose inner values others read: gradients in what they give are not all there is."""
    found = set()
    for node in model.graph:
        native = node.metadata_props.get(NATIVE, "")
        readers = {use.node.metadata_props.get(NATIVE) for value in node.outputs for use in value.uses()}
        if native in readers and len(readers) > 1:
            found.add(native)
    return found


def _results(node: torch.fx.Node) -> dict[str, torch.Tensor]:
    """The tensors that a node of the program gives, by the nodes that hold them: itself, or what takes it apart."""
    import operator

    import torch

    takers = [user for user in node.users if user.target is operator.getitem]
    nodes = [node] if isinstance(node.meta.get("val"), torch.Tensor) else takers
    metas = {each.name: each.meta.get("val") for each in nodes}
    return {name: meta for name, meta in metas.items() if isinstance(meta, torch.Tensor)}


def _numpy(tensor: torch.Tensor) -> Any:
    import ml_dtypes
    import numpy as np

    name = str(tensor.dtype).removeprefix("torch.")
    return np.dtype(getattr(ml_dtypes, name, name))


def name_nodes(model: ir.Model, attributes: Collection[str]) -> None:
    """Name nodes by module scope and operator, their values after them, and constants after their first user, in place.

    The node that computes the result of a leaf module is called like the module (``layer1.0.conv1``), any other after
    its scope and operator (``layer1.0.add``).

    Args:
        model: A canonical model with origins.
        attributes: Constants that are attributes of modules, which keep their names.
    """
    graph = model.graph
    _scopes_of_parameters(model)
    taken = {value.name or "" for value in (*graph.inputs, *graph.outputs)}
    fixed = {name for name, value in graph.initializers.items() if kind_of(value) != "constant" or name in attributes}
    taken |= fixed
    ends = set(graph.outputs)
    nodes = nodes_of(model)
    calls = {node: node.metadata_props.pop(CALL, "") for node in nodes}
    stems = {node: node.metadata_props.pop(STEM, "") for node in nodes}
    last = {calls[node]: node for node in nodes}
    last_of_op = {origin_of(node).name: node for node in nodes}
    holders = {scope[:dot] for scope in {origin_of(node).scope for node in nodes} for dot in _dots(scope)}
    names: set[str] = set()
    for node in nodes:
        node.metadata_props.pop(NATIVE, None)
        origin = origin_of(node)
        leaf = origin.module.startswith("torch.nn.") or not origin.module
        leaf = leaf and bool(origin.scope) and origin.scope not in holders
        if leaf and last[calls[node]] is node:
            wanted = origin.scope
        else:
            op = (stems[node] or _operator(origin.op)) if last_of_op[origin.name] is node else ""
            wanted = ".".join(filter(None, (origin.scope, op or _snake(node.op_type))))
        node.name = _free(wanted, names)
    for inner in graphs_of(graph):
        for node in inner:
            for index, value in enumerate(node.outputs):
                if value not in ends:
                    stem = node.name or node.op_type
                    value.name = _free(stem if len(node.outputs) == 1 else f"{stem}.{index}", taken)
    _name_constants(model, taken, fixed)


def _dots(scope: str) -> list[int]:
    return [place for place, char in enumerate(scope) if char == "."]


def _scopes_of_parameters(model: ir.Model) -> None:
    """Where torch told no scopes at all (TorchScript), a node belongs to the module whose parameters it reads."""
    nodes = nodes_of(model)
    if any(origin_of(node).scope for node in nodes):
        return
    for node in nodes:
        for value in node.inputs:
            if (
                value is not None
                and value.is_initializer()
                and kind_of(value) != "constant"
                and "." in (value.name or "")
            ):
                origin = origin_of(node)
                scope = (value.name or "").rpartition(".")[0]
                set_origin(node, Origin("torch", origin.op, origin.name, scope, "", origin.line))
                node.metadata_props[CALL] = f"{scope} {origin.name}"
                break


def _name_constants(model: ir.Model, taken: set[str], fixed: set[str]) -> None:
    constants = {name: value for name, value in model.graph.initializers.items() if name not in fixed}
    for name in constants:
        model.graph.initializers.pop(name)
    for node in nodes_of(model):
        schema = schema_of(node.op_type, node.domain)
        for index, value in enumerate(node.inputs):
            if value is None or constants.get(value.name or "") is not value:
                continue
            old = value.name or ""
            del constants[old]
            formal = list(schema.inputs) if schema is not None else []
            role = formal[index].name.lower() if index < len(formal) else ""
            variadic = index < len(formal) and formal[index].option == OpSchema.FormalParameterOption.Variadic
            value.name = _free(f"{node.name}.{role if role and not variadic else f'input{index}'}", taken)
            model.graph.register_initializer(value)
    for name, value in constants.items():
        value.name = _free(name, taken)
        model.graph.register_initializer(value)


def _operator(target: str) -> str:
    """``conv2d`` for ``aten.conv2d.default``; empty for what is no ATen operator."""
    parts = target.split(".")
    return parts[1].strip("_") if len(parts) == 3 else ""


def _snake(op_type: str) -> str:
    return "".join(
        f"_{letter.lower()}" if letter.isupper() and index and op_type[index - 1].islower() else letter.lower()
        for index, letter in enumerate(op_type)
    )


def _free(name: str, taken: set[str]) -> str:
    free, count = name, 0
    while free in taken:
        count += 1
        free = f"{name}_{count}"
    taken.add(free)
    return free
