"""Pictures for people: boxes with names over an image."""

from collections import Counter
from collections.abc import Sequence

import cv2
import numpy as np

from intradp_ros.model.detector import Detections

# Colours that can be told apart (RGB), in turn by class number.
_COLOURS = [(230, 25, 75), (60, 180, 75), (255, 225, 25), (0, 130, 200), (245, 130, 48),
            (145, 30, 180), (70, 240, 240), (240, 50, 230), (210, 245, 60), (250, 190, 212),
            (0, 128, 128), (220, 190, 255)]


def boxes(image: np.ndarray, boxes: np.ndarray, labels: np.ndarray, names: Sequence[str],
          scores: np.ndarray | None = None,
          tint: tuple[int, int, int] | None = None) -> np.ndarray:
    """
    Draw boxes with their class names, and their scores, over a copy of an image.

    :param image: uint8 RGB (H, W, 3).
    :param boxes: left, top, right, bottom in pixels (N, 4).
    :param labels: class numbers (N), into `names`; one that has no name is shown as it is.
    :param tint: RGB colour of all boxes; None for one by class.
    """
    shown = image.copy()
    beneath: Counter[tuple[int, int]] = Counter()
    for i, (box, label) in enumerate(zip(boxes, labels)):
        paint = tint or _COLOURS[int(label) % len(_COLOURS)]
        left, top, right, bottom = (round(float(v)) for v in box)
        cv2.rectangle(shown, (left, top), (right - 1, bottom - 1), paint, 2)
        name = names[int(label)] if label < len(names) else str(label)
        text = name + ('' if scores is None else f' {scores[i]:.2f}')
        (width, height), below = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.45, 1)
        # Above the box, or inside where there is no room.
        base = top - below if top > height + 2 * below else top + height + below
        # Boxes may share a corner (the classes of a classifier do): one name beneath the other.
        base += beneath[left, top] * (height + 2 * below)
        beneath[left, top] += 1
        cv2.rectangle(shown, (left, base - height - below), (left + width, base + below), paint,
                      cv2.FILLED)
        cv2.putText(shown, text, (left, base), cv2.FONT_HERSHEY_SIMPLEX, 0.45,
                    (0, 0, 0) if sum(paint) > 380 else (255, 255, 255), 1, cv2.LINE_AA)
    return shown


def annotate(image: np.ndarray, found: Detections, names: Sequence[str],
             caption: str = '') -> np.ndarray:
    """Draw detections over a copy of a uint8 RGB image (H, W, 3), and a caption along its foot."""
    shown = boxes(image, found.boxes, found.labels, names, found.scores)
    if caption:
        size = max(0.4, image.shape[1] / 1200)
        (width, height), below = cv2.getTextSize(caption, cv2.FONT_HERSHEY_SIMPLEX, size, 1)
        foot = shown.shape[0]
        cv2.rectangle(shown, (0, foot - height - 2 * below), (width + below, foot),
                      (255, 255, 255), cv2.FILLED)
        cv2.putText(shown, caption, (below // 2, foot - below), cv2.FONT_HERSHEY_SIMPLEX, size,
                    (0, 0, 0), 1, cv2.LINE_AA)
    return shown


def grid(pictures: list[np.ndarray], columns: int) -> np.ndarray:
    """
    Lay equally large pictures side by side, in rows of `columns`; what is left over is black.
    """
    pictures = pictures + [np.zeros_like(pictures[0])] * (-len(pictures) % columns)
    return np.vstack([np.hstack(pictures[i:i + columns])
                      for i in range(0, len(pictures), columns)])
