"""
Draw the example pictures of doc/demo_detector.md: what the packaged weights find.

    python bench/draw_demo_scenes.py doc
"""

import argparse
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from intradp_ros import files
from intradp_ros.model import draw, zoo
from intradp_ros.model.detector import Detector
from intradp_ros.scenes.scene import scene
from intradp_ros.scenes.video import play

COLUMNS, CELL = 3, (480, 360)


def detected(detector: Detector, image: np.ndarray) -> np.ndarray:
    """The image with what is found in it, at the size of one cell of the picture."""
    shown = draw.annotate(image, detector.detect(image), detector.labels)
    return cv2.resize(shown, CELL, interpolation=cv2.INTER_AREA)


def save(cells: list[np.ndarray], path: Path) -> None:
    picture = draw.grid(cells, COLUMNS)[..., ::-1]
    data = cv2.imencode('.jpg', picture, [cv2.IMWRITE_JPEG_QUALITY, 80])[1]
    files.write(path, data.tobytes())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument('folder', type=Path)
    parser.add_argument('--first', type=int, default=300, help='seed of the first scene')
    args = parser.parse_args()
    detector = zoo.build('demo_detector', 'DEFAULT')
    save([detected(detector, scene(args.first + i).image) for i in tqdm(range(6), 'scenes')],
         args.folder / 'demo_scenes.jpg')
    save([detected(detector, play(0, frame).image) for frame in tqdm((0, 30, 60), 'video')],
         args.folder / 'demo_video.jpg')


if __name__ == '__main__':
    main()
