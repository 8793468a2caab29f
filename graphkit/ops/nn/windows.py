"""What convolution and pooling share: strides, dilations and pads, in ONNX's and in MXNet's terms."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphkit.ops.spec import Refusal, ints

if TYPE_CHECKING:
    import onnx_ir as ir

    from graphkit.ops.builders import MxBuilder
    from graphkit.ops.mxgraph import MxNode, MxRef

__all__ = ["mx_window", "onnx_ints", "onnx_pads", "pad_spatial"]


def mx_window(node: MxNode, name: str, rank: int, default: int) -> tuple[int, ...]:
    """A per-axis parameter of an MXNet node; absent and ``()`` mean ``default`` on every axis.

    Raises:
        ValueError: It has another length than the kernel.
    """
    given = ints(node.attrs[name]) if name in node.attrs else ()
    if not given:
        return (default,) * rank
    if len(given) != rank:
        raise ValueError(f"{name}={node.attrs[name]} does not have one number for each of the {rank} kernel axes")
    return given


def onnx_ints(node: ir.Node, name: str, rank: int, default: int) -> tuple[int, ...]:
    """A per-axis attribute of an ONNX node, ``default`` on every axis where it is absent."""
    return tuple(node.attributes.get_ints(name, [default] * rank))


def onnx_pads(
    b: MxBuilder, node: ir.Node, kernel: tuple[int, ...], strides: tuple[int, ...], dilations: tuple[int, ...]
) -> tuple[tuple[int, ...], tuple[int, ...]] | Refusal:
    """Pads before and after each spatial axis, ``auto_pad`` resolved as the ONNX operator text defines it."""
    rank = len(kernel)
    auto = node.attributes.get_string("auto_pad", "NOTSET")
    if auto == "VALID":
        return (0,) * rank, (0,) * rank
    if auto == "NOTSET":
        pads = onnx_ints(node, "pads", 2 * rank, 0)
        return pads[:rank], pads[rank:]
    data = node.inputs[0]
    assert data is not None
    spatial = b.shape(data)[2:]
    totals = []
    for size, k, stride, dilation in zip(spatial, kernel, strides, dilations, strict=True):
        if stride == 1:
            totals.append((k - 1) * dilation)
        elif isinstance(size, int):
            totals.append(max(0, (-(-size // stride) - 1) * stride + (k - 1) * dilation + 1 - size))
        else:
            return Refusal(f"auto_pad={auto} with a stride needs a known image size; give it with --input")
    small, large = tuple(total // 2 for total in totals), tuple(total - total // 2 for total in totals)
    return (small, large) if auto == "SAME_UPPER" else (large, small)


def pad_spatial(b: MxBuilder, data: MxRef, begins: tuple[int, ...], ends: tuple[int, ...], value: float = 0.0) -> MxRef:
    """Pad the spatial axes of an (N, C, …) array with a constant; MXNet's Pad takes 4-D and 5-D arrays only."""
    flat = [0, 0, 0, 0]
    if len(begins) == 1:
        flat += [0, 0]
    for begin, end in zip(begins, ends, strict=True):
        flat += [begin, end]
    if len(begins) == 1:
        data = b.op("expand_dims", data, axis=2)
    data = b.op("Pad", data, mode="constant", pad_width=tuple(flat), constant_value=value)
    return b.op("squeeze", data, axis=2) if len(begins) == 1 else data
