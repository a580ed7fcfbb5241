"""
The demo detector: small, trained by this project, and made to be split.

An anchor-free one-stage detector (FCOS, arXiv 1904.01355, without its group norms and centre-ness)
on inverted bottlenecks (MobileNetV2, arXiv 1801.04381). Two things make it split well:

- Every operator up to the head outputs is local: a band of rows of its output needs only a band
  of rows of its input. No squeeze-excitation, no group norm, no global pooling.
- All that the image says passes early through one narrow tensor, `dense.narrow`: 16 channels at
  stride 8, a third of the bytes of the uint8 image even in float32. Nothing else crosses there,
  few multiply-adds lie before it, and each of its elements sees few rows of the image.
"""

from dataclasses import dataclass
from functools import partial
from math import inf

import torch
from torch import Tensor, nn
from torchvision.models.mobilenetv2 import InvertedResidual
from torchvision.ops import Conv2dNormActivation, batched_nms

from intradp_ros.model.detector import Decode, Joining
from intradp_ros.model.families import Normalize
from intradp_ros.scenes.objects import CLASSES

NAME = 'demo_detector'
WEIGHTS = 'weights/demo_detector.safetensors'
STRIDES = (8, 16, 32)
NARROW = 16

# Channels of the pyramid and of the heads.
_WIDTH = 64
_MEAN, _STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]

_conv = partial(Conv2dNormActivation, activation_layer=nn.ReLU6)


def _separable(channels: int, stride: int = 1) -> nn.Sequential:
    """Depthwise 3x3, then pointwise convolution, each with batch norm and ReLU6."""
    return nn.Sequential(_conv(channels, channels, 3, stride, groups=channels),
                         _conv(channels, channels, 1))


class Head(nn.Module):
    """The outputs of one level: class logits (N, K, H, W) and log distances (N, 4, H, W)."""

    def __init__(self, classes: int):
        super().__init__()
        self.shared = _separable(_WIDTH)
        self.of_class = nn.Sequential(_separable(_WIDTH), nn.Conv2d(_WIDTH, classes, 1))
        self.of_box = nn.Sequential(_separable(_WIDTH), nn.Conv2d(_WIDTH, 4, 1))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Compute both from a pyramid level (N, 64, H, W)."""
        x = self.shared(x)
        return self.of_class(x), self.of_box(x)


class DemoNet(nn.Module):
    """
    The dense part: uint8 images (N, 3, H, W), sides multiples of 32, to raw head outputs.

    The outputs are, for strides 8, 16 and 32: class logits (N, K, H / stride, W / stride), then
    the natural logarithm of the distances, in strides, from the cell's centre to the left, top,
    right and bottom side of the box (N, 4, H / stride, W / stride).
    """

    def __init__(self, classes: int = len(CLASSES)):
        super().__init__()
        self.normalize = Normalize(_MEAN, _STD)
        self.narrow = nn.Sequential(
            _conv(3, 16, 3, 2),
            _conv(16, 24, 3, 2),
            InvertedResidual(24, 24, 1, 2),
            InvertedResidual(24, NARROW, 2, 3))
        self.stage8 = nn.Sequential(
            InvertedResidual(NARROW, 40, 1, 6),
            *(InvertedResidual(40, 40, 1, 3) for _ in range(2)))
        self.stage16 = nn.Sequential(
            InvertedResidual(40, 80, 2, 4), *(InvertedResidual(80, 80, 1, 3) for _ in range(3)))
        self.stage32 = nn.Sequential(
            InvertedResidual(80, 128, 2, 4), *(InvertedResidual(128, 128, 1, 3) for _ in range(3)))
        self.lateral = nn.ModuleList(_conv(c, _WIDTH, 1) for c in (40, 80, 128))
        self.smooth = nn.ModuleList(_separable(_WIDTH) for _ in STRIDES[:-1])
        self.upsample = nn.Upsample(scale_factor=2, mode='nearest')
        self.heads = nn.ModuleList(Head(classes) for _ in STRIDES)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Compute the raw outputs: logits and distances of level 0, of level 1, of level 2."""
        x8 = self.stage8(self.narrow(self.normalize(image)))
        x16 = self.stage16(x8)
        x32 = self.stage32(x16)
        p32 = self.lateral[2](x32)
        p16 = self.smooth[1](self.lateral[1](x16) + self.upsample(p32))
        p8 = self.smooth[0](self.lateral[0](x8) + self.upsample(p16))
        return tuple(out for head, p in zip(self.heads, (p8, p16, p32)) for out in head(p))


def cell_centres(rows: int, columns: int, stride: int, device: torch.device) -> Tensor:
    """Centres (rows * columns, 2) of a level's cells: x, y in input pixels, row by row."""
    y = (torch.arange(rows, device=device) + 0.5) * stride
    x = (torch.arange(columns, device=device) + 0.5) * stride
    return torch.stack(torch.meshgrid(x, y, indexing='xy'), -1).view(-1, 2)


def flatten(raw: tuple[Tensor, ...]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """
    Lay the cells of all levels out in one list of M cells.

    :returns: logits (N, M, K), boxes (N, M, 4) in input pixels, centres (M, 2), strides (M).
    """
    logits, boxes, points, strides = [], [], [], []
    for stride, of_class, of_box in zip(STRIDES, raw[::2], raw[1::2]):
        rows, columns = of_class.shape[2:]
        point = cell_centres(rows, columns, stride, of_class.device)
        # e^6 strides are wider than any input; the clamp keeps an untrained network finite.
        distance = of_box.flatten(2).transpose(1, 2).clamp(max=6).exp() * stride
        logits.append(of_class.flatten(2).transpose(1, 2))
        boxes.append(torch.cat([point - distance[..., :2], point + distance[..., 2:]], -1))
        points.append(point)
        strides.append(point.new_full((len(point),), stride))
    return torch.cat(logits, 1), torch.cat(boxes, 1), torch.cat(points), torch.cat(strides)


@dataclass(frozen=True)
class Settings:
    """What the decode keeps: least score, overlap (IoU) that NMS removes, most objects."""

    # Where F1 is highest on scenes of the training split that training did not see.
    score_threshold: float = 0.4
    nms_threshold: float = 0.6
    max_detections: int = 100
    candidates: int = 1000


def decoder(settings: Settings) -> Decode:
    """Build the decode of `DemoNet`: scores above the threshold, best candidates, NMS by class."""
    def decode(raw: tuple[Tensor, ...], size: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor]:
        logits, boxes, _, _ = flatten(raw)
        scores = logits[0].sigmoid().flatten()
        kept = torch.nonzero(scores > settings.score_threshold)[:, 0]
        scores, order = scores[kept].sort(descending=True, stable=True)
        kept, scores = kept[order][:settings.candidates], scores[:settings.candidates]
        cells, labels = kept // logits.shape[2], kept % logits.shape[2]
        limits = boxes.new_tensor([size[1], size[0]] * 2)
        found = boxes[0, cells].clamp(min=0).minimum(limits)
        best = batched_nms(found, scores, labels, settings.nms_threshold)
        best = best[:settings.max_detections]
        return found[best], scores[best], labels[best]
    return decode


def joining(settings: Settings) -> Joining:
    """Say how detections of parts of an image are joined: as `decoder` does within one."""
    return Joining(((-inf,), (0.0,)), settings.nms_threshold, settings.max_detections)
