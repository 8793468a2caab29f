"""Rearranging blocks of an image between its channels and its spatial axes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphkit.ops.codec import INT
from graphkit.ops.spec import Attr, Case, MxForm, Op, Refusal, arr
from graphkit.ops.tensor.grad_sizes import joined, sizes_at
from graphkit.ops.tensor.sizes import some

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from graphkit.ops.builders import MxBuilder, TorchBuilder
    from graphkit.ops.gradients import GradientBuilder
    from graphkit.ops.mxgraph import MxRef
    from graphkit.ops.torchprogram import Arg


def _deep_first(_b: MxBuilder, node: ir.Node) -> bool | Refusal:
    mode = node.attributes.get_string("mode", "DCR")
    return mode == "DCR" or Refusal(f"its mode {mode} is none of ONNX's")


def _is_crd(_b: MxBuilder, node: ir.Node) -> bool:
    return node.attributes.get_string("mode", "DCR") == "CRD"


def _write_blocks(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef:
    assert x[0] is not None
    return b.op("depth_to_space", x[0], block_size=node.attributes.get_int("blocksize"))


def _write_crd(b: MxBuilder, node: ir.Node, x: Sequence[MxRef | None]) -> MxRef:
    """(N, C·b·b, H, W) with the channel outermost to (N, C, H·b, W·b)."""
    data, size = x[0], node.attributes.get_int("blocksize")
    assert data is not None
    data = b.op("Reshape", data, shape=(0, -4, -1, size * size, 0, 0))
    data = b.op("Reshape", data, shape=(0, 0, -4, size, size, 0, 0))
    data = b.op("transpose", data, axes=(0, 1, 4, 2, 5, 3))
    return b.op("Reshape", data, shape=(0, 0, -3, -3))


def _torch_depth(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg | Refusal:
    """Torch shuffles pixels with the channel outermost, as CRD does."""
    data, size, mode = x[0], node.attributes.get_int("blocksize"), node.attributes.get_string("mode", "DCR")
    if mode not in ("DCR", "CRD"):
        return Refusal(f"its mode {mode} is none of ONNX's")
    return b.call("F.pixel_shuffle", _swapped(b, data, (size * size, -1)) if mode == "DCR" else data, size)


def _torch_space(b: TorchBuilder, node: ir.Node, x: Sequence[Any]) -> Arg:
    size = node.attributes.get_int("blocksize")
    return _swapped(b, b.call("F.pixel_unshuffle", x[0], size), (-1, size * size))


def _swapped(b: TorchBuilder, data: Arg, parts: tuple[int, int]) -> Arg:
    """The channels, which are a table of that many rows and columns, in the order of its columns."""
    table = b.method("transpose", b.method("unflatten", data, 1, parts), 1, 2)
    return b.method("flatten", table, 1, 2)


def _gradient_depth(b: GradientBuilder, node: ir.Node, dy: Sequence[Any]) -> Sequence[ir.Value | None]:
    """(N, C, H·b, W·b) back to (N, C·b·b, H, W); the order of ONNX's SpaceToDepth is that of DCR."""
    source, size = some(node.inputs[0]), node.attributes.get_int("blocksize")
    if node.attributes.get_string("mode", "DCR") == "DCR":
        return [b.op("SpaceToDepth", dy[0], blocksize=size)]
    rows, columns = sizes_at(b, source, [2]), sizes_at(b, source, [3])
    blocks = b.op("Reshape", dy[0], joined(b, [0, -1], rows, [size], columns, [size]))
    return [b.like(b.op("Transpose", blocks, perm=[0, 1, 3, 5, 2, 4]), source)]


def _gradient_space(b: GradientBuilder, node: ir.Node, dy: Sequence[Any]) -> Sequence[ir.Value | None]:
    return [b.op("DepthToSpace", dy[0], blocksize=node.attributes.get_int("blocksize"))]


_BLOCK = Attr("block_size", "blocksize", INT)

OPS = (
    Op(
        "DepthToSpace",
        mx=(
            MxForm("depth_to_space", attrs=(_BLOCK,), when=_deep_first, write=_write_blocks),
            MxForm("Reshape", when=_is_crd, write=_write_crd, direction="write"),
        ),
        torch=_torch_depth,
        gradient=_gradient_depth,
        cases=(
            Case("DCR", (arr(2, 8, 3, 2),), {"blocksize": 2}, dynamic=(0,)),
            Case("DCR given", (arr(1, 9, 2, 2),), {"blocksize": 3, "mode": "DCR"}),
            Case("CRD", (arr(2, 8, 3, 2),), {"blocksize": 2, "mode": "CRD"}, dynamic=(0,)),
            Case("CRD of threes", (arr(1, 18, 2, 1),), {"blocksize": 3, "mode": "CRD"}),
        ),
    ),
    Op(
        "SpaceToDepth",
        mx=(MxForm("space_to_depth", attrs=(_BLOCK,)),),
        torch=_torch_space,
        gradient=_gradient_space,
        cases=(
            Case("twos", (arr(2, 3, 4, 6),), {"blocksize": 2}, dynamic=(0,)),
            Case("threes", (arr(1, 2, 3, 6),), {"blocksize": 3}),
        ),
    ),
)
