#!/usr/bin/env python
"""How graphkit reads PyTorch's operators, found by running torch's own samples of each (its OpInfo database).

Each sample is exported, converted to ONNX, run on ONNX Runtime and compared with eager torch. The result is
``graphkit/frameworks/torch/aten/samples.json``, which ``graphkit ops`` shows:

    tools/opinfo.py                    # all operators, half an hour; writes the file
    tools/opinfo.py -k conv            # those with "conv" in their name, told sample by sample; writes nothing
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import warnings
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from torch.testing._internal.common_methods_invocations import op_db
from torch.utils import _pytree as pytree

import graphkit
from graphkit.errors import GraphkitError
from graphkit.frameworks.base import runtimes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch.testing._internal.opinfo.core import OpInfo, SampleInput

TABLE: Final = Path(graphkit.__file__).parent / "frameworks" / "torch" / "aten" / "samples.json"
SAMPLES: Final = 8
"""Samples of an operator that are run: those at equal distances in torch's list."""
LEFT_OUT: Final = re.compile(
    r"^(jiterator|sparse_|_?native_.*backward|.*_backward|.*_grad$|torch__scaled|torch_ops_aten__(flash|efficient)"
    r"|empty|new_empty|resize_|to_sparse|item$|equal$|allclose$|nonzero_static|hash_tensor|bmm_triton"
    r"|special_(airy|bessel|chebyshev|hermite|laguerre|legendre|modified|scaled|shifted|spherical))"
)
"""Operators that no model's forward pass holds: backward ones, memory without values, sparse layouts, questions that
have a Python number for an answer, and families of special functions."""


class Use(torch.nn.Module):
    """One sample as a module: its tensors are the inputs, everything else is part of the program."""

    def __init__(self, op: OpInfo, sample: SampleInput) -> None:
        super().__init__()
        self.op = op
        leaves, self.tree = pytree.tree_flatten(((sample.input, *sample.args), sample.kwargs))
        self.places = [place for place, leaf in enumerate(leaves) if isinstance(leaf, torch.Tensor)]
        self.fed = tuple(leaves[place].detach() for place in self.places)
        self.fixed = [None if isinstance(leaf, torch.Tensor) else leaf for leaf in leaves]

    def forward(self, *fed: torch.Tensor) -> Any:
        leaves = list(self.fixed)
        for place, tensor in zip(self.places, fed, strict=True):
            leaves[place] = tensor
        args, kwargs = pytree.tree_unflatten(leaves, self.tree)
        found = [leaf for leaf in pytree.tree_leaves(self.op.op(*args, **kwargs)) if isinstance(leaf, torch.Tensor)]
        return tuple(found)


def chosen(op: OpInfo) -> Iterator[Use]:
    dtype = torch.float32 if op.supports_dtype(torch.float32, "cpu") else torch.int64
    if not op.supports_dtype(dtype, "cpu"):
        dtype = torch.bool
    torch.manual_seed(0)
    samples = list(op.sample_inputs("cpu", dtype))
    for place in dict.fromkeys(np.linspace(0, len(samples) - 1, SAMPLES).astype(int).tolist()) if samples else ():
        yield Use(op, samples[place])


def verdict(use: Use) -> str:
    """``"same"``, ``"random"``, or why not."""
    try:
        expected = use(*(tensor.clone() for tensor in use.fed))
        again = use(*(tensor.clone() for tensor in use.fed))
    except Exception as error:  # noqa: BLE001 -- a sample that torch itself refuses says nothing
        return f"torch refuses: {error}"
    random = not all(torch.equal(a.nan_to_num(), b.nan_to_num()) for a, b in zip(expected, again, strict=True))
    if any(tensor.is_complex() for tensor in (*expected, *use.fed)):
        return "complex"
    if not use.fed or not expected:
        return "reads no tensor"
    try:
        program = torch.export.export(use, use.fed)
    except Exception as error:  # noqa: BLE001 -- torch.export raises everything
        return f"torch.export: {type(error).__name__}"
    try:
        model = graphkit.load(program, dynamic_batch=False, warn=lambda _message: None)
        names = [value.name for value in model.graph.inputs]
        given = dict(zip(("fed", *(f"fed_{n}" for n in range(1, len(use.fed)))), use.fed, strict=False))
        del given
        feeds = {
            name: tensor.numpy() for name, tensor in zip(names, _used(program, use.fed), strict=True)
        }
        with runtimes()["ort"].open(model) as session:
            found = list(session.forward(feeds).values())
    except GraphkitError as error:
        return f"refused: {error}"
    if len(found) != len(expected):
        return f"wrong: {len(found)} outputs for {len(expected)}"
    if random:
        return "random"
    for left, right in zip(found, expected, strict=True):
        if difference := differs(left, right.numpy()):
            return f"wrong: {difference}"
    return "same"


def _used(program: Any, fed: tuple[torch.Tensor, ...]) -> list[torch.Tensor]:
    return list(fed)


def differs(left: np.ndarray, right: np.ndarray) -> str:
    if left.shape != right.shape or left.dtype != right.dtype:
        return f"{left.dtype}{left.shape} is not {right.dtype}{right.shape}"
    if left.dtype.kind != "f":
        return "" if np.array_equal(left, right) else "other values"
    if not np.array_equal(np.isnan(left), np.isnan(right)):
        return "NaN elsewhere"
    finite = np.isfinite(right)
    if not np.array_equal(left[~finite], right[~finite], equal_nan=True):
        return "infinite elsewhere"
    scale = max(float(np.abs(right[finite]).max(initial=0)), 1e-6)
    error = float(np.abs(left[finite] - right[finite]).max(initial=0)) / scale
    return f"off by {error:.2g}" if not error <= 1e-4 else ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-k", default="", help="part of the names of the operators to run")
    parser.add_argument("-o", default="", help="where to write instead")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    table = {}
    for op in op_db:
        name = op.formatted_name
        if LEFT_OUT.match(name) or arguments.k not in name:
            continue
        counts: Counter[str] = Counter()
        for use in chosen(op):
            try:
                found = verdict(use)
            except Exception as error:  # noqa: BLE001 -- a defect; told, not hidden
                found = f"CRASH: {type(error).__name__}: {error}"
            counts[" ".join(found.split())[:300]] += 1
        table[name] = dict(counts)
        print(name, dict(counts), flush=True)
    if arguments.o:
        Path(arguments.o).write_text(json.dumps(table, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
