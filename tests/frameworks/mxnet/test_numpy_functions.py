"""What MXNet's own functions of its NumPy interface write into symbols computes the same after it is read."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from realmxnet import mxnet
from test_ops import assert_same, run

from graphkit.errors import UnsupportedError
from graphkit.frameworks.base import InputSpec, ReadOptions
from graphkit.frameworks.mxnet.read import from_symbol
from graphkit.frameworks.mxnet.symbol import loads
from graphkit.ir.canonical import canonical
from graphkit.ir.origin import Source, set_source
from graphkit.ops.mxgraph import MxModel

_RNG = np.random.default_rng(3)
A = _RNG.uniform(0.2, 0.9, (3, 4)).astype(np.float32)
B = _RNG.uniform(0.2, 0.9, (3, 4)).astype(np.float32)
CUBE = _RNG.normal(size=(2, 3, 4)).astype(np.float32)
ROW = A[0]
SQUARE = (A @ A.T + np.eye(3)).astype(np.float32)
WHOLE = np.asarray([[1, 5, 2], [3, 0, 4]], np.int32)
TRUTHS = np.asarray([[True, False, True], [False, False, True]])
ONE = np.float32(0.7)

OF_ONE = """
abs absolute arccos arcsin arcsinh arctan arctanh cbrt ceil copy cos cosh degrees exp expm1 fabs fix floor log
log10 log1p log2 negative radians reciprocal rint sign sin sinh sqrt square tan tanh trunc isfinite isinf isnan
isneginf isposinf logical_not around round round_ nan_to_num ravel transpose squeeze fliplr flipud flip
ones_like zeros_like atleast_1d diff ediff1d all any argmax argmin max min amax amin mean sum prod product std
var cumsum sort argsort unique trace diag diagflat diagonal tril average rot90
"""
OF_INTEGERS = "abs negative square max min sum prod mean cumsum argmax any all copy tril diag floor rint transpose"
OF_TRUTHS = "sum mean any all max min prod logical_not cumsum copy ravel"
OF_SCALARS = "sum mean max min prod argmax exp abs sqrt cumsum square mean copy squeeze transpose ravel unique"
OF_TWO = """
add subtract multiply divide true_divide power maximum minimum arctan2 hypot copysign mod remainder equal
not_equal greater greater_equal less less_equal ldexp
"""
MIXED = "add subtract multiply true_divide"

OTHERS: dict[str, tuple[Any, ...]] = {
    "append": (lambda np, x, y: np.append(x, y, axis=0), A, B),
    "append, flat": (lambda np, x, y: np.append(x, y), A, B),
    "arange": (lambda np, x: np.arange(4) + x, ROW),
    "array_split": (lambda np, x: np.array_split(x, 3, axis=1), A),
    "average with weights": (lambda np, x, y: np.average(x, axis=1, weights=y), A, ROW),
    "bincount": (lambda np, x: np.bincount(x), WHOLE[0]),
    "bitwise_and": (lambda np, x, y: np.bitwise_and(x, y), WHOLE, WHOLE + 1),
    "bitwise_or of truths": (lambda np, x, y: np.bitwise_or(x, y), TRUTHS, ~TRUTHS),
    "bitwise_not": (lambda np, x: np.invert(x), WHOLE),
    "blackman": (lambda np, x: np.blackman(4) * x, ROW),
    "broadcast_to": (lambda np, x: np.broadcast_to(x, (2, 3, 4)), A),
    "clip": (lambda np, x: np.clip(x, None, 0.6), A),
    "column_stack": (lambda np, x, y: np.column_stack([x, y]), ROW, ROW),
    "concatenate": (lambda np, x, y: np.concatenate([x, y], axis=1), A, B),
    "dot": (lambda np, x, y: np.dot(x, y), CUBE, ROW),
    "dsplit": (lambda np, x: np.dsplit(x, 2), CUBE),
    "dstack": (lambda np, x, y: np.dstack([x, y]), A, B),
    "einsum": (lambda np, x, y: np.einsum("ij,kj->ik", x, y), A, B),
    "expand_dims": (lambda np, x: np.expand_dims(x, 1), A),
    "eye": (lambda np, x: np.eye(3) + x, SQUARE),
    "full": (lambda np, x: np.full((3, 4), 2.5) * x, A),
    "full_like": (lambda np, x: np.full_like(x, 3), A),
    "hanning": (lambda np, x: np.hanning(4) * x + np.hamming(4), ROW),
    "hsplit": (lambda np, x: np.hsplit(x, [1, 3]), A),
    "hstack": (lambda np, x, y: np.hstack([x, y]), A, B),
    "identity": (lambda np, x: np.identity(3) * x, SQUARE),
    "indices": (lambda np, x: np.indices((3, 4)) * x, A.astype(np.int32)),
    "inner": (lambda np, x, y: np.inner(x, y), ROW, ROW),
    "insert": (lambda np, x, y: np.insert(x, 1, y, axis=0), A, ROW),
    "lcm": (lambda np, x, y: np.lcm(x, y), WHOLE, WHOLE + 1),
    "linspace": (lambda np, x: np.linspace(0, 1, 4) * x, ROW),
    "logspace": (lambda np, x: np.logspace(0, 1, 4) * x, ROW),
    "matmul": (lambda np, x, y: np.matmul(x, y), CUBE, A.T),
    "moveaxis": (lambda np, x: np.moveaxis(x, 0, -1), CUBE),
    "ones": (lambda np, x: np.ones((3, 4)) + np.zeros(4) + x, A),
    "outer": (lambda np, x, y: np.outer(x, y), ROW, ROW),
    "pad": (lambda np, x: np.pad(x, ((1, 1), (0, 2)), mode="edge"), A),
    "percentile": (lambda np, x: np.percentile(x, 30, axis=0), A),
    "polyval": (lambda np, x, y: np.polyval(x, y), ROW, A),
    "quantile": (lambda np, x: np.quantile(x, 0.3), A),
    "repeat": (lambda np, x: np.repeat(x, 2, axis=0), A),
    "reshape": (lambda np, x: np.reshape(x, (2, -1)), A),
    "roll": (lambda np, x: np.roll(x, 2, axis=1), A),
    "row_stack": (lambda np, x, y: np.row_stack([x, y]), ROW, ROW),
    "split": (lambda np, x: np.split(x, [1, 3], axis=1), A),
    "stack": (lambda np, x, y: np.stack([x, y], axis=1), A, B),
    "swapaxes": (lambda np, x: np.swapaxes(x, 0, 2), CUBE),
    "take": (lambda np, x, y: np.take(x, y), A, np.asarray([0, 7], np.int32)),
    "tensordot": (lambda np, x, y: np.tensordot(x, y, axes=([1], [1])), A, B),
    "tensordot over the last": (lambda np, x, y: np.tensordot(x, y, axes=1), CUBE, A.T),
    "tile": (lambda np, x: np.tile(x, (2, 1)), A),
    "vdot": (lambda np, x, y: np.vdot(x, y), ROW, ROW),
    "vsplit": (lambda np, x: np.vsplit(x, 3), A),
    "vstack": (lambda np, x, y: np.vstack([x, y]), A, B),
    "where": (lambda np, x, y: np.where(x > 0.5, y, 0.0), A, B),
    "norm": (lambda np, x: np.linalg.norm(x), A),
    "norm of rows": (lambda np, x: np.linalg.norm(x, axis=1), A),
    "norm of Frobenius": (lambda np, x: np.linalg.norm(x, ord="fro", axis=(0, 1)), A),
    "norm, largest": (lambda np, x: np.linalg.norm(x, ord="inf", axis=1), A),
    "inv": (lambda np, x: np.linalg.inv(x), SQUARE),
    "det": (lambda np, x: np.linalg.det(x), SQUARE),
    "solve": (lambda np, x, y: np.linalg.solve(x, y), SQUARE, A),
    "element": (lambda _np, x: x[1], A),
    "slice": (lambda _np, x: x[1:, ::2], A),
    "last": (lambda _np, x: x[:, -1], A),
    "operators": (lambda _np, x, y: (-x + y * 2 - 1) / (y**2) % 1.5 + (1 - x) * (1 / y) - 2**x, A, B),
    "comparisons": (lambda _np, x, y: (x > y) * (x <= 0.8), A, B),
    "methods": (lambda _np, x: x.sum(axis=0).max() + x.mean() * x.std() + x.reshape(-1)[0] + x.T.flatten().min(), A),
    "astype": (lambda _np, x: x.astype("int32"), A * 9),
}


def uses() -> list[Any]:
    rows: list[tuple[str, Any, tuple[Any, ...]]] = []
    for names, kind, operand in (
        (OF_ONE, "", A),
        (OF_INTEGERS, " of integers", WHOLE),
        (OF_TRUTHS, " of truths", TRUTHS),
    ):
        rows += [(f"{name}{kind}", called(name), (operand,)) for name in names.split()]
    rows += [(f"{name} of a scalar", called(name), (ONE,)) for name in OF_SCALARS.split()]
    for name in OF_TWO.split():
        rows += [
            (name, called(name), (A, B)),
            (f"{name} with a row", called(name), (A, ROW)),
            (f"{name} with a number", called(name, second=2), (A,)),
            (f"{name} of a number", called(name, first=2.5), (A,)),
        ]
    for name in MIXED.split():
        rows += [
            (f"{name} of integers", called(name), (WHOLE, WHOLE + 1)),
            (f"{name} of integers and floats", called(name), (WHOLE, WHOLE.astype(np.float32) + 1)),
            (f"{name} of integers and a fraction", called(name, second=2.5), (WHOLE,)),
        ]
    rows += [(name, row[0], row[1:]) for name, row in OTHERS.items()]
    return [pytest.param(function, operands, id=name) for name, function, operands in rows]


def called(name: str, **numbers: float) -> Any:
    def function(module: Any, *operands: Any) -> Any:
        first = (numbers["first"],) if "first" in numbers else ()
        second = (numbers["second"],) if "second" in numbers else ()
        return getattr(module, name)(*first, *operands, *second)

    return function


def symbol_of(function: Any, operands: tuple[Any, ...]) -> str:
    mx = mxnet()
    with mx.util.np_shape(True), mx.util.np_array(True):
        made = function(mx.sym.np, *[mx.sym.var(f"x{place}").as_np_ndarray() for place in range(len(operands))])
        text: str = (mx.sym.Group(list(made)) if isinstance(made, list | tuple) else made).tojson()
    return text


def read(text: str, feeds: dict[str, Any]) -> Any:
    mx = MxModel(loads(text))
    inputs = tuple(InputSpec(name, array.shape, array.dtype.name) for name, array in feeds.items())
    model = canonical(from_symbol(mx, ReadOptions(inputs=inputs, dynamic_batch=False), "symbol"))
    set_source(model, Source("mxnet", "symbol", mx))
    return model


@pytest.mark.parametrize(("function", "operands"), uses())
def test_functions_compute_what_mxnet_does(function: Any, operands: tuple[Any, ...]) -> None:
    feeds = {f"x{place}": np.asarray(operand) for place, operand in enumerate(operands)}
    model = read(symbol_of(function, operands), feeds)
    assert_same(run("reference", model, feeds), run("mxnet", model, feeds, native=True), 1e-5)


@pytest.mark.parametrize(
    ("function", "operands", "said"),
    [
        (lambda np, x: np.resize(x, (2, 2)), (A,), "code outside the symbol"),
        (lambda np, x, y: np.add(x, y).sum(axis=3), (A, B), "none of the 2 axes"),
        (lambda np, x: np.sum(x, axis=(0, 0)), (A,), "names an axis twice"),
        (lambda np, x: np.std(x), (WHOLE,), "differences of integers"),
        (lambda np, x: np.linalg.norm(x, ord=2, axis=(1, 0)), (A,), "more rows than columns"),
        (lambda np, x, y: np.dot(x, y), (WHOLE, WHOLE.T), "multiplies floats here only"),
    ],
)
def test_refusals_say_why(function: Any, operands: tuple[Any, ...], said: str) -> None:
    feeds = {f"x{place}": np.asarray(operand) for place, operand in enumerate(operands)}
    with pytest.raises(UnsupportedError, match=said):
        read(symbol_of(function, operands), feeds)
