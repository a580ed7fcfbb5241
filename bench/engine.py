"""
Time of the tile engine against torch: whole, in bands, half of the rows, and memory.

    python bench/engine.py [NAME ...] [--repeat 7] [--threads 1] [--compile] [--output
    bench/results/engine]

A file that is there already, of the same machine, is added to. All variants of a model run in
turn within one process, so that a machine that is busy is busy for all of them; times are
medians. Eager is `nn.Module` in channels_last under inference_mode.
"""

import argparse
import os
import sys
import warnings
from collections.abc import Callable
from statistics import median
from time import perf_counter

import torch
import torchvision
from tqdm import tqdm

import command
import record
from intradp_ros.model import registry
from intradp_ros.model.capture import capture
from intradp_ros.planning.measure import processor
from intradp_ros.tiling import tiles
from intradp_ros.tiling.engine import Engine
from intradp_ros.tiling.survey import feed_all, relative_error, stride_8

MODELS = [
    'mobilenet_v2',
    'retinanet_resnet50_fpn',
    'vgg19_features',
    'resnet50',
    'densenet121',
    'efficientnet_b0',
    'mobilenet_v3_large',
    'convnext_tiny',
    'squeezenet1_1',
    'swin_t',
    'fcos_resnet50_fpn',
    'ssdlite320_mobilenet_v3_large',
    'fcn_resnet50',
]


def build(name: str) -> registry.Entry:
    if name != 'vgg19_features':
        return registry.build(name)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = registry.Outputs(torchvision.models.vgg19().features).eval().requires_grad_(False)
    registry.enliven(module, 0)
    module.to(memory_format=torch.channels_last)
    return registry.Entry(name, module, *registry.SIZE)


def variants(
    entry: registry.Entry, bands: int, with_compile: bool
) -> tuple[Engine, torch.Tensor, dict[str, Callable], float]:
    """Everything that is timed for one model; the graph's capture time in seconds."""
    image = registry.random_image((entry.height, entry.width), 1)
    start = perf_counter()
    graph = capture(entry.module, image)
    capture_seconds = perf_counter() - start
    engine = Engine(graph)
    rows = entry.height

    def eager():
        with torch.inference_mode():
            return entry.module(image)

    def some_rows(tensor, b):
        frame = engine.start(outputs=(), keep=(tensor.id,))
        frame.feed(graph.input, 0, rows, image)
        frame.compute(tensor.id, 0, b)

    runs = {
        'eager': eager,
        'engine': lambda: feed_all(engine, image, [(0, rows)]),
        'wavefront': lambda: feed_all(engine, image, tiles.bands(rows, bands)),
    }
    middle = stride_8(graph)
    if middle is not None:
        runs['upper_half'] = lambda: some_rows(middle, middle.rows // 2)
        runs['all_rows'] = lambda: some_rows(middle, middle.rows)
    if with_compile:
        try:
            compiled = torch.compile(entry.module)
            with torch.inference_mode():
                compiled(image)

            def run_compiled():
                with torch.inference_mode():
                    return compiled(image)

            runs['compile'] = run_compiled
        except Exception as error:
            print(f'{entry.name}: torch.compile: {str(error).splitlines()[0]}', file=sys.stderr)
    return engine, image, runs, capture_seconds


def measure(entry: registry.Entry, bands: int, repeat: int, with_compile: bool) -> dict:
    engine, image, runs, capture_seconds = variants(entry, bands, with_compile)
    expected = runs['eager']()
    whole, wave = runs['engine'](), runs['wavefront']()
    times: dict[str, list[float]] = {name: [] for name in runs}
    for run in runs.values():
        run()
    for _ in range(repeat):
        for name, run in runs.items():
            start = perf_counter()
            run()
            times[name].append(perf_counter() - start)
    ms = {name: 1e3 * median(t) for name, t in times.items()}
    return {
        'model': entry.name,
        'size': f'{entry.width}x{entry.height}',
        'repeat': repeat,
        'load': os.getloadavg()[0],
        'ms': ms,
        'fastest_ms': {name: 1e3 * min(t) for name, t in times.items()},
        'has_batch_norm': any(isinstance(m, torch.nn.BatchNorm2d) for m in entry.module.modules()),
        'engine_over_eager': ms['engine'] / ms['eager'],
        'compile_over_eager': ms['compile'] / ms['eager'] if 'compile' in ms else None,
        'wavefront_over_engine': ms['wavefront'] / ms['engine'],
        'half_over_all': ms['upper_half'] / ms['all_rows'] if 'all_rows' in ms else None,
        'peak_ratio': wave.peak_bytes / whole.peak_bytes,
        'peak_mb': {'engine': whole.peak_bytes / 1e6, 'wavefront': wave.peak_bytes / 1e6},
        'max_rel_error': max(
            relative_error(whole.outputs(), expected), relative_error(wave.outputs(), expected)
        ),
        'capture_seconds': capture_seconds,
    }


def table(result: dict) -> str:
    """Markdown of one run."""

    def number(value):
        return '-' if value is None else f'{value:.2f}'

    machine = f'{result["cpu"]}, {result["threads"]} thread, torch {result["torch"]}'
    titles = [
        'model',
        'eager ms',
        'engine ms',
        'engine / eager',
        'compile / eager',
        'wavefront / engine',
        'half / all rows at stride 8',
        'peak memory',
        'error',
        'capture s',
    ]
    lines = [
        f'{machine}, wavefront in {result["bands"]} bands, times are medians.',
        '',
        f'| {" | ".join(titles)} |',
        '|---' + '|--:' * (len(titles) - 1) + '|',
    ]
    for row in result['models']:
        lines.append(
            f'| {row["model"]} | {row["ms"]["eager"]:.1f} | {row["ms"]["engine"]:.1f} | '
            f'{number(row["engine_over_eager"])} | {number(row["compile_over_eager"])} | '
            f'{number(row["wavefront_over_engine"])} | {number(row["half_over_all"])} | '
            f'{number(row["peak_ratio"])} | {row["max_rel_error"]:.1e} | '
            f'{row["capture_seconds"]:.1f} |'
        )
    return '\n'.join(lines) + '\n'


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split('\n\n')[0])
    parser.add_argument('names', nargs='*', metavar='NAME', default=MODELS)
    parser.add_argument('--repeat', type=int, default=7)
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument('--bands', type=int, default=8)
    parser.add_argument('--compile', action='store_true', help='time torch.compile too (slow)')
    parser.add_argument('--output', metavar='PATH', help='write PATH.json and PATH.md')
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    warnings.simplefilter('ignore')
    fresh = {
        'cpu': processor(),
        'threads': args.threads,
        'torch': torch.__version__,
        'bands': args.bands,
        'models': [],
    }
    result = record.continued(args.output, fresh, 'models')
    for name in tqdm(args.names, unit='model'):
        row = measure(build(name), args.bands, args.repeat, args.compile)
        result['models'] = [r for r in result['models'] if r['model'] != name] + [row]
        if args.output:
            record.write(args.output, result, table(result))
        torch.compiler.reset()
    print(table(result))
    return 0


if __name__ == '__main__':
    command.leave(main)
