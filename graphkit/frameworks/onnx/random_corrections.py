"""What the ONNX reference evaluator lacks among random operators."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from onnx.helper import tensor_dtype_to_np_dtype
from onnx.reference.op_run import OpRun

if TYPE_CHECKING:
    import numpy.typing as npt

    Array: TypeAlias = npt.NDArray[Any]

__all__ = ["RANDOM_CORRECTIONS"]


class Multinomial(OpRun):
    """Classes drawn with weights whose logarithms are given, by the inverse of their distribution function."""

    op_domain = ""

    def _run(
        self, x: Array, dtype: int | None = None, sample_size: int | None = None, seed: float | None = None
    ) -> tuple[Array]:
        generator = np.random.default_rng(None if seed is None or np.isnan(seed) else int(np.float32(seed).view("u4")))
        weights = np.exp(x.astype(np.float64) - x.max(axis=1, keepdims=True))
        shares = np.cumsum(weights / weights.sum(axis=1, keepdims=True), axis=1)
        drawn = generator.uniform(size=(len(x), sample_size or 1))
        found = np.minimum((drawn[:, :, None] >= shares[:, None, :]).sum(axis=2), x.shape[1] - 1)
        return (found.astype(tensor_dtype_to_np_dtype(dtype or 6)),)


RANDOM_CORRECTIONS = [Multinomial]
"""What to hand to :class:`onnx.reference.ReferenceEvaluator` as ``new_ops``."""
