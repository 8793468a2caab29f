"""MXNet's symbol files, ``*-symbol.json``, of every version, read and written without MXNet."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from graphkit import limits
from graphkit.errors import FormatError
from graphkit.files import whole
from graphkit.files.opening import opened
from graphkit.frameworks.mxnet import schema
from graphkit.frameworks.mxnet.upgrade import CURRENT, UNSTATED, upgrade
from graphkit.ops.mxgraph import VARIABLE, MxGraph, MxNode, MxRef
from graphkit.provenance import KEY, note_record

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

__all__ = ["dumps", "loads", "read", "record_in", "write"]

_GRAPH_KEYS = {"nodes", "arg_nodes", "heads", "node_row_ptr", "attrs"}
_DEEP = 3
"""Subgraphs within each other up to which messages name the nodes around."""
_NODE_KEYS = {"op", "name", "inputs", "attrs", "attr", "param", "control_deps", "subgraphs", "backward_source_id"}


def read(path: Path, *, as_spelled: bool = False) -> MxGraph:
    """Read a symbol as MXNet 1.9.1 would load it: upgraded, with canonical operator names.

    With ``as_spelled`` it is neither, but what the file says.

    Nodes come in the order in which MXNet visits them: depth first from the heads. What no head needs is left out, as
    MXNet leaves it out. Operators that MXNet 1.9.1 does not have are kept. Control dependencies, which order execution
    and do not change values, are not.

    Raises:
        InputError: The file cannot be read.
        FormatError: It is not a symbol.
        LimitError: It is larger or deeper than the limits that hold.
    """
    with opened(path) as file:
        limits.check("document", file.seek(0, 2), str(path))
        file.seek(0)
        data = file.read()
    return loads(data, str(path), as_spelled=as_spelled)


def loads(text: str | bytes, label: str = "The symbol", *, as_spelled: bool = False) -> MxGraph:
    """Parse a symbol, as :func:`read` does.

    Args:
        text: JSON as ``Symbol.tojson`` gives it, UTF-8 where it is bytes.
        label: What to call it in errors.
        as_spelled: Whether operators keep the names that the file has for them, and nothing is upgraded.

    Raises:
        FormatError: It is not a symbol.
        LimitError: It is larger or deeper than the limits that hold.
    """
    try:
        decoded = text.decode("utf-8-sig") if isinstance(text, bytes) else text
        limits.check_json(decoded, label)
        data = json.loads(decoded, strict=False)  # MXNet writes control characters as they are
        return _Reader(label, as_spelled).graph(data)
    except UnicodeDecodeError as error:
        raise FormatError(
            f"{label} is not an MXNet symbol: byte {error.start} is not UTF-8 text. Give the file that ends in "
            "-symbol.json."
        ) from error
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise FormatError(
            f"{label} is not an MXNet symbol: no JSON at {place} ({error.msg}). If it was a symbol, it is damaged or "
            "cut off: copy it again from where it came."
        ) from error
    except (RecursionError, ValueError) as error:
        raise FormatError(
            f"{label} is not an MXNet symbol: {error}. Give the file that ends in -symbol.json."
        ) from error


class _Reader:
    """Turns parsed JSON into a graph; ``where`` is the place of an item in messages."""

    def __init__(self, label: str, as_spelled: bool) -> None:
        self._label = label
        self._as_spelled = as_spelled
        self._version = UNSTATED
        self._np_shape = False
        self._count = 0
        self._depth = 0

    def _error(self, where: str, what: str) -> FormatError:
        return FormatError(
            f"{self._label} is not a symbol that MXNet could load: {where} {what}. Save it again with MXNet, or mend "
            "it by hand."
        )

    def graph(self, data: Any) -> MxGraph:
        """The graph of a whole file."""
        if isinstance(data, dict) and isinstance(data.get("attrs"), dict):
            self._version = self._stamp(data["attrs"], "mxnet_version", UNSTATED)
            self._np_shape = bool(self._stamp(data["attrs"], "is_np_shape", 0))
            note_record(record_in(data))
        nodes, heads = self._connected(data, "it")
        upgraded = nodes if self._as_spelled else upgrade(nodes, self._version)
        graph = MxGraph(upgraded, heads, self._version, self._np_shape)
        self._finish(graph)
        return graph

    def _stamp(self, attrs: dict[str, Any], name: str, absent: int) -> int:
        if name not in attrs:
            return absent
        pair = attrs[name]
        if not (isinstance(pair, list) and len(pair) == 2 and pair[0] == "int" and _is_count(pair[1])):
            raise self._error(f"its attribute {name}", f'is not ["int", number] but {_shown(pair)}')
        number: int = pair[1]
        return number

    def _connected(self, data: Any, where: str) -> tuple[list[MxNode], list[MxRef]]:
        """Nodes of a graph in MXNet's order, and its heads."""
        if not isinstance(data, dict) or not {"nodes", "heads"} <= data.keys():
            raise self._error(where, f'is no object with "nodes" and "heads" but {_shown(data)}')
        if strange := sorted(data.keys() - _GRAPH_KEYS):
            raise self._error(where, f"has the key {strange[0]!r}, which no symbol has")
        items = self._list(data, "nodes", where)
        self._count += len(items)
        limits.check("nodes", self._count, self._label)
        limits.check("nesting", self._depth, f"{self._label}: {where}")
        nodes = [self._node(item, f"{_of(where)}node {i}") for i, item in enumerate(items)]
        for i, (node, item) in enumerate(zip(nodes, items, strict=True)):
            place = f"{_of(where)}node {i} ({node.name!r})"
            entries = self._list(item, "inputs", place)
            limits.check("operands", len(entries), f"{self._label}: {place}")
            node.inputs = [self._ref(entry, nodes, place) for entry in entries]
            if node.is_variable and node.inputs:
                raise self._error(place, "is a variable and has inputs")
        for entry in self._list(data, "arg_nodes", where):
            if not (_is_count(entry) and entry < len(nodes) and nodes[entry].is_variable):
                raise self._error(where, f"lists {_shown(entry)} among its arguments, which is no variable of it")
        heads = [self._ref(entry, nodes, f"{_of(where)}list of heads") for entry in self._list(data, "heads", where)]
        if not heads:
            raise self._error(where, "has no heads, and so no outputs")
        return self._in_order(heads, where), heads

    def _list(self, data: dict[str, Any], key: str, where: str) -> list[Any]:
        value = data.get(key)
        if not isinstance(value, list):
            raise self._error(where, f'has no list "{key}"' if key not in data else f'has "{key}": {_shown(value)}')
        return value

    def _node(self, data: Any, where: str) -> MxNode:
        if not isinstance(data, dict):
            raise self._error(where, f"is no object but {_shown(data)}")
        if strange := sorted(data.keys() - _NODE_KEYS):
            raise self._error(where, f"has the key {strange[0]!r}, which no node has")
        op, name = self._text(data.get("op"), f"the operator of {where}"), data.get("name")
        name = self._text(name, f"the name of {where} ({op})")
        node = MxNode(op if self._as_spelled else schema.canonical(op), name)
        for key in ("param", "attr", "attrs"):
            attrs = data.get(key, {})
            if not isinstance(attrs, dict):
                raise self._error(f"{where} ({name!r})", f'has "{key}": {_shown(attrs)}')
            for attr, value in attrs.items():
                text = self._text(value, f"the attribute {attr!r} of {where} ({name!r})")
                limits.check("attribute", len(text), f"{self._label}: {where} ({op})")
                node.attrs[self._text(attr, f"the name of an attribute of {where} ({name!r})")] = text
        bodies = self._list(data, "subgraphs", where) if "subgraphs" in data else []
        self._depth += 1
        for i, body in enumerate(bodies):
            place = f"subgraph {i} of {where} ({name!r})" if self._depth <= _DEEP else f"subgraph {i} of a node"
            nodes, heads = self._connected(body, place)
            node.subgraphs.append(MxGraph(nodes, heads, self._version, self._np_shape))
        self._depth -= 1
        return node

    def _text(self, value: Any, where: str) -> str:
        if not isinstance(value, str):
            raise self._error(where, "is absent" if value is None else f"is no string but {_shown(value)}")
        if _BROKEN.search(value):
            raise self._error(where, f"is {_shown(value)}, which has a character that no file can hold")
        return value

    def _ref(self, entry: Any, nodes: Sequence[MxNode], where: str) -> MxRef:
        if not (isinstance(entry, list) and len(entry) in (2, 3) and all(_is_count(number) for number in entry)):
            raise self._error(where, f"refers to {_shown(entry)} instead of [node, output, version]")
        if entry[0] >= len(nodes):
            raise self._error(where, f"refers to node {entry[0]}, but there are only {len(nodes)} nodes")
        return MxRef(nodes[entry[0]], entry[1])

    def _in_order(self, heads: Iterable[MxRef], where: str) -> list[MxNode]:
        order: list[MxNode] = []
        done: set[int] = set()
        for head in heads:
            path: list[tuple[MxNode, int]] = [(head.node, 0)]
            open_ = {id(head.node)}
            while path:
                node, position = path.pop()
                if id(node) in done:
                    open_.discard(id(node))
                    continue
                if position == len(node.inputs):
                    done.add(id(node))
                    open_.discard(id(node))
                    order.append(node)
                    continue
                path.append((node, position + 1))
                below = node.inputs[position].node
                if id(below) in open_:
                    raise self._error(
                        where, f"has a cycle: node {below.name!r} depends on itself through {node.name!r}"
                    )
                if id(below) not in done:
                    path.append((below, 0))
                    open_.add(id(below))
        return order

    def _finish(self, graph: MxGraph) -> None:
        for node in graph.nodes:
            node.hidden = {key: node.attrs[key] for key in node.attrs if _is_hidden(key)}
            node.attrs = {key: value for key, value in node.attrs.items() if key not in node.hidden}
            for body in node.subgraphs:
                self._finish(body)


def record_in(data: Any) -> object:
    """The record of how it was made that the JSON of a symbol carries, if it carries one."""
    attrs = data.get("attrs") if isinstance(data, dict) else None
    pair = attrs.get(KEY) if isinstance(attrs, dict) else None
    return pair[1] if isinstance(pair, list) and len(pair) == 2 else None


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**31


def _is_hidden(name: str) -> bool:
    return len(name) > 4 and name.startswith("__") and name.endswith("__")


def _of(where: str) -> str:
    return "" if where == "it" else f"{where}, "


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) < 60 else text[:56] + " …"


def write(path: Path, graph: MxGraph) -> None:
    """Write a symbol that MXNet 1.9.1 loads, whole or not at all.

    Raises:
        InputError: The file cannot be written.
        FormatError: A name holds what no file can.
    """
    text = dumps(graph)
    with whole(path) as (draft,):
        draft.write_text(text, encoding="utf-8")


def dumps(graph: MxGraph, record: str = "") -> str:
    """The text of a symbol, laid out as MXNet itself does, with attributes sorted.

    It is stamped with the version whose semantics the graph has, 1.9.1, whatever it was read from. ``node_row_ptr``
    depends on how an MXNet was built and is left out; no MXNet needs it.

    Args:
        graph: The symbol.
        record: How it was made (:class:`graphkit.provenance.Record`), an attribute of the whole graph, which MXNet
            passes over and does not write again.

    Raises:
        FormatError: A name or value holds a character that no file can hold.
        ValueError: A node reads one that does not come before it in the graph.
    """
    stamps: dict[str, Any] = {"mxnet_version": ["int", CURRENT]}
    if graph.np_shape:
        stamps = {"is_np_shape": ["int", 1], **stamps}
    if record:
        stamps = {KEY: ["str", record], **stamps}
    return _print(_as_data(graph) | {"attrs": stamps}, "\n") + "\n"


def _as_data(graph: MxGraph) -> dict[str, Any]:
    index: dict[int, int] = {}

    def entry(ref: MxRef) -> list[int]:
        if id(ref.node) not in index:
            raise ValueError(f"node {ref.node.name!r} is read before it stands in the graph, or is not in it")
        return [index[id(ref.node)], ref.output, 0]

    nodes: list[dict[str, Any]] = []
    for node in graph.nodes:
        attrs = node.attrs | node.hidden
        data: dict[str, Any] = {"op": node.op, "name": node.name}
        if attrs:
            data["attrs"] = dict(sorted(attrs.items()))
        data["inputs"] = [entry(ref) for ref in node.inputs]
        if node.subgraphs:
            data["subgraphs"] = [_as_data(body) for body in node.subgraphs]
        index[id(node)] = len(nodes)
        nodes.append(data)
    return {
        "nodes": nodes,
        "arg_nodes": [i for i, node in enumerate(graph.nodes) if node.op == VARIABLE],
        "heads": [entry(head) for head in graph.heads],
    }


def _print(value: Any, newline: str) -> str:
    """JSON in MXNet's layout and with MXNet's escapes, which are fewer than JSON's; ``newline`` includes the indent."""
    inner = newline + "  "
    if isinstance(value, str):
        if _BROKEN.search(value):
            raise FormatError(f"{value!r} cannot be written into a symbol: it holds a character that no file can hold.")
        return '"' + value.translate(_ESCAPES) + '"'
    if isinstance(value, dict):
        items = [f"{_print(key, inner)}: {_print(item, inner)}" for key, item in value.items()]
        return "{" + inner + f",{inner}".join(items) + newline + "}" if len(items) > 1 else "{" + "".join(items) + "}"
    if isinstance(value, list):
        if value and isinstance(value[0], dict):
            return "[" + inner + f",{inner}".join(_print(item, inner) for item in value) + newline + "]"
        return "[" + ", ".join(_print(item, newline) for item in value) + "]"
    return str(value)


_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"})
_BROKEN = re.compile("[\0\ud800-\udfff]")
