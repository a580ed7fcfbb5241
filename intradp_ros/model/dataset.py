"""Images with known objects, to measure accuracy on: drawn scenes, or a folder as COCO has it."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from intradp_ros.errors import ImageError, ParameterError
from intradp_ros.model.accuracy import Truth
from intradp_ros.scenes.objects import CLASSES
from intradp_ros.scenes.scene import scene


@dataclass(frozen=True)
class Sample:
    """One image, uint8 RGB (H, W, 3), with its name and what is in it."""

    name: str
    image: np.ndarray
    truth: Truth


@dataclass(frozen=True)
class Samples:
    """A sequence of samples, each made or read when it is asked for."""

    count: int
    load: Callable[[int], Sample]

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, number: int) -> Sample:
        if not 0 <= number < self.count:
            raise IndexError(number)
        return self.load(number)


def _numbers(names: Sequence[str], labels: Sequence[str], source: str) -> np.ndarray:
    """
    Find the model's class number of each of a data set's class names; -1 where it has none.

    :raises ParameterError: when the model knows none of them.
    """
    known = {label.replace('_', ' '): i for i, label in enumerate(labels)}
    numbers = np.array([known.get(name.replace('_', ' '), -1) for name in names])
    if (numbers < 0).all():
        raise ParameterError(f'the model knows none of the classes of {source} '
                             f'({", ".join(names[:8])}); it knows {", ".join(labels[:8])} ...')
    return numbers


def _truth(boxes: np.ndarray, numbers: np.ndarray, ignored: np.ndarray) -> Truth:
    """Leave out what the model has no class for."""
    known = numbers >= 0
    return Truth(boxes[known], numbers[known], ignored[known])


def scenes(count: int, labels: Sequence[str], size: tuple[int, int], first: int = 0) -> Samples:
    """
    Give held-out scenes with the seeds `first`, `first` + 1 and so on.

    :param labels: the model's class names; objects of other classes are left out of the truth.
    :param size: (height, width) in pixels.
    :raises ParameterError: when the model knows none of the classes of the scenes.
    """
    numbers = _numbers(CLASSES, labels, 'the scenes')

    def load(number: int) -> Sample:
        shown = scene(first + number, size=size)
        return Sample(f'scene {first + number}', shown.image,
                      _truth(shown.boxes, numbers[shown.labels],
                             np.zeros(len(shown.labels), bool)))
    return Samples(count, load)


def _annotation_file(folder: Path) -> Path:
    found = [path for pattern in ('*.json', 'annotations/instances*.json', 'annotations/*.json')
             for path in sorted(folder.glob(pattern))]
    # With several, the one of the validation images.
    found.sort(key=lambda path: 'val' not in path.name)
    if not found:
        raise ParameterError(f'no COCO annotations in {folder}: expected {folder}/*.json or '
                             f'{folder}/annotations/*.json')
    return found[0]


def coco(folder: Path, labels: Sequence[str], count: int | None = None) -> Samples:
    """
    Read a folder in COCO's format: annotations/*.json or *.json, and images anywhere below.

    Categories are matched to the model's by name; crowds are ignored.

    :param labels: the model's class names; objects of other classes are left out of the truth.
    :param count: first images only.
    :raises ParameterError: when there are no annotations, no images, or no class in common.
    """
    path = _annotation_file(folder)
    try:
        content = json.loads(path.read_text())
        images = content['images'][:count]
        categories = {c['id']: i for i, c in enumerate(content['categories'])}
        numbers = _numbers([c['name'] for c in content['categories']], labels, str(path))
        rows: dict[int, list] = {image['id']: [] for image in images}
        for a in content['annotations']:
            if a['image_id'] in rows:
                left, top, width, height = a['bbox']
                rows[a['image_id']].append([left, top, left + width, top + height,
                                            numbers[categories[a['category_id']]],
                                            a.get('iscrowd', 0)])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ParameterError(f"{path} is not in COCO's format: "
                             f'{type(error).__name__} {error}') from error
    # COCO's own file names lack the folder of their split (val2017/...).
    below = {file.name: file for file in folder.rglob('*')
             if file.suffix.lower() in ('.jpg', '.jpeg', '.png')}
    files = [named if (named := folder / image['file_name']).is_file() else below.get(named.name)
             for image in images]
    missing = [image['file_name'] for image, file in zip(images, files) if file is None]
    if missing or not images:
        raise ParameterError(f'{len(missing)} of the {len(images)} images of {path} are not below '
                             f'{folder}' + (f': {missing[0]} ...' if missing else ''))

    def load(number: int) -> Sample:
        pixels = cv2.imread(str(files[number]), cv2.IMREAD_COLOR)
        if pixels is None:
            raise ImageError(f'cannot decode {files[number]}')
        table = np.array(rows[images[number]['id']], np.float32).reshape(-1, 6)
        return Sample(images[number]['file_name'], cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB),
                      _truth(table[:, :4], table[:, 4].astype(np.int64), table[:, 5] > 0))
    return Samples(len(images), load)
