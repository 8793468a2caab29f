"""Small definitions of well-known networks, with weights in which a mistake shows.

Weights are seeded. Every convolution and linear layer is scaled on a calibration batch so that its output has unit
variance; BatchNorm's statistics are those of that batch, perturbed, and its affine parameters are random. So no layer
is near the identity, nothing saturates, and swapped or dropped parameters change the output. What a residual block adds
has a lower gain, as after training: with gain 1 a deep network multiplies rounding errors until float32 outputs differ
by more than 1e-5 between equal implementations.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F  # noqa: N812  # torch's own spelling
from torch import Tensor, nn

import graphkit

if TYPE_CHECKING:
    from collections.abc import Callable

    import onnx_ir as ir

__all__ = ["NETWORKS", "Network", "calibrated", "model"]


def conv_bn(
    inputs: int, outputs: int, kernel: int | tuple[int, int], stride: int = 1, groups: int = 1
) -> nn.Sequential:
    """Convolution of unchanged size (at stride 1), BatchNorm, ReLU."""
    size = (kernel, kernel) if isinstance(kernel, int) else kernel
    padding = (size[0] // 2, size[1] // 2)
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, size, stride, padding, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class MLP(nn.Module):
    """Linear, an activation, Linear."""

    def __init__(self, activation: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.hidden = nn.Linear(20, 32)
        self.activation = activation()
        self.head = nn.Linear(32, 5)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.activation(self.hidden(x)))
        return out


class LeNet(nn.Module):
    """LeNet-5 on 28 × 28 images."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 5, padding=2)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.pool = nn.MaxPool2d(2)
        self.fc1 = nn.Linear(16 * 5 * 5, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, 10)

    def forward(self, image: Tensor) -> Tensor:
        x = self.pool(torch.tanh(self.conv1(image)))
        x = self.pool(torch.tanh(self.conv2(x)))
        x = x.view(x.size(0), -1)
        x = torch.tanh(self.fc1(x))
        x = torch.tanh(self.fc2(x))
        out: Tensor = self.fc3(x)
        return out


class Residual(nn.Module):
    """A block that adds something to its input."""

    def last_norm(self) -> nn.BatchNorm2d | None:
        """The BatchNorm whose gain decides how much is added."""
        raise NotImplementedError


class BasicBlock(Residual):
    """Residual block of two 3 × 3 convolutions."""

    expansion = 1

    def __init__(self, inputs: int, planes: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, planes, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(planes, planes, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.downsample = shortcut(inputs, planes, stride)

    def last_norm(self) -> nn.BatchNorm2d:
        return self.bn2

    def forward(self, x: Tensor) -> Tensor:
        identity = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.bn2(self.conv2(x))
        x += identity
        out: Tensor = self.relu(x)
        return out


class Bottleneck(Residual):
    """Residual block of 1 × 1, 3 × 3 and 1 × 1 convolutions."""

    expansion = 4

    def __init__(self, inputs: int, planes: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, planes, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv3 = nn.Conv2d(planes, planes * 4, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(planes * 4)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = shortcut(inputs, planes * 4, stride)

    def last_norm(self) -> nn.BatchNorm2d:
        return self.bn3

    def forward(self, x: Tensor) -> Tensor:
        identity = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        x = self.bn3(self.conv3(x))
        x += identity
        out: Tensor = self.relu(x)
        return out


def shortcut(inputs: int, outputs: int, stride: int) -> nn.Module | None:
    """Projection of a residual block's input, where its shape differs from the output's."""
    if stride == 1 and inputs == outputs:
        return None
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))


class ResNet(nn.Module):
    """Residual network for images of three channels."""

    def __init__(self, block: type[BasicBlock | Bottleneck], depths: tuple[int, int, int, int]) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        channels = 64
        for index, depth in enumerate(depths):
            planes = 64 << index
            blocks = []
            for position in range(depth):
                blocks.append(block(channels, planes, 2 if index and not position else 1))
                channels = planes * block.expansion
            self.add_module(f"layer{index + 1}", nn.Sequential(*blocks))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(channels, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        for index in range(1, 5):
            x = self.get_submodule(f"layer{index}")(x)
        out: Tensor = self.fc(torch.flatten(self.avgpool(x), 1))
        return out


class VGG(nn.Module):
    """VGG-11 with BatchNorm; the classifier is narrower than the original's 4096."""

    def __init__(self, width: int = 256) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for outputs in (64, 0, 128, 0, 256, 256, 0, 512, 512, 0, 512, 512, 0):
            if outputs:
                layers += [nn.Conv2d(channels, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]
                channels = outputs
            else:
                layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.classifier = nn.Sequential(
            nn.Linear(512, width),
            nn.ReLU(inplace=True),
            nn.Dropout(0.5),
            nn.Linear(width, width),
            nn.ReLU(inplace=True),
            nn.Dropout(0.5),
            nn.Linear(width, 10),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = torch.flatten(self.avgpool(self.features(x)), 1)
        out: Tensor = self.classifier(x)
        return out


class InvertedResidual(Residual):
    """MobileNetV2's block: expand, depthwise convolution, project."""

    def __init__(self, inputs: int, outputs: int, stride: int, expand: int) -> None:
        super().__init__()
        hidden = inputs * expand
        layers: list[nn.Module] = []
        if expand != 1:
            layers += [nn.Conv2d(inputs, hidden, 1, bias=False), nn.BatchNorm2d(hidden), nn.ReLU6(inplace=True)]
        layers += [
            nn.Conv2d(hidden, hidden, 3, stride, 1, groups=hidden, bias=False),
            nn.BatchNorm2d(hidden),
            nn.ReLU6(inplace=True),
            nn.Conv2d(hidden, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        ]
        self.conv = nn.Sequential(*layers)
        self.residual = stride == 1 and inputs == outputs

    def last_norm(self) -> nn.BatchNorm2d | None:
        last = self.conv[-1]
        return last if self.residual and isinstance(last, nn.BatchNorm2d) else None

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.conv(x) if self.residual else self.conv(x)
        return out


class MobileNetV2(nn.Module):
    """MobileNetV2 of width 1."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(3, 32, 3, 2, 1, bias=False), nn.BatchNorm2d(32), nn.ReLU6(inplace=True)]
        channels = 32
        for expand, outputs, repeats, stride in (
            (1, 16, 1, 1),
            (6, 24, 2, 2),
            (6, 32, 3, 2),
            (6, 64, 4, 2),
            (6, 96, 3, 1),
            (6, 160, 3, 2),
            (6, 320, 1, 1),
        ):
            for position in range(repeats):
                layers.append(InvertedResidual(channels, outputs, 1 if position else stride, expand))
                channels = outputs
        layers += [nn.Conv2d(channels, 1280, 1, bias=False), nn.BatchNorm2d(1280), nn.ReLU6(inplace=True)]
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(1280, 10))

    def forward(self, x: Tensor) -> Tensor:
        x = self.features(x)
        x = F.adaptive_avg_pool2d(x, (1, 1)).reshape(x.shape[0], -1)
        out: Tensor = self.classifier(x)
        return out


class Fire(nn.Module):
    """SqueezeNet's block: squeeze to few channels, expand by 1 × 1 and 3 × 3 convolutions side by side."""

    def __init__(self, inputs: int, squeeze: int, expand: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(inputs, squeeze, 1)
        self.expand1x1 = nn.Conv2d(squeeze, expand, 1)
        self.expand3x3 = nn.Conv2d(squeeze, expand, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.squeeze(x))
        return torch.cat([F.relu(self.expand1x1(x)), F.relu(self.expand3x3(x))], 1)


class SqueezeNet(nn.Module):
    """SqueezeNet 1.1, with the ceiling-mode pools of the original."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 64, 3, 2),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, 2, ceil_mode=True),
            Fire(64, 16, 64),
            Fire(128, 16, 64),
            nn.MaxPool2d(3, 2, ceil_mode=True),
            Fire(128, 32, 128),
            Fire(256, 32, 128),
            nn.MaxPool2d(3, 2, ceil_mode=True),
            Fire(256, 48, 192),
            Fire(384, 48, 192),
            Fire(384, 64, 256),
            Fire(512, 64, 256),
        )
        self.classifier = nn.Sequential(
            nn.Dropout(0.5), nn.Conv2d(512, 10, 1), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d((1, 1))
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.flatten(self.classifier(self.features(x)), 1)


class DenseLayer(nn.Module):
    """DenseNet's layer, which appends its growth to its input."""

    def __init__(self, inputs: int, growth: int, dropout: float) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, 4 * growth, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(4 * growth)
        self.conv2 = nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False)
        self.dropout = dropout

    def forward(self, x: Tensor) -> Tensor:
        new = self.conv1(F.relu(self.norm1(x)))
        new = self.conv2(F.relu(self.norm2(new)))
        new = F.dropout(new, self.dropout, self.training)
        return torch.cat([x, new], 1)


class DenseNet(nn.Module):
    """DenseNet-121."""

    def __init__(self) -> None:
        super().__init__()
        growth, channels = 32, 64
        self.stem = nn.Sequential(
            nn.Conv2d(3, channels, 7, 2, 3, bias=False), nn.BatchNorm2d(channels), nn.ReLU(), nn.MaxPool2d(3, 2, 1)
        )
        layers: list[nn.Module] = []
        depths = (6, 12, 24, 16)
        for index, depth in enumerate(depths):
            for _ in range(depth):
                layers.append(DenseLayer(channels, growth, 0.1))
                channels += growth
            if index + 1 < len(depths):
                layers += [
                    nn.BatchNorm2d(channels),
                    nn.ReLU(),
                    nn.Conv2d(channels, channels // 2, 1, bias=False),
                    nn.AvgPool2d(2),
                ]
                channels //= 2
        self.features = nn.Sequential(*layers, nn.BatchNorm2d(channels))
        self.classifier = nn.Linear(channels, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.features(self.stem(x)))
        x = x.mean((2, 3))
        out: Tensor = self.classifier(x)
        return out


class InceptionBlock(nn.Module):
    """Four branches side by side: 1 × 1, 5 × 5, factorised 1 × 7 and 7 × 1, and a pool without the padding's zeros."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.one = conv_bn(inputs, 16, 1)
        self.five = nn.Sequential(conv_bn(inputs, 12, 1), conv_bn(12, 16, 5))
        self.seven = nn.Sequential(conv_bn(inputs, 12, 1), conv_bn(12, 16, (1, 7)), conv_bn(16, 16, (7, 1)))
        self.pool = conv_bn(inputs, 16, 1)

    def forward(self, x: Tensor) -> Tensor:
        pooled = F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
        return torch.cat([self.one(x), self.five(x), self.seven(x), self.pool(pooled)], 1)


class Inception(nn.Module):
    """Two Inception-style blocks between poolings, and the softmax that a server would want."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(conv_bn(3, 16, 3, 2), conv_bn(16, 32, 3))
        self.block1 = InceptionBlock(32)
        self.block2 = InceptionBlock(64)
        self.dropout = nn.Dropout(0.4)
        self.fc = nn.Linear(64, 10)

    def forward(self, image: Tensor) -> Tensor:
        x = self.block1(self.stem(image))
        x = self.block2(F.max_pool2d(x, 3, 2))
        x = self.dropout(F.adaptive_avg_pool2d(x, 1))
        return F.softmax(self.fc(x.flatten(1)), dim=1)


class UNet(nn.Module):
    """U-Net of three levels whose decoder grows by transposed convolutions."""

    def __init__(self) -> None:
        super().__init__()
        widths = (16, 32, 64)
        self.down1 = self.twice(3, widths[0])
        self.down2 = self.twice(widths[0], widths[1])
        self.bottom = self.twice(widths[1], widths[2])
        self.up2 = nn.ConvTranspose2d(widths[2], widths[1], 2, 2)
        self.merge2 = self.twice(2 * widths[1], widths[1])
        self.up1 = nn.ConvTranspose2d(widths[1], widths[0], 3, 2, 1, output_padding=1)
        self.merge1 = self.twice(2 * widths[0], widths[0])
        self.head = nn.Conv2d(widths[0], 2, 1)

    @staticmethod
    def twice(inputs: int, outputs: int) -> nn.Sequential:
        return nn.Sequential(conv_bn(inputs, outputs, 3), conv_bn(outputs, outputs, 3))

    def forward(self, image: Tensor) -> Tensor:
        one = self.down1(image)
        two = self.down2(F.max_pool2d(one, 2))
        x = self.bottom(F.max_pool2d(two, 2))
        x = self.merge2(torch.cat([two, self.up2(x)], 1))
        x = self.merge1(torch.cat([one, self.up1(x)], 1))
        out: Tensor = self.head(x)
        return out


class FPN(nn.Module):
    """Feature pyramid of three levels, upsampled by nearest neighbour and added; it has three outputs."""

    def __init__(self) -> None:
        super().__init__()
        widths = (16, 32, 64)
        self.stem = conv_bn(3, widths[0], 3, 2)
        self.stage2 = conv_bn(widths[0], widths[1], 3, 2)
        self.stage3 = conv_bn(widths[1], widths[2], 3, 2)
        self.lateral = nn.ModuleList(nn.Conv2d(width, 24, 1) for width in widths)
        self.smooth = nn.ModuleList(nn.Conv2d(24, 24, 3, padding=1) for _ in widths)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        one = self.stem(image)
        two = self.stage2(one)
        three = self.stage3(two)
        p3 = self.lateral[2](three)
        p2 = self.lateral[1](two) + F.interpolate(p3, scale_factor=2, mode="nearest")
        p1 = self.lateral[0](one) + F.interpolate(p2, size=one.shape[-2:], mode="nearest")
        return {"p1": self.smooth[0](p1), "p2": self.smooth[1](p2), "p3": self.smooth[2](p3)}


def calibrated(module: nn.Module, shape: tuple[int, ...], seed: int = 0) -> nn.Module:
    """Give a module seeded weights of unit gain, measured on a random batch, and put it in evaluation mode.

    Args:
        module: Network whose convolutions, linear layers and BatchNorms are filled, in place.
        shape: Shape of its input, the batch included; four times the batch is drawn for steadier statistics.
        seed: Seed of the weights and of the batch.

    Returns:
        The same module.
    """
    rng = torch.Generator().manual_seed(seed)

    def randn(like: Tensor) -> Tensor:
        return torch.randn(like.shape, generator=rng)

    def uniform(like: Tensor, low: float, high: float) -> Tensor:
        return torch.rand(like.shape, generator=rng) * (high - low) + low

    def normalise(layer: nn.Module, inputs: tuple[Tensor]) -> None:
        assert isinstance(layer, nn.modules.batchnorm._BatchNorm)
        dims = [axis for axis in range(inputs[0].ndim) if axis != 1]
        mean, var = inputs[0].mean(dims), inputs[0].var(dims, unbiased=False).clamp_min(1e-2)
        layer.running_mean = mean + 0.2 * var.sqrt() * randn(mean)
        layer.running_var = var * uniform(var, 0.6, 1.5)

    def scale(layer: nn.Module, _inputs: Any, output: Tensor) -> Tensor:
        assert isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear)
        gain = output.std().item()
        layer.weight /= gain
        if layer.bias is None:
            return output / gain
        layer.bias.copy_(0.1 * randn(layer.bias))
        return output / gain + layer.bias.reshape(-1, *[1] * (output.ndim - 2))

    damped = {block.last_norm() for block in module.modules() if isinstance(block, Residual)}
    hooks = []
    with torch.no_grad():
        for layer in module.eval().modules():
            if isinstance(layer, nn.modules.batchnorm._BatchNorm):
                gain = 0.3 if layer in damped else 1.0
                layer.weight.copy_(gain * uniform(layer.weight, 0.6, 1.4))
                layer.bias.copy_(0.2 * randn(layer.bias))
                hooks.append(layer.register_forward_pre_hook(normalise))
            elif isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
                layer.weight.copy_(randn(layer.weight))
                if layer.bias is not None:
                    layer.bias.zero_()
                hooks.append(layer.register_forward_hook(scale))
        module(torch.randn((4 * shape[0], *shape[1:]), generator=rng))
    for hook in hooks:
        hook.remove()
    return module


@dataclass(frozen=True)
class Network:
    """A network under test.

    Attributes:
        name: Key in :data:`NETWORKS`.
        build: Makes the module without weights of its own.
        shape: Input shape, batch included, that is quick on two cores.
        full: Input shape of the original network, for benchmarks.
    """

    name: str
    build: Callable[[], nn.Module]
    shape: tuple[int, ...]
    full: tuple[int, ...]

    def module(self) -> nn.Module:
        """The network with its weights, in evaluation mode; the same at every call."""
        return calibrated(self.build(), self.shape)

    def inputs(self, batch: int = 1, seed: int = 1) -> Tensor:
        """A random input of another batch size."""
        rng = torch.Generator().manual_seed(seed)
        return torch.randn((batch, *self.shape[1:]), generator=rng)


IMAGE = (1, 3, 224, 224)
NETWORKS: dict[str, Network] = {
    network.name: network
    for network in (
        Network("mlp-relu", lambda: MLP(nn.ReLU), (4, 20), (64, 20)),
        Network("mlp-sigmoid", lambda: MLP(nn.Sigmoid), (4, 20), (64, 20)),
        Network("mlp-tanh", lambda: MLP(nn.Tanh), (4, 20), (64, 20)),
        Network("lenet", LeNet, (2, 1, 28, 28), (64, 1, 28, 28)),
        Network("resnet18", lambda: ResNet(BasicBlock, (2, 2, 2, 2)), (2, 3, 64, 64), IMAGE),
        Network("resnet50", lambda: ResNet(Bottleneck, (3, 4, 6, 3)), (2, 3, 64, 64), IMAGE),
        Network("vgg11-bn", VGG, (2, 3, 64, 64), IMAGE),
        Network("mobilenet-v2", MobileNetV2, (2, 3, 64, 64), IMAGE),
        Network("squeezenet", SqueezeNet, (2, 3, 64, 64), IMAGE),
        Network("densenet121", DenseNet, (2, 3, 64, 64), IMAGE),
        Network("inception", Inception, (2, 3, 33, 33), IMAGE),
        Network("unet", UNet, (2, 3, 32, 32), (1, 3, 256, 256)),
        Network("fpn", FPN, (2, 3, 32, 32), (1, 3, 256, 256)),
    )
}


@cache
def model(name: str) -> ir.Model:
    """A network in canonical form; it is read once per process and must not be changed."""
    network = NETWORKS[name]
    return graphkit.load(network.module(), inputs=["x".join(map(str, network.shape))])
