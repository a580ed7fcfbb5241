"""Endless streams of uint8 RGB images (height, width, 3) for the camera node."""

import itertools
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np

from intradp_ros.errors import ImageError

SUFFIXES = {'.jpg', '.jpeg', '.png', '.bmp', '.tif', '.tiff', '.webp'}
PHOTOGRAPHS = ('astronaut', 'chelsea', 'coffee', 'motorcycle_left', 'rocket')
# Frames that a photograph stays in view.
STAY = 30


def photograph(name: str) -> np.ndarray:
    """
    Load one of scikit-image's photographs.

    :raises ImageError: when scikit-image is not installed.
    """
    try:
        from skimage import data, io
    except ImportError as error:
        raise ImageError('source "photographs" needs scikit-image (pip install scikit-image, or '
                         'apt install python3-skimage), or choose another source') from error
    file = Path(data.__file__).parent / f'{name}.png'
    image = io.imread(file) if file.is_file() else getattr(data, name)()
    return np.ascontiguousarray(image[..., :3])


def window(image: np.ndarray, frame: int, height: int, width: int) -> np.ndarray:
    """Cut a window of the wanted aspect ratio out of a photograph: it pans and zooms with the frame number."""
    rows, columns = image.shape[:2]
    phase = 2 * math.pi * frame / STAY
    zoom = 0.8 + 0.2 * math.cos(phase)
    cut = min(rows * zoom, columns * zoom * height / width)
    cut_width = cut * width / height
    left = (columns - cut_width) * (0.5 + 0.5 * math.sin(phase))
    top = (rows - cut) * (0.5 - 0.5 * math.cos(phase + 1))
    matrix = np.array([[width / cut_width, 0, -left * width / cut_width],
                       [0, height / cut, -top * height / cut]])
    return cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_AREA,
                          borderMode=cv2.BORDER_REFLECT)


def _photographs(path: str, height: int, width: int) -> Iterator[np.ndarray]:
    names = tuple(path.split(',')) if path else PHOTOGRAPHS
    unknown = set(names) - set(PHOTOGRAPHS)
    if unknown:
        raise ImageError(f'unknown photographs {sorted(unknown)}; there are: '
                         f'{", ".join(PHOTOGRAPHS)}')
    images = [photograph(name) for name in names]
    for frame in itertools.count():
        yield window(images[frame // STAY % len(images)], frame, height, width)


def _folder(path: str, height: int, width: int) -> Iterator[np.ndarray]:
    files = sorted(f for f in Path(path).glob('*') if f.suffix.lower() in SUFFIXES)
    if not files:
        raise ImageError(f'folder {path!r} holds no images ({", ".join(sorted(SUFFIXES))})')
    for file in itertools.cycle(files):
        image = cv2.imread(str(file), cv2.IMREAD_COLOR)
        if image is None:
            raise ImageError(f'cannot decode {file}')
        yield _sized(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), height, width)


def _capture(source: str | int, height: int, width: int, loop: bool) -> Iterator[np.ndarray]:
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
                yield _sized(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), height, width)
            fresh = not done
    finally:
        capture.release()


def _sized(image: np.ndarray, height: int, width: int) -> np.ndarray:
    if image.shape[:2] == (height, width):
        return image
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)


SOURCES: dict[str, Callable[[str, int, int], Iterator[np.ndarray]]] = {
    'photographs': _photographs,
    'folder': _folder,
    'video': lambda path, height, width: _capture(path, height, width, loop=True),
    'device': lambda path, height, width: _capture(
        int(path) if path.isdecimal() else path or 0, height, width, loop=False),
}


def open_source(kind: str, path: str, height: int, width: int) -> Iterator[np.ndarray]:
    """
    Open a stream of images of one size.

    :param kind: one of SOURCES: 'photographs' (path: names, comma-separated; empty for all),
        'folder', 'video' (path: a file), 'device' (path: number or file of a V4L2 device).
    :raises ImageError: at once or when reading, with the path in its text.
    """
    if kind not in SOURCES:
        raise ImageError(f'unknown source {kind!r}; there are: {", ".join(SOURCES)}')
    return SOURCES[kind](path, height, width)
