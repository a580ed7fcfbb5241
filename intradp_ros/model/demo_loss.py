"""
How the demo detector learns: which cell answers for which object, and what its error costs.

Cells are assigned by task alignment (TOOD, arXiv 2108.07755): each object takes the cells inside
its box that, at the moment, find it best, whatever their level. Scores learn how well the box fits
(quality focal loss, arXiv 2006.04388), boxes the complete IoU (arXiv 1911.08287).
"""

import torch
from torch import Tensor
from torch.nn import functional
from torchvision.ops import complete_box_iou_loss

from intradp_ros.model.demo import flatten

# Exponents of score and of IoU in the alignment, and the cells that an object takes.
ALPHA, BETA, CELLS = 0.5, 6.0, 9
BOX_WEIGHT = 3.0


def _overlap(boxes: Tensor, truth: Tensor) -> Tensor:
    """IoU (N, G, M) of boxes (N, M, 4) with true boxes (N, G, 4)."""
    boxes, truth = boxes[:, None], truth[:, :, None]
    sides = (torch.minimum(boxes[..., 2:], truth[..., 2:])
             - torch.maximum(boxes[..., :2], truth[..., :2])).clamp(min=0)
    inner = sides.prod(-1)
    areas = [(b[..., 2:] - b[..., :2]).prod(-1) for b in (boxes, truth)]
    return inner / (areas[0] + areas[1] - inner).clamp(min=1e-6)


@torch.no_grad()
def assign(scores: Tensor, boxes: Tensor, points: Tensor, truth: Tensor,
           labels: Tensor) -> tuple[Tensor, Tensor]:
    """
    Assign objects to cells.

    :param scores: of each cell and class (N, M, K).
    :param boxes: of each cell (N, M, 4), in pixels; `points`: the cells' centres (M, 2).
    :param truth: true boxes (N, G, 4); `labels`: (N, G), -1 for padding.
    :returns: object number (N, M), -1 for background; the score that the cell should give (N, M).
    """
    real = labels >= 0
    score = scores.gather(2, labels.clamp(min=0)[:, None].expand(-1, scores.shape[1], -1))
    overlap = _overlap(boxes, truth)
    inside = torch.cat([points - truth[:, :, None, :2], truth[:, :, None, 2:] - points], -1)
    allowed = (inside.amin(-1) > 0) & real[..., None]
    alignment = score.transpose(1, 2) ** ALPHA * overlap ** BETA * allowed
    least = alignment.topk(min(CELLS, alignment.shape[2]), 2).values[..., -1:]
    taken = allowed & (alignment >= least) & (alignment > 0)
    # A cell that several objects want goes to the one that it fits best.
    fit, owner = (overlap * taken).max(1)
    owner = torch.where(taken.any(1), owner, -1)
    mine = taken & (owner[:, None] == torch.arange(truth.shape[1])[None, :, None])
    alignment = alignment * mine
    # The best cell of an object is to give its IoU as the score, the others less in proportion.
    best_overlap = (overlap * mine).amax(2, keepdim=True)
    target = alignment / alignment.amax(2, keepdim=True).clamp(min=1e-9) * best_overlap
    return owner, target.amax(1)


def loss(raw: tuple[Tensor, ...], truth: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """
    Cost of the classes and of the boxes, each per unit of target score.

    :param raw: outputs of `DemoNet` on N images.
    :param truth: true boxes (N, G, 4); `labels`: (N, G), -1 for padding.
    """
    logits, boxes, points, strides = flatten(raw)
    owner, target = assign(logits.sigmoid(), boxes, points, truth, labels)
    total = target.sum().clamp(min=1)
    found = owner >= 0
    image, cell = torch.nonzero(found, as_tuple=True)
    which = owner[found]
    wanted = torch.zeros_like(logits)
    wanted[image, cell, labels[image, which]] = target[found]
    distance = (wanted - logits.sigmoid()).abs() ** 2
    classes = (functional.binary_cross_entropy_with_logits(logits, wanted, reduction='none')
               * distance).sum() / total
    misfit = complete_box_iou_loss(boxes[found], truth[image, which])
    return classes, BOX_WEIGHT * (misfit * target[found]).sum() / total
