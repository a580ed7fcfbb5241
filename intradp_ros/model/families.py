"""
The torchvision models, each cut in two: what can be computed in bands of rows, and the rest.

`split(model)` gives a detector's dense part (uint8 image -> raw head outputs of every level, each
with its rows in dimension 2) and the decode that does the rest with torchvision's own code: the
same numbers as the model's own forward on an image of the input's size. `classify` makes
a classifier's decode: its logits become detections, too.
"""

from collections import OrderedDict
from collections.abc import Callable
from math import inf
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.detection.fcos import FCOS
from torchvision.models.detection.generalized_rcnn import GeneralizedRCNN
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.retinanet import RetinaNet
from torchvision.models.detection.ssd import SSD

from intradp_ros.errors import ModelError
from intradp_ros.model.detector import Decode, Joining

# Of the images that most torchvision weights were trained on, channels red, green, blue in [0, 1].
IMAGENET_MEAN, IMAGENET_STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
# Most classes that a classifier names: what is published of these models is top-1 and top-5.
TOP = 5


class Normalize(nn.Module):
    """
    The first operator of every graph: uint8 (1, 3, H, W) to normalised float32, where the
    rows are.
    """

    def __init__(self, mean: list[float], std: list[float]):
        super().__init__()
        self.register_buffer('mean', torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer('std', torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """
        Scale uint8 to [0, 1], then normalise each channel: torchvision's own order of
        operations.
        """
        return (image.to(torch.float32) / 255 - self.mean) / self.std


class Dense(nn.Module):
    """
    Normalisation, backbone (with its pyramid), and the heads on each level, flat in one
    tuple.
    """

    def __init__(self, model: Any, heads: nn.Module):
        super().__init__()
        self.normalize = Normalize(model.transform.image_mean, model.transform.image_std)
        self.backbone = model.backbone
        self.heads = heads

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Compute the raw outputs of a uint8 image (1, 3, H, W)."""
        features = self.backbone(self.normalize(image))
        if isinstance(features, Tensor):
            features = OrderedDict([('0', features)])
        return self.heads(features)


class Outputs(nn.Module):
    """A classifier or a segmentation model behind its normalisation, all outputs in one tuple."""

    def __init__(self, model: nn.Module, mean: list[float] = IMAGENET_MEAN,
                 std: list[float] = IMAGENET_STD):
        super().__init__()
        self.normalize = Normalize(mean, std)
        self.model = model

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Compute the outputs of a uint8 image (1, 3, H, W)."""
        found = self.model(self.normalize(image))
        return tuple(found.values()) if isinstance(found, dict) else (found,)


class ConvolutionHeads(nn.Module):
    """
    Head branches (name -> one module a level) applied to each level: level-major raw outputs.
    """

    def __init__(self, branches: list[Callable[[Tensor, int], list[Tensor]]], modules: nn.Module):
        super().__init__()
        self.branches = branches
        self.parts = modules

    def forward(self, features: dict[str, Tensor]) -> tuple[Tensor, ...]:
        """Give every branch's output for level 0, then for level 1, and so on."""
        return tuple(output for level, feature in enumerate(features.values())
                     for branch in self.branches for output in branch(feature, level))


class RegionHeads(nn.Module):
    """The region proposal head of the R-CNN family; the features go along for the second stage."""

    def __init__(self, rpn_head: nn.Module):
        super().__init__()
        self.rpn_head = rpn_head

    def forward(self, features: dict[str, Tensor]) -> tuple[Tensor, ...]:
        """Give objectness of each level, box deltas of each level, then the features."""
        objectness, deltas = self.rpn_head(list(features.values()))
        return (*objectness, *deltas, *features.values())


def _rows_last(output: Tensor, columns: int) -> Tensor:
    """(1, A * K, H, W) to (1, H * W * A, K), as torchvision's heads lay their outputs out."""
    n, _, h, w = output.shape
    return output.view(n, -1, columns, h, w).permute(0, 3, 4, 1, 2).reshape(n, -1, columns)


def _decode_with_anchors(model: nn.Module, branches: list[tuple[str, int]],
                         detect: Callable, per_level: bool) -> Decode:
    """
    Build a decode for single-stage models: gather head outputs, make anchors, call
    torchvision.
    """
    def decode(raw: tuple[Tensor, ...], size: tuple[int, int]):
        levels = [raw[i:i + len(branches)] for i in range(0, len(raw), len(branches))]
        parts = {name: [_rows_last(level[i], columns) for level in levels]
                 for i, (name, columns) in enumerate(branches)}
        features = [level[0] for level in levels]
        images = ImageList(raw[0].new_zeros((1, 3, *size)), [size])
        anchors = model.anchor_generator(images, features)
        if per_level:
            counts = [f.shape[1] for f in parts[branches[0][0]]]
            found = detect(parts, [list(a.split(counts)) for a in anchors], [size])[0]
        else:
            found = detect({n: torch.cat(p, 1) for n, p in parts.items()}, anchors, [size])[0]
        return found['boxes'], found['scores'], found['labels']
    return decode


def _split_ssd(model: SSD) -> tuple[nn.Module, Decode]:
    classes, boxes = model.head.classification_head, model.head.regression_head
    heads = ConvolutionHeads([lambda x, i: [classes.module_list[i](x)],
                              lambda x, i: [boxes.module_list[i](x)]], model.head)
    branches = [('cls_logits', classes.num_columns), ('bbox_regression', boxes.num_columns)]
    return Dense(model, heads), _decode_with_anchors(
        model, branches, model.postprocess_detections, per_level=False)


def _split_retinanet(model: RetinaNet) -> tuple[nn.Module, Decode]:
    classes, boxes = model.head.classification_head, model.head.regression_head
    heads = ConvolutionHeads([lambda x, _: [classes.cls_logits(classes.conv(x))],
                              lambda x, _: [boxes.bbox_reg(boxes.conv(x))]], model.head)
    branches = [('cls_logits', classes.num_classes), ('bbox_regression', 4)]
    return Dense(model, heads), _decode_with_anchors(
        model, branches, model.postprocess_detections, per_level=True)


def _split_fcos(model: FCOS) -> tuple[nn.Module, Decode]:
    classes, boxes = model.head.classification_head, model.head.regression_head

    def regress(x: Tensor, _: int) -> list[Tensor]:
        shared = boxes.conv(x)
        return [nn.functional.relu(boxes.bbox_reg(shared)), boxes.bbox_ctrness(shared)]

    heads = ConvolutionHeads([lambda x, _: [classes.cls_logits(classes.conv(x))], regress],
                             model.head)
    branches = [('cls_logits', classes.num_classes), ('bbox_regression', 4), ('bbox_ctrness', 1)]
    return Dense(model, heads), _decode_with_anchors(
        model, branches, model.postprocess_detections, per_level=True)


def _split_rcnn(model: GeneralizedRCNN) -> tuple[nn.Module, Decode]:
    def decode(raw: tuple[Tensor, ...], size: tuple[int, int]):
        levels = len(raw) // 3
        objectness, deltas, features = (list(raw[i * levels:(i + 1) * levels]) for i in range(3))
        images = ImageList(raw[0].new_zeros((1, 3, *size)), [size])
        # From here on as RegionProposalNetwork.forward goes on after its head.
        rpn = model.rpn
        anchors = rpn.anchor_generator(images, features)
        counts = [o[0].numel() for o in objectness]
        scores = torch.cat([_rows_last(o, 1) for o in objectness], 1).flatten(0, -2)
        boxes = torch.cat([_rows_last(d, 4) for d in deltas], 1).reshape(-1, 4)
        proposals = rpn.box_coder.decode(boxes, anchors).view(1, -1, 4)
        proposals, _ = rpn.filter_proposals(proposals, scores, [size], counts)
        names = ['0'] if levels == 1 else [*map(str, range(levels - 1)), 'pool']
        found, _ = model.roi_heads(OrderedDict(zip(names, features)), proposals, [size])
        return found[0]['boxes'], found[0]['scores'], found[0]['labels']
    return Dense(model, RegionHeads(model.rpn.head)), decode


_SPLITS: list[tuple[type, Callable]] = [
    (SSD, _split_ssd), (RetinaNet, _split_retinanet), (FCOS, _split_fcos),
    (GeneralizedRCNN, _split_rcnn)]


def joining(model: Any) -> Joining | None:
    """Say how detections of parts of an image are joined; None for the R-CNN family."""
    nothing: tuple[tuple[float, ...], ...]
    if isinstance(model, SSD):  # softmax: all is background (class 0), and nothing else
        classes = model.head.classification_head.num_columns
        nothing = (0.0, *[-inf] * (classes - 1)), (0.0,)
    elif isinstance(model, RetinaNet):
        nothing = (-inf,), (0.0,)
    elif isinstance(model, FCOS):
        nothing = (-inf,), (0.0,), (0.0,)
    else:
        return None
    return Joining(nothing, model.nms_thresh, model.detections_per_img)


def split(model: nn.Module) -> tuple[nn.Module, Decode]:
    """
    Cut a torchvision detector at its raw head outputs.

    :raises ModelError: when the model belongs to none of the families that torchvision has.
    """
    model.eval()
    for family, cut in _SPLITS:
        if isinstance(model, family):
            return cut(model)
    raise ModelError(f'{type(model).__name__} is none of the detector families of torchvision '
                     f'({", ".join(f.__name__ for f, _ in _SPLITS)}); give a factory that returns '
                     f'a Detector')


def classify(score_threshold: float, most: int) -> Decode:
    """
    Make a decode for classifiers: the best classes, each with a box around the whole input.

    The score is the softmax of the logits (1, classes).

    :param most: most classes, of which there are never more than `TOP`.
    """
    def decode(raw: tuple[Tensor, ...], size: tuple[int, int]):
        (logits,) = raw
        scores, labels = logits[0].softmax(0).topk(min(most, TOP, logits.shape[1]))
        likely = scores >= score_threshold
        height, width = size
        box = scores.new_tensor([0, 0, width, height])
        return box.expand(int(likely.sum()), 4), scores[likely], labels[likely]
    return decode
