"""Pictures of detections."""

import cv2
import numpy as np

from intradp_ros.model.detector import Detections


def color(label: int) -> tuple[int, int, int]:
    """Give each class its own RGB color: hues a golden angle apart."""
    hue = np.uint8([[[int(label * 137.508 / 2) % 180, 200, 255]]])
    return tuple(int(c) for c in cv2.cvtColor(hue, cv2.COLOR_HSV2RGB)[0, 0])


def annotate(image: np.ndarray, detections: Detections, labels: tuple[str, ...],
             caption: str = '') -> np.ndarray:
    """Draw boxes with class and score, and a caption, into a copy of a uint8 RGB image (H, W, 3)."""
    picture = image.copy()
    scale = max(0.4, image.shape[1] / 1400)
    thickness = max(1, round(image.shape[1] / 500))
    for box, score, label in zip(detections.boxes, detections.scores, detections.labels):
        left, top, right, bottom = (int(round(float(v))) for v in box)
        name = labels[label] if 0 <= label < len(labels) else str(label)
        cv2.rectangle(picture, (left, top), (right, bottom), color(int(label)), thickness)
        _tag(picture, f'{name} {score:.2f}', left, top, color(int(label)), scale)
    if caption:
        _tag(picture, caption, 0, picture.shape[0], (255, 255, 255), scale * 1.2)
    return picture


def _tag(picture: np.ndarray, text: str, left: int, bottom: int, ground: tuple[int, int, int],
         scale: float) -> None:
    """Write black text on a coloured ground that ends at (left, bottom), inside the picture."""
    font = cv2.FONT_HERSHEY_SIMPLEX
    (width, height), below = cv2.getTextSize(text, font, scale, 1)
    left = max(0, min(left, picture.shape[1] - width))
    bottom = max(height + below, bottom)
    cv2.rectangle(picture, (left, bottom - height - below), (left + width, bottom), ground, -1)
    cv2.putText(picture, text, (left, bottom - below // 2), font, scale, (0, 0, 0), 1, cv2.LINE_AA)


def grid(pictures: list[np.ndarray], columns: int) -> np.ndarray:
    """Lay equally large pictures side by side, in rows of `columns`; what is left over is black."""
    blank = np.zeros_like(pictures[0])
    pictures = pictures + [blank] * (-len(pictures) % columns)
    return np.vstack([np.hstack(pictures[i:i + columns])
                      for i in range(0, len(pictures), columns)])
