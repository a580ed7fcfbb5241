"""
What a limited halo costs in exactness: relative error of two bands, by rows of halo, and the loss
of mAP of an image that device and edge divide.

    python bench/limited_halo.py [--images 300] [--output bench/results/limited_halo]

Each tensor is cut in the middle and both bands are computed as if the image ended where the halo
does (planning/limited_halo.py). Norms over the whole tensor, over the rows nearest to the cut, and
over the model's outputs. No timing, so the machine does not matter. The VGG19 has random weights.

For the loss of mAP the demo detector's images are divided as the nodes do it (way "divided"): each
side makes the detections of its part (tiling/part.py), and one suppression joins them.
"""

import argparse

import numpy as np
import torch
import torchvision
from tqdm import tqdm

import record
from intradp_ros.cli.eval import LEAST_SCORE
from intradp_ros.model import dataset, registry, zoo
from intradp_ros.model.accuracy import measure
from intradp_ros.model.capture import capture
from intradp_ros.model.detector import Detections
from intradp_ros.planning.limited_halo import limited_halo_error
from intradp_ros.scenes.scene import scene
from intradp_ros.tiling import split
from intradp_ros.tiling.engine import Engine
from intradp_ros.tiling.part import Division, Part

HALOS = (0, 16, 64, 118, None)
# Of divided images: halos (all of the image is exact), and the device's shares.
DIVIDED = (0, 16, 32, 64, 128, 480)
SHARES = (0.25, 0.5, 0.75)


def vgg19() -> tuple[Engine, np.ndarray, list[int]]:
    """Features of a VGG19 at 224, and its last pooling."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = registry.Outputs(torchvision.models.vgg19().features)
    registry.enliven(module.eval().requires_grad_(False), 0)
    image = registry.random_image((224, 224))
    graph = capture(module, image)
    return Engine(graph), image[0].permute(1, 2, 0).numpy().copy(), list(graph.outputs)


def demo() -> tuple[Engine, np.ndarray, list[int]]:
    """The demo detector at 640x480, its natural bottleneck and its last merge candidate."""
    detector = zoo.build('demo_detector', 'DEFAULT')
    graph = detector.graph
    merges = [split.bottleneck(graph).id, split.candidates(graph)[-1].id]
    return Engine(graph), scene(300).image, merges


def divided(images: int) -> list[dict[str, float]]:
    """Loss of mAP of the demo detector, by share and halo, on held-out scenes."""
    detector = zoo.build('demo_detector', 'DEFAULT', score_threshold=LEAST_SCORE)
    engine = Engine(detector.graph)
    height = detector.input_height
    divisions = [Division(round(share * height), halo) for halo in DIVIDED for share in SHARES]
    parts = [[Part(engine, division, lower) for lower in (False, True)] for division in divisions]
    samples = dataset.scenes(images, detector.labels, (480, 640))
    truths, whole = [], []
    found: list[list[Detections]] = [[] for _ in divisions]
    for number in tqdm(range(images), 'divided images'):
        sample = samples[number]
        truths.append(sample.truth)
        pixels, geometry = detector.preprocess(sample.image)
        whole.append(detector.postprocess(engine.run(pixels), geometry))
        for sides, joined in zip(parts, found):
            made = []
            for part in sides:
                frame = part.engine.start()
                part.feed(frame, 0, height, pixels)
                made.append(detector.postprocess_part(part.outputs(frame), geometry))
            joined.append(detector.join(made))
    best = measure(truths, whole)
    losses = []
    for division, joined in zip(divisions, found):
        reached = measure(truths, joined)
        losses.append({'share': division.cut / height, 'halo': division.halo,
                       'drop_50': best.map_50 - reached.map_50,
                       'drop_50_95': best.map_50_95 - reached.map_50_95})
    return losses


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split('\n\n')[0])
    parser.add_argument('--output', default='bench/results/limited_halo', metavar='PATH',
                        help='write PATH.json and PATH.md')
    parser.add_argument('--images', type=int, default=300, metavar='N',
                        help='scenes for the loss of mAP')
    args = parser.parse_args()
    rows = []
    for name, make in (('vgg19 features, 224x224', vgg19), ('demo_detector, 640x480', demo)):
        engine, image, merges = make()
        for merge in merges:
            tensor = engine.graph.tensors[merge]
            for halo in tqdm(HALOS, f'{name}, {tensor.name}'):
                error = limited_halo_error(engine, image, merge, tensor.rows // 2, halo)
                rows.append({'model': name, 'tensor': tensor.name, 'rows': tensor.rows,
                             'halo': halo, 'error': error.merge, 'beside': error.beside,
                             'outputs': error.outputs})
    lines = ['Relative error (norm) when a tensor is computed in two bands with so many rows of '
             f'halo; torch {torch.__version__}.', '',
             '| model | tensor | halo px | error | beside the cut | outputs |',
             '|---|---|--:|--:|--:|--:|']
    lines += [f"| {r['model']} | {r['tensor']} | {'all' if r['halo'] is None else r['halo']} | "
              f"{r['error']:.2g} | {r['beside']:.2g} | {r['outputs']:.2g} |" for r in rows]
    losses = divided(args.images)
    lines += ['', f'Loss of mAP@[.5:.95] of the demo detector (of mAP@0.5 in brackets) on '
              f'{args.images} held-out scenes divided between device and edge, by rows of halo '
              "and the device's share of the image.", '',
              '| halo px | ' + ' | '.join(f'share {s:g}' for s in SHARES) + ' |',
              '|--:|' + '--:|' * len(SHARES)]
    for halo in DIVIDED:
        lines.append(f'| {halo} | ' + ' | '.join(
            f"{r['drop_50_95']:.4f} ({r['drop_50']:.4f})" for r in losses
            if r['halo'] == halo) + ' |')
    record.write(args.output, {'errors': rows, 'divided': losses}, '\n'.join(lines) + '\n')
    print('\n'.join(lines))


if __name__ == '__main__':
    main()
