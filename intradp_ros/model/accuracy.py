"""Accuracy of detections as COCO counts it: mean average precision, by pycocotools."""

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torchvision.ops import box_iou

from intradp_ros.errors import ParameterError
from intradp_ros.model.detector import Detections


@dataclass(frozen=True)
class Truth:
    """
    What is in one image.

    `boxes` is (N, 4): left, top, right, bottom in pixels. `labels` is (N): class numbers.
    `ignored` is bool (N): objects that may be found or missed without effect (COCO's crowds); None
    for none.
    """

    boxes: np.ndarray
    labels: np.ndarray
    ignored: np.ndarray | None = None


@dataclass(frozen=True)
class Accuracy:
    """Mean average precision at IoU 0.5 and over 0.5:0.95, and at 0.5 for each class present."""

    map_50: float
    map_50_95: float
    by_class: dict[int, float]


def _annotations(truths: Sequence[Truth]) -> list[dict]:
    rows: list[dict] = []
    for image, truth in enumerate(truths):
        ignored = np.zeros(len(truth.labels), bool) if truth.ignored is None else truth.ignored
        for box, label, ignore in zip(truth.boxes, truth.labels, ignored):
            left, top, right, bottom = (float(v) for v in box)
            rows.append({'id': len(rows) + 1, 'image_id': image + 1, 'category_id': int(label) + 1,
                         'bbox': [left, top, right - left, bottom - top],
                         'area': (right - left) * (bottom - top), 'iscrowd': int(ignore)})
    return rows


def _results(found: Sequence[Detections]) -> np.ndarray:
    """Rows (image, left, top, width, height, score, category), as `COCO.loadRes` takes them."""
    rows = [np.column_stack([np.full(len(d), image + 1), d.boxes[:, :2],
                             d.boxes[:, 2:] - d.boxes[:, :2], d.scores, d.labels + 1])
            for image, d in enumerate(found) if len(d)]
    return np.vstack(rows).astype(np.float64) if rows else np.zeros((0, 7))


def measure(truths: Sequence[Truth], found: Sequence[Detections]) -> Accuracy:
    """
    Compare what was found with what is there, image by image, both in the same order.

    :raises ParameterError: when the numbers of images differ, when nothing is to be found in any,
        or without pycocotools.
    """
    try:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    except ImportError as error:
        raise ParameterError('mean average precision is counted by pycocotools, which is not '
                             'installed (pip install pycocotools)') from error
    if len(truths) != len(found):
        raise ParameterError(f'{len(truths)} images with truth against {len(found)} with '
                             f'detections')
    annotations = _annotations(truths)
    if all(a['iscrowd'] for a in annotations):
        raise ParameterError(f'nothing to be found in {len(truths)} images: accuracy is undefined')
    results = _results(found)
    if not len(results):
        return Accuracy(0.0, 0.0, {int(a['category_id']) - 1: 0.0 for a in annotations})
    categories = {a['category_id'] for a in annotations} | {int(c) for c in results[:, 6]}
    # pycocotools reports its progress on stdout, which belongs to the caller.
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = {'info': {}, 'images': [{'id': i + 1} for i in range(len(truths))],
                         'annotations': annotations,
                         'categories': [{'id': c} for c in sorted(categories)]}
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(results), 'bbox')
        evaluation.evaluate()
        evaluation.accumulate()
    # Precision by IoU, recall, class, area, most detections; -1 where a class does not occur.
    precision = evaluation.eval['precision'][:, :, :, 0, -1]
    occurs = precision[0, 0] > -1
    by_class = {category - 1: float(precision[0, :, k].mean())
                for k, category in enumerate(sorted(categories)) if occurs[k]}
    return Accuracy(float(precision[0][:, occurs].mean()), float(precision[:, :, occurs].mean()),
                    by_class)


def match(truth: Truth, found: Detections, least_overlap: float = 0.5) -> np.ndarray:
    """
    Pair detections with objects of their class, the best score first, each object once.

    :param least_overlap: IoU from which a detection counts as a find.
    :returns: int64, for each detection the number of its object, or -1.
    """
    free = np.ones(len(truth.labels), bool)
    pairs = np.full(len(found), -1)
    overlap = box_iou(torch.from_numpy(np.asarray(found.boxes, np.float32)).view(-1, 4),
                      torch.from_numpy(np.asarray(truth.boxes, np.float32)).view(-1, 4)).numpy()
    for i in np.argsort(-found.scores, kind='stable'):
        usable = np.where(free & (truth.labels == found.labels[i]), overlap[i], 0)
        if len(usable) and usable.max() >= least_overlap:
            pairs[i] = usable.argmax()
            free[pairs[i]] = False
    return pairs


def count_found(truth: Truth, found: Detections) -> tuple[int, int]:
    """Count the objects that were found (as `match` pairs them) and those to be found."""
    wanted = np.ones(len(truth.labels), bool) if truth.ignored is None else ~truth.ignored
    pairs = match(truth, found)
    return int(np.count_nonzero(wanted[pairs[pairs >= 0]])), int(np.count_nonzero(wanted))
