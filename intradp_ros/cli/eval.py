"""
Measure accuracy: the whole model, and what every mode and codec changes about it.

Each image goes through each way of computing it, in this process: what the device would encode is
encoded and decoded, so the accuracy is that of a robot and an edge server with a good link.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from intradp_ros import files
from intradp_ros.errors import ParameterError
from intradp_ros.model import dataset, draw, zoo
from intradp_ros.model.accuracy import Truth, count_found, match, measure
from intradp_ros.model.dataset import Sample, Samples
from intradp_ros.model.detector import Detections, Detector, parse_size
from intradp_ros.tiling.codec import CODECS
from intradp_ros.tiling.modes import MODES, Cut, Run

# Low scores count for the mean average precision too, as in COCO's own evaluation.
LEAST_SCORE = 0.01
# Mode and codec.
Way = tuple[str, str | None]
# Images in the picture of the worst cases.
WORST = 6


@dataclass(frozen=True)
class Result:
    """
    Accuracy of one way. `codec` is None where nothing is sent.

    `map_drop` is by how much `map_50_95` is lower than that of the whole model in one process;
    `bytes_per_frame` is a mean.
    """

    model: str
    mode: str
    codec: str | None
    map_50: float
    map_50_95: float
    map_drop: float
    bytes_per_frame: float


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `intradp eval`."""
    parser.add_argument('--model', default='demo_detector', metavar='NAME',
                        help='detector (default: %(default)s)')
    parser.add_argument('--weights', default='DEFAULT', metavar='FILE',
                        help='state_dict file, DEFAULT or random (default: %(default)s)')
    parser.add_argument('--data', default='scenes', metavar='scenes|DIR',
                        help="drawn held-out scenes, or a folder in COCO's format "
                             '(default: %(default)s)')
    parser.add_argument('--images', type=int, default=300, metavar='N',
                        help='how many images (default: %(default)s)')
    parser.add_argument('--seed', type=int, default=0, metavar='N',
                        help='of the first scene (default: %(default)s)')
    parser.add_argument('--size', metavar='WIDTHxHEIGHT',
                        help="model input in pixels (default: the model's own)")
    parser.add_argument('--mode', action='append', choices=list(MODES), metavar='MODE',
                        help=f'of {", ".join(MODES)}; may be repeated (default: all)')
    parser.add_argument('--codec', action='append', choices=list(CODECS), metavar='CODEC',
                        help=f'of {", ".join(CODECS)}; may be repeated (default: all that fit)')
    parser.add_argument('--tiles', type=int, default=Cut().tiles, metavar='N',
                        help='tiles a frame (default: %(default)s)')
    parser.add_argument('--merge', default='', metavar='TENSOR',
                        help='mode split: where device and edge meet (default: the natural '
                             'bottleneck)')
    parser.add_argument('--share', type=float, default=Cut().share, metavar='S',
                        help="mode split: the device's share of its rows (default: %(default)s)")
    parser.add_argument('--score', type=float, default=0.4, metavar='S',
                        help='least score of a detection in the picture (default: %(default)s)')
    parser.add_argument('--picture', type=Path, metavar='FILE',
                        help='write a picture (PNG or JPEG) of the worst cases')
    parser.add_argument('--json', action='store_true', help='print only JSON, on stdout')


def ways(modes: Sequence[str] | None, codecs: Sequence[str] | None) -> list[Way]:
    """
    List the pairs of mode and codec that are asked for, the whole model first.

    :raises ParameterError: when a mode that is asked for can use none of the codecs.
    """
    chosen: list[Way] = [('local', None)]
    for mode in modes or MODES:
        usable = [c for c in MODES[mode].codecs if c is None or not codecs or c in codecs]
        if modes and not usable:
            names = ', '.join(map(str, MODES[mode].codecs))
            raise ParameterError(f'mode {mode} can use the codecs {names}; asked for '
                                 f'{", ".join(codecs or ())}')
        chosen += [(mode, codec) for codec in usable if (mode, codec) not in chosen]
    return chosen


def prepare(detector: Detector, chosen: Sequence[Way], cut: Cut,
            asked: Sequence[str]) -> dict[Way, Run]:
    """
    Prepare each way; one that the detector does not allow is left out, with a word on stderr.

    :param asked: modes that must not be left out.
    :raises ParameterError: when one of these cannot be run.
    """
    runs: dict[Way, Run] = {}
    for mode, codec in chosen:
        try:
            runs[mode, codec] = MODES[mode].prepare(
                detector, CODECS[codec] if codec else None, cut)
        except ParameterError as error:
            if mode in asked:
                raise
            print(f'mode {mode} with codec {codec} is left out: {error}', file=sys.stderr)
    return runs


def detect(detector: Detector, samples: Samples,
           runs: Sequence[Run]) -> tuple[list[Truth], list[list[Detections]], np.ndarray]:
    """
    Send every image through every way.

    :returns: the truths; for each way the detections of each image; the mean bytes of each way.
    """
    truths: list[Truth] = []
    found: list[list[Detections]] = [[] for _ in runs]
    sent = np.zeros(len(runs))
    for number in tqdm(range(len(samples)), 'images', file=sys.stderr, unit='image'):
        sample = samples[number]
        truths.append(sample.truth)
        pixels, geometry = detector.preprocess(sample.image)
        for i, run in enumerate(runs):
            raw, count = run(pixels)
            found[i].append(detector.postprocess(raw, geometry))
            sent[i] += count
    return truths, found, sent / len(samples)


def _only(found: Detections, kept: np.ndarray) -> Detections:
    return Detections(found.boxes[kept], found.scores[kept], found.labels[kept])


def above(found: Detections, score: float) -> Detections:
    """Keep the detections of at least this score."""
    return _only(found, found.scores >= score)


def faults(truth: Truth, found: Detections) -> int:
    """Count the objects that were missed and the detections of nothing."""
    right, wanted = count_found(truth, found)
    return wanted - right + int(np.count_nonzero(match(truth, found) < 0))


def _case(sample: Sample, found: Detections, labels: tuple[str, ...]) -> np.ndarray:
    """Picture of one image: finds green, false detections yellow, what was missed red."""
    pairs = match(sample.truth, found)
    missed = np.setdiff1d(np.arange(len(sample.truth.labels)), pairs)
    picture = sample.image
    for part, tint in ((_only(found, pairs >= 0), (60, 200, 80)),
                       (_only(found, pairs < 0), (255, 225, 25))):
        picture = draw.boxes(picture, part.boxes, part.labels, labels, part.scores, tint)
    picture = draw.boxes(picture, sample.truth.boxes[missed], sample.truth.labels[missed], labels,
                         tint=(255, 60, 60))
    return cv2.resize(picture, (640, 480), interpolation=cv2.INTER_AREA)


def worst_cases(samples: Samples, truths: Sequence[Truth], found: Sequence[Detections],
                labels: tuple[str, ...]) -> np.ndarray:
    """Picture (uint8 RGB) of the images with most faults, three in a row."""
    counts = [faults(truth, d) for truth, d in zip(truths, found)]
    order = np.argsort(-np.array(counts), kind='stable')[:WORST]
    return draw.grid([_case(samples[int(i)], found[i], labels) for i in order], 3)


def _samples(args: argparse.Namespace, detector: Detector) -> Samples:
    if args.images < 1 or args.tiles < 1 or args.seed < 0 or not 0 <= args.share <= 1:
        raise ParameterError(f'--images and --tiles must be at least 1, --seed at least 0 and '
                             f'--share within 0..1, got {args.images}, {args.tiles}, {args.seed} '
                             f'and {args.share}')
    if args.data == 'scenes':
        return dataset.scenes(args.images, detector.labels, (480, 640), args.seed)
    if not Path(args.data).is_dir():
        raise ParameterError(f'--data {args.data} is no folder (nor "scenes")')
    return dataset.coco(Path(args.data), detector.labels, args.images)


def _print_table(results: Sequence[Result], images: int, data: str) -> None:
    print(f'{results[0].model} on {images} images of {data}')
    print(f'{"mode":10} {"codec":8} {"mAP@.5":>7} {"mAP@[.5:.95]":>13} {"drop":>8} '
          f'{"kB/frame":>9}')
    for r in results:
        print(f'{r.mode:10} {r.codec or "-":8} {r.map_50:7.3f} {r.map_50_95:13.3f} '
              f'{r.map_drop:+8.4f} {r.bytes_per_frame / 1000:9.1f}')


def run(args: argparse.Namespace) -> int:
    """
    Run `intradp eval`; raises IntraDPError for options that cannot work.

    :returns: the exit code.
    """
    chosen = ways(args.mode, args.codec)
    picture = args.picture
    if picture and picture.suffix.lower() not in ('.png', '.jpg', '.jpeg'):
        raise ParameterError(f'--picture must end in .png or .jpg, got {picture}')
    if args.model in zoo.classifiers():
        raise ParameterError(f'{args.model} is a classifier; what is measured is the mean average '
                             f'precision of detectors: {", ".join(zoo.detectors())}')
    detector = zoo.build(args.model, args.weights, score_threshold=LEAST_SCORE,
                         input_size=parse_size(args.size) if args.size else None)
    samples = _samples(args, detector)
    runs = prepare(detector, chosen, Cut(args.tiles, merge=args.merge, share=args.share),
                   args.mode or ())
    truths, found, sent = detect(detector, samples, list(runs.values()))
    reached = [measure(truths, each) for each in found]
    results = [Result(args.model, mode, codec, a.map_50, a.map_50_95,
                      reached[0].map_50_95 - a.map_50_95, float(size))
               for (mode, codec), a, size in zip(runs, reached, sent)]
    if args.json:
        print(json.dumps([asdict(r) for r in results], indent=1))
    else:
        _print_table(results, len(samples), args.data)
    if picture:
        worst = int(np.argmax([r.map_drop for r in results]))
        shown = worst_cases(samples, truths, [above(d, args.score) for d in found[worst]],
                            detector.labels)
        files.write(picture, cv2.imencode(picture.suffix, shown[..., ::-1])[1].tobytes())
        print(f'worst cases of {results[worst].mode} {results[worst].codec or ""}: {picture}',
              file=sys.stderr)
    return 0
