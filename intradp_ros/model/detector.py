"""
A detector in three parts: preprocess, dense part, postprocess.

The dense part (everything from the uint8 input to the raw head outputs) is what tiles, planners
and both nodes work on. What depends on the data (anchors, non-maximum suppression, regions of
interest) stays in the postprocess, which runs once, where all raw outputs are.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn
from torchvision.ops import batched_nms

from intradp_ros.errors import ImageError, ParameterError
from intradp_ros.model.capture import capture
from intradp_ros.model.graph import Graph


@dataclass(frozen=True)
class Geometry:
    """
    How a source image lies in the model's input.

    The source is scaled by (`scale_y`, `scale_x`) into the upper left corner of the input; what is
    right of it and below it is padding.
    """

    source_height: int
    source_width: int
    input_height: int
    input_width: int
    content_height: int
    content_width: int

    @property
    def scale_y(self) -> float:
        """Input rows for each source row."""
        return self.content_height / self.source_height

    @property
    def scale_x(self) -> float:
        """Input columns for each source column."""
        return self.content_width / self.source_width

    @classmethod
    def fit(cls, source: tuple[int, int], target: tuple[int, int], stretch: bool) -> 'Geometry':
        """
        Lay a source of (height, width) pixels into a target of (height, width) pixels.

        :param stretch: fill the target, at the cost of the aspect ratio (as SSD was trained); else
            keep the ratio and pad.
        :raises ImageError: when a side is not positive.
        """
        (source_height, source_width), (height, width) = source, target
        if min(source_height, source_width, height, width) < 1:
            raise ImageError(f'cannot fit an image of {source_height}x{source_width} pixels '
                             f'(height x width) into {height}x{width}')
        if stretch:
            return cls(source_height, source_width, height, width, height, width)
        scale = min(height / source_height, width / source_width)
        return cls(source_height, source_width, height, width,
                   min(height, max(1, round(source_height * scale))),
                   min(width, max(1, round(source_width * scale))))


@dataclass(frozen=True)
class Detections:
    """
    Objects found in one image.

    `boxes` is float32 (N, 4): left, top, right, bottom, in pixels of the image that `Geometry`
    calls the source. `scores` is float32 (N), in [0, 1], descending. `labels` is int64 (N): class
    numbers.
    """

    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.scores)

    def differs(self, other: 'Detections', score_tol: float = 1e-4, box_tol: float = 1e-2) -> str:
        """Say in words how two results differ, or return '' when they are equal to tolerance."""
        if len(self) != len(other):
            return f'{len(self)} objects against {len(other)}'
        if not len(self):
            return ''
        # Equal scores may come in another order, so objects are paired by what they are and where.
        boxes = np.abs(self.boxes[:, None] - other.boxes[None]).max(2)
        scores = np.abs(self.scores[:, None] - other.scores[None])
        cost = np.maximum(boxes / box_tol, scores / score_tol)
        cost[self.labels[:, None] != other.labels[None]] = 1e9
        pairs = linear_sum_assignment(np.minimum(cost, 1e9))
        if cost[pairs].max() >= 1e9:
            return 'classes differ'
        if cost[pairs].max() > 1:
            return (f'scores differ by up to {scores[pairs].max():.2g}, '
                    f'boxes by up to {boxes[pairs].max():.2g} px')
        return ''


# Raw head outputs and the size of the input (height, width) -> boxes (N, 4), scores (N), labels
# (N) in input pixels.
Decode = Callable[[tuple[Tensor, ...], tuple[int, int]], tuple[Tensor, Tensor, Tensor]]


@dataclass(frozen=True)
class Joining:
    """
    How detections are made from a part of the raw outputs, and those of several parts are joined.

    `nothing` has one entry for each kind of raw output (they come level by level, each level in
    this order): its value, in channels (repeated to as many as there are), where no object is.
    `overlap` is the least overlap (IoU) at which non-maximum suppression takes two objects of a
    class for one, `most` how many objects are kept.
    """

    nothing: tuple[tuple[float, ...], ...]
    overlap: float
    most: int


@dataclass
class Detector:
    """
    One object detector, ready to be split.

    `dense` maps a uint8 image (1, 3, H, W) to the raw head outputs, a tuple of tensors; its first
    operation is the normalisation. `decode` turns these into boxes in input pixels; `settings`
    names what else decides its result (thresholds), for the fingerprint. `joining` is None where
    detections cannot be made from a part of the outputs (two-stage detectors: a region needs
    features of all of it).
    """

    name: str
    dense: nn.Module
    decode: Decode
    labels: tuple[str, ...]
    input_height: int
    input_width: int
    stretch: bool = False
    device: str = 'cpu'
    settings: str = ''
    joining: Joining | None = None

    def __post_init__(self):
        self.dense.eval().requires_grad_(False).to(self.device, memory_format=torch.channels_last)

    @cached_property
    def graph(self) -> Graph:
        """The dense part as an operator graph; captured at the first use, in seconds."""
        return capture(self.dense, torch.zeros(
            1, 3, self.input_height, self.input_width, dtype=torch.uint8, device=self.device))

    @cached_property
    def fingerprint(self) -> str:
        """Hash of all that decides the result: graph, weights, thresholds (16 hex digits)."""
        digest = hashlib.sha256(f'{self.name} {self.input_width}x{self.input_height} '
                                f'{self.stretch} {self.labels} {self.settings} '
                                f'{self.graph.fingerprint}'.encode())
        return digest.hexdigest()[:16]

    @property
    def identity(self) -> str:
        """Name and fingerprint in one word: both sides of a split must agree on it."""
        return f'{self.name}#{self.fingerprint}'

    @property
    def input_bytes(self) -> int:
        """Bytes of the uint8 input."""
        return int(np.prod(self.input_shape))

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Shape of the uint8 input: (height, width, 3)."""
        return self.input_height, self.input_width, 3

    def geometry(self, source: tuple[int, int]) -> Geometry:
        """Say how an image of (height, width) pixels lies in the input; raises ImageError."""
        return Geometry.fit(source, (self.input_height, self.input_width), self.stretch)

    def preprocess(self, image: np.ndarray) -> tuple[np.ndarray, Geometry]:
        """
        Resize a uint8 RGB image (H, W, 3) to the model's input.

        :returns: the uint8 input (input_height, input_width, 3), rows contiguous, and its
            geometry.
        :raises ImageError: when the image is not uint8 of three channels.
        """
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise ImageError(f'expected a uint8 image (height, width, 3), got {image.dtype} '
                             f'{tuple(image.shape)}')
        geometry = self.geometry(image.shape[:2])
        size = geometry.content_width, geometry.content_height
        if image.shape[1::-1] != size:
            shrinks = size[0] < image.shape[1]
            image = cv2.resize(image, size,
                               interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
        if size == (self.input_width, self.input_height):
            return np.ascontiguousarray(image), geometry
        padded = np.zeros(self.input_shape, np.uint8)
        padded[:size[1], :size[0]] = image
        return padded, geometry

    def raw(self, pixels: np.ndarray) -> tuple[Tensor, ...]:
        """Run the whole dense part on a preprocessed input (input_height, input_width, 3)."""
        x = torch.from_numpy(pixels).permute(2, 0, 1)[None].to(self.device)
        with torch.inference_mode():
            return self.dense(x)

    def postprocess(self, raw: tuple[Tensor, ...], geometry: Geometry) -> Detections:
        """Turn raw head outputs into detections in source pixels, best score first."""
        with torch.inference_mode():
            boxes, scores, labels = self.decode(raw, (self.input_height, self.input_width))
            order = torch.argsort(scores, descending=True, stable=True)
            found = [t[order].cpu().numpy() for t in (boxes, scores, labels)]
        content = np.array([geometry.content_width, geometry.content_height] * 2, np.float32)
        scale = np.array([geometry.scale_x, geometry.scale_y] * 2, np.float32)
        pixels = np.clip(found[0].astype(np.float32), 0, content) / scale
        # A box that lay in the padding alone has no area left.
        inside = (pixels[:, 2] > pixels[:, 0]) & (pixels[:, 3] > pixels[:, 1])
        return Detections(pixels[inside], found[1][inside].astype(np.float32), found[2][inside])

    def postprocess_part(self, rows: Sequence[tuple[int, Tensor] | None],
                         geometry: Geometry) -> Detections:
        """
        Turn some rows of the raw head outputs into the detections that come from them.

        :param rows: of each raw output its first row that is there, and rows from there on (in
            dimension 2); None where there are none.
        :raises ParameterError: when this detector cannot do that.
        """
        nothing, raw = self.check_joining().nothing, []
        for number, (output, found) in enumerate(zip(self.graph.outputs, rows)):
            _, channels, height, width = self.graph.tensors[output].shape
            value = torch.tensor(nothing[number % len(nothing)], device=self.device)
            value = value.repeat(channels // len(value)).view(1, channels, 1, 1)
            whole = value.repeat(1, 1, height, width)
            if found is not None:
                begin, there = found
                whole[:, :, begin:begin + there.shape[2]] = there
            raw.append(whole)
        return self.postprocess(tuple(raw), geometry)

    def join(self, parts: Sequence[Detections]) -> Detections:
        """
        Make one result of the detections of several parts: an object seen in two counts once.

        :raises ParameterError: when this detector cannot do that.
        """
        joining = self.check_joining()
        # No part of ours has more; one that a network brought must not cost more either.
        most = joining.most
        boxes, scores, labels = (np.concatenate(column) for column in zip(
            *((p.boxes[:most], p.scores[:most], p.labels[:most]) for p in parts)))
        kept = batched_nms(torch.from_numpy(boxes), torch.from_numpy(scores),
                           torch.from_numpy(labels), joining.overlap)
        best = kept[:most].numpy()
        return Detections(boxes[best], scores[best], labels[best])

    def check_joining(self) -> Joining:
        """
        Say how parts are joined.

        :raises ParameterError: when detections cannot be made from parts.
        """
        if self.joining is None:
            raise ParameterError(f'{self.name} makes detections of the whole image only: it '
                                 'cannot be divided')
        return self.joining

    def detect(self, image: np.ndarray) -> Detections:
        """Detect objects in a uint8 RGB image (H, W, 3): the whole model, here and now."""
        pixels, geometry = self.preprocess(image)
        return self.postprocess(self.raw(pixels), geometry)


def parse_size(text: str) -> tuple[int, int]:
    """
    Read 'WIDTHxHEIGHT' (pixels) as (height, width).

    :raises ParameterError: when the text is not of that form.
    """
    try:
        width, height = (int(part) for part in text.lower().split('x'))
    except ValueError:
        raise ParameterError(f'expected a size like 640x480 (width x height), '
                             f'got {text!r}') from None
    if not (32 <= width <= 8192 and 32 <= height <= 8192):
        raise ParameterError(f'width and height must lie in 32..8192 pixels, got {text!r}')
    return height, width
