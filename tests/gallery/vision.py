"""Networks on images, as their papers and repositories write them, in small."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F  # noqa: N812  # torch's own spelling
from networks import NETWORKS, calibrated, conv_bn
from torch import Tensor, nn
from transformerzoo import made

__all__ = ["convnext", "deeplab", "detr", "espcn", "mobilenet", "segformer", "ssd", "swin2sr", "unet", "vit", "yolo"]

CLASSES = 4


def mobilenet() -> nn.Module:
    """MobileNetV2: depthwise convolutions in inverted residual blocks."""
    return NETWORKS["mobilenet-v2"].module()


def vit() -> nn.Module:
    """Vision Transformer: patches of an image as a sequence, classified by its first token."""
    return made(
        "ViTForImageClassification",
        "ViTConfig",
        image_size=32,
        patch_size=8,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        num_labels=10,
    )


def convnext() -> nn.Module:
    """ConvNeXt: depthwise 7 × 7 convolutions between LayerNorms, a CNN made as a transformer is."""
    return made(
        "ConvNextForImageClassification",
        "ConvNextConfig",
        hidden_sizes=[8, 16, 24, 32],
        depths=[1, 1, 2, 1],
        image_size=64,
        num_labels=10,
    )


class SSD(nn.Module):
    """Single-shot detector: classes and boxes at every place of two maps, boxes decoded against anchors."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(conv_bn(3, 16, 3, 2), conv_bn(16, 24, 3, 2))
        self.deep = conv_bn(24, 32, 3, 2)
        self.classes = nn.ModuleList(nn.Conv2d(width, 2 * (CLASSES + 1), 3, padding=1) for width in (24, 32))
        self.boxes = nn.ModuleList(nn.Conv2d(width, 2 * 4, 3, padding=1) for width in (24, 32))
        self.decode = Decoder()

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        first = self.stem(image)
        maps = [first, self.deep(first)]
        scores = [head(x).permute(0, 2, 3, 1).flatten(1) for head, x in zip(self.classes, maps, strict=True)]
        offsets = [head(x).permute(0, 2, 3, 1).flatten(1) for head, x in zip(self.boxes, maps, strict=True)]
        return {
            "scores": torch.cat(scores, 1).unflatten(1, (-1, CLASSES + 1)).softmax(-1),
            "boxes": self.decode(torch.cat(offsets, 1).unflatten(1, (-1, 4))),
        }


class Decoder(nn.Module):
    """Corners of the boxes that offsets move anchors to."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("anchors", torch.cat([self.grid(8, (0.2, 0.3)), self.grid(4, (0.5, 0.7))]))

    @staticmethod
    def grid(places: int, sizes: tuple[float, ...]) -> Tensor:
        """Anchors as rows of centre, width and height, in shares of the image."""
        middle = (torch.arange(places) + 0.5) / places
        y, x, size = torch.meshgrid(middle, middle, torch.tensor(sizes), indexing="ij")
        return torch.stack([x, y, size, size], -1).reshape(-1, 4)

    def forward(self, offset: Tensor) -> Tensor:
        anchors = self.get_buffer("anchors")
        centre = anchors[:, :2] + 0.1 * offset[..., :2] * anchors[:, 2:]
        size = anchors[:, 2:] * torch.exp(0.2 * offset[..., 2:])
        return torch.cat([centre - size / 2, centre + size / 2], -1)


def ssd() -> nn.Module:
    """SSD on images of 32 × 32: 160 anchors of 4 classes and the background."""
    return calibrated(SSD(), (2, 3, 32, 32))


def detr() -> nn.Module:
    """DETR: a ResNet, and a transformer whose queries become boxes, with no anchors and nothing to suppress."""
    import transformers

    backbone = transformers.ResNetConfig(
        embedding_size=8,
        hidden_sizes=[8, 16, 24, 32],
        depths=[1, 1, 1, 1],
        out_features=["stage4"],
        layer_type="basic",
    )
    return made(
        "DetrForObjectDetection",
        "DetrConfig",
        use_timm_backbone=False,
        use_pretrained_backbone=False,
        backbone=None,
        backbone_config=backbone,
        num_queries=6,
        d_model=32,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=64,
        decoder_ffn_dim=64,
    )


class YOLO(nn.Module):
    """One-stage detector with SiLU, a path from deep to shallow maps, and boxes as distances from grid points."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(self.block(3, 8, 2), self.block(8, 16, 2))
        self.deep = self.block(16, 24, 2)
        self.pool = nn.MaxPool2d(5, 1, 2)
        self.fuse = self.block(24 * 3, 24, 1)
        self.merge = self.block(24 + 16, 16, 1)
        self.heads = nn.ModuleList(Distances(width, stride) for width, stride in ((16, 4), (24, 8)))

    @staticmethod
    def block(inputs: int, outputs: int, stride: int) -> nn.Sequential:
        return nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.SiLU(inplace=True)
        )

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        shallow = self.stem(image)
        deep = self.deep(shallow)
        once = self.pool(deep)
        deep = self.fuse(torch.cat([deep, once, self.pool(once)], 1))
        shallow = self.merge(torch.cat([F.interpolate(deep, scale_factor=2.0), shallow], 1))
        boxes, scores = zip(*(head(x) for head, x in zip(self.heads, (shallow, deep), strict=True)), strict=True)
        return torch.cat(boxes, 1), torch.cat(scores, 1)


class Distances(nn.Module):
    """Boxes of a map as distances from the middles of its places, and their scores."""

    def __init__(self, width: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.conv = nn.Conv2d(width, 4 + CLASSES, 1)

    def forward(self, seen: Tensor) -> tuple[Tensor, Tensor]:
        y, x = torch.meshgrid(*(torch.arange(size) + 0.5 for size in seen.shape[2:]), indexing="ij")
        points = torch.stack([x, y], -1).reshape(-1, 2).to(seen.dtype)
        found = self.conv(seen).flatten(2).transpose(1, 2)
        low, high = F.softplus(found[..., :2]), F.softplus(found[..., 2:4])
        return self.stride * torch.cat([points - low, points + high], -1), found[..., 4:].sigmoid()


def yolo() -> nn.Module:
    """The detector on images of 32 × 32: 80 boxes and their scores of 4 classes."""
    return calibrated(YOLO(), (2, 3, 32, 32))


def unet() -> nn.Module:
    """U-Net: what goes down is joined on the way up, where transposed convolutions enlarge."""
    return NETWORKS["unet"].module()


def segformer() -> nn.Module:
    """SegFormer: a transformer of four stages that attends to a reduced image, and a decoder of linear layers."""
    return made(
        "SegformerForSemanticSegmentation",
        "SegformerConfig",
        depths=[1, 1, 1, 1],
        hidden_sizes=[8, 16, 24, 32],
        num_attention_heads=[1, 2, 2, 4],
        decoder_hidden_size=32,
        sr_ratios=[8, 4, 2, 1],
    )


class DeepLab(nn.Module):
    """DeepLabv3: convolutions with holes of several sizes and the whole image's mean, enlarged bilinearly."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(conv_bn(3, 16, 3, 2), conv_bn(16, 24, 3, 2))
        self.holes = nn.ModuleList(nn.Conv2d(24, 12, 3, padding=rate, dilation=rate) for rate in (1, 2, 3))
        self.whole = nn.Conv2d(24, 12, 1)
        self.project = conv_bn(48, 16, 1)
        self.head = nn.Conv2d(16, CLASSES, 1)

    def forward(self, image: Tensor) -> Tensor:
        x = self.backbone(image)
        mean = F.relu(self.whole(F.adaptive_avg_pool2d(x, 1))).expand(-1, -1, *x.shape[2:])
        x = self.project(torch.cat([*(F.relu(layer(x)) for layer in self.holes), mean], 1))
        return F.interpolate(self.head(x), size=image.shape[2:], mode="bilinear", align_corners=False)


def deeplab() -> nn.Module:
    """DeepLabv3 on images of 32 × 32."""
    return calibrated(DeepLab(), (2, 3, 32, 32))


class ESPCN(nn.Module):
    """Sub-pixel convolution: all work in the small image, one shuffle of channels into pixels at the end."""

    def __init__(self, factor: int = 3) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 5, padding=2)
        self.conv2 = nn.Conv2d(16, 16, 3, padding=1)
        self.conv3 = nn.Conv2d(16, 8, 3, padding=1)
        self.conv4 = nn.Conv2d(8, factor**2, 3, padding=1)
        self.shuffle = nn.PixelShuffle(factor)

    def forward(self, luma: Tensor) -> Tensor:
        x = torch.tanh(self.conv1(luma))
        x = torch.tanh(self.conv3(torch.tanh(self.conv2(x))))
        out: Tensor = self.shuffle(self.conv4(x))
        return out


def espcn() -> nn.Module:
    """ESPCN, three times larger."""
    return calibrated(ESPCN(), (2, 1, 12, 10))


class SRResNet(nn.Module):
    """Residual blocks with PReLU, a skip around all of them, and two doublings by sub-pixel convolution."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, width, 9, padding=4), nn.PReLU())
        self.blocks = nn.ModuleList(self.block(width) for _ in range(2))
        self.last = nn.Sequential(nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width))
        self.larger = nn.Sequential(
            *(
                layer
                for _ in range(2)
                for layer in (nn.Conv2d(width, 4 * width, 3, padding=1), nn.PixelShuffle(2), nn.PReLU())
            )
        )
        self.head = nn.Conv2d(width, 3, 9, padding=4)

    @staticmethod
    def block(width: int) -> nn.Sequential:
        return nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.PReLU(),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
        )

    def forward(self, image: Tensor) -> Tensor:
        first = self.first(image)
        x = first
        for block in self.blocks:
            x = x + block(x)
        out: Tensor = self.head(self.larger(first + self.last(x)))
        return out


def srresnet() -> nn.Module:
    """SRResNet, four times larger."""
    return calibrated(SRResNet(), (2, 3, 8, 8))


def swin2sr() -> nn.Module:
    """Swin2SR: attention of cosines in shifted windows, twice larger."""
    return made(
        "Swin2SRForImageSuperResolution",
        "Swin2SRConfig",
        image_size=16,
        window_size=4,
        embed_dim=16,
        depths=[2, 2],
        num_heads=[2, 2],
        mlp_ratio=2.0,
        upscale=2,
    )


class Diffusion(nn.Module):
    """The noise predictor of a diffusion model: a U-Net told the time by sines, with attention in the middle."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        rates = torch.exp(-math.log(10000.0) * torch.arange(width // 2) / (width // 2))
        self.register_buffer("rates", rates)
        self.time = nn.Sequential(nn.Linear(width, 2 * width), nn.SiLU(), nn.Linear(2 * width, 2 * width))
        self.inward = nn.Conv2d(3, width, 3, padding=1)
        self.down = TimedBlock(width, 2 * width, 2 * width)
        self.smaller = nn.Conv2d(2 * width, 2 * width, 3, 2, 1)
        self.middle = TimedBlock(2 * width, 2 * width, 2 * width)
        self.norm = nn.GroupNorm(4, 2 * width)
        self.qkv = nn.Conv2d(2 * width, 6 * width, 1)
        self.project = nn.Conv2d(2 * width, 2 * width, 1)
        self.up = TimedBlock(4 * width, width, 2 * width)
        self.outward = nn.Sequential(nn.GroupNorm(4, width), nn.SiLU(), nn.Conv2d(width, 3, 3, padding=1))

    def forward(self, noisy: Tensor, step: Tensor) -> Tensor:
        angles = step[:, None].to(noisy.dtype) * self.get_buffer("rates")
        time = self.time(torch.cat([angles.sin(), angles.cos()], 1))
        high = self.down(self.inward(noisy), time)
        x = self.middle(self.smaller(high), time)
        q, k, v = self.qkv(self.norm(x)).flatten(2).transpose(1, 2).unsqueeze(1).chunk(3, -1)
        seen = F.scaled_dot_product_attention(q, k, v).squeeze(1).transpose(1, 2).unflatten(2, x.shape[2:])
        x = x + self.project(seen)
        x = self.up(torch.cat([F.interpolate(x, scale_factor=2.0, mode="nearest"), high], 1), time)
        out: Tensor = self.outward(x)
        return out


class TimedBlock(nn.Module):
    """Two convolutions between group norms, with an offset by the time."""

    def __init__(self, inputs: int, outputs: int, time: int) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.GroupNorm(4, inputs), nn.SiLU(), nn.Conv2d(inputs, outputs, 3, padding=1))
        self.offset = nn.Linear(time, outputs)
        self.second = nn.Sequential(nn.GroupNorm(4, outputs), nn.SiLU(), nn.Conv2d(outputs, outputs, 3, padding=1))
        self.skip = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        y = self.first(x) + self.offset(F.silu(time))[:, :, None, None]
        out: Tensor = self.skip(x) + self.second(y)
        return out


def diffusion() -> nn.Module:
    """The noise predictor on images of 8 × 8."""
    torch.manual_seed(0)
    return Diffusion().eval()


class VAE(nn.Module):
    """Variational autoencoder; the noise of its latent numbers is an input, so that it computes the same everywhere."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(conv_bn(1, 8, 3, 2), conv_bn(8, 16, 3, 2), nn.Flatten())
        self.mean = nn.Linear(16 * 49, 6)
        self.log_variance = nn.Linear(16 * 49, 6)
        self.inward = nn.Linear(6, 16 * 49)
        self.decoder = nn.Sequential(
            nn.ConvTranspose2d(16, 8, 4, 2, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.ConvTranspose2d(8, 1, 4, 2, 1)
        )

    def forward(self, image: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        code = self.encoder(image)
        mean, log_variance = self.mean(code), self.log_variance(code)
        latent = mean + noise * torch.exp(0.5 * log_variance)
        drawn = self.decoder(self.inward(latent).unflatten(1, (16, 7, 7)))
        return torch.sigmoid(drawn), mean, log_variance


def vae() -> nn.Module:
    """The autoencoder on images of 28 × 28."""
    torch.manual_seed(0)
    return VAE().eval()
