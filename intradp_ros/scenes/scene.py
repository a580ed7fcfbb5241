"""Single scenes: everything about one follows from its seed."""

import cv2
import numpy as np
from numpy.random import Generator, default_rng

from intradp_ros.scenes import photographs
from intradp_ros.scenes.objects import CLASSES, KINDS
from intradp_ros.scenes.render import Item, Light, Scene, render

# Objects of which less is to be seen are not in a scene; and the least side of a box, in pixels.
LEAST_VISIBILITY = 0.4
SMALLEST, LARGEST = 24, 220

# One stream of random numbers for each purpose, so that no training scene equals a held-out one.
_STREAMS = {'train': 0, 'held_out': 1}


def sample_item(rng: Generator, label: int, size: tuple[int, int]) -> Item:
    """Draw place, size and pose of an object of a class in an image of (height, width) pixels."""
    height = np.exp(rng.uniform(np.log(SMALLEST), np.log(min(LARGEST, 0.85 * min(size)))))
    name = CLASSES[label] if label >= 0 else None
    roll, tilt = (KINDS[name].roll, KINDS[name].tilt) if name else (180, 40)
    # What is narrow for its height would be too small to be told apart.
    height *= 1.4 if name in ('person', 'bottle', 'traffic_light') else 1
    return Item(label, int(rng.integers(2 ** 62)), rng.uniform(0, size[1]),
                rng.uniform(0, size[0]), height, rng.uniform(-roll, roll),
                rng.uniform(-tilt, tilt), rng.uniform(-tilt, tilt) / 2)


def sample_light(rng: Generator) -> Light:
    """Draw light and camera: mostly good, sometimes dark, blurred or noisy."""
    return Light(direction=rng.uniform(-180, 180), strength=rng.uniform(0.05, 0.5),
                 gain=rng.uniform(0.55, 1.2), cast=tuple(rng.uniform(0.88, 1.12, 3)),
                 blur=rng.uniform(0, 1.6) if rng.random() < 0.5 else 0,
                 motion=rng.uniform(1, 6) if rng.random() < 0.2 else 0,
                 motion_angle=rng.uniform(0, 180),
                 noise=rng.uniform(0, 12) if rng.random() < 0.6 else 0)


def scene(seed: int, held_out: bool = True, size: tuple[int, int] = (480, 640)) -> Scene:
    """
    Draw one scene; the same arguments always give the same one.

    :param held_out: over one of the photographs that training never sees; else over the others and
        over textures.
    :param size: (height, width) in pixels.
    """
    rng = default_rng([_STREAMS['held_out' if held_out else 'train'], seed])
    image = photographs.background(
        rng, photographs.HELD_OUT if held_out else photographs.TRAIN, size,
        textures=0 if held_out else 0.35)
    density = np.sqrt(size[0] * size[1] / (480 * 640))
    labels = rng.integers(len(CLASSES), size=max(1, round(rng.integers(2, 12) * density)))
    extra = np.full(rng.integers(0, 5), -1)
    items = [sample_item(rng, int(label), size)
             for label in rng.permutation(np.concatenate([labels, extra]))]
    # Small things are mostly far away, behind the large ones.
    items.sort(key=lambda item: item.height * rng.uniform(0.6, 1.6))
    shown = render(image, items, sample_light(rng), rng, LEAST_VISIBILITY)
    if rng.random() < 0.3:
        # Cameras on robots often deliver JPEG.
        quality = int(rng.integers(40, 95))
        data = cv2.imencode('.jpg', shown.image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        shown.image[...] = cv2.imdecode(data, cv2.IMREAD_COLOR)
    return shown
