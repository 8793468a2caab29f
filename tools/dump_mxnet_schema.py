"""Write MXNet's operator table, graphkit/frameworks/mxnet/schema.json, from an installed MXNet 1.9.1.

    python tools/dump_mxnet_schema.py            writes the table
    python tools/dump_mxnet_schema.py --check    fails when the table is not what this MXNet says

Parameters and their types come from the operators' own documentation. Inputs, outputs, auxiliary states and
initialisers are observed: every operator is composed on its own, without arguments, with each value of each parameter
and each pair of them, and MXNet is asked what came out. Some combinations make MXNet abort, so this happens in forked
children.
"""

from __future__ import annotations

import argparse
import ctypes
import itertools
import json
import os
import pickle
import re
import sys
import warnings
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np

TABLE = Path(__file__).resolve().parents[1] / "graphkit" / "frameworks" / "mxnet" / "schema.json"
LEFT_OUT = re.compile(r"(^|_)(backward|update)(_|$)")  # gradients and optimizer steps, which no model's symbol holds
TENSORS = ("NDArray", "Symbol")
KINDS = {
    "boolean": "bool",
    "int": "int",
    "int (non-negative)": "uint",
    "long": "long",
    "long (non-negative)": "ulong",
    "float": "float",
    "real_t": "float",
    "double": "double",
    "string": "string",
    "ptr": "ptr",
    "Shape": "shape",
    "Shape(tuple)": "shape",
    "tuple of <float>": "floats",
    "tuple of <double>": "doubles",
    "tuple of <long>": "longs",
    "tuple of <Shape(tuple)>": "shapes",
    "": "doubles",  # a pair of optional numbers, as of _histogram's range
}
SAMPLES = {
    "bool": ["False", "True"],
    "int": ["1", "2", "3"],
    "uint": ["1", "2", "3"],
    "long": ["1", "2", "3"],
    "ulong": ["1", "2", "3"],
    "float": ["0.5"],
    "double": ["0.5"],
    "string": ["a"],
    "ptr": ["0"],
    "shape": ["(1, 1)", "(1,)", "(1, 2, 3)"],
    "floats": ["(1, 1)"],
    "doubles": ["(1, 2)"],
    "longs": ["(1,)"],
    "shapes": ["((1, 1),)"],
}
CORRECTED = {
    "_npi_choice": [
        ("input1", "NDArray-or-Symbol"),
        ("input2", "NDArray-or-Symbol"),
        ("a", "long or None, required"),
        ("size", "tuple of <long> or None, required"),
        ("ctx", "string, optional, default='cpu'"),
        ("replace", "boolean, optional, default=1"),
        ("weighted", "boolean, optional, default=0"),
    ],
    "_npi_concatenate": [
        ("data", "NDArray-or-Symbol[]"),
        ("num_args", "int, required"),
        ("axis", "int or None, optional, default='0'"),
    ],
    "_npi_eigh": [("A", "NDArray-or-Symbol"), ("UPLO", "{'L', 'U'},optional, default='L'")],
    "_npi_eigvalsh": [("A", "NDArray-or-Symbol"), ("UPLO", "{'L', 'U'},optional, default='L'")],
    "_npi_norm": [
        ("data", "NDArray-or-Symbol"),
        ("ord", "double, optional, default=2"),
        ("axis", "Shape or None, optional, default=None"),
        ("keepdims", "boolean, optional, default=0"),
        ("flag", "int, optional, default='-1'"),
    ],
}
"""Arguments of operators that parse others than MXNet documents."""
UNCOUNTED = frozenset({"_sg_mkldnn_conv", "_sg_mkldnn_fully_connected"})
"""Operators that need not be told how many inputs they have, whatever MXNet says."""

Attrs = dict[str, str]


class Parameter(NamedTuple):
    name: str
    kind: str
    nullable: bool
    required: bool
    default: str | None
    choices: list[str]

    def samples(self) -> list[str]:
        values = self.choices or SAMPLES[self.kind]
        return ["None", *values] if self.nullable else list(values)

    def classes(self) -> dict[str, str]:
        """Classes of values that may differ in inputs and outputs, each with a value in it."""
        if self.choices or self.kind == "bool":
            return {value: value for value in self.samples()}
        return {"None": "None", "*": SAMPLES[self.kind][0]} if self.nullable else {}

    def row(self) -> list[Any]:
        kind = self.kind + "?" * self.nullable + "!" * self.required
        row: list[Any] = [kind, *([] if self.required and not self.choices else [self.default])]
        return [*row, self.choices] if self.choices else row


class Seen(NamedTuple):
    """What composing an operator showed: names without the operator's own, and the number of outputs."""

    inputs: tuple[str, ...]
    aux: tuple[str, ...]
    outputs: int
    hidden: int
    init: tuple[tuple[str, str], ...]


class Wheel:
    """The C interface of MXNet, as far as operators are concerned."""

    def __init__(self) -> None:
        os.environ.update(MXNET_MKLDNN_ENABLED="0", MXNET_SUBGRAPH_BACKEND="NONE")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # deprecations inside MXNet
            import mxnet
            from mxnet import base, symbol
        if mxnet.__version__ != "1.9.1":
            raise SystemExit(f"The table describes MXNet 1.9.1; this is {mxnet.__version__}.")
        self._base = base
        self._symbol = symbol.Symbol

    def names(self) -> list[str]:
        size, array = ctypes.c_uint(), ctypes.POINTER(ctypes.c_char_p)()
        self._base.check_call(self._base._LIB.MXListAllOpNames(ctypes.byref(size), ctypes.byref(array)))
        return sorted(array[i].decode() for i in range(size.value))

    @cache  # noqa: B019 - there is one wheel
    def _handle(self, name: str) -> ctypes.c_void_p:
        handle = ctypes.c_void_p()
        self._base.check_call(self._base._LIB.NNGetOpHandle(name.encode(), ctypes.byref(handle)))
        return handle

    def describe(self, name: str) -> tuple[str, list[tuple[str, str]], str]:
        """Canonical name, (argument, type) of each documented argument, and the parameter that counts the inputs."""
        real, text, counter, result = (ctypes.c_char_p() for _ in range(4))
        size = ctypes.c_uint()
        keys, kinds, texts = (ctypes.POINTER(ctypes.c_char_p)() for _ in range(3))
        out = [ctypes.byref(item) for item in (real, text, size, keys, kinds, texts, counter, result)]
        self._base.check_call(self._base._LIB.MXSymbolGetAtomicSymbolInfo(self._handle(name), *out))
        arguments = [(keys[i].decode(), kinds[i].decode()) for i in range(size.value)]
        return (real.value or b"").decode(), arguments, (counter.value or b"").decode()

    def accepts(self, name: str, attrs: Attrs) -> bool:
        """Whether the operator can have these parameters."""
        return self._atomic(name, attrs) is not None

    def _atomic(self, name: str, attrs: Attrs) -> ctypes.c_void_p | None:
        handle: ctypes.c_void_p = self._base.SymbolHandle()
        keys, values = self._base.c_str_array(list(attrs)), self._base.c_str_array(list(attrs.values()))
        try:
            self._base.check_call(
                self._base._LIB.MXSymbolCreateAtomicSymbol(
                    self._handle(name), ctypes.c_uint(len(attrs)), keys, values, ctypes.byref(handle)
                )
            )
        except self._base.MXNetError:
            return None
        return handle

    def compose(self, name: str, attrs: Attrs) -> Seen | None:
        """What the operator has when it stands alone; None where MXNet refuses."""
        handle = self._atomic(name, attrs)
        if handle is None:
            return None
        symbol = self._symbol(handle)
        try:
            self._base.check_call(self._base._LIB.MXSymbolCompose(handle, b"n", ctypes.c_uint(0), None, None))
            rows = json.loads(symbol.tojson())["node_row_ptr"]
            inputs, aux, outputs = symbol.list_inputs(), symbol.list_auxiliary_states(), symbol.list_outputs()
            init = [(key, attr["__init__"]) for key, attr in symbol.attr_dict().items() if "__init__" in attr]
        except self._base.MXNetError:
            return None
        return Seen(
            tuple(key.removeprefix("n_") for key in inputs),
            tuple(key.removeprefix("n_") for key in aux),
            len(outputs),
            rows[-1] - rows[-2] - len(outputs),
            tuple(sorted((key.removeprefix("n_"), value) for key, value in init)),
        )


class Prober:
    """Asks the wheel about one operator, in a child that is replaced when a question kills it."""

    def __init__(self, wheel: Wheel, op: str) -> None:
        self._wheel = wheel
        self._op = op
        self._child = 0

    def see(self, trials: list[Attrs]) -> list[Seen | None]:
        return [self._ask("compose", attrs) for attrs in trials]

    def accepts(self, trials: list[Attrs]) -> list[bool]:
        return [bool(self._ask("accepts", attrs)) for attrs in trials]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        if self._child:
            self._requests.close()
            self._answers.close()
            os.waitpid(self._child, 0)
            self._child = 0

    def _ask(self, question: str, attrs: Attrs) -> Any:
        if not self._child:
            self._start()
        pickle.dump((question, attrs), self._requests)
        self._requests.flush()
        try:
            return pickle.load(self._answers)
        except EOFError:
            self.__exit__()
            return None

    def _start(self) -> None:
        down, up = os.pipe(), os.pipe()
        self._child = os.fork()
        if self._child == 0:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            os.close(down[1])
            with os.fdopen(down[0], "rb") as requests, os.fdopen(up[1], "wb") as answers:
                while requests.peek(1):
                    question, attrs = pickle.load(requests)
                    pickle.dump(getattr(self._wheel, question)(self._op, attrs), answers)
                    answers.flush()
            os._exit(0)
        os.close(down[0])
        os.close(up[1])
        self._requests, self._answers = os.fdopen(down[1], "wb"), os.fdopen(up[0], "rb")


def parameter(name: str, text: str) -> Parameter:
    """Parse a documented type, e.g. ``"{None, 'NCHW'},optional, default='None'"`` or ``"Shape(tuple), required"``."""
    found = re.fullmatch(r"(\{.*?\}|.*?)(?:,\s*(required|optional).*?)?(?:,\s*default='?(.*?)'?)?", text)
    assert found is not None
    kind, need, default = found.groups()
    choices: list[str] = []
    nullable = kind.endswith(" or None")
    if kind.startswith("{"):
        choices = [item.strip().strip("'") for item in kind[1:-1].split(",")]
        nullable = "None" in choices
        choices = [item for item in choices if item != "None"]
        kind = "enum"
    else:
        nullable |= not kind
        kind = KINDS[kind.removesuffix(" or None")]
    if kind == "bool" and default in ("0", "1"):
        default = str(default == "1")
    if kind == "float" and default not in (None, "None"):
        default = repr(float(str(np.float32(default)))).removesuffix(".0")
    return Parameter(name, kind, nullable, need == "required", default, choices)


def base_attrs(prober: Prober, parameters: list[Parameter]) -> tuple[Attrs, Seen | None]:
    """Values of the required parameters with which the operator composes."""
    needed = [item for item in parameters if item.required or item.name == "kernel"]
    choices = [[(item.name, value) for value in item.samples()] for item in needed]
    trials = [dict(combination) for combination in itertools.islice(itertools.product(*choices), 60)]
    plain = {item.name: item.samples()[0] for item in parameters if item.required}
    for attrs, seen in zip([plain, *trials], prober.see([plain, *trials]), strict=True):
        if seen is not None:
            return attrs, seen
    return plain, None


def differ(one: Seen, other: Seen | None) -> bool:
    """Whether more differs than the number of hidden outputs, which depends on how the wheel was built."""
    return other is None or one._replace(hidden=0) != other._replace(hidden=0)


def influences(prober: Prober, parameters: list[Parameter], base: Attrs, seen: Seen) -> list[Parameter]:
    """The parameters that inputs, outputs or states depend on."""
    single = [(item.name, value) for item in parameters for value in item.samples()]
    alone = dict(zip(single, prober.see([{**base, key: value} for key, value in single]), strict=True))
    single = [pick for pick in single if alone[pick] is not None]
    found = {name for (name, _), what in alone.items() if what is not None and differ(what, seen)}
    pairs = [(a, b) for a, b in itertools.combinations(single, 2) if a[0] != b[0]]
    together = prober.see([{**base, a[0]: a[1], b[0]: b[1]} for a, b in pairs])
    for (a, b), what in zip(pairs, together, strict=True):
        if what is not None:
            found |= {b[0]} if differ(what, alone[a]) else set()
            found |= {a[0]} if differ(what, alone[b]) else set()
    return [item for item in parameters if item.name in found]


def repeated(groups: list[Any], count: int) -> list[str]:
    names: list[str] = []
    for group in groups:
        names += [group] if isinstance(group, str) else [name.format(i) for i in range(count) for name in group]
    return names


def template(by_count: dict[int, Seen]) -> list[Any] | None:
    """Input names as a pattern whose lists are repeated, e.g. ``[["weight_{}", "grad_{}"], "lrs"]``; None for none."""
    if 1 not in by_count:
        return None
    names = by_count[1].inputs
    marks = ["{}".join(name.rsplit("0", 1)) for name in names]
    for cuts in range(len(names)):
        for borders in itertools.combinations(range(1, len(names)), cuts):
            edges = [0, *borders, len(names)]
            groups: list[Any] = []
            for start, end in itertools.pairwise(edges):
                part = marks[start:end]
                groups += part if not any("{}" in name for name in part) else [part]
            if all(repeated(groups, count) == list(seen.inputs) for count, seen in by_count.items()):
                return groups
    return None


def facts(seen: dict[int, Seen], counter: str) -> dict[str, Any]:
    """Inputs, outputs, states and initialisers of an operator, from what 1, 2, 3, … inputs or outputs showed."""
    one = seen[min(seen)]
    row: dict[str, Any] = {
        "in": list(one.inputs),
        "out": one.outputs,
        "hidden": one.hidden,
        "aux": list(one.aux),
        "init": dict(one.init),
    }
    if len(seen) > 1:
        row["in"] = template(seen)
        row["aux"] = [name for name in one.aux if row["in"] is not None and name in row["in"]]
        if all(what.outputs == count for count, what in seen.items()):
            row["out"] = counter
    return row


def observed(prober: Prober, parameters: list[Parameter], base: Attrs, seen: Seen) -> dict[str, Any]:
    """The part of an operator's row that composing it shows."""
    by = influences(prober, parameters, base, seen)
    if {item.name for item in by} == {"indices", "sections"}:
        return facts({1: seen}, "") | {"out": "split"}
    counters = [item for item in by if item.kind in ("int", "uint") and not item.nullable]
    by = [item for item in by if item not in counters and item.classes()]
    assert len(counters) <= 1, counters
    counter = counters[0].name if counters else ""
    counts = {count: {counter: str(count)} for count in (1, 2, 3)} if counter else {0: {}}
    labels = list(itertools.product(*(item.classes() for item in by)))
    trials = [
        base | extra | {item.name: item.classes()[label] for item, label in zip(by, case, strict=True)}
        for case in labels
        for extra in counts.values()
    ]
    answers = iter(prober.see(trials))
    rows: dict[str, dict[str, Any]] = {}
    for case in labels:
        shown = {count: what for count in counts if (what := next(answers)) is not None}
        if shown:
            rows[",".join(case)] = facts(shown, counter)
    default = ",".join(base.get(item.name) or item.default or "None" for item in by)
    row = rows.get(default) or next(iter(rows.values()))
    result = dict(row) | ({"count": counter} if counter else {})
    if by:
        cases = {
            label: {key: value for key, value in case.items() if value != row[key]} for label, case in rows.items()
        }
        result |= {"by": [item.name for item in by], "cases": cases}
    return result


def operator(prober: Prober, arguments: list[tuple[str, str]], counter: str) -> dict[str, Any]:
    parameters = [parameter(name, text) for name, text in arguments if not text.startswith(TENSORS)]
    if counter and all(item.name != counter for item in parameters):
        parameters.append(Parameter(counter, "int", nullable=False, required=True, default=None, choices=[]))
    base, seen = base_attrs(prober, parameters)
    row: dict[str, Any] = {"in": None if any(text.startswith(TENSORS) for _, text in arguments) else [], "out": None}
    if seen is not None:
        row = observed(prober, parameters, base, seen)
    elif any(item.name == "num_outputs" for item in parameters):
        row["out"] = "num_outputs"
    if row["in"] is None:
        row["doc"] = [name for name, text in arguments if text.startswith(TENSORS)]
    shapes = [item for item in parameters if item.kind == "shape"]
    trials = [base, {**base, "no_such_parameter": "1"}, *({**base, item.name: "(1, None)"} for item in shapes)]
    documented, unchecked, *slices = prober.accepts(trials)
    row["any"] = unchecked or not documented
    kinds = {item.name: "slice" for item, yes in zip(shapes, slices, strict=True) if yes}
    row["params"] = {item.name: item._replace(kind=kinds.get(item.name, item.kind)).row() for item in parameters}
    defaults = {"hidden": 0, "aux": [], "init": {}, "any": False, "out": 1, "params": {}}
    return {key: value for key, value in row.items() if key not in defaults or value != defaults[key]}


def table() -> str:
    """The text of schema.json: one operator per line, everything sorted."""
    wheel = Wheel()
    aliases: dict[str, list[str]] = {}
    described: dict[str, tuple[list[tuple[str, str]], str]] = {}
    for name in wheel.names():
        real, arguments, counter = wheel.describe(name)
        aliases.setdefault(real, []).append(name)
        described[real] = CORRECTED.get(real, arguments), "" if real in UNCOUNTED else counter
    lines = []
    for op in sorted(described):
        if LEFT_OUT.search(op):
            continue
        with Prober(wheel, op) as prober:
            row = operator(prober, *described[op])
        if op in UNCOUNTED:
            row["in"] = None
        others = [name for name in aliases[op] if name != op]
        row |= {"alias": others} if others else {}
        lines.append(f"{json.dumps(op)}:{json.dumps(row, sort_keys=True, separators=(',', ':'))}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    check = parser.parse_args().check
    text = table()
    if check and TABLE.read_text() != text:
        print(f"{TABLE.name} is not what MXNet says; run tools/{Path(__file__).name}.", file=sys.stderr)
        return 1
    if not check:
        TABLE.write_text(text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
