"""The models of the comparison, the images they are shown, and what they find there."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch

from intradp_ros.errors import ParameterError
from intradp_ros.model import accuracy, zoo
from intradp_ros.model.detector import Detections, Detector, parse_size
from intradp_ros.scenes import sources
from testbed.summary import Frame

# Parameters of both nodes. Random weights are sure of nothing: a low threshold gives boxes to
# compare all the same. RetinaNet's own input of 800 pixels would take most of a minute a frame on
# a quarter of a core.
_RANDOM = {'weights': 'random', 'score_threshold': 0.005}
MODELS: dict[str, dict[str, object]] = {
    'demo_detector': {},
    'ssdlite320_mobilenet_v3_large': _RANDOM,
    'retinanet_resnet50_fpn': _RANDOM | {'input_size': '320x256'},
    'mobilenet_v2': _RANDOM,
    'vgg19': _RANDOM,
}
IMAGES = 12


def parameters(name: str, size: str = '') -> dict[str, object]:
    """
    Give the parameters by which the nodes build a model.

    :param size: WIDTHxHEIGHT of its input; '' for the usual one.
    :raises ParameterError: for a model that is not in the zoo.
    """
    if name not in zoo.names():
        raise ParameterError(f'{name!r} is not in the zoo; there are: '
                             f'{", ".join(zoo.names())}')
    return {'model': name} | MODELS.get(name, _RANDOM) | ({'input_size': size} if size else {})


def build(given: dict[str, object]) -> Detector:
    """Build the detector that such parameters name, as the nodes do."""
    torch.set_num_threads(1)
    size = str(given.get('input_size', ''))
    return zoo.build(str(given['model']), str(given.get('weights', 'DEFAULT')), 0,
                     parse_size(size) if size else None, given.get('score_threshold', 0.4), 100)


def draw_images(path: Path, seed: int, height: int = 480, width: int = 640) -> np.ndarray:
    """
    Draw what the cameras show, the same in every run of a seed; written once.

    :returns: uint8 RGB (N, height, width, 3).
    """
    if not path.exists():
        shots = [next(sources.open_source('scenes', str(seed + number), height, width))
                 for number in range(IMAGES)]
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.with_suffix('.new').open('wb') as file:
            np.save(file, np.stack([shot.image for shot in shots]))
        path.with_suffix('.new').replace(path)
    return np.load(path)


def differing(frames: Iterable[Frame], reference: dict[int, Detections]) -> int:
    """Count frames whose detections are not those of the whole model on the camera's image."""
    return sum(bool(detections(frame).differs(reference[frame.image]))
               for frame in frames if frame.detections)


def agreement(frames: Iterable[Frame], reference: dict[int, Detections]) -> float | None:
    """
    Give the mAP@[.5:.95] of what was found, with what the whole model finds on the camera's image
    taken for the truth; None where it finds nothing, or nothing was heard.
    """
    heard = [frame for frame in frames if frame.detections]
    whole = [reference[frame.image] for frame in heard]
    if not any(map(len, whole)):
        return None
    return accuracy.measure([accuracy.Truth(w.boxes, w.labels) for w in whole],
                            [detections(frame) for frame in heard]).map_50_95


def detections(frame: Frame) -> Detections:
    """Give the detections that were heard of a frame."""
    heard = frame.detections
    return Detections(np.array(heard['boxes'], np.float32).reshape(-1, 4),
                      np.array(heard['scores'], np.float32), np.array(heard['labels'], np.int64))
