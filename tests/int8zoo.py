"""Networks of Gluon's model zoo, quantized by MXNet's own tools with oneDNN: fused, calibrated on their input.

python tests/int8zoo.py PREFIX BATCH SIZE GRANULARITY    quantizes PREFIX-symbol.json and PREFIX-0000.params
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["INT8", "Quantized", "make"]


class Quantized(NamedTuple):
    """How a network is quantized.

    Attributes:
        batch: Images of its input.
        size: Their height and width.
        granularity: Whether weights have a step for each filter (``channel-wise``) or one (``tensor-wise``).
    """

    batch: int
    size: int
    granularity: str = "tensor-wise"


INT8 = {
    "mobilenet1.0": Quantized(8, 64, "channel-wise"),
    "mobilenetv2_0.5": Quantized(4, 64),
    "squeezenet1.1": Quantized(8, 224),
    "resnet18_v1": Quantized(8, 112),
    "resnet18_v2": Quantized(4, 64),
    "densenet121": Quantized(1, 224),
}


def make(folder: Path, name: str) -> tuple[Path, dict[str, np.ndarray]]:
    """Quantize a network.

    Args:
        folder: Where to.
        name: Of :data:`INT8`.

    Returns:
        The symbol file, and arrays: ``x`` that goes in and ``y`` that MXNet computes of it.
    """
    from gluonzoo import make as floats

    from graphkit.frameworks.mxnet.run import interpreter

    how = INT8[name]
    floats(folder, [f"{name}:{how.size}"])
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MXNET_")}
    words = [str(folder / name), str(how.batch), str(how.size), how.granularity]
    subprocess.run(
        [interpreter(), "-W", "ignore", __file__, *words],
        check=True,
        capture_output=True,
        env=environment,
        timeout=1800,
    )
    return folder / f"{name}-int8-symbol.json", dict(np.load(folder / f"{name}.npz"))


def _quantize(prefix: str, batch: int, size: int, granularity: str) -> None:
    import logging

    os.environ["MXNET_STORAGE_FALLBACK_LOG_VERBOSE"] = "0"
    os.environ["MXNET_SUBGRAPH_BACKEND"] = "NONE"
    if not hasattr(np, "bool"):
        np.bool = bool
    import mxnet as mx
    from mxnet.contrib.quantization import quantize_model

    logging.disable(logging.CRITICAL)
    x = mx.nd.array(np.random.default_rng(5).standard_normal((batch, 3, size, size)).astype(np.float32))
    symbol, args, aux = mx.model.load_checkpoint(prefix, 0)
    symbol, args, aux = quantize_model(
        symbol.get_backend_symbol("MKLDNN_QUANTIZE"),
        args,
        aux,
        data_names=("data",),
        label_names=(),
        ctx=mx.cpu(),
        quantized_dtype="auto",
        calib_mode="naive",
        calib_data=mx.io.NDArrayIter(x, batch_size=batch),
        num_calib_examples=batch,
        quantize_granularity=granularity,
        logger=logging.getLogger(),
    )
    symbol = symbol.get_backend_symbol("MKLDNN_QUANTIZE")
    mx.model.save_checkpoint(f"{prefix}-int8", 0, symbol, args, aux)
    bound = symbol.bind(mx.cpu(), {**args, "data": x}, aux_states=aux, grad_req="null")
    np.savez(f"{prefix}.npz", x=x.asnumpy(), y=bound.forward(is_train=False)[0].asnumpy())


if __name__ == "__main__":
    _quantize(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
