"""
Accuracy of the demo detector when its narrow tensor travels in fewer bits: the table of its page.

    python bench/narrow_accuracy.py [--scenes 300] [--json]

The narrow tensor is all that crosses that cut, so sending it instead of the image is exact in
float32; float16 and 8 bits a value (affine, by channel) are not, and this says what they cost.
"""

import argparse
import json
import zlib
from collections.abc import Callable

import torch
from torch import Tensor
from tqdm import tqdm

from intradp_ros.model import dataset, zoo
from intradp_ros.model.accuracy import measure
from intradp_ros.model.detector import Detector

# What arrives of the tensor, and its bytes on the link.
Travel = Callable[[Tensor], tuple[Tensor, int]]


def as_float32(x: Tensor) -> tuple[Tensor, int]:
    return x, 4 * x.numel()


def as_float16(x: Tensor) -> tuple[Tensor, int]:
    return x.half().float(), 2 * x.numel()


def affine(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Eight bits a value between the least and the greatest of its channel (1, C, H, W)."""
    low, high = (f(x, (2, 3), keepdim=True) for f in (torch.amin, torch.amax))
    step = ((high - low) / 255).clamp(min=1e-12)
    return ((x - low) / step).round().to(torch.uint8), low, step


def as_uint8(x: Tensor) -> tuple[Tensor, int]:
    levels, low, step = affine(x)
    return levels.float() * step + low, levels.numel() + 8 * x.shape[1]


def as_uint8_zlib(x: Tensor) -> tuple[Tensor, int]:
    levels, low, step = affine(x)
    # Rows of one channel lie side by side: neighbours are alike.
    data = zlib.compress(levels.permute(0, 2, 1, 3).contiguous().numpy(), 1)
    return levels.float() * step + low, len(data) + 8 * x.shape[1]


TRAVELS: dict[str, Travel] = {
    'float32': as_float32, 'float16': as_float16, 'uint8': as_uint8, 'uint8 + zlib': as_uint8_zlib}


def measure_all(detector: Detector, scenes: int) -> list[dict]:
    samples = dataset.scenes(scenes, detector.labels, (480, 640))
    truths, found, sent = [], {name: [] for name in TRAVELS}, dict.fromkeys(TRAVELS, 0)
    for number in tqdm(range(scenes), 'scenes'):
        sample = samples[number]
        truths.append(sample.truth)
        pixels, geometry = detector.preprocess(sample.image)
        for name, travel in TRAVELS.items():
            def hook(_, __, output, name=name, travel=travel):
                arrived, size = travel(output)
                sent[name] += size
                return arrived
            handle = detector.dense.narrow.register_forward_hook(hook)
            found[name].append(detector.postprocess(detector.raw(pixels), geometry))
            handle.remove()
    rows = []
    for name in TRAVELS:
        reached = measure(truths, found[name])
        rows.append({'format': name, 'bytes_per_frame': round(sent[name] / scenes),
                     'map_50': reached.map_50, 'map_50_95': reached.map_50_95})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument('--scenes', type=int, default=300)
    parser.add_argument('--json', action='store_true', help='print only JSON, on stdout')
    args = parser.parse_args()
    rows = measure_all(zoo.build('demo_detector', 'DEFAULT', score_threshold=0.01), args.scenes)
    if args.json:
        print(json.dumps(rows, indent=1))
        return
    print('| format | kB/frame | mAP@0.5 | mAP@[.5:.95] |\n|---|---|---|---|')
    for row in rows:
        print(f'| {row["format"]} | {row["bytes_per_frame"] / 1000:.1f} | {row["map_50"]:.4f} '
              f'| {row["map_50_95"]:.4f} |')


if __name__ == '__main__':
    main()
