"""
What a limited halo costs in exactness: relative error of two bands, by rows of halo.

    python bench/limited_halo.py [--output bench/results/limited_halo]

Each tensor is cut in the middle and both bands are computed as if the image ended where the halo
does (planning/limited_halo.py). Norms over the whole tensor, over the rows nearest to the cut, and
over the model's outputs. No timing, so the machine does not matter. The VGG19 has random weights.
"""

import argparse

import numpy as np
import torch
import torchvision
from tqdm import tqdm

import record
from intradp_ros.model import registry, zoo
from intradp_ros.model.capture import capture
from intradp_ros.planning.limited_halo import limited_halo_error
from intradp_ros.scenes.scene import scene
from intradp_ros.tiling import split
from intradp_ros.tiling.engine import Engine

HALOS = (0, 16, 64, 118, None)


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split('\n\n')[0])
    parser.add_argument('--output', default='bench/results/limited_halo', metavar='PATH',
                        help='write PATH.json and PATH.md')
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
    record.write(args.output, rows, '\n'.join(lines) + '\n')
    print('\n'.join(lines))


if __name__ == '__main__':
    main()
