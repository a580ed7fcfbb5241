"""
What an edge would gain by computing frames of several robots at once: time an image by batch.

    python bench/batching.py [MODEL ...] [--batches 1 2 4 8] [--repeat 7] [--threads 1]
    [--device cpu] [--output bench/results/batching]

Eager torch in channels_last under inference_mode, as the tile engine computes one image at a time;
the batches of a model run in turn within one process, times are medians.
"""

import argparse
from statistics import median
from time import perf_counter

import torch
from tqdm import tqdm

import command
import record
from intradp_ros.model import registry
from intradp_ros.planning.measure import processor

MODELS = 'demo_detector', 'mobilenet_v2', 'efficientnet_b0', 'resnet50'


def measure(name: str, batches: list[int], repeat: int, device: str) -> dict:
    """Give the milliseconds an image of each batch."""
    entry = registry.build(name)
    module = entry.module.to(device)
    image = registry.random_image((entry.height, entry.width)).to(device)
    sync = torch.cuda.synchronize if device == 'cuda' else lambda: None
    times: dict[int, list[float]] = {batch: [] for batch in batches}
    with torch.inference_mode():
        for number in range(1 + repeat):
            for batch, found in times.items():
                images = image.repeat(batch, 1, 1, 1).contiguous(
                    memory_format=torch.channels_last)
                sync()
                begin = perf_counter()
                module(images)
                sync()
                # The first round compiles kernels.
                found += [(perf_counter() - begin) / batch] if number else []
    return {'model': name, 'size': f'{entry.width}x{entry.height}',
            'ms_an_image': {batch: 1e3 * median(found) for batch, found in times.items()}}


def table(result: dict) -> str:
    """Format as Markdown."""
    batches = list(result['models'][0]['ms_an_image'])
    lines = [f'Written by `bench/batching.py` at commit {result["commit"]}: '
             f'{result["processor"]}, {result["threads"]} thread(s), torch {result["torch"]}; an '
             'image in a batch over one alone, medians.', '',
             f'| model | one alone | {" | ".join(f"in {b}" for b in batches[1:])} |',
             '|---' * (len(batches) + 1) + '|']
    for row in result['models']:
        one, *others = row['ms_an_image'].values()
        lines.append(f'| {row["model"]} {row["size"]} | {one:.1f} ms | '
                     + ' | '.join(f'{ms / one:.2f}' for ms in others) + ' |')
    return '\n'.join(lines) + '\n'


def main() -> int:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add('models', nargs='*', default=MODELS, metavar='MODEL')
    add('--batches', nargs='+', type=int, default=[1, 2, 4, 8], metavar='N', help='the first: 1')
    add('--repeat', type=int, default=7)
    add('--threads', type=int, default=1)
    add('--device', choices=('cpu', 'cuda'), default='cpu')
    add('--output', metavar='PATH', default='bench/results/batching',
        help='write PATH.json and PATH.md')
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    result = {'commit': record.commit(), 'processor': processor(args.device),
              'threads': args.threads, 'torch': torch.__version__, 'models': []}
    for name in tqdm(args.models, unit='model'):
        result['models'].append(measure(name, args.batches, args.repeat, args.device))
    record.write(args.output, result, table(result))
    print(table(result))
    return 0


if __name__ == '__main__':
    command.leave(main)
