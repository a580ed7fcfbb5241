"""
Backgrounds: real photographs that come with scikit-image, cropped and distorted, and textures.

The photographs of `TRAIN` and those of `HELD_OUT` are disjoint: accuracy is measured on, and the
demo shows, photographs that training never saw.
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from numpy.random import Generator

from intradp_ros.errors import ImageError

TRAIN = ('astronaut', 'brick', 'camera', 'chelsea', 'coins', 'grass', 'hubble_deep_field',
         'rocket')
HELD_OUT = ('motorcycle_left', 'coffee', 'gravel')


@cache
def photograph(name: str) -> np.ndarray:
    """
    Load one of scikit-image's own photographs: uint8 RGB (H, W, 3), read-only.

    :raises ImageError: when scikit-image is not installed.
    """
    try:
        from skimage import data, io
    except ImportError as error:
        raise ImageError('photographs need scikit-image (pip install scikit-image, or apt install '
                         'python3-skimage), or choose another source') from error
    # The motorcycle has a file but, being one half of a stereo pair, no function of its own.
    file = Path(data.__file__).parent / f'{name}.png'
    image = io.imread(file) if file.is_file() else getattr(data, name)()
    image = image[..., :3] if image.ndim == 3 else np.repeat(image[..., None], 3, 2)
    image = np.ascontiguousarray(image, np.uint8)
    image.flags.writeable = False
    return image


def view(image: np.ndarray, centre: tuple[float, float], zoom: float, roll: float,
         size: tuple[int, int], flip: bool = False) -> np.ndarray:
    """
    Look at a part of an image; what lies beyond its border is mirrored.

    :param centre: x and y of the point in the middle of the view, as shares of the image's width
        and height.
    :param zoom: output pixels for each image pixel, relative to the view that fills the output
        with the whole image.
    :param roll: turn in degrees.
    :param size: (height, width) of the output in pixels.
    """
    height, width = size
    scale = zoom * max(height / image.shape[0], width / image.shape[1])
    cos, sin = scale * np.cos(np.radians(roll)), scale * np.sin(np.radians(roll))
    turn = np.array([[cos, -sin], [sin, cos]]) @ np.diag([-1 if flip else 1, 1])
    middle = turn @ [centre[0] * image.shape[1], centre[1] * image.shape[0]]
    matrix = np.column_stack([turn, [width / 2 - middle[0], height / 2 - middle[1]]])
    return cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_LINEAR,
                          borderMode=cv2.BORDER_REFLECT_101)


def recolour(image: np.ndarray, gains: Sequence[float] | np.ndarray) -> np.ndarray:
    """Multiply each colour of a uint8 image (H, W, 3) by a gain, up to white."""
    # OpenCV takes one factor a channel in place of an array; its type stubs do not say so.
    return cv2.multiply(image, (*gains, 0))  # type: ignore[call-overload]


def texture(rng: Generator, size: tuple[int, int]) -> np.ndarray:
    """Draw a texture (uint8, (H, W, 3)): coloured noise of several scales, stripes or tiles."""
    height, width = size
    field = np.zeros(size, np.float32)
    for octave in range(2, 8):
        grid = rng.standard_normal((2 ** octave, 2 ** octave), np.float32)
        field += cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC) \
            * np.float32(rng.uniform(0.3, 1) * 0.6 ** octave)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    angle, period = rng.uniform(0, np.pi), rng.uniform(8, 120)
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    pattern = rng.integers(4)
    if pattern == 1:
        field += 0.3 * np.sign(np.sin(2 * np.pi * along / period))
    elif pattern == 2:
        field += 0.3 * np.sign(np.sin(2 * np.pi * along / period)
                               * np.sin(2 * np.pi * across / period))
    elif pattern == 3:
        field += rng.uniform(-1, 1) * along / max(size)
    share = (field - field.min()) / max(float(np.ptp(field)), 1e-6)
    dark, bright = rng.uniform(0, 160, 3), rng.uniform(90, 255, 3)
    return (dark + (bright - dark) * share[..., None]).astype(np.uint8)


def background(rng: Generator, names: tuple[str, ...], size: tuple[int, int],
               textures: float = 0) -> np.ndarray:
    """
    Draw a background (uint8, (H, W, 3)): a random part of a photograph, turned and recoloured.

    :param names: the photographs to choose from.
    :param size: (height, width) in pixels.
    :param textures: probability of a texture in place of a photograph.
    """
    if rng.random() < textures:
        return texture(rng, size)
    source = photograph(names[rng.integers(len(names))])
    image = view(source, tuple(rng.uniform(0.1, 0.9, 2)), rng.uniform(0.9, 2.2),
                 rng.uniform(-15, 15), size, bool(rng.random() < 0.5))
    gains = rng.uniform(0.75, 1.25, 3) * rng.uniform(0.65, 1.05)
    return recolour(image, gains)
