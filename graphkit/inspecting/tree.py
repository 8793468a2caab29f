"""A model as the tree of its modules, with what each of them has: outputs, parameters, multiply-adds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from graphkit.inspecting.cost.count import evaluate, total
from graphkit.inspecting.operators import modules_of, operator_of, walk
from graphkit.inspecting.parameters import is_stored, stored_tensors
from graphkit.ir.describe import tensor_of
from graphkit.ir.origin import origin_of
from graphkit.ir.params import kind_of
from graphkit.ir.scope import noted_list, place_of
from graphkit.ir.view import bodies_of

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

    import onnx_ir as ir

    from graphkit.inspecting.cost.costs import Costs
    from graphkit.inspecting.cost.count import Count
    from graphkit.ir.describe import Tensor

__all__ = ["Module", "module_tree"]

_CLASSES: Final = "pkg.torch.onnx.class_hierarchy"
_SCOPES: Final = "pkg.torch.onnx.name_scopes"
"""Where torch.onnx notes the classes of the modules around a node, and their paths, outermost first."""


@dataclass(slots=True)
class Module:
    """A module, or a layer: an operator that has parameters and lies in a module beside others.

    Numbers are those of the module with all that is inside it. A tensor that several modules read is counted in the
    first of them, so that what the tops of a tree have adds up to what the model has.

    Attributes:
        path: Path, joined by dots; empty for the whole model.
        name: The last part of it.
        kind: Class of a module, operator of a layer; empty where not known.
        is_layer: Whether it is a layer.
        children: Modules and layers directly in it, in the order in which they first compute.
        outputs: What it hands to others, in order.
        operators: Number of its operators, those in bodies of control flow among them.
        direct: Number of those that lie in none of its children.
        in_bodies: Number of those in bodies of control flow, whose multiply-adds are their control-flow operator's.
        parameters: Elements of parameters, which are trained.
        buffers: Elements of buffers, which are not.
        unknown_parameters: Number of parameters whose size is not known.
        macs: Multiply-adds of the forward pass, as far as they are known.
        backward: Those of the backward pass, as PyTorch counts them.
        unknown: Number of operators whose multiply-adds are not known.
        own_parameters: Of ``parameters``, those of no child.
        own_macs: Of ``macs``, those of no child.
        own_unknown: Of ``unknown``, those in no child.
    """

    path: str
    name: str
    kind: str = ""
    is_layer: bool = False
    children: list[Module] = field(default_factory=list)
    outputs: list[Tensor] = field(default_factory=list)
    operators: int = 0
    direct: int = 0
    in_bodies: int = 0
    parameters: int = 0
    buffers: int = 0
    unknown_parameters: int = 0
    macs: Count = 0
    backward: Count = 0
    unknown: int = 0
    own_parameters: int = 0
    own_macs: Count = 0
    own_unknown: int = 0

    def walk(self, depth: int = 0) -> Iterator[tuple[Module, int]]:
        """It and all that is in it, each with how deep it lies."""
        yield self, depth
        for child in self.children:
            yield from child.walk(depth + 1)

    def share_of(self, macs: int | None) -> float | None:
        """Its part of some multiply-adds, free dimensions taken for 1; None where there are none or not known."""
        own = evaluate(self.macs, {}, 1)
        return own / macs if own is not None and macs else None


class _Growing:
    """A module while nodes are sorted into it."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self.children: dict[str, _Growing] = {}
        self.weighted = 0
        self.first: int | None = None
        """Number of the first operator in it."""
        self.forward: list[Count] = []
        self.backward: list[Count] = []


def module_tree(model: ir.Model, found: Costs, name: str = "") -> Module:
    """The modules that the nodes of a model lie in (:func:`graphkit.ir.scope.place_of`).

    Args:
        model: A model that was read to be looked at.
        found: Its costs.
        name: What to call the model.
    """
    return _Tree(model, found, name).module()


class _Tree:
    def __init__(self, model: ir.Model, found: Costs, name: str) -> None:
        self.model = model
        self.costs = {cost.node: cost for cost in found.nodes}
        self.root = _Growing(Module("", name))
        self.homes: dict[ir.Node, _Growing] = {}
        self.classes: dict[str, str] = {}

    def module(self) -> Module:
        """The root."""
        placed = [(node, *place_of(node)) for node, _ in walk(self.model.graph)]
        for node, scope, _ in placed:
            self._note_classes(node, scope)
            self._grow(scope).weighted += _has_weights(node)
        for number, (node, scope, leaf) in enumerate(placed):
            home = self._place(node, self._grow(scope), leaf)
            home.first = number if home.first is None else home.first
        self._add_parameters()
        self._finish(self.root)
        self._add_outputs()
        self.root.module.kind = self.root.module.kind or self.classes.get("", "")
        return self.root.module

    def _grow(self, scope: str) -> _Growing:
        """The module of a path; modules around it come to be with it."""
        growing = self.root
        path = ""
        for part in modules_of(scope):
            path = f"{path}.{part}" if path else part
            if part not in growing.children:
                growing.children[part] = _Growing(Module(path, part))
            growing = growing.children[part]
        return growing

    def _note_classes(self, node: ir.Node, scope: str) -> None:
        """Remember the classes of modules that a node tells of."""
        if (module := origin_of(node).module) and scope:
            self.classes.setdefault(scope, module)
        paths, classes = (noted_list(node.metadata_props.get(key, "")) for key in (_SCOPES, _CLASSES))
        for path, kind in list(zip(paths, classes, strict=False))[:-1]:
            if isinstance(path, str) and isinstance(kind, str):
                self.classes.setdefault(path, kind)

    def _place(self, node: ir.Node, home: _Growing, leaf: str) -> _Growing:
        """Sort a node into its module, or into a layer of its own; returns which."""
        is_whole = home is not self.root and not home.children and home.weighted == 1
        if _has_weights(node) and not is_whole:
            name = leaf or operator_of(node)
            path = f"{home.module.path}.{name}" if home.module.path else name
            layer = _Growing(Module(path, name, operator_of(node), is_layer=True))
            home.children[f"\0{len(home.children)}"] = layer  # no module has such a name
            home = layer
        self.homes[node] = home
        home.module.direct += 1
        cost = self.costs.get(node)
        home.module.in_bodies += cost is None
        if cost is not None:
            if cost.in_backward:
                home.backward.append(cost.macs)
            else:
                home.module.own_unknown += cost.macs is None
                home.forward.append(cost.macs)
                home.backward.append(cost.backward)
        return home

    def _add_parameters(self) -> None:
        """Give each stored tensor to the first module that reads it, to the root where none does."""
        seen: set[Hashable] = set()
        order = {node: index for index, node in enumerate(self.homes)}
        for tensor in stored_tensors(self.model):
            place = id(tensor.value) if tensor.storage is None else tensor.storage
            if place in seen:
                continue
            seen.add(place)
            if tensor.kind == "constant":
                continue
            readers = [node for node, _ in tensor.value.uses() if node in order]
            home = self.homes[min(readers, key=order.__getitem__)] if readers else self.root
            module = home.module
            if tensor.elements is None:
                module.unknown_parameters += 1
            elif tensor.kind == "parameter":
                module.own_parameters += tensor.elements
            else:
                module.buffers += tensor.elements

    def _finish(self, growing: _Growing) -> None:
        """Add up, inner modules first."""
        module = growing.module
        module.kind = module.kind or self.classes.get(module.path, "").rpartition(".")[2]
        for child in growing.children.values():
            self._finish(child)
        children = sorted(growing.children.values(), key=lambda child: child.first or 0)
        firsts = [each.first for each in (growing, *children) if each.first is not None]
        growing.first = min(firsts, default=None)
        inner = module.children = [child.module for child in children]
        module.own_macs = total(growing.forward)
        module.macs = total([module.own_macs, *(child.macs for child in inner)])
        module.backward = total([*growing.backward, *(child.backward for child in inner)])
        module.parameters = module.own_parameters + sum(child.parameters for child in inner)
        module.buffers += sum(child.buffers for child in inner)
        module.unknown_parameters += sum(child.unknown_parameters for child in inner)
        module.unknown = module.own_unknown + sum(child.unknown for child in inner)
        module.in_bodies += sum(child.in_bodies for child in inner)
        module.operators = module.direct + sum(child.operators for child in inner)

    def _add_outputs(self) -> None:
        """Note what each module hands to others."""
        self.root.module.outputs = [tensor_of(value) for value in self.model.graph.outputs]
        around = dict(_around(self.root, ()))
        ends: dict[ir.Value, list[ir.Node]] = {}
        for node in self.homes:
            for _, body in bodies_of(node):
                for value in body.outputs:
                    ends.setdefault(value, []).append(node)
        for node, home in self.homes.items():
            own = around[home]
            for value in node.outputs:
                readers = [*(user for user, _ in value.uses()), *ends.get(value, ())]
                shared = [_common(own, around[self.homes[user]]) for user in readers if user in self.homes]
                if value.is_graph_output() and value not in ends:
                    shared.append(0)
                if shared:
                    for growing in own[min(shared) :]:
                        growing.module.outputs.append(tensor_of(value))


def _has_weights(node: ir.Node) -> bool:
    return any(value is not None and is_stored(value) and kind_of(value) != "constant" for value in node.inputs)


def _around(growing: _Growing, above: tuple[_Growing, ...]) -> Iterator[tuple[_Growing, tuple[_Growing, ...]]]:
    """Every module with those that it lies in, outermost first and the root left out, and itself."""
    yield growing, above
    for child in growing.children.values():
        yield from _around(child, (*above, child))


def _common(left: tuple[_Growing, ...], right: tuple[_Growing, ...]) -> int:
    """How many modules lie around both."""
    pairs = zip(left, right, strict=False)
    return next((index for index, (one, other) in enumerate(pairs) if one is not other), min(len(left), len(right)))
