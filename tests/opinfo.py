"""torch's own samples of its operators (its OpInfo database), each read by graphkit and compared on ONNX Runtime."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from torch.testing._internal.common_methods_invocations import op_db
from torch.utils import _pytree as pytree

import graphkit
from graphkit.errors import GraphkitError, UnsupportedError
from graphkit.frameworks.base import runtimes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch.testing._internal.opinfo.core import OpInfo, SampleInput

__all__ = ["SAME", "Use", "operators", "uses", "verdict"]

SAMPLES: Final = 4
"""Samples of an operator that are run at most: those at equal distances in torch's list."""
SAME: Final = "same"
_LEFT_OUT: Final = re.compile(
    r"^(jiterator|sparse_|.*_backward|.*_grad$|.*_grad_oriented|torch__scaled|torch_ops_aten__(flash|efficient)|empty"
    r"|new_empty|resize_|to_sparse|item$|equal$|allclose$|nonzero_static|hash_tensor|bmm_triton|_?native_batch_norm"
    r"|_batch_norm_with_update|bernoulli|_segment_reduce|histogramdd|as_strided_partial|cauchy|exponential|geometric|log_normal"
    r"|normal_in_place|uniform$|special_(airy|bessel|chebyshev|hermite|laguerre|legendre|modified|scaled|shifted"
    r"|spherical|zeta))"
)
"""Operators that no model's forward pass holds: backward ones, memory without values, sparse layouts, fillings of
memory with random numbers, questions that have a Python number for an answer, and families of special functions."""
_TRAINING: Final = ("training", "train", "dropout_p", "use_input_stats")
"""Arguments that make a sample one of training, which a converted model leaves to its session."""
_TOLERANCE: Final = 1e-4
"""Of the largest magnitude, in float32: some samples cancel. A wrong formula is off by much more."""


class Use(torch.nn.Module):
    """One sample as a module: its tensors are the inputs, everything else is part of the program."""

    def __init__(self, op: OpInfo, sample: SampleInput) -> None:
        super().__init__()
        self.op = op
        leaves, self.tree = pytree.tree_flatten(((sample.input, *sample.args), sample.kwargs))
        self.places = [place for place, leaf in enumerate(leaves) if isinstance(leaf, torch.Tensor)]
        self.fed = tuple(leaves[place].detach() for place in self.places)
        self.fixed = [None if isinstance(leaf, torch.Tensor) else leaf for leaf in leaves]
        self.training_form = any(sample.kwargs.get(name) for name in _TRAINING)

    def forward(self, *fed: torch.Tensor) -> tuple[torch.Tensor, ...]:
        leaves = list(self.fixed)
        for place, tensor in zip(self.places, fed, strict=True):
            leaves[place] = tensor
        args, kwargs = pytree.tree_unflatten(leaves, self.tree)
        return tuple(x for x in pytree.tree_leaves(self.op.op(*args, **kwargs)) if isinstance(x, torch.Tensor))


def operators() -> dict[str, OpInfo]:
    """The operators that a model may hold, by name."""
    return {op.formatted_name: op for op in op_db if not _LEFT_OUT.match(op.formatted_name)}


def uses(op: OpInfo, count: int = SAMPLES) -> Iterator[Use]:
    """Some samples of an operator, without those of training, of complex numbers or of no elements."""
    dtype = next((d for d in (torch.float32, torch.int64, torch.bool) if op.supports_dtype(d, "cpu")), None)
    if dtype is None:
        return
    torch.manual_seed(0)
    given = [Use(op, sample) for sample in op.sample_inputs("cpu", dtype)]
    found = [
        use
        for use in given
        if use.fed and not use.training_form and all(x.numel() and not x.is_complex() for x in use.fed)
    ]
    for place in dict.fromkeys(np.linspace(0, len(found) - 1, count).astype(int).tolist()) if found else ():
        yield found[place]


def verdict(use: Use) -> str | None:
    """:data:`SAME`, why not as a clause, or None where there is nothing to compare."""
    try:
        expected = use(*(tensor.clone() for tensor in use.fed))
        again = use(*(tensor.clone() for tensor in use.fed))
    except Exception:
        return None
    if not expected or any(tensor.is_complex() for tensor in expected):
        return None
    if not all(torch.equal(a.nan_to_num(), b.nan_to_num()) for a, b in zip(expected, again, strict=True)):
        return None
    try:
        program = torch.export.export(use, use.fed)
    except Exception as error:
        return f"torch.export refuses it ({type(error).__name__})"
    told: list[str] = []
    try:
        model = graphkit.load(program, dynamic_batch=False, warn=told.append)
        names = [value.name or "" for value in model.graph.inputs]
        with runtimes()["ort"].open(model) as session:
            found = session.forward({name: x.numpy() for name, x in zip(names, use.fed, strict=True)})
    except UnsupportedError as error:
        return "; ".join(dict.fromkeys(f"{node.op}: {node.reason}" for node in error.nodes))
    except GraphkitError as error:
        return " ".join(str(error).split())
    if len(found) != len(expected):
        return f"gives {len(found)} outputs instead of {len(expected)}"
    for left, right in zip(found.values(), expected, strict=True):
        if difference := _difference(left, right.numpy()):
            return f"warned: {told[0]}" if told else f"gives other numbers: {difference}"
    return SAME


def _difference(left: np.ndarray[Any, Any], right: np.ndarray[Any, Any]) -> str:
    if left.shape != right.shape or left.dtype != right.dtype:
        return f"{left.dtype}{left.shape} is not {right.dtype}{right.shape}"
    if left.dtype.kind != "f":
        return "" if np.array_equal(left, right) else "other values"
    if not np.array_equal(np.isnan(left), np.isnan(right)):
        return "NaN elsewhere"
    finite = np.isfinite(right)
    if not np.array_equal(left[~finite], right[~finite], equal_nan=True):
        return "infinite elsewhere"
    scale = max(float(np.abs(right[finite]).max(initial=0)), 1e-3)
    error = float(np.abs(left[finite] - right[finite]).max(initial=0)) / scale
    return "" if error <= _TOLERANCE else f"off by {error:.2g}"
