"""Endless streams of images for the camera node, with the ground truth where they are drawn."""

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import cv2
import numpy as np

from intradp_ros.errors import ImageError

SUFFIXES = {'.jpg', '.jpeg', '.png', '.bmp', '.tif', '.tiff', '.webp'}
# Frames that a photograph stays in view, or that a video of drawn scenes lasts.
STAY = 30
# Of a drawn object at least this share must be seen for it to count as visible.
LEAST_VISIBILITY = 0.5


@dataclass(frozen=True)
class Shot:
    """
    A uint8 RGB image (height, width, 3) and, where it is drawn, what is visible in it: `boxes`
    (N, 4), left, top, right, bottom in pixels, and `labels` (N), numbers in `objects.CLASSES`.
    """

    image: np.ndarray
    boxes: np.ndarray | None = None
    labels: np.ndarray | None = None


def _photographs(path: str, height: int, width: int) -> Iterator[Shot]:
    photographs = _scenery('photographs')
    every = photographs.TRAIN + photographs.HELD_OUT
    names = tuple(path.split(',')) if path else every
    if set(names) - set(every):
        raise ImageError(f'unknown photographs {sorted(set(names) - set(every))}; there are: '
                         f'{", ".join(every)}')
    for frame in itertools.count():
        image = photographs.photograph(names[frame // STAY % len(names)])
        phase = 2 * math.pi * frame / STAY
        centre = 0.5 + 0.15 * math.sin(phase), 0.5 - 0.15 * math.cos(phase + 1)
        yield Shot(photographs.view(image, centre, 1.4 - 0.3 * math.cos(phase), 0.0,
                                    (height, width)))


def _scenes(path: str, height: int, width: int) -> Iterator[Shot]:
    video = _scenery('video')
    if path and not path.isdecimal():
        raise ImageError(f'source "scenes" takes a seed as path, not {path!r}')
    for frame in itertools.count():
        scene = video.play(int(path or 0) + frame // STAY, frame % STAY, (height, width))
        seen = scene.visibility >= LEAST_VISIBILITY
        yield Shot(scene.image, scene.boxes[seen], scene.labels[seen])


def _scenery(module: str):
    """Import a module that needs scikit-image's photographs, or say how to get them."""
    try:
        return import_module(f'intradp_ros.scenes.{module}')
    except ImportError as error:
        raise ImageError(f'this source needs scikit-image ({error}): pip install scikit-image, or '
                         f'apt install python3-skimage; or choose another source') from error


def _folder(path: str, height: int, width: int) -> Iterator[Shot]:
    files = sorted(f for f in Path(path).glob('*') if f.suffix.lower() in SUFFIXES)
    if not files:
        raise ImageError(f'folder {path!r} holds no images ({", ".join(sorted(SUFFIXES))})')
    for file in itertools.cycle(files):
        image = cv2.imread(str(file), cv2.IMREAD_COLOR)
        if image is None:
            raise ImageError(f'cannot decode {file}')
        yield _shot(image, height, width)


def _capture(source: str | int, height: int, width: int, loop: bool) -> Iterator[Shot]:
    capture = cv2.VideoCapture(source)
    if not capture.isOpened():
        raise ImageError(f'cannot open {source!r} as a video')
    if not loop:
        capture.set(cv2.CAP_PROP_FRAME_WIDTH, width)
        capture.set(cv2.CAP_PROP_FRAME_HEIGHT, height)
    try:
        fresh = True
        while True:
            done, image = capture.read()
            if not done:
                if fresh or not loop:
                    raise ImageError(f'{source!r} gives no images')
                capture.set(cv2.CAP_PROP_POS_FRAMES, 0)
            else:
                yield _shot(image, height, width)
            fresh = not done
    finally:
        capture.release()


def _shot(bgr: np.ndarray, height: int, width: int) -> Shot:
    if bgr.shape[:2] != (height, width):
        bgr = cv2.resize(bgr, (width, height), interpolation=cv2.INTER_AREA)
    return Shot(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB))


SOURCES: dict[str, Callable[[str, int, int], Iterator[Shot]]] = {
    'photographs': _photographs,
    'scenes': _scenes,
    'folder': _folder,
    'video': lambda path, height, width: _capture(path, height, width, loop=True),
    'device': lambda path, height, width: _capture(
        int(path) if path.isdecimal() else path or 0, height, width, loop=False),
}


def open_source(kind: str, path: str, height: int, width: int) -> Iterator[Shot]:
    """
    Open a stream of images of one size.

    :param kind: one of SOURCES: 'photographs' (path: names, comma-separated; empty for all),
        'scenes' (path: a seed), 'folder', 'video' (path: a file), 'device' (path: number or file
        of a V4L2 device).
    :raises ImageError: at once or when reading, with the path in its text.
    """
    if kind not in SOURCES:
        raise ImageError(f'unknown source {kind!r}; there are: {", ".join(SOURCES)}')
    return SOURCES[kind](path, height, width)
