"""Pictures for people: boxes with names over an image."""

from collections.abc import Sequence

import cv2
import numpy as np

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
    :param labels: class numbers (N), into `names`.
    :param tint: RGB colour of all boxes; None for one by class.
    """
    shown = image.copy()
    for i, (box, label) in enumerate(zip(boxes, labels)):
        paint = tint or _COLOURS[int(label) % len(_COLOURS)]
        left, top, right, bottom = (round(float(v)) for v in box)
        cv2.rectangle(shown, (left, top), (right - 1, bottom - 1), paint, 2)
        text = names[int(label)] + ('' if scores is None else f' {scores[i]:.2f}')
        (width, height), below = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.45, 1)
        # Above the box, or inside where there is no room.
        base = top - below if top > height + 2 * below else top + height + below
        cv2.rectangle(shown, (left, base - height - below), (left + width, base + below), paint,
                      cv2.FILLED)
        cv2.putText(shown, text, (left, base), cv2.FONT_HERSHEY_SIMPLEX, 0.45,
                    (0, 0, 0) if sum(paint) > 380 else (255, 255, 255), 1, cv2.LINE_AA)
    return shown
