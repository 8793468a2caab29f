"""Quantizes a small network with MXNet's own tools: ``python int8_network.py FOLDER BACKEND DTYPE GRANULARITY``.

Writes ``int8-symbol.json`` and ``int8-0000.params`` (of floats that oneDNN fuses for DTYPE ``float32``), and
``numbers.npz`` with what goes in and what MXNet computes.
"""

import logging
import os
import sys

os.environ["MXNET_STORAGE_FALLBACK_LOG_VERBOSE"] = "0"
os.environ["MXNET_SUBGRAPH_BACKEND"] = "NONE"

import mxnet as mx
import numpy as np
from mxnet.contrib.quantization import quantize_model

folder, backend, dtype, granularity = sys.argv[1:]
os.chdir(folder)
logging.disable(logging.CRITICAL)
rng = np.random.default_rng(5)


def fused(data):
    """What oneDNN fuses: BatchNorm, rectifiers and sums, of one type and of two, into convolutions."""
    first = mx.sym.Convolution(data, kernel=(3, 3), pad=(1, 1), num_filter=8, no_bias=True, name="conv0")
    first = mx.sym.BatchNorm(first, fix_gamma=False, eps=1e-3, name="norm0")
    first = mx.sym.Activation(first, act_type="relu", name="relu0")
    second = mx.sym.Convolution(first, kernel=(3, 3), pad=(1, 1), num_filter=8, name="conv1")
    joined = mx.sym.Activation(second + first, act_type="relu", name="relu1")
    signed = mx.sym.Convolution(joined, kernel=(1, 1), num_filter=8, name="conv3")
    joined = mx.sym.Convolution(joined, kernel=(3, 3), pad=(1, 1), num_filter=8, name="conv4") + signed
    joined = mx.sym.Activation(joined, act_type="relu", name="relu3")
    joined = mx.sym.Convolution(joined, kernel=(3, 3), pad=(1, 1), num_filter=8, name="conv5") + joined
    pooled = mx.sym.Pooling(joined, kernel=(2, 2), stride=(2, 2), pool_type="max", name="pool")
    pooled = mx.sym.Convolution(pooled, kernel=(1, 1), num_filter=8, name="conv6")
    pooled = mx.sym.LeakyReLU(pooled, act_type="gelu", name="gelu")
    rectified = mx.sym.Activation(
        mx.sym.Convolution(pooled, kernel=(1, 1), num_filter=4, name="conv7"), act_type="relu"
    )
    signed = mx.sym.Convolution(pooled, kernel=(1, 1), num_filter=4, name="conv8")
    pooled = mx.sym.concat(rectified, signed, dim=1, name="joined")  # both have the range of the two
    return mx.sym.Convolution(pooled, kernel=(1, 1), num_filter=6, num_group=2, name="conv2")


def plain(data):
    """What MXNet's own integer layers run without fusion: unsigned data only, and no rectifiers."""
    first = mx.sym.Convolution(data, kernel=(3, 3), pad=(1, 1), num_filter=8, no_bias=True, name="conv0")
    pooled = mx.sym.Pooling(first, kernel=(2, 2), stride=(2, 2), pool_type="max", name="pool")
    return mx.sym.Convolution(pooled, kernel=(1, 1), num_filter=6, no_bias=True, name="conv1")


def attention(data):
    """BERT in small: what oneDNN fuses of it, positions first."""
    x = mx.sym.LayerNorm(data, name="norm0")
    pairs = mx.sym.FullyConnected(x, num_hidden=72, flatten=False, name="pairs")
    scores = mx.sym.softmax(mx.sym.contrib.interleaved_matmul_selfatt_qk(pairs, heads=4, name="scores"))
    mixed = mx.sym.contrib.interleaved_matmul_selfatt_valatt(pairs, scores, heads=4, name="mixed")
    x = x + mx.sym.FullyConnected(mixed, num_hidden=24, flatten=False, name="joined")
    inner = mx.sym.FullyConnected(x, num_hidden=32, flatten=False, name="inner")
    inner = mx.sym.LeakyReLU(inner, act_type="gelu", name="gelu")
    for name, kind in (("leaky", "leaky"), ("elu", "elu")):
        inner = mx.sym.FullyConnected(inner, num_hidden=24, flatten=False, no_bias=True, name=f"{name}0")
        inner = mx.sym.LeakyReLU(inner, act_type=kind, slope=0.3, name=name)
    outer = mx.sym.abs(mx.sym.FullyConnected(inner, num_hidden=24, flatten=False, name="outer"))
    return x + mx.sym.FullyConnected(outer, num_hidden=24, flatten=False, name="last")


def network():
    data = mx.sym.var("data")
    if backend == "attention":
        return attention(data)
    planes = fused(data) if backend == "fused" else plain(data)
    mean = mx.sym.Pooling(planes, kernel=(1, 1), global_pool=True, pool_type="avg", name="mean")
    dense = mx.sym.FullyConnected(mx.sym.Flatten(mean), num_hidden=16, name="dense0")
    if backend == "fused":
        dense = mx.sym.Activation(dense, act_type="relu", name="relu2")
    return mx.sym.FullyConnected(dense, num_hidden=5, name="dense1")


symbol = network()
size = (5, 4, 24) if backend == "attention" else (4, 3, 8, 8)
x = mx.nd.array(rng.uniform(0 if backend == "plain" else -1, 1, size).astype(np.float32))
shapes, _, states = symbol.infer_shape(data=x.shape)
args = {
    name: mx.nd.array(rng.uniform(-0.4, 0.4, shape).astype(np.float32))
    for name, shape in zip(symbol.list_arguments(), shapes, strict=True)
    if name != "data"
}
if "norm0_gamma" in args:
    args["norm0_gamma"] = mx.nd.array(rng.uniform(0.5, 1.5, args["norm0_gamma"].shape).astype(np.float32))
aux = {
    name: mx.nd.array(rng.uniform(0.2, 0.9, shape).astype(np.float32))
    for name, shape in zip(symbol.list_auxiliary_states(), states, strict=True)
}
fuse = None if backend == "plain" else "MKLDNN_QUANTIZE"
if fuse:
    symbol = symbol.get_backend_symbol(fuse)
if dtype != "float32":
    symbol, args, aux = quantize_model(
        symbol,
        args,
        aux,
        data_names=("data",),
        label_names=(),
        ctx=mx.cpu(),
        quantized_dtype=dtype,
        calib_mode="naive",
        calib_data=mx.io.NDArrayIter(x, batch_size=4),
        num_calib_examples=4,
        quantize_granularity=granularity,
        logger=logging.getLogger(),
    )
    if fuse:
        symbol = symbol.get_backend_symbol(fuse)
mx.model.save_checkpoint("int8", 0, symbol, args, aux)
bound = symbol.bind(mx.cpu(), {**args, "data": x}, aux_states=aux, grad_req="null")
np.savez("numbers.npz", x=x.asnumpy(), y=bound.forward(is_train=False)[0].asnumpy())
