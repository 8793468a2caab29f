"""Uses of PyTorch's operators, by family; the operators of a family are exported together.

Each use is a module or a function of the family's inputs. A use whose name ends in ``=Op`` becomes that one ONNX node,
which reads an input of the model.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F  # noqa: N812 -- torch's own spelling
from torch import Tensor, nn
from torchparts import LOOKUPS, WRITES

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["FAMILIES", "Family"]


class Family(nn.Module):
    """Operators that read the same inputs, and give one output (or several) each."""

    def __init__(self, shapes: tuple[tuple[int, ...], ...], uses: dict[str, Callable[..., Any]]) -> None:
        super().__init__()
        self.shapes = shapes
        self.uses = uses
        modules = {f"layer{place}": use for place, use in enumerate(uses.values()) if isinstance(use, nn.Module)}
        self.layers = nn.ModuleDict(modules)
        rng = torch.Generator().manual_seed(7)
        with torch.no_grad():
            for tensor in (*self.parameters(), *self.buffers()):
                if tensor.is_floating_point():
                    tensor.copy_(torch.rand(tensor.shape, generator=rng) + 0.5)

    def forward(self, x: Tensor, y: Tensor) -> dict[str, Any]:
        return {_key(name): use(*(x, y)[: _arity(use)]) for name, use in self.uses.items()}


def _key(name: str) -> str:
    return name.partition("=")[0]


def _arity(use: Callable[..., Any]) -> int:
    if isinstance(use, nn.Module):
        return 1
    return sum(parameter.default is parameter.empty for parameter in inspect.signature(use).parameters.values())


def pools(dims: int) -> dict[str, Callable[..., Any]]:
    maximum, average = getattr(nn, f"MaxPool{dims}d"), getattr(nn, f"AvgPool{dims}d")
    return {
        "max=MaxPool": maximum(3, 2, 1),
        "max_ceil=MaxPool": maximum(3, 2, 1, ceil_mode=True),
        "max_dilated=MaxPool": maximum(2, 1, dilation=2),
        "max_ceil_beyond=MaxPool": maximum(2, 3, 1, ceil_mode=True),
        "average=AveragePool": average(3, 2, 1),
        "average_ceil=AveragePool": average(3, 2, 1, ceil_mode=True),
        "average_without_pads=AveragePool": average(3, 2, 1, count_include_pad=False),
        "average_ceil_without_pads=AveragePool": average(3, 2, 1, ceil_mode=True, count_include_pad=False),
        "global_average=GlobalAveragePool": getattr(nn, f"AdaptiveAvgPool{dims}d")(1),
        "global_max=GlobalMaxPool": getattr(nn, f"AdaptiveMaxPool{dims}d")(1),
        "adaptive_average": getattr(nn, f"AdaptiveAvgPool{dims}d")(3),
        "adaptive_max": getattr(nn, f"AdaptiveMaxPool{dims}d")(3),
    }


def resizes(mode: str, **more: Any) -> dict[str, Callable[..., Any]]:
    def use(**how: Any) -> Callable[..., Any]:
        return lambda x: F.interpolate(x, mode=mode, **how, **more)

    return {
        "doubled=Resize": use(scale_factor=2),
        "sized=Resize": use(size=(13, 15)),
        "fractional=Resize": use(scale_factor=(1.5, 2.5)),
        "halved=Resize": use(scale_factor=0.5),
        "rounded_down=Resize": use(scale_factor=0.7),
    }


def paddings(widths: tuple[int, ...], modes: tuple[str, ...]) -> dict[str, Callable[..., Any]]:
    return {f"{mode}=Pad": (lambda x, mode=mode: F.pad(x, widths, mode=mode)) for mode in modes}


def unary(*names: str) -> dict[str, Callable[..., Any]]:
    return {name: (lambda x, name=name: getattr(torch, name)(x)) for name in names}


def positive(*names: str) -> dict[str, Callable[..., Any]]:
    return {name: (lambda x, name=name: getattr(torch, name)(x.abs() * 0.3 + 0.1)) for name in names}


def binary(*names: str) -> dict[str, Callable[..., Any]]:
    return {name: (lambda x, y, name=name: getattr(torch, name)(x, y)) for name in names}


IMAGE = (2, 4, 9, 8)
FAMILIES: dict[str, Family] = {
    name: Family(shapes, uses)
    for name, shapes, uses in (
        ("pools-1d", ((2, 4, 11), (2, 1)), pools(1)),
        (
            "pools-2d",
            (IMAGE, (2, 1)),
            {
                **pools(2),
                "divisor": nn.AvgPool2d(3, 2, 1, divisor_override=5),
                "kept_height=AveragePool": nn.AdaptiveAvgPool2d((None, 1)),
                "divisible=AveragePool": nn.AdaptiveAvgPool2d((3, 4)),
                "divisible_max=MaxPool": nn.AdaptiveMaxPool2d((3, 4)),
                "one_row": nn.AdaptiveAvgPool2d((1, 3)),
                "enlarged": nn.AdaptiveAvgPool2d((20, 13)),
                "same=Identity": nn.AdaptiveAvgPool2d((9, 8)),
                "power": nn.LPPool2d(2, 3, 2),
                "indices": lambda x: F.max_pool2d(x, 2, return_indices=True),
            },
        ),
        ("pools-3d", ((2, 2, 6, 7, 5), (2, 1)), pools(3)),
        ("nearest", (IMAGE, (2, 1)), resizes("nearest")),
        ("nearest-exact", (IMAGE, (2, 1)), resizes("nearest-exact")),
        ("bilinear", (IMAGE, (2, 1)), resizes("bilinear")),
        ("bilinear-aligned", (IMAGE, (2, 1)), resizes("bilinear", align_corners=True)),
        ("bicubic", (IMAGE, (2, 1)), resizes("bicubic")),
        ("bicubic-aligned", (IMAGE, (2, 1)), resizes("bicubic", align_corners=True)),
        (
            "resizes",
            (IMAGE, (2, 4, 20, 17)),
            {
                "like": lambda x, y: F.interpolate(x, size=y.shape[2:]),
                "recomputed": lambda x: F.interpolate(
                    x, mode="bilinear", scale_factor=1.7, recompute_scale_factor=True
                ),
                "antialiased": lambda x: F.interpolate(x, mode="bilinear", size=(5, 4), antialias=True),
                "antialiased_cubic": lambda x: F.interpolate(x, mode="bicubic", size=(5, 4), antialias=True),
                "area": lambda x: F.interpolate(x, mode="area", size=(5, 4)),
                "shuffled": nn.PixelShuffle(2),
                "channels": nn.ChannelShuffle(2),
                "sampled": lambda x: F.grid_sample(
                    x,
                    F.affine_grid(torch.tensor([[[0.9, 0.1, 0.0], [0.2, 0.8, 0.1]]]), [1, 4, 5, 6], False).expand(
                        x.shape[0], -1, -1, -1
                    ),
                    align_corners=False,
                ),
            },
        ),
        (
            "resizes-1d",
            ((2, 4, 11), (2, 1)),
            {
                "nearest=Resize": nn.Upsample(scale_factor=3),
                "linear=Resize": nn.Upsample(scale_factor=2, mode="linear"),
                "aligned=Resize": nn.Upsample(size=17, mode="linear", align_corners=True),
            },
        ),
        (
            "resizes-3d",
            ((2, 2, 4, 5, 3), (2, 1)),
            {
                "nearest=Resize": nn.Upsample(scale_factor=2),
                "linear=Resize": nn.Upsample(scale_factor=2, mode="trilinear"),
                "aligned=Resize": nn.Upsample(size=(8, 9, 7), mode="trilinear", align_corners=True),
            },
        ),
        ("pads-1d", ((2, 4, 11), (2, 1)), paddings((1, 2), ("constant", "reflect", "replicate", "circular"))),
        (
            "pads-2d",
            (IMAGE, (2, 1)),
            {
                **paddings((1, 2, 3, 0), ("constant", "reflect", "replicate", "circular")),
                "value=Pad": lambda x: F.pad(x, (1, 2, 3, 0), value=0.7),
                "negative=Pad": lambda x: F.pad(x, (-1, 2, -1, 0)),
                "channels=Pad": lambda x: F.pad(x, (0, 0, 0, 0, 1, 2)),
            },
        ),
        ("pads-3d", ((2, 2, 4, 5, 3), (2, 1)), paddings((1, 2, 2, 0, 1, 1), ("constant", "reflect", "replicate"))),
        (
            "convolutions-1d",
            ((2, 4, 11), (2, 1)),
            {
                "plain=Conv": nn.Conv1d(4, 6, 3, 2, 1),
                "same=Conv": nn.Conv1d(4, 6, 4, padding="same"),
                "transposed=ConvTranspose": nn.ConvTranspose1d(4, 6, 3, 2, 1, output_padding=1),
            },
        ),
        (
            "convolutions-2d",
            (IMAGE, (2, 1)),
            {
                "plain=Conv": nn.Conv2d(4, 6, 3, 2, 1),
                "grouped=Conv": nn.Conv2d(4, 8, 3, groups=2, dilation=2),
                "depthwise=Conv": nn.Conv2d(4, 4, 3, groups=4, bias=False),
                "same=Conv": nn.Conv2d(4, 6, (4, 3), padding="same", dilation=(1, 2)),
                "valid=Conv": nn.Conv2d(4, 6, 3, padding="valid"),
                "reflected": nn.Conv2d(4, 6, 3, padding=1, padding_mode="reflect"),
                "circular": nn.Conv2d(4, 6, 3, padding=(1, 2), padding_mode="circular"),
                "transposed=ConvTranspose": nn.ConvTranspose2d(4, 6, 3, 2, 1, output_padding=1, groups=2),
                "transposed_uneven=ConvTranspose": nn.ConvTranspose2d(4, 6, (3, 2), (2, 1), (1, 0), dilation=(1, 3)),
                "unfolded": nn.Unfold(3, padding=1, stride=2),
            },
        ),
        (
            "convolutions-3d",
            ((2, 2, 4, 5, 3), (2, 1)),
            {
                "plain=Conv": nn.Conv3d(2, 3, 3, 2, 1),
                "transposed=ConvTranspose": nn.ConvTranspose3d(2, 3, 3, 2, 1, output_padding=1, dilation=2),
            },
        ),
        (
            "activations",
            (IMAGE, (2, 1)),
            {
                "relu=Relu": nn.ReLU(),
                "relu6=Clip": nn.ReLU6(),
                "elu=Elu": nn.ELU(0.75),
                "selu=Selu": nn.SELU(),
                "celu=Celu": nn.CELU(0.75),
                "leaky=LeakyRelu": nn.LeakyReLU(0.125),
                "prelu": nn.PReLU(),
                "prelu_channels": nn.PReLU(4),
                "rrelu=LeakyRelu": nn.RReLU(),
                "gelu=Gelu": nn.GELU(),
                "gelu_tanh=Gelu": nn.GELU("tanh"),
                "silu": nn.SiLU(),
                "mish=Mish": nn.Mish(),
                "hardswish=HardSwish": nn.Hardswish(),
                "hardsigmoid=HardSigmoid": nn.Hardsigmoid(),
                "hardtanh=Clip": nn.Hardtanh(-0.3, 0.6),
                "hardshrink": nn.Hardshrink(0.3),
                "softshrink": nn.Softshrink(0.3),
                "tanhshrink": nn.Tanhshrink(),
                "softplus=Softplus": nn.Softplus(),
                "softplus_bent": nn.Softplus(2.0, 1.5),
                "softsign": nn.Softsign(),
                "sigmoid=Sigmoid": nn.Sigmoid(),
                "tanh=Tanh": nn.Tanh(),
                "logsigmoid": nn.LogSigmoid(),
                "softmin": nn.Softmin(1),
                "softmax=Softmax": nn.Softmax(-1),
                "softmax2d=Softmax": nn.Softmax2d(),
                "logsoftmax=LogSoftmax": nn.LogSoftmax(1),
                "glu": nn.GLU(1),
                "threshold": nn.Threshold(0.1, -0.3),
                "in_place": lambda x: F.relu_(F.elu_(x + 1) - 1),
            },
        ),
        (
            "normalisations",
            (IMAGE, (2, 1)),
            {
                "batch=BatchNormalization": nn.BatchNorm2d(4),
                "batch_plain=BatchNormalization": nn.BatchNorm2d(4, affine=False),
                "batch_of_its_own": nn.BatchNorm2d(4, track_running_stats=False),
                "batch_averaging=BatchNormalization": nn.BatchNorm2d(4, eps=1e-3, momentum=None),
                "instance=InstanceNormalization": nn.InstanceNorm2d(4),
                "instance_affine=InstanceNormalization": nn.InstanceNorm2d(4, affine=True),
                "instance_tracked=BatchNormalization": nn.InstanceNorm2d(4, affine=True, track_running_stats=True),
                "group=GroupNormalization": nn.GroupNorm(2, 4),
                "group_plain=GroupNormalization": nn.GroupNorm(2, 4, affine=False),
                "layer=LayerNormalization": nn.LayerNorm((9, 8)),
                "layer_plain=LayerNormalization": nn.LayerNorm(8, elementwise_affine=False),
                "layer_without_bias=LayerNormalization": nn.LayerNorm(8, bias=False),
                "root_mean_square=RMSNormalization": nn.RMSNorm(8),
                "root_mean_square_plain=RMSNormalization": nn.RMSNorm(8, eps=1e-3, elementwise_affine=False),
                "local_response": nn.LocalResponseNorm(3, alpha=0.1, k=2.0),
                "unit": lambda x: F.normalize(x, dim=1),
                "dropout=Dropout": nn.Dropout(0.3),
                "dropout2d": nn.Dropout2d(0.3),
                "dropout_alpha": nn.AlphaDropout(0.3),
                "dropout_of_nothing": nn.Dropout(0.0),
            },
        ),
        (
            "normalisations-of-vectors",
            ((2, 20), (2, 1)),
            {
                "batch=BatchNormalization": nn.BatchNorm1d(20),
                "group": nn.GroupNorm(4, 20),
                "prelu": nn.PReLU(20),
                "linear=Gemm": nn.Linear(20, 5),
                "linear_without_bias": nn.Linear(20, 5, bias=False),
            },
        ),
        (
            "arithmetic",
            (IMAGE, IMAGE),
            {
                **binary("add", "sub", "mul", "div", "fmod", "remainder", "maximum", "minimum", "fmax", "fmin"),
                **binary("eq", "ne", "lt", "le", "gt", "ge", "floor_divide", "hypot", "logaddexp", "atan2"),
                "power": lambda x, y: (x.abs() + 0.1) ** y,
                "numbers": lambda x: (1.7 - x) * 0.3 + x / 3 + 2 / (x.abs() + 1) + x**3 + (x.abs() + 0.1) ** 0.7,
                "sums": lambda x, y: torch.add(x, y, alpha=0.3) + torch.sub(x, y, alpha=0.7) + torch.rsub(x, 1.7),
                "fused": lambda x, y: torch.addcmul(x, x, y, value=0.3) + torch.addcdiv(x, x, y.abs() + 1, value=0.3),
                "between": lambda x, y: torch.lerp(x, y, 0.3),
                "clamped": lambda x: x.clamp(-0.3, 0.6) + x.clamp(min=-0.3) + x.clamp_max(0.2),
                "chosen": lambda x, y: torch.where(x > 0.3, x, y) + x.masked_fill(y > 0, -1.7),
                "logic": lambda x, y: ((x > 0) & (y > 0)) | ~(x > y) ^ (y < 0),
                "divided_down": lambda x: torch.div(x, 0.3, rounding_mode="floor"),
                "divided_to_zero": lambda x, y: torch.div(x, y, rounding_mode="trunc"),
                "similar": lambda x, y: F.cosine_similarity(x, y, dim=1),
                "integers": lambda x: ((x * 3).long() // 2, (x * 3).long() / 2, (x * 3).int() + 1),
                "mixed_types": lambda x: (x > 0) * 2.5 + (x * 2).int(),
                "new_tensors": lambda x: x + torch.full((8,), 0.3) + torch.linspace(0, 1, 8) + x.new_full((1,), 0.7),
                "in_place": lambda x: (x * 1).add_(1).mul_(0.7).sub_(0.1),
            },
        ),
        (
            "functions",
            (IMAGE, (2, 1)),
            {
                **unary("abs", "neg", "exp", "exp2", "sin", "cos", "tan", "sinh", "cosh", "asinh", "atan", "erf"),
                **unary("erfc", "floor", "ceil", "round", "trunc", "frac", "sign", "square", "sinc", "isnan", "expm1"),
                **positive("log", "log2", "log10", "log1p", "sqrt", "rsqrt", "reciprocal", "asin", "acos", "atanh"),
            },
        ),
        (
            "reductions",
            (IMAGE, (2, 1)),
            {
                "sum=ReduceSum": lambda x: x.sum((1, 3)),
                "mean=ReduceMean": lambda x: x.mean((2, 3), keepdim=True),
                "product=ReduceProd": lambda x: x.prod(1),
                "largest=ReduceMax": lambda x: x.amax((1, 2)),
                "largest_of_all=ReduceMax": lambda x: x.amax(),
                "maxima": lambda x: x.max(1),
                "argmax=ArgMax": lambda x: x.argmax(1, keepdim=True),
                "variance": lambda x: x.var(1),
                "variance_uncorrected": lambda x: x.var((2, 3), correction=0, keepdim=True),
                "variance_of_all": lambda x: x.var(),
                "deviation": lambda x: x.std((1, 2), correction=2),
                "every": lambda x: torch.ops.aten._is_all_true(x > -9),
                "some": lambda x: torch.ops.aten._is_any_true(x > 9),
                "moments": lambda x: torch.var_mean(x, 1),
                "norm=ReduceL2": lambda x: torch.norm(x, dim=(2, 3)),
                "norm_1=ReduceL1": lambda x: torch.linalg.vector_norm(x, 1, dim=1),
                "logsumexp=ReduceLogSumExp": lambda x: torch.logsumexp(x, (1, 2)),
                "running_sum=CumSum": lambda x: x.cumsum(2),
                "largest_two=TopK": lambda x: torch.topk(x, 2, 1),
                "smallest_two=TopK": lambda x: torch.topk(x, 2, 1, largest=False),
                "sorted": lambda x: torch.sort(x, 1, descending=True),
                "any_and_all": lambda x: ((x > 1).any(1), (x > -1).all(1)),
            },
        ),
        (
            "layout",
            (IMAGE, IMAGE),
            {
                "flat=Reshape": nn.Flatten(),
                "flat_images=Reshape": lambda x: x.flatten(2),
                "merged=Reshape": lambda x: x.view(x.shape[0] * 2, -1),
                "grouped=Reshape": lambda x: x.unflatten(1, (2, 2)),
                "permuted=Transpose": lambda x: x.permute(0, 2, 3, 1).contiguous(),
                "unsqueezed=Unsqueeze": lambda x: x.unsqueeze(-1),
                "expanded=Expand": lambda x: x.expand(3, -1, -1, -1, -1),
                "repeated": lambda x: x.repeat(1, 2, 1, 3),
                "interleaved": lambda x: x.repeat_interleave(2, 1),
                "joined=Concat": lambda x, y: torch.cat([x, y, x], 1),
                "stacked": lambda x, y: torch.stack([x, y], 2),
                "split=Split": lambda x: torch.split(x, [1, 3], 1),
                "chunks=Split": lambda x: torch.chunk(x, 3, 2),
                "unbound": lambda x: x.unbind(1),
                "sliced": lambda x: x[:, 1:3, ::2, -3:],
                "picked=Gather": lambda x: x[:, 1],
                "picked_many=Gather": lambda x: x[:, torch.tensor([2, 0])],
                "picked_pairs": lambda x: x[:, torch.tensor([2, 0]), torch.tensor([1, 3])],
                "gathered": lambda x: x.gather(1, x.argsort(1)),
                "flipped": lambda x: x.flip(2, 3),
                "rolled": lambda x: x.roll((1, -2), (2, 3)),
                "rolled_whole": lambda x: x.roll(3),
                "triangle=Trilu": lambda x: x.tril(1),
                "one_hot": lambda x: F.one_hot(x.argmax(1), 4),
                "unshuffled": lambda x: F.pixel_unshuffle(x[:, :, :8], 2),
                "product": lambda x, y: x @ y.mT,
                "einsum": lambda x, y: torch.einsum("nchw,ncij->nhwij", x, y),
            },
        ),
        ("writes", (IMAGE, IMAGE), WRITES),
        ("lookups", (IMAGE, (2, 4, 7, 8)), LOOKUPS),
    )
}
