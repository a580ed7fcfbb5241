"""Pictures: boxes have their names, each where it can be read."""

import numpy as np

from intradp_ros.model import draw
from intradp_ros.model.detector import Detections

CANVAS = np.full((120, 160, 3), 127, np.uint8)


def drawn(count):
    """Draw so many classes of the whole image."""
    boxes = np.tile(np.array([0, 0, 160, 120], np.float32), (count, 1))
    found = Detections(boxes, np.linspace(0.9, 0.5, count, dtype=np.float32), np.arange(count))
    return draw.annotate(CANVAS, found, ('cat', 'dog', 'fox'))


def test_names_of_boxes_with_one_corner_stand_beneath_each_other():
    picture = drawn(3)
    tops = []
    for label in range(3):
        # Within the box's own line, so that only what lies behind its name has its colour.
        inside = (picture[4:-4, 4:-4] == drawn_colour(label)).all(2)
        assert inside.sum() > 200, 'another name hides it'
        tops.append(np.flatnonzero(inside.any(1))[0])
    assert tops == sorted(tops)


def drawn_colour(label):
    """Tell a class's colour from the line around its box."""
    found = Detections(np.array([[0, 0, 160, 120]], np.float32), np.ones(1, np.float32),
                       np.array([label]))
    return draw.annotate(CANVAS, found, ('cat', 'dog', 'fox'))[-1, -1]


def test_the_image_itself_is_left_alone():
    drawn(3)
    assert (CANVAS == 127).all()
