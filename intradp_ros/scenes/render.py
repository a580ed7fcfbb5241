"""
Paints objects into a background and knows which pixel belongs to whom.

Items are painted in order; each pixel belongs to the last item that covers more than half of it.
Boxes and visible shares are counted from these pixels, so they are exact for what was painted.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator, default_rng

from intradp_ros.scenes.objects import CLASSES, KINDS, Drawing, clutter

# Parts are painted this much larger and then shrunk, for smooth edges.
_OVERSAMPLE = 3
_CLUTTER = -1


@dataclass(frozen=True)
class Item:
    """
    One object in one image.

    `label` is its class number, or -1 for clutter; `seed` decides its looks. `x`, `y` is its
    centre and `height` its size in pixels; `roll`, `yaw`, `pitch` its pose in degrees.
    """

    label: int
    seed: int
    x: float
    y: float
    height: float
    roll: float = 0
    yaw: float = 0
    pitch: float = 0

    def drawing(self) -> tuple[Drawing, str]:
        """Give the parts, in units of the height, and how light falls on them."""
        rng = default_rng(self.seed)
        if self.label == _CLUTTER:
            return clutter(rng), 'flat'
        kind = KINDS[CLASSES[self.label]]
        return kind.draw(rng), kind.shading


@dataclass(frozen=True)
class Light:
    """
    Light and camera of one image.

    `direction` is where the light comes from in degrees (0: right, 90: below), `strength` how much
    it shades, `gain` the brightness, `cast` the gain of each colour. `blur` (standard deviation)
    and `motion` (length) are in pixels, `noise` is a standard deviation in grey levels.
    """

    direction: float = -60
    strength: float = 0.3
    gain: float = 1
    cast: tuple[float, float, float] = (1, 1, 1)
    blur: float = 0
    motion: float = 0
    motion_angle: float = 0
    noise: float = 0


@dataclass(frozen=True)
class Scene:
    """
    An image and what is in it.

    `image` is uint8 RGB (H, W, 3). `boxes` is float32 (N, 4): left, top, right, bottom in pixels,
    the extent of the object's visible pixels, so an object behind another or over the border has
    the box of what is seen of it. `labels` is int64 (N), numbers into `objects.CLASSES`.
    `visibility` is float32 (N): the visible share of the pixels that the object would have alone
    on an endless image.
    """

    image: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray
    visibility: np.ndarray


def place(points: np.ndarray, item: Item) -> np.ndarray:
    """Project points (N, 2) of a drawing to pixels: yaw and pitch in perspective, then roll."""
    roll, yaw, pitch = np.radians([item.roll, item.yaw, item.pitch])
    x, y, z = points[:, 0] * np.cos(yaw), points[:, 1], -points[:, 0] * np.sin(yaw)
    y, z = y * np.cos(pitch) - z * np.sin(pitch), y * np.sin(pitch) + z * np.cos(pitch)
    # Seen from four heights away.
    x, y = x * 4 / (4 + z), y * 4 / (4 + z)
    return np.stack([item.x + item.height * (x * np.cos(roll) - y * np.sin(roll)),
                     item.y + item.height * (x * np.sin(roll) + y * np.cos(roll))], 1)


def _shade(shading: str, height: int, width: int, light: Light) -> np.ndarray:
    """Brightness (height, width, 1) of a patch that is one object."""
    v, u = np.mgrid[-1:1:height * 1j, -1:1:width * 1j].astype(np.float32)
    toward = np.radians(light.direction)
    facing = u * np.cos(toward) + v * np.sin(toward)
    field = 1 + light.strength * facing
    if shading == 'sphere':
        field = field * (1.1 - 0.5 * light.strength * (u * u + v * v) * 1.5)
    elif shading == 'cylinder':
        field = field * (1.1 - 0.8 * light.strength * u * u)
    return field[..., None]


def rasterize(item: Item, light: Light) -> tuple[int, int, np.ndarray, np.ndarray]:
    """
    Paint one item alone.

    :returns: left and top pixel of the patch, its colours float32 (h, w, 3) in 0..255 multiplied
        by its coverage, and its coverage float32 (h, w) in [0, 1].
    """
    parts, shading = item.drawing()
    polygons = [place(points, item) for points, _ in parts]
    everything = np.vstack(polygons)
    left, top = np.floor(everything.min(0)).astype(int) - 1
    right, bottom = np.ceil(everything.max(0)).astype(int) + 2
    width, height = int(right - left), int(bottom - top)
    canvas = np.zeros((height * _OVERSAMPLE, width * _OVERSAMPLE, 4), np.uint8)
    for points, (_, tint) in zip(polygons, parts):
        # Pixel centres of the canvas are at whole numbers, 4 bits behind the point.
        fixed = np.round(((points - [left, top]) * _OVERSAMPLE - 0.5) * 16).astype(np.int32)
        cv2.fillPoly(canvas, [fixed], (*(np.clip(tint, 0, 1) * 255).tolist(), 255), shift=4)
    patch = cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32)
    return int(left), int(top), patch[..., :3] * _shade(shading, height, width, light), \
        patch[..., 3] / 255


def _expose(image: np.ndarray, light: Light, rng: Generator) -> np.ndarray:
    """Apply light and camera to a float image; give uint8."""
    image = image * np.float32(light.gain) * np.array(light.cast, np.float32)
    if light.motion > 1:
        length = int(np.ceil(light.motion)) | 1
        kernel = np.zeros((length, length), np.float32)
        reach = light.motion / 2 * np.array([np.cos(np.radians(light.motion_angle)),
                                             np.sin(np.radians(light.motion_angle))])
        ends = [tuple(np.round(length // 2 + sign * reach).astype(int).tolist())
                for sign in (-1, 1)]
        cv2.line(kernel, ends[0], ends[1], 1.0)
        image = cv2.filter2D(image, -1, kernel / kernel.sum())
    if light.blur > 0.2:
        image = cv2.GaussianBlur(image, (0, 0), light.blur)
    if light.noise > 0:
        image = image + rng.standard_normal(image.shape, np.float32) * np.float32(light.noise)
    return np.clip(image, 0, 255).astype(np.uint8)


def paint(image: np.ndarray, owner: np.ndarray, number: int, item: Item,
          light: Light) -> int:
    """
    Paint one item over a float image (H, W, 3) and note its number in `owner` (int (H, W)).

    :returns: how many pixels the item covers, those beyond the border of the image included.
    """
    left, top, colours, coverage = rasterize(item, light)
    height, width = owner.shape
    rows = slice(max(top, 0), min(top + coverage.shape[0], height))
    columns = slice(max(left, 0), min(left + coverage.shape[1], width))
    covered = int(np.count_nonzero(coverage > 0.5))
    if rows.start < rows.stop and columns.start < columns.stop:
        inside = (slice(rows.start - top, rows.stop - top),
                  slice(columns.start - left, columns.stop - left))
        alpha = coverage[inside]
        image[rows, columns] *= 1 - alpha[..., None]
        image[rows, columns] += colours[inside]
        owner[rows, columns][alpha > 0.5] = number
    return covered


def render(background: np.ndarray, items: Sequence[Item], light: Light, rng: Generator,
           least_visibility: float = 0) -> Scene:
    """
    Paint items over a background (uint8 (H, W, 3)), the first one farthest away.

    :param least_visibility: an item that would be seen less than this share, or leave less of an
        earlier one, is left out.
    """
    image = background.astype(np.float32)
    owner = np.full(image.shape[:2], -1, np.int16)
    sizes: dict[int, int] = {}
    for number, item in enumerate(items):
        before = (image.copy(), owner.copy()) if least_visibility else None
        sizes[number] = paint(image, owner, number, item, light)
        if before is not None:
            seen = np.bincount(owner[owner >= 0], minlength=len(items))
            if any(seen[i] < least_visibility * sizes[i] for i in sizes
                   if items[i].label != _CLUTTER):
                image, owner = before
                del sizes[number]
    boxes, labels, visibility = [], [], []
    for number, size in sizes.items():
        mask = owner == number
        if items[number].label != _CLUTTER and mask.any():
            rows, columns = np.nonzero(mask.any(1))[0], np.nonzero(mask.any(0))[0]
            boxes.append([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])
            labels.append(items[number].label)
            visibility.append(np.count_nonzero(mask) / size)
    return Scene(_expose(image, light, rng), np.array(boxes, np.float32).reshape(-1, 4),
                 np.array(labels, np.int64), np.array(visibility, np.float32))
